/* attend.h: the loops of bg_vecops.attend. Internal.
 *
 * Softmax is kept running over blocks of positions (Milakov and Gimelshein, "Online normalizer
 * calculation for softmax", 2018), in powers of two. A block's scores, and what its values add up
 * to, are two products of a strip of rows with a small matrix whose columns lie in panels of 16.
 * Beside the words of a floats.h the including file brings
 *
 *   ATT_BITE                 numbers of a row that a product eats at once: 4 bytes of them
 *   ATT_GRAIN                products take k in multiples of this
 *   att_queries              rows as products want them, with k rounded up by zeros
 *   att_keys, att_values     the same for the matrices of a block
 *   att_put(weights, i, w)   stores weights i to i + FLOATS - 1 of a row
 *   att_product              c[m][n] (+)= a[m][k] times a matrix; see attend_product.h
 *   f_largest, f_keep        f_keep(v, n, x): x in the lanes from n on
 *   f_scale2(p, n)           p times 2 to the power of the integer in the low bits of n
 */
#ifndef BG_TEMPLATE_ATTEND_H
#define BG_TEMPLATE_ATTEND_H

#include <math.h>

enum { ATT_STRIP = 32 };    /* rows whose scores are kept at a time */

/* What lies where in the scratch memory. */
typedef struct att_room {
    void *q, *keys, *values, *weights;
    float *scores;
    size_t q_stride;        /* bytes of a row of q */
} att_room;

/* 2^x for x <= 0, at least 2^-126, NaN for NaN. Adding 1.5 * 2^23 rounds to an integer and leaves
 * it in the low bits; the rest is in [-1/2, 1/2], where the polynomial (by Remez' exchange, 1 at 0)
 * is off by 4.4e-7. */
BG_INLINE vfloats att_exp2(vfloats x)
{
    const vfloats magic = f_all(12582912.0f);
    vfloats n, r, p;
    x = f_max(f_all(-126.0f), x);
    n = f_add(x, magic);
    r = f_sub(x, f_sub(n, magic));
    p = f_fma(f_all(0.00111255073f), r, f_all(0.00966628268f));
    p = f_fma(p, r, f_all(0.0555740036f));
    p = f_fma(p, r, f_all(0.240223512f));
    p = f_fma(p, r, f_all(0.693142831f));
    p = f_fma(p, r, f_all(1.0f));
    return f_scale2(p, n);
}

BG_INLINE float att_highest(const float *scores, size_t n)
{
    const vfloats none = f_all(-INFINITY);
    vfloats m = none;
    size_t i = 0;
    for (; i + FLOATS <= n; i += FLOATS) m = f_max(m, f_load(scores + i));
    if (i < n) m = f_max(m, f_keep(f_load(scores + i), n - i, none));
    return f_largest(m);
}

/* Brings what a row summed before to the footing of a higher maximum. */
BG_INLINE void att_raise(const bg_attend *a, size_t row, float highest)
{
    vfloats shrink = att_exp2(f_all(a->max[row] - highest));
    float *out = a->out + row * a->value_width, factor[FLOATS];
    for (size_t i = 0; i < a->value_width; i += FLOATS)
        f_store(out + i, f_mul(f_load(out + i), shrink));
    f_store(factor, shrink);
    a->sum[row] *= factor[0];
    a->max[row] = highest;
}

/* Turns the first `valid` scores of a row into weights, with zeros after them up to `padded`. */
BG_INLINE void att_soften(const bg_attend *a, size_t row, float *scores, void *weights,
                          size_t valid, size_t padded)
{
    vfloats top, sum = f_all(0), e;
    float highest;
    size_t i = 0;
    if (valid) {
        highest = att_highest(scores, valid);
        if (highest > a->max[row]) att_raise(a, row, highest);
        top = f_all(a->max[row]);
        for (; i + FLOATS <= valid; i += FLOATS) {
            e = att_exp2(f_sub(f_load(scores + i), top));
            sum = f_add(sum, e);
            att_put(weights, i, e);
        }
        if (i < valid) {
            e = f_keep(att_exp2(f_sub(f_load(scores + i), top)), valid - i, f_all(0));
            sum = f_add(sum, e);
            att_put(weights, i, e);
            i += FLOATS;
        }
        a->sum[row] += f_sum(sum);
    }
    for (; i < padded; i += FLOATS) att_put(weights, i, f_all(0));
}

/* All rows with the positions [start, start + width). */
BG_INLINE void att_block(const bg_attend *a, const att_room *m, size_t start, size_t width)
{
    att_matrix keys = att_keys(a, start, width, m->keys);
    att_matrix values = att_values(a, start, width, m->values);
    size_t rows = a->tokens * a->heads, dims = att_round_up(a->dim, ATT_GRAIN);
    size_t first = start > a->pos ? (start - a->pos) * a->heads : 0; /* that sees any of them */
    for (size_t r = first; r < rows; r += ATT_STRIP) {
        size_t n = BG_MIN(rows - r, (size_t)ATT_STRIP);
        size_t seen = BG_MIN(width, a->pos + (r + n - 1) / a->heads + 1 - start);
        size_t padded = att_round_up(seen, ATT_GRAIN);
        att_product((const char *)m->q + r * m->q_stride, m->q_stride, keys, m->scores,
                    BG_ATT_BLOCK, n, att_round_up(seen, BG_KV_PANEL), dims, false);
        for (size_t i = 0; i < n; i++) {
            size_t sees = a->pos + (r + i) / a->heads + 1;
            att_soften(a, r + i, m->scores + i * BG_ATT_BLOCK,
                       (char *)m->weights + i * BG_ATT_BLOCK * 4 / ATT_BITE,
                       sees > start ? BG_MIN(sees - start, seen) : 0, padded);
        }
        att_product(m->weights, BG_ATT_BLOCK * 4 / ATT_BITE, values, a->out + r * a->value_width,
                    a->value_width, n, a->value_width, padded, true);
    }
}

BG_INLINE void att_run(const bg_attend *a)
{
    size_t rows = a->tokens * a->heads, width = att_round_up(a->dim, 32);
    char *at = a->scratch;
    att_room m = {.q = at, .q_stride = width * 4 / ATT_BITE};
    m.keys = at += BG_ATT_ROWS * width * sizeof(float);
    m.values = at += BG_ATT_BLOCK * width * sizeof(uint16_t);
    m.scores = (float *)(void *)(at += BG_ATT_BLOCK * width * sizeof(uint16_t));
    m.weights = ATT_BITE == 1 ? at : at + ATT_STRIP * BG_ATT_BLOCK * sizeof(float);
    att_queries(a, 1.44269504f / sqrtf((float)a->dim), m.q, m.q_stride);
    for (size_t r = 0; r < rows; r++) {
        a->max[r] = -INFINITY;
        a->sum[r] = 0;
    }
    memset(a->out, 0, rows * a->value_width * sizeof(float));
    for (size_t start = a->begin; start < a->end; start += BG_ATT_BLOCK)
        att_block(a, &m, start, BG_MIN(a->end - start, (size_t)BG_ATT_BLOCK));
}

#endif
