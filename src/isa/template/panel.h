/* panel.h: how GEMM walks a matrix: panels of rows, unpacked once for all columns. Internal. */
#ifndef BG_TEMPLATE_PANEL_H
#define BG_TEMPLATE_PANEL_H

#include "base/base.h"
#include "isa/isa.h"

enum { PANEL_VECTORS = 2, PANEL_ROWS = PANEL_VECTORS * LANES, PANEL_TAIL_COLS = 32 };

/* Adds the products of PANEL_ROWS rows, of which `rows` are the first weights (and which it may
 * move), to y; a->w and a->rows are not looked at. */
typedef void panel_fn(const bg_matmul *a, const uint8_t **rows);

static inline void panel_zero(const bg_matmul *a)
{
    for (size_t c = 0; c < a->cols; c++)
        memset(a->y + c * a->y_stride, 0, PANEL_ROWS * sizeof *a->y);
}

/* The last panel may be short: its last row stands in for those that are missing, and the results
 * go through a buffer. */
static inline void panel_tail(const bg_matmul *a, const uint8_t *const *rows, size_t n,
                              panel_fn *run)
{
    float y[PANEL_TAIL_COLS * PANEL_ROWS];
    for (size_t c0 = 0; c0 < a->cols; c0 += PANEL_TAIL_COLS) {
        const uint8_t *at[PANEL_ROWS];
        bg_matmul part = *a;
        part.x = (const uint8_t *)a->x + c0 * a->x_stride;
        part.cols = BG_MIN(a->cols - c0, (size_t)PANEL_TAIL_COLS);
        part.y = y;
        part.y_stride = PANEL_ROWS;
        memcpy(at, rows, sizeof at);
        panel_zero(&part);
        run(&part, at);
        for (size_t c = 0; c < part.cols; c++)
            memcpy(a->y + (c0 + c) * a->y_stride, y + c * PANEL_ROWS, n * sizeof *y);
    }
}

static inline void panel_walk(const bg_matmul *a, panel_fn *run)
{
    for (size_t r = 0; r < a->rows; r += PANEL_ROWS) {
        const uint8_t *rows[PANEL_ROWS];
        bg_matmul part = *a;
        for (size_t i = 0; i < PANEL_ROWS; i++)
            rows[i] = (const uint8_t *)a->w + BG_MIN(r + i, a->rows - 1) * a->panel_bytes;
        part.y += r;
        if (a->rows - r < PANEL_ROWS) {
            panel_tail(&part, rows, a->rows - r, run);
        } else {
            panel_zero(&part);
            run(&part, rows);
        }
    }
}

#endif
