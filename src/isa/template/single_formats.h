/* single_formats.h: what single.h wants to know of each format of super_formats.h, which includes
 * this. Internal. */
#ifndef BG_TEMPLATE_SINGLE_FORMATS_H
#define BG_TEMPLATE_SINGLE_FORMATS_H

#include "isa/template/single.h"

BG_INLINE int straight(int i) { return i; }
BG_INLINE int single_no_raise(int g)
{
    (void)g;
    return 0;
}

/* Fields of two bits stay where they are, as far as sums of 16 bits allow. */
BG_INLINE int q2_k_raise(int g) { return g % (SUMS == 1 ? 4 : 2) * 2; }
BG_INLINE vint two_bits_raised(const uint8_t *qs, int g, int j)
{
    const int at = q2_k_raise(g);
    return v_and(v_shift(v_load(qs + (8 * (g / 4) + j) * WORD), at - g % 4 * 2), v_all8(3 << at));
}
BG_INLINE vint q2_k_raised(const uint8_t *w, int g, int j)
{
    return two_bits_raised(w + 20 * ROWS_16, g, j);
}

/* The upper two of four fields move down by 2 (by 4 where sums have 16 bits), so that three places
 * do for the third bit. */
BG_INLINE int q3_k_raise(int g)
{
    return SUMS == 2 ? g % 2 * 2 : g % 4 == 0 ? 0 : g % 4 == 3 ? 4 : 2;
}
BG_INLINE vint q3_k_raised(const uint8_t *w, int g, int j)
{
    const int at = q3_k_raise(g);
    vint low = v_shift(v_load(w + (46 * ROWS_16) + (8 * (g / 4) + j) * WORD), at - g % 4 * 2);
    vint high = v_shift(v_load(w + 14 * ROWS_16 + j * WORD), at + 2 - g);
    return v_join(v_and(low, v_all8(3 << at)), high, v_all8(4 << at));
}

BG_INLINE int q4_k_raise(int g) { return SUMS == 1 ? g % 2 * 4 : 0; }
BG_INLINE vint q4_k_raised(const uint8_t *w, int g, int j)
{
    const int at = q4_k_raise(g);
    vint both = v_load(w + 16 * ROWS_16 + (8 * (g / 2) + j) * WORD);
    return v_and(v_shift(both, at - g % 2 * 4), v_all8(15 << at));
}

/* High nibbles, which have to move anyhow, move to where the fifth bits are. */
BG_INLINE int q5_k_raise(int g) { return SUMS == 1 && g % 2 ? g % 4 : 0; }
BG_INLINE vint q5_k_raised(const uint8_t *w, int g, int j)
{
    const int at = q5_k_raise(g);
    vint low = v_shift(v_load(w + 48 * ROWS_16 + (8 * (g / 2) + j) * WORD), g % 2 ? at - 4 : 0);
    vint high = v_shift(v_load(w + 16 * ROWS_16 + j * WORD), at + 4 - g);
    return v_join(v_and(low, v_all8(15 << at)), high, v_all8(16 << at));
}

/* Words 0 to 7 of half a block have the low bits of groups 0 and 2. */
BG_INLINE int q6_k_order(int i) { return i / 4 * 4 + i % 4 / 2 + i % 2 * 2; }
BG_INLINE int q6_k_raise(int g) { return SUMS == 1 && g % 4 == 3 ? 2 : 0; }
BG_INLINE vint q6_k_raised(const uint8_t *w, int g, int j)
{
    const uint8_t *qh = w + 18 * ROWS_16, *ql = w + 82 * ROWS_16;
    const int half = g / 4, part = g % 4, at = q6_k_raise(g);
    vint low = v_load(ql + (16 * half + part % 2 * 8 + j) * WORD);
    vint high = v_shift(v_load(qh + (8 * half + j) * WORD), at + 4 - 2 * part);
    return v_join(v_and(v_shift(low, at - part / 2 * 4), v_all8(15 << at)), high,
                  v_all8(0x30 << at));
}

/* Digit n of b, and b three times as large: b' = 3 b - 256 digit, so that
 *     256 sum(digit x) = 3 sum(b x) - sum(b' x)
 * and no digit has to be found. */
BG_INLINE void single_digits(const uint8_t *qs, const int8_t *x, int n, int step, vint sums[2])
{
    vint b = v_load(qs);
    BG_UNROLL
    for (int i = 0; i < n; i++) {
        vint quad = v_spread(x + i * step);
        sums[0] = v_dot(sums[0], b, quad);
        b = v_add8(v_add8(b, b), b);
        sums[1] = v_dot(sums[1], b, quad);
    }
}
BG_INLINE vint tq1_0_whole(const uint8_t *w, const int8_t *x)
{
    const uint8_t *qh = w + 2 * ROWS_16, *qs = w + 6 * ROWS_16;
    vint s[2][2] = {{v_zero(), v_zero()}, {v_zero(), v_zero()}};
    BG_UNROLL
    for (int j = 0; j < 8; j++) single_digits(qs + j * WORD, x + 4 * j, 5, 32, s[j % 2]);
    BG_UNROLL
    for (int j = 0; j < 4; j++)
        single_digits(qs + (8 + j) * WORD, x + 160 + 4 * j, 5, 16, s[j % 2]);
    single_digits(qh, x + 240, 4, 4, s[0]);
    BG_UNROLL
    for (int i = 0; i < 2; i++) s[0][i] = v_add32(s[0][i], s[1][i]);
    return v_shift_right32(v_sub32(v_add32(v_shift_left32(s[0][0], 1), s[0][0]), s[0][1]), 8);
}
BG_INLINE vint tq2_0_whole(const uint8_t *w, const int8_t *x)
{
    vint t[4];
    BG_UNROLL
    for (int r = 0; r < 4; r++) t[r] = v_zero();
    BG_UNROLL
    for (int i = 0; i < 64; i++) { /* word by word */
        int g = i / 32 * 4 + i % 4, j = i / 4 % 8;
        t[g % 4] = v_dot(t[g % 4], two_bits_raised(w + 2 * ROWS_16, g, j),
                         v_spread(x + 32 * g + 4 * j));
    }
    BG_UNROLL
    for (int r = 1; r < 4; r++) t[0] = v_add32(t[0], v_shift_right32(t[r], 2 * r));
    return t[0];
}

/* What the functions of a format are gathered from. Whether to ask ahead was found by measuring. */
#define SINGLE_q2_k {q2_k, q2_k_raised, q2_k_raise, straight, NULL, false, false, false}
#define SINGLE_q3_k {q3_k, q3_k_raised, q3_k_raise, straight, NULL, true, false, false}
#define SINGLE_q4_k {q4_k, q4_k_raised, q4_k_raise, straight, NULL, false, false, false}
#define SINGLE_q5_k {q5_k, q5_k_raised, q5_k_raise, straight, NULL, \
                     SUMS == 2 && VECTORS == 1, true, false}
#define SINGLE_q6_k {q6_k, q6_k_raised, q6_k_raise, q6_k_order, NULL, true, true, false}
#define SINGLE_iq4_xs {iq4_xs, iq4_xs_quad, single_no_raise, straight, NULL, false, false, false}
#define SINGLE_tq1_0 {tq1_0, NULL, NULL, NULL, tq1_0_whole, false, false, false}
#define SINGLE_tq2_0 {tq2_0, NULL, NULL, NULL, tq2_0_whole, false, false, false}

#endif
