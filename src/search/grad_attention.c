/* Causal attention of the differentiable model, forward and back. An item is a query head of a
 * window; its positions go in blocks of rows, and the scores of a block end where the block does.
 * Probabilities are not kept: the backward pass computes them again from the sums. */
#include "search/grad.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 };

/* One factor of a product: numbers, or pairs of them along what the product sums over. */
typedef struct factor { const float *at; size_t stride; } factor;

/* An item's inputs: rows of position 0; `keys` and `values` are [head_dim or, of pairs, half of
 * that][s_stride]. The rest is room for a block's scores and, of pairs, for factors. */
typedef struct item {
    size_t head, first;                 /* position of the window's first token */
    const float *q, *k, *v;
    float *scores, *slopes, *keys, *values;
    float *by_two, *all_rows, *rows;
} item;

size_t bg_grad_attention_floats(const bg_grad *grad)
{
    size_t columns = (2 * BLOCK + 2 * grad->head_dim) * grad->s_stride;
    size_t by_two = BLOCK / 2 * grad->s_stride + grad->n_ctx / 2 * grad->head_dim;
    return columns + (grad->pairs ? by_two + BLOCK / 2 * grad->head_dim : 0);
}

/* Of products that sum over the n numbers of a row; out may be x. */
static factor along_rows(const bg_grad_worker *w, const float *x, size_t stride, size_t rows,
                         size_t n, float *out, size_t out_stride)
{
    if (!w->grad->pairs) return (factor){x, stride};
    for (size_t r = 0; r < rows; r++) w->ops->pair_row(x + r * stride, out + r * out_stride, n);
    return (factor){out, out_stride};
}

/* Of products that sum over rows; out may be x. */
static factor across_rows(const bg_grad_worker *w, const float *x, size_t stride, size_t rows,
                          size_t n, float *out, size_t out_stride)
{
    if (!w->grad->pairs) return (factor){x, stride};
    for (size_t r = 0; r < rows; r += 2)
        w->ops->pair_rows(x + r * stride, x + (r + 1) * stride, out + r / 2 * out_stride, n);
    return (factor){out, out_stride};
}

static float scale_of(const bg_grad *g) { return 1.0f / sqrtf((float)g->head_dim); }

static item begin_item(const bg_grad_worker *w, size_t l, size_t index, bool back)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    const bg_grad_kept *kept = &g->kept[l];
    size_t head = index % layer->n_head, first = index / layer->n_head * g->n_ctx;
    size_t shared = head / (layer->n_head / layer->n_head_kv) * g->head_dim;
    size_t d = g->head_dim, block = BLOCK * g->s_stride;
    item it = {
        .head = head, .first = first, .q = kept->q + first * g->q_stride + head * d,
        .k = kept->k + first * g->kv_stride + shared, .v = kept->v + first * g->kv_stride + shared,
        .scores = w->own, .slopes = w->own + block, .keys = w->own + 2 * block,
    };
    it.values = it.keys + d * g->s_stride;
    it.by_two = it.values + d * g->s_stride;
    it.all_rows = it.by_two + block / 2;
    it.rows = it.all_rows + g->n_ctx / 2 * d;
    w->ops->transpose(it.k, g->kv_stride, g->n_ctx, d, it.keys, g->s_stride, g->n_ctx);
    across_rows(w, it.keys, g->s_stride, d, g->n_ctx, it.keys, g->s_stride);
    if (!back) return it;
    w->ops->transpose(it.v, g->kv_stride, g->n_ctx, d, it.values, g->s_stride, g->n_ctx);
    across_rows(w, it.values, g->s_stride, d, g->n_ctx, it.values, g->s_stride);
    return it;
}

/* Rows of head_dim numbers times a transposed operand, up to `end`. */
static void times_transposed(const bg_grad_worker *w, factor x, size_t rows, const float *columns,
                             size_t end, float *out)
{
    const bg_grad *g = w->grad;
    bg_grad_multiply(w, &(bg_product){
        .m = rows, .n = end, .k = bg_grad_units(g, g->head_dim), .a = x.at, .a_m = x.stride,
        .a_k = 1, .b = columns, .b_k = g->s_stride, .c = out, .c_m = g->s_stride,
    });
}

/* A block's rows of numbers of the first `end` positions times those positions' rows. */
static void times_positions(const bg_grad_worker *w, float *x, size_t rows, size_t end,
                            factor positions, float *out)
{
    const bg_grad *g = w->grad;
    factor numbers = along_rows(w, x, g->s_stride, rows, end, x, g->s_stride);
    bg_grad_multiply(w, &(bg_product){
        .m = rows, .n = g->head_dim, .k = bg_grad_units(g, end), .a = numbers.at,
        .a_m = numbers.stride, .a_k = 1, .b = positions.at, .b_k = positions.stride, .c = out,
        .c_m = g->q_stride,
    });
}

