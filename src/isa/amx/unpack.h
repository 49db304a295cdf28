/* unpack.h: packed panels to tiles of weights in bf16. Internal.
 *
 * A tile of weights is 16 vectors, one for each pair (k, k+1): 16 rows of two bf16 each. A block
 * format tells where the bytes of a quad (four weights of 16 rows, a row a lane) and the scale of
 * its neighbours lie; plain numbers have their own functions. */
#ifndef BG_AMX_UNPACK_H
#define BG_AMX_UNPACK_H

#include "isa/blocks.h"
#include "isa/inline.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>

typedef __m512i vint;
typedef __m512 vflt;

enum { PANEL = 16 }; /* rows: a field of n bytes a row takes n * PANEL */

BG_INLINE vint words(const uint8_t *p, int n) { return _mm512_loadu_si512(p + 64 * n); }
BG_INLINE vflt halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i_u *)(const void *)p));
}
BG_INLINE vint bytes(const uint8_t *p, int n) /* byte n of 16 rows, widened */
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i_u *)(const void *)(p + PANEL * n)));
}
BG_INLINE vint and_all(vint a, int mask) { return _mm512_and_si512(a, _mm512_set1_epi32(mask)); }
BG_INLINE vint and_each(vint a, int mask)
{
    return _mm512_and_si512(a, _mm512_set1_epi8((char)mask));
}
BG_INLINE vint or(vint a, vint b) { return _mm512_or_si512(a, b); }
BG_INLINE vint down(vint a, int n) { return _mm512_srli_epi32(a, (unsigned)n); }
BG_INLINE vint up(vint a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }
BG_INLINE vflt floats(vint a) { return _mm512_cvtepi32_ps(a); }

/* weight = scale * q + shift, a row a lane */
typedef struct amx_scale { vflt scale, shift; } amx_scale;

BG_INLINE amx_scale scale_shift(vflt scale, vflt shift) { return (amx_scale){scale, shift}; }
BG_INLINE amx_scale scale_offset(vflt scale, float offset) /* scale * (q - offset) */
{
    return (amx_scale){scale, _mm512_mul_ps(scale, _mm512_set1_ps(-offset))};
}

/* A format of blocks; all constants. Quads are bytes below 128, or with `is_signed` any signed
 * bytes (whose shift is not looked at). */
typedef struct amx_format {
    size_t weights, bytes;   /* of a block, of one row */
    int shared;              /* weights that share a scale */
    bool is_signed;
    vint (*quad)(const uint8_t *block, int i);          /* weights 4i..4i+3 */
    amx_scale (*scale)(const uint8_t *block, int i);    /* of weights shared*i.. */
} amx_format;

/* ---- 32 weights ---------------------------------------------------------------------------- */

BG_INLINE vint nibbles(vint word, bool high) { return and_each(high ? down(word, 4) : word, 15); }
BG_INLINE vint quad_4(const uint8_t *qs, int i) { return nibbles(words(qs, i % 4), i >= 4); }
BG_INLINE vint fifth_bits(const uint8_t *qh, int i) /* those of quad i */
{
    return up(and_each(down(words(qh, 0), i), 1), 4);
}
BG_INLINE vint iq4_values(vint nibbles_)
{
    static const int8_t values[16] = {BG_IQ4_VALUES};
    return _mm512_shuffle_epi8(
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i_u *)(const void *)values)), nibbles_);
}

BG_INLINE amx_scale scale_only(const uint8_t *b, int i)
{
    (void)i;
    return scale_shift(halves(b), _mm512_setzero_ps());
}
BG_INLINE amx_scale scale_minus_1(const uint8_t *b, int i)
{
    (void)i;
    return scale_offset(halves(b), 1);
}
BG_INLINE amx_scale scale_minus_8(const uint8_t *b, int i)
{
    (void)i;
    return scale_offset(halves(b), 8);
}
BG_INLINE amx_scale scale_minus_16(const uint8_t *b, int i)
{
    (void)i;
    return scale_offset(halves(b), 16);
}
BG_INLINE amx_scale scale_and_min(const uint8_t *b, int i)
{
    (void)i;
    return scale_shift(halves(b), halves(b + 2 * PANEL));
}

