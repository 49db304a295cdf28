#include "quality/score.h"
#include "quality/windows.h"

#include <math.h>
#include <string.h>

enum { DEFAULT_CTX = 512, MIN_CTX = 4 };
#define DEFAULT_CACHE ((size_t)512 << 20)
#define DEFAULT_LOGITS ((size_t)32 << 20)

struct bg_reference {
    bg_windows windows;
    const bg_model *base;    /* NULL: none */
    float *cache;            /* the base's residual stream, of the first rows */
    size_t cache_bytes;
    uint64_t cached_rows;
};

static bool report(const bg_quality_options *o, uint64_t done, uint64_t total)
{
    return !o->progress || o->progress(o->user, done, total);
}

static bg_status fail_interrupted(bg_error *err)
{
    return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "stopped before the text was measured");
}

/* Runs the base over whole groups of windows as long as their rows fit. */
static bg_status fill_cache(bg_reference *r, const bg_quality_options *o, bg_error *err)
{
    size_t limit = o->cache_bytes ? o->cache_bytes : DEFAULT_CACHE;
    size_t row = (size_t)bg_model_hparams(r->base)->n_embd * sizeof(float);
    uint64_t per_window = r->windows.scored, fit = limit / row / per_window;
    bg_windows some = r->windows;
    bg_step step = {0};
    bg_runner runner;
    bg_status status;
    some.count = fit < some.count ? fit - fit % bg_windows_abreast(&some) : some.count;
    if (some.count == 0) return BG_OK;
    r->cache_bytes = (size_t)(some.count * per_window) * row;
    r->cache = bg_alloc_large(r->cache_bytes);
    if (!r->cache) return BG_OK; /* computed again each time instead */
    BG_TRY(bg_runner_open(&runner, &some, r->base, BG_ACTIVATIONS_OWN, false, o, err));
    status = BG_OK;
    while (status == BG_OK && bg_windows_next(&some, &step)) {
        status = bg_runner_step(&runner, &step, r->cache + step.first_row * (row / sizeof(float)),
                                err);
        if (status == BG_OK && !report(o, step.window + step.windows, some.count))
            status = fail_interrupted(err);
    }
    bg_runner_close(&runner);
    r->cached_rows = some.count * per_window;
    return status;
}

bg_status bg_reference_open(bg_reference **out, const bg_model *base, const int32_t *tokens,
                            size_t n_tokens, const bg_quality_options *o, bg_error *err)
{
    uint32_t n_ctx = o->n_ctx ? o->n_ctx : DEFAULT_CTX;
    uint64_t count = n_tokens / n_ctx, step = 1;
    bg_status status = BG_OK;
    bg_reference *r;
    *out = NULL;
    if (n_ctx < MIN_CTX)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "a window of %u tokens is too short: use at least %d", n_ctx, MIN_CTX);
    if (count == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "the text has %zu tokens, but a window needs %u: give a longer text or a "
                       "smaller --ctx", n_tokens, n_ctx);
    if (o->max_windows && count > o->max_windows) {
        step = o->spread ? count / o->max_windows : 1;
        count = o->max_windows;
    }
    r = bg_alloc(1, sizeof *r);
    if (!r) return bg_fail_nomem(err, "the reference", sizeof *r);
    r->base = base;
    r->windows = (bg_windows){.count = count, .n_ctx = n_ctx, .scored = n_ctx - 1 - n_ctx / 2};
    r->windows.tokens = bg_alloc(count * n_ctx, sizeof *tokens);
    for (uint64_t w = 0; r->windows.tokens && w < count; w++)
        memcpy(r->windows.tokens + w * n_ctx, tokens + w * step * n_ctx, n_ctx * sizeof *tokens);
    if (!r->windows.tokens)
        status = bg_fail_nomem(err, "the text", count * n_ctx * sizeof *tokens);
    if (status == BG_OK && base) status = fill_cache(r, o, err);
    if (status == BG_OK) *out = r;
    else bg_reference_close(&r);
    return status;
}

void bg_reference_close(bg_reference **reference)
{
    bg_reference *r = *reference;
    if (!r) return;
    bg_free(r->windows.tokens);
    bg_free_large(r->cache, r->cache_bytes);
    bg_free(r);
    *reference = NULL;
}

