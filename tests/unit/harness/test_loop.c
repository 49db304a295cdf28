/* The loop with a machine made of arithmetic: no models, no clocks. */
#include "test.h"

#include "base/file.h"
#include "harness/harness.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct fake {
    double clock, noise;
    double cold;             /* how much longer the first warm-up takes; half of that the next */
    const bg_plan *plan;
    bg_rng rng;
    int windows; /* of the energy meter */
    int loads, unloads, repeats, warm_ups, qualities, counts, memory, most_in_memory;
    int load_fails;          /* scheme, or -1 */
    int repeat_fails_at;     /* number of the call, or -1 */
    int steps_left;          /* progress calls before it says stop; -1: never */
    double fraction;
    float latencies[4];
} fake;

static bg_status load(void *user, size_t scheme, bg_error *err)
{
    fake *f = user;
    f->clock += 1;
    if ((int)scheme == f->load_fails)
        return bg_fail(err, BG_ERR_NOMEM, NULL, "not enough memory for the test");
    f->loads++;
    f->memory++;
    f->most_in_memory = BG_MAX(f->most_in_memory, f->memory);
    return BG_OK;
}

static void unload(void *user, size_t scheme)
{
    fake *f = user;
    (void)scheme;
    f->unloads++;
    f->memory--;
}

static bg_status repeat(void *user, const bg_cell *c, bool timed, bg_sample *s, bg_error *err)
{
    fake *f = user;
    double seconds = 0.1 * (double)(c->scheme + 1) * (1 + f->noise * bg_rng_normal(&f->rng));
    if (!timed) {
        seconds *= 1 + f->cold * pow(0.5, f->warm_ups);
        f->warm_ups++;
    }
    f->clock += seconds;
    s->seconds = seconds;
    if (!timed) return BG_OK;
    if (f->repeats++ == f->repeat_fails_at)
        return bg_fail(err, BG_ERR_IO, "fake", "the machine caught fire");
    s->tokens = c->n;
    s->ttft_ms = c->kind == BG_TEST_PP ? seconds * 1e3 : (double)NAN;
    s->steal_ratio = NAN;
    for (int i = 0; i < BG_COUNTER_COUNT; i++) s->counters[i] = NAN;
    s->counters[BG_COUNTER_INSTRUCTIONS] = 1000.0 * c->n;
    s->counters[BG_COUNTER_MINOR_FAULTS] = 3;
    if (c->kind == BG_TEST_TG) {
        for (int i = 0; i < 4; i++) f->latencies[i] = (float)(i + 1);
        s->itl_ms = f->latencies;
        s->itl_count = 4;
    }
    return BG_OK;
}

static bg_status energy(void *user, const bg_cell *c, bg_energy *out, bg_error *err)
{
    fake *f = user;
    (void)c;
    (void)err;
    f->windows++;
    *out = (bg_energy){.joules = 30, .seconds = 1, .tokens = 60, .source = "package"};
    return BG_OK;
}

static bg_status quality(void *user, const bg_cell *c, bg_quality *q, bg_error *err)
{
    fake *f = user;
    (void)err;
    f->qualities++;
    f->clock += 2;
    *q = (bg_quality){.windows = 3, .ppl = 5 + (double)c->scheme, .ppl_se = 0.1, .has_base = true,
                      .base_ppl = 5, .kld_mean = 0.01, .kld_se = 0.001};
    return BG_OK;
}

static bg_status count(void *user, const bg_cell *c, double per_token[BG_SIM_COUNT], bg_error *err)
{
    fake *f = user;
    f->counts++;
    if (c->scheme == 1 && c->kind == BG_TEST_PP)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "valgrind", "ended by signal 11");
    for (int i = 0; i < BG_SIM_COUNT; i++) per_token[i] = 100.25 * (i + 1);
    return BG_OK;
}

static void describe(void *user, const bg_cell *c, bg_row *row)
{
    (void)user;
    bg_row_set_number(row, BG_COL_WEIGHT_BYTES, 1000.0 * (double)(c->scheme + 1));
}