BG_INLINE vint q4_0_quad(const uint8_t *b, int i) { return quad_4(b + 2 * PANEL, i); }
BG_INLINE vint q4_1_quad(const uint8_t *b, int i) { return quad_4(b + 4 * PANEL, i); }
BG_INLINE vint q5_0_quad(const uint8_t *b, int i)
{
    return or(quad_4(b + 6 * PANEL, i), fifth_bits(b + 2 * PANEL, i));
}
BG_INLINE vint q5_1_quad(const uint8_t *b, int i)
{
    return or(quad_4(b + 8 * PANEL, i), fifth_bits(b + 4 * PANEL, i));
}
BG_INLINE vint q8_0_quad(const uint8_t *b, int i) { return words(b + 2 * PANEL, i); }
BG_INLINE vint iq4_nl_quad(const uint8_t *b, int i) { return iq4_values(q4_0_quad(b, i)); }

/* ---- 256 weights --------------------------------------------------------------------------- */

/* Quads of planes: of two bits in halves of 128 weights, of a nibble in parts of 64, of one bit. */
BG_INLINE vint quad_2(const uint8_t *qs, int i)
{
    return and_each(down(words(qs, i / 32 * 8 + i % 8), i % 32 / 8 * 2), 3);
}
BG_INLINE vint quad_plane_4(const uint8_t *qs, int i)
{
    return nibbles(words(qs, i / 16 * 8 + i % 8), i % 16 >= 8);
}
BG_INLINE vint quad_1(const uint8_t *bits, int i)
{
    return and_each(down(words(bits, i % 8), i / 8), 1);
}

/* Scales and mins of 6 bits, eight of each in twelve bytes. */
BG_INLINE amx_scale scale_min_6(const uint8_t *b, int i)
{
    const uint8_t *s = b + 4 * PANEL;
    vint scale, min;
    if (i < 4) {
        scale = and_all(bytes(s, i), 63);
        min = and_all(bytes(s, i + 4), 63);
    } else {
        scale = or(and_all(bytes(s, i + 4), 15), up(down(bytes(s, i - 4), 6), 4));
        min = or(down(bytes(s, i + 4), 4), up(down(bytes(s, i), 6), 4));
    }
    return scale_shift(_mm512_mul_ps(halves(b), floats(scale)),
                       _mm512_mul_ps(halves(b + 2 * PANEL), floats(_mm512_sub_epi32(
                           _mm512_setzero_si512(), min))));
}

BG_INLINE vint q2_k_quad(const uint8_t *b, int i) { return quad_2(b + 20 * PANEL, i); }
BG_INLINE amx_scale q2_k_scale(const uint8_t *b, int i)
{
    vint s = bytes(b + 4 * PANEL, i);
    return scale_shift(_mm512_mul_ps(halves(b), floats(and_all(s, 15))),
                       _mm512_mul_ps(halves(b + 2 * PANEL), floats(_mm512_sub_epi32(
                           _mm512_setzero_si512(), down(s, 4)))));
}

BG_INLINE vint q3_k_quad(const uint8_t *b, int i)
{
    return or(quad_2(b + 46 * PANEL, i), up(quad_1(b + 14 * PANEL, i), 2));
}
BG_INLINE amx_scale q3_k_scale(const uint8_t *b, int i)
{
    const uint8_t *s = b + 2 * PANEL;
    vint low = and_all(down(bytes(s, i % 8), i / 8 * 4), 15);
    vint high = and_all(down(bytes(s, 8 + i % 4), i / 4 * 2), 3);
    vint scale = _mm512_sub_epi32(or(low, up(high, 4)), _mm512_set1_epi32(32));
    return scale_offset(_mm512_mul_ps(halves(b), floats(scale)), 4);
}

