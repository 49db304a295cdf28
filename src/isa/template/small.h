/* small.h: loops over formats with blocks of 32 weights and Q8_0 activations. Internal.
 *
 * Written in the words of the including file's vector.h. A format brings `group`, which gives the
 * weights of a block as unsigned (or signed: `offset` is 0) bytes, and `pair`, which gives those of
 * two blocks: `first` gets the first halves of both, `second` their second halves. A block's dot
 * product is
 *
 *     d dx (sum(q x) - offset sum(x))              the integer is exact
 *     d dx  sum(q x) + m (dx sum(x))               for formats with a min */
#ifndef BG_TEMPLATE_SMALL_H
#define BG_TEMPLATE_SMALL_H

#include "isa/template/panel.h"

typedef vint small_group_fn(const void *block);
typedef void small_pair_fn(const void *a, const void *b, vint *first, vint *second);

/* All constants. A block starts with d and, if has_min, m. depth: quads that add up in 16 bits. */
typedef struct small_format {
    size_t bytes;
    small_group_fn *group;
    small_pair_fn *pair;
    bool is_signed, has_min;
    int offset, depth;
} small_format;

enum {
    SMALL_AHEAD = 1024,  /* bytes that GEMV asks for ahead of its use */
    SMALL_STRIP = 64,    /* pairs of blocks of activations that GEMV prepares at a time */
    SMALL_ROWS = 4,      /* rows that GEMV takes together */
    SMALL_GROUPS = 8,    /* blocks of a row that GEMM unpacks at a time */
    SMALL_COLS = 2,
};

/* Two blocks of activations as all rows of GEMV use them. The lower lanes belong to the first
 * block, the upper lanes to the second. */
typedef struct small_activations {
    vint first, second;  /* as small_pair_fn orders weights */
    vint zero;           /* -offset sum(x), in one lane of each block */
    vflt d, sum;         /* dx; dx sum(x), in one lane of each block */
} small_activations;

/* b is NULL behind the last block of an odd number. */
BG_INLINE small_activations small_activations_of(const bg_block_q8_0 *a, const bg_block_q8_0 *b,
                                                 small_format f)
{
    static const bg_block_q8_0 nothing = {.d = {0, 0}};
    small_activations x;
    float da = v_half(a->d), db = 0;
    int sum_a = v_sum_s8(v_load(a->qs)), sum_b = 0;
    if (b) {
        db = v_half(b->d);
        sum_b = v_sum_s8(v_load(b->qs));
    } else {
        b = &nothing;
    }
    x.first = v_load_two(a->qs, b->qs);
    x.second = v_load_two(a->qs + 16, b->qs + 16);
    x.zero = v_two_lanes(-f.offset * sum_a, -f.offset * sum_b);
    x.d = v_two_floats(da, db);
    x.sum = v_mul(x.d, v_float(v_two_lanes(sum_a, sum_b)));
    return x;
}

/* One pair of blocks of one row. */
BG_INLINE void small_pair(const uint8_t *a, const uint8_t *b, const small_activations *x,
                          small_format f, vflt *acc, vflt *low)
{
    vint first, second, p;
    f.pair(a, b, &first, &second);
    if (f.is_signed) {
        p = v_add32(v_dot_16(v_dot_s8(first, x->first), v_all16(1)),
                    v_dot_16(v_dot_s8(second, x->second), v_all16(1)));
    } else {
        p = v_add16(v_dot_u8(first, x->first), v_dot_u8(second, x->second));
        p = v_dot_16(p, v_all16(1));
        if (f.offset) p = v_add32(p, x->zero);
    }
    if (f.has_min) *low = v_fma(v_two_halves(a, b, 2), x->sum, *low);
    *acc = v_fma(v_mul(v_two_halves(a, b, 0), x->d), v_float(p), *acc);
}

BG_INLINE void small_gemv_rows(const bg_matmul *a, size_t r, size_t first, size_t n, int rows,
                               const small_activations *x, small_format f)
{
    const uint8_t *w[SMALL_ROWS];
    vflt acc[SMALL_ROWS], low[SMALL_ROWS];
    BG_UNROLL
    for (int i = 0; i < rows; i++) {
        w[i] = (const uint8_t *)a->w + (r + (size_t)i) * a->panel_bytes + first * f.bytes;
        acc[i] = low[i] = v_all(0);
    }
    for (size_t b = 0; b < n / 2; b++) {
        BG_UNROLL
        for (int i = 0; i < rows; i++) {
            const uint8_t *block = w[i] + 2 * b * f.bytes;
            small_pair(block, block + f.bytes, &x[b], f, &acc[i], &low[i]);
            v_prefetch(block + SMALL_AHEAD);
        }
    }
    BG_UNROLL
    for (int i = 0; i < rows; i++) {
        const uint8_t *last = w[i] + (n - 1) * f.bytes; /* its pair has no activations */
        if (n % 2) small_pair(last, last, &x[n / 2], f, &acc[i], &low[i]);
        a->y[r + (size_t)i] += v_sum(v_add(acc[i], low[i]));
    }
}

