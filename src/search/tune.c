/* Tuning: windows of the calibration text, what the full model says of them, and the steps. */
#include "search/tune.h"

#include <math.h>
#include <string.h>

enum { TRIAL_STEPS = 6, PLANNED_STEPS = 32, JUDGEMENTS = 5, MOST_HELD = 16,
       MOST_DOCUMENTS = 128, OWN_USES = 2, LONG_RUN = 2000 };
static const size_t OWN_CACHE = (size_t)128 << 20;  /* bytes of keys and values of own text */

/* ---- the full model ----------------------------------------------------------------------- */

void bg_full_rows(void *user, size_t tensor, size_t first, size_t n, float *out)
{
    const bg_tensor *t = bg_gguf_tensor_at(user, tensor);
    const bg_format_info *f = bg_format_get((int)t->format);
    size_t bytes = bg_format_row_bytes(f, t->ne[0]);
    for (size_t r = 0; r < n; r++)
        bg_format_decode(f, (const uint8_t *)t->data + (first + r) * bytes, out + r * t->ne[0],
                         t->ne[0]);
}

/* Slots in the order of a fixed shuffle, so that those held out are from all over the text. */
static bg_status cut(bg_tuner *t, const int32_t *tokens, double held_out, bg_error *err)
{
    size_t bytes = t->slots * t->n_ctx * sizeof *t->text;
    bg_rng rng;
    t->text = bg_alloc(t->slots * t->n_ctx, sizeof *t->text);
    t->order = bg_alloc(t->slots, sizeof *t->order);
    t->is_held = bg_alloc(t->slots, 1);
    if (!t->text || !t->order || !t->is_held) return bg_fail_nomem(err, "calibration text", bytes);
    memcpy(t->text, tokens, bytes);
    bg_rng_seed(&rng, 1);
    for (uint32_t i = 0; i < t->slots; i++) t->order[i] = i;
    bg_rng_shuffle(&rng, t->order, t->slots);
    t->held = BG_MIN(t->slots / 8, (size_t)MOST_HELD);
    if (held_out > 0) t->held = (size_t)((double)t->slots * held_out + 0.5);
    t->held = BG_MIN(BG_MAX(t->held, (size_t)1), t->slots / 2);
    for (size_t i = t->slots - t->held; i < t->slots; i++) t->is_held[t->order[i]] = 1;
    return BG_OK;
}

static void begin_window(const bg_tuner *t, int32_t *tokens)
{
    const bg_tokenizer *words = bg_model_tokenizer(t->model);
    if (words && bg_tokenizer_adds_bos(words)) tokens[0] = bg_tokenizer_bos(words);
}

void bg_tuner_window(const bg_tuner *t, size_t slot, size_t offset, int32_t *out)
{
    if (slot + 1 == t->slots || t->is_held[slot + 1]) offset = 0;
    memcpy(out, t->text + slot * t->n_ctx + offset, t->n_ctx * sizeof *out);
    begin_window(t, out);
}

static bg_status open_full(bg_tuner *t, bg_error *err)
{
    BG_TRY(bg_grad_open(&t->full, bg_model_gguf(t->model), bg_model_hparams(t->model), t->n_ctx,
                        t->per_step, true, t->isa, t->team, err));
    t->width = bg_grad_width(t->full);
    t->hidden_bytes = t->held * t->n_ctx * t->width * sizeof *t->hidden;
    t->hidden = bg_alloc_large(t->hidden_bytes);
    return t->hidden ? BG_OK : bg_fail_nomem(err, "what the full model says", t->hidden_bytes);
}

static void ask_full(const bg_tuner *t, const int32_t *tokens, size_t n, uint16_t *hidden)
{
    bg_grad_weights w = {(void *)(uintptr_t)bg_model_gguf(t->model), bg_full_rows, NULL};
    bg_grad_hidden(t->full, &w, tokens, n, hidden);
}

