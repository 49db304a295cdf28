/* The pass forward: from tokens to the last layer's output. */
#include "search/grad.h"

#include <math.h>
#include <string.h>

void bg_grad_pair_rows(const bg_grad_worker *w, const float *x, size_t stride, size_t n, float *out,
                       size_t out_stride)
{
    for (size_t i = w->begin; i < w->end && w->grad->pairs; i++)
        w->ops->pair_row(x + i * stride, out + i * out_stride, n);
}

void bg_grad_pair_positions(const bg_grad_worker *w, const float *x, size_t stride, size_t n,
                            float *out)
{
    for (size_t i = w->begin; i < w->end && w->grad->pairs; i += 2)
        w->ops->pair_rows(x + i * stride, x + (i + 1) * stride, out + i / 2 * stride, n);
}

void bg_grad_columns(const bg_grad *grad, float *raw, size_t rows, size_t k, float *columns,
                     size_t stride, size_t padded)
{
    for (size_t r = 0; r < rows && grad->pairs; r++)
        grad->ops->pair_row(raw + r * k, raw + r * k, k);
    grad->ops->transpose(raw, k, rows, bg_grad_units(grad, k), columns, stride, padded);
}

/* y = x W' of all positions, rows of W shared out; `add`: on top of what y has. With pairs, x is
 * already in row_pairs. Small matrices are cut by positions too, so that every member of a large
 * team has something to do. */
static void project(const bg_grad_worker *w, size_t tensor, const float *x, size_t x_stride,
                    float *y, size_t y_stride, bool add)
{
    const bg_grad *g = w->grad;
    const bg_tensor *t = bg_grad_tensor(g, tensor);
    size_t k = t->ne[0], rows = t->ne[1], n = w->p->n;
    size_t panels = (rows + BG_GRAD_PANEL - 1) / BG_GRAD_PANEL, members = (size_t)w->size;
    size_t parts = BG_MAX(BG_MIN(n / 128, (2 * members + panels - 1) / panels), (size_t)1);
    size_t part = bg_round_up((n + parts - 1) / parts, 48), begin, end;
    float *columns = w->own, *raw = w->own + k * BG_GRAD_PANEL;
    if (g->pairs) x = g->row_pairs, x_stride = g->pair_stride;
    bg_team_share(panels * parts, 1, w->member, w->size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t r = i / parts * BG_GRAD_PANEL, at = BG_MIN(i % parts * part, n);
        size_t some = BG_MIN(rows - r, (size_t)BG_GRAD_PANEL);
        if (i == begin || i % parts == 0) {
            bg_grad_fetch(w, tensor, r, some, raw);
            bg_grad_columns(g, raw, some, k, columns, BG_GRAD_PANEL, BG_GRAD_PANEL);
        }
        bg_grad_multiply(w, &(bg_product){
            .m = BG_MIN(n - at, part), .n = some, .k = bg_grad_units(g, k), .a = x + at * x_stride,
            .a_m = x_stride, .a_k = 1, .b = columns, .b_k = BG_GRAD_PANEL,
            .c = y + at * y_stride + r, .c_m = y_stride, .add = add,
        });
    }
}

static void rotate(const bg_grad_worker *w, float *x, size_t stride, size_t heads)
{
    const bg_grad *g = w->grad;
    for (size_t i = w->begin; i < w->end; i++) {
        const float *turn = g->turn + i % g->n_ctx * g->rope_dim;
        for (size_t h = 0; h < heads; h++) {
            float *v = x + i * stride + h * g->head_dim;
            for (size_t d = 0; d < g->rope_dim; d += 2) {
                float a = v[d], b = v[d + 1];
                v[d] = a * turn[d] - b * turn[d + 1];
                v[d + 1] = a * turn[d + 1] + b * turn[d];
            }
        }
    }
}

static void normalise(const bg_grad_worker *w, const float *x, const float *weight, float *inverse,
                      float *y)
{
    const bg_grad *g = w->grad;
    for (size_t i = w->begin; i < w->end; i++)
        inverse[i] = w->ops->norm(x + i * g->e_stride, weight, g->eps, y + i * g->e_stride,
                                  g->n_embd);
}

static void copy_rows(const bg_grad_worker *w, const float *from, float *to)
{
    size_t stride = w->grad->e_stride;
    memcpy(to + w->begin * stride, from + w->begin * stride,
           (w->end - w->begin) * stride * sizeof *to);
}

