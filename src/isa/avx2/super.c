/* Q2_K to Q6_K, IQ4_XS, TQ1_0, TQ2_0: a block of 256 weights is eight groups of 32. */
#ifdef __AVX2__

#include "isa/avx2/vector.h"

#include "isa/avx2/avx2.h"
#include "isa/avx2/unpack.h"
#include "isa/template/super.h"

/* 16 bytes in their order, and as v_group_scale wants them: even ones below, odd ones above. */
BG_INLINE vint scales_in_order(__m128i bytes) { return _mm256_cvtepi8_epi16(bytes); }
BG_INLINE vint scales_by_half(__m128i bytes)
{
    const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, order));
}

BG_INLINE vint q2_k_group(const void *block, int g)
{
    return two_bits(((const bg_block_q2_k *)block)->qs, g);
}

BG_INLINE super_scales q2_k_scales(const void *block)
{
    const bg_block_q2_k *w = block;
    __m128i bytes = _mm_loadu_si128((const __m128i_u *)(const void *)w->scales);
    __m128i low = _mm_set1_epi8(15);
    return (super_scales){scales_by_half(_mm_and_si128(bytes, low)),
                          scales_in_order(_mm_and_si128(_mm_srli_epi16(bytes, 4), low)),
                          v_half(w->d), v_half(w->dmin)};
}

BG_INLINE vint q3_k_group(const void *block, int g)
{
    const bg_block_q3_k *w = block;
    return v_or(two_bits(w->qs, g), bit_plane(w->hmask, g, 2));
}

