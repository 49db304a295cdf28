/* lanes.h: vectors of as many floats as the instruction set of the including file holds.
 *
 * The searches work on 16 lanes that never mix, so how many of them one vector holds changes the
 * speed and not one bit of the result: every operation rounds as the scalar one does, and nothing
 * is fused. There are no NaN. Internal. */
#ifndef BG_FORMATS_LANES_H
#define BG_FORMATS_LANES_H

#include "formats/iq4.h"

#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

INLINE vf v_load(const float *p) { return *(const vf *)(const void *)p; } /* aligned */
INLINE void v_store(float *p, vf v) { *(vf *)(void *)p = v; }
INLINE vf v_all(float x) { return x - (vf){0}; }
INLINE vf v_abs(vf v) { return (vf)((vi)v & INT32_MAX); }

/* v_less compares into what v_pick takes; min and max are a < b ? a : b and a > b ? a : b; v_round
 * goes to the nearest integer, ties to even, for magnitudes below 2^22; v_int cuts off. */
#if defined(__AVX512F__)
typedef __mmask16 vm;
INLINE vm v_less(vf a, vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
INLINE vm v_both(vm a, vm b) { return (vm)(a & b); }
INLINE vf v_pick(vm m, vf a, vf b) { return (vf)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
INLINE vf v_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE vf v_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE vf v_round(vf v) { return (vf)_mm512_roundscale_ps((__m512)v, 0); }
INLINE vi v_int(vf v) { return (vi)_mm512_cvttps_epi32((__m512)v); }
#else
typedef vi vm;
INLINE vm v_less(vf a, vf b) { return a < b; }
INLINE vm v_both(vm a, vm b) { return a & b; }
#if defined(__AVX2__)
INLINE vf v_pick(vm m, vf a, vf b) { return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
INLINE vf v_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE vf v_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE vf v_round(vf v) { return (vf)_mm256_round_ps((__m256)v, 0); }
INLINE vi v_int(vf v) { return (vi)_mm256_cvttps_epi32((__m256)v); }
#else
INLINE vf v_pick(vm m, vf a, vf b) { return (vf)(((vi)a & m) | ((vi)b & ~m)); }
#ifdef __SSE2__
INLINE vf v_min(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
INLINE vf v_max(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
#else
INLINE vf v_min(vf a, vf b) { return v_pick(a < b, a, b); }
INLINE vf v_max(vf a, vf b) { return v_pick(b < a, a, b); }
#endif
INLINE vf v_round(vf v) { return (v + 12582912.0f) - 12582912.0f; }
INLINE vi v_int(vf v) { return __builtin_convertvector(v, vi); }
#endif
#endif

INLINE vf v_clamp(vf v, float low, float high) { return v_min(v_max(v, v_all(low)), v_all(high)); }

/* 1/v, and 0 where v is as good as 0. */
INLINE vf v_inverse(vf v)
{
    return v_pick(v_less(v_all(1e-30f), v_abs(v)), 1.0f / v, v_all(0));
}

/* The nearest finite half. A subnormal one is a multiple of 2^-24. */
INLINE vf v_half(vf v)
{
    vf x = v_min(v_abs(v), v_all(65504.0f)), tiny = (x + 0.5f) - 0.5f;
    vi bits = (vi)x;
    vf normal = (vf)((bits + 0xfff + (bits >> 13 & 1)) & ~0x1fff);
    return (vf)((vi)v_pick(v_less(x, v_all(0x1p-14f)), tiny, normal) | ((vi)v & INT32_MIN));
}

/* Integers of 0 to 255 as bytes. */
INLINE void v_put(uint8_t *p, vi v)
{
    typedef uint8_t bytes __attribute__((vector_size(LANES)));
    bytes b = __builtin_convertvector(v, bytes);
    memcpy(p, &b, sizeof b);
}

/* The level of IQ4 that is nearest to each of -127 to 113, by number. A cell of 8 from -128 on
 * holds at most one border between levels. */
static const float iq4_border[32] ALIGNED = {
    999, -115.5f, 999, 999, -93.5f, 999, -74, 999, -57, 999, -42, 999, -28.5f, 999, -16, -4.5f,
    7, 999, 19, 31.5f, 999, 45.5f, 999, 61, 999, 79, 999, 999, 101, 999, 999, 999,
};
static const int32_t iq4_first[32] ALIGNED = { /* the level at the start of the cell */
    0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7,
    8, 9, 9, 10, 11, 11, 12, 12, 13, 13, 14, 14, 14, 15, 15, 15,
};

#if defined(__AVX512F__)
INLINE vi v_nearest_iq4(vf v)
{
    __m512i cell = (__m512i)v_int(v * 0.125f + 16.0f);
    __m512 border = _mm512_permutex2var_ps(_mm512_load_ps(iq4_border), cell,
                                           _mm512_load_ps(iq4_border + 16));
    __m512i first = _mm512_permutex2var_epi32(_mm512_load_si512(iq4_first), cell,
                                              _mm512_load_si512(iq4_first + 16));
    return (vi)_mm512_mask_add_epi32(first, _mm512_cmp_ps_mask((__m512)v, border, _CMP_GE_OQ),
                                     first, _mm512_set1_epi32(1));
}

INLINE vf v_level_iq4(vi n)
{
    return (vf)_mm512_permutexvar_ps((__m512i)n, _mm512_load_ps(bg_iq4_values));
}
#else
INLINE vi v_nearest_iq4(vf v)
{
    vi cell = v_int(v * 0.125f + 16.0f), n;
    for (int i = 0; i < LANES; i++)
        n[i] = iq4_first[cell[i]] + (v[i] >= iq4_border[cell[i]]);
    return n;
}

INLINE vf v_level_iq4(vi n)
{
    vf v;
    for (int i = 0; i < LANES; i++) v[i] = bg_iq4_values[n[i]];
    return v;
}
#endif

#endif