BG_INLINE void small_gemv(const bg_matmul *a, small_format f)
{
    size_t blocks = a->k / 32;
    memset(a->y, 0, a->rows * sizeof *a->y);
    for (size_t first = 0; first < blocks; first += 2 * SMALL_STRIP) {
        small_activations x[SMALL_STRIP];
        const bg_block_q8_0 *from = (const bg_block_q8_0 *)a->x + first;
        size_t n = BG_MIN(blocks - first, (size_t)2 * SMALL_STRIP), r = 0;
        for (size_t b = 0; b < n; b += 2)
            x[b / 2] = small_activations_of(from + b, b + 1 < n ? from + b + 1 : NULL, f);
        for (; r + SMALL_ROWS <= a->rows; r += SMALL_ROWS)
            small_gemv_rows(a, r, first, n, SMALL_ROWS, x, f);
        for (; r < a->rows; r++) small_gemv_rows(a, r, first, n, 1, x, f);
    }
}

/* What the rows of GEMM share of a block of activations. */
typedef struct small_column {
    const int8_t *q;
    int32_t zero;    /* -offset sum(x) */
    float d, sum;    /* dx, dx sum(x) */
} small_column;

BG_INLINE small_column small_prepare(const bg_block_q8_0 *x, small_format f)
{
    small_column column = {.q = x->qs, .d = v_half(x->d)};
    if (f.has_min || f.offset) {
        int sum = v_sum_s8(v_load(x->qs));
        column.zero = -f.offset * sum;
        column.sum = column.d * (float)sum;
    }
    return column;
}

/* Up to SMALL_GROUPS blocks of each row of a panel; a lane is a row. */
typedef struct small_panel {
    vint q[SMALL_GROUPS * 16][PANEL_VECTORS];  /* 8 quads of bytes a block, or (signed) 16 pairs */
    _Alignas(32) float d[SMALL_GROUPS][PANEL_ROWS], m[SMALL_GROUPS][PANEL_ROWS];
} small_panel;

BG_INLINE void small_unpack(small_panel *p, const uint8_t *const *rows, size_t n, small_format f)
{
    for (size_t g = 0; g < n; g++) {
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vint q[LANES], high[LANES];
            BG_UNROLL
            for (int i = 0; i < LANES; i++) {
                const uint8_t *block = rows[v * LANES + i] + g * f.bytes;
                p->d[g][v * LANES + i] = v_half(block);
                if (f.has_min) p->m[g][v * LANES + i] = v_half(block + 2);
                q[i] = f.group(block);
                if (f.is_signed) {
                    high[i] = v_widen_high(q[i]);
                    q[i] = v_widen_low(q[i]);
                }
            }
            v_transpose(q, q);
            if (!f.is_signed) {
                for (size_t i = 0; i < LANES; i++) p->q[8 * g + i][v] = q[i];
                continue;
            }
            v_transpose(high, high);
            for (size_t i = 0; i < LANES; i++) {
                p->q[16 * g + i][v] = q[i];
                p->q[16 * g + 8 + i][v] = high[i];
            }
        }
    }
}

/* sum(q x) of block g of the panel, added to acc. */
BG_INLINE void small_products(const small_panel *p, size_t g, const small_column *x, int cols,
                              vint acc[PANEL_VECTORS][SMALL_COLS], small_format f)
{
    BG_UNROLL
    for (int q = 0; q < 8; q += f.depth) {
        vint t[PANEL_VECTORS][SMALL_COLS];
        BG_UNROLL
        for (int i = q; i < q + f.depth; i++) {
            BG_UNROLL
            for (int c = 0; c < cols; c++) {
                vint quad = v_spread(x[c].q + 4 * i);
                BG_UNROLL
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    vint product = v_dot_u8(p->q[8 * g + (size_t)i][v], quad);
                    t[v][c] = i == q ? product : v_add16(t[v][c], product);
                }
            }
        }
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            BG_UNROLL
            for (int v = 0; v < PANEL_VECTORS; v++)
                acc[v][c] = v_add32(acc[v][c], v_dot_16(t[v][c], v_all16(1)));
        }
    }
}

