/* grad.h: a model of the llama family as a function of its weights, and its gradient. Internal.
 *
 * The weights are not held here. Whoever runs a pass provides them row by row (`rows`) and takes
 * what the loss changes by with each of them (`gradient`), so that the same pass serves a file's
 * own weights, weights that are being tuned, and sums of squares of gradients. Everything is F32;
 * nothing is rounded to halves as bg_session does with keys and values (but see `rough`).
 *
 * A pass runs over whole windows, each a sequence from position 0.
 */
#ifndef BG_SEARCH_GRAD_H
#define BG_SEARCH_GRAD_H

#include "base/team.h"
#include "bitgauge/model.h"
#include "search/grad_ops.h"

/* The matrices of a layer; index of their tensors in the file. */
typedef enum bg_grad_matrix {
    BG_GRAD_Q, BG_GRAD_K, BG_GRAD_V, BG_GRAD_OUT, BG_GRAD_GATE, BG_GRAD_UP, BG_GRAD_DOWN,
    BG_GRAD_MATRICES
} bg_grad_matrix;

typedef struct bg_grad_layer {
    size_t w[BG_GRAD_MATRICES], attn_norm, ffn_norm;
    size_t n_head, n_head_kv, n_ff;     /* layers may differ in these */
} bg_grad_layer;

typedef struct bg_grad bg_grad;

/* What a pass reads and feeds. All members of the team call these, for rows of their own. */
typedef struct bg_grad_weights {
    void *user;
    /* Rows [first, first + n) of a tensor, one after another; of a vector, row 0 is all of it. */
    void (*rows)(void *user, size_t tensor, size_t first, size_t n, float *out);
    /* The gradient of these rows. Each row once a pass; no more rows of that tensor are asked for
     * in the same pass. NULL: only the loss is wanted. */
    void (*gradient)(void *user, size_t tensor, size_t first, size_t n, const float *dw);
} bg_grad_weights;

/* The loss: the mean over positions of KL(teacher || model), where the teacher's logits are
 * `hidden` (a row of n_embd halves a position, from bg_grad_hidden) times its output matrix
 * (bg_grad_output). Without these, the sum over positions of the surprise at tokens that are
 * drawn from the model itself, seeded: the expected square of its gradient is the Fisher
 * information. */
typedef struct bg_grad_batch {
    const int32_t *tokens;              /* n_windows times n_ctx */
    size_t n_windows;
    const uint16_t *hidden;
    const float *output;
    uint64_t seed;
} bg_grad_batch;

/* `g` says which tensors there are, `h` the rest (rope, eps); both outlive it. most_windows windows
 * of n_ctx tokens at once. `rough`: products with matrices may round their factors to bfloat16,
 * which takes half the time where the CPU has such products. BG_ERR_UNSUPPORTED: no dense model of
 * the llama family. */
bg_status bg_grad_open(bg_grad **out, const bg_gguf *g, const bg_hparams *h, size_t n_ctx,
                       size_t most_windows, bool rough, bg_isa isa, bg_team *team, bg_error *err);
void bg_grad_close(bg_grad **grad);
size_t bg_grad_width(const bg_grad *grad);             /* n_embd */

/* The loss of a batch, the mean over its positions; NaN stays NaN. */
double bg_grad_run(bg_grad *grad, const bg_grad_weights *w, const bg_grad_batch *batch);
/* The last layer's normalised output, as halves [n_windows * n_ctx][n_embd]. */
void bg_grad_hidden(bg_grad *grad, const bg_grad_weights *w, const int32_t *tokens,
                    size_t n_windows, uint16_t *hidden);
/* What makes logits of that in batches of `grad`: the transpose of a teacher's output matrix, which
 * is `tensor` of w. For bg_free_large with *bytes; NULL: no memory. */
float *bg_grad_output(const bg_grad *grad, const bg_grad_weights *w, size_t tensor, size_t *bytes);
/* Logits of all positions [n_windows * n_ctx][n_vocab]. */
void bg_grad_logits(bg_grad *grad, const bg_grad_weights *w, const int32_t *tokens,
                    size_t n_windows, float *logits);

/* ---- inside ------------------------------------------------------------------------------- */

/* Numbers of a position lie `stride` floats apart: an odd number of cache lines. */
static inline size_t bg_grad_stride(size_t n) { return (bg_round_up(n, 16) / 16 | 1) * 16; }

/* What the backward pass needs of a layer. */
typedef struct bg_grad_kept {
    float *x, *x_mid;                   /* the residual stream before attention, before the FFN */
    float *q, *k, *v, *att;             /* rotated; stride q_stride, kv_stride */
    float *gate, *up;                   /* ff_stride */
    float *inverse, *inverse_mid;       /* of the norms, a position */
    float *log_sum;                     /* of attention, [n_head][positions] */
} bg_grad_kept;

struct bg_grad {
    const bg_gguf *g;
    const bg_grad_ops *ops;
    bg_team *team;
    size_t n_embd, n_vocab, head_dim, rope_dim, n_layer, n_ctx, most;  /* most: positions */
    size_t most_q, most_kv, most_ff;
    float eps;
    bool tied, pairs;                   /* pairs: factors of products are pairs of bfloat16 */
    size_t token_embd, output, output_norm;         /* tensors */
    bg_grad_layer *layers;
    float *turn;                        /* [n_ctx][rope_dim]: cosine, sine of each pair */
    size_t e_stride, q_stride, kv_stride, ff_stride, v_stride, s_stride, pair_stride;
    size_t chunk;                       /* positions whose logits are there at once */

