/* gemm.h: how a product walks through tiles. Internal.
 *
 * Weights are unpacked to bf16 for 32 rows and DEPTH places of k at a time, which stay in the first
 * cache while all columns go by, 32 at a time, straight from where they are. The sums are loaded and
 * stored once for each: for BLOCK_ROWS rows they wait in the second cache, with what is read of the
 * columns beside them. All other ways to share the caches were slower: bench/kernels-log.md. */
#ifndef BG_AMX_GEMM_H
#define BG_AMX_GEMM_H

#include "isa/amx/tile.h"
#include "isa/amx/unpack.h"
#include "isa/isa.h"

#include "base/base.h"

enum {
    DEPTH = 512,
    STEP = 32,                             /* places of k in a tile */
    STEP_BYTES = 2 * STEP,
    GROUP_ROWS = 2 * TILE_ROWS,
    STRIP_COLS = 2 * TILE_ROWS,
    BLOCK_ROWS = 256,
    BLOCK_COLS = 512,
    SUMS = 4 * TILE_FLOATS,                /* of a group and a strip */
    BLOCK_SUMS = BLOCK_ROWS * BLOCK_COLS,
    PANEL_BYTES = DEPTH * 2 * TILE_ROWS,   /* of unpacked weights */
    LINE = 64,
};

/* n weights from the k-th of a panel on, as whole tiles. */
typedef void amx_unpack_fn(const uint8_t *panel, size_t k, size_t n, uint8_t *out);

typedef struct amx_unpack {
    amx_unpack_fn *run;
    size_t weights, bytes;   /* that go together, and their bytes for a panel */
} amx_unpack;

/* 32 rows and up to 32 columns, over one depth. */
typedef struct amx_visit {
    const uint8_t *x;            /* first column, first place of k */
    size_t x_stride, cols;
    const uint8_t *w[2];         /* tiles of the two panels */
    size_t steps;
    const uint8_t *x_end;        /* last step of the columns where k ends within it, or NULL */
    float *sums;                 /* four tiles; the next visit's follow */
    bool first;                  /* they are zero */
    float *y;                    /* where the sums go in the end, or NULL */
    size_t y_stride;
    const uint8_t *ahead;        /* weights to ask for */
    size_t ahead_bytes;
} amx_visit;

BG_INLINE void ask(const void *p) { __builtin_prefetch(p, 0, 3); }
BG_INLINE void ask_to_write(const void *p) { __builtin_prefetch(p, 1, 3); }

/* What this visit will store and the next one load is asked for a bit at every step. */
BG_INLINE void look_ahead(const amx_visit *v, size_t step)
{
    const size_t share = SUMS * sizeof(float) / (DEPTH / STEP);
    if (!v->first)
        for (size_t i = 0; i < share; i += LINE)
            ask((const uint8_t *)(v->sums + SUMS) + step * share + i);
    if (v->y)
        for (size_t c = 2 * step; c < BG_MIN(2 * step + 2, v->cols); c++) {
            ask_to_write(v->y + c * v->y_stride);
            ask_to_write(v->y + c * v->y_stride + GROUP_ROWS / 2);
        }
}

BG_INLINE void multiply_step(const uint8_t *x, size_t x_stride, const uint8_t *w0,
                              const uint8_t *w1, bool wide)
{
    tile_load(TILE_X0, x, x_stride);
    tile_load(TILE_W0, w0, TILE_BYTES);
    tile_dot(TILE_Y00, TILE_X0, TILE_W0);
    tile_load(TILE_W1, w1, TILE_BYTES);
    tile_dot(TILE_Y01, TILE_X0, TILE_W1);
    if (!wide) return;
    tile_load(TILE_X1, x + TILE_ROWS * x_stride, x_stride);
    tile_dot(TILE_Y10, TILE_X1, TILE_W0);
    tile_dot(TILE_Y11, TILE_X1, TILE_W1);
}

BG_INLINE void load_sums(const float *sums, bool wide)
{
    tile_load(TILE_Y00, sums, TILE_BYTES);
    tile_load(TILE_Y01, sums + TILE_FLOATS, TILE_BYTES);
    if (!wide) return;
    tile_load(TILE_Y10, sums + 2 * TILE_FLOATS, TILE_BYTES);
    tile_load(TILE_Y11, sums + 3 * TILE_FLOATS, TILE_BYTES);
}

BG_INLINE void zero_sums(bool wide)
{
    tile_zero(TILE_Y00);
    tile_zero(TILE_Y01);
    if (!wide) return;
    tile_zero(TILE_Y10);
    tile_zero(TILE_Y11);
}

/* A tile of sums to `to`, the one of the next 16 rows `right` of it, of the next columns `below`. */
BG_INLINE void store_sums(float *to, size_t right, size_t below, size_t stride, bool wide)
{
    tile_store(TILE_Y00, to, stride);
    tile_store(TILE_Y01, to + right, stride);
    if (!wide) return;
    tile_store(TILE_Y10, to + below, stride);
    tile_store(TILE_Y11, to + below + right, stride);
}

