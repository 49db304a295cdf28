/* The loss, and the pass back: from logits to the gradient of every tensor. */
#include "search/grad.h"

#include <math.h>
#include <string.h>

/* ---- the loss ----------------------------------------------------------------------------- */

/* Logits of some rows of hidden states, from position `at` of y or of its pairs: this member's
 * columns of them. */
static void make_logits(const bg_grad_worker *w, const float *y, const float *y_pairs, size_t at,
                        size_t rows, const float *columns, float *out)
{
    const bg_grad *g = w->grad;
    size_t begin, end;
    bg_team_share(g->n_vocab, BG_GRAD_PANEL, w->member, w->size, &begin, &end);
    if (begin == end) return;
    bg_grad_multiply(w, &(bg_product){
        .m = rows, .n = end - begin, .k = bg_grad_units(g, g->n_embd),
        .a = (g->pairs ? y_pairs : y) + at * bg_grad_units(g, g->e_stride),
        .a_m = bg_grad_units(g, g->e_stride), .a_k = 1, .b = columns + begin, .b_k = g->v_stride,
        .c = out + begin, .c_m = g->v_stride,
    });
}

/* A number of [0, 1) that depends on the seed and the position alone. */
static float draw(uint64_t seed, size_t position)
{
    bg_rng rng;
    bg_rng_seed(&rng, seed * 0x9e3779b97f4a7c15ULL + position);
    return (float)bg_rng_unit(&rng);
}

/* The gradient of the surprise at a token that is drawn from softmax(z); z becomes it. */
static double surprise(const bg_grad_worker *w, float *z, size_t position)
{
    size_t n = w->grad->n_vocab, token = 0;
    float left = draw(w->p->batch->seed, position), p;
    w->ops->softmax(z, 1, n);
    while (token + 1 < n && left >= z[token]) left -= z[token++];
    p = z[token];
    z[token] -= 1;
    return -log((double)p);
}

static void measure(const bg_grad_worker *w, size_t at, size_t begin, size_t end)
{
    const bg_grad *g = w->grad;
    float share = 1.0f / (float)w->p->n;
    for (size_t i = begin; i < end; i++) {
        float *z = g->logits + i * g->v_stride, *t = g->others + i * g->v_stride;
        g->losses[at + i] = w->p->batch->hidden ? w->ops->divergence(z, t, share, g->n_vocab)
                                                : surprise(w, z, at + i);
    }
}

/* The teacher's hidden rows as floats, in dn. */
static void unpack_hidden(const bg_grad_worker *w, size_t at, size_t begin, size_t end)
{
    const bg_grad *g = w->grad;
    for (size_t i = begin; i < end; i++) {
        float *row = g->dn + i * g->e_stride;
        bg_format_decode(bg_format_get(BG_FORMAT_F16), w->p->batch->hidden + (at + i) * g->n_embd,
                         row, g->n_embd);
        if (g->pairs) w->ops->pair_row(row, g->n2_pairs + i * g->e_stride / 2, g->n_embd);
    }
}

/* This member's rows of the logits' slopes, as pairs: the factor of y's gradient. */
static const float *slope_rows(const bg_grad_worker *w, size_t begin, size_t end, size_t *stride)
{
    const bg_grad *g = w->grad;
    *stride = g->pairs ? g->pair_stride : g->v_stride;
    for (size_t i = begin; i < end && g->pairs; i++)
        w->ops->pair_row(g->logits + i * g->v_stride, g->row_pairs + i * g->pair_stride,
                         g->n_vocab);
    return (g->pairs ? g->row_pairs : g->logits) + begin * *stride;
}

/* Columns [r, r + some) of dy, all `rows` of them, as the left factor of a gradient of a matrix. */
static bg_product gradient_of(const bg_grad_worker *w, const float *dy, size_t dy_stride,
                              size_t rows, size_t r, size_t some, float *scratch)
{
    bg_product p = {.m = some, .k = rows, .a = dy + r, .a_m = 1, .a_k = dy_stride};
    if (!w->grad->pairs) return p;
    for (size_t i = 0; i < rows; i += 2)
        w->ops->pair_rows(dy + i * dy_stride + r, dy + (i + 1) * dy_stride + r,
                          scratch + i / 2 * BG_GRAD_TILE, some);
    p.k = rows / 2, p.a = scratch, p.a_k = BG_GRAD_TILE;
    return p;
}