    void *arena;                        /* everything below */
    size_t arena_bytes;
    bg_grad_kept *kept;
    float *x, *y, *inverse;             /* the last layer's output, normalised */
    float *norms, *norm_sums;           /* [2][n_embd]: the layer's norm weights, their gradients */
    float *n1, *n2;                     /* normalised input of a half layer */
    float *dx, *dx_mid, *dn;
    float *dq, *dk, *dv, *datt;         /* dk and dv of each query head */
    float *h, *dgate, *dup;
    /* With pairs: rows of the factor of the moment, [positions][pair_stride]; positions two by two
     * of what gradients of matrices are made of, at the strides of what they come from. The
     * matrices below then are pairs too: columns two by two in output_columns, else rows. */
    float *row_pairs, *y_pairs, *n1_pairs, *n2_pairs, *att_pairs, *h_pairs;
    float *matrices[BG_GRAD_MATRICES];  /* a layer's, row-major */
    float *output_rows, *output_columns; /* the output matrix; its transpose, at v_stride */
    float *d_output;                    /* its gradient */
    float *logits, *others;             /* [chunk][v_stride]: the model's, the teacher's */
    float **own;                        /* each member's scratch */
    double *losses;                     /* a position */
    int32_t *first, *next;              /* positions by token: of each token, after each position */
};

/* A pass as the members see it. */
typedef struct bg_grad_pass {
    bg_grad *grad;
    const bg_grad_weights *w;
    const bg_grad_batch *batch;
    size_t n;                           /* positions */
    uint16_t *hidden;
    float *logits;
} bg_grad_pass;

typedef struct bg_grad_worker {
    bg_grad_pass *p;
    bg_grad *grad;
    const bg_grad_ops *ops;
    int member, size;
    float *own;
    size_t begin, end;                  /* its positions */
} bg_grad_worker;

static inline bg_grad_worker bg_grad_worker_of(void *user, int member, int size)
{
    bg_grad_pass *p = user;
    bg_grad_worker w = {p, p->grad, p->grad->ops, member, size, p->grad->own[member], 0, 0};
    bg_team_share(p->n, 4, member, size, &w.begin, &w.end);
    return w;
}

static inline void bg_grad_fetch(const bg_grad_worker *w, size_t tensor, size_t first, size_t n,
                                 float *out)
{
    w->p->w->rows(w->p->w->user, tensor, first, n, out);
}

static inline void bg_grad_give(const bg_grad_worker *w, size_t tensor, size_t first, size_t n,
                                const float *dw)
{
    w->p->w->gradient(w->p->w->user, tensor, first, n, dw);
}

static inline void bg_grad_barrier(const bg_grad_worker *w) { bg_team_barrier(w->grad->team); }

enum { BG_GRAD_PANEL = 32, BG_GRAD_TILE = 96 }; /* rows: of a product forward, of a gradient */

const bg_tensor *bg_grad_tensor(const bg_grad *grad, size_t tensor);
size_t bg_grad_attention_floats(const bg_grad *grad);
/* att and log_sum of a layer from rotated q, k, and v: this member's share of heads. */
void bg_grad_attend(const bg_grad_worker *w, size_t layer);
/* dq, dk and dv of every query head, from datt. */
void bg_grad_attend_back(const bg_grad_worker *w, size_t layer);
/* With pairs, the factors of products: this member's positions of x, each as a row of n / 2 pairs,
 * or two by two as rows of n pairs. Without, nothing. */
void bg_grad_pair_rows(const bg_grad_worker *w, const float *x, size_t stride, size_t n, float *out,
                       size_t out_stride);
void bg_grad_pair_positions(const bg_grad_worker *w, const float *x, size_t stride, size_t n,
                            float *out);
/* Numbers along which a product sums, in units of its factors. */
static inline size_t bg_grad_units(const bg_grad *grad, size_t n)
{
    return grad->pairs ? n / 2 : n;
}

static inline void bg_grad_multiply(const bg_grad_worker *w, const bg_product *p)
{
    (w->grad->pairs ? w->ops->multiply_pairs : w->ops->multiply)(p);
}

/* From tokens to y; ends with a barrier. */
void bg_grad_forward(const bg_grad_worker *w);
/* The output matrix as it is and transposed; then a barrier. */
void bg_grad_fetch_output(const bg_grad_worker *w);
/* Rows of a matrix, k numbers each, side by side: [k or k / 2][stride]. raw is lost. */
void bg_grad_columns(const bg_grad *grad, float *raw, size_t rows, size_t k, float *columns,
                     size_t stride, size_t padded);
/* From y to the loss of each position and, where gradients are wanted, dx and the gradient of the
 * output matrix, which is given unless it is the embedding too. */
void bg_grad_head(const bg_grad_worker *w);
/* Logits of all positions. */
void bg_grad_write_logits(const bg_grad_worker *w);
/* From dx to the gradients of all layers and the embedding. */
void bg_grad_backward(const bg_grad_worker *w);

/* This member's columns of a norm's gradient in `sums`; dy has e_stride. */
void bg_grad_sum_norm(const bg_grad_worker *w, const float *x, const float *inverse,
                      const float *dy, float *sums);

#endif
