/* float.h: loops over formats of plain numbers with float activations. Internal.
 *
 * Written in the words of the including file's vector.h. Weights come in pairs along k, a pair of a
 * row in neighbouring lanes: 2 VECTORS vectors hold the pairs of 16 rows. They are multiplied with
 * a pair of activations in all lanes, and the lanes of a row are added in the end. */
#ifndef BG_TEMPLATE_FLOAT_H
#define BG_TEMPLATE_FLOAT_H

#include "isa/ahead.h"
#include "isa/template/panel.h"

enum { FLOAT_PAIRS = 2 * VECTORS };

/* Widens a pair of weights of the 16 rows of a panel. */
typedef void float_widen_fn(const uint8_t *w, vflt out[FLOAT_PAIRS]);

typedef struct float_format { /* all constants */
    size_t bytes;             /* of a pair of weights of 16 rows */
    float_widen_fn *widen;
    bool odd;                 /* the last pair of a panel may be half there */
} float_format;

enum {
    FLOAT_FEW = REGISTERS == 32 ? 12 / VECTORS : 3, /* columns whose sums fit in registers */
    FLOAT_STRIP = 128,       /* pairs of a panel that are widened at a time */
    FLOAT_CHUNK = 48,        /* columns that are prepared at a time... */
    FLOAT_ROOM = 48 * 512,   /* ...times pairs of each */
};

typedef struct float_pair { float x[2]; } float_pair;
typedef struct float_panel { vflt w[FLOAT_STRIP][FLOAT_PAIRS]; } float_panel;

/* Where a tile's weights come from: packed pairs or (if p is not NULL) widened ones. */
typedef struct float_weights {
    const uint8_t *w;
    const float_panel *p;
} float_weights;

typedef vflt float_sums[FLOAT_FEW][FLOAT_PAIRS];

BG_INLINE void float_zero(float_sums sum, int cols)
{
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < FLOAT_PAIRS; v++) sum[c][v] = v_all(0);
    }
}

/* Pair i of every column of a tile. */
BG_INLINE void float_step(const float_weights *s, size_t i, const float_pair *x, int cols,
                          float_sums sum, float_format f)
{
    vflt w[FLOAT_PAIRS];
    if (!s->p) f.widen(s->w + i * f.bytes, w);
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        vflt pair = v_spread_pair(x[c].x);
        BG_UNROLL
        for (int v = 0; v < FLOAT_PAIRS; v++)
            sum[c][v] = v_fma(s->p ? s->p->w[i][v] : w[v], pair, sum[c][v]);
    }
}

/* n pairs of a panel with `cols` prepared columns. Few columns use several chains of sums to hide
 * the latency of an addition. */
BG_INLINE void float_tile(float_weights s, const float_pair *x, size_t n, int cols,
                          const bg_matmul *a, float *y, size_t rows, bool add, float_format f)
{
    const size_t chains = cols * FLOAT_PAIRS >= 8 ? 1 : cols * FLOAT_PAIRS >= 4 ? 2 : 4;
    float_sums sum[4];
    const bg_ahead *ahead = bg_ahead_here;
    size_t i = 0;
    BG_UNROLL
    for (size_t j = 0; j < chains; j++) float_zero(sum[j], cols);
    for (; i + chains <= n; i += chains) {
        BG_UNROLL
        for (size_t j = 0; j < chains; j++) {
            if (!s.p) {
                const uint8_t *w = s.w + (i + j) * f.bytes;
                BG_UNROLL
                for (size_t at = 0; at < f.bytes; at += 64) v_prefetch(w + ahead->float_near + at);
                for (size_t at = 0; ahead->float_far && at < f.bytes; at += 64)
                    v_prefetch_far(w + ahead->float_far + at);
            }
            float_step(&s, i + j, x, cols, sum[j], f);
            x += cols;
        }
    }
    for (; i < n; i++, x += cols) float_step(&s, i, x, cols, sum[0], f);
    BG_UNROLL
    for (int c = 0; c < cols; c++, y += a->y_stride) {
        vflt result[VECTORS];
        BG_UNROLL
        for (int v = 0; v < FLOAT_PAIRS; v++) {
            BG_UNROLL
            for (size_t j = 1; j < chains; j++) sum[0][c][v] = v_add(sum[0][c][v], sum[j][c][v]);
        }
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++)
            result[v] = v_add_pairs(sum[0][c][2 * v], sum[0][c][2 * v + 1]);
        panel_store(y, result, rows, add);
    }
}