uint64_t bg_reference_windows(const bg_reference *r) { return r->windows.count; }

/* ---- measuring ---------------------------------------------------------------------------- */

typedef struct measurement {
    const bg_reference *r;
    bg_runner model, base;
    float *stream, *base_stream;   /* of one step */
    float *logits, *base_logits;   /* of a piece of it */
    size_t stream_bytes, base_stream_bytes, logits_bytes, most_logits;
    bg_token_score *scores;        /* of all rows */
    double *scratch;
    size_t n_scores;
} measurement;

/* The rows of a piece, shared out among the members of a team. */
typedef struct scoring {
    const bg_windows *windows;
    const float *logits, *base;    /* base: NULL for none */
    size_t n_vocab, rows;
    uint64_t first_row;
    bg_token_score *scores;
} scoring;

static void score_rows(void *user, int member, int size)
{
    const scoring *s = user;
    const bg_windows *w = s->windows;
    size_t begin, end;
    bg_team_share(s->rows, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        uint64_t row = s->first_row + i;
        uint64_t position = row / w->scored * w->n_ctx + w->n_ctx / 2 + row % w->scored;
        s->scores[row] = bg_score_logits(s->logits + i * s->n_vocab,
                                         s->base ? s->base + i * s->n_vocab : NULL, s->n_vocab,
                                         w->tokens[position + 1]);
    }
}

static bg_status check_model(const bg_reference *r, const bg_model *model, bg_error *err)
{
    const char *path = bg_gguf_path(bg_model_gguf(model));
    uint32_t n_vocab = bg_model_hparams(model)->n_vocab;
    if (r->base && (n_vocab != bg_model_hparams(r->base)->n_vocab ||
                    !bg_tokenizer_equal(bg_model_tokenizer(r->base), bg_model_tokenizer(model))))
        return bg_fail(err, BG_ERR_INPUT, path,
                       "has another vocabulary than the base %s: take the unquantized file of the "
                       "same model as base", bg_gguf_path(bg_model_gguf(r->base)));
    if (r->windows.n_ctx > bg_model_hparams(model)->n_ctx_train)
        bg_log(BG_LOG_WARN, "windows of %u tokens are longer than the %u that %s was trained on: "
               "its perplexity will suffer", r->windows.n_ctx, bg_model_hparams(model)->n_ctx_train,
               path);
    for (uint64_t i = 0; i < r->windows.count * r->windows.n_ctx; i++)
        if (r->windows.tokens[i] < 0 || (uint32_t)r->windows.tokens[i] >= n_vocab)
            return bg_fail(err, BG_ERR_INPUT, path,
                           "has %u tokens, but the text holds token %d: tokenize it with this "
                           "model", n_vocab, r->windows.tokens[i]);
    return BG_OK;
}

static void close_measurement(measurement *m)
{
    bg_runner_close(&m->model);
    bg_runner_close(&m->base);
    bg_free_large(m->stream, m->stream_bytes);
    bg_free_large(m->base_stream, m->base_stream_bytes);
    bg_free_large(m->logits, m->logits_bytes);
    bg_free_large(m->base_logits, m->logits_bytes);
    bg_free(m->scores);
    bg_free(m->scratch);
}

/* Memory for a step's residual stream, and for the logits of its largest piece. */
static bg_status make_room(measurement *m, size_t rows, bool run_base, bg_error *err)
{
    size_t pieces = bg_pieces(rows, m->model.n_vocab, m->most_logits);
    bool has_base = m->r->base != NULL;
    m->stream_bytes = rows * m->model.n_embd * sizeof(float);
    m->base_stream_bytes = rows * m->base.n_embd * sizeof(float);
    m->logits_bytes = (rows + pieces - 1) / pieces * m->model.n_vocab * sizeof(float);
    m->stream = bg_alloc_large(m->stream_bytes);
    if (run_base) m->base_stream = bg_alloc_large(m->base_stream_bytes);
    m->logits = bg_alloc_large(m->logits_bytes);
    if (has_base) m->base_logits = bg_alloc_large(m->logits_bytes);
    if (m->stream && m->logits && (m->base_stream || !run_base) && (m->base_logits || !has_base))
        return BG_OK;
    return bg_fail_nomem(err, "logits", 2 * m->logits_bytes + m->stream_bytes);
}

