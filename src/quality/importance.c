/* Importance: a model run over a text, and what its matrices read, squared and added up. */
#include "base/team.h"
#include "bitgauge/quality.h"

#include "base/base.h"
#include "model/model.h"

#include <string.h>

enum { DEFAULT_CTX = 512, BATCH = 512 };

/* Sums of one member of the team. */
typedef struct sums {
    double *squares;         /* [total] the columns of every tensor that counts */
    uint64_t *counts;        /* of each tensor */
} sums;

typedef struct collector {
    const bg_model *model;
    const bg_tensor *first;  /* of the model's */
    size_t n_tensors, total;
    size_t *offsets;         /* of each tensor in `squares`; SIZE_MAX: it does not count */
    sums *members;
    int n_members;
    bg_session *session;
    uint32_t n_ctx, abreast; /* windows side by side */
    int32_t bos, *tokens;    /* bos: what the first token of a window becomes; -1: stays */
    uint32_t *seq;
    uint8_t *want;
} collector;

static void see(void *user, int member, const bg_tensor *t, size_t column, const float *x,
                size_t first, size_t n)
{
    const collector *c = user;
    size_t index = (size_t)(t - c->first);
    double *out;
    (void)column;
    if (index >= c->n_tensors || c->offsets[index] == SIZE_MAX) return;
    out = c->members[member].squares + c->offsets[index] + first;
    for (size_t i = 0; i < n; i++) out[i] += (double)x[i] * (double)x[i];
    if (first == 0) c->members[member].counts[index]++;
}

static bool counts(const bg_model *m, const bg_tensor *t, bool output)
{
    const char *name = bg_model_tensor_find(m, "output.weight") ? "output.weight"
                                                                : "token_embd.weight";
    if (t->n_dims < 2) return false;
    return strncmp(t->name, "blk.", 4) == 0 || (output && strcmp(t->name, name) == 0);
}

static void collector_close(collector *c)
{
    bg_session_close(&c->session);
    for (int i = 0; c->members && i < c->n_members; i++) {
        bg_free(c->members[i].squares);
        bg_free(c->members[i].counts);
    }
    bg_free(c->members);
    bg_free(c->offsets);
    bg_free(c->tokens);
    bg_free(c->seq);
    bg_free(c->want);
}

static bg_status make_room(collector *c, const bg_importance_options *o, bg_error *err)
{
    const bg_tokenizer *t = bg_model_tokenizer(c->model);
    size_t n = c->n_tensors, batch;
    c->n_ctx = o->n_ctx ? o->n_ctx : DEFAULT_CTX;
    c->abreast = BG_MAX(1, BATCH / c->n_ctx);
    c->bos = bg_tokenizer_adds_bos(t) ? bg_tokenizer_bos(t) : -1;
    batch = BG_MAX((size_t)c->abreast * c->n_ctx, BATCH);
    c->n_members = bg_team_size(o->team);
    c->offsets = bg_alloc(n, sizeof *c->offsets);
    c->members = bg_alloc((size_t)c->n_members, sizeof *c->members);
    c->tokens = bg_alloc(batch, sizeof *c->tokens);
    c->seq = bg_alloc(batch, sizeof *c->seq);
    c->want = bg_alloc(batch, 1);
    if (!c->offsets || !c->members || !c->tokens || !c->seq || !c->want)
        return bg_fail_nomem(err, "the importance matrix", batch * 9);
    memset(c->want, 1, batch);
    for (size_t i = 0; i < n; i++) {
        bool used = counts(c->model, &c->first[i], o->output);
        c->offsets[i] = used ? c->total : SIZE_MAX;
        if (used) c->total += c->first[i].ne[0];
    }
    for (int i = 0; i < c->n_members; i++) {
        c->members[i] = (sums){bg_alloc(c->total, sizeof(double)), bg_alloc(n, sizeof(uint64_t))};
        if (!c->members[i].squares || !c->members[i].counts)
            return bg_fail_nomem(err, "the importance matrix", c->total * sizeof(double));
    }
    return BG_OK;
}

