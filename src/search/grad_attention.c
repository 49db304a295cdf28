/* Causal attention of the differentiable model, forward and back. An item is a query head of a
 * window; its positions go in blocks of rows, and the scores of a block end where the block does.
 * Probabilities are not kept: the backward pass computes them again from the sums. */
#include "search/grad.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 48 };

/* An item's inputs: rows of position 0, and [head_dim][s_stride] of keys and values. */
typedef struct item {
    size_t head, first;                 /* position of the window's first token */
    const float *q, *k, *v;
    float *scores, *slopes, *keys, *values;
} item;

size_t bg_grad_attention_floats(const bg_grad *grad)
{
    return (2 * BLOCK + 2 * grad->head_dim) * grad->s_stride;
}

static float scale_of(const bg_grad *g) { return 1.0f / sqrtf((float)g->head_dim); }

static item begin_item(const bg_grad_worker *w, size_t l, size_t index, bool back)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    const bg_grad_kept *kept = &g->kept[l];
    size_t head = index % layer->n_head, first = index / layer->n_head * g->n_ctx;
    size_t shared = head / (layer->n_head / layer->n_head_kv) * g->head_dim;
    item it = {
        .head = head, .first = first, .q = kept->q + first * g->q_stride + head * g->head_dim,
        .k = kept->k + first * g->kv_stride + shared, .v = kept->v + first * g->kv_stride + shared,
        .scores = w->own, .slopes = w->own + BLOCK * g->s_stride,
        .keys = w->own + 2 * BLOCK * g->s_stride,
        .values = w->own + (2 * BLOCK + g->head_dim) * g->s_stride,
    };
    w->ops->transpose(it.k, g->kv_stride, g->n_ctx, g->head_dim, it.keys, g->s_stride, g->n_ctx);
    if (back)
        w->ops->transpose(it.v, g->kv_stride, g->n_ctx, g->head_dim, it.values, g->s_stride,
                          g->n_ctx);
    return it;
}

/* Rows [i, i + rows) of a [positions][head_dim] operand times a transposed one, up to `end`. */
static void times_transposed(const bg_grad_worker *w, const float *x, size_t x_stride, size_t rows,
                             const float *columns, size_t end, float *out)
{
    const bg_grad *g = w->grad;
    w->ops->multiply(&(bg_product){
        .m = rows, .n = end, .k = g->head_dim, .a = x, .a_m = x_stride, .a_k = 1, .b = columns,
        .b_k = g->s_stride, .c = out, .c_m = g->s_stride,
    });
}

static void forward_item(const bg_grad_worker *w, size_t l, const item *it)
{
    const bg_grad *g = w->grad;
    const bg_grad_kept *kept = &g->kept[l];
    float *log_sum = kept->log_sum + it->head * g->most + it->first;
    for (size_t i = 0, rows; i < g->n_ctx; i += rows) {
        rows = BG_MIN(g->n_ctx - i, (size_t)BLOCK);
        times_transposed(w, it->q + i * g->q_stride, g->q_stride, rows, it->keys, i + rows,
                         it->scores);
        for (size_t r = 0; r < rows; r++) {
            float *row = it->scores + r * g->s_stride;
            log_sum[i + r] = w->ops->softmax(row, scale_of(g), i + r + 1);
            memset(row + i + r + 1, 0, (rows - r - 1) * sizeof *row);
        }
        w->ops->multiply(&(bg_product){
            .m = rows, .n = g->head_dim, .k = i + rows, .a = it->scores, .a_m = g->s_stride,
            .a_k = 1, .b = it->v, .b_k = g->kv_stride,
            .c = kept->att + (it->first + i) * g->q_stride + it->head * g->head_dim,
            .c_m = g->q_stride,
        });
    }
}

void bg_grad_attend(const bg_grad_worker *w, size_t l)
{
    size_t begin, end;
    bg_team_share(w->p->batch->n_windows * w->grad->layers[l].n_head, 1, w->member, w->size,
                  &begin, &end);
    for (size_t i = begin; i < end; i++) {
        item it = begin_item(w, l, i, false);
        forward_item(w, l, &it);
    }
}

/* out = on top of what it has, the transpose of some rows of scores or slopes times rows of x. */
static void transposed_times(const bg_grad_worker *w, const float *scores, size_t rows, size_t end,
                             const float *x, float *out)
{
    const bg_grad *g = w->grad;
    w->ops->multiply(&(bg_product){
        .m = end, .n = g->head_dim, .k = rows, .a = scores, .a_m = 1, .a_k = g->s_stride, .b = x,
        .b_k = g->q_stride, .c = out, .c_m = g->q_stride, .add = true,
    });
}

static void backward_item(const bg_grad_worker *w, size_t l, const item *it)
{
    const bg_grad *g = w->grad;
    const bg_grad_kept *kept = &g->kept[l];
    const float *log_sum = kept->log_sum + it->head * g->most + it->first;
    size_t at = it->first * g->q_stride + it->head * g->head_dim;
    float *dk = g->dk + at, *dv = g->dv + at;
    for (size_t i = 0; i < g->n_ctx; i++) {
        memset(dk + i * g->q_stride, 0, g->head_dim * sizeof *dk);
        memset(dv + i * g->q_stride, 0, g->head_dim * sizeof *dv);
    }
    for (size_t i = 0, rows; i < g->n_ctx; i += rows) {
        const float *q = it->q + i * g->q_stride, *datt = g->datt + at + i * g->q_stride;
        const float *att = kept->att + at + i * g->q_stride;
        rows = BG_MIN(g->n_ctx - i, (size_t)BLOCK);
        times_transposed(w, q, g->q_stride, rows, it->keys, i + rows, it->scores);
        times_transposed(w, datt, g->q_stride, rows, it->values, i + rows, it->slopes);
        for (size_t r = 0; r < rows; r++) {
            float *p = it->scores + r * g->s_stride, *dp = it->slopes + r * g->s_stride;
            size_t seen = i + r + 1, rest = rows - r - 1;
            double mean = w->ops->dot(datt + r * g->q_stride, att + r * g->q_stride, g->head_dim);
            w->ops->probabilities(p, scale_of(g), log_sum[i + r], seen);
            w->ops->softmax_back(p, dp, (float)mean, scale_of(g), seen);
            memset(p + seen, 0, rest * sizeof *p);
            memset(dp + seen, 0, rest * sizeof *dp);
        }
        transposed_times(w, it->scores, rows, i + rows, datt, dv);
        transposed_times(w, it->slopes, rows, i + rows, q, dk);
        w->ops->multiply(&(bg_product){
            .m = rows, .n = g->head_dim, .k = i + rows, .a = it->slopes, .a_m = g->s_stride,
            .a_k = 1, .b = it->k, .b_k = g->kv_stride, .c = g->dq + at + i * g->q_stride,
            .c_m = g->q_stride,
        });
    }
}

void bg_grad_attend_back(const bg_grad_worker *w, size_t l)
{
    size_t begin, end;
    bg_team_share(w->p->batch->n_windows * w->grad->layers[l].n_head, 1, w->member, w->size,
                  &begin, &end);
    for (size_t i = begin; i < end; i++) {
        item it = begin_item(w, l, i, true);
        backward_item(w, l, &it);
    }
}