/* The same for signed weights, which the panel holds in 16 bits. */
BG_INLINE void small_products_signed(const small_panel *p, size_t g,
                                     int16_t (*wide)[SMALL_GROUPS][32], int cols,
                                     vint acc[PANEL_VECTORS][SMALL_COLS])
{
    BG_UNROLL
    for (int i = 0; i < 16; i++) {
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            vint pair = v_spread(wide[c][g] + 2 * i);
            BG_UNROLL
            for (int v = 0; v < PANEL_VECTORS; v++)
                acc[v][c] = v_add32(acc[v][c], v_dot_16(p->q[16 * g + (size_t)i][v], pair));
        }
    }
}

/* Activations in 16 bits, for signed weights. */
BG_INLINE void small_widen(const uint8_t *x, size_t n, int16_t wide[SMALL_GROUPS][32])
{
    const bg_block_q8_0 *b = (const bg_block_q8_0 *)x;
    for (size_t g = 0; g < n; g++) {
        vint bytes = v_load(b[g].qs);
        v_store(wide[g], v_widen_low(bytes));
        v_store(wide[g] + 16, v_widen_high(bytes));
    }
}

BG_INLINE void small_tile(const small_panel *p, size_t n, const uint8_t *first, size_t x_stride,
                          int cols, float *y, size_t y_stride, small_format f)
{
    _Alignas(32) int16_t wide[SMALL_COLS][SMALL_GROUPS][32];
    vflt sum[PANEL_VECTORS][SMALL_COLS];
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        if (f.is_signed) small_widen(first + (size_t)c * x_stride, n, wide[c]);
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++)
            sum[v][c] = v_load_floats(y + (size_t)c * y_stride + v * LANES);
    }
    for (size_t g = 0; g < n; g++) {
        small_column x[SMALL_COLS];
        vint acc[PANEL_VECTORS][SMALL_COLS];
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            x[c] = small_prepare((const bg_block_q8_0 *)(first + (size_t)c * x_stride) + g, f);
            BG_UNROLL
            for (int v = 0; v < PANEL_VECTORS; v++) acc[v][c] = v_spread(&x[c].zero);
        }
        if (f.is_signed)
            small_products_signed(p, g, wide, cols, acc);
        else
            small_products(p, g, x, cols, acc, f);
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vflt d = v_load_floats(p->d[g] + v * LANES);
            BG_UNROLL
            for (int c = 0; c < cols; c++) {
                sum[v][c] = v_fma(v_mul(d, v_all(x[c].d)), v_float(acc[v][c]), sum[v][c]);
                if (f.has_min)
                    sum[v][c] = v_fma(v_load_floats(p->m[g] + v * LANES), v_all(x[c].sum),
                                      sum[v][c]);
            }
        }
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++)
            v_store_floats(y + (size_t)c * y_stride + v * LANES, sum[v][c]);
    }
}

/* One panel of rows with all columns. */
BG_INLINE void small_panel_run(const bg_matmul *a, const uint8_t **rows, small_format f)
{
    small_panel p;
    for (size_t b = 0; b < a->k / 32; b += SMALL_GROUPS) {
        const uint8_t *x = (const uint8_t *)a->x + b * sizeof(bg_block_q8_0);
        size_t n = BG_MIN(a->k / 32 - b, (size_t)SMALL_GROUPS), c = 0;
        small_unpack(&p, rows, n, f);
        for (int i = 0; i < PANEL_ROWS; i++) rows[i] += n * f.bytes;
        for (; c + SMALL_COLS <= a->cols; c += SMALL_COLS, x += SMALL_COLS * a->x_stride) {
            for (size_t i = 0; i < SMALL_COLS; i++)
                for (size_t j = 0; j < SMALL_GROUPS * sizeof(bg_block_q8_0); j += 64)
                    v_prefetch(x + (SMALL_COLS + i) * a->x_stride + j);
            small_tile(&p, n, x, a->x_stride, SMALL_COLS, a->y + c * a->y_stride, a->y_stride, f);
        }
        for (; c < a->cols; c++, x += a->x_stride)
            small_tile(&p, n, x, a->x_stride, 1, a->y + c * a->y_stride, a->y_stride, f);
    }
}

#endif