/* The gradients of the output matrix and, in dx_mid, of y. */
static void head_back(const bg_grad_worker *w, size_t at, size_t rows, size_t begin, size_t end)
{
    const bg_grad *g = w->grad;
    size_t first, last, stride, some;
    const float *slopes = slope_rows(w, begin, end, &stride);
    if (begin < end)
        bg_grad_multiply(w, &(bg_product){
            .m = end - begin, .n = g->n_embd, .k = bg_grad_units(g, g->n_vocab), .a = slopes,
            .a_m = stride, .a_k = 1, .b = g->output_rows, .b_k = g->n_embd,
            .c = g->dx_mid + (at + begin) * g->e_stride, .c_m = g->e_stride,
        });
    bg_team_share(g->n_vocab, BG_GRAD_PANEL, w->member, w->size, &first, &last);
    for (size_t r = first; r < last; r += some) {
        bg_product p;
        some = BG_MIN(last - r, (size_t)BG_GRAD_TILE);
        p = gradient_of(w, g->logits, g->v_stride, rows, r, some, w->own);
        p.n = g->n_embd;
        p.b = g->pairs ? g->y_pairs + at / 2 * g->e_stride : g->y + at * g->e_stride;
        p.b_k = g->e_stride;
        p.c = g->d_output + r * g->n_embd;
        p.c_m = g->n_embd;
        p.add = at > 0;
        bg_grad_multiply(w, &p);
    }
}

void bg_grad_sum_norm(const bg_grad_worker *w, const float *x, const float *inverse,
                      const float *dy, float *sums)
{
    const bg_grad *g = w->grad;
    size_t begin, end;
    bg_team_share(g->n_embd, 16, w->member, w->size, &begin, &end);
    if (begin == end) return;
    memset(sums + begin, 0, (end - begin) * sizeof *sums);
    for (size_t i = 0; i < w->p->n; i++) {
        size_t at = i * g->e_stride + begin;
        w->ops->norm_weight(x + at, inverse[i], dy + at, sums + begin, end - begin);
    }
}

/* Through the last norm: dx from dx_mid. */
static void end_back(const bg_grad_worker *w)
{
    const bg_grad *g = w->grad;
    size_t first, last;
    bg_grad_fetch(w, g->output_norm, 0, 1, w->own);
    for (size_t i = w->begin; i < w->end; i++) {
        size_t at = i * g->e_stride;
        memset(g->dx + at, 0, g->n_embd * sizeof *g->dx);
        w->ops->norm_back(g->x + at, w->own, g->inverse[i], g->dx_mid + at, g->dx + at, g->n_embd);
    }
    bg_grad_sum_norm(w, g->x, g->inverse, g->dx_mid, g->norm_sums);
    bg_grad_barrier(w);
    if (w->member == 0) bg_grad_give(w, g->output_norm, 0, 1, g->norm_sums);
    if (g->tied) return;
    bg_team_share(g->n_vocab, BG_GRAD_PANEL, w->member, w->size, &first, &last);
    if (first < last)
        bg_grad_give(w, g->output, first, last - first, g->d_output + first * g->n_embd);
}

void bg_grad_head(const bg_grad_worker *w)
{
    const bg_grad *g = w->grad;
    for (size_t at = 0; at < w->p->n; at += g->chunk) {
        size_t rows = BG_MIN(w->p->n - at, g->chunk), begin, end;
        bg_team_share(rows, 4, w->member, w->size, &begin, &end);
        make_logits(w, g->y, g->n1_pairs, at, rows, g->output_columns, g->logits);
        if (w->p->batch->hidden) {
            unpack_hidden(w, at, begin, end);
            bg_grad_barrier(w);
            make_logits(w, g->dn, g->n2_pairs, 0, rows, w->p->batch->output, g->others);
        }
        bg_grad_barrier(w);
        measure(w, at, begin, end);
        bg_grad_barrier(w);
        if (w->p->w->gradient) head_back(w, at, rows, begin, end);
        bg_grad_barrier(w);
    }
    if (w->p->w->gradient) end_back(w);
}

