#include "search/speed.h"

#include "search/recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 64, FEWEST_TOKENS = 8, RUNS = 12 };
static const double RUN_SECONDS = 0.03;

/* ---- decoding ------------------------------------------------------------------------------- */

typedef struct decoder { bg_session *session; float *logits; } decoder;

static bg_status decoder_open(decoder *d, const bg_model *m, bg_isa isa, bg_team *team,
                              bool any_format, bg_error *err)
{
    *d = (decoder){.logits = bg_alloc(bg_model_hparams(m)->n_vocab, sizeof(float))};
    if (!d->logits) return bg_fail_nomem(err, "logits", 0);
    return bg_session_open(&d->session, m, &(bg_session_options){
        .n_ctx = MOST_TOKENS + 8, .n_batch = 1, .isa = isa, .team = team,
        .any_format = any_format}, err);
}

static void decoder_close(decoder *d)
{
    bg_session_close(&d->session);
    bg_free(d->logits);
}

/* Seconds of n tokens after a first one. */
static bg_status run(const decoder *d, uint32_t n, double *seconds, bg_error *err)
{
    const int32_t token = 0;
    const bg_batch one = {.n = 1, .tokens = &token};
    uint64_t start = 0;
    bg_session_reset(d->session, 0);
    for (uint32_t i = 0; i <= n; i++) {
        if (i == 1) start = bg_clock_ns();
        BG_TRY(bg_session_eval(d->session, &one, d->logits, err));
    }
    *seconds = (double)(bg_clock_ns() - start) * 1e-9;
    return BG_OK;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Seconds of one: the lower quartile of some runs, for what else runs on the machine only adds. */
static bg_status time_token(const decoder *d, double *seconds, bg_error *err)
{
    double runs[RUNS];
    uint32_t n = FEWEST_TOKENS;
    BG_TRY(run(d, n, &runs[0], err));
    n = (uint32_t)BG_MAX(BG_MIN(RUN_SECONDS * n / BG_MAX(runs[0], 1e-9), MOST_TOKENS),
                         FEWEST_TOKENS);
    for (size_t i = 0; i < RUNS; i++) BG_TRY(run(d, n, &runs[i], err));
    qsort(runs, RUNS, sizeof *runs, by_size);
    *seconds = runs[RUNS / 4] / n;
    return BG_OK;
}

bg_status bg_decode_speed(double *tps, const bg_model *m, bg_isa isa, bg_team *team, bg_error *err)
{
    decoder d;
    double seconds;
    bg_status s = decoder_open(&d, m, isa, team, false, err);
    if (s == BG_OK) s = time_token(&d, &seconds, err);
    decoder_close(&d);
    if (s == BG_OK) *tps = 1 / seconds;
    return s;
}

/* ---- formats -------------------------------------------------------------------------------- */

double bg_speeds_weights(const bg_model *m, size_t i)
{
    const bg_tensor *t = bg_model_tensor_at(m, i);
    bool looked_up = strncmp(t->name, "token_embd.", 11) == 0 &&
                     !bg_model_hparams(m)->tied_embeddings;
    return t->n_dims < 2 || looked_up ? 0 : (double)t->ne[0] * (double)t->ne[1];
}

typedef struct dress { void *packed; size_t bytes; } dress;

/* All matrices that can be are in format f: the weights of these. */
static bg_status wear(const decoder *d, const bg_model *m, const bg_recipe *r, bg_format f,
                      dress *worn, double *weights, bg_team *team, bg_error *err)
{
    const bg_format_info *info = bg_format_get((int)f);
    bg_random_blocks *blocks;
    bg_status s;
    *weights = 0;
    BG_TRY(bg_random_blocks_new(&blocks, info, true, err));
    s = BG_OK;
    for (size_t i = 0; s == BG_OK && i < r->n_tensors; i++) {
        const bg_tensor *t = bg_model_tensor_at(m, i);
        double n = bg_speeds_weights(m, i);
        if (n == 0 || !bg_recipe_fits(r, bg_model_gguf(m), i, f)) continue;
        worn[i].bytes = bg_packed_bytes(info, t->ne[1], t->ne[0]);
        worn[i].packed = bg_alloc_large(worn[i].bytes);
        if (!worn[i].packed) {
            s = bg_fail_nomem(err, t->name, worn[i].bytes);
            break;
        }
        bg_random_blocks_fill(blocks, worn[i].packed, worn[i].bytes, i, team);
        bg_session_substitute(d->session, t, f, worn[i].packed);
        *weights += n;
    }
    bg_random_blocks_free(&blocks);
    return s;
}

static void take_off(const decoder *d, const bg_model *m, dress *worn, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const bg_tensor *t = bg_model_tensor_at(m, i);
        if (!worn[i].packed) continue;
        bg_session_substitute(d->session, t, t->format, NULL);
        bg_free_large(worn[i].packed, worn[i].bytes);
        worn[i].packed = NULL;
    }
}

static bg_status measure_format(bg_speeds *s, bg_format f, const decoder *d, const bg_model *m,
                                const bg_recipe *r, double all, bg_team *team, bg_error *err)
{
    dress *w = bg_alloc(r->n_tensors, sizeof *w);
    double weights, seconds;
    bg_status status;
    if (!w) return bg_fail_nomem(err, "speeds", r->n_tensors * sizeof *w);
    status = wear(d, m, r, f, w, &weights, team, err);
    if (status == BG_OK && weights > 0) status = time_token(d, &seconds, err);
    if (status == BG_OK && weights > 0)
        s->per_weight[f] = BG_MAX(seconds - (all - weights) * s->own, 0) / weights;
    take_off(d, m, w, r->n_tensors);
    bg_free(w);
    return status;
}

static bool is_listed(const bg_format_info *f, const bg_format *formats, size_t n)
{
    bool found = n == 0;
    for (size_t i = 0; i < n; i++) found |= formats[i] == f->format;
    return found && f->level && f->encode;
}

bg_status bg_speeds_measure(bg_speeds *s, const bg_model *m, const bg_format *formats, size_t n,
                            bg_isa isa, bg_team *team,
                            bool (*progress)(void *user, double fraction), void *user,
                            bg_error *err)
{
    const bg_format_info *f;
    bg_recipe *r;
    decoder d;
    double all = 0, seconds;
    size_t count = 0;
    bg_status status;
    for (size_t i = 0; i < BG_COUNT(s->per_weight); i++) s->per_weight[i] = NAN;
    BG_TRY(bg_recipe_new(&r, bg_model_gguf(m), err));
    for (size_t i = 0; i < r->n_tensors; i++) all += bg_speeds_weights(m, i);
    while (bg_format_at(count)) count++;
    status = decoder_open(&d, m, isa, team, true, err);
    if (status == BG_OK) status = time_token(&d, &seconds, err);
    if (status == BG_OK) s->own = seconds / all;
    for (size_t i = 0; status == BG_OK && (f = bg_format_at(i)); i++) {
        if (progress && !progress(user, (double)i / (double)count))
            status = bg_fail(err, BG_ERR_INTERRUPTED, NULL, "the search was stopped");
        else if (is_listed(f, formats, n))
            status = measure_format(s, f->format, &d, m, r, all, team, err);
    }
    decoder_close(&d);
    bg_recipe_free(&r);
    return status;
}
