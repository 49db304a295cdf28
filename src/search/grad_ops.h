/* grad_ops.h: the loops of the differentiable model, compiled for several instruction sets. Results
 * of the builds agree within rounding; of one build they are the same whatever the team's size.
 * Internal. */
#ifndef BG_SEARCH_GRAD_OPS_H
#define BG_SEARCH_GRAD_OPS_H

#include "base/base.h"
#include "bitgauge/kernel.h"
#include "formats/search.h"

/* c[i][j] = sum over l of a[i][l] b[l][j], on top of what c has with `add`. Columns j of b and of c
 * lie side by side; the other strides, in floats, are free. */
typedef struct bg_product {
    size_t m, n, k;
    const float *a;
    size_t a_m, a_k;
    const float *b;
    size_t b_k;
    float *c;
    size_t c_m;
    bool add;
} bg_product;

/* The constants of a step of Adam: m and v decay by beta; `rate` holds the correction of m's bias,
 * `correct` that of v's. */
typedef struct bg_adam { float rate, beta1, beta2, correct, epsilon; } bg_adam;

typedef struct bg_grad_ops {
    void (*multiply)(const bg_product *p);
    /* The same where each number of a and b is a pair of bfloat16 along l, and k counts pairs:
     * twice as fast. NULL: not on this CPU, nor are the next two. */
    void (*multiply_pairs)(const bg_product *p);
    /* n numbers of a row (n even) as n / 2 pairs; the numbers of two rows as n pairs. */
    void (*pair_row)(const float *in, float *out, size_t n);
    void (*pair_rows)(const float *first, const float *second, float *out, size_t n);
    /* out[j][i] = in[i][j] for i < rows, j < columns; 0 for rows <= i < padded. */
    void (*transpose)(const float *in, size_t in_stride, size_t rows, size_t columns, float *out,
                      size_t out_stride, size_t padded);
    /* y = x / rms(x) * weight; returns 1 / rms(x). */
    float (*norm)(const float *x, const float *weight, float eps, float *y, size_t n);
    /* Adds to dx what a gradient dy of y makes of x. */
    void (*norm_back)(const float *x, const float *weight, float inverse, const float *dy,
                      float *dx, size_t n);
    /* sums[j] += dy[j] x[j] inverse, for the gradient of the weight. */
    void (*norm_weight)(const float *x, float inverse, const float *dy, float *sums, size_t n);
    /* h = silu(gate) up. */
    void (*gated)(const float *gate, const float *up, float *h, size_t n);
    /* From the gradient of h in dh; h itself comes out too. dgate may be dh. */
    void (*gated_back)(const float *gate, const float *up, const float *dh, float *h, float *dgate,
                       float *dup, size_t n);
    /* x[0..n) becomes softmax(scale x); returns log of the sum of exp(scale x). */
    float (*softmax)(float *x, float scale, size_t n);
    /* x[i] = exp(scale x[i] - log_sum). */
    void (*probabilities)(float *x, float scale, float log_sum, size_t n);
    /* ds = p (dp - mean) scale, into dp. */
    void (*softmax_back)(const float *p, float *dp, float mean, float scale, size_t n);
    double (*dot)(const float *a, const float *b, size_t n);
    void (*add)(float *x, const float *y, size_t n);
    /* One position: logits z of the student, t of the teacher. z becomes the gradient of
     * KL(softmax t || softmax z) times `share`; t becomes its softmax. Returns the divergence. */
    double (*divergence)(float *z, float *t, float share, size_t n);
    /* w -= step of Adam by gradient g. */
    void (*adam)(float *w, float *m, float *v, const float *g, const bg_adam *step, size_t n);
    /* Blocks of a row, sub-block by sub-block: a level l stands for scale l - min. Weights on their
     * nearest levels: their values in `out`, and the levels, counted from the lowest, in q (may be
     * NULL). */
    void (*round)(const bg_grid *g, const float *w, const float *scale, const float *min,
                  size_t subs, float *out, uint8_t *q);
    /* Sums over each sub-block of dw, and of dw times the level. */
    void (*level_sums)(const bg_grid *g, const float *w, const float *scale, const float *min,
                       size_t subs, const float *dw, float *sum, float *sum_level);
    /* The same places between levels (not far outside of them) of another scale and min. */
    void (*rescale)(const bg_grid *g, float *w, const float *scale, const float *min,
                    const float *new_scale, const float *new_min, size_t subs);
} bg_grad_ops;

extern const bg_grad_ops bg_grad_ops_any, bg_grad_ops_avx2, bg_grad_ops_avx512,
    bg_grad_ops_avx512bf16, bg_grad_ops_amx, bg_grad_ops_amx_emulated;

/* The widest that `isa` has. */
const bg_grad_ops *bg_grad_ops_get(bg_isa isa);

#endif
