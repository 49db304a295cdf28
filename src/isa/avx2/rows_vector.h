/* vector.h: the words that the loops of src/isa/template are written in, for AVX2. Internal.
 *
 * A vector has LANES 32-bit lanes. In GEMV a vector is a group of 32 neighbouring weights of a row;
 * in GEMM a lane is a row, and holds four neighbouring weights (a quad) or two of 16 bits. */
#ifndef BG_AVX2_ROWS_VECTOR_H
#define BG_AVX2_ROWS_VECTOR_H

#include "isa/blocks.h"

#include <immintrin.h>
#include <stddef.h>

#define BG_INLINE static inline __attribute__((always_inline))
#if defined(BG_UNROLL) /* from outside */
#elif defined(__clang__)
#define BG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define BG_UNROLL _Pragma("GCC unroll 64")
#endif

typedef __m256i vint;
typedef __m256 vflt;
enum { LANES = 8 };

BG_INLINE vint v_load(const void *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
BG_INLINE vint v_load_same(const void *p) /* 16 bytes, twice */
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)p));
}
BG_INLINE vint v_load_two(const void *a, const void *b) /* 16 bytes of each */
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i_u *)a)),
                                   _mm_loadu_si128((const __m128i_u *)b), 1);
}
BG_INLINE vint v_spread(const void *p) /* 4 bytes into every lane */
{
    int x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}
BG_INLINE void v_store(void *p, vint a) { _mm256_storeu_si256((__m256i_u *)p, a); }
BG_INLINE void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
BG_INLINE vint v_zero(void) { return _mm256_setzero_si256(); }
BG_INLINE vint v_all8(int x) { return _mm256_set1_epi8((char)x); }
BG_INLINE vint v_all16(int x) { return _mm256_set1_epi16((short)x); }
BG_INLINE vint v_and(vint a, vint b) { return _mm256_and_si256(a, b); }
BG_INLINE vint v_or(vint a, vint b) { return _mm256_or_si256(a, b); }
BG_INLINE vint v_add16(vint a, vint b) { return _mm256_add_epi16(a, b); }
BG_INLINE vint v_add32(vint a, vint b) { return _mm256_add_epi32(a, b); }
BG_INLINE vint v_sub32(vint a, vint b) { return _mm256_sub_epi32(a, b); }
BG_INLINE vint v_mul16(vint a, vint b) { return _mm256_mullo_epi16(a, b); }
/* Every byte's bits moved up by n (down if negative); the caller masks what neighbours lent. */
BG_INLINE vint v_shift(vint a, int n)
{
    return n < 0 ? _mm256_srli_epi16(a, -n) : _mm256_slli_epi16(a, n);
}

