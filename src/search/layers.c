#include "search/layers.h"

#include <string.h>

bg_status bg_passages_take(bg_passages *w, const bg_model *m, const int32_t *tokens, size_t n,
                          uint64_t most, uint32_t n_ctx, bg_error *err)
{
    const bg_tokenizer *t = bg_model_tokenizer(m);
    int32_t bos = bg_tokenizer_adds_bos(t) ? bg_tokenizer_bos(t) : -1;
    uint64_t all = n_ctx ? n / n_ctx : 0, step;
    *w = (bg_passages){.n = BG_MIN(most, all), .n_ctx = n_ctx};
    if (n_ctx < 2 || w->n == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the text has %zu tokens, but a window needs %u: "
                       "give a longer text", n, BG_MAX(n_ctx, 2u));
    step = all / w->n;
    w->tokens = bg_alloc((size_t)w->n * n_ctx, sizeof *tokens);
    if (!w->tokens) return bg_fail_nomem(err, "the text", n * sizeof *tokens);
    for (uint64_t i = 0; i < w->n; i++) {
        memcpy(w->tokens + i * n_ctx, tokens + i * step * n_ctx, n_ctx * sizeof *tokens);
        if (bos >= 0) w->tokens[i * n_ctx] = bos;
    }
    return BG_OK;
}

bg_status bg_layers_open(bg_layers *l, const bg_model *m, const bg_passages *w, bg_isa isa,
                         bg_team *team, bg_error *err)
{
    const bg_hparams *h = &m->h;
    bg_session_options so = {.isa = isa, .team = team, .bare = true, .n_ctx = w->n_ctx,
                             .n_batch = w->n_ctx};
    *l = (bg_layers){.model = m, .windows = w, .team = team};
    l->streams_bytes = (size_t)w->n * w->n_ctx * bg_half_row(h->n_embd) * sizeof *l->streams;
    l->streams = bg_alloc_large(l->streams_bytes);
    l->want = bg_alloc(w->n_ctx, 1);
    l->keep = bg_alloc((size_t)h->n_layer + 1, sizeof *l->keep);
    l->middles = bg_alloc((size_t)h->n_layer + 1, sizeof *l->middles);
    if (!l->streams || !l->want || !l->keep || !l->middles)
        return bg_fail_nomem(err, "what the layers read", l->streams_bytes);
    memset(l->want, 1, w->n_ctx); /* the last layer sees the wanted ones alone */
    return bg_session_open(&l->session, m, &so, err);
}

static void drop_layer(bg_layers *l)
{
    for (size_t w = 0; w < BG_W_COUNT; w++) {
        bg_free_large(l->packed[w], l->packed_bytes[w]);
        l->packed[w] = NULL;
    }
}

void bg_layers_close(bg_layers *l)
{
    bg_session_close(&l->session);
    drop_layer(l);
    bg_free_large(l->streams, l->streams_bytes);
    bg_free(l->want);
    bg_free(l->keep);
    bg_free(l->middles);
    *l = (bg_layers){.model = NULL};
}

bg_status bg_layers_pack(bg_layers *l, uint32_t layer, bg_matrix_id w, bg_error *err)
{
    const bg_tensor *t = l->model->layers[layer].w[w];
    const bg_format_info *format = bg_format_get((int)t->format);
    if (!t->data)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(l->model->gguf), "tensor %s is not as it is in "
                       "a file any more", t->name);
    if (!l->packed[w]) {
        l->packed_bytes[w] = bg_packed_bytes(format, t->ne[1], t->ne[0]);
        l->packed[w] = bg_alloc_large(l->packed_bytes[w]);
        if (!l->packed[w]) return bg_fail_nomem(err, t->name, l->packed_bytes[w]);
    }
    BG_TRY(bg_pack_matrix(format, t->data, l->packed[w], t->ne[1], t->ne[0], l->team, err));
    bg_gguf_release(l->model->gguf, t->data, t->bytes);
    bg_session_substitute(l->session, t, t->format, l->packed[w]);
    return BG_OK;
}

bg_status bg_layers_take(bg_layers *l, uint32_t layer, bg_error *err)
{
    if (l->taken == layer + 1) return BG_OK;
    drop_layer(l);
    l->taken = layer + 1;
    for (int w = 0; w < BG_W_COUNT; w++) BG_TRY(bg_layers_pack(l, layer, (bg_matrix_id)w, err));
    return BG_OK;
}

uint16_t *bg_layers_stream(const bg_layers *l, uint64_t window, size_t row)
{
    return l->streams + (window * l->windows->n_ctx + row) * bg_half_row(l->model->h.n_embd);
}

bg_status bg_layers_run(bg_layers *l, uint64_t window, const bg_layers_pass *p, bg_error *err)
{
    const bg_passages *w = l->windows;
    uint16_t *here = bg_layers_stream(l, window, 0);
    bg_batch b = {.n = w->n_ctx, .tokens = w->tokens + window * w->n_ctx, .want = l->want};
    bg_resume resume = {.first = p->first, .end = p->end, .until = p->until, .half = true,
                        .from = here, .keep = l->keep, .middle = l->middles};
    bg_status s;
    l->keep[p->place] = p->keeps ? here : NULL;
    l->middles[p->first] = p->middle;
    bg_session_observe(l->session, p->observer);
    bg_session_reset(l->session, 0);
    s = bg_session_resume(l->session, &b, &resume, NULL, err);
    bg_session_observe(l->session, NULL);
    l->keep[p->place] = NULL;
    l->middles[p->first] = NULL;
    return s;
}