bg_status bg_tuner_open(bg_tuner **out, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                        const bg_tuner_options *o, bg_error *err)
{
    bg_tuner *t = bg_alloc(1, sizeof *t);
    bg_status s;
    *out = NULL;
    if (!t) return bg_fail_nomem(err, "tuner", sizeof *t);
    *t = (bg_tuner){.model = m, .team = o->team, .isa = o->isa, .n_ctx = o->n_ctx ? o->n_ctx : 512,
                    .per_step = o->windows ? o->windows : 1, .own = o->own};
    t->slots = n_tokens / t->n_ctx;
    if (t->slots < 8)
        s = bg_fail(err, BG_ERR_INPUT, NULL, "a calibration text of %zu tokens has less than 8 "
                    "windows of %u: give a longer one", n_tokens, t->n_ctx);
    else s = cut(t, tokens, o->held_out, err);
    for (size_t i = 0; s == BG_OK && i < t->slots * t->n_ctx; i++)
        if (t->text[i] < 0 || (uint32_t)t->text[i] >= bg_model_hparams(m)->n_vocab)
            s = bg_fail(err, BG_ERR_INPUT, NULL, "token %d is not in the vocabulary", t->text[i]);
    if (s == BG_OK) s = open_full(t, err);
    if (s != BG_OK) bg_tuner_close(&t);
    *out = t;
    return s;
}

void bg_tuner_close(bg_tuner **tuner)
{
    bg_tuner *t = *tuner;
    if (!t) return;
    if (t->hidden) bg_free_large(t->hidden, t->hidden_bytes);
    bg_grad_close(&t->full);
    bg_free(t->text);
    bg_free(t->order);
    bg_free(t->is_held);
    bg_free(t);
    *tuner = NULL;
}

/* ---- a run -------------------------------------------------------------------------------- */

/* Windows that the model has written. */
typedef struct own_text {
    int32_t *tokens;
    size_t windows, at, uses;           /* how many; the next one; times that all were taken */
    uint64_t written;                   /* times */
} own_text;

typedef struct run {
    bg_tuner *t;
    const bg_tune_options *o;
    bg_grad *grad;
    bg_tuned_model model;
    bg_image *image;
    uint32_t *order;                    /* of the slots that teach */
    size_t taught, at, passes;          /* how many; the next one; the how manieth time */
    own_text own;
    int32_t *tokens;                    /* of a step, or of windows held out */
    uint16_t *hidden;
    float *output;                      /* of the full model */
    size_t output_bytes;
    bg_rng rng;
    uint64_t start_ns;
    bg_tune_progress *p;
} run;

static double judge(run *r)
{
    bg_tuner *t = r->t;
    bg_grad_weights w = {&r->model, bg_tuned_rows, NULL};
    size_t row = t->n_ctx * t->width;
    double sum = 0;
    for (size_t i = 0, n; i < t->held; i += n) {
        bg_grad_batch b = {r->tokens, n = BG_MIN(t->per_step, t->held - i), t->hidden + i * row,
                           r->output, 0};
        for (size_t k = 0; k < n; k++)
            bg_tuner_window(t, t->order[t->slots - t->held + i + k], 0, r->tokens + k * t->n_ctx);
        if (!t->asked) ask_full(t, r->tokens, n, t->hidden + i * row);
        sum += bg_grad_run(r->grad, &w, &b) * (double)n;
    }
    t->asked = true;
    return sum / (double)t->held;
}

/* Keeps what is better than the best so far. */
static void keep_better(run *r)
{
    double now = judge(r);
    if (!(now < r->p->best)) return;
    r->p->best = now;
    bg_tuned_store(&r->model, r->image);
}

static bool go_on(const run *r)
{
    return !r->o->progress || r->o->progress(r->o->user, r->p);
}

static bool writing(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return go_on(user);
}

/* Documents of two windows, so that a window may begin within one; as many side by side as memory
 * allows, for a model writes many almost as fast as one. */
static bg_status write_own(run *r, bg_error *err)
{
    const bg_tuner *t = r->t;
    own_text *own = &r->own;
    uint64_t seeds[2] = {r->o->seed, own->written++};
    uint32_t longest = BG_MAX(bg_model_hparams(t->model)->n_ctx_train, t->n_ctx);
    uint32_t tokens = BG_MIN(longest / t->n_ctx, 2u) * t->n_ctx;
    size_t cache = bg_model_kv_bytes(t->model, tokens, MOST_DOCUMENTS);
    size_t fit = OWN_CACHE / BG_MAX(cache, (size_t)1), n;
    uint32_t documents = (uint32_t)BG_MIN(BG_MAX(fit, (size_t)8), (size_t)MOST_DOCUMENTS);
    bg_self_text_options o = {
        .n_docs = documents, .parallel = documents, .doc_tokens = tokens, .temperature = 1,
        .seed = bg_hash(BG_HASH_INIT, seeds, sizeof seeds), .isa = t->isa, .team = t->team,
        .progress = writing, .user = r,
    };
    bg_tokens_free(own->tokens);
    own->tokens = NULL;
    own->windows = own->at = 0;
    BG_TRY(bg_self_text(t->model, &o, &own->tokens, &n, err));
    own->windows = n / t->n_ctx;
    own->uses = 0;
    return BG_OK;
}