/* Columns of the largest tile that `cols` columns fill. */
BG_INLINE size_t float_width(size_t cols)
{
    static const uint8_t widths[] = {12, 8, 4, 3, 2};
    for (size_t i = 0; i < BG_COUNT(widths); i++)
        if (widths[i] <= FLOAT_FEW && widths[i] <= cols) return widths[i];
    return 1;
}

/* One panel with prepared columns. most: of columns, a constant. */
BG_INLINE void float_columns(float_weights s, const float_pair *x, size_t n, size_t cols, int most,
                             const bg_matmul *a, float *y, size_t rows, bool add, float_format f)
{
    for (size_t c = 0, width; c < cols; c += width, x += n * width, y += width * a->y_stride) {
        width = float_width(cols - c);
#define FLOAT_TILE(count)                                                               \
        if (count <= FLOAT_FEW && count <= most && width == count)                      \
            float_tile(s, x, n, count, a, y, rows, add, f);
        FLOAT_TILE(12)
        FLOAT_TILE(8)
        FLOAT_TILE(4)
        FLOAT_TILE(3)
        FLOAT_TILE(2)
        FLOAT_TILE(1)
#undef FLOAT_TILE
    }
}

/* n pairs of `cols` columns from activation 2 first on, in the order of float_columns. The half of
 * a last pair that is behind the column is 0. */
BG_INLINE void float_prepare(const bg_matmul *a, size_t column, size_t cols, size_t first, size_t n,
                             float_pair *x)
{
    for (size_t c = 0, width; c < cols; c += width, x += n * width) {
        width = float_width(cols - c);
        for (size_t j = 0; j < width; j++) {
            const uint8_t *at = (const uint8_t *)a->x + (column + c + j) * a->x_stride;
            const float *from = (const float *)(const void *)at + 2 * first;
            size_t whole = BG_MIN(n, a->k / 2 - first);
            for (size_t i = 0; i < whole; i++) memcpy(x[i * width + j].x, from + 2 * i, 8);
            if (whole < n) x[whole * width + j] = (float_pair){{from[2 * whole], 0}};
        }
    }
}

/* All of it, by strips of pairs of some columns, which all panels use while they are in cache. */
BG_INLINE void float_matmul(const bg_matmul *a, int most, float_format f)
{
    float_pair x[FLOAT_ROOM];
    size_t pairs = (a->k + 1) / 2, full = f.odd ? a->k / 2 : pairs;
    size_t all = most == 1 ? 1 : a->cols;
    for (size_t c = 0; c < all; c += FLOAT_CHUNK) {
        size_t cols = BG_MIN(all - c, (size_t)FLOAT_CHUNK), strip = FLOAT_ROOM / cols, n;
        bool widen = cols > FLOAT_FEW;
        if (widen) strip = FLOAT_STRIP;
        for (size_t i = 0; i < pairs; i += n) {
            const uint8_t *w = (const uint8_t *)a->w + i * f.bytes;
            n = i < full ? BG_MIN(full - i, strip) : 1;
            float_prepare(a, c, cols, i, n, x);
            for (size_t r = 0; r < a->rows; r += BG_PANEL_ROWS, w += a->panel_bytes) {
                float_weights s = {w, NULL};
                uint8_t last[2 * 4 * BG_PANEL_ROWS] = {0};
                float_panel panel;
                if (i >= full) s.w = memcpy(last, w, sizeof last / 2);
                if (widen) {
                    for (size_t j = 0; j < n; j++) f.widen(s.w + j * f.bytes, panel.w[j]);
                    s.p = &panel;
                }
                float_columns(s, x, n, cols, most, a, a->y + c * a->y_stride + r, a->rows - r,
                              i > 0, f);
            }
        }
    }
}

#endif
