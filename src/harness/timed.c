/* One repetition of one test, for the sweep and for bench. */
#include "harness/harness.h"

#include <string.h>

static bg_status eval(const bg_timed *t, const int32_t *tokens, size_t n, bool want, bg_error *err)
{
    static const uint8_t nothing[BG_BENCH_MAX_BATCH];
    bg_batch batch = {.n = n, .tokens = tokens, .want = want ? NULL : nothing};
    return bg_session_eval(t->session, &batch, t->logits, err);
}

static void take_tokens(const bg_timed *t, size_t from, int32_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = t->tokens->data[(from + i) % t->tokens->count];
}

/* A clock that also counts the layers that a shape's model does not hold, and leaves out pauses. */
static double seconds_now(const bg_timed *t)
{
    return (double)bg_clock_ns() * 1e-9 + bg_session_skipped_seconds(t->session) -
           (t->watch ? t->watch->paused : 0);
}

/* Reads the roof within the test that began at `start`. What else is counted would count the
 * reading as well, so then there is none. */
static void look(const bg_timed *t, double start)
{
    if (t->watch && !t->on_start) bg_watch_between(t->watch, seconds_now(t) - start);
}

/* Evaluates n tokens in batches; logits only of the very last, and only when wanted. */
static bg_status prefill(const bg_timed *t, size_t from, size_t n, bool want, bg_error *err)
{
    int32_t batch[BG_BENCH_MAX_BATCH];
    for (size_t at = 0; at < n; at += t->batch) {
        size_t part = BG_MIN(n - at, (size_t)t->batch);
        take_tokens(t, from + at, batch, part);
        BG_TRY(eval(t, batch, part, want && at + part == n, err));
    }
    return BG_OK;
}

static bg_status generate(const bg_timed *t, size_t from, double begin, bg_error *err)
{
    double start = seconds_now(t);
    for (uint32_t i = 0; i < t->n_gen; i++) {
        int32_t token;
        double end;
        look(t, begin);
        take_tokens(t, from + i, &token, 1);
        BG_TRY(eval(t, &token, 1, true, err));
        end = seconds_now(t);
        if (t->latencies) t->latencies[i] = (float)((end - start) * 1e3);
        start = end;
    }
    return BG_OK;
}

bg_status bg_session_fits(const bg_session *s, const bg_machine *machine, bg_error *err)
{
    uint64_t bytes = (uint64_t)bg_session_kv_bytes(s) + bg_session_scratch_bytes(s);
    uint64_t available = bg_machine_memory_available(machine);
    char needs[32], has[32];
    if (bytes <= available) return BG_OK;
    return bg_fail(err, BG_ERR_NOMEM, NULL, "the context of the tests takes %s and %s are free: "
                   "choose smaller -d and -p, or close other programs",
                   bg_format_size(needs, sizeof needs, (double)bytes),
                   bg_format_size(has, sizeof has, (double)available));
}

bg_status bg_time_test(const bg_timed *t, double *seconds, bg_error *err)
{
    /* Generation follows a first token, whose logits would have been sampled from. */
    size_t before = t->depth + (t->n_prompt ? 0 : 1);
    double start;
    bg_status status;
    bg_session_reset(t->session, 0);
    BG_TRY(prefill(t, 0, t->depth, false, err));
    if (t->watch) bg_watch_begin(t->watch);
    /* It also brings what the reading displaced back into the caches. */
    BG_TRY(prefill(t, t->depth, before - t->depth, false, err));
    if (t->on_start) t->on_start(t->user);
    start = seconds_now(t);
    status = prefill(t, before, t->n_prompt, true, err);
    if (status == BG_OK) status = generate(t, before + t->n_prompt, start, err);
    *seconds = seconds_now(t) - start;
    if (t->on_stop) t->on_stop(t->user);
    if (t->watch) bg_watch_end(t->watch, *seconds);
    return status;
}