void bg_grad_write_logits(const bg_grad_worker *w)
{
    const bg_grad *g = w->grad;
    for (size_t at = 0; at < w->p->n; at += g->chunk) {
        size_t rows = BG_MIN(w->p->n - at, g->chunk), begin, end;
        bg_team_share(rows, 1, w->member, w->size, &begin, &end);
        make_logits(w, g->y, g->n1_pairs, at, rows, g->output_columns, g->logits);
        bg_grad_barrier(w);
        for (size_t i = begin; i < end; i++)
            memcpy(w->p->logits + (at + i) * g->n_vocab, g->logits + i * g->v_stride,
                   g->n_vocab * sizeof *g->logits);
        bg_grad_barrier(w);
    }
}

/* ---- layers ------------------------------------------------------------------------------- */

/* This member's positions of dy W, where W is the layer's; `add`: on top of what out has. */
static void times_matrix(const bg_grad_worker *w, size_t l, bg_grad_matrix id, const float *dy,
                         size_t dy_stride, float *out, size_t out_stride, bool add)
{
    const bg_grad *g = w->grad;
    const bg_tensor *t = bg_grad_tensor(g, g->layers[l].w[id]);
    size_t stride = g->pairs ? g->pair_stride : dy_stride;
    if (w->begin == w->end) return;
    bg_grad_pair_rows(w, dy, dy_stride, t->ne[1], g->row_pairs, g->pair_stride);
    bg_grad_multiply(w, &(bg_product){
        .m = w->end - w->begin, .n = t->ne[0], .k = bg_grad_units(g, t->ne[1]),
        .a = (g->pairs ? g->row_pairs : dy) + w->begin * stride, .a_m = stride, .a_k = 1,
        .b = g->matrices[id], .b_k = t->ne[0], .c = out + w->begin * out_stride,
        .c_m = out_stride, .add = add,
    });
}

/* Gives the gradient of this member's rows of a matrix: dy' x over all positions; x_pairs are those
 * of x, by positions. */
static void give_matrix(const bg_grad_worker *w, size_t tensor, const float *dy, size_t dy_stride,
                        const float *x, const float *x_pairs, size_t x_stride)
{
    const bg_tensor *t = bg_grad_tensor(w->grad, tensor);
    size_t begin, end;
    bg_team_share(t->ne[1], 4, w->member, w->size, &begin, &end);
    for (size_t r = begin, some; r < end; r += some) {
        bg_product p;
        some = BG_MIN(end - r, (size_t)BG_GRAD_TILE);
        p = gradient_of(w, dy, dy_stride, w->p->n, r, some, w->own + t->ne[0] * BG_GRAD_TILE);
        p.n = t->ne[0];
        p.b = w->grad->pairs ? x_pairs : x;
        p.b_k = x_stride;
        p.c = w->own;
        p.c_m = t->ne[0];
        bg_grad_multiply(w, &p);
        bg_grad_give(w, tensor, r, some, w->own);
    }
}

/* This member's rows of a layer's matrix, two by two where products are of pairs. */
static void fetch_matrix(const bg_grad_worker *w, size_t tensor, float *out)
{
    const bg_tensor *t = bg_grad_tensor(w->grad, tensor);
    size_t k = t->ne[0], begin, end;
    bg_team_share(t->ne[1], 4, w->member, w->size, &begin, &end);
    if (!w->grad->pairs && begin < end)
        bg_grad_fetch(w, tensor, begin, end - begin, out + begin * k);
    for (size_t r = begin; r < end && w->grad->pairs; r += 2) {
        bg_grad_fetch(w, tensor, r, 2, w->own);
        w->ops->pair_rows(w->own, w->own + k, out + r / 2 * k, k);
    }
}