/* A norm's weights, in the scratch of who asks. */
static const float *fetch_norm(const bg_grad_worker *w, size_t tensor)
{
    bg_grad_fetch(w, tensor, 0, 1, w->own);
    return w->own;
}

static void attention_half(const bg_grad_worker *w, size_t l)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    const bg_grad_kept *kept = &g->kept[l];
    normalise(w, kept->x, fetch_norm(w, layer->attn_norm), kept->inverse, g->n1);
    copy_rows(w, kept->x, kept->x_mid);
    bg_grad_pair_rows(w, g->n1, g->e_stride, g->n_embd, g->row_pairs, g->pair_stride);
    bg_grad_barrier(w);
    project(w, layer->w[BG_GRAD_Q], g->n1, g->e_stride, kept->q, g->q_stride, false);
    project(w, layer->w[BG_GRAD_K], g->n1, g->e_stride, kept->k, g->kv_stride, false);
    project(w, layer->w[BG_GRAD_V], g->n1, g->e_stride, kept->v, g->kv_stride, false);
    bg_grad_barrier(w);
    rotate(w, kept->q, g->q_stride, layer->n_head);
    rotate(w, kept->k, g->kv_stride, layer->n_head_kv);
    bg_grad_barrier(w);
    bg_grad_attend(w, l);
    bg_grad_barrier(w);
    if (g->pairs) {
        bg_grad_pair_rows(w, kept->att, g->q_stride, layer->n_head * g->head_dim, g->row_pairs,
                          g->pair_stride);
        bg_grad_barrier(w);
    }
    project(w, layer->w[BG_GRAD_OUT], kept->att, g->q_stride, kept->x_mid, g->e_stride, true);
    bg_grad_barrier(w);
}

static void feed_forward_half(const bg_grad_worker *w, size_t l, float *out)
{
    const bg_grad *g = w->grad;
    const bg_grad_layer *layer = &g->layers[l];
    const bg_grad_kept *kept = &g->kept[l];
    normalise(w, kept->x_mid, fetch_norm(w, layer->ffn_norm), kept->inverse_mid, g->n2);
    copy_rows(w, kept->x_mid, out);
    bg_grad_pair_rows(w, g->n2, g->e_stride, g->n_embd, g->row_pairs, g->pair_stride);
    bg_grad_barrier(w);
    project(w, layer->w[BG_GRAD_GATE], g->n2, g->e_stride, kept->gate, g->ff_stride, false);
    project(w, layer->w[BG_GRAD_UP], g->n2, g->e_stride, kept->up, g->ff_stride, false);
    bg_grad_barrier(w);
    for (size_t i = w->begin; i < w->end; i++) {
        size_t at = i * g->ff_stride;
        w->ops->gated(kept->gate + at, kept->up + at, g->h + at, layer->n_ff);
    }
    bg_grad_pair_rows(w, g->h, g->ff_stride, layer->n_ff, g->row_pairs, g->pair_stride);
    bg_grad_barrier(w);
    project(w, layer->w[BG_GRAD_DOWN], g->h, g->ff_stride, out, g->e_stride, true);
    bg_grad_barrier(w);
}

void bg_grad_forward(const bg_grad_worker *w)
{
    const bg_grad *g = w->grad;
    float *first = g->n_layer ? g->kept[0].x : g->x;
    for (size_t i = w->begin; i < w->end; i++)
        bg_grad_fetch(w, g->token_embd, (size_t)w->p->batch->tokens[i], 1, first + i * g->e_stride);
    for (size_t l = 0; l < g->n_layer; l++) {
        attention_half(w, l);
        feed_forward_half(w, l, l + 1 < g->n_layer ? g->kept[l + 1].x : g->x);
    }
    normalise(w, g->x, fetch_norm(w, g->output_norm), g->inverse, g->y);
    bg_grad_pair_rows(w, g->y, g->e_stride, g->n_embd, g->n1_pairs, g->e_stride / 2);
    bg_grad_pair_positions(w, g->y, g->e_stride, g->n_embd, g->y_pairs);
    bg_grad_barrier(w);
}

