/* floats.h: the words that attention is written in, for AVX2. Internal. */
#ifndef BG_AVX2_FLOATS_H
#define BG_AVX2_FLOATS_H

#include "isa/inline.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

enum { FLOATS = 8 };    /* of a vector: 16 or a divisor */
typedef __m256 vfloats;

BG_INLINE vfloats f_all(float x) { return _mm256_set1_ps(x); }
BG_INLINE vfloats f_load(const float *p) { return _mm256_loadu_ps(p); }
BG_INLINE void f_store(float *p, vfloats a) { _mm256_storeu_ps(p, a); }
BG_INLINE vfloats f_add(vfloats a, vfloats b) { return _mm256_add_ps(a, b); }
BG_INLINE vfloats f_sub(vfloats a, vfloats b) { return _mm256_sub_ps(a, b); }
BG_INLINE vfloats f_mul(vfloats a, vfloats b) { return _mm256_mul_ps(a, b); }
BG_INLINE vfloats f_fma(vfloats a, vfloats b, vfloats c) { return _mm256_fmadd_ps(a, b, c); }
/* b where a is not larger or one of them is not a number */
BG_INLINE vfloats f_max(vfloats a, vfloats b) { return _mm256_max_ps(a, b); }
BG_INLINE float f_sum(vfloats a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
BG_INLINE bool f_any_above(vfloats a, float b)
{
    return _mm256_movemask_ps(_mm256_cmp_ps(a, f_all(b), _CMP_GT_OQ)) != 0;
}
/* The first n lanes of a, then b's. */
BG_INLINE vfloats f_keep(vfloats a, size_t n, vfloats b)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i some = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(some));
}
/* p times 2 to the power of the integer in the low bits of n */
BG_INLINE vfloats f_scale2(vfloats p, vfloats n)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(
        _mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(n), 23)));
}

#endif