static bg_status open_measurement(measurement *m, const bg_reference *r, const bg_model *model,
                                  const bg_quality_options *o, bg_error *err)
{
    bool run_base = r->base && r->cached_rows < r->windows.count * r->windows.scored;
    *m = (measurement){.r = r, .n_scores = (size_t)(r->windows.count * r->windows.scored),
                       .most_logits = o->logits_bytes ? o->logits_bytes : DEFAULT_LOGITS};
    BG_TRY(check_model(r, model, err));
    BG_TRY(bg_runner_open(&m->model, &r->windows, model, o->activations, false, o, err));
    if (r->base)
        BG_TRY(bg_runner_open(&m->base, &r->windows, r->base, BG_ACTIVATIONS_OWN, !run_base, o,
                              err));
    BG_TRY(make_room(m, bg_windows_step_rows(&r->windows), run_base, err));
    m->scores = bg_alloc(m->n_scores, sizeof *m->scores);
    m->scratch = bg_alloc(m->n_scores, sizeof *m->scratch);
    if (!m->scores || !m->scratch)
        return bg_fail_nomem(err, "scores", m->n_scores * sizeof *m->scores);
    return BG_OK;
}

static bg_status measure_step(measurement *m, const bg_step *step, const bg_quality_options *o,
                              bg_error *err)
{
    const bg_reference *r = m->r;
    size_t pieces = bg_pieces(step->rows, m->model.n_vocab, m->most_logits);
    scoring s = {.windows = &r->windows, .logits = m->logits, .n_vocab = m->model.n_vocab,
                 .base = r->base ? m->base_logits : NULL, .scores = m->scores};
    const float *base = m->base_stream;
    BG_TRY(bg_runner_step(&m->model, step, m->stream, err));
    /* The base runs every step of a window, or none. */
    if (r->base && (step->window + step->windows) * r->windows.scored <= r->cached_rows)
        base = r->cache + step->first_row * m->base.n_embd;
    else if (r->base)
        BG_TRY(bg_runner_step(&m->base, step, m->base_stream, err));
    for (size_t i = 0; i < pieces; i++) {
        size_t begin = bg_piece_begin(step->rows, pieces, i);
        s.rows = bg_piece_begin(step->rows, pieces, i + 1) - begin;
        s.first_row = step->first_row + begin;
        BG_TRY(bg_session_output(m->model.session, m->stream + begin * m->model.n_embd, false,
                                 s.rows, m->logits, err));
        if (r->base)
            BG_TRY(bg_session_output(m->base.session, base + begin * m->base.n_embd, false,
                                     s.rows, m->base_logits, err));
        bg_team_run(o->team, score_rows, &s);
    }
    return BG_OK;
}

static bg_status measure(const bg_reference *r, const bg_model *model, const bg_quality_options *o,
                         bg_quality *q, bg_error *err)
{
    uint64_t start = bg_clock_ns();
    bg_step step = {0};
    measurement m;
    bg_status status = open_measurement(&m, r, model, o, err);
    while (status == BG_OK && bg_windows_next(&r->windows, &step)) {
        status = measure_step(&m, &step, o, err);
        if (status == BG_OK && !report(o, step.window + step.windows, r->windows.count))
            status = fail_interrupted(err);
    }
    if (status == BG_OK) {
        bg_quality result = {.windows = r->windows.count};
        bg_score_summary(m.scores, m.n_scores, r->base != NULL, m.scratch, &result);
        result.seconds = (double)(bg_clock_ns() - start) * 1e-9;
        if (isfinite(result.ppl) && (!r->base || isfinite(result.kld_mean)))
            *q = result;
        else
            status = bg_fail(err, BG_ERR_INPUT, bg_gguf_path(bg_model_gguf(model)),
                             "predictions are not finite numbers: the weights of it or of the base "
                             "are damaged, get the file again");
    }
    close_measurement(&m);
    return status;
}

bg_status bg_quality_measure(const bg_reference *r, const bg_model *model,
                             const bg_quality_options *o, bg_quality *q, bg_error *err)
{
    bg_model *floats;
    bg_status status;
    if (!o->activations) return measure(r, model, o, q, err);
    BG_TRY(bg_model_floats(&floats, model, o->team, err));
    status = measure(r, floats, o, q, err);
    bg_model_close(&floats);
    return status;
}
