#include "search/evaluate.h"

#include "model/model.h"
#include "quality/score.h"
#include "search/variants.h"

#include <string.h>

enum { DEFAULT_CTX = 256, MAX_CTX = 512, BATCH = 512, MOST_STRIDE = 8 };
/* Of the model's bytes, but no less than this: small models get what they need. */
#define LEAST_MEMORY ((size_t)64 << 20)
#define LOGITS_MEMORY ((size_t)8 << 20)
static const double MEMORY_SHARE = 0.33;

struct bg_evaluator {
    const bg_model *model;
    const bg_pruner *pruner; /* NULL: all levels are 0 */
    bg_team *team;
    bg_session *session;
    bg_session *teaching;    /* of the model as it is, for its output alone */
    bg_variants *variants;
    size_t n_tensors;
    uint32_t *layer_of;      /* of each tensor: the first layer it changes; n_layer: the output */
    bool *in_layer;          /* matrices of layers: the model's own come from `variants`, too */
    bg_format *in_use;       /* what of these the session multiplies with; NONE: the model's own */
    uint8_t *level_in_use;
    uint32_t n_layer, n_embd, n_vocab;

    uint32_t n_ctx, first_scored, scored, abreast;
    size_t windows, kept;    /* kept: of so many, an anchor's streams */
    int32_t *tokens;         /* [windows][n_ctx] */
    uint16_t *teacher;       /* [windows][scored] half rows: its streams before the output */
    size_t teacher_bytes;

    bg_format *anchor;       /* whose residual streams are kept, of each tensor */
    uint8_t *anchor_level;
    size_t anchor_windows;
    uint32_t stride;         /* layers from one stream that is kept to the next */
    uint16_t *streams;       /* half rows by step, then by kept layer, then n_layer: see stream_at */
    size_t streams_bytes;

    int32_t *batch;
    uint32_t *seq;
    uint8_t *want;
    void **keep;             /* [n_layer + 1] */
    uint16_t *stream;        /* of one step before the output, */
    uint16_t *passing;       /* and before the layers of `streams`, when no anchor is kept */
    size_t stream_bytes, passing_bytes, piece; /* rows whose logits are in memory at a time */
    float *logits, *base;    /* of these, the student's and the teacher's */
    size_t logits_bytes;
    double *kld;             /* of each row of a step */
    uint64_t layers_run, layers_reused;
};

/* ---- windows ------------------------------------------------------------------------------ */

static size_t step_rows(const bg_evaluator *e) { return (size_t)e->abreast * e->scored; }
static size_t step_tokens(const bg_evaluator *e) { return (size_t)e->abreast * (e->n_ctx - 1); }
static size_t steps_of(const bg_evaluator *e, size_t windows)
{
    return (windows + e->abreast - 1) / e->abreast;
}

/* Layers but for the first whose streams are kept. */
static size_t kept_layers(const bg_evaluator *e) { return (e->n_layer - 1) / e->stride; }

/* Halves of so many rows of a stream. */
static size_t halves_of(const bg_evaluator *e, size_t rows) { return rows * bg_half_row(e->n_embd); }

/* Of a step's streams: of each kept layer a row a token, then of n_layer a row a wanted one. */
static size_t stream_halves(const bg_evaluator *e)
{
    return halves_of(e, kept_layers(e) * step_tokens(e) + step_rows(e));
}

/* NULL: it is not kept. */
static uint16_t *stream_at(const bg_evaluator *e, size_t step, uint32_t layer)
{
    size_t before = layer == e->n_layer ? kept_layers(e) : layer / e->stride - 1;
    if (layer != e->n_layer && (layer == 0 || layer % e->stride)) return NULL;
    return e->streams + step * stream_halves(e) + before * halves_of(e, step_tokens(e));
}

/* The last layer that a pass may begin with where `changed` is the first that is another. */
static uint32_t first_layer(const bg_evaluator *e, uint32_t changed)
{
    return changed == e->n_layer ? changed : changed - changed % e->stride;
}

static size_t memory_of(const bg_evaluator *e, const bg_evaluator_options *o)
{
    if (o->memory) return o->memory;
    return BG_MAX((size_t)(MEMORY_SHARE * (double)bg_model_weight_bytes(e->model)), LEAST_MEMORY);
}

static size_t teacher_bytes(const bg_evaluator *e)
{
    return halves_of(e, e->scored) * sizeof *e->teacher;
}