BG_INLINE vint q4_k_quad(const uint8_t *b, int i) { return quad_plane_4(b + 16 * PANEL, i); }

BG_INLINE vint q5_k_quad(const uint8_t *b, int i)
{
    return or(quad_plane_4(b + 48 * PANEL, i), up(quad_1(b + 16 * PANEL, i), 4));
}

BG_INLINE vint q6_k_quad(const uint8_t *b, int i)
{
    vint low = nibbles(words(b + 82 * PANEL, i / 32 * 16 + i % 16), i % 32 >= 16);
    return or(low, up(quad_2(b + 18 * PANEL, i), 4));
}
BG_INLINE amx_scale q6_k_scale(const uint8_t *b, int i)
{
    const __m128i_u *s = (const __m128i_u *)(const void *)(b + 2 * PANEL + PANEL * i);
    vflt scale = floats(_mm512_cvtepi8_epi32(_mm_loadu_si128(s)));
    return scale_offset(_mm512_mul_ps(halves(b), scale), 32);
}

BG_INLINE vint iq4_xs_quad(const uint8_t *b, int i)
{
    return iq4_values(quad_4(b + 8 * PANEL + i / 8 * 16 * PANEL, i % 8));
}
BG_INLINE amx_scale iq4_xs_scale(const uint8_t *b, int i)
{
    vint low = and_all(down(bytes(b + 4 * PANEL, i / 2), i % 2 * 4), 15);
    vint high = and_all(down(bytes(b + 2 * PANEL, i / 4), i % 4 * 2), 3);
    vint scale = _mm512_sub_epi32(or(low, up(high, 4)), _mm512_set1_epi32(32));
    return scale_shift(_mm512_mul_ps(halves(b), floats(scale)), _mm512_setzero_ps());
}

/* Digit n of bytes that are fractions in base 3: after n digits are shifted out, 0, 1 or 2 as the
 * fraction is below 1/3, below 2/3 or not. */
BG_INLINE vint ternary_digit(vint fraction, int n)
{
    __mmask64 some, two;
    for (; n > 0; n--) fraction = _mm512_add_epi8(fraction, _mm512_add_epi8(fraction, fraction));
    some = _mm512_cmpge_epu8_mask(fraction, _mm512_set1_epi8(86));
    two = _mm512_cmpge_epu8_mask(fraction, _mm512_set1_epi8((char)171));
    return _mm512_mask_mov_epi8(_mm512_maskz_set1_epi8(some, 1), two, _mm512_set1_epi8(2));
}
BG_INLINE vint tq1_0_quad(const uint8_t *b, int i)
{
    const uint8_t *qh = b + 2 * PANEL, *qs = b + 6 * PANEL;
    if (i < 40) return ternary_digit(words(qs, i % 8), i / 8);
    if (i < 60) return ternary_digit(words(qs, 8 + i % 4), (i - 40) / 4);
    return ternary_digit(words(qh, 0), i - 60);
}

BG_INLINE vint tq2_0_quad(const uint8_t *b, int i) { return quad_2(b + 2 * PANEL, i); }

/* ---- quads to bf16 ------------------------------------------------------------------------- */

/* The halves of a pair of rows lie side by side in what is converted: rows 0..7 in one vector, rows
 * 8..15 in the other, each row twice. */
typedef struct amx_twice { vflt low, high; } amx_twice;

BG_INLINE amx_twice twice(vflt a)
{
    const vint low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return (amx_twice){_mm512_permutexvar_ps(low, a),
                       _mm512_permutexvar_ps(_mm512_add_epi32(low, _mm512_set1_epi32(8)), a)};
}

BG_INLINE void put_pair(uint8_t *out, vflt low, vflt high)
{
    _mm512_store_si512(out, (vint)_mm512_cvtne2ps_pbh(high, low));
}

/* Bytes become floats by being put into the mantissa of a constant: 128 + q with one shuffle, where
 * q < 128, and 32768 + q where it has eight bits. What was added is in the shift. */
