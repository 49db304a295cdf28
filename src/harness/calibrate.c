/* A/A: how far do measurements of identical work differ? */
#include "harness/taint.h"

#include "bitgauge/kernel.h"
#include "bitgauge/noise.h"
#include "harness/harness.h"

#include "base/file.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { COPIES = 6, STRETCHES = 12, FEWEST = 4, LIKE_A_SWEEP = 16, BEGINS = 60, WARM_UPS = 2,
       PROMPT = 64, GENERATION = 16 };
static const double READING = 0.006; /* seconds, of a roof */
/* To have a floor at all it may take so many times what was asked for, or this many seconds. */
static const double MOST = 4, MOST_SECONDS = 180;

double bg_noise_estimate(const double *values, size_t n, uint32_t *pairs)
{
    size_t length = n / BG_MAX(BG_MIN(n / FEWEST, STRETCHES), 1), begins, some;
    double medians[BEGINS], most = 0;
    *pairs = 0;
    if (n < FEWEST * FEWEST) return NAN;
    begins = BG_MIN(n - length + 1, BEGINS);
    some = BG_MIN(length, LIKE_A_SWEEP);
    for (size_t k = 0; k < begins; k++) {
        size_t from = k * (n - length) / (begins - 1);
        double taken[LIKE_A_SWEEP];
        for (size_t i = 0; i < some; i++) taken[i] = values[from + i * length / some];
        medians[k] = bg_quantile(taken, some, 0.5);
        for (size_t other = 0; other < k; other++) {
            double a = medians[k], b = medians[other];
            if (other * (n - length) / (begins - 1) + length > from) continue; /* they overlap */
            most = BG_MAX(most, BG_MAX(a, b) / BG_MIN(a, b) - 1);
            ++*pairs;
        }
    }
    return most;
}

double bg_noise_between(const double *medians, size_t n)
{
    double mean = 0, squares = 0;
    if (n < 2) return NAN;
    for (size_t i = 0; i < n; i++) mean += log(medians[i]) / (double)n;
    for (size_t i = 0; i < n; i++) squares += (log(medians[i]) - mean) * (log(medians[i]) - mean);
    return expm1(bg_stats_t(0.99, INFINITY) * sqrt(2 * squares / (double)(n - 1)));
}

/* One kind of work on one team: seconds of a repetition, or a reading of a roof. */
typedef struct work {
    char kind[16];
    int threads;
    bg_timed timed;            /* of tests of a model */
    bg_gauge *gauge;           /* of roofs */
    double *values;
    size_t n, capacity;
} work;

enum { TEAMS = 2, KINDS = 2 * COPIES + 2 };

typedef struct calibration {
    bg_machine *machine;
    const bg_calibration *options;
    bg_team *teams[TEAMS];
    size_t n_teams, n_works;
    bg_model *source, *models[COPIES]; /* the same, each loaded to another place */
    bg_session *sessions[TEAMS][COPIES];
    bg_tokens tokens;
    float *logits;
    work works[TEAMS * KINDS];
} calibration;

static bg_status measure(calibration *c, work *w, bool keep, bg_error *err)
{
    double value;
    (void)c;
    if (w->gauge) value = bg_gauge_read(w->gauge, READING);
    else BG_TRY(bg_time_test(&w->timed, &value, err));
    if (!keep || !(value > 0)) return BG_OK;
    if (w->n == w->capacity) {
        size_t capacity = BG_MAX(256, 2 * w->capacity);
        double *grown = bg_grow(w->values, capacity, sizeof *grown);
        if (!grown) return bg_fail_nomem(err, "samples", capacity * sizeof *grown);
        w->values = grown;
        w->capacity = capacity;
    }
    w->values[w->n++] = value;
    return BG_OK;
}

