/* blocks.h: the bytes of the block formats, as kernels read them. Internal.
 *
 * All members are bytes, so a block may lie at any address. Halves are little-endian f16. Within a
 * block, weight i of 256 is in group i/32 and (where scales are per 16) in sub-block i/16. */
#ifndef BG_BLOCKS_H
#define BG_BLOCKS_H

#include <stdint.h>
#include <string.h>

/* 32 weights. qs[i]: low nibble is weight i, high nibble is weight i + 16.
 * qh: bit i is the fifth bit of weight i. */
typedef struct bg_block_q4_0 { uint8_t d[2], qs[16]; } bg_block_q4_0;           /* also IQ4_NL */
typedef struct bg_block_q4_1 { uint8_t d[2], m[2], qs[16]; } bg_block_q4_1;
typedef struct bg_block_q5_0 { uint8_t d[2], qh[4], qs[16]; } bg_block_q5_0;
typedef struct bg_block_q5_1 { uint8_t d[2], m[2], qh[4], qs[16]; } bg_block_q5_1;
typedef struct bg_block_q8_0 { uint8_t d[2]; int8_t qs[32]; } bg_block_q8_0;

/* 256 weights.
 * Two-bit planes (Q2_K, Q3_K, TQ2_0): half h of 128 weights has 32 bytes qs[32h..]; its byte l
 *   holds at bits 2s..2s+1 weight 128h + 32s + l.
 * Q2_K: scales[s] is scale (low nibble) and min (high nibble) of sub-block s.
 * Q3_K: hmask[l] bit g is the third bit of weight 32g + l. Scales of 6 bits, offset 32:
 *   low nibbles of s < 8 in the low half of scales[s], of s >= 8 in the high half of scales[s-8];
 *   high two bits of s at bits 2(s/4).. of scales[8 + s%4]. */
typedef struct bg_block_q2_k { uint8_t scales[16], qs[64], d[2], dmin[2]; } bg_block_q2_k;
typedef struct bg_block_q3_k { uint8_t hmask[32], qs[64], scales[12], d[2]; } bg_block_q3_k;
/* Nibble planes (Q4_K, Q5_K): byte 32p + l holds weight 64p + l (low) and 64p + 32 + l (high).
 * Q5_K: qh[l] bit g is the fifth bit of weight 32g + l.
 * Scales and mins of 6 bits, group g: g < 4: scale in the low 6 bits of scales[g], min in those of
 *   scales[g+4]; g >= 4: low nibbles of scale and min in the low and high half of scales[g+4],
 *   their high two bits in the top bits of scales[g-4] and scales[g]. */
typedef struct bg_block_q4_k { uint8_t d[2], dmin[2], scales[12], qs[128]; } bg_block_q4_k;
typedef struct bg_block_q5_k { uint8_t d[2], dmin[2], scales[12], qh[32], qs[128]; } bg_block_q5_k;
/* Q6_K, half h of 128 weights, l < 32: ql[64h + l] holds the low nibbles of weights 128h + l (low)
 *   and 128h + 64 + l (high), ql[64h + 32 + l] those of 128h + 32 + l and 128h + 96 + l;
 *   qh[32h + l] holds at bits 2s.. the high two bits of weight 128h + 32s + l. */
typedef struct bg_block_q6_k {
    uint8_t ql[128], qh[64];
    int8_t scales[16];
    uint8_t d[2];
} bg_block_q6_k;
/* IQ4_XS: group g in qs[16g..] as in Q4_0. Scales of 6 bits, offset 32: low nibble at bits
 *   4(g%2).. of scales_l[g/2], high two bits at bits 2g.. of scales_h. */
typedef struct bg_block_iq4_xs { uint8_t d[2], scales_h[2], scales_l[4], qs[128]; } bg_block_iq4_xs;
/* TQ1_0: five ternary digits a byte, as the fraction byte/256 in base 3, first digit first: byte
 *   l < 32 of qs has weights 32n + l, byte 32 + l of qs has weights 160 + 16n + l (n < 5), byte l
 *   of qh has weights 240 + 4n + l (n < 4). */
typedef struct bg_block_tq1_0 { uint8_t qs[48], qh[4], d[2]; } bg_block_tq1_0;
typedef struct bg_block_tq2_0 { uint8_t qs[64], d[2]; } bg_block_tq2_0;

/* Activations: Q8_0 as for weights, and this. bsums[s] (int16) is the sum of qs[16s..16s+15]. */
typedef struct bg_block_q8_k { uint8_t d[4]; int8_t qs[256]; uint8_t bsums[32]; } bg_block_q8_k;

/* The values of IQ4_NL and IQ4_XS. */
#define BG_IQ4_VALUES -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113

static inline uint16_t bg_load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t bg_load_u32(const uint8_t *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline float bg_load_f32(const uint8_t *p)
{
    float x;
    memcpy(&x, p, sizeof x);
    return x;
}

#endif
