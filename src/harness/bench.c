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

static bg_status repeat(const bg_timed *timed, const bg_bench_test *test, double *samples_ns,
                        bg_error *err)
{
    for (uint32_t i = 0; i < test->reps + !test->no_warm_up; i++) {
        uint32_t done = i < !test->no_warm_up ? 0 : i - !test->no_warm_up;
        double seconds;
        if (test->progress && !test->progress(test->user, done, test->reps))
            return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "stopped");
        BG_TRY(bg_time_test(timed, &seconds, err));
        samples_ns[done] = seconds * 1e9; /* the warm-up's is overwritten */
    }
    return BG_OK;
}

static bg_status summarise(const double *samples_ns, size_t n, double tokens,
                           bg_bench_result *result, bg_error *err)
{
    double *ts = bg_alloc(n, sizeof *ts);
    bg_summary s;
    if (!ts) return bg_fail_nomem(err, "samples", n * sizeof *ts);
    for (size_t i = 0; i < n; i++) ts[i] = tokens / (samples_ns[i] * 1e-9);
    bg_summarise(samples_ns, n, 0, 1, &s);
    result->avg_ns = s.mean;
    result->stddev_ns = s.sd;
    bg_summarise(ts, n, 0, 1, &s);
    result->avg_ts = s.mean;
    result->stddev_ts = s.sd;
    bg_free(ts);
    return BG_OK;
}

bg_status bg_bench_run(const bg_model *m, const bg_machine *machine, const bg_bench_test *test,
                       double *samples_ns, bg_bench_result *result, bg_error *err)
{
    bg_test_kind kind = test->n_prompt ? BG_TEST_PP : BG_TEST_TG;
    uint32_t n = test->n_prompt + test->n_gen;
    bg_session_options o = {.n_ctx = test->depth + n + 1, .n_batch = BG_BATCH, .isa = test->isa,
                            .team = test->team};
    bg_tokens tokens = {0};
    bg_timed timed = {.kind = kind, .n = n, .depth = test->depth, .tokens = &tokens};
    bg_bound bound;
    bg_status status = bg_tokens_draw(&tokens, bg_model_hparams(m)->n_vocab, err);
    memset(result, 0, sizeof *result);
    result->roof_tps = NAN;
    result->batch = BG_BATCH;
    result->layers_timed = bg_model_layers_held(m);
    if (status == BG_OK) {
        timed.logits = bg_alloc(bg_model_hparams(m)->n_vocab, sizeof *timed.logits);
        status = timed.logits ? bg_session_open(&timed.session, m, &o, err)
                              : bg_fail_nomem(err, "logits", 0);
    }
    if (status == BG_OK && machine) status = bg_session_fits(timed.session, machine, err);
    if (status == BG_OK) status = repeat(&timed, test, samples_ns, err);
    if (status == BG_OK) status = summarise(samples_ns, test->reps, n, result, err);
    result->tier = bg_tier_name(bg_kernel_find(bg_main_format(m), kind == BG_TEST_PP ? BG_OP_GEMM
                                                                                     : BG_OP_GEMV,
                                               test->isa)->tier);
    if (status == BG_OK && machine) {
        bg_bound_find(&bound, m, machine, kind, test->isa, bg_team_size(test->team), n,
                      test->depth);
        memcpy(result->roof, bound.name, sizeof result->roof);
        result->roof_tps = bound.tps;
    }
    bg_session_close(&timed.session);
    bg_tokens_fini(&tokens);
    bg_free(timed.logits);
    return status;
}
