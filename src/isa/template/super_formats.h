/* super_formats.h: what super.h wants to know of each format. Internal. */
#ifndef BG_TEMPLATE_SUPER_FORMATS_H
#define BG_TEMPLATE_SUPER_FORMATS_H

#include "isa/template/super.h"

/* Where fields begin in a block of a panel, by bytes of the field in a GGUF block. */
enum { ROWS_16 = BG_PANEL_ROWS, WORD = 4 * BG_PANEL_ROWS };

/* A byte of each row. */
typedef uint8_t rows_bytes __attribute__((vector_size(BG_PANEL_ROWS)));

/* Group g of two-bit planes of 8 words a half, of nibble planes; bit g of 8 words. */
BG_INLINE vint two_bits(const uint8_t *qs, int g, int j)
{
    return v_field(v_load(qs + (8 * (g / 4) + j) * WORD), g % 4 * 2, 2);
}
BG_INLINE vint nibble_plane(const uint8_t *qs, int g, int j)
{
    return v_field(v_load(qs + (8 * (g / 2) + j) * WORD), g % 2 * 4, 4);
}
BG_INLINE vint bit_plane(const uint8_t *bits, int g, int j, int to)
{
    return v_and(v_shift(v_load(bits + j * WORD), to - g), v_all8(1 << to));
}

/* Nibbles of n bytes to signed bytes. */
BG_INLINE void nibbles(const uint8_t *from, int8_t *low, int8_t *high, size_t n)
{
    BG_UNROLL
    for (size_t i = 0; i < n; i += sizeof(vint)) {
        vint b = v_load(from + i);
        v_store(low + i, v_field(b, 0, 4));
        v_store(high + i, v_field(b, 4, 4));
    }
}

/* ---- Q4_K, Q5_K: 12 bytes of scales and mins of 6 bits --------------------------------------- */

BG_INLINE const super_bytes *scales_mins_6(const uint8_t *w, super_scales *s)
{
    const uint8_t *from = w + 4 * ROWS_16;
    BG_UNROLL
    for (size_t i = 0; i < 4 * ROWS_16; i += sizeof(vint)) {
        vint a = v_load(from + i), b = v_load(from + 4 * ROWS_16 + i);
        vint c = v_load(from + 8 * ROWS_16 + i), two = v_all8(0x30), four = v_all8(15);
        v_store(super_from(s->scale, 0) + i, v_and(a, v_all8(63)));
        v_store(super_from(s->min, 0) + i, v_and(b, v_all8(63)));
        a = v_or(v_and(c, four), v_and(v_shift(a, -2), two));
        b = v_or(v_and(v_shift(c, -4), four), v_and(v_shift(b, -2), two));
        v_store(super_from(s->scale, 4) + i, a);
        v_store(super_from(s->min, 4) + i, b);
    }
    return s->scale;
}

BG_INLINE vint q4_k_quad(const uint8_t *w, int g, int j)
{
    return nibble_plane(w + 16 * ROWS_16, g, j);
}

BG_INLINE vint q5_k_quad(const uint8_t *w, int g, int j)
{
    return v_or(nibble_plane(w + 48 * ROWS_16, g, j), bit_plane(w + 16 * ROWS_16, g, j, 4));
}

/* ---- the rest -------------------------------------------------------------------------------- */

BG_INLINE const super_bytes *q2_k_scales(const uint8_t *w, super_scales *s)
{
    nibbles(w + 4 * ROWS_16, super_from(s->scale, 0), super_from(s->min, 0), sizeof s->scale);
    return s->scale;
}
BG_INLINE vint q2_k_quad(const uint8_t *w, int g, int j)
{
    return two_bits(w + 20 * ROWS_16, g, j);
}

/* Scales of 6 bits, offset 32: 16 nibbles, and 16 pairs of bits of which byte i%4 has i/4. */
BG_INLINE const super_bytes *q3_k_scales(const uint8_t *w, super_scales *s)
{
    const uint8_t *low = w + 2 * ROWS_16, *high = w + 10 * ROWS_16;
    BG_UNROLL
    for (int n = 0; n < 4; n++) {
        BG_UNROLL
        for (size_t i = 0; i < 4 * ROWS_16; i += sizeof(vint)) {
            vint a = v_load(low + n % 2 * 4 * ROWS_16 + i), b = v_load(high + i);
            a = v_field(a, n / 2 * 4, 4);
            b = v_and(v_shift(b, 4 - 2 * n), v_all8(0x30));
            v_store(super_from(s->scale, 4 * n) + i, v_sub8(v_or(a, b), v_all8(32)));
        }
    }
    return s->scale;
}
BG_INLINE vint q3_k_quad(const uint8_t *w, int g, int j)
{
    return v_or(two_bits(w + 46 * ROWS_16, g, j), bit_plane(w + 14 * ROWS_16, g, j, 2));
}

BG_INLINE const super_bytes *q6_k_scales(const uint8_t *w, super_scales *s)
{
    (void)s;
    return (const super_bytes *)(w + 2 * ROWS_16);
}
BG_INLINE vint q6_k_quad(const uint8_t *w, int g, int j)
{
    const uint8_t *qh = w + 18 * ROWS_16, *ql = w + 82 * ROWS_16;
    int half = g / 4, part = g % 4;
    vint low = v_field(v_load(ql + (16 * half + part % 2 * 8 + j) * WORD), part / 2 * 4, 4);
    vint high = v_shift(v_load(qh + (8 * half + j) * WORD), 4 - 2 * part);
    return v_or(low, v_and(high, v_all8(0x30)));
}

