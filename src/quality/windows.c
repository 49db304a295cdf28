#include "quality/windows.h"

enum { BATCH = 512 }; /* tokens of one evaluation: enough to reuse weights, little memory */

/* The last position of a window predicts nothing that is scored: it is left out. */
static uint32_t used_positions(const bg_windows *w) { return w->n_ctx - 1; }

uint32_t bg_windows_abreast(const bg_windows *w) { return BG_MAX(1, BATCH / w->n_ctx); }

static uint32_t positions_per_step(const bg_windows *w)
{
    return BG_MIN(used_positions(w), (uint32_t)BATCH);
}

bool bg_windows_next(const bg_windows *w, bg_step *s)
{
    uint32_t first_scored = w->n_ctx / 2;
    if (s->end == 0 || s->end == used_positions(w)) {
        s->window += s->windows;
        s->end = 0;
        if (s->window >= w->count) return false;
        s->windows = (uint32_t)BG_MIN((uint64_t)bg_windows_abreast(w), w->count - s->window);
    }
    s->first_row += s->rows;
    s->begin = s->end;
    s->end = s->begin + BG_MIN(positions_per_step(w), used_positions(w) - s->begin);
    s->rows = 0;
    if (s->end > first_scored)
        s->rows = (size_t)s->windows * (s->end - BG_MAX(s->begin, first_scored));
    return true;
}

size_t bg_pieces(size_t rows, size_t n_vocab, size_t bytes)
{
    enum { LEAST = 4 };
    size_t most = BG_MAX(bytes / (n_vocab * sizeof(float)), (size_t)LEAST);
    return (rows + most - 1) / most;
}

size_t bg_windows_step_rows(const bg_windows *w)
{
    return (size_t)bg_windows_abreast(w) * BG_MIN(w->scored, positions_per_step(w));
}

bg_status bg_runner_open(bg_runner *r, const bg_windows *w, const bg_model *m,
                         bg_activations activations, bool bare, const bg_quality_options *o,
                         bg_error *err)
{
    const bg_tokenizer *t = bg_model_tokenizer(m);
    size_t batch = (size_t)bg_windows_abreast(w) * positions_per_step(w);
    bg_session_options so = {
        .n_ctx = w->n_ctx, .n_batch = (uint32_t)batch, .n_seq = bg_windows_abreast(w),
        .isa = o->isa, .team = o->team, .activations = activations, .bare = bare,
    };
    const bg_hparams *h = bg_model_hparams(m);
    *r = (bg_runner){.windows = w, .n_layer = bg_model_layers_held(m), .n_vocab = h->n_vocab,
                     .n_embd = h->n_embd,
                     .bos = bg_tokenizer_adds_bos(t) ? bg_tokenizer_bos(t) : -1};
    r->tokens = bg_alloc(batch, sizeof *r->tokens);
    r->seq = bg_alloc(batch, sizeof *r->seq);
    r->want = bg_alloc(batch, 1);
    r->keep = bg_alloc(r->n_layer + 1, sizeof *r->keep);
    if (!r->tokens || !r->seq || !r->want || !r->keep) {
        bg_runner_close(r);
        return bg_fail_nomem(err, "a batch", batch * 9);
    }
    bg_status status = bg_session_open(&r->session, m, &so, err);
    if (status != BG_OK) bg_runner_close(r);
    return status;
}

void bg_runner_close(bg_runner *r)
{
    bg_session_close(&r->session);
    bg_free(r->tokens);
    bg_free(r->seq);
    bg_free(r->want);
    bg_free(r->keep);
    *r = (bg_runner){0};
}

bg_status bg_runner_step(bg_runner *r, const bg_step *step, float *stream, bg_error *err)
{
    const bg_windows *w = r->windows;
    bg_batch b = {.tokens = r->tokens, .seq = r->seq, .want = r->want};
    bg_resume keep = {.keep = r->keep};
    for (uint32_t i = 0; i < step->windows; i++) {
        const int32_t *window = w->tokens + (step->window + i) * w->n_ctx;
        if (step->begin == 0) bg_session_reset(r->session, i);
        for (uint32_t p = step->begin; p < step->end; p++, b.n++) {
            r->tokens[b.n] = p == 0 && r->bos >= 0 ? r->bos : window[p];
            r->seq[b.n] = i;
            r->want[b.n] = p >= w->n_ctx / 2;
        }
    }
    r->keep[r->n_layer] = stream;
    return bg_session_resume(r->session, &b, &keep, NULL, err);
}
