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
#else
INLINE vi v_nearest_iq4(vf v)
{
    vi cell = v_int(v * 0.125f + 16.0f), n;
    for (int i = 0; i < LANES; i++)
        n[i] = iq4_first[cell[i]] + (v[i] >= iq4_border[cell[i]]);
    return n;
}
#endif

/* ---- 16-bit integers, two to a lane --------------------------------------------------------- */

typedef int16_t vh __attribute__((vector_size(4 * LANES)));

INLINE vh h_load(const int32_t *p) { return *(const vh *)(const void *)p; } /* aligned */
INLINE void h_store(int32_t *p, vh v) { *(vh *)(void *)p = v; }
INLINE vh h_pair(vi even, vi odd) { return (vh)((even & 0xffff) | odd << 16); }
INLINE vh h_all(int x) { return (int16_t)x - (vh){0}; }

/* h_high is a b / 2^16, cut off downwards; h_add goes no further than the limits of 16 bits, h_sub
 * not below 0 (of a and b that are not); h_dot adds the two products of a lane. */
#if defined(__SSE2__)
#if defined(__AVX512F__)
typedef __m512i vr;
#define H(operation) _mm512_##operation
#elif defined(__AVX2__)
typedef __m256i vr;
#define H(operation) _mm256_##operation
#else
typedef __m128i vr;
#define H(operation) _mm_##operation
#endif
INLINE vh h_high(vh a, vh b) { return (vh)H(mulhi_epi16)((vr)a, (vr)b); }
INLINE vh h_add(vh a, vh b) { return (vh)H(adds_epi16)((vr)a, (vr)b); }
INLINE vh h_sub(vh a, vh b) { return (vh)H(subs_epu16)((vr)a, (vr)b); }
INLINE vh h_shift(vh a, int n) { return (vh)H(srl_epi16)((vr)a, _mm_cvtsi32_si128(n)); }
INLINE vi h_dot(vh a, vh b) { return (vi)H(madd_epi16)((vr)a, (vr)b); }
#undef H
#else
typedef int32_t vw __attribute__((vector_size(8 * LANES)));
#define WIDE(a) __builtin_convertvector(a, vw)
INLINE vh h_high(vh a, vh b) { return __builtin_convertvector(WIDE(a) * WIDE(b) >> 16, vh); }
INLINE vh h_add(vh a, vh b)
{
    vw sum = WIDE(a) + WIDE(b), over = sum > INT16_MAX, under = sum < INT16_MIN;
    sum = (sum & ~over & ~under) | (over & INT16_MAX) | (under & INT16_MIN);
    return __builtin_convertvector(sum, vh);
}
INLINE vh h_sub(vh a, vh b) { return (a - b) & (a > b); }
INLINE vh h_shift(vh a, int n) { return a >> (int16_t)n; }
INLINE vi h_dot(vh a, vh b)
{
    vi even = ((vi)a << 16 >> 16) * ((vi)b << 16 >> 16);
    return even + ((vi)a >> 16) * ((vi)b >> 16);
}
#undef WIDE
#endif

/* The level of IQ4 that is nearest to v / 32 - 128, v from 0 to 255 * 32, as its value. */
#if defined(__AVX512F__)
INLINE vh h_nearest_iq4(vh v)
{
    /* By cells of 256 as above. */
    static const int16_t border[32] ALIGNED = {
        9999, 400, 9999, 9999, 1104, 9999, 1728, 9999, 2272, 9999, 2752, 9999, 3184, 9999, 3584,
        3952, 4320, 9999, 4704, 5104, 9999, 5552, 9999, 6048, 9999, 6624, 9999, 9999, 7328, 9999,
        9999, 9999,
    };
    static const int16_t below[32] ALIGNED = {
        -127, -127, -104, -104, -104, -83, -83, -65, -65, -49, -49, -35, -35, -22, -22, -10,
        1, 13, 13, 25, 38, 38, 53, 53, 69, 69, 89, 89, 89, 113, 113, 113,
    };
    static const int16_t above[32] ALIGNED = {
        0, -104, 0, 0, -83, 0, -65, 0, -49, 0, -35, 0, -22, 0, -10, 1,
        13, 0, 25, 38, 0, 53, 0, 69, 0, 89, 0, 0, 113, 0, 0, 0,
    };
    __m512i x = (__m512i)v, cell = _mm512_srli_epi16(x, 8);
    __m512i limit = _mm512_permutexvar_epi16(cell, _mm512_load_si512(border));
    __m512i low = _mm512_permutexvar_epi16(cell, _mm512_load_si512(below));
    return (vh)_mm512_mask_permutexvar_epi16(low, _mm512_cmpge_epi16_mask(x, limit), cell,
                                             _mm512_load_si512(above));
}
#else
INLINE vh h_nearest_iq4(vh v)
{
    static const struct { int16_t border, step; } levels[15] = {
        {400, 23}, {1104, 21}, {1728, 18}, {2272, 16}, {2752, 14}, {3184, 13}, {3584, 12},
        {3952, 11}, {4320, 12}, {4704, 12}, {5104, 13}, {5552, 15}, {6048, 16}, {6624, 20},
        {7328, 24},
    };
    vh level = h_all(-127);
    for (int i = 0; i < 15; i++) level += (v >= h_all(levels[i].border)) & levels[i].step;
    return level;
}
#endif

#endif
