#include "isa/avx2/avx2.h"
#include "isa/template/rows.h"

#include "base/base.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* The compiler's run-time asks CPUID and, for the registers that the operating system must save,
 * XGETBV. Clang 14's does not know f16c. */
static bool present(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

#define BG_AVX2_KERNELS(NAME, name)                                                         \
    static void gemv_##name(const bg_matmul *a)                                             \
    {                                                                                       \
        rows_run(a, BG_FORMAT_##NAME, bg_avx2_gemv_##name);                                 \
    }                                                                                       \
    static void gemm_##name(const bg_matmul *a)                                             \
    {                                                                                       \
        rows_run(a, BG_FORMAT_##NAME, bg_avx2_gemm_##name);                                 \
    }
#include "isa/avx2/kernels.def"
#undef BG_AVX2_KERNELS
enum {
#define BG_FORMAT(NAME, name, id, weights, bytes, activation, level) \
    ACTIVATION_##NAME = BG_FORMAT_##activation,
#include "bitgauge/formats.def"
};
#define BG_AVX2_KERNELS(NAME, name)                                                                 \
    {BG_FORMAT_##NAME, BG_OP_GEMV, BG_ISA_AVX2, BG_TIER_TMPL, (bg_format)ACTIVATION_##NAME,         \
     gemv_##name},                                                                                  \
    {BG_FORMAT_##NAME, BG_OP_GEMM, BG_ISA_AVX2, BG_TIER_TMPL, (bg_format)ACTIVATION_##NAME,         \
     gemm_##name},
static const bg_kernel kernels[] = {
#include "isa/avx2/kernels.def"
};

const bg_isa_code bg_isa_code_avx2 = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .encode_q8_0 = bg_avx2_encode_q8_0,
    .encode_q8_k = bg_avx2_encode_q8_k,
    .attend = bg_avx2_attend,
    .vec = &bg_vecops_avx2,
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_avx2 = {.present = absent};

#endif