static bg_status open_model(calibration *c, bg_error *err)
{
    static const char embedded[] = "models/codelet/codelet-8m-f16.gguf";
    char *path = bg_data_path(embedded);
    const bg_scheme *scheme;
    bg_team *all = c->teams[c->n_teams - 1];
    size_t n;
    bg_status s = path ? bg_model_open(&c->source, path, err)
                       : bg_fail(err, BG_ERR_IO, embedded, "the embedded model is not installed: "
                                 "set BITGAUGE_DATA");
    bg_free(path);
    if (s == BG_OK) s = bg_scheme_parse_list("Q4_K_M", &scheme, 1, &n, err);
    for (size_t i = 0; i < COPIES && s == BG_OK; i++)
        s = bg_model_quantize(&c->models[i], c->source, scheme, NULL, all, NULL, NULL, err);
    if (s == BG_OK) s = bg_tokens_draw(&c->tokens, bg_model_hparams(c->source)->n_vocab, err);
    if (s != BG_OK) return s;
    c->logits = bg_alloc(bg_model_hparams(c->source)->n_vocab, sizeof *c->logits);
    return c->logits ? BG_OK : bg_fail_nomem(err, "logits", 0);
}

static work *add(calibration *c, const char *kind, size_t team)
{
    work *w = &c->works[c->n_works++];
    snprintf(w->kind, sizeof w->kind, "%s", kind);
    w->threads = bg_team_size(c->teams[team]);
    return w;
}

/* All copies of a kind come one after another: the floor of the kind is of the first. */
static bg_status add_tests(calibration *c, bg_isa isa, size_t team, bg_error *err)
{
    static const struct { const char *kind; uint32_t prompt, gen; } tests[] = {
        {"pp", PROMPT, 0}, {"tg", 0, GENERATION},
    };
    bg_session_options o = {.n_ctx = PROMPT + GENERATION, .n_batch = PROMPT, .isa = isa,
                            .team = c->teams[team]};
    for (size_t k = 0; k < COPIES; k++)
        BG_TRY(bg_session_open(&c->sessions[team][k], c->models[k], &o, err));
    for (size_t i = 0; i < BG_COUNT(tests); i++)
        for (size_t k = 0; k < COPIES; k++)
            add(c, tests[i].kind, team)->timed =
                (bg_timed){.session = c->sessions[team][k], .n_prompt = tests[i].prompt,
                           .n_gen = tests[i].gen, .batch = PROMPT, .tokens = &c->tokens,
                           .logits = c->logits};
    return BG_OK;
}

/* Roofs that were not measured cannot be read again: there is no floor of theirs. */
static void add_roofs(calibration *c, bg_isa isa, size_t team)
{
    const char *name = bg_isa_name(isa);
    bg_gauge *g;
    bg_error why;
    if (bg_gauge_open(&g, c->machine, c->teams[team], BG_ROOF_READ, "memory", NULL, &why) == BG_OK)
        add(c, "read", team)->gauge = g;
    if (bg_gauge_open(&g, c->machine, c->teams[team], BG_ROOF_INT8, NULL, name, &why) == BG_OK ||
        bg_gauge_open(&g, c->machine, c->teams[team], BG_ROOF_FLOP, NULL, name, &why) == BG_OK)
        add(c, "arithmetic", team)->gauge = g;
}

static bg_status prepare(calibration *c, bg_error *err)
{
    int all = c->options->threads ? c->options->threads : bg_machine_default_threads(c->machine);
    const int threads[TEAMS] = {1, all};
    bg_isa isa;
    BG_TRY(bg_isa_parse("native", &isa, err));
    for (; c->n_teams < (all > 1 ? 2 : 1); c->n_teams++)
        BG_TRY(bg_team_open(&c->teams[c->n_teams], threads[c->n_teams], bg_machine_bind,
                            c->machine, err));
    BG_TRY(open_model(c, err));
    for (size_t t = 0; t < c->n_teams; t++) {
        BG_TRY(add_tests(c, isa, t, err));
        add_roofs(c, isa, t);
    }
    for (size_t i = 0; i < WARM_UPS * c->n_works; i++)
        BG_TRY(measure(c, &c->works[i % c->n_works], false, err));
    return BG_OK;
}

static double now(void) { return (double)bg_clock_ns() * 1e-9; }