/* Writing costs half as much as learning, so that all is taken twice,
 * each time from other places. */
static bg_status take_own(run *r, int32_t *out, bg_error *err)
{
    own_text *own = &r->own;
    size_t offset = bg_rng_below(&r->rng, r->t->n_ctx);
    if (own->at == own->windows) {
        own->at = 0;
        if (!own->windows || ++own->uses == OWN_USES) BG_TRY(write_own(r, err));
    }
    if (own->at + 1 == own->windows) offset = 0;
    memcpy(out, own->tokens + own->at++ * r->t->n_ctx + offset, r->t->n_ctx * sizeof *out);
    begin_window(r->t, out);
    return BG_OK;
}

/* Every slot once before any comes again, each time from another place within it. */
static void take_given(run *r, int32_t *out)
{
    if (r->at == r->taught) {
        bg_rng_shuffle(&r->rng, r->order, r->taught);
        r->at = 0;
        r->passes++;
    }
    bg_tuner_window(r->t, r->order[r->at++], bg_rng_below(&r->rng, r->t->n_ctx), out);
}

/* The windows of a step. What was given goes before what the model makes of it. */
static bg_status take_windows(run *r, bg_error *err)
{
    bg_tuner *t = r->t;
    for (size_t i = 0; i < t->per_step; i++) {
        int32_t *out = r->tokens + i * t->n_ctx;
        if (r->passes > 1 && bg_rng_unit(&r->rng) < t->own) BG_TRY(take_own(r, out, err));
        else take_given(r, out);
    }
    ask_full(t, r->tokens, t->per_step, r->hidden);
    return BG_OK;
}

static double seconds_since(uint64_t ns) { return (double)(bg_clock_ns() - ns) * 1e-9; }

/* Steps come in gently and go out to nothing, so that what was undecided settles. */
static double height(uint64_t step, uint64_t steps)
{
    double warm = BG_MIN(0.04 * (double)steps, 50.0), at = (double)step + 0.5;
    double slope = at < warm ? at / warm : 1, left = 1 - at / (double)steps;
    return slope * 0.5 * (1 - cos(3.14159265358979 * BG_MAX(left, 0.0)));
}

/* Rates that suit long runs: they wander as the square root of the steps. */
static double usual(double rate, uint64_t steps)
{
    return rate * sqrt(BG_MIN((double)LONG_RUN / (double)steps, 1.0));
}

static void set_rates(run *r, uint64_t steps)
{
    const bg_tune_options *o = r->o;
    double n = (double)r->p->step + 1, h = height(r->p->step, steps);
    double rate = o->rate > 0 ? o->rate : usual(0.005, steps);
    double scales = o->scale_rate > 0 ? o->scale_rate : usual(0.003, steps);
    bg_adam a = {.beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 1e-12f};
    a.correct = (float)(1 / (1 - pow((double)a.beta2, n)));
    h /= 1 - pow((double)a.beta1, n);
    r->model.weights = r->model.others = a;
    r->model.weights.rate = (float)(rate * h);
    r->model.others.rate = (float)(scales * h);
}

static bg_status step(run *r, uint64_t steps, bg_error *err)
{
    bg_grad_weights w = {&r->model, bg_tuned_rows, bg_tuned_gradient};
    bg_grad_batch b = {r->tokens, r->t->per_step, r->hidden, r->output, 0};
    double loss;
    BG_TRY(take_windows(r, err));
    set_rates(r, steps);
    loss = bg_grad_run(r->grad, &w, &b);
    r->p->loss = r->p->step ? r->p->loss + 0.05 * (loss - r->p->loss) : loss;
    r->p->step++;
    r->p->tokens += (uint64_t)r->t->per_step * r->t->n_ctx;
    r->p->seconds = seconds_since(r->start_ns);
    return BG_OK;
}

