/* attend.h: the loops of bg_vecops.attend. Internal.
 *
 * Softmax is kept running over blocks of positions (Milakov and Gimelshein, "Online normalizer
 * calculation for softmax", 2018), in powers of two of scores less a footing. A block's scores, and
 * what its values add up to, are two products of a strip of rows with a small matrix whose columns
 * lie in panels of 16. Beside the words of a floats.h the including file brings
 *
 *   ATT_BITE                 numbers of a row that a product eats at once: 4 bytes of them
 *   ATT_GRAIN                products take k in multiples of this
 *   ATT_TERMS                times the dimensions are as long in rows and keys
 *   att_queries              rows as products want them, with k rounded up by zeros
 *   att_keys, att_values     the same for the matrices of a block
 *   att_set_up(m)            announces products of m rows; 0: of none any more
 *   att_put(weights, i, w)   stores weights i to i + FLOATS - 1 of a row
 *   att_product              c[m][n] (+)= a[m][k] times a matrix; see attend_product.h
 */
#ifndef BG_TEMPLATE_ATTEND_H
#define BG_TEMPLATE_ATTEND_H

#include <math.h>
#include <string.h>

enum { ATT_STRIP = 32 };    /* rows whose scores are kept at a time */

/* What lies where in the scratch memory. */
typedef struct att_room {
    void *q, *keys, *values, *weights;
    float *scores, *sums;   /* sums: a vector for each row */
    size_t q_stride;        /* bytes of a row of q */
    size_t ready;           /* rows that products are set up for */
} att_room;

/* Weights are powers of two of scores less a footing, an integer near the first score. As long as
 * no score is further above, they and their sums stay far from overflow, and no maximum is
 * needed. */
#define ATT_HIGH 60.0f
/* Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. */
#define ATT_MAGIC 12582912.0f

typedef struct att_footing { vfloats magic, low; } att_footing;

BG_INLINE att_footing att_stand(float base)
{
    return (att_footing){f_all(ATT_MAGIC - base), f_all(base - 126.0f)};
}

/* 2^(x - base), at least 2^-126, NaN for NaN. What is left of x after rounding is in [-1/2, 1/2];
 * polynomials by Remez' exchange, relative error 4.4e-7 (with 1 exact at 0), or 7.5e-5 where
 * weights will be rounded to bfloat16. */
BG_INLINE vfloats att_weight(vfloats x, att_footing f)
{
    vfloats n, r, p;
    x = f_max(f.low, x);
    n = f_add(x, f.magic);
    r = f_sub(x, f_sub(n, f.magic));
    if (ATT_BITE == 1) {
        p = f_fma(f_all(0.00111255073f), r, f_all(0.00966628268f));
        p = f_fma(p, r, f_all(0.0555740036f));
        p = f_fma(p, r, f_all(0.240223512f));
        p = f_fma(p, r, f_all(0.693142831f));
        p = f_fma(p, r, f_all(1.0f));
    } else {
        p = f_fma(f_all(0.0551716685f), r, f_all(0.242611125f));
        p = f_fma(p, r, f_all(0.693260968f));
        p = f_fma(p, r, f_all(0.999928057f));
    }
    return f_scale2(p, n);
}

BG_INLINE float att_highest(const float *scores, size_t n)
{
    float highest = scores[0];
    for (size_t i = 1; i < n; i++) highest = scores[i] > highest ? scores[i] : highest;
    return highest;
}

/* Puts a row on a footing that reaches a score far above the old one; rare. */
static void att_raise(const bg_attend *a, size_t row, float *sums, float highest)
{
    float base = ceilf(highest), shrink = exp2f(a->base[row] - base);
    for (size_t i = 0; i < a->value_width; i++) a->out[row * a->value_width + i] *= shrink;
    for (size_t i = 0; i < FLOATS; i++) sums[i] *= shrink;
    a->base[row] = base;
}

/* Turns the scores [first, valid) of a row into weights, with zeros after them up to `padded`. What
 * comes before them gets weights of 2^-126, which no sum notices. */
