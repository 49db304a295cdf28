#ifdef __AVX2__

#include "isa/avx2/vector.h"

#include "isa/avx2/avx2.h"

#include <math.h>

/* 127 over the largest magnitude of n floats; *d is the block's scale. 0 where all q are 0. */
BG_INLINE float block_factor(const float *in, int n, float *d)
{
    const vflt magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    vflt largest = v_all(0), bad = v_all(0);
    __m128 m;
    for (int i = 0; i < n; i += LANES) {
        vflt x = _mm256_and_ps(v_load_floats(in + i), magnitude);
        largest = _mm256_max_ps(largest, x);
        bad = _mm256_or_ps(bad, _mm256_cmp_ps(x, v_all(INFINITY), _CMP_NLT_UQ));
    }
    *d = NAN;
    if (_mm256_movemask_ps(bad)) return 0;
    m = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    *d = 0;
    if (_mm_cvtss_f32(m) < BG_ENCODE_TINY) return 0;
    *d = _mm_cvtss_f32(m) / 127.0f;
    return 127.0f / _mm_cvtss_f32(m);
}

/* 32 floats to bytes. A factor of 0 comes with values that may not be finite. */
BG_INLINE vint quantize(const float *in, float factor)
{
    vint q[4];
    BG_UNROLL
    for (int i = 0; i < 4; i++)
        q[i] = _mm256_cvtps_epi32(v_mul(v_load_floats(in + i * LANES), v_all(factor)));
    /* Packing works within 16 bytes: the lanes come out as 0 4 1 5 2 6 3 7 of 4 bytes each. */
    q[0] = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(q[0], _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

void bg_avx2_encode_q8_0(const float *in, void *out, size_t k)
{
    bg_block_q8_0 *b = out;
    for (size_t i = 0; i < k / 32; i++, in += 32) {
        float d, factor = block_factor(in, 32, &d);
        uint16_t half = (uint16_t)_cvtss_sh(d, _MM_FROUND_TO_NEAREST_INT);
        memcpy(b[i].d, &half, 2);
        v_store(b[i].qs, factor != 0 ? quantize(in, factor) : v_zero());
    }
}

void bg_avx2_encode_q8_k(const float *in, void *out, size_t k)
{
    bg_block_q8_k *b = out;
    for (size_t i = 0; i < k / 256; i++) {
        float d, factor = block_factor(in, 256, &d);
        memcpy(b[i].d, &d, 4);
        for (int g = 0; g < 8; g++, in += 32) {
            vint q = factor != 0 ? quantize(in, factor) : v_zero();
            /* Four lanes of 32 bits for each 16 values, added to two sums of 16 bits. */
            vint s = _mm256_madd_epi16(_mm256_maddubs_epi16(v_all8(1), q), v_all16(1));
            s = _mm256_hadd_epi32(s, s);
            s = _mm256_hadd_epi32(s, s);
            v_store(b[i].qs + 32 * g, q);
            int16_t sums[2] = {(int16_t)_mm256_extract_epi32(s, 0),
                               (int16_t)_mm256_extract_epi32(s, 4)};
            memcpy(b[i].bsums + 4 * g, sums, 4);
        }
    }
}

#endif
