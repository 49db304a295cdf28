/* vector.h: the words that the loops of src/isa/template are written in, for AVX2 and AVX-VNNI.
 * Internal.
 *
 * A vector has LANES lanes of 32 bits; a lane is a row of the packed layout and holds a quad (four
 * neighbouring weights), a pair of 16-bit numbers, an integer or a float. VECTORS vectors hold the
 * 16 rows of a panel; functions of units smaller than a lane take the vector's number v. */
#ifndef BG_AVX2_VECTOR_H
#define BG_AVX2_VECTOR_H

#include "isa/blocks.h"

#include <immintrin.h>
#include <stdbool.h>
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
typedef __m256i vsum;   /* sums of products of bytes: SUMS a lane */
typedef __m256i vpair;  /* two numbers of 16 bits a lane */
/* LARGEST: unsigned byte that v_dot takes. FITS: sum that v_scaled takes. */
#ifdef __AVXVNNI__
enum { LANES = 8, VECTORS = 2, REGISTERS = 16, SUMS = 1, LARGEST = 255, FITS = 32767 };
#else
enum { LANES = 8, VECTORS = 2, REGISTERS = 16, SUMS = 2, LARGEST = 127, FITS = 32767 };
#endif

BG_INLINE vint v_load(const void *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
BG_INLINE void v_store(void *p, vint a) { _mm256_storeu_si256((__m256i_u *)p, a); }
BG_INLINE vint v_spread(const void *p) /* 4 bytes into every lane */
{
    int x;
    memcpy(&x, p, sizeof x);
    return _mm256_set1_epi32(x);
}
BG_INLINE void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
/* Into the second level. Not the intrinsic: GCC drops functions that do nothing but prefetch. */
BG_INLINE void v_prefetch_far(const void *p)
{
    __asm__ volatile("prefetcht1 %0" : : "m"(*(const char *)p));
}

BG_INLINE vint v_zero(void) { return _mm256_setzero_si256(); }
BG_INLINE vint v_all8(int x) { return _mm256_set1_epi8((char)x); }
BG_INLINE vint v_all16(int x) { return _mm256_set1_epi16((short)x); }
BG_INLINE vint v_all32(int x) { return _mm256_set1_epi32(x); }
BG_INLINE vint v_and(vint a, vint b) { return _mm256_and_si256(a, b); }
BG_INLINE vint v_or(vint a, vint b) { return _mm256_or_si256(a, b); }
BG_INLINE vint v_xor(vint a, vint b) { return _mm256_xor_si256(a, b); }
BG_INLINE vint v_add8(vint a, vint b) { return _mm256_add_epi8(a, b); }
BG_INLINE vint v_sub8(vint a, vint b) { return _mm256_sub_epi8(a, b); }
BG_INLINE vint v_add16(vint a, vint b) { return _mm256_add_epi16(a, b); }
BG_INLINE vint v_add32(vint a, vint b) { return _mm256_add_epi32(a, b); }
BG_INLINE vint v_sub32(vint a, vint b) { return _mm256_sub_epi32(a, b); }
BG_INLINE vint v_mul32(vint a, vint b) { return _mm256_mullo_epi32(a, b); }
BG_INLINE vint v_shift_right32(vint a, int n) { return _mm256_srai_epi32(a, n); }
BG_INLINE vint v_shift_left32(vint a, int n) { return _mm256_slli_epi32(a, n); }
/* Every byte's bits moved up by n (down if negative); the caller masks what neighbours lent. */
BG_INLINE vint v_shift(vint a, int n)
{
    return n < 0 ? _mm256_srli_epi16(a, -n) : _mm256_slli_epi16(a, n);
}
/* Bits at..at + n - 1 of every byte. */
BG_INLINE vint v_field(vint a, int at, int n)
{
    return v_and(v_shift(a, -at), v_all8((1 << n) - 1));
}
/* a, and those bits of b that mask has. */
BG_INLINE vint v_join(vint a, vint b, vint mask) { return v_or(a, v_and(b, mask)); }
BG_INLINE vint v_load_same(const void *p) /* 16 bytes, again and again */
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)p));
}
/* Byte i of a table of v_load_same for every byte i < 16. */
BG_INLINE vint v_look_up(vint table, vint i) { return _mm256_shuffle_epi8(table, i); }
/* 1 where the unsigned byte a is larger than the constant b, else 0. */
BG_INLINE vint v_above(vint a, int b)
{
    vint more = _mm256_cmpeq_epi8(_mm256_max_epu8(a, v_all8(b + 1)), a);
    return v_and(more, v_all8(1));
}

BG_INLINE vsum v_none(void) { return v_zero(); }
/* acc plus the products of unsigned bytes w with signed bytes x, four a lane. Where SUMS is 2,
 * neighbouring products and the sums so far must fit into 16 bits. */
