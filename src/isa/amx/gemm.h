/* gemm.h: how a product walks through tiles. Internal.
 *
 * Weights are unpacked to bf16 for 64 rows and DEPTH places of k at a time, which stay in the first
 * cache while all columns go by, 16 at a time, straight from where they are. The sums are loaded
 * and stored once for each: for BLOCK_ROWS rows they wait in the second cache, with what is read of
 * the columns beside them. bench/kernels-log.md has the other ways to share the caches, which were
 * slower. */
#ifndef BG_AMX_GEMM_H
#define BG_AMX_GEMM_H

#include "isa/amx/tile.h"
#include "isa/amx/unpack.h"
#include "isa/isa.h"

#include "base/base.h"

enum {
    DEPTH = 256,
    STEP = 32,                             /* places of k in a tile */
    STEP_BYTES = 2 * STEP,
    STEPS = DEPTH / STEP,
    PANELS = 4,                            /* of a group: one for each tile of sums */
    GROUP_ROWS = PANELS * TILE_ROWS,
    STRIP_COLS = TILE_ROWS,
    BLOCK_ROWS = 256,
    BLOCK_COLS = 512,
    SUMS = PANELS * TILE_FLOATS,           /* of a group and a strip */
    BLOCK_SUMS = BLOCK_ROWS * BLOCK_COLS,
    PANEL_BYTES = STEPS * TILE_ROWS * TILE_BYTES, /* of unpacked weights */
    LINE = 64,
};

/* Tiles here: four of sums, one of columns, three of weights. */
#define TILE_SUM0 0
#define TILE_SUM1 1
#define TILE_SUM2 2
#define TILE_SUM3 3
#define TILE_COLS 4
#define TILE_PANEL0 5
#define TILE_PANEL1 6
#define TILE_PANEL2 7

/* n weights of a panel, as whole tiles. */
typedef void amx_unpack_fn(const uint8_t *panel, size_t n, uint8_t *out);

typedef struct amx_unpack {
    amx_unpack_fn *run;
    size_t weights, bytes;   /* that go together, and their bytes for a panel */
} amx_unpack;

/* A group of rows at one depth, and its weights. */
typedef struct amx_group {
    size_t row, k, n;            /* n places of k: none behind the last group */
    size_t panels;
    const uint8_t *w;            /* row's panel, from its first place of k on */
} amx_group;

/* 64 rows and up to 16 columns, over one depth. */
typedef struct amx_visit {
    const uint8_t *x;            /* first column, first place of k */
    size_t x_stride, cols;
    const uint8_t *w[PANELS];    /* tiles */
    size_t steps;
    const uint8_t *x_end;        /* last step of the columns where k ends within it, or NULL */
    float *sums;                 /* four tiles; the next visit's follow */
    bool first;                  /* they are zero */
    float *y;                    /* where the sums go in the end, or NULL */
    size_t y_stride;
    const uint8_t *next_x;       /* columns to ask for, a line a step */
    size_t next_cols;
} amx_visit;

/* The product of one block of rows and columns. */
typedef struct amx_block {
    const bg_matmul *a;
    amx_unpack unpack;
    float *sums;
    size_t strips, groups;
    size_t configured;           /* columns that tiles are configured for */
    uint8_t *w;                  /* the group's tiles */
} amx_block;

BG_INLINE void ask(const void *p) { __builtin_prefetch(p, 0, 3); }
BG_INLINE void ask_second(const void *p) { __builtin_prefetch(p, 0, 2); } /* for the second cache */

/* What comes next, a bit at every step. */
BG_INLINE void look_ahead(const amx_visit *v, size_t step)
{
    const size_t share = SUMS * sizeof(float) / STEPS, cols = STRIP_COLS / STEPS;
    for (size_t c = 0; c < v->next_cols; c++)
        ask_second(v->next_x + c * v->x_stride + step * STEP_BYTES);
    if (!v->first || !v->y)
        for (size_t i = 0; i < share; i += LINE)
            ask((const uint8_t *)(v->sums + SUMS) + step * share + i);
    if (v->y)
        for (size_t c = cols * step; c < BG_MIN(cols * step + cols, v->cols); c++)
            for (size_t i = 0; i < GROUP_ROWS; i += TILE_ROWS)
                ask_second(v->y + c * v->y_stride + i);
}