/* Scales of 6 bits, offset 32. Values are made unsigned by adding 128, where that fits. */
BG_INLINE const super_bytes *iq4_xs_scales(const uint8_t *w, super_scales *s)
{
    const uint8_t *high = w + 2 * ROWS_16, *low = w + 4 * ROWS_16;
    BG_UNROLL
    for (int g = 0; g < 8; g++) {
        rows_bytes a, b;
        memcpy(&a, low + g / 2 * ROWS_16, sizeof a);
        memcpy(&b, high + g / 4 * ROWS_16, sizeof b);
        a = ((a >> (g % 2 * 4)) & 15) | ((b >> (g % 4 * 2)) & 3) << 4;
        a -= 32;
        memcpy(s->scale[g], &a, sizeof a);
    }
    return s->scale;
}
BG_INLINE vint iq4_xs_quad(const uint8_t *w, int g, int j)
{
    static const int8_t values[16] = {BG_IQ4_VALUES};
    vint q = v_load(w + 8 * ROWS_16 + (4 * g + j % 4) * WORD);
    q = v_look_up(v_load_same(values), v_field(q, j / 4 * 4, 4));
    return LARGEST > 127 ? v_xor(q, v_all8(-128)) : q;
}

/* Ternary digit n of bytes that are fractions in base 3. */
BG_INLINE vint digit(const uint8_t *qs, int n)
{
    vint a = v_load(qs);
    BG_UNROLL
    for (int i = 0; i < n; i++) a = v_add8(v_add8(a, a), a);
    return v_add8(v_above(a, 85), v_above(a, 170));
}
BG_INLINE vint tq1_0_quad(const uint8_t *w, int g, int j)
{
    const uint8_t *qh = w + 2 * ROWS_16, *qs = w + 6 * ROWS_16;
    if (g < 5) return digit(qs + j * WORD, g);
    if (g == 7 && j >= 4) return digit(qh, j - 4);
    return digit(qs + (8 + j % 4) * WORD, 2 * (g - 5) + j / 4);
}
BG_INLINE vint tq2_0_quad(const uint8_t *w, int g, int j)
{
    return two_bits(w + 2 * ROWS_16, g, j);
}
BG_INLINE const super_bytes *no_scales(const uint8_t *w, super_scales *s)
{
    (void)w;
    return s->scale;
}

/*                                   bytes zero    shift largest sub side */
#define SUPER_FORMATS(X)                                                                \
    X(q2_k, q2_k_scales,       84, BG_MINS,   0, 3,   4,  4)                            \
    X(q3_k, q3_k_scales,      110, BG_OFFSET, 2, 7,   4,  4)                            \
    X(q4_k, scales_mins_6,    144, BG_MINS,   0, 15,  8,  2)                            \
    X(q5_k, scales_mins_6,    176, BG_MINS,   0, 31,  8,  2)                            \
    X(q6_k, q6_k_scales,      210, BG_OFFSET, 5, 63,  4,  2)                            \
    X(iq4_xs, iq4_xs_scales,  136, BG_OFFSET, 7, 241, 8,  1)                            \
    X(tq1_0, no_scales,        54, BG_OFFSET, 0, 2,   64, 1)                            \
    X(tq2_0, no_scales,        66, BG_OFFSET, 0, 2,   64, 4)                            \


/* One column. */
#ifdef __AVX2__
#include "isa/template/single_formats.h"
#define SUPER_ONE(a, w, rows, name)                                                     \
    do {                                                                                \
        if (single_takes(name))                                                         \
            single_panel(a, w, rows, (single_format)SINGLE_##name);                     \
        else                                                                            \
            super_few_panel(a, w, rows, 1, name);                                       \
    } while (0)
#else
#define SUPER_ONE(a, w, rows, name) super_few_panel(a, w, rows, 1, name)
#endif

#ifndef SUPER_KERNELS /* an including file may make its own of them */
#define SUPER_WIDTH(name, i, n, m)                                                      \
    static void name##_few_##i(const bg_matmul *a, const uint8_t *w, size_t rows)       \
    {                                                                                   \
        if (i > 0 && SUPER_FEW == 1) name##_few_0(a, w, rows); /* is the only one */    \
        else if (n == 1) SUPER_ONE(a, w, rows, name);                                   \
        else super_few_panel(a, w, rows, n, name);                                      \
    }                                                                                   \
    static void name##_tile_##i(const super_panel *p, const uint8_t *x, size_t x_stride, \
                                float *y)                                               \
    {                                                                                   \
        super_tile(p, x, x_stride, m, y, name);                                         \
    }
#define SUPER_KERNELS(name, scales, bytes, zero, shift, largest, sub, side)             \
    static const super_format name = {16 * bytes, name##_quad, scales,                  \
                                      zero, shift, largest, sub, side};                 \
    SUPER_WIDTH(name, 0, SUPER_FEW, TILE_COLS)                                          \
    SUPER_WIDTH(name, 1, 2, 2)                                                          \
    SUPER_WIDTH(name, 2, 1, 1)                                                          \
    static void name##_unpack(super_panel *p, const uint8_t *w, size_t panel_bytes)     \
    {                                                                                   \
        super_unpack(p, w, panel_bytes, name);                                          \
    }                                                                                   \
    static const super_code name##_code = {                                             \
        16 * bytes, {name##_few_0, name##_few_1, name##_few_2}, name##_unpack,          \
        {name##_tile_0, name##_tile_1, name##_tile_2}};                                 \
    void BG_SET(gemv, name)(const bg_matmul *a)                                         \
    {                                                                                   \
        bg_matmul one = *a;                                                             \
        one.cols = 1;                                                                   \
        super_few_columns(&one, &name##_code);                                          \
    }                                                                                   \
    void BG_SET(gemm, name)(const bg_matmul *a) { super_gemm(a, &name##_code); }
#endif
SUPER_FORMATS(SUPER_KERNELS)

#endif
