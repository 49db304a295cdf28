/* F32, F16, BF16. */
#ifdef __AVX2__

#include "isa/avx2/rows_vector.h"

#include "isa/avx2/avx2.h"
#include "isa/template/float.h"

BG_INLINE vflt f32_load(const uint8_t *w)
{
    return _mm256_loadu_ps((const float *)(const void *)w);
}
BG_INLINE float f32_load_one(const uint8_t *w) { return bg_load_f32(w); }

BG_INLINE vflt f16_load(const uint8_t *w)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)w));
}
BG_INLINE float f16_load_one(const uint8_t *w) { return v_half(w); }

BG_INLINE vflt bf16_load(const uint8_t *w)
{
    __m128i h = _mm_loadu_si128((const __m128i_u *)(const void *)w);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
BG_INLINE float bf16_load_one(const uint8_t *w)
{
    uint32_t bits = (uint32_t)bg_load_u16(w) << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#define FLOAT(name, size)                                                               \
    static const float_format name = {size, name##_load, name##_load_one};              \
    static void name##_panel(const bg_matmul *a, const uint8_t **rows)                  \
    {                                                                                   \
        float_panel_run(a, rows, name);                                                 \
    }                                                                                   \
    void bg_avx2_gemv_##name(const bg_matmul *a) { float_gemv(a, name); }               \
    void bg_avx2_gemm_##name(const bg_matmul *a) { panel_walk(a, name##_panel); }

FLOAT(f32, 4)
FLOAT(f16, 2)
FLOAT(bf16, 2)

#endif