/* All of a layer's weights, before any of them change. */
static void fetch_layer(const bg_grad_worker *w, size_t l)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    for (size_t i = 0; i < BG_GRAD_MATRICES; i++) fetch_matrix(w, layer->w[i], g->matrices[i]);
    if (w->member == 0) {
        bg_grad_fetch(w, layer->attn_norm, 0, 1, g->norms);
        bg_grad_fetch(w, layer->ffn_norm, 0, 1, g->norms + g->n_embd);
    }
    bg_grad_barrier(w);
}

/* From dx to dx_mid, then to datt: this member's positions. */
static void feed_forward_back(const bg_grad_worker *w, size_t l)
{
    const bg_grad *g = w->grad;
    const bg_grad_kept *kept = &g->kept[l];
    const float *weight = g->norms + g->n_embd;
    times_matrix(w, l, BG_GRAD_DOWN, g->dx, g->e_stride, g->dgate, g->ff_stride, false);
    for (size_t i = w->begin; i < w->end; i++) {
        size_t at = i * g->ff_stride;
        w->ops->gated_back(kept->gate + at, kept->up + at, g->dgate + at, g->h + at, g->dgate + at,
                           g->dup + at, g->layers[l].n_ff);
    }
    times_matrix(w, l, BG_GRAD_GATE, g->dgate, g->ff_stride, g->dn, g->e_stride, false);
    times_matrix(w, l, BG_GRAD_UP, g->dup, g->ff_stride, g->dn, g->e_stride, true);
    for (size_t i = w->begin; i < w->end; i++) {
        size_t at = i * g->e_stride;
        const float *x = kept->x_mid + at;
        w->ops->norm(x, weight, g->eps, g->n2 + at, g->n_embd);
        memcpy(g->dx_mid + at, g->dx + at, g->n_embd * sizeof *g->dx);
        w->ops->norm_back(x, weight, kept->inverse_mid[i], g->dn + at, g->dx_mid + at, g->n_embd);
    }
    times_matrix(w, l, BG_GRAD_OUT, g->dx_mid, g->e_stride, g->datt, g->q_stride, false);
    bg_grad_pair_positions(w, g->h, g->ff_stride, g->layers[l].n_ff, g->h_pairs);
    bg_grad_pair_positions(w, g->n2, g->e_stride, g->n_embd, g->n2_pairs);
    bg_grad_pair_positions(w, kept->att, g->q_stride, g->layers[l].n_head * g->head_dim,
                           g->att_pairs);
    bg_grad_barrier(w);
}

static void rotate_back(const bg_grad *g, float *x, const float *turn)
{
    for (size_t d = 0; d < g->rope_dim; d += 2) {
        float a = x[d], b = x[d + 1];
        x[d] = a * turn[d] + b * turn[d + 1];
        x[d + 1] = b * turn[d] - a * turn[d + 1];
    }
}

/* Query heads that share a key head: their sum, at the place of the key head. */
static void gather_heads(const bg_grad_worker *w, const bg_grad_layer *layer, float *row)
{
    size_t group = layer->n_head / layer->n_head_kv, dim = w->grad->head_dim;
    for (size_t k = 0; k < layer->n_head_kv; k++) {
        memmove(row + k * dim, row + k * group * dim, dim * sizeof *row);
        for (size_t h = 1; h < group; h++)
            w->ops->add(row + k * dim, row + (k * group + h) * dim, dim);
    }
}

