/* matrix.h: what products by matrices of 2 by 8 bytes share. Internal.
 *
 * An instruction multiplies 8 weights (an octet) of two rows with those of two columns. A panel is
 * unpacked once for all columns, with the octets of two rows side by side; values are signed, so
 * that offsets cost nothing. Results of a pair of rows and a pair of columns are
 *
 *     row 0 column 0, row 0 column 1, row 1 column 0, row 1 column 1 */
#ifndef BG_I8MM_MATRIX_H
#define BG_I8MM_MATRIX_H

#include "isa/neon/vector.h"

#include "base/base.h"
#include "isa/i8mm/i8mm.h"

enum {
    PAIRS = BG_PANEL_ROWS / 2,  /* of rows of a panel */
    SIDE = PAIRS / 2,           /* of them that a tile takes... */
    WIDTH = 2,                  /* ...with as many pairs of columns: that many sums and totals
                                 * fit */
    OCTETS = 32,                /* of a row that are unpacked at a time */
    STRIP = 96,                 /* pairs of columns that are finished at a time */
};

typedef vint matrix_octet[PAIRS];
typedef vint matrix_sums[WIDTH][SIDE];
typedef float matrix_results[PAIRS][4];

/* One number of each of 4 rows, beside itself: for the pairs of rows 2v and 2v + 1. */
BG_INLINE void matrix_twice(vint a, int v, vint out[PAIRS])
{
    out[2 * v] = vzip1q_s32(a, a);
    out[2 * v + 1] = vzip2q_s32(a, a);
}
BG_INLINE void matrix_twice_floats(vflt a, int v, vflt out[PAIRS])
{
    out[2 * v] = vzip1q_f32(a, a);
    out[2 * v + 1] = vzip2q_f32(a, a);
}
/* Two quads of 4 rows, from each of which `offset` is taken. */
BG_INLINE void matrix_put(vint a, vint b, int offset, int v, vint out[PAIRS])
{
    a = v_sub8(a, v_all8(offset));
    b = v_sub8(b, v_all8(offset));
    out[2 * v] = vzip1q_s32(a, b);
    out[2 * v + 1] = vzip2q_s32(a, b);
}
/* Numbers of two columns, for both rows. */
BG_INLINE vflt matrix_floats(float a, float b) { return (vflt){a, b, a, b}; }

/* `n` octets, of activations from x[column] on, added to sums; q is moved on to SIDE pairs of
 * rows. */
BG_INLINE void matrix_dot(const vint *q, const int8_t *const *x, int n, matrix_sums sums)
{
    BG_UNROLL
    for (int o = 0; o < n; o++) {
        BG_UNROLL
        for (int c = 0; c < WIDTH; c++) {
            int8x16_t two = vcombine_s8(vld1_s8(x[2 * c] + 8 * o), vld1_s8(x[2 * c + 1] + 8 * o));
            BG_UNROLL
            for (int i = 0; i < SIDE; i++)
                sums[c][i] = vmmlaq_s32(sums[c][i], v_s8(q[o * PAIRS + i]), two);
        }
    }
}

BG_INLINE void matrix_clear(matrix_sums sums)
{
    BG_UNROLL
    for (int c = 0; c < WIDTH; c++) {
        BG_UNROLL
        for (int i = 0; i < SIDE; i++) sums[c][i] = v_zero();
    }
}

/* Unpacks `n` blocks of a panel, and multiplies them with columns x[0] to x[2 WIDTH - 1], from
 * which the activations of the first block are to be taken, adding to the results of WIDTH
 * pairs. */
typedef void matrix_unpack_fn(const uint8_t *w, size_t n, void *panel);
typedef void matrix_tile_fn(const void *panel, size_t n, const uint8_t *const *x,
                            matrix_results *y);

typedef struct matrix_code {
    size_t weights, bytes, x_bytes;     /* of a block; of one of a panel; of one of activations */
    matrix_unpack_fn *unpack;
    matrix_tile_fn *tile;
} matrix_code;

/* The results of a pair of columns, where the second may not be wanted. */
static inline void matrix_store(const matrix_results y, size_t rows, size_t cols, float *to,
                                size_t stride)
{
    for (size_t r = 0; r < BG_MIN(rows, (size_t)BG_PANEL_ROWS); r++) {
        for (size_t c = 0; c < BG_MIN(cols, (size_t)2); c++)
            to[c * stride + r] = y[r / 2][r % 2 * 2 + c];
    }
}

/* A panel with up to 2 STRIP columns. Columns behind the last are the last once more. */
static inline void matrix_strip(const bg_matmul *a, const uint8_t *w, size_t rows, size_t first,
                                void *panel, const matrix_code *code)
{
    matrix_results y[STRIP];
    size_t cols = BG_MIN(a->cols - first, (size_t)(2 * STRIP)), n,
           most = 8 * OCTETS / code->weights;
    memset(y, 0, sizeof y);
    for (size_t b = 0; b < a->k / code->weights; b += n) {
        n = BG_MIN(a->k / code->weights - b, most);
        code->unpack(w + b * code->bytes, n, panel);
        for (size_t c = 0; c < cols; c += 2 * WIDTH) {
            const uint8_t *x[2 * WIDTH];
            for (size_t i = 0; i < 2 * WIDTH; i++)
                x[i] = (const uint8_t *)a->x + (first + BG_MIN(c + i, cols - 1)) * a->x_stride +
                       b * code->x_bytes;
            code->tile(panel, n, x, y + c / 2);
        }
    }
    for (size_t c = 0; c < cols; c += 2)
        matrix_store(y[c / 2], rows, cols - c, a->y + (first + c) * a->y_stride, a->y_stride);
}

static inline void matrix_gemm(const bg_matmul *args, void *panel, const matrix_code *code)
{
    bg_matmul a = *args;
    const uint8_t *w = a.w;
    for (size_t r = 0; r < args->rows; r += BG_PANEL_ROWS, w += a.panel_bytes) {
        for (size_t c = 0; c < a.cols; c += 2 * STRIP)
            matrix_strip(&a, w, args->rows - r, c, panel, code);
        a.y += BG_PANEL_ROWS;
    }
}

#endif