BG_INLINE void multiply_step(const uint8_t *x, size_t x_stride, const uint8_t *const *w, size_t at)
{
    tile_load_once(TILE_COLS, x, x_stride);
    tile_load(TILE_PANEL0, w[0] + at, TILE_BYTES);
    tile_dot(TILE_SUM0, TILE_COLS, TILE_PANEL0);
    tile_load(TILE_PANEL1, w[1] + at, TILE_BYTES);
    tile_dot(TILE_SUM1, TILE_COLS, TILE_PANEL1);
    tile_load(TILE_PANEL2, w[2] + at, TILE_BYTES);
    tile_dot(TILE_SUM2, TILE_COLS, TILE_PANEL2);
    tile_load(TILE_PANEL0, w[3] + at, TILE_BYTES);
    tile_dot(TILE_SUM3, TILE_COLS, TILE_PANEL0);
}

BG_INLINE void load_sums(const float *sums)
{
    tile_load_once(TILE_SUM0, sums, TILE_BYTES);
    tile_load_once(TILE_SUM1, sums + TILE_FLOATS, TILE_BYTES);
    tile_load_once(TILE_SUM2, sums + 2 * TILE_FLOATS, TILE_BYTES);
    tile_load_once(TILE_SUM3, sums + 3 * TILE_FLOATS, TILE_BYTES);
}

BG_INLINE void zero_sums(void)
{
    tile_zero(TILE_SUM0);
    tile_zero(TILE_SUM1);
    tile_zero(TILE_SUM2);
    tile_zero(TILE_SUM3);
}

/* A tile of sums to `to`, the others `apart` from each other. */
BG_INLINE void store_sums(float *to, size_t apart, size_t stride)
{
    tile_store(TILE_SUM0, to, stride);
    tile_store(TILE_SUM1, to + apart, stride);
    tile_store(TILE_SUM2, to + 2 * apart, stride);
    tile_store(TILE_SUM3, to + 3 * apart, stride);
}

static inline void visit(const amx_visit *v)
{
    const size_t step_bytes = TILE_ROWS * TILE_BYTES;
    size_t step = 0;
    if (v->first)
        zero_sums();
    else
        load_sums(v->sums);
    for (; step < v->steps; step++) {
        multiply_step(v->x + step * STEP_BYTES, v->x_stride, v->w, step * step_bytes);
        look_ahead(v, step);
    }
    if (v->x_end) multiply_step(v->x_end, STEP_BYTES, v->w, step * step_bytes);
    if (v->y)
        store_sums(v->y, TILE_ROWS, v->y_stride * sizeof(float));
    else
        store_sums(v->sums, TILE_FLOATS, TILE_BYTES);
}

/* The columns' values in the step that k ends in, with zeros behind. */
static inline void copy_end(const amx_visit *v, size_t n, uint8_t *out)
{
    const __mmask32 some = (__mmask32)((1u << n) - 1);
    for (size_t c = 0; c < v->cols; c++)
        _mm512_store_si512(out + c * STEP_BYTES,
                           _mm512_maskz_loadu_epi16(some, v->x + c * v->x_stride +
                                                              v->steps * STEP_BYTES));
}

/* Sums of a group that is not whole. */
static inline void copy_sums(const float *sums, float *y, size_t y_stride, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c++)
        for (size_t r = 0; r < rows; r++)
            y[c * y_stride + r] = sums[r / TILE_ROWS * TILE_FLOATS + c * TILE_ROWS + r % TILE_ROWS];
}

static inline amx_group group_at(const amx_block *b, size_t row, size_t k)
{
    amx_group g = {.row = row, .k = k};
    if (k >= b->a->k) return g;
    g.n = BG_MIN(b->a->k - k, (size_t)DEPTH);
    g.panels = BG_MIN((b->a->rows - row + TILE_ROWS - 1) / TILE_ROWS, (size_t)PANELS);
    g.w = (const uint8_t *)b->a->w + row / TILE_ROWS * b->a->panel_bytes +
          k / b->unpack.weights * b->unpack.bytes;
    return g;
}

static inline amx_group group_after(const amx_block *b, const amx_group *g)
{
    size_t row = g->row + GROUP_ROWS;
    return row < b->a->rows ? group_at(b, row, g->k) : group_at(b, 0, g->k + DEPTH);
}

static inline void configure(amx_block *b, size_t cols)
{
    uint8_t n = (uint8_t)cols;
    const uint8_t rows[8] = {n, n, n, n, n, TILE_ROWS, TILE_ROWS, TILE_ROWS};
    if (cols != b->configured) tile_configure_rows(rows);
    b->configured = cols;
}