static bg_status repeat(calibration *c, double begin, bg_error *err)
{
    enum { TOTAL = 1000 };
    const bg_calibration *o = c->options;
    double seconds = o->seconds > 0 ? o->seconds : 60, passed;
    double most = BG_MAX(MOST * seconds, MOST_SECONDS);
    uint32_t order[TEAMS * KINDS];
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (uint32_t i = 0; i < c->n_works; i++) order[i] = i;
    for (size_t round = 0; (passed = now() - begin) < seconds ||
                           (round < FEWEST * FEWEST && passed < most); round++) {
        double share = BG_MIN(passed / seconds, 1);
        if (o->progress && !o->progress(o->user, (uint64_t)(TOTAL * share), TOTAL))
            return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "stopped");
        bg_rng_shuffle(&rng, order, c->n_works);
        for (size_t i = 0; i < c->n_works; i++)
            BG_TRY(measure(c, &c->works[order[i]], true, err));
    }
    return BG_OK;
}

static void keep_floor(const calibration *c, bg_noise_floor floor, const char *own, size_t n)
{
    char kind[sizeof floor.kind];
    snprintf(kind, sizeof kind, "%.8s%s", floor.kind, own);
    memcpy(floor.kind, kind, sizeof kind);
    if (floor.floor > 0) bg_machine_set_floor(c->machine, &floor);
    else
        bg_log(BG_LOG_WARN, "there is no noise floor of %s at %d threads: it was repeated %zu "
               "times in %.0f s, and 16 are needed", kind, floor.threads, n, floor.seconds);
}

static void keep_floors(const calibration *c, double seconds)
{
    char measured[32] = "";
    double medians[COPIES];
    size_t copies = 0;
    time_t time_now = time(NULL);
    struct tm utc;
    if (gmtime_r(&time_now, &utc)) strftime(measured, sizeof measured, "%Y-%m-%dT%H:%M:%SZ", &utc);
    for (size_t i = 0; i < c->n_works; i++) {
        const work *w = &c->works[i];
        bg_noise_floor floor = {.threads = w->threads, .seconds = seconds};
        memcpy(floor.kind, w->kind, sizeof floor.kind);
        memcpy(floor.measured, measured, sizeof floor.measured);
        if (copies == 0) {
            floor.floor = bg_noise_estimate(w->values, w->n, &floor.pairs);
            keep_floor(c, floor, "", w->n);
        }
        medians[copies++] = w->n < FEWEST * FEWEST ? (double)NAN
                                                   : bg_quantile(w->values, w->n, 0.5);
        if (w->gauge) copies = 0;
        if (copies < COPIES) continue;
        floor.floor = bg_noise_between(medians, COPIES);
        floor.pairs = COPIES * (COPIES - 1) / 2;
        keep_floor(c, floor, "/own", w->n);
        copies = 0;
    }
}

bg_status bg_noise_calibrate(bg_machine *m, const bg_calibration *o, bg_error *err)
{
    calibration c = {.machine = m, .options = o};
    bg_status s = prepare(&c, err);
    double begin = now();
    if (s == BG_OK) s = repeat(&c, begin, err);
    if (s == BG_OK) keep_floors(&c, now() - begin);
    for (size_t i = 0; i < c.n_works; i++) {
        bg_gauge_close(&c.works[i].gauge);
        bg_free(c.works[i].values);
    }
    for (size_t t = 0; t < TEAMS; t++) {
        for (size_t k = 0; k < COPIES; k++) bg_session_close(&c.sessions[t][k]);
        bg_team_close(&c.teams[t]);
    }
    bg_tokens_fini(&c.tokens);
    for (size_t k = 0; k < COPIES; k++) bg_model_close(&c.models[k]);
    bg_model_close(&c.source);
    bg_free(c.logits);
    return s;
}

char *bg_disturbances_json(const bg_machine *m, bg_team *team, const bg_counters *counters)
{
    bg_taints *t;
    bg_error why;
    char *text;
    if (bg_taints_open(&t, m, team, counters, &why) != BG_OK) return NULL;
    text = bg_taints_json(t);
    bg_taints_close(&t);
    return text;
}
