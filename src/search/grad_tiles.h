/* grad_tiles.h: products of pairs of bfloat16 on AMX's tiles, in place of grad_lanes.h's. Internal.
 *
 * c is made 32 rows by 32 columns at a time. b, pairs along l whose columns lie side by side, is
 * what tiles take as it is, and so is a where its pairs of a row do; else it is turned first. What
 * does not fill tiles is left to vectors. */
#ifndef BG_SEARCH_GRAD_TILES_H
#define BG_SEARCH_GRAD_TILES_H

#include "isa/amx/tile.h"

enum { BLOCK = 2 * TILE_ROWS, DEPTH = 256 }; /* rows or columns; pairs along l that are turned */

/* 16 rows of 16 numbers become columns. */
INLINE void turn_16(const float *in, size_t in_stride, float *out, size_t out_stride)
{
    __m512 a[16], b[16];
    for (size_t i = 0; i < 16; i++) a[i] = _mm512_loadu_ps(in + i * in_stride);
    for (size_t i = 0; i < 16; i += 2) {
        b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
    }
    for (size_t i = 0; i < 16; i += 4)
        for (size_t h = 0; h < 2; h++) {
            __m512d x = _mm512_castps_pd(b[i + h]), y = _mm512_castps_pd(b[i + h + 2]);
            a[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            a[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    /* a[4 g + c]: of rows 4 g to 4 g + 3 the columns c, c + 4, c + 8, c + 12. */
    for (size_t c = 0; c < 4; c++) {
        __m512 low = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88);
        __m512 high = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88);
        __m512 low_odd = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
        __m512 high_odd = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
        _mm512_storeu_ps(out + c * out_stride, _mm512_shuffle_f32x4(low, high, 0x88));
        _mm512_storeu_ps(out + (8 + c) * out_stride, _mm512_shuffle_f32x4(low, high, 0xdd));
        _mm512_storeu_ps(out + (4 + c) * out_stride,
                         _mm512_shuffle_f32x4(low_odd, high_odd, 0x88));
        _mm512_storeu_ps(out + (12 + c) * out_stride,
                         _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd));
    }
}

/* One block: up to 32 rows (`tall`: more than 16) by 16 or, `wide`, 32 columns. x has its rows at
 * x_stride, k pairs of them. */
INLINE void tile_block(const float *x, size_t x_stride, const float *b, size_t b_k, float *c,
                       size_t c_m, size_t k, bool add, bool tall, bool wide)
{
    const size_t x_bytes = x_stride * sizeof *x, b_bytes = b_k * sizeof *b,
                 c_bytes = c_m * sizeof *c;
    float *low = c + TILE_ROWS * c_m;
    tile_fence(c);
    if (add) {
        tile_load(TILE_Y00, c, c_bytes);
        if (wide) tile_load(TILE_Y01, c + 16, c_bytes);
        if (tall) tile_load(TILE_Y10, low, c_bytes);
        if (tall && wide) tile_load(TILE_Y11, low + 16, c_bytes);
    } else {
        tile_zero(TILE_Y00);
        if (wide) tile_zero(TILE_Y01);
        if (tall) tile_zero(TILE_Y10);
        if (tall && wide) tile_zero(TILE_Y11);
    }
    for (size_t l = 0; l < k; l += 16) {
        tile_load(TILE_X0, x + l, x_bytes);
        tile_load(TILE_W0, b + l * b_k, b_bytes);
        tile_dot(TILE_Y00, TILE_X0, TILE_W0);
        if (wide) {
            tile_load(TILE_W1, b + l * b_k + 16, b_bytes);
            tile_dot(TILE_Y01, TILE_X0, TILE_W1);
        }
        if (tall) {
            tile_load(TILE_X1, x + TILE_ROWS * x_stride + l, x_bytes);
            tile_dot(TILE_Y10, TILE_X1, TILE_W0);
        }
        if (tall && wide) tile_dot(TILE_Y11, TILE_X1, TILE_W1);
    }
    tile_store(TILE_Y00, c, c_bytes);
    if (wide) tile_store(TILE_Y01, c + 16, c_bytes);
    if (tall) tile_store(TILE_Y10, low, c_bytes);
    if (tall && wide) tile_store(TILE_Y11, low + 16, c_bytes);
    tile_fence(c);
}

/* `rows` rows of c from row i on, all n columns (a multiple of 16), pairs [l, l + k) of them. */
INLINE void tile_rows_of(const bg_product *p, size_t i, size_t rows, const float *x,
                         size_t x_stride, size_t l, size_t k, size_t n)
{
    bool add = p->add || l > 0, tall = rows > TILE_ROWS;
    for (size_t j = 0; j < n; j += BLOCK) {
        const float *b = p->b + l * p->b_k + j;
        float *c = p->c + i * p->c_m + j;
        bool wide = n - j > TILE_ROWS;
        if (tall && wide) tile_block(x, x_stride, b, p->b_k, c, p->c_m, k, add, true, true);
        else if (tall) tile_block(x, x_stride, b, p->b_k, c, p->c_m, k, add, true, false);
        else if (wide) tile_block(x, x_stride, b, p->b_k, c, p->c_m, k, add, false, true);
        else tile_block(x, x_stride, b, p->b_k, c, p->c_m, k, add, false, false);
    }
}

/* Rows that are not there are 0. */
INLINE void turn_rows(const bg_product *p, size_t i, size_t rows, size_t l, size_t k, float *out)
{
    for (size_t j = 0; j < rows; j += 16)
        for (size_t at = 0; at < k; at += 16) {
            const float *in = p->a + (l + at) * p->a_k + (i + j) * p->a_m;
            if (p->a_m == 1 && rows - j >= 16) {
                turn_16(in, p->a_k, out + j * DEPTH + at, DEPTH);
                continue;
            }
            for (size_t r = 0; r < 16 && j + r < rows; r++)
                for (size_t q = 0; q < 16; q++)
                    out[(j + r) * DEPTH + at + q] = in[q * p->a_k + r * p->a_m];
        }
}

static void multiply_pairs(const bg_product *p)
{
    float turned[BLOCK * DEPTH] ALIGNED;
    size_t n = p->n / 16 * 16, k = p->k / 16 * 16, configured = 0;
    bg_product rest = *p;
    for (size_t i = 0; i < p->m && n && k; i += BLOCK) {
        size_t rows = BG_MIN(p->m - i, (size_t)BLOCK);
        if (rows != configured) tile_configure(configured = rows);
        if (p->a_k == 1) {
            tile_rows_of(p, i, rows, p->a + i * p->a_m, p->a_m, 0, k, n);
            continue;
        }
        for (size_t l = 0, some; l < k; l += some) {
            some = BG_MIN(k - l, (size_t)DEPTH);
            turn_rows(p, i, rows, l, some, turned);
            tile_fence(turned);
            tile_rows_of(p, i, rows, turned, DEPTH, l, some, n);
        }
    }
    if (configured) tile_release();
    if (n && k && k < p->k) {
        rest.n = n, rest.k = p->k - k, rest.add = true;
        rest.a += k * p->a_k, rest.b += k * p->b_k;
        multiply_any(&rest, true);
    }
    if (n && k && n == p->n) return;
    rest = *p;
    if (k) rest.n -= n, rest.b += n, rest.c += n;
    multiply_any(&rest, true);
}

#endif