/* How many windows there are, and of how many of them streams are kept. */
static void fit_windows(bg_evaluator *e, size_t all, const bg_evaluator_options *o)
{
    size_t limit = memory_of(e, o) / 2, one = teacher_bytes(e);
    e->windows = o->max_windows ? BG_MIN(o->max_windows, all) : all;
    e->kept = o->kept_windows ? BG_MIN(o->kept_windows, e->windows) : e->windows;
    if (e->kept < e->windows) { /* most of the memory is for what saves time */
        e->kept = bg_round_up(e->kept, e->abreast);
        e->windows = BG_MAX(BG_MIN(e->windows, limit / 4 / one), e->kept);
    }
    limit -= BG_MIN(limit, (e->windows - e->kept) * one);
    for (e->stride = 1;; e->stride++) {
        size_t bytes = one + stream_halves(e) / e->abreast * sizeof *e->streams;
        size_t fit = BG_MAX(limit / bytes, (size_t)1);
        if (e->kept > fit && e->stride < MOST_STRIDE) continue;
        if (e->kept > fit) e->windows = e->kept = fit;
        return;
    }
}

static bg_status cut_windows(bg_evaluator *e, const int32_t *tokens, size_t n_tokens,
                             const bg_evaluator_options *o, bg_error *err)
{
    const bg_tokenizer *t = bg_model_tokenizer(e->model);
    int32_t bos = bg_tokenizer_adds_bos(t) ? bg_tokenizer_bos(t) : -1;
    size_t all = n_tokens / e->n_ctx;
    uint32_t *order;
    bg_rng rng;
    if (all == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the text has %zu tokens, but a window needs %u: "
                       "give a longer text", n_tokens, e->n_ctx);
    fit_windows(e, all, o);
    order = bg_alloc(all, sizeof *order);
    e->tokens = bg_alloc(e->windows * e->n_ctx, sizeof *e->tokens);
    if (!order || !e->tokens) {
        bg_free(order);
        return bg_fail_nomem(err, "windows", e->windows * e->n_ctx * sizeof *e->tokens);
    }
    for (size_t i = 0; i < all; i++) order[i] = (uint32_t)i;
    bg_rng_seed(&rng, o->seed);
    if (o->seed) bg_rng_shuffle(&rng, order, all);
    for (size_t w = 0; w < e->windows; w++) {
        int32_t *window = e->tokens + w * e->n_ctx;
        memcpy(window, tokens + (size_t)order[w] * e->n_ctx, e->n_ctx * sizeof *window);
        if (bos >= 0) window[0] = bos;
    }
    bg_free(order);
    return BG_OK;
}

/* ---- one step ----------------------------------------------------------------------------- */

typedef struct scoring { const bg_evaluator *e; size_t rows, first, window; } scoring;

/* Rows of the pieces' logits, which are [first, first + rows) of the step that begins with `window`. */
static void score_rows(void *user, int member, int size)
{
    const scoring *s = user;
    const bg_evaluator *e = s->e;
    size_t begin, end;
    bg_team_share(s->rows, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t row = s->first + i, window = s->window + row / e->scored, at = row % e->scored;
        int32_t next = e->tokens[window * e->n_ctx + e->first_scored + at + 1];
        e->kld[row] = bg_score_logits(e->logits + i * e->n_vocab, e->base + i * e->n_vocab, e->n_vocab,
                                      next).kld;
    }
}

/* Runs step `step` of the first `windows` windows from layer `first` on, to the streams before the
 * output: `last`, where that is not kept as an anchor's. */
static bg_status run_step(bg_evaluator *e, size_t step, size_t windows, uint32_t first, bool keep,
                          uint16_t *last, size_t *rows, bg_error *err)
{
    size_t begin = step * e->abreast, n = BG_MIN((size_t)e->abreast, windows - begin);
    bg_batch b = {.tokens = e->batch, .seq = e->seq, .want = e->want};
    bg_resume r = {.first = first, .half = true, .keep = e->keep};
    *rows = n * e->scored;
    e->layers_run += e->n_layer - first;
    e->layers_reused += first;
    if (first == e->n_layer) {
        memcpy(last, stream_at(e, step, first), halves_of(e, *rows) * sizeof *last);
        return BG_OK;
    }
    for (uint32_t i = 0; i < n; i++) {
        const int32_t *window = e->tokens + (begin + i) * e->n_ctx;
        bg_session_reset(e->session, i);
        for (uint32_t p = 0; p + 1 < e->n_ctx; p++, b.n++) {
            e->batch[b.n] = window[p];
            e->seq[b.n] = i;
            e->want[b.n] = p >= e->first_scored;
        }
    }
    if (first) r.from = stream_at(e, step, first);
    for (uint32_t l = 0; l <= e->n_layer; l++) {
        uint16_t *kept = stream_at(e, step, l);
        e->keep[l] = keep || !kept ? kept : l == e->n_layer ? last : e->passing;
    }
    BG_TRY(bg_session_resume(e->session, &b, &r, NULL, err));
    if (keep && last) memcpy(last, e->keep[e->n_layer], halves_of(e, *rows) * sizeof *last);
    return BG_OK;
}