enum { MAGIC_7 = 0x43000000, MAGIC_8 = 0x47000000 };

BG_INLINE vflt seven_bits(vint quad, vint from)
{
    return (vflt)_mm512_mask_permutexvar_epi8(_mm512_set1_epi32(MAGIC_7), 0x4444444444444444,
                                              up(from, 16), quad);
}
BG_INLINE vflt signed_bytes(vint flipped, vint from) /* each with its top bit flipped */
{
    vflt x = (vflt)_mm512_mask_permutexvar_epi8(_mm512_set1_epi32(MAGIC_8), 0x2222222222222222,
                                                up(from, 8), flipped);
    return _mm512_sub_ps(x, _mm512_set1_ps(32768 + 128));
}

BG_INLINE void put_quad(uint8_t *out, vint quad, amx_twice scale, amx_twice shift, bool is_signed)
{
    const vint first = _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29);
    if (is_signed) quad = _mm512_xor_si512(quad, _mm512_set1_epi8(-128));
    BG_UNROLL
    for (int pair = 0; pair < 2; pair++) {
        vint low = _mm512_add_epi32(first, _mm512_set1_epi32(2 * pair));
        vint high = _mm512_add_epi32(low, _mm512_set1_epi32(32));
        if (is_signed)
            put_pair(out + 64 * pair, _mm512_mul_ps(signed_bytes(quad, low), scale.low),
                     _mm512_mul_ps(signed_bytes(quad, high), scale.high));
        else
            put_pair(out + 64 * pair,
                     _mm512_fmadd_ps(seven_bits(quad, low), scale.low, shift.low),
                     _mm512_fmadd_ps(seven_bits(quad, high), scale.high, shift.high));
    }
}

/* n weights of 16 rows, whole blocks. */
BG_INLINE void unpack_blocks(const uint8_t *panel, size_t n, uint8_t *out, amx_format f)
{
    for (size_t k = 0; k < n; k += f.weights, panel += PANEL * f.bytes) {
        BG_UNROLL
        for (int i = 0; i < (int)f.weights / f.shared; i++) {
            amx_scale s = f.scale(panel, i);
            amx_twice scale = twice(s.scale);
            amx_twice shift = twice(_mm512_fmadd_ps(s.scale, _mm512_set1_ps(-128), s.shift));
            BG_UNROLL
            for (int j = 0; j < f.shared / 4; j++, out += 128)
                put_quad(out, f.quad(panel, i * f.shared / 4 + j), scale, shift, f.is_signed);
        }
    }
}

/* ---- plain numbers: n weights, then zeros up to a whole tile --------------------------------- */

BG_INLINE void zeros(uint8_t *out, size_t pairs)
{
    for (; pairs % 16; pairs++) _mm512_store_si512(out + 64 * pairs, _mm512_setzero_si512());
}

BG_INLINE void unpack_bf16(const uint8_t *panel, size_t n, uint8_t *out)
{
    memcpy(out, panel, (n + 1) / 2 * 64);
    zeros(out, (n + 1) / 2);
}

BG_INLINE void unpack_f16(const uint8_t *panel, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < (n + 1) / 2; i++)
        put_pair(out + 64 * i, halves(panel + 64 * i), halves(panel + 64 * i + 32));
    zeros(out, (n + 1) / 2);
}

BG_INLINE void unpack_f32(const uint8_t *panel, size_t n, uint8_t *out)
{
    const vint low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const vint high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    for (size_t i = 0; i < (n + 1) / 2; i++) {
        vflt a = (vflt)words(panel, (int)(2 * i));
        vflt b = 2 * i + 1 < n ? (vflt)words(panel, (int)(2 * i + 1)) : _mm512_setzero_ps();
        put_pair(out + 64 * i, _mm512_permutex2var_ps(a, low, b),
                 _mm512_permutex2var_ps(a, high, b));
    }
    zeros(out, (n + 1) / 2);
}

#endif