/* 16 scales of 6 bits: 16 nibbles, then 16 pairs of bits of which byte i%4 has i/4. */
BG_INLINE super_scales q3_k_scales(const void *block)
{
    const bg_block_q3_k *w = block;
    __m128i nibble = _mm_loadl_epi64((const __m128i_u *)(const void *)w->scales);
    __m128i high = _mm_set1_epi32((int)bg_load_u32(w->scales + 8));
    __m128i bytes;
    nibble = _mm_unpacklo_epi64(nibble, _mm_srli_epi16(nibble, 4));
    nibble = _mm_and_si128(nibble, _mm_set1_epi8(15));
    high = _mm_srlv_epi32(high, _mm_setr_epi32(0, 2, 4, 6));
    high = _mm_slli_epi16(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
    bytes = _mm_sub_epi8(_mm_or_si128(nibble, high), _mm_set1_epi8(32));
    return (super_scales){scales_by_half(bytes), _mm256_slli_epi16(scales_in_order(bytes), 2),
                          v_half(w->d), 0};
}

/* The 6-bit scales and mins of Q4_K and Q5_K. */
BG_INLINE super_scales scales_mins_6(const uint8_t *s, const uint8_t *d)
{
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, two = 0x30303030;
    uint32_t a = bg_load_u32(s), b = bg_load_u32(s + 4), c = bg_load_u32(s + 8);
    uint64_t scale = (a & six) | (uint64_t)((c & four) | (a >> 2 & two)) << 32;
    uint64_t min = (b & six) | (uint64_t)((c >> 4 & four) | (b >> 2 & two)) << 32;
    __m128i scales = _mm_cvtepi8_epi16(_mm_cvtsi64_si128((long long)scale));
    __m128i mins = _mm_cvtsi64_si128((long long)min);
    return (super_scales){_mm256_broadcastsi128_si256(scales),
                          scales_in_order(_mm_unpacklo_epi8(mins, mins)), v_half(d), v_half(d + 2)};
}

BG_INLINE vint q4_k_group(const void *block, int g)
{
    return nibble_plane(((const bg_block_q4_k *)block)->qs, g);
}

BG_INLINE super_scales q4_k_scales(const void *block)
{
    const bg_block_q4_k *w = block;
    return scales_mins_6(w->scales, w->d);
}

BG_INLINE vint q5_k_group(const void *block, int g)
{
    const bg_block_q5_k *w = block;
    return v_or(nibble_plane(w->qs, g), bit_plane(w->qh, g, 4));
}

BG_INLINE super_scales q5_k_scales(const void *block)
{
    const bg_block_q5_k *w = block;
    return scales_mins_6(w->scales, w->d);
}

BG_INLINE vint q6_k_group(const void *block, int g)
{
    const bg_block_q6_k *w = block;
    int half = g / 4, part = g % 4;
    vint low = v_shift(v_load(w->ql + 64 * half + part % 2 * 32), -(part / 2 * 4));
    vint high = v_shift(v_load(w->qh + 32 * half), 4 - 2 * part);
    return v_or(v_and(low, v_all8(15)), v_and(high, v_all8(0x30)));
}

BG_INLINE super_scales q6_k_scales(const void *block)
{
    const bg_block_q6_k *w = block;
    __m128i bytes = _mm_loadu_si128((const __m128i_u *)(const void *)w->scales);
    return (super_scales){scales_by_half(bytes), _mm256_slli_epi16(scales_in_order(bytes), 5),
                          v_half(w->d), 0};
}

BG_INLINE vint iq4_xs_group(const void *block, int g)
{
    return iq4_values(nibbles(((const bg_block_iq4_xs *)block)->qs + 16 * g));
}

BG_INLINE super_scales iq4_xs_scales(const void *block)
{
    const bg_block_iq4_xs *w = block;
    vint low = _mm256_srlv_epi32(v_spread(w->scales_l),
                                 _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    vint high = _mm256_srlv_epi32(_mm256_set1_epi32(bg_load_u16(w->scales_h)),
                                  _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14));
    low = v_and(low, _mm256_set1_epi32(15));
    high = _mm256_slli_epi32(v_and(high, _mm256_set1_epi32(3)), 4);
    low = v_sub32(v_or(low, high), _mm256_set1_epi32(32));
    low = _mm256_packs_epi32(low, _mm256_permute2x128_si256(low, low, 1));
    return (super_scales){_mm256_permute2x128_si256(low, low, 0), v_zero(), v_half(w->d), 0};
}

/* Ternary: one scale, and 1 is subtracted from every weight. */
BG_INLINE super_scales ternary_scales(const uint8_t *d)
{
    return (super_scales){v_all16(1), v_all16(1), v_half(d), 0};
}

BG_INLINE vint times_3(vint a) { return _mm256_add_epi8(_mm256_add_epi8(a, a), a); }

/* The digit left of the point of byte/256 times 3: 0 below 256/3, 2 from 512/3 on. The bytes are
 * compared as signed numbers, 128 less. */
BG_INLINE vint first_digit(vint a)
{
    vint b = _mm256_xor_si256(a, v_all8(-128));
    vint ones = _mm256_cmpgt_epi8(b, v_all8(85 - 128));
    vint twos = _mm256_cmpgt_epi8(b, v_all8(170 - 128));
    return _mm256_sub_epi8(v_zero(), _mm256_add_epi8(ones, twos));
}

BG_INLINE vint tq1_0_group(const void *block, int g)
{
    const bg_block_tq1_0 *w = block;
    vint a, b;
    if (g < 5) {
        a = v_load(w->qs);
        BG_UNROLL
        for (int i = 0; i < g; i++) a = times_3(a);
        return first_digit(a);
    }
    /* Two digits of 16 bytes, then two more, then the fifth beside four digits of 4 bytes. */
    a = v_load_same(w->qs + 32);
    BG_UNROLL
    for (int i = 5; i < g; i++) a = times_3(times_3(a));
    b = times_3(a);
    if (g == 7) {
        vint once = v_spread(w->qh), thrice = times_3(once);
        vint b4 = _mm256_blend_epi32(once, thrice, 0xaa);
        b = _mm256_blend_epi32(b4, times_3(times_3(b4)), 0xcc);
    }
    return first_digit(_mm256_blend_epi32(a, b, 0xf0));
}

BG_INLINE super_scales tq1_0_scales(const void *block)
{
    return ternary_scales(((const bg_block_tq1_0 *)block)->d);
}

BG_INLINE vint tq2_0_group(const void *block, int g)
{
    return two_bits(((const bg_block_tq2_0 *)block)->qs, g);
}

BG_INLINE super_scales tq2_0_scales(const void *block)
{
    return ternary_scales(((const bg_block_tq2_0 *)block)->d);
}

/* depth: 127 times the largest q, twice, times the depth must stay below 2^15. */
#define SUPER(name, zero, sub, depth)                                                   \
    static const super_format name = {sizeof(bg_block_##name), name##_group,            \
                                      name##_scales, zero, sub, depth};                 \
    static void name##_panel(const bg_matmul *a, const uint8_t **rows)                  \
    {                                                                                   \
        super_panel_run(a, rows, name);                                                 \
    }                                                                                   \
    void bg_avx2_gemv_##name(const bg_matmul *a) { super_gemv(a, name); }               \
    void bg_avx2_gemm_##name(const bg_matmul *a) { panel_walk(a, name##_panel); }

SUPER(q2_k, BG_MINS, 16, 4)
SUPER(q3_k, BG_OFFSET, 16, 4)
SUPER(q4_k, BG_MINS, 32, 8)
SUPER(q5_k, BG_MINS, 32, 4)
SUPER(q6_k, BG_OFFSET, 16, 2)
SUPER(iq4_xs, BG_SIGNED, 32, 1)
SUPER(tq1_0, BG_OFFSET, 256, 32)
SUPER(tq2_0, BG_OFFSET, 256, 32)

#endif
