/* vector.h: the words of src/isa/avx2/vector.h, which says what they mean, for AVX-512 with and
 * without VNNI. A vector is a panel's row of units. Internal. */
#ifndef BG_AVX512_VECTOR_H
#define BG_AVX512_VECTOR_H

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

typedef __m512i vint;
typedef __m512 vflt;
typedef __m512i vsum, vpair;
#ifdef __AVX512VNNI__
enum { LANES = 16, VECTORS = 1, REGISTERS = 32, SUMS = 1, LARGEST = 255, FITS = 32767 };
#else
enum { LANES = 16, VECTORS = 1, REGISTERS = 32, SUMS = 2, LARGEST = 127, FITS = 32767 };
#endif

BG_INLINE vint v_load(const void *p) { return _mm512_loadu_si512(p); }
BG_INLINE void v_store(void *p, vint a) { _mm512_storeu_si512(p, a); }
BG_INLINE vint v_spread(const void *p)
{
    int x;
    memcpy(&x, p, sizeof x);
    return _mm512_set1_epi32(x);
}
BG_INLINE void v_prefetch(const void *p) { _mm_prefetch((const char *)p, _MM_HINT_T0); }
/* Into the second level. Not the intrinsic: GCC drops functions that do nothing but prefetch. */
BG_INLINE void v_prefetch_far(const void *p)
{
    __asm__ volatile("prefetcht1 %0" : : "m"(*(const char *)p));
}

BG_INLINE vint v_zero(void) { return _mm512_setzero_si512(); }
BG_INLINE vint v_all8(int x) { return _mm512_set1_epi8((char)x); }
BG_INLINE vint v_all16(int x) { return _mm512_set1_epi16((short)x); }
BG_INLINE vint v_all32(int x) { return _mm512_set1_epi32(x); }
BG_INLINE vint v_and(vint a, vint b) { return _mm512_and_si512(a, b); }
BG_INLINE vint v_or(vint a, vint b) { return _mm512_or_si512(a, b); }
BG_INLINE vint v_xor(vint a, vint b) { return _mm512_xor_si512(a, b); }
BG_INLINE vint v_add8(vint a, vint b) { return _mm512_add_epi8(a, b); }
BG_INLINE vint v_sub8(vint a, vint b) { return _mm512_sub_epi8(a, b); }
BG_INLINE vint v_add16(vint a, vint b) { return _mm512_add_epi16(a, b); }
BG_INLINE vint v_add32(vint a, vint b) { return _mm512_add_epi32(a, b); }
BG_INLINE vint v_sub32(vint a, vint b) { return _mm512_sub_epi32(a, b); }
BG_INLINE vint v_mul32(vint a, vint b) { return _mm512_mullo_epi32(a, b); }
BG_INLINE vint v_shift_right32(vint a, int n) { return _mm512_srai_epi32(a, (unsigned)n); }
BG_INLINE vint v_shift_left32(vint a, int n) { return _mm512_slli_epi32(a, (uint8_t)n); }
BG_INLINE vint v_shift(vint a, int n)
{
    return n < 0 ? _mm512_srli_epi16(a, (uint8_t)-n) : _mm512_slli_epi16(a, (uint8_t)n);
}
BG_INLINE vint v_field(vint a, int at, int n)
{
    return v_and(v_shift(a, -at), v_all8((1 << n) - 1));
}
BG_INLINE vint v_join(vint a, vint b, vint mask)
{
    return _mm512_ternarylogic_epi32(a, b, mask, 0xf8);
}
BG_INLINE vint v_load_same(const void *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i_u *)p));
}
BG_INLINE vint v_look_up(vint table, vint i) { return _mm512_shuffle_epi8(table, i); }
BG_INLINE vint v_above(vint a, int b)
{
    return _mm512_maskz_mov_epi8(_mm512_cmpgt_epu8_mask(a, v_all8(b)), v_all8(1));
}