/* Sums of two products of 16 bits: unsigned weights below 128 with signed activations... */
BG_INLINE vint v_dot_u8(vint w, vint x) { return _mm256_maddubs_epi16(w, x); }
/* ...signed weights with activations of -127..127 (|w| is at most 128, so the sum fits)... */
BG_INLINE vint v_dot_s8(vint w, vint x)
{
    return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
/* ...and of 32 bits. */
BG_INLINE vint v_dot_16(vint a, vint b) { return _mm256_madd_epi16(a, b); }

/* The lower and the upper 16 bytes as 16-bit numbers. */
BG_INLINE vint v_widen_low(vint a) { return _mm256_cvtepi8_epi16(_mm256_castsi256_si128(a)); }
BG_INLINE vint v_widen_high(vint a) { return _mm256_cvtepi8_epi16(_mm256_extracti128_si256(a, 1)); }

BG_INLINE vflt v_float(vint a) { return _mm256_cvtepi32_ps(a); }
BG_INLINE vflt v_all(float x) { return _mm256_set1_ps(x); }
BG_INLINE vflt v_load_floats(const float *p) { return _mm256_loadu_ps(p); }
BG_INLINE void v_store_floats(float *p, vflt a) { _mm256_storeu_ps(p, a); }
BG_INLINE vflt v_mul(vflt a, vflt b) { return _mm256_mul_ps(a, b); }
BG_INLINE vflt v_add(vflt a, vflt b) { return _mm256_add_ps(a, b); }
BG_INLINE vflt v_sub(vflt a, vflt b) { return _mm256_sub_ps(a, b); }
BG_INLINE vflt v_fma(vflt a, vflt b, vflt c) { return _mm256_fmadd_ps(a, b, c); }  /* a b + c */
BG_INLINE vflt v_fnma(vflt a, vflt b, vflt c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a b */

BG_INLINE float v_sum(vflt a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* Sum of 32 signed bytes: made unsigned by flipping the top bit, which adds 128 to each. */
BG_INLINE int v_sum_s8(vint a)
{
    vint s = _mm256_sad_epu8(_mm256_xor_si256(a, v_all8(-128)), v_zero());
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_unpackhi_epi64(t, t))) - 32 * 128;
}

BG_INLINE float v_half(const uint8_t *p) { return _cvtsh_ss(bg_load_u16(p)); }

/* Numbers of two blocks: the lower lanes are the first's, the upper lanes the second's. */
BG_INLINE vint v_two_lanes(int a, int b) { return _mm256_setr_epi32(a, 0, 0, 0, b, 0, 0, 0); }
BG_INLINE vflt v_two_floats(float a, float b) { return _mm256_setr_ps(a, a, a, a, b, b, b, b); }
/* The half (at = 0) or the second half (at = 2) at the start of each block, of which there are four
 * bytes. */
BG_INLINE vflt v_two_halves(const uint8_t *a, const uint8_t *b, int at)
{
    __m128i both = _mm_blend_epi32(_mm_set1_epi32((int)bg_load_u32(a)),
                                   _mm_set1_epi32((int)bg_load_u32(b)), 0xc);
    const __m128i order = _mm_setr_epi16(0x0100, 0x0100, 0x0100, 0x0100, 0x0908, 0x0908, 0x0908,
                                         0x0908);
    return _mm256_cvtph_ps(_mm_shuffle_epi8(both, _mm_add_epi8(order, _mm_set1_epi8((char)at))));
}

/* Lane i of out[j] is lane j of rows[i]. */
BG_INLINE void v_transpose(const vint rows[LANES], vint out[LANES])
{
    vint a[8], b[8];
    BG_UNROLL
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        a[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    BG_UNROLL
    for (int i = 0; i < 8; i += 4) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
        b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
        b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
        b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
    }
    BG_UNROLL
    for (int i = 0; i < 4; i++) {
        out[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
        out[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
    }
}

BG_INLINE void v_transpose_floats(const vflt rows[LANES], vflt out[LANES])
{
    vint a[LANES];
    BG_UNROLL
    for (int i = 0; i < LANES; i++) a[i] = _mm256_castps_si256(rows[i]);
    v_transpose(a, a);
    BG_UNROLL
    for (int i = 0; i < LANES; i++) out[i] = _mm256_castsi256_ps(a[i]);
}

/* Scales of the 16 halves of the 8 groups of a block, as 16-bit numbers: entry g of the lower 16
 * bytes belongs to the first half of group g, entry g of the upper 16 bytes to the second. */
BG_INLINE vint v_group_scale(vint scales, int g) /* each beside its 16 weights */
{
    return _mm256_shuffle_epi8(scales, v_all16(2 * g | (2 * g + 1) << 8));
}
/* As pairs of the same number, one a lane: in *a halves 0, 2, 4, 6, 1, 3, 5, 7, in *b those of the
 * upper four groups. */
BG_INLINE void v_scale_pairs(vint scales, vint *a, vint *b)
{
    *a = _mm256_unpacklo_epi16(scales, scales);
    *b = _mm256_unpackhi_epi16(scales, scales);
}
BG_INLINE vint v_low_halves(vint a, vint b) { return _mm256_permute2x128_si256(a, b, 0x20); }

#endif