/* From dq, dk, dv of heads to dx: this member's positions. */
static void attention_back(const bg_grad_worker *w, size_t l)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    const bg_grad_kept *kept = &g->kept[l];
    for (size_t i = w->begin; i < w->end; i++) {
        const float *turn = g->turn + i % g->n_ctx * g->rope_dim;
        size_t at = i * g->q_stride;
        gather_heads(w, layer, g->dk + at);
        gather_heads(w, layer, g->dv + at);
        for (size_t h = 0; h < layer->n_head; h++)
            rotate_back(g, g->dq + at + h * g->head_dim, turn);
        for (size_t h = 0; h < layer->n_head_kv; h++)
            rotate_back(g, g->dk + at + h * g->head_dim, turn);
    }
    times_matrix(w, l, BG_GRAD_Q, g->dq, g->q_stride, g->dn, g->e_stride, false);
    times_matrix(w, l, BG_GRAD_K, g->dk, g->q_stride, g->dn, g->e_stride, true);
    times_matrix(w, l, BG_GRAD_V, g->dv, g->q_stride, g->dn, g->e_stride, true);
    for (size_t i = w->begin; i < w->end; i++) {
        size_t at = i * g->e_stride;
        const float *x = kept->x + at;
        w->ops->norm(x, g->norms, g->eps, g->n1 + at, g->n_embd);
        memcpy(g->dx + at, g->dx_mid + at, g->n_embd * sizeof *g->dx);
        w->ops->norm_back(x, g->norms, kept->inverse[i], g->dn + at, g->dx + at, g->n_embd);
    }
    bg_grad_pair_positions(w, g->n1, g->e_stride, g->n_embd, g->n1_pairs);
    bg_grad_barrier(w);
}

static void layer_back(const bg_grad_worker *w, size_t l)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    const bg_grad_kept *kept = &g->kept[l];
    fetch_layer(w, l);
    feed_forward_back(w, l);
    give_matrix(w, layer->w[BG_GRAD_DOWN], g->dx, g->e_stride, g->h, g->h_pairs, g->ff_stride);
    give_matrix(w, layer->w[BG_GRAD_GATE], g->dgate, g->ff_stride, g->n2, g->n2_pairs, g->e_stride);
    give_matrix(w, layer->w[BG_GRAD_UP], g->dup, g->ff_stride, g->n2, g->n2_pairs, g->e_stride);
    give_matrix(w, layer->w[BG_GRAD_OUT], g->dx_mid, g->e_stride, kept->att, g->att_pairs,
                g->q_stride);
    bg_grad_sum_norm(w, kept->x_mid, kept->inverse_mid, g->dn, g->norm_sums + g->n_embd);
    bg_grad_attend_back(w, l);
    bg_grad_barrier(w);
    attention_back(w, l);
    give_matrix(w, layer->w[BG_GRAD_Q], g->dq, g->q_stride, g->n1, g->n1_pairs, g->e_stride);
    give_matrix(w, layer->w[BG_GRAD_K], g->dk, g->q_stride, g->n1, g->n1_pairs, g->e_stride);
    give_matrix(w, layer->w[BG_GRAD_V], g->dv, g->q_stride, g->n1, g->n1_pairs, g->e_stride);
    bg_grad_sum_norm(w, kept->x, kept->inverse, g->dn, g->norm_sums);
    bg_grad_barrier(w);
    if (w->member > 0) return;
    bg_grad_give(w, layer->attn_norm, 0, 1, g->norm_sums);
    bg_grad_give(w, layer->ffn_norm, 0, 1, g->norm_sums + g->n_embd);
}

/* ---- the embedding ------------------------------------------------------------------------ */

/* Sums of dx by token: of an embedding alone only the tokens of the batch, else on top of the
 * gradient of the output matrix. */
static void embedding_back(const bg_grad_worker *w)
{
    const bg_grad *g = w->grad;
    size_t begin, end;
    bg_team_share(g->n_vocab, BG_GRAD_PANEL, w->member, w->size, &begin, &end);
    for (size_t token = begin; token < end; token++) {
        float *sum = g->tied ? g->d_output + token * g->n_embd : w->own;
        if (g->first[token] < 0) continue;
        if (!g->tied) memset(sum, 0, g->n_embd * sizeof *sum);
        for (int32_t i = g->first[token]; i >= 0; i = g->next[i])
            w->ops->add(sum, g->dx + (size_t)i * g->e_stride, g->n_embd);
        if (!g->tied) bg_grad_give(w, g->token_embd, token, 1, sum);
    }
    if (g->tied && begin < end)
        bg_grad_give(w, g->output, begin, end - begin, g->d_output + begin * g->n_embd);
}

void bg_grad_backward(const bg_grad_worker *w)
{
    for (size_t l = w->grad->n_layer; l > 0; l--) layer_back(w, l - 1);
    embedding_back(w);
}