/* The divergences of a step's rows, of a piece at a time. */
static bg_status score_step(bg_evaluator *e, size_t step, const uint16_t *last, size_t rows,
                            bg_error *err)
{
    const uint16_t *teacher = e->teacher + step * halves_of(e, step_rows(e));
    scoring s = {.e = e, .window = step * e->abreast};
    for (; s.first < rows; s.first += s.rows) {
        s.rows = BG_MIN(e->piece, rows - s.first);
        BG_TRY(bg_session_output(e->session, last + halves_of(e, s.first), true, s.rows, e->logits,
                                 err));
        BG_TRY(bg_session_output(e->teaching, teacher + halves_of(e, s.first), true, s.rows, e->base,
                                 err));
        bg_team_run(e->team, score_rows, &s);
    }
    return BG_OK;
}

/* ---- students ----------------------------------------------------------------------------- */

/* What tensor i of a student is; the model's own is NONE. */
static bg_format format_of(const bg_evaluator *e, const bg_student *st, size_t i, uint8_t *level)
{
    bg_format own = bg_model_tensor_at(e->model, i)->format;
    *level = e->pruner && st->levels && e->layer_of[i] < e->n_layer ? st->levels[e->layer_of[i]] : 0;
    if (*level) *level = bg_pruner_level(e->pruner, i, *level);
    if (*level) return st->formats[i] == BG_FORMAT_NONE ? own : st->formats[i];
    return st->formats[i] == own ? BG_FORMAT_NONE : st->formats[i];
}

/* Puts a student's weights into the session. */
static bg_status wear(bg_evaluator *e, const bg_student *st, bg_error *err)
{
    for (size_t i = 0; i < e->n_tensors; i++) {
        const bg_tensor *t = bg_model_tensor_at(e->model, i);
        const void *packed = NULL;
        uint8_t level;
        bg_format f = format_of(e, st, i, &level);
        if (f == BG_FORMAT_NONE && e->in_layer[i]) f = t->format;
        if (e->in_use[i] == f && e->level_in_use[i] == level) continue;
        /* What it wore may be thrown away for what it will. */
        bg_session_substitute(e->session, t, t->format, NULL);
        bg_variants_drop(e->variants, i);
        e->in_use[i] = BG_FORMAT_NONE;
        e->level_in_use[i] = 0;
        if (f == BG_FORMAT_NONE) continue;
        BG_TRY(bg_variants_get(e->variants, i, f, level, &packed, err));
        bg_session_substitute(e->session, t, f, packed);
        e->in_use[i] = f;
        e->level_in_use[i] = level;
    }
    return BG_OK;
}

/* The first layer that differs from the anchor's. */
static uint32_t first_changed(const bg_evaluator *e, const bg_student *st)
{
    uint32_t first = e->n_layer;
    for (size_t i = 0; i < e->n_tensors; i++) {
        uint8_t level;
        bg_format f = format_of(e, st, i, &level);
        if ((f != e->anchor[i] || level != e->anchor_level[i]) && e->layer_of[i] < first)
            first = e->layer_of[i];
    }
    return first;
}

/* Of windows [begin, end). */
static bg_status run(bg_evaluator *e, const bg_student *st, size_t begin, size_t end, bool keep,
                     double *kld, bg_error *err)
{
    uint32_t changed = first_changed(e, st);
    double sum = 0;
    size_t n = 0;
    BG_TRY(wear(e, st, err));
    end = BG_MIN(end, e->windows);
    for (size_t step = begin / e->abreast; step < steps_of(e, end); step++) {
        size_t last = BG_MIN((step + 1) * e->abreast, end), rows;
        bool known = last <= e->anchor_windows && !keep &&
                     /* a last step that is not full lies otherwise in memory */
                     (last % e->abreast == 0 || last == e->anchor_windows);
        BG_TRY(run_step(e, step, end, known ? first_layer(e, changed) : 0, keep, e->stream, &rows,
                        err));
        BG_TRY(score_step(e, step, e->stream, rows, err));
        for (size_t i = 0; i < rows; i++) sum += e->kld[i];
        n += rows;
    }
    *kld = sum / (double)n;
    return BG_OK;
}

