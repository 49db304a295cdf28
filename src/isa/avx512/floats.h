/* floats.h: the words that attention is written in, for AVX-512; see avx2/floats.h. Internal. */
#ifndef BG_AVX512_FLOATS_H
#define BG_AVX512_FLOATS_H

#include "isa/inline.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

enum { FLOATS = 16 };
typedef __m512 vfloats;

BG_INLINE vfloats f_all(float x) { return _mm512_set1_ps(x); }
BG_INLINE vfloats f_load(const float *p) { return _mm512_loadu_ps(p); }
BG_INLINE void f_store(float *p, vfloats a) { _mm512_storeu_ps(p, a); }
BG_INLINE vfloats f_add(vfloats a, vfloats b) { return _mm512_add_ps(a, b); }
BG_INLINE vfloats f_sub(vfloats a, vfloats b) { return _mm512_sub_ps(a, b); }
BG_INLINE vfloats f_mul(vfloats a, vfloats b) { return _mm512_mul_ps(a, b); }
BG_INLINE vfloats f_fma(vfloats a, vfloats b, vfloats c) { return _mm512_fmadd_ps(a, b, c); }
BG_INLINE vfloats f_max(vfloats a, vfloats b) { return _mm512_max_ps(a, b); }
BG_INLINE float f_sum(vfloats a) { return _mm512_reduce_add_ps(a); }
BG_INLINE bool f_any_above(vfloats a, float b)
{
    return _mm512_cmp_ps_mask(a, f_all(b), _CMP_GT_OQ) != 0;
}
BG_INLINE vfloats f_keep(vfloats a, size_t n, vfloats b)
{
    return _mm512_mask_mov_ps(b, (__mmask16)((1u << n) - 1), a);
}
BG_INLINE vfloats f_scale2(vfloats p, vfloats n)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(
        _mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(n), 23)));
}

#endif
