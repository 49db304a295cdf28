/* float.h: loops over formats of plain numbers with float activations. Internal.
 *
 * Written in the words of the including file's vector.h. A format brings `load`, which widens LANES
 * weights, and `load_one`, which widens one. */
#ifndef BG_TEMPLATE_FLOAT_H
#define BG_TEMPLATE_FLOAT_H

#include "isa/template/panel.h"

typedef vflt float_load_fn(const uint8_t *w);
typedef float float_load_one_fn(const uint8_t *w);

typedef struct float_format { /* all constants */
    size_t bytes;
    float_load_fn *load;
    float_load_one_fn *load_one;
} float_format;

enum {
    FLOAT_CHAINS = 4,    /* independent sums, to hide the latency of an addition */
    FLOAT_AHEAD = 1024,  /* bytes that GEMV asks for ahead of its use */
    FLOAT_STRIP = 256,   /* weights of a row that GEMM unpacks at a time */
    FLOAT_COLS = 6,
};

BG_INLINE void float_gemv(const bg_matmul *a, float_format f)
{
    const float *x = a->x;
    for (size_t r = 0; r < a->rows; r++) {
        const uint8_t *w = (const uint8_t *)a->w + r * a->panel_bytes;
        vflt sum[FLOAT_CHAINS];
        float rest = 0;
        size_t k = 0;
        for (int i = 0; i < FLOAT_CHAINS; i++) sum[i] = v_all(0);
        for (; k + FLOAT_CHAINS * LANES <= a->k; k += FLOAT_CHAINS * LANES) {
            const uint8_t *at = w + k * f.bytes;
            for (size_t i = 0; i < FLOAT_CHAINS * LANES * f.bytes; i += 64)
                v_prefetch(at + FLOAT_AHEAD + i);
            BG_UNROLL
            for (size_t i = 0; i < FLOAT_CHAINS; i++)
                sum[i] = v_fma(f.load(at + i * LANES * f.bytes), v_load_floats(x + k + i * LANES),
                               sum[i]);
        }
        for (; k + LANES <= a->k; k += LANES)
            sum[0] = v_fma(f.load(w + k * f.bytes), v_load_floats(x + k), sum[0]);
        for (; k < a->k; k++) rest += f.load_one(w + k * f.bytes) * x[k];
        a->y[r] = v_sum(v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3]))) + rest;
    }
}

/* A lane is a row. */
typedef struct float_panel { vflt w[FLOAT_STRIP][PANEL_VECTORS]; } float_panel;

BG_INLINE void float_unpack(float_panel *p, const uint8_t *const *rows, size_t n, float_format f)
{
    size_t k = 0;
    for (; k + LANES <= n; k += LANES) {
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vflt w[LANES];
            BG_UNROLL
            for (int i = 0; i < LANES; i++) w[i] = f.load(rows[v * LANES + i] + k * f.bytes);
            v_transpose_floats(w, w);
            BG_UNROLL
            for (size_t i = 0; i < LANES; i++) p->w[k + i][v] = w[i];
        }
    }
    for (; k < n; k++) {
        float w[PANEL_ROWS];
        for (int i = 0; i < PANEL_ROWS; i++) w[i] = f.load_one(rows[i] + k * f.bytes);
        for (int v = 0; v < PANEL_VECTORS; v++) p->w[k][v] = v_load_floats(w + v * LANES);
    }
}

BG_INLINE void float_tile(const float_panel *p, size_t n, const uint8_t *first, size_t x_stride,
                          int cols, float *y, size_t y_stride)
{
    const float *x[FLOAT_COLS];
    vflt sum[FLOAT_COLS][PANEL_VECTORS];
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        x[c] = (const float *)(first + (size_t)c * x_stride);
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++)
            sum[c][v] = v_load_floats(y + (size_t)c * y_stride + v * LANES);
    }
    for (size_t k = 0; k < n; k++) {
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            vflt spread = v_all(x[c][k]);
            BG_UNROLL
            for (int v = 0; v < PANEL_VECTORS; v++)
                sum[c][v] = v_fma(p->w[k][v], spread, sum[c][v]);
        }
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++)
            v_store_floats(y + (size_t)c * y_stride + v * LANES, sum[c][v]);
    }
}

/* One panel of rows with all columns. */
BG_INLINE void float_panel_run(const bg_matmul *a, const uint8_t **rows, float_format f)
{
    float_panel p;
    for (size_t k = 0; k < a->k; k += FLOAT_STRIP) {
        const uint8_t *x = (const uint8_t *)a->x + k * sizeof(float);
        size_t n = BG_MIN(a->k - k, (size_t)FLOAT_STRIP), c = 0;
        float_unpack(&p, rows, n, f);
        for (int i = 0; i < PANEL_ROWS; i++) rows[i] += n * f.bytes;
        for (; c + FLOAT_COLS <= a->cols; c += FLOAT_COLS, x += FLOAT_COLS * a->x_stride)
            float_tile(&p, n, x, a->x_stride, FLOAT_COLS, a->y + c * a->y_stride, a->y_stride);
        for (; c + 2 <= a->cols; c += 2, x += 2 * a->x_stride)
            float_tile(&p, n, x, a->x_stride, 2, a->y + c * a->y_stride, a->y_stride);
        for (; c < a->cols; c++, x += a->x_stride)
            float_tile(&p, n, x, a->x_stride, 1, a->y + c * a->y_stride, a->y_stride);
    }
}

#endif
