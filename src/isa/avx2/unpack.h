/* unpack.h: bit planes that several formats share, 32 weights at a time. Internal. */
#ifndef BG_AVX2_UNPACK_H
#define BG_AVX2_UNPACK_H

#include "isa/avx2/rows_vector.h"

/* 16 bytes: low nibbles, then high nibbles. */
BG_INLINE vint nibbles(const uint8_t *qs)
{
    return v_and(_mm256_srlv_epi64(v_load_same(qs), _mm256_setr_epi64x(0, 0, 4, 4)), v_all8(15));
}

/* Of two blocks: the low nibbles of both, then the high nibbles of both. */
BG_INLINE void nibbles_pair(const uint8_t *a, const uint8_t *b, vint *first, vint *second)
{
    vint both = v_load_two(a, b);
    *first = v_and(both, v_all8(15));
    *second = v_and(v_shift(both, -4), v_all8(15));
}

/* Bit i of 4 bytes as 16 in byte i: each byte looks at a copy of the byte that has its bit. */
BG_INLINE vint fifth_bits(const uint8_t *qh)
{
    const vint byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202,
                                         0x0303030303030303);
    const vint bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    vint copies = _mm256_shuffle_epi8(v_spread(qh), byte);
    return v_and(_mm256_cmpeq_epi8(v_and(copies, bit), bit), v_all8(16));
}

/* The same of two blocks: of the first and of the second 2 bytes of both. */
BG_INLINE void fifth_bits_pair(const uint8_t *a, const uint8_t *b, vint *first, vint *second)
{
    const vint byte = _mm256_setr_epi64x(0, 0x0101010101010101, 0, 0x0101010101010101);
    const vint bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    vint both = _mm256_blend_epi32(v_spread(a), v_spread(b), 0xf0);
    vint low = _mm256_shuffle_epi8(both, byte);
    vint high = _mm256_shuffle_epi8(both, v_or(byte, v_all8(2)));
    *first = v_and(_mm256_cmpeq_epi8(v_and(low, bit), bit), v_all8(16));
    *second = v_and(_mm256_cmpeq_epi8(v_and(high, bit), bit), v_all8(16));
}

BG_INLINE vint iq4_values(vint q)
{
    static const int8_t values[16] = {BG_IQ4_VALUES};
    return _mm256_shuffle_epi8(v_load_same(values), q);
}

/* Group g of two-bit planes of 32 bytes a half, of nibble planes. */
BG_INLINE vint two_bits(const uint8_t *qs, int g)
{
    return v_and(v_shift(v_load(qs + g / 4 * 32), -(g % 4 * 2)), v_all8(3));
}

BG_INLINE vint nibble_plane(const uint8_t *qs, int g)
{
    return v_and(v_shift(v_load(qs + g / 2 * 32), -(g % 2 * 4)), v_all8(15));
}

/* Bit g of 32 bytes, moved to bit `to`. */
BG_INLINE vint bit_plane(const uint8_t *bits, int g, int to)
{
    return v_and(v_shift(v_load(bits), to - g), v_all8(1 << to));
}

#endif
