/* All formats with activations in bf16. */
#ifdef __AVX512BF16__

#include "isa/amx/amx.h"
#include "isa/amx/gemm.h"

#ifdef BG_TILES_EMULATED
#define GEMM(name) bg_amx_emulated_gemm_##name
#else
#define GEMM(name) bg_amx_gemm_##name
#endif

/* weights: that go together; bytes: of those, of one row */
#define RUN(name, weights, bytes)                                                       \
    void GEMM(name)(const bg_matmul *a)                                                 \
    {                                                                                   \
        amx_gemm(a, (amx_unpack){name##_unpack, weights, (bytes) * PANEL});             \
    }

#define BLOCKS(name, type, weights, shared, is_signed, quad, scale)                     \
    static void name##_unpack(const uint8_t *panel, size_t n, uint8_t *out)             \
    {                                                                                   \
        unpack_blocks(panel, n, out, (amx_format){weights, sizeof(bg_block_##type), shared, \
                                                  is_signed, quad, scale});             \
    }                                                                                   \
    RUN(name, weights, sizeof(bg_block_##type))

#define NUMBERS(name, weights)                                                          \
    static void name##_unpack(const uint8_t *panel, size_t n, uint8_t *out)             \
    {                                                                                   \
        unpack_##name(panel, n, out);                                                   \
    }                                                                                   \
    RUN(name, weights, 4)

BLOCKS(q4_0, q4_0, 32, 32, false, q4_0_quad, scale_minus_8)
BLOCKS(q4_1, q4_1, 32, 32, false, q4_1_quad, scale_and_min)
BLOCKS(q5_0, q5_0, 32, 32, false, q5_0_quad, scale_minus_16)
BLOCKS(q5_1, q5_1, 32, 32, false, q5_1_quad, scale_and_min)
BLOCKS(q8_0, q8_0, 32, 32, true, q8_0_quad, scale_only)
BLOCKS(iq4_nl, q4_0, 32, 32, true, iq4_nl_quad, scale_only)
BLOCKS(q2_k, q2_k, 256, 16, false, q2_k_quad, q2_k_scale)
BLOCKS(q3_k, q3_k, 256, 16, false, q3_k_quad, q3_k_scale)
BLOCKS(q4_k, q4_k, 256, 32, false, q4_k_quad, scale_min_6)
BLOCKS(q5_k, q5_k, 256, 32, false, q5_k_quad, scale_min_6)
BLOCKS(q6_k, q6_k, 256, 16, false, q6_k_quad, q6_k_scale)
BLOCKS(iq4_xs, iq4_xs, 256, 32, true, iq4_xs_quad, iq4_xs_scale)
BLOCKS(tq1_0, tq1_0, 256, 256, false, tq1_0_quad, scale_minus_1)
BLOCKS(tq2_0, tq2_0, 256, 256, false, tq2_0_quad, scale_minus_1)
NUMBERS(f32, 1)
NUMBERS(f16, 2)
NUMBERS(bf16, 2)

#endif