/* A strip's share of the weights of a group. One strip alone would ask for more than memory brings
 * in its time. */
static inline void ask_weights(const amx_block *b, const amx_group *g, size_t strip)
{
    size_t bytes = g->n / b->unpack.weights * b->unpack.bytes;
    size_t share = (bytes / b->strips + LINE - 1) / LINE * LINE;
    for (size_t p = 0; b->strips > 1 && p < g->panels; p++)
        for (size_t i = strip * share; i < BG_MIN((strip + 1) * share, bytes); i += LINE)
            ask_second(g->w + p * b->a->panel_bytes + i);
}

/* A group that is unpacked, with all columns. What is asked for is shared out to the strips (the
 * next group's weights) and to the groups (the columns' next depth). */
static inline void multiply_group(amx_block *b, const amx_group *g, const amx_group *next)
{
    const bg_matmul *a = b->a;
    size_t rows = BG_MIN(a->rows - g->row, (size_t)GROUP_ROWS), group = g->row / GROUP_ROWS;
    bool last = g->k + g->n == a->k;
    _Alignas(64) uint8_t x_end[STRIP_COLS * STEP_BYTES];
    amx_visit v = {.x = (const uint8_t *)a->x + 2 * g->k, .x_stride = a->x_stride,
                   .steps = g->n / STEP, .sums = b->sums + group * b->strips * SUMS,
                   .first = g->k == 0, .y_stride = a->y_stride};
    for (size_t p = 0; p < PANELS; p++) /* sums of panels that are missing go nowhere */
        v.w[p] = b->w + (p < g->panels ? p : 0) * PANEL_BYTES;
    for (size_t strip = 0; strip < b->strips; strip++, v.sums += SUMS) {
        float *y = a->y + strip * STRIP_COLS * a->y_stride + g->row;
        v.cols = BG_MIN(a->cols - strip * STRIP_COLS, (size_t)STRIP_COLS);
        v.y = last && rows == GROUP_ROWS ? y : NULL;
        if (g->k + 2 * DEPTH <= a->k) {
            size_t from = v.cols * group / b->groups;
            v.next_x = v.x + from * a->x_stride + 2 * DEPTH;
            v.next_cols = v.cols * (group + 1) / b->groups - from;
        }
        ask_weights(b, next, strip);
        configure(b, v.cols);
        if (g->n % STEP) {
            copy_end(&v, g->n % STEP, x_end);
            tile_fence(x_end);
            v.x_end = x_end;
        }
        visit(&v);
        if (last && !v.y) copy_sums(v.sums, y, a->y_stride, rows, v.cols);
        v.x += STRIP_COLS * a->x_stride;
    }
}

/* At most BLOCK_ROWS rows and BLOCK_COLS columns. */
static inline void multiply_block(amx_block *b)
{
    _Alignas(64) uint8_t w[PANELS * PANEL_BYTES];
    amx_group g;
    b->strips = (b->a->cols + STRIP_COLS - 1) / STRIP_COLS;
    b->groups = (b->a->rows + GROUP_ROWS - 1) / GROUP_ROWS;
    b->w = w;
    for (g = group_at(b, 0, 0); g.n; ) {
        const amx_group next = group_after(b, &g);
        for (size_t p = 0; p < g.panels; p++)
            b->unpack.run(g.w + p * b->a->panel_bytes, g.n, w + p * PANEL_BYTES);
        tile_fence(w);
        multiply_group(b, &g, &next);
        g = next;
    }
}

static inline void amx_gemm(const bg_matmul *a, amx_unpack unpack)
{
    _Alignas(64) float sums[BLOCK_SUMS];
    amx_block b = {.unpack = unpack, .sums = sums};
    for (size_t c = 0; c < a->cols; c += BLOCK_COLS) {
        for (size_t r = 0; r < a->rows; r += BLOCK_ROWS) {
            bg_matmul part = *a;
            part.w = (const uint8_t *)a->w + r / TILE_ROWS * a->panel_bytes;
            part.x = (const uint8_t *)a->x + c * a->x_stride;
            part.y = a->y + c * a->y_stride + r;
            part.rows = BG_MIN(a->rows - r, (size_t)BLOCK_ROWS);
            part.cols = BG_MIN(a->cols - c, (size_t)BLOCK_COLS);
            b.a = &part;
            multiply_block(&b);
        }
    }
    tile_release();
}

#endif