static void forward_item(const bg_grad_worker *w, size_t l, const item *it)
{
    const bg_grad *g = w->grad;
    const bg_grad_kept *kept = &g->kept[l];
    float *log_sum = kept->log_sum + it->head * g->most + it->first;
    size_t d = g->head_dim, at = it->first * g->q_stride + it->head * d;
    factor values = across_rows(w, it->v, g->kv_stride, g->n_ctx, d, it->all_rows, d);
    for (size_t i = 0, rows; i < g->n_ctx; i += rows) {
        factor q;
        rows = BG_MIN(g->n_ctx - i, (size_t)BLOCK);
        q = along_rows(w, it->q + i * g->q_stride, g->q_stride, rows, d, it->rows, d / 2);
        times_transposed(w, q, rows, it->keys, i + rows, it->scores);
        for (size_t r = 0; r < rows; r++) {
            float *row = it->scores + r * g->s_stride;
            log_sum[i + r] = w->ops->softmax(row, scale_of(g), i + r + 1);
            memset(row + i + r + 1, 0, (rows - r - 1) * sizeof *row);
        }
        times_positions(w, it->scores, rows, i + rows, values, kept->att + at + i * g->q_stride);
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
static void transposed_times(const bg_grad_worker *w, const item *it, const float *scores,
                             size_t rows, size_t end, factor x, float *out)
{
    const bg_grad *g = w->grad;
    factor a = across_rows(w, scores, g->s_stride, rows, end, it->by_two, g->s_stride);
    bg_grad_multiply(w, &(bg_product){
        .m = end, .n = g->head_dim, .k = bg_grad_units(g, rows), .a = a.at, .a_m = 1,
        .a_k = a.stride, .b = x.at, .b_k = x.stride, .c = out, .c_m = g->q_stride, .add = true,
    });
}

/* A block's scores become probabilities, and what those change the loss by the slopes of scores. */
static void slopes_of(const bg_grad_worker *w, const item *it, const float *log_sum,
                      const float *datt, const float *att, size_t i, size_t rows)
{
    const bg_grad *g = w->grad;
    for (size_t r = 0; r < rows; r++) {
        float *p = it->scores + r * g->s_stride, *dp = it->slopes + r * g->s_stride;
        size_t seen = i + r + 1, rest = rows - r - 1;
        double mean = w->ops->dot(datt + r * g->q_stride, att + r * g->q_stride, g->head_dim);
        w->ops->probabilities(p, scale_of(g), log_sum[i + r], seen);
        w->ops->softmax_back(p, dp, (float)mean, scale_of(g), seen);
        memset(p + seen, 0, rest * sizeof *p);
        memset(dp + seen, 0, rest * sizeof *dp);
    }
}

static void backward_item(const bg_grad_worker *w, size_t l, const item *it)
{
    const bg_grad *g = w->grad;
    const bg_grad_kept *kept = &g->kept[l];
    const float *log_sum = kept->log_sum + it->head * g->most + it->first;
    size_t d = g->head_dim, stride = g->q_stride, at = it->first * stride + it->head * d;
    float *dk = g->dk + at, *dv = g->dv + at;
    factor keys = across_rows(w, it->k, g->kv_stride, g->n_ctx, d, it->all_rows, d);
    for (size_t i = 0; i < g->n_ctx; i++) {
        memset(dk + i * stride, 0, d * sizeof *dk);
        memset(dv + i * stride, 0, d * sizeof *dv);
    }
    for (size_t i = 0, rows; i < g->n_ctx; i += rows) {
        const float *q = it->q + i * stride, *datt = g->datt + at + i * stride;
        rows = BG_MIN(g->n_ctx - i, (size_t)BLOCK);
        times_transposed(w, along_rows(w, q, stride, rows, d, it->rows, d / 2), rows, it->keys,
                         i + rows, it->scores);
        times_transposed(w, along_rows(w, datt, stride, rows, d, it->rows, d / 2), rows,
                         it->values, i + rows, it->slopes);
        slopes_of(w, it, log_sum, datt, kept->att + at + i * stride, i, rows);
        transposed_times(w, it, it->scores, rows, i + rows,
                         across_rows(w, datt, stride, rows, d, it->rows, d), dv);
        transposed_times(w, it, it->slopes, rows, i + rows,
                         across_rows(w, q, stride, rows, d, it->rows, d), dk);
        times_positions(w, it->slopes, rows, i + rows, keys, g->dq + at + i * stride);
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
