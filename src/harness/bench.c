#include "harness/bench_peer.h"
#include "harness/harness.h"

#include <math.h>
#include <string.h>

bg_shape_sample bg_bench_sample(const bg_machine *machine, uint32_t layers, double share)
{
    enum { CACHES = 2 };
    return (bg_shape_sample){
        .layers = layers, .min_bytes = CACHES * (uint64_t)bg_machine_cache_bytes(machine, 3),
        .max_bytes = (uint64_t)(share * (double)bg_machine_memory_available(machine))};
}

/* Of one bg_bench_run. */
typedef struct run {
    const bg_bench_test *test;
    bg_timed timed;
    bg_bound bound;
    bg_watch watch;
    bool watched;
    double *samples_ns, *samples_roof;
} run;

static bg_status repeat(run *r, bg_error *err)
{
    const bg_bench_test *test = r->test;
    for (uint32_t i = 0; i < test->reps + !test->no_warm_up; i++) {
        bool timed = i >= !test->no_warm_up;
        uint32_t done = timed ? i - !test->no_warm_up : 0;
        double seconds;
        if (test->progress && !test->progress(test->user, done, test->reps))
            return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "stopped");
        r->timed.watch = timed && r->watched ? &r->watch : NULL;
        BG_TRY(bg_time_test(&r->timed, &seconds, err));
        r->watch.length = seconds;
        r->samples_ns[done] = seconds * 1e9; /* the warm-up's is overwritten */
        r->samples_roof[done] = r->bound.tps * (r->watched ? r->watch.condition : (double)NAN);
    }
    return BG_OK;
}

/* The roof is the one that makes its share the mean of the repetitions' shares: their roofs' mean
 * harmonic with the speeds as weights. */
static void summarise_roof(const run *r, size_t n, bg_bench_result *result)
{
    double tokens = r->test->n_prompt + r->test->n_gen, shares = 0;
    memcpy(result->roof, r->bound.name, sizeof result->roof);
    result->roof_tps = r->bound.tps;
    for (size_t i = 0; i < n; i++)
        shares += tokens / (r->samples_ns[i] * 1e-9) / r->samples_roof[i];
    if (r->watched) result->roof_tps = result->avg_ts / (shares / (double)n);
    result->roof_share = result->avg_ts / result->roof_tps;
    result->roof_condition = r->watched ? result->roof_tps / r->bound.tps : (double)NAN;
}

static bg_status summarise(const run *r, size_t n, bg_bench_result *result, bg_error *err)
{
    double *ts = bg_alloc(n, sizeof *ts), tokens = r->test->n_prompt + r->test->n_gen;
    bg_summary s;
    if (!ts) return bg_fail_nomem(err, "samples", n * sizeof *ts);
    for (size_t i = 0; i < n; i++) ts[i] = tokens / (r->samples_ns[i] * 1e-9);
    bg_summarise(r->samples_ns, n, 0, 1, &s);
    result->avg_ns = s.mean;
    result->stddev_ns = s.sd;
    bg_summarise(ts, n, 0, 1, &s);
    result->avg_ts = s.mean;
    result->stddev_ts = s.sd;
    bg_free(ts);
    summarise_roof(r, n, result);
    return BG_OK;
}

static void find_bound(run *r, const bg_model *m, const bg_machine *machine)
{
    const bg_bench_test *test = r->test;
    bg_load load = {.n_prompt = test->n_prompt, .n_gen = test->n_gen, .depth = test->depth,
                    .batch = test->batch, .isa = test->isa,
                    .threads = bg_team_size(test->team)};
    bg_bound_find(&r->bound, m, machine, &load);
}

/* Begins to watch the resource of the roof, where that was measured. */
static void watch(run *r, const bg_machine *machine, bg_bench_result *result)
{
    const bg_bench_test *test = r->test;
    bg_error why;
    if (isnan(r->bound.tps)) return;
    r->watched = bg_watch_open(&r->watch, &r->bound, machine, test->team, &why) == BG_OK;
    if (r->watched) result->gauge_bytes = bg_watch_bytes(&r->watch);
    else bg_log(BG_LOG_WARN, "the roof is that of the start: %s", why.message);
}

/* The builtin engine's times. */
static bg_status time_here(run *r, const bg_model *m, const bg_machine *machine,
                           bg_bench_result *result, bg_error *err)
{
    const bg_bench_test *test = r->test;
    uint32_t n_ctx = test->depth + test->n_prompt + test->n_gen + 1;
    bg_session_options o = {.n_ctx = n_ctx, .n_batch = test->batch, .isa = test->isa,
                            .team = test->team};
    bg_tokens tokens = {0};
    bg_status status = bg_tokens_draw(&tokens, bg_model_hparams(m)->n_vocab, err);
    r->timed = (bg_timed){.n_prompt = test->n_prompt, .n_gen = test->n_gen, .depth = test->depth,
                          .batch = test->batch, .tokens = &tokens};
    result->tier = bg_tier_name(bg_kernel_find(bg_main_format(m),
                                               test->n_prompt ? BG_OP_GEMM : BG_OP_GEMV,
                                               test->isa)->tier);
    if (status == BG_OK) {
        r->timed.logits = bg_alloc(bg_model_hparams(m)->n_vocab, sizeof *r->timed.logits);
        status = r->timed.logits ? bg_session_open(&r->timed.session, m, &o, err)
                                 : bg_fail_nomem(err, "logits", 0);
    }
    if (status == BG_OK) status = bg_session_fits(r->timed.session, machine, err);
    if (status == BG_OK) {
        watch(r, machine, result);
        status = repeat(r, err);
    }
    bg_watch_close(&r->watch);
    bg_session_close(&r->timed.session);
    bg_tokens_fini(&tokens);
    bg_free(r->timed.logits);
    return status;
}

bg_status bg_bench_run(const bg_model *m, const bg_machine *machine, const bg_bench_test *test,
                       double *samples_ns, double *samples_roof, bg_bench_result *result,
                       bg_error *err)
{
    run r = {.test = test, .samples_ns = samples_ns, .samples_roof = samples_roof};
    bg_status status;
    memset(result, 0, sizeof *result);
    result->layers_timed = bg_model_layers_held(m);
    result->peak_rss = NAN;
    find_bound(&r, m, machine);
    if (test->peer) {
        for (uint32_t i = 0; i < test->reps; i++) samples_roof[i] = NAN;
        status = bg_bench_peer_time(test->peer, m, test, samples_ns, &result->peak_rss, err);
    } else
        status = time_here(&r, m, machine, result, err);
    return status == BG_OK ? summarise(&r, test->reps, result, err) : status;
}