bg_status bg_evaluator_run(bg_evaluator *e, bg_student st, size_t first, size_t windows,
                           double *kld, bg_error *err)
{
    return run(e, &st, first - first % e->abreast, first + windows, false, kld, err);
}

bg_status bg_evaluator_anchor(bg_evaluator *e, bg_student st, size_t windows, double *kld,
                              bg_error *err)
{
    e->anchor_windows = 0;
    windows = BG_MIN(windows, e->kept);
    BG_TRY(run(e, &st, 0, windows, true, kld, err));
    for (size_t i = 0; i < e->n_tensors; i++)
        e->anchor[i] = format_of(e, &st, i, &e->anchor_level[i]);
    e->anchor_windows = windows;
    return BG_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

static bg_status find_layers(bg_evaluator *e, bg_error *err)
{
    e->n_tensors = bg_model_tensor_count(e->model);
    e->layer_of = bg_alloc(e->n_tensors, sizeof *e->layer_of);
    e->in_layer = bg_alloc(e->n_tensors, sizeof *e->in_layer);
    e->in_use = bg_alloc(e->n_tensors, sizeof *e->in_use);
    e->anchor = bg_alloc(e->n_tensors, sizeof *e->anchor);
    e->level_in_use = bg_alloc(e->n_tensors, 1);
    e->anchor_level = bg_alloc(e->n_tensors, 1);
    if (!e->layer_of || !e->in_layer || !e->in_use || !e->anchor || !e->level_in_use ||
        !e->anchor_level)
        return bg_fail_nomem(err, "an evaluator", e->n_tensors * 13);
    for (uint32_t l = 0; l < e->n_layer; l++)
        for (size_t w = 0; w < BG_W_COUNT; w++)
            e->in_layer[e->model->layers[l].w[w] - e->model->tensors] = true;
    for (size_t i = 0; i < e->n_tensors; i++) {
        const char *name = bg_model_tensor_at(e->model, i)->name;
        bool output = strncmp(name, "output", 6) == 0;
        e->in_use[i] = e->anchor[i] = BG_FORMAT_NONE;
        e->layer_of[i] = output ? e->n_layer : 0;
        if (strncmp(name, "blk.", 4) == 0) sscanf(name + 4, "%u", &e->layer_of[i]);
    }
    return BG_OK;
}

static bg_status reserve(bg_evaluator *e, bg_error *err)
{
    e->teacher_bytes = steps_of(e, e->windows) * halves_of(e, step_rows(e)) * sizeof *e->teacher;
    e->streams_bytes = steps_of(e, e->kept) * stream_halves(e) * sizeof *e->streams;
    e->stream_bytes = halves_of(e, step_rows(e)) * sizeof *e->stream;
    e->passing_bytes = halves_of(e, step_tokens(e)) * sizeof *e->passing;
    e->piece = BG_MIN(BG_MAX(LOGITS_MEMORY / (e->n_vocab * sizeof(float)), (size_t)1), step_rows(e));
    e->logits_bytes = e->piece * e->n_vocab * sizeof(float);
    e->teacher = bg_alloc_large(e->teacher_bytes);
    e->streams = bg_alloc_large(e->streams_bytes);
    e->stream = bg_alloc_large(e->stream_bytes);
    e->passing = bg_alloc_large(e->passing_bytes);
    e->logits = bg_alloc_large(e->logits_bytes);
    e->base = bg_alloc_large(e->logits_bytes);
    e->kld = bg_alloc(step_rows(e), sizeof *e->kld);
    e->keep = bg_alloc(e->n_layer + 1, sizeof *e->keep);
    e->batch = bg_alloc(step_tokens(e), sizeof *e->batch);
    e->seq = bg_alloc(step_tokens(e), sizeof *e->seq);
    e->want = bg_alloc(step_tokens(e), 1);
    if (!e->teacher || !e->streams || !e->stream || !e->passing || !e->logits || !e->base ||
        !e->kld || !e->keep || !e->batch || !e->seq || !e->want)
        return bg_fail_nomem(err, "predictions", e->teacher_bytes + e->streams_bytes);
    return BG_OK;
}

/* What the teacher's predictions are made of; its streams are the first anchor. From then on its
 * layers are only needed where a student has them. */
static bg_status teach(bg_evaluator *e, bg_error *err)
{
    for (size_t step = 0; step < steps_of(e, e->windows); step++) {
        bool keep = step < steps_of(e, e->kept);
        size_t rows, end = keep ? e->kept : e->windows;
        BG_TRY(run_step(e, step, end, 0, keep, e->teacher + step * halves_of(e, step_rows(e)),
                        &rows, err));
    }
    e->anchor_windows = e->kept;
    bg_model_unpack(e->model);
    return BG_OK;
}

bg_status bg_evaluator_open(bg_evaluator **out, const bg_model *m, const int32_t *tokens,
                            size_t n_tokens, const bg_evaluator_options *o, bg_error *err)
{
    const bg_hparams *h = bg_model_hparams(m);
    bg_evaluator *e = bg_alloc(1, sizeof *e);
    bg_status s;
    *out = NULL;
    if (!e) return bg_fail_nomem(err, "an evaluator", sizeof *e);
    *e = (bg_evaluator){.model = m, .pruner = o->pruner, .team = o->team, .n_layer = h->n_layer,
                        .n_embd = h->n_embd, .n_vocab = h->n_vocab,
                        .n_ctx = o->n_ctx ? o->n_ctx : DEFAULT_CTX};
    e->first_scored = o->first_scored ? o->first_scored : e->n_ctx / 2;
    if (e->n_ctx < 4 || e->n_ctx > MAX_CTX || e->first_scored + 1 >= e->n_ctx) {
        s = bg_fail(err, BG_ERR_INPUT, NULL, "windows of %u tokens, the first %u not scored: give 4 "
                    "to %d, and score some", e->n_ctx, e->first_scored, MAX_CTX);
        goto cleanup;
    }
    e->scored = e->n_ctx - 1 - e->first_scored;
    e->abreast = BATCH / e->n_ctx;
    s = cut_windows(e, tokens, n_tokens, o, err);
    if (s == BG_OK) s = find_layers(e, err);
    if (s == BG_OK) s = reserve(e, err);
    if (s == BG_OK)
        s = bg_session_open(&e->session, m, &(bg_session_options){
            .n_ctx = e->n_ctx, .n_batch = (uint32_t)step_tokens(e), .n_seq = e->abreast,
            .isa = o->isa, .team = o->team, .any_format = true}, err);
    if (s == BG_OK)
        s = bg_session_open(&e->teaching, m, &(bg_session_options){
            .n_ctx = 1, .n_batch = (uint32_t)e->piece, .isa = o->isa, .team = o->team, .bare = true},
            err);
    if (s == BG_OK)
        s = bg_variants_open(&e->variants, m, o->pruner, o->importance, memory_of(e, o) / 2, o->team,
                             err);
    if (s == BG_OK) s = teach(e, err);
cleanup:
    if (s == BG_OK) *out = e;
    else bg_evaluator_close(&e);
    return s;
}

void bg_evaluator_close(bg_evaluator **evaluator)
{
    bg_evaluator *e = *evaluator;
    if (!e) return;
    bg_session_close(&e->session);
    bg_session_close(&e->teaching);
    bg_variants_close(&e->variants);
    bg_free_large(e->teacher, e->teacher_bytes);
    bg_free_large(e->streams, e->streams_bytes);
    bg_free_large(e->stream, e->stream_bytes);
    bg_free_large(e->passing, e->passing_bytes);
    bg_free_large(e->logits, e->logits_bytes);
    bg_free_large(e->base, e->logits_bytes);
    bg_free(e->layer_of);
    bg_free(e->in_layer);
    bg_free(e->in_use);
    bg_free(e->level_in_use);
    bg_free(e->anchor);
    bg_free(e->anchor_level);
    bg_free(e->tokens);
    bg_free(e->kld);
    bg_free(e->keep);
    bg_free(e->batch);
    bg_free(e->seq);
    bg_free(e->want);
    bg_free(e);
    *evaluator = NULL;
}

size_t bg_evaluator_windows(const bg_evaluator *e) { return e->windows; }
size_t bg_evaluator_kept(const bg_evaluator *e) { return e->kept; }

void bg_evaluator_work(const bg_evaluator *e, uint64_t *run_layers, uint64_t *reused)
{
    *run_layers = e->layers_run;
    *reused = e->layers_reused;
}