static void derive(void *user, const bg_cell *c, bg_row *row)
{
    (void)user;
    (void)c;
    bg_row_set_absent(row, BG_COL_COUNTER_CYCLES, "no such counter");
}

static double now(void *user) { return ((fake *)user)->clock; }

static bool progress(void *user, const bg_sweep_progress *p)
{
    fake *f = user;
    assert_true(p->fraction >= 0 && p->fraction <= 1 && p->seconds_left >= 0);
    f->fraction = p->fraction;
    return f->steps_left < 0 || f->steps_left-- > 0;
}

static char dir[64];

static void clear(void)
{
    static const char *const names[] = {"plan.json", "results.csv", "samples.csv"};
    for (size_t i = 0; i < BG_COUNT(names); i++) {
        char *path = bg_path_join(dir, names[i]);
        unlink(path);
        bg_free(path);
    }
}

static int make_dir(void **state)
{
    (void)state;
    /* In memory where there is such a place: every saving waits for the disk. */
    snprintf(dir, sizeof dir, "%s/bgengineXXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    clear();
    return rmdir(dir);
}

static void make_counting_plan(bg_plan *p)
{
    bg_sweep_options o;
    bg_error err;
    bg_sweep_options_init(&o);
    o.schemes = "Q4_0,Q8_0";
    o.isas = "ref";
    o.n_prompt = o.n_gen = 0;
    o.quality = BG_QUALITY_OFF;
    o.simulate = true;
    assert_ok(bg_plan_make(p, &o, 2, &err), &err);
}

static void make_plan(bg_plan *p, const char *schemes)
{
    bg_sweep_options o;
    bg_error err;
    bg_sweep_options_init(&o);
    o.schemes = schemes;
    o.isas = "ref";
    o.threads = "2,1";
    o.n_gen = 4;
    o.time_limit = 0;
    assert_ok(bg_plan_make(p, &o, 2, &err), &err);
    p->min_reps = 3;
    p->max_reps = 6;
}

static fake make_fake(const bg_plan *p, double noise)
{
    fake f = {.plan = p, .noise = noise, .load_fails = -1, .repeat_fails_at = -1, .steps_left = -1};
    bg_rng_seed(&f.rng, 3);
    return f;
}

static bg_status run(bg_plan *p, fake *f, bg_results *r, bg_error *err)
{
    bg_runner runner = {load, unload, repeat, energy, quality, count, describe, derive, now,
                        NULL, f};
    return bg_loop_run(p, &runner, r, progress, f, f->clock, err);
}

static bg_results *new_results(void)
{
    bg_results *r;
    bg_error err;
    assert_ok(bg_results_new(&r, dir, "{}", &err), &err);
    return r;
}

static void everything_is_measured(void **state)
{
    bg_plan p;
    bg_error err;
    bg_results *r = new_results();
    fake f;
    char reason[64];
    const bg_row *row;
    (void)state;
    make_plan(&p, "Q4_0,Q8_0");
    f = make_fake(&p, 0.001);
    assert_int_equal(p.n_cells, 2 * (2 * 2 + 1));
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(f.loads, 2);
    assert_int_equal(f.unloads, 2);
    assert_int_equal(f.qualities, 2);
    assert_int_equal(f.warm_ups, 2 * 8); /* the second is no faster */
    assert_int_equal(f.windows, 8);
    assert_true(p.cells[0].energy.joules == 30);
    assert_int_equal(f.repeats, 8 * 3); /* quiet: the fewest */
    bg_results_close(&r);
    assert_ok(bg_results_open(&r, dir, &err), &err);
    assert_int_equal(bg_results_row_count(r), 10);
    for (size_t i = 0; i < 10; i++) { /* rows are in the order of the plan */
        assert_string_equal(bg_row_text(bg_results_row(r, i), BG_COL_TEST), p.cells[i].test);
        assert_string_equal(bg_row_text(bg_results_row(r, i), BG_COL_STATUS), "ok");
    }
    row = bg_results_find(r, "Q8_0", "tg4", "ref", 2);
    assert_non_null(row);
    assert_true(fabs(bg_row_number(row, BG_COL_TPS) - 20) < 0.2);
    assert_true(bg_row_number(row, BG_COL_REPS) == 3);
    assert_true(bg_row_number(row, BG_COL_WARM_UPS) == 2);
    assert_true(bg_row_number(row, BG_COL_CAPPED) == 0);
    assert_true(bg_row_number(row, BG_COL_ITL_P50) == 2.5);
    assert_true(fabs(bg_row_number(row, BG_COL_ITL_P99) - 4) < 1e-9);
    assert_true(bg_row_number(row, BG_COL_COUNTER_INSTRUCTIONS) == 1000);
    assert_true(bg_row_number(row, BG_COL_COUNTER_MINOR_FAULTS) == 3);
    assert_true(bg_row_absent_reason(row, BG_COL_COUNTER_CYCLES, reason, sizeof reason));
    assert_string_equal(reason, "no such counter");
    assert_true(bg_row_absent_reason(row, BG_COL_PPL, reason, sizeof reason));
    row = bg_results_find(r, "Q8_0", "pp512", "ref", 1);
    assert_true(fabs(bg_row_number(row, BG_COL_TTFT) - 200) < 2);
    row = bg_results_find(r, "Q8_0", "quality", NULL, 0);
    assert_true(bg_row_number(row, BG_COL_PPL) == 6 && bg_row_number(row, BG_COL_KLD) == 0.01);
    /* No field is empty without a reason. */
    for (size_t i = 0; i < 10; i++)
        for (int c = 0; c < BG_COL_COUNT; c++)
            if (c != BG_COL_REASON && c != BG_COL_ABSENT &&
                !bg_row_has(bg_results_row(r, i), (bg_column)c))
                assert_true(bg_row_absent_reason(bg_results_row(r, i), (bg_column)c, reason,
                                                 sizeof reason));
    bg_results_close(&r);
    bg_plan_fini(&p);
    clear();
}

static void simulated_cells_run_once(void **state)
{
    bg_plan p;
    bg_error err;
    bg_results *r = new_results();
    fake f;
    char reason[64];
    const bg_row *row;
    (void)state;
    make_counting_plan(&p);
    assert_int_equal(p.n_cells, 4);
    assert_false(bg_plan_timed(&p));
    f = make_fake(&p, 0);
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(f.counts, 4);
    assert_int_equal(f.warm_ups + f.repeats + f.qualities, 0);
    row = bg_results_find(r, "Q4_0", "sim-tg4@d16", "ref", 1);
    assert_non_null(row);
    assert_true(bg_row_number(row, BG_COL_SIM_INSTRUCTIONS) == 100.25);
    assert_true(bg_row_number(row, BG_COL_SIM_BRANCH_MISSES) == 501.25);
    assert_true(bg_row_number(row, BG_COL_N_GEN) == 4);
    assert_string_equal(bg_row_text(row, BG_COL_SOURCE), "simulated");
    assert_false(bg_row_has(row, BG_COL_TPS) || bg_row_has(row, BG_COL_COUNTER_INSTRUCTIONS));
    assert_true(bg_row_absent_reason(row, BG_COL_TPS, reason, sizeof reason));
    assert_string_equal(reason, "not a timed test");
    row = bg_results_find(r, "Q8_0", "sim-pp16", "ref", 1);
    assert_string_equal(bg_row_text(row, BG_COL_STATUS), "failed");
    assert_non_null(strstr(bg_row_text(row, BG_COL_REASON), "signal 11"));
    assert_false(bg_row_has(row, BG_COL_SIM_INSTRUCTIONS));
    /* What failed is tried again, the rest is done. */
    for (size_t i = 0; i < p.n_cells; i++) p.cells[i].done = false;
    assert_int_equal(bg_loop_restore(&p, r), 1);
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(f.counts, 5);
    bg_results_close(&r);
    bg_plan_fini(&p);
    clear();
}

/* Until a repetition is less than 5 % faster than the one before, six times at most, and none after
 * a second. */
static void warms_up_until_stable(void **state)
{
    /* 1: 0.2, 0.15, 0.125, 0.1125, 0.10625, 0.103 seconds; 100: 10.1. */
    static const struct { double cold; int warm_ups; } cases[] = {
        {0, 2}, {0.04, 2}, {0.2, 3}, {1, 6}, {100, 1},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_plan p;
        bg_error err;
        bg_results *r = new_results();
        fake f;
        make_plan(&p, "Q4_0");
        p.n_cells = 1;
        f = make_fake(&p, 0);
        f.cold = cases[i].cold;
        assert_ok(run(&p, &f, r, &err), &err);
        assert_int_equal(f.warm_ups, cases[i].warm_ups);
        assert_true(bg_row_number(bg_results_row(r, 0), BG_COL_WARM_UPS) == cases[i].warm_ups);
        bg_results_close(&r);
        bg_plan_fini(&p);
        clear();
    }
}

/* The order of a round as profiles/results-schema.md says that a reader can redo it. */
static void redo_round(uint64_t seed, uint64_t position, uint32_t *order, uint32_t n)
{
    uint64_t hash = seed ^ 0xcbf29ce484222325u;
    bg_rng rng;
    for (int i = 0; i < 8; i++) hash = (hash ^ (position >> 8 * i & 0xff)) * 0x100000001b3u;
    bg_rng_seed(&rng, hash);
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t k = (uint32_t)bg_rng_below(&rng, i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
}

static size_t timed_before(const bg_plan *p, size_t cell)
{
    size_t n = 0;
    for (size_t i = 0; i < cell; i++) n += p->cells[i].kind != BG_TEST_QUALITY;
    return n;
}

/* In the order of positions, no cell is ever two repetitions ahead of another open one, and the
 * rounds differ, but can be redone from the seed. */
static void repetitions_interleave(void **state)
{
    bg_plan p;
    bg_error err;
    bg_results *r = new_results();
    fake f;
    uint32_t count[64] = {0};
    char rounds[2][64 * 8] = {"", ""};
    uint32_t order[12];
    (void)state;
    make_plan(&p, "Q4_0,Q8_0,F16");
    p.precision = 1e-9; /* all go to the cap */
    f = make_fake(&p, 0.3);
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(bg_results_sample_count(r), 12 * 6);
    for (size_t i = 0; i < 72; i++) {
        const bg_sample *s = bg_results_sample(r, i);
        size_t c = 0;
        assert_int_equal(s->position, i);
        if (i % 12 == 0) redo_round(p.seed, i, order, 12);
        while (strcmp(p.cells[c].test, s->test) != 0 || p.cells[c].threads != s->threads ||
               strcmp(bg_scheme_name(p.schemes[p.cells[c].scheme]), s->scheme) != 0)
            c++;
        assert_int_equal(timed_before(&p, c), order[i % 12]);
        assert_int_equal(s->rep, count[c]);
        assert_int_equal(++count[c], i / 12 + 1);
        if (i < 24) sprintf(rounds[i / 12] + strlen(rounds[i / 12]), "%zu ", c);
    }
    assert_string_not_equal(rounds[0], rounds[1]);
    for (size_t i = 0; i < bg_results_row_count(r); i++)
        if (p.cells[i].kind != BG_TEST_QUALITY)
            assert_true(bg_row_number(bg_results_row(r, i), BG_COL_CAPPED) == 1);
    bg_results_close(&r);
    bg_plan_fini(&p);
    clear();
}

static void failures_are_rows(void **state)
{
    bg_plan p;
    bg_error err;
    bg_results *r = new_results();
    fake f;
    size_t failed = 0;
    (void)state;
    make_plan(&p, "Q4_0,Q8_0,F16");
    f = make_fake(&p, 0.001);
    f.load_fails = 1;
    f.repeat_fails_at = 2;
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(f.unloads, 2);
    assert_int_equal(bg_results_row_count(r), 15);
    for (size_t i = 0; i < 15; i++) {
        const bg_row *row = bg_results_row(r, i);
        if (strcmp(bg_row_text(row, BG_COL_STATUS), "failed") != 0) continue;
        failed++;
        assert_non_null(strstr(bg_row_text(row, BG_COL_REASON),
                               p.cells[i].scheme == 1 ? "not enough memory" : "caught fire"));
        assert_false(bg_row_has(row, BG_COL_TPS));
    }
    assert_int_equal(failed, 5 + 1);
    /* The next run tries the failed ones again, and only those. */
    f.load_fails = -1;
    f.repeats = 100;
    f.repeat_fails_at = -1;
    f.qualities = 0;
    for (size_t i = 0; i < p.n_cells; i++) p.cells[i].done = false;
    assert_int_equal(bg_loop_restore(&p, r), 6);
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(f.qualities, 1);
    assert_int_equal(bg_loop_restore(&p, r), 0);
    bg_results_close(&r);
    bg_plan_fini(&p);
    clear();
}

/* Stopped after any number of steps, the folder can be read, and going on completes it without
 * measuring anything twice. */
static void stopped_anywhere_it_resumes(void **state)
{
    (void)state;
    for (int steps = 0; steps < 90; steps += 7) {
        bg_plan p;
        bg_error err;
        bg_results *r = new_results();
        fake f;
        make_plan(&p, "Q4_0,Q8_0");
        p.group[1] = 1;
        p.n_groups = 2;
        p.precision = 1e-9;
        f = make_fake(&p, 0.3);
        f.steps_left = steps;
        if (run(&p, &f, r, &err) != BG_OK) {
            assert_int_equal(err.status, BG_ERR_INTERRUPTED);
            assert_non_null(strstr(err.message, "--out goes on"));
        }
        assert_int_equal(f.memory, 0);
        bg_results_close(&r);
        assert_ok(bg_results_open(&r, dir, &err), &err);
        for (size_t i = 0; i < p.n_cells; i++) p.cells[i].done = false;
        bg_loop_restore(&p, r);
        f.steps_left = -1;
        assert_ok(run(&p, &f, r, &err), &err);
        assert_int_equal(f.most_in_memory, 1); /* one group at a time */
        assert_int_equal(bg_results_row_count(r), 10);
        assert_int_equal(bg_results_sample_count(r), 8 * 6);
        assert_int_equal(f.qualities, 2);
        for (size_t i = 1; i < 48; i++)
            assert_int_equal(bg_results_sample(r, i)->position, i);
        bg_results_close(&r);
        bg_plan_fini(&p);
        clear();
    }
}

static void time_limit_leaves_one_repetition(void **state)
{
    bg_plan p;
    bg_error err;
    bg_results *r = new_results();
    fake f;
    (void)state;
    make_plan(&p, "Q4_0,Q8_0");
    p.time_limit = 3; /* loading takes that long */
    f = make_fake(&p, 0.001);
    assert_ok(run(&p, &f, r, &err), &err);
    assert_int_equal(bg_results_sample_count(r), 8);
    for (size_t i = 0; i < 10; i++) {
        const bg_row *row = bg_results_row(r, i);
        char reason[64];
        if (p.cells[i].kind == BG_TEST_QUALITY) continue;
        assert_true(bg_row_number(row, BG_COL_CAPPED) == 1);
        assert_true(bg_row_absent_reason(row, BG_COL_TPS_LOW, reason, sizeof reason));
        assert_string_equal(reason, "needs 8 repetitions");
    }
    assert_int_equal(bg_loop_restore(&p, r), 0);
    bg_results_close(&r);
    bg_plan_fini(&p);
    clear();
}

static void unwritable_folder(void **state)
{
    bg_plan p;
    bg_error err;
    bg_results *r;
    fake f;
    (void)state;
    make_plan(&p, "Q4_0");
    f = make_fake(&p, 0.001);
    assert_ok(bg_results_new(&r, "/proc/nowhere", "{}", &err), &err);
    assert_fails(run(&p, &f, r, &err), BG_ERR_IO, "cannot create", &err);
    assert_int_equal(f.memory, 0);
    bg_results_close(&r);
    bg_plan_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_measured), cmocka_unit_test(warms_up_until_stable),
        cmocka_unit_test(simulated_cells_run_once), cmocka_unit_test(repetitions_interleave),
        cmocka_unit_test(failures_are_rows), cmocka_unit_test(stopped_anywhere_it_resumes),
        cmocka_unit_test(time_limit_leaves_one_repetition), cmocka_unit_test(unwritable_folder),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