BG_INLINE vsum v_none(void) { return v_zero(); }
BG_INLINE vsum v_dot(vsum acc, vint w, vint x)
{
#ifdef __AVX512VNNI__
    return _mm512_dpbusd_epi32(acc, w, x);
#else
    return v_add16(acc, _mm512_maddubs_epi16(w, x));
#endif
}
BG_INLINE vsum v_dot_signed(vsum acc, vint w, vint x)
{
    x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), v_zero(), x);
    return v_dot(acc, _mm512_abs_epi8(w), x);
}
BG_INLINE vint v_dot_16(vint acc, vint a, vint b)
{
#ifdef __AVX512VNNI__
    return _mm512_dpwssd_epi32(acc, a, b);
#else
    return v_add32(acc, _mm512_madd_epi16(a, b));
#endif
}
BG_INLINE vint v_sum_32(vsum sums)
{
    return SUMS == 1 ? sums : _mm512_madd_epi16(sums, v_all16(1));
}

BG_INLINE vint v_bytes(const void *p, int v)
{
    (void)v;
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i_u *)p));
}
BG_INLINE vflt v_halves(const void *p, int v)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)p + v));
}
BG_INLINE vpair v_byte_pairs(const void *p, int v)
{
    const vint order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                        8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    vint bytes = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i_u *)p));
    (void)v;
    return _mm512_permutexvar_epi16(order, bytes);
}
BG_INLINE vint v_dot_pairs(vint acc, vpair pair, const int16_t *two)
{
    return v_dot_16(acc, pair, v_spread(two));
}
BG_INLINE vint v_factor(const void *p, int v)
{
    vint low = v_and(v_bytes(p, v), v_all32(0xffff));
    return SUMS == 2 ? v_or(low, _mm512_slli_epi32(low, 16)) : low;
}
BG_INLINE vint v_scaled(vint acc, vsum sums, vint factor) { return v_dot_16(acc, sums, factor); }

BG_INLINE vflt v_bfloats(const void *p, int v)
{
    const __m256i_u *at = (const __m256i_u *)p + v;
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at)),
                                                 16));
}

BG_INLINE vflt v_float(vint a) { return _mm512_cvtepi32_ps(a); }
BG_INLINE vflt v_bits(vint a) { return _mm512_castsi512_ps(a); }
BG_INLINE vflt v_all(float x) { return _mm512_set1_ps(x); }
BG_INLINE vflt v_load_floats(const float *p) { return _mm512_loadu_ps(p); }
BG_INLINE vflt v_spread_pair(const float p[2])
{
    double x;
    memcpy(&x, p, sizeof x);
    return _mm512_castpd_ps(_mm512_set1_pd(x));
}
BG_INLINE void v_store_floats(float *p, vflt a) { _mm512_storeu_ps(p, a); }
BG_INLINE vflt v_mul(vflt a, vflt b) { return _mm512_mul_ps(a, b); }
BG_INLINE vflt v_add(vflt a, vflt b) { return _mm512_add_ps(a, b); }
BG_INLINE vflt v_sub(vflt a, vflt b) { return _mm512_sub_ps(a, b); }
BG_INLINE vflt v_fma(vflt a, vflt b, vflt c) { return _mm512_fmadd_ps(a, b, c); }
BG_INLINE vflt v_fnma(vflt a, vflt b, vflt c) { return _mm512_fnmadd_ps(a, b, c); }

BG_INLINE void v_interleave(vflt a, vflt b, vflt out[2])
{
    const vint low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    out[0] = _mm512_permutex2var_ps(a, low, b);
    out[1] = _mm512_permutex2var_ps(a, v_add32(low, v_all32(8)), b);
}
BG_INLINE vflt v_add_pairs(vflt a, vflt b)
{
    const vint even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return v_add(_mm512_permutex2var_ps(a, even, b),
                 _mm512_permutex2var_ps(a, v_or(even, v_all32(1)), b));
}

BG_INLINE float v_half(const uint8_t *p) { return _cvtsh_ss(bg_load_u16(p)); }

BG_INLINE int v_sum_s8(const void *p)
{
    __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i_u *)p), _mm256_set1_epi8(-128));
    __m256i s = _mm256_sad_epu8(a, _mm256_setzero_si256());
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_unpackhi_epi64(t, t))) - 32 * 128;
}

BG_INLINE void v_sums_of_32(const uint8_t *bsums, int16_t out[8])
{
    __m256i s = _mm256_loadu_si256((const __m256i_u *)(const void *)bsums);
    s = _mm256_madd_epi16(s, _mm256_set1_epi16(1));
    _mm_storeu_si128((__m128i_u *)(void *)out, _mm256_cvtepi32_epi16(s));
}

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