static bg_status collector_open(collector *c, const bg_model *m, const bg_importance_options *o,
                                bg_error *err)
{
    bg_session_options so = {.isa = o->isa, .team = o->team, .n_batch = BATCH};
    *c = (collector){.model = m, .first = bg_model_tensor_at(m, 0),
                     .n_tensors = bg_model_tensor_count(m)};
    BG_TRY(make_room(c, o, err));
    so.n_ctx = c->n_ctx;
    so.n_seq = c->abreast;
    return bg_session_open(&c->session, m, &so, err);
}

/* Windows that lie after one another in the text, each with a sequence of its own. */
static bg_status run_windows(collector *c, const int32_t *text, uint32_t windows, bg_error *err)
{
    bg_batch b = {.tokens = c->tokens, .seq = c->seq, .want = c->want};
    uint32_t step = BG_MIN(c->n_ctx, (uint32_t)BATCH);
    for (uint32_t w = 0; w < windows; w++) bg_session_reset(c->session, w);
    for (uint32_t at = 0; at < c->n_ctx; at += step) {
        uint32_t end = BG_MIN(at + step, c->n_ctx);
        b.n = 0;
        for (uint32_t w = 0; w < windows; w++)
            for (uint32_t p = at; p < end; p++, b.n++) {
                c->tokens[b.n] = p == 0 && c->bos >= 0 ? c->bos : text[w * c->n_ctx + p];
                c->seq[b.n] = w;
            }
        BG_TRY(bg_session_eval(c->session, &b, NULL, err));
    }
    return BG_OK;
}

static bg_status run_text(collector *c, const int32_t *tokens, uint64_t windows,
                          const bg_importance_options *o, bg_error *err)
{
    const bg_observer observer = {see, c};
    bg_session_observe(c->session, &observer);
    for (uint64_t w = 0; w < windows; w += c->abreast) {
        uint32_t some = (uint32_t)BG_MIN((uint64_t)c->abreast, windows - w);
        BG_TRY(run_windows(c, tokens + w * c->n_ctx, some, err));
        if (o->progress && !o->progress(o->user, w + some, windows))
            return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "stopped: nothing was written");
    }
    return BG_OK;
}

/* Members are added up in their order. */
static bg_status hand_over(const collector *c, bg_importance *out, bg_error *err)
{
    for (size_t i = 0; i < c->n_tensors; i++) {
        const bg_tensor *t = &c->first[i];
        double *squares;
        char buffer[128];
        const char *name = bg_fusion_name(c->model->arch, t->name, buffer, sizeof buffer);
        uint64_t count = c->members[0].counts[i];
        if (c->offsets[i] == SIZE_MAX) continue;
        /* Another piece of it reads the same. */
        if (bg_importance_find(out, name, t->ne[0])) continue;
        squares = c->members[0].squares + c->offsets[i];
        for (int m = 1; m < c->n_members; m++) {
            count += c->members[m].counts[i];
            for (size_t k = 0; k < t->ne[0]; k++)
                squares[k] += c->members[m].squares[c->offsets[i] + k];
        }
        if (count) BG_TRY(bg_importance_add(out, name, squares, t->ne[0], count, err));
    }
    return BG_OK;
}

bg_status bg_importance_collect(bg_importance **out, const bg_model *m, const int32_t *tokens,
                                size_t n_tokens, const char *dataset,
                                const bg_importance_options *o, bg_error *err)
{
    collector c;
    uint64_t windows;
    bg_status s = collector_open(&c, m, o, err);
    *out = NULL;
    windows = s == BG_OK ? n_tokens / c.n_ctx : 0;
    if (s == BG_OK && windows == 0)
        s = bg_fail(err, BG_ERR_INPUT, NULL, "the text has %zu tokens, but a window needs %u: give "
                    "a longer text or a smaller --ctx", n_tokens, c.n_ctx);
    if (o->max_windows) windows = BG_MIN(windows, o->max_windows);
    if (s == BG_OK) s = run_text(&c, tokens, windows, o, err);
    if (s == BG_OK) s = bg_importance_new(out, dataset, (uint32_t)windows, c.n_ctx, err);
    if (s == BG_OK) s = hand_over(&c, *out, err);
    if (s != BG_OK) bg_importance_close(out);
    collector_close(&c);
    return s;
}
