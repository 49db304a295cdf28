/* The child's side: one test, of which callgrind counts the second run. */
#include "harness/harness.h"

#include "bitgauge/simulated.h"

static bool is_simulated(bg_isa isa)
{
    /* Of valgrind's simulated processors: AVX2 on x86, ARMv8.0 elsewhere. */
    static const bg_isa known[] = {BG_ISA_REF, BG_ISA_AVX2, BG_ISA_NEON};
    for (size_t i = 0; i < BG_COUNT(known); i++)
        if (known[i] == isa) return true;
    return false;
}

bg_isa bg_sim_isa(bg_isa isa)
{
    while (!is_simulated(isa)) isa = bg_isa_parent(isa);
    return isa;
}

#if BG_HAVE_VALGRIND
#include <valgrind/callgrind.h>

static void start(void *user)
{
    int *run = user;
    if ((*run)++ == 0) CALLGRIND_START_INSTRUMENTATION; /* from here on caches are simulated */
    else CALLGRIND_ZERO_STATS;
}

static void stop(void *user)
{
    const int *run = user;
    if (*run < 2) return;
    CALLGRIND_DUMP_STATS;
    CALLGRIND_STOP_INSTRUMENTATION;
}

static bool is_watched(void) { return RUNNING_ON_VALGRIND > 0; }
#else
static void start(void *user) { (void)user; }
static void stop(void *user) { (void)user; }
static bool is_watched(void) { return false; }
#endif

static bg_status run(const bg_model *m, bg_timed *t, const bg_session_options *o, bg_error *err)
{
    bg_status status = bg_session_open(&t->session, m, o, err);
    double seconds;
    for (int i = 0; i < 2 && status == BG_OK; i++) status = bg_time_test(t, &seconds, err);
    bg_session_close(&t->session);
    return status;
}

bg_status bg_sim_run(const char *path, const bg_sim_test *test, bg_error *err)
{
    uint32_t n = test->n_prompt + test->n_gen;
    bg_session_options o = {.n_ctx = test->depth + 1 + n, .n_batch = BG_BATCH, .isa = test->isa};
    int runs = 0;
    bg_tokens tokens = {0};
    bg_timed t = {.n_prompt = test->n_prompt, .n_gen = test->n_gen, .depth = test->depth,
                  .batch = BG_BATCH, .tokens = &tokens, .on_start = start, .on_stop = stop,
                  .user = &runs};
    bg_model *m;
    bg_status status;
    if (!is_watched())
        return bg_fail(err, BG_ERR_INPUT, NULL, "this command runs under callgrind only: use "
                       "`bitgauge sweep --counters callgrind`");
    BG_TRY(bg_model_open(&m, path, err));
    t.logits = bg_alloc(bg_model_hparams(m)->n_vocab, sizeof *t.logits);
    status = t.logits ? bg_tokens_draw(&tokens, bg_model_hparams(m)->n_vocab, err)
                      : bg_fail_nomem(err, "logits", 0);
    if (status == BG_OK) status = run(m, &t, &o, err);
    bg_tokens_fini(&tokens);
    bg_free(t.logits);
    bg_model_close(&m);
    return status;
}