BG_INLINE void att_soften(const bg_attend *a, size_t row, float *scores, void *weights,
                          float *sums, size_t first, size_t valid, size_t padded)
{
    vfloats sum, high, x;
    att_footing f;
    size_t i = 0;
    if (first < valid) {
        for (; i < first; i++) scores[i] = scores[first] - 1000.0f;
        if (a->base[row] == -INFINITY) a->base[row] = ceilf(scores[first]);
        high = f_load(scores);
        for (i = FLOATS; i < valid; i += FLOATS) high = f_max(high, f_load(scores + i));
        if (f_any_above(high, a->base[row] + ATT_HIGH)) {
            float highest = att_highest(scores, valid);
            if (highest > a->base[row] + ATT_HIGH) att_raise(a, row, sums, highest);
        }
        f = att_stand(a->base[row]);
        sum = f_load(sums);
        for (i = 0; i + FLOATS <= valid; i += FLOATS) {
            x = att_weight(f_load(scores + i), f);
            sum = f_add(sum, x);
            att_put(weights, i, x);
        }
        if (i < valid) {
            x = f_keep(att_weight(f_load(scores + i), f), valid - i, f_all(0));
            sum = f_add(sum, x);
            att_put(weights, i, x);
            i += FLOATS;
        }
        f_store(sums, sum);
    }
    for (; i < padded; i += FLOATS) att_put(weights, i, f_all(0));
}

/* The end of those rows whose windows reach below position `end`. */
BG_INLINE size_t att_last(const bg_attend *a, size_t end)
{
    size_t past = end + a->window - 1; /* the first position that does not see end - 1 */
    return past > a->pos ? (past - a->pos) * a->heads : 0;
}

/* All rows with the positions [start, start + width). */
BG_INLINE void att_block(const bg_attend *a, att_room *m, size_t start, size_t width)
{
    att_matrix keys = att_keys(a, start, width, m->keys);
    att_matrix values = att_values(a, start, width, m->values);
    size_t rows = a->tokens * a->heads, dims = ATT_TERMS * bg_round_up(a->dim, ATT_GRAIN);
    size_t first = start > a->pos ? (start - a->pos) * a->heads : 0; /* that sees any of them */
    if (a->window) rows = BG_MIN(rows, att_last(a, start + width));
    for (size_t r = first; r < rows; r += ATT_STRIP) {
        size_t n = BG_MIN(rows - r, (size_t)ATT_STRIP);
        size_t seen = BG_MIN(width, a->pos + (r + n - 1) / a->heads + 1 - start);
        size_t padded = bg_round_up(seen, ATT_GRAIN);
        if (m->ready != n) att_set_up(m->ready = n);
        att_product((const char *)m->q + r * m->q_stride, m->q_stride, keys, m->scores,
                    BG_ATT_BLOCK, n, bg_round_up(seen, BG_KV_PANEL), dims, false);
        for (size_t i = 0; i < n; i++) {
            size_t sees = a->pos + (r + i) / a->heads + 1, from = bg_attend_first(a, sees - 1);
            float *scores = m->scores + i * BG_ATT_BLOCK;
            if (a->cap > 0) a->soft_cap(scores, 1.44269504f * a->cap, seen);
            att_soften(a, r + i, scores, (char *)m->weights + i * BG_ATT_BLOCK * 4 / ATT_BITE,
                       m->sums + (r + i) * FLOATS, from > start ? from - start : 0,
                       sees > start ? BG_MIN(sees - start, seen) : 0, padded);
        }
        att_product(m->weights, BG_ATT_BLOCK * 4 / ATT_BITE, values, a->out + r * a->value_width,
                    a->value_width, n, a->value_width, padded, true);
    }
}

BG_INLINE void att_run(const bg_attend *a)
{
    size_t rows = a->tokens * a->heads, width = bg_round_up(a->dim, 32);
    char *at = a->scratch;
    att_room m = {.q = at, .q_stride = ATT_TERMS * width * 4 / ATT_BITE};
    m.keys = at += BG_ATT_ROWS * width * 6;
    m.values = at += BG_ATT_BLOCK * width * 6;
    m.scores = (float *)(void *)(at += BG_ATT_BLOCK * width * sizeof(uint16_t));
    m.weights = ATT_BITE == 1 ? at : at + ATT_STRIP * BG_ATT_BLOCK * sizeof(float);
    m.sums = (float *)(void *)(at + ATT_STRIP * BG_ATT_BLOCK * (sizeof(float) + sizeof(uint16_t)));
    att_queries(a, 1.44269504f * a->scale, m.q, m.q_stride);
    for (size_t r = 0; r < rows; r++) a->base[r] = -INFINITY;
    memset(m.sums, 0, rows * FLOATS * sizeof(float));
    memset(a->out, 0, rows * a->value_width * sizeof(float));
    for (size_t start = a->begin; start < a->end; start += BG_ATT_BLOCK)
        att_block(a, &m, start, BG_MIN(a->end - start, (size_t)BG_ATT_BLOCK));
    att_set_up(0);
    for (size_t r = 0; r < rows; r++) a->sum[r] = f_sum(f_load(m.sums + r * FLOATS));
}

#endif