/* As many steps as fit the time that is left, by what they have taken since `since`. */
static uint64_t plan_steps(const run *r, uint64_t since, double judging)
{
    double each = seconds_since(since) / (double)r->p->step;
    double left = r->o->seconds - seconds_since(r->start_ns) - 2 * judging;
    return r->p->step + (uint64_t)(left > each ? left / each : 1);
}

/* How many steps there will be is decided early and, should the machine become faster or slower,
 * again: the rates follow. */
static bg_status run_steps(run *r, double judging, bg_error *err)
{
    const bg_tune_options *o = r->o;
    uint64_t since = bg_clock_ns(), judged = 0;
    r->p->steps = o->steps ? o->steps : 1u << 30;
    while (r->p->step < r->p->steps) {
        uint64_t due;
        bg_status s = step(r, r->p->steps, err);
        if (s == BG_ERR_INTERRUPTED) break;
        if (s != BG_OK) return s;
        if (!o->steps && (r->p->step == TRIAL_STEPS || r->p->step % PLANNED_STEPS == 0))
            r->p->steps = plan_steps(r, since, judging);
        due = r->p->step * JUDGEMENTS / r->p->steps;
        if (due > judged && r->p->step < r->p->steps) {
            keep_better(r);
            judged = due;
        }
        if (!go_on(r)) break;
    }
    keep_better(r);
    return BG_OK;
}

static float *full_output(const bg_tuner *t, const bg_grad *grad, size_t *bytes)
{
    const bg_gguf *g = bg_model_gguf(t->model);
    bg_grad_weights w = {(void *)(uintptr_t)g, bg_full_rows, NULL};
    size_t tensor = 0;
    const char *name = bg_gguf_tensor_find(g, "output.weight") ? "output.weight"
                                                               : "token_embd.weight";
    while (strcmp(bg_gguf_tensor_at(g, tensor)->name, name) != 0) tensor++;
    return bg_grad_output(grad, &w, tensor, bytes);
}

static bg_status prepare(run *r, bg_error *err)
{
    bg_tuner *t = r->t;
    BG_TRY(bg_grad_open(&r->grad, r->image->g, bg_model_hparams(t->model), t->n_ctx, t->per_step,
                        true, t->isa, t->team, err));
    if (!(r->output = full_output(t, r->grad, &r->output_bytes)))
        return bg_fail_nomem(err, "the output matrix", r->output_bytes);
    BG_TRY(bg_tuned_open(&r->model, r->image, bg_model_gguf(t->model), r->grad->ops, t->team, err));
    r->taught = t->slots - t->held;
    r->at = r->taught;
    r->order = bg_alloc(r->taught, sizeof *r->order);
    r->tokens = bg_alloc((size_t)t->per_step * t->n_ctx, sizeof *r->tokens);
    r->hidden = bg_alloc((size_t)t->per_step * t->n_ctx * t->width, sizeof *r->hidden);
    if (!r->order || !r->tokens || !r->hidden)
        return bg_fail_nomem(err, "a step", (size_t)t->per_step * t->n_ctx * t->width * 2);
    memcpy(r->order, t->order, r->taught * sizeof *r->order);
    bg_rng_seed(&r->rng, r->o->seed);
    return BG_OK;
}

bg_status bg_tuner_run(bg_tuner *t, bg_image *image, const bg_tune_options *o,
                       bg_tune_progress *result, bg_error *err)
{
    bg_tune_progress p = {0};
    run r = {.t = t, .o = o, .image = image, .start_ns = bg_clock_ns(), .p = &p};
    uint64_t before;
    bg_status s = prepare(&r, err);
    if (s == BG_OK) {
        before = bg_clock_ns();
        p.start = p.best = judge(&r);
        if (isfinite(p.start)) s = run_steps(&r, seconds_since(before), err);
        else s = bg_fail(err, BG_ERR_INPUT, bg_gguf_path(image->g), "the quantized model's logits "
                         "are not finite: quantize it again");
        p.seconds = seconds_since(r.start_ns);
        if (result) *result = p;
    }
    bg_grad_close(&r.grad);
    bg_tuned_close(&r.model);
    if (r.output) bg_free_large(r.output, r.output_bytes);
    bg_free(r.order);
    bg_free(r.tokens);
    bg_free(r.hidden);
    bg_tokens_free(r.own.tokens);
    return s;
}