void bg_grad_fetch_output(const bg_grad_worker *w)
{
    const bg_grad *g = w->grad;
    size_t begin, end, e = g->n_embd;
    bg_team_share(g->n_vocab, BG_GRAD_PANEL, w->member, w->size, &begin, &end);
    for (size_t r = begin; r < end; r += BG_GRAD_PANEL) {
        size_t some = BG_MIN(end - r, (size_t)BG_GRAD_PANEL);
        float *rows = g->pairs ? w->own : g->output_rows + r * e;
        bg_grad_fetch(w, g->output, r, some, rows);
        for (size_t i = 0; i < some && g->pairs; i += 2)
            w->ops->pair_rows(rows + i * e, rows + (i + 1) * e,
                              g->output_rows + (r + i) / 2 * e, e);
        bg_grad_columns(g, rows, some, e, g->output_columns + r, g->v_stride, some);
    }
    bg_grad_barrier(w);
}

/* ---- whole passes ------------------------------------------------------------------------- */

static void run_all(void *user, int member, int size)
{
    bg_grad_worker w = bg_grad_worker_of(user, member, size);
    bg_grad_forward(&w);
    bg_grad_fetch_output(&w);
    bg_grad_head(&w);
    if (w.p->w->gradient) bg_grad_backward(&w);
}

/* Positions of each token, the last first. */
static void list_tokens(bg_grad *grad, const bg_grad_batch *batch, size_t n)
{
    memset(grad->first, 0xff, grad->n_vocab * sizeof *grad->first);
    for (size_t i = 0; i < n; i++) {
        int32_t *first = &grad->first[batch->tokens[i]];
        grad->next[i] = *first;
        *first = (int32_t)i;
    }
}

double bg_grad_run(bg_grad *grad, const bg_grad_weights *w, const bg_grad_batch *batch)
{
    bg_grad_pass p = {grad, w, batch, batch->n_windows * grad->n_ctx, NULL, NULL};
    double sum = 0;
    list_tokens(grad, batch, p.n);
    bg_team_run(grad->team, run_all, &p);
    for (size_t i = 0; i < p.n; i++) sum += grad->losses[i];
    return sum / (double)p.n;
}

static void run_hidden(void *user, int member, int size)
{
    bg_grad_worker w = bg_grad_worker_of(user, member, size);
    const bg_grad *g = w.grad;
    bg_grad_forward(&w);
    for (size_t i = w.begin; i < w.end; i++)
        for (size_t d = 0; d < g->n_embd; d++)
            w.p->hidden[i * g->n_embd + d] = bg_f32_to_f16(g->y[i * g->e_stride + d]);
}

void bg_grad_hidden(bg_grad *grad, const bg_grad_weights *w, const int32_t *tokens,
                    size_t n_windows, uint16_t *hidden)
{
    bg_grad_batch batch = {.tokens = tokens, .n_windows = n_windows};
    bg_grad_pass p = {grad, w, &batch, n_windows * grad->n_ctx, hidden, NULL};
    bg_team_run(grad->team, run_hidden, &p);
}

float *bg_grad_output(const bg_grad *grad, const bg_grad_weights *w, size_t tensor, size_t *bytes)
{
    size_t e = grad->n_embd;
    float *raw = bg_alloc(e * BG_GRAD_PANEL, sizeof *raw), *columns;
    *bytes = e * grad->v_stride * sizeof *columns;
    columns = raw ? bg_alloc_large(*bytes) : NULL;
    for (size_t r = 0; r < grad->n_vocab && columns; r += BG_GRAD_PANEL) {
        size_t some = BG_MIN(grad->n_vocab - r, (size_t)BG_GRAD_PANEL);
        w->rows(w->user, tensor, r, some, raw);
        bg_grad_columns(grad, raw, some, e, columns + r, grad->v_stride, some);
    }
    bg_free(raw);
    return columns;
}

static void run_logits(void *user, int member, int size)
{
    bg_grad_worker w = bg_grad_worker_of(user, member, size);
    bg_grad_forward(&w);
    bg_grad_fetch_output(&w);
    bg_grad_write_logits(&w);
}

void bg_grad_logits(bg_grad *grad, const bg_grad_weights *w, const int32_t *tokens,
                    size_t n_windows, float *logits)
{
    bg_grad_batch batch = {.tokens = tokens, .n_windows = n_windows};
    bg_grad_pass p = {grad, w, &batch, n_windows * grad->n_ctx, NULL, logits};
    bg_team_run(grad->team, run_logits, &p);
}
