/* attend_product.h: products of a few rows with a matrix of a few columns, which attention is made
 * of. Internal. Beside the words of a floats.h the including file brings
 *
 *   ATT_TILE       rows that are kept in registers, with two vectors of columns
 *   ATT_BITE       numbers of a row that a step eats: 4 bytes of them
 *   ATT_COLUMN     bytes of a column of the matrix in a panel
 *   att_load(p)    FLOATS columns
 *   att_spread(p)  a row's next bite, in every lane
 *   att_dot(x, w, sum)
 */
#ifndef BG_TEMPLATE_ATTEND_PRODUCT_H
#define BG_TEMPLATE_ATTEND_PRODUCT_H

#include "isa/template/attend_matrix.h"

enum { ATT_MOST = 12 };     /* what ATT_TILE may be */

/* `rows` rows and `vectors` vectors of columns from `at` on; both are constants once inlined. */
BG_INLINE void att_tile(size_t rows, size_t vectors, const char *a, size_t a_stride,
                        const att_matrix *b, size_t at, float *c, size_t c_stride, size_t bites,
                        bool add)
{
    vfloats sum[ATT_MOST][4];
    const uint8_t *from[4];
    BG_UNROLL
    for (size_t v = 0; v < vectors; v++)
        from[v] = b->data + (at + v * FLOATS) / 16 * b->panel + (at + v * FLOATS) % 16 * ATT_COLUMN;
    BG_UNROLL
    for (size_t i = 0; i < rows; i++) {
        BG_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[i][v] = add ? f_load(c + i * c_stride + v * FLOATS) : f_all(0);
    }
    for (size_t k = 0; k < bites; k++) {
        att_columns w[4];
        BG_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            w[v] = att_load(from[v] + k * b->step);
            __builtin_prefetch(from[v] + k * b->step + b->ahead);
        }
        BG_UNROLL
        for (size_t i = 0; i < rows; i++) {
            att_bite x = att_spread(a + i * a_stride + k * 4);
            BG_UNROLL
            for (size_t v = 0; v < vectors; v++) sum[i][v] = att_dot(x, w[v], sum[i][v]);
        }
    }
    BG_UNROLL
    for (size_t i = 0; i < rows; i++) {
        BG_UNROLL
        for (size_t v = 0; v < vectors; v++) f_store(c + i * c_stride + v * FLOATS, sum[i][v]);
    }
}

/* All rows with `vectors` vectors of columns, in tiles of nearly equal size. */
BG_INLINE void att_columns_run(size_t vectors, size_t most, const char *a, size_t a_stride,
                               const att_matrix *b, size_t at, float *c, size_t c_stride, size_t m,
                               size_t bites, bool add)
{
    size_t tiles = (m + most - 1) / most, each = (m + tiles - 1) / tiles;
    for (size_t i = 0; i < m; i += each) {
        const char *x = a + i * a_stride;
        float *y = c + i * c_stride + at;
        switch (BG_MIN(each, m - i)) {
#define ATT_CASE(n)                                                                              \
    case n: if (n <= most) att_tile(n, vectors, x, a_stride, b, at, y, c_stride, bites, add);   \
        break;
        ATT_CASE(1) ATT_CASE(2) ATT_CASE(3) ATT_CASE(4) ATT_CASE(5) ATT_CASE(6)
        ATT_CASE(7) ATT_CASE(8) ATT_CASE(9) ATT_CASE(10) ATT_CASE(11) ATT_CASE(12)
#undef ATT_CASE
        default: break;
        }
    }
}

/* c[i][j] (+)= sum over l < k of a[i][l] * b[l][j] for i < m and j < n, a multiple of 16; a_stride
 * in bytes. Every element is summed up in order of l, whatever m and n. */
static inline void att_vector_product(const char *a, size_t a_stride, att_matrix b, float *c,
                               size_t c_stride, size_t m, size_t n, size_t k, bool add)
{
    size_t j = 0, bites = k / ATT_BITE;
    if (m <= ATT_TILE / 3) /* so few that their sums would not hide the latency of an addition */
        for (; j + 4 * FLOATS <= n; j += 4 * FLOATS)
            att_columns_run(4, ATT_TILE / 3, a, a_stride, &b, j, c, c_stride, m, bites, add);
    for (; j + 2 * FLOATS <= n; j += 2 * FLOATS)
        att_columns_run(2, ATT_TILE, a, a_stride, &b, j, c, c_stride, m, bites, add);
    for (; j < n; j += FLOATS)
        att_columns_run(1, ATT_TILE, a, a_stride, &b, j, c, c_stride, m, bites, add);
}

BG_INLINE void att_no_set_up(size_t m) { (void)m; }

#endif
