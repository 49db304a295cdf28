/* small_formats.h: what small.h wants to know of each format, and its kernels. Internal. */
#ifndef BG_TEMPLATE_SMALL_FORMATS_H
#define BG_TEMPLATE_SMALL_FORMATS_H

#include "isa/template/small.h"

/* Where fields begin in a block of a panel. */
enum { SMALL_HALF = 2 * BG_PANEL_ROWS, SMALL_WORD = 4 * BG_PANEL_ROWS };

BG_INLINE void small_nibbles(const uint8_t *qs, int j, vint q[4])
{
    vint both = v_load(qs + j * SMALL_WORD);
    q[0] = v_field(both, 0, 4);
    q[1] = v_field(both, 4, 4);
}

/* Bit j of the bytes at qh is the fifth of quad j. */
BG_INLINE void small_fives(const uint8_t *qh, int j, vint q[4])
{
    vint high = v_load(qh);
    small_nibbles(qh + SMALL_WORD, j, q);
    q[0] = v_or(q[0], v_and(v_shift(high, 4 - j), v_all8(16)));
    q[1] = v_or(q[1], v_and(v_shift(high, -j), v_all8(16)));
}

BG_INLINE void q4_0_quads(const uint8_t *block, int j, vint q[4])
{
    small_nibbles(block + SMALL_HALF, j, q);
}
BG_INLINE void q4_1_quads(const uint8_t *block, int j, vint q[4])
{
    small_nibbles(block + 2 * SMALL_HALF, j, q);
}
BG_INLINE void q5_0_quads(const uint8_t *block, int j, vint q[4])
{
    small_fives(block + SMALL_HALF, j, q);
}
BG_INLINE void q5_1_quads(const uint8_t *block, int j, vint q[4])
{
    small_fives(block + 2 * SMALL_HALF, j, q);
}

/* Signed bytes, plus 128 where small.h takes them for unsigned. */
BG_INLINE vint small_byte(vint q) { return small_signed() ? q : v_xor(q, v_all8(-128)); }
BG_INLINE void q8_0_quads(const uint8_t *block, int j, vint q[4])
{
    const uint8_t *qs = block + SMALL_HALF;
    BG_UNROLL
    for (int i = 0; i < 2; i++) {
        q[i] = small_byte(v_load(qs + (j + 4 * i) * SMALL_WORD));
        if (SUMS == 1) continue;
        q[2 + i] = v_field(q[i], 4, 4);
        q[i] = v_field(q[i], 0, 4);
    }
}

BG_INLINE void iq4_nl_quads(const uint8_t *block, int j, vint q[4])
{
    static const int8_t values[16] = {BG_IQ4_VALUES};
    vint all = small_byte(v_load_same(values));
    vint low = SUMS == 1 ? all : v_field(all, 0, 4), high = v_field(all, 4, 4);
    small_nibbles(block + SMALL_HALF, j, q);
    BG_UNROLL
    for (int i = 0; i < 2; i++) {
        if (SUMS == 2) q[2 + i] = v_look_up(high, q[i]);
        q[i] = v_look_up(low, q[i]);
    }
}

/* (name; bytes, offset, bits, has_min) */
#define SMALL_FORMATS(X)                                                                \
    X(q4_0, 18, 8, 4, false) X(q4_1, 20, 0, 4, true) X(q5_0, 22, 16, 5, false)          \
    X(q5_1, 24, 0, 5, true) X(q8_0, 34, 128, 8, false) X(iq4_nl, 18, 128, 8, false)

/* Built with BG_SLOWDOWN=percent, Q4_0 does that share of its panels again, for tests of what
 * notices a slowdown; for one column half as many more, because the second time they come from a
 * near cache. The rest of a panel waits for the next call. */
#ifdef BG_SLOWDOWN
BG_INLINE void small_again(const bg_matmul *a, int most, small_format f, const small_code *code)
{
    static _Thread_local size_t hundredths;
    bg_matmul again = *a;
    if (f.quads != q4_0_quads) return;
    hundredths += (a->rows + BG_PANEL_ROWS - 1) / BG_PANEL_ROWS * BG_SLOWDOWN *
                  (most == 1 ? 3 : 2) / 2;
    again.rows = BG_MIN(hundredths / 100 * BG_PANEL_ROWS, a->rows);
    hundredths %= 100;
    if (again.rows) small_matmul(&again, most, f, code);
}
#else
#define small_again(a, most, f, code) ((void)0)
#endif

#ifndef SMALL_KERNELS /* an including file may make its own of them */
#define SMALL_PANEL_TILE(name, cols)                                                    \
    static void name##_tile_##cols(small_panel *p, const small_x *x, size_t n,          \
                                   const bg_matmul *a, float *to, size_t rows, bool add) \
    {                                                                                   \
        if (cols <= small_few(name))                                                    \
            small_panel_tile(p, x, n, cols, a, to, rows, add, name);                    \
    }
#define SMALL_KERNELS(name, bytes, offset, bits, has_min)                               \
    static const small_format name = {bytes * BG_PANEL_ROWS, name##_quads, offset, bits, has_min}; \
    static void name##_unpack(const uint8_t *w, size_t n, small_panel *p)               \
    {                                                                                   \
        small_unpack(w, n, p, name);                                                    \
    }                                                                                   \
    SMALL_PANEL_TILE(name, 1)                                                           \
    SMALL_PANEL_TILE(name, 2)                                                           \
    SMALL_PANEL_TILE(name, 3)                                                           \
    static const small_code name##_code = {                                             \
        name##_unpack, {name##_tile_1, name##_tile_2, name##_tile_3}};                  \
    void BG_SET(gemv, name)(const bg_matmul *a)                                         \
    {                                                                                   \
        small_matmul(a, 1, name, &name##_code);                                         \
        small_again(a, 1, name, &name##_code);                                          \
    }                                                                                   \
    void BG_SET(gemm, name)(const bg_matmul *a)                                         \
    {                                                                                   \
        small_matmul(a, SMALL_FEW, name, &name##_code);                                 \
        small_again(a, SMALL_FEW, name, &name##_code);                                  \
    }
#endif
SMALL_FORMATS(SMALL_KERNELS)

#endif