BG_INLINE void visit(const amx_visit *v, bool wide)
{
    const uint8_t *w0 = v->w[0], *w1 = v->w[1];
    size_t step = 0;
    if (v->first)
        zero_sums(wide);
    else
        load_sums(v->sums, wide);
    for (; step < v->steps; step++, w0 += TILE_ROWS * TILE_BYTES, w1 += TILE_ROWS * TILE_BYTES) {
        multiply_step(v->x + step * STEP_BYTES, v->x_stride, w0, w1, wide);
        look_ahead(v, step);
    }
    if (v->x_end) multiply_step(v->x_end, STEP_BYTES, w0, w1, wide);
    if (v->y)
        store_sums(v->y, TILE_ROWS, TILE_ROWS * v->y_stride, v->y_stride * sizeof(float), wide);
    else
        store_sums(v->sums, TILE_FLOATS, 2 * TILE_FLOATS, TILE_BYTES, wide);
    for (size_t i = 0; i < v->ahead_bytes; i += LINE) ask(v->ahead + i);
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
    for (size_t c = 0; c < cols; c++) {
        const float *from = sums + c / TILE_ROWS * 2 * TILE_FLOATS + c % TILE_ROWS * TILE_ROWS;
        for (size_t r = 0; r < rows; r++)
            y[c * y_stride + r] = from[r / TILE_ROWS * TILE_FLOATS + r % TILE_ROWS];
    }
}

/* One depth of a group of rows, unpacked into w, with all columns of a block. Tiles are configured
 * for `*configured` columns. */
static inline void group(const bg_matmul *a, size_t row, size_t k, float *sums, const uint8_t *w,
                         const uint8_t *ahead, size_t ahead_bytes, size_t *configured)
{
    size_t n = BG_MIN(a->k - k, (size_t)DEPTH), rows = BG_MIN(a->rows - row, (size_t)GROUP_ROWS);
    bool last = k + n == a->k;
    size_t strips = (a->cols + STRIP_COLS - 1) / STRIP_COLS;
    size_t share = (ahead_bytes / strips + LINE - 1) / LINE * LINE;
    _Alignas(64) uint8_t x_end[STRIP_COLS * STEP_BYTES];
    amx_visit v = {.x = (const uint8_t *)a->x + 2 * k, .x_stride = a->x_stride, .w = {w, w},
                   .steps = n / STEP, .sums = sums, .first = k == 0, .y_stride = a->y_stride,
                   .ahead = ahead, .ahead_bytes = share};
    if (rows > TILE_ROWS) v.w[1] += PANEL_BYTES; /* else its sums go nowhere */
    for (size_t c = 0; c < a->cols; c += STRIP_COLS, v.sums += SUMS) {
        float *y = a->y + c * a->y_stride + row;
        v.cols = BG_MIN(a->cols - c, (size_t)STRIP_COLS);
        if (v.cols != *configured) tile_configure(*configured = v.cols);
        if (n % STEP) {
            copy_end(&v, n % STEP, x_end);
            tile_fence(x_end);
            v.x_end = x_end;
        }
        v.y = last && rows == GROUP_ROWS ? y : NULL;
        if (v.cols > TILE_ROWS)
            visit(&v, true);
        else
            visit(&v, false);
        if (last && !v.y) copy_sums(v.sums, y, a->y_stride, rows, v.cols);
        v.x += STRIP_COLS * a->x_stride;
        v.ahead += share;
    }
}

/* At most BLOCK_ROWS rows and BLOCK_COLS columns. */
static inline void block(const bg_matmul *a, amx_unpack unpack, float *sums, size_t *configured)
{
    _Alignas(64) uint8_t w[2 * PANEL_BYTES];
    size_t strips = (a->cols + STRIP_COLS - 1) / STRIP_COLS;
    for (size_t k = 0; k < a->k; k += DEPTH) {
        size_t n = BG_MIN(a->k - k, (size_t)DEPTH);
        for (size_t r = 0; r < a->rows; r += GROUP_ROWS) {
            const uint8_t *panel = (const uint8_t *)a->w + r / TILE_ROWS * a->panel_bytes;
            size_t depth_bytes = n / unpack.weights * unpack.bytes;
            unpack.run(panel, k, n, w);
            if (a->rows - r > TILE_ROWS) unpack.run(panel + a->panel_bytes, k, n, w + PANEL_BYTES);
            tile_fence(w);
            group(a, r, k, sums + r / GROUP_ROWS * strips * SUMS, w, panel + 2 * a->panel_bytes,
                  r + 2 * GROUP_ROWS <= a->rows ? depth_bytes : 0, configured);
        }
    }
}

static inline void amx_gemm(const bg_matmul *a, amx_unpack unpack)
{
    _Alignas(64) float sums[BLOCK_SUMS];
    size_t configured = 0;
    for (size_t c = 0; c < a->cols; c += BLOCK_COLS) {
        for (size_t r = 0; r < a->rows; r += BLOCK_ROWS) {
            bg_matmul part = *a;
            part.w = (const uint8_t *)a->w + r / TILE_ROWS * a->panel_bytes;
            part.x = (const uint8_t *)a->x + c * a->x_stride;
            part.y = a->y + c * a->y_stride + r;
            part.rows = BG_MIN(a->rows - r, (size_t)BLOCK_ROWS);
            part.cols = BG_MIN(a->cols - c, (size_t)BLOCK_COLS);
            block(&part, unpack, sums, &configured);
        }
    }
    tile_release();
}

#endif