BG_INLINE vsum v_dot(vsum acc, vint w, vint x)
{
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(acc, w, x);
#else
    return v_add16(acc, _mm256_maddubs_epi16(w, x));
#endif
}
/* The same for signed bytes, where unsigned ones would not fit: |w| <= 127. */
BG_INLINE vsum v_dot_signed(vsum acc, vint w, vint x)
{
    return v_dot(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
}
/* acc (of 32 bits) plus the products of 16-bit numbers, two a lane. */
BG_INLINE vint v_dot_16(vint acc, vint a, vint b)
{
#ifdef __AVXVNNI__
    return _mm256_dpwssd_avx_epi32(acc, a, b);
#else
    return v_add32(acc, _mm256_madd_epi16(a, b));
#endif
}
/* Sums of v_dot as 32 bits. */
BG_INLINE vint v_sum_32(vsum sums)
{
    return SUMS == 1 ? sums : _mm256_madd_epi16(sums, v_all16(1));
}

/* LANES signed bytes, or halves, of the 16 at p. */
BG_INLINE vint v_bytes(const void *p, int v)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i_u *)((const char *)p + LANES * v)));
}
BG_INLINE vflt v_halves(const void *p, int v)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)((const char *)p + 2 * LANES * v)));
}
/* The signed bytes at p beside the 16 that follow them, and acc plus their products with two
 * numbers that all rows share. */
BG_INLINE vpair v_byte_pairs(const void *p, int v)
{
    __m128i a = _mm_loadu_si128((const __m128i_u *)p);
    __m128i b = _mm_loadu_si128((const __m128i_u *)p + 1);
    return _mm256_cvtepi8_epi16(v ? _mm_unpackhi_epi8(a, b) : _mm_unpacklo_epi8(a, b));
}
BG_INLINE vint v_dot_pairs(vint acc, vpair pair, const int16_t *two)
{
    return v_dot_16(acc, pair, v_spread(two));
}
/* Signed bytes as factors of sums of v_dot that are at most FITS, and acc plus such products. As
 * v_dot_16 wants them: beside itself, or (SUMS is 1) beside a zero. */
BG_INLINE vint v_factor(const void *p, int v)
{
    __m128i a = _mm_loadu_si128((const __m128i_u *)p), b = SUMS == 2 ? a : _mm_setzero_si128();
    return _mm256_cvtepi8_epi16(v ? _mm_unpackhi_epi8(a, b) : _mm_unpacklo_epi8(a, b));
}
BG_INLINE vint v_scaled(vint acc, vsum sums, vint factor) { return v_dot_16(acc, sums, factor); }

BG_INLINE vflt v_bfloats(const void *p, int v) /* of bfloat16 */
{
    __m128i a = _mm_loadu_si128((const __m128i_u *)p + v);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16));
}

BG_INLINE vflt v_float(vint a) { return _mm256_cvtepi32_ps(a); }
BG_INLINE vflt v_bits(vint a) { return _mm256_castsi256_ps(a); }
BG_INLINE vflt v_all(float x) { return _mm256_set1_ps(x); }
BG_INLINE vflt v_load_floats(const float *p) { return _mm256_loadu_ps(p); }
BG_INLINE vflt v_spread_pair(const float p[2]) /* into every pair of lanes */
{
    double x;
    memcpy(&x, p, sizeof x);
    return _mm256_castpd_ps(_mm256_set1_pd(x));
}
BG_INLINE void v_store_floats(float *p, vflt a) { _mm256_storeu_ps(p, a); }
BG_INLINE vflt v_mul(vflt a, vflt b) { return _mm256_mul_ps(a, b); }
BG_INLINE vflt v_add(vflt a, vflt b) { return _mm256_add_ps(a, b); }
BG_INLINE vflt v_sub(vflt a, vflt b) { return _mm256_sub_ps(a, b); }
BG_INLINE vflt v_fma(vflt a, vflt b, vflt c) { return _mm256_fmadd_ps(a, b, c); }  /* a b + c */
BG_INLINE vflt v_fnma(vflt a, vflt b, vflt c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a b */

/* a0 b0 a1 b1 ... */
BG_INLINE void v_interleave(vflt a, vflt b, vflt out[2])
{
    vflt low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    out[0] = _mm256_permute2f128_ps(low, high, 0x20);
    out[1] = _mm256_permute2f128_ps(low, high, 0x31);
}
/* a0 + a1, a2 + a3, ..., b0 + b1, ... */
BG_INLINE vflt v_add_pairs(vflt a, vflt b)
{
    __m256d sums = _mm256_castps_pd(_mm256_hadd_ps(a, b));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(sums, 0xd8));
}

BG_INLINE float v_half(const uint8_t *p) { return _cvtsh_ss(bg_load_u16(p)); }

/* Sum of 32 signed bytes: made unsigned by flipping the top bit, which adds 128 to each. */
BG_INLINE int v_sum_s8(const void *p)
{
    __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i_u *)p), _mm256_set1_epi8(-128));
    __m256i s = _mm256_sad_epu8(a, _mm256_setzero_si256());
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_unpackhi_epi64(t, t))) - 32 * 128;
}

/* The 16 sums of Q8_K, two by two: 8 sums of 32 activations. */
BG_INLINE void v_sums_of_32(const uint8_t *bsums, int16_t out[8])
{
    __m256i s = _mm256_loadu_si256((const __m256i_u *)(const void *)bsums);
    s = _mm256_madd_epi16(s, _mm256_set1_epi16(1));
    _mm_storeu_si128((__m128i_u *)(void *)out,
                     _mm_packs_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1)));
}

/* The sum of them all. */
BG_INLINE int v_sum_16(const uint8_t *bsums)
{
    __m256i s = _mm256_loadu_si256((const __m256i_u *)(const void *)bsums);
    __m128i t;
    s = _mm256_madd_epi16(s, _mm256_set1_epi16(1));
    t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_unpackhi_epi64(t, t));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 1)));
}

#endif
