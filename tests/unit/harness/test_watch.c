/* Roofs that move, in closed form: a gauge that reads from a list, and a clock that is set. */
#include "test.h"

#include "harness/harness.h"

#include <math.h>

typedef struct fake {
    const double *values;
    size_t reads;
    double clock, asked;
} fake;

static double fake_read(void *user, double seconds)
{
    fake *f = user;
    f->asked = seconds;
    f->clock += seconds;
    return f->values[f->reads++];
}

static double fake_now(void *user) { return ((fake *)user)->clock; }

static bg_watch make_watch(fake *f)
{
    return (bg_watch){.read = fake_read, .now = fake_now, .user = f};
}

static double repetition(bg_watch *w, fake *f, double seconds)
{
    bg_watch_begin(w);
    f->clock += seconds;
    bg_watch_end(w, seconds);
    return w->condition;
}

static bool near(double a, double b) { return fabs(a - b) < 1e-12 * fabs(b); }

static void long_tests_are_read_before_and_after(void **state)
{
    static const double values[] = {1, 0.5, 0.5, 0.5, 0.25, 0.75};
    fake f = {.values = values, .clock = 1};
    bg_watch w = make_watch(&f);
    (void)state;
    assert_true(near(repetition(&w, &f, 2), 0.75)); /* it halved in between */
    assert_true(near(repetition(&w, &f, 2), 0.5));
    assert_true(near(repetition(&w, &f, 2), 0.5));
    assert_int_equal(f.reads, 6);
    assert_true(near(f.asked, 0.012));
}

static void readings_between_count_by_their_time(void **state)
{
    static const double values[] = {1, 0.5, 0.25, 0.75};
    fake f = {.values = values, .clock = 1};
    bg_watch w = make_watch(&f);
    (void)state;
    bg_watch_begin(&w);
    bg_watch_between(&w, 0.1); /* too soon */
    assert_int_equal(f.reads, 1);
    bg_watch_between(&w, 1);
    bg_watch_between(&w, 1.1);
    bg_watch_between(&w, 4);
    assert_int_equal(f.reads, 3);
    bg_watch_end(&w, 5);
    assert_true(near(w.condition, (1 * 0.75 + 3 * 0.375 + 1 * 0.5) / 5));
    assert_true(near(w.paused, 2 * 0.012));
}

static void short_tests_share_readings(void **state)
{
    static const double values[] = {1, 0.5, 0.25, 0.125, 1, 1, 0.5};
    fake f = {.values = values, .clock = 1};
    bg_watch w = make_watch(&f);
    (void)state;
    w.length = 0.004; /* as the warm-up said */
    bg_watch_begin(&w);
    assert_true(near(f.asked, 0.004)); /* no longer than the test */
    bg_watch_end(&w, 0.005);
    assert_true(near(f.asked, 0.005));
    assert_true(near(w.condition, 0.75));
    assert_true(near(repetition(&w, &f, 0.0001), 0.375));
    assert_true(near(f.asked, 0.002)); /* but long enough to say something */
    assert_true(near(repetition(&w, &f, 0.0001), 0.1875));
    assert_int_equal(f.reads, 4);
    f.clock += 1; /* something else ran: what was read is old */
    assert_true(near(repetition(&w, &f, 0.0001), 1));
    assert_int_equal(f.reads, 6);
    w.length = 3; /* and a long test wants its own */
    bg_watch_begin(&w);
    assert_int_equal(f.reads, 7);
}

static void unknown_length_gets_the_longest(void **state)
{
    static const double values[] = {0.5, 1};
    fake f = {.values = values, .clock = 1};
    bg_watch w = make_watch(&f);
    (void)state;
    bg_watch_begin(&w);
    assert_true(near(f.asked, 0.012));
}

/* Four repetitions of 64 tokens in 1, 2, 4 and 4 s with these roofs; the row that they make. */
static bg_row *make_row(const double roofs[4], double start)
{
    static const double seconds[4] = {1, 2, 4, 4};
    bg_cell cell = {.kind = BG_TEST_TG, .isa = BG_ISA_REF, .threads = 1, .n = 64, .test = "tg64"};
    bg_plan plan = {.n_schemes = 1, .seed = 1, .engines = {&bg_engine_builtin}, .n_engines = 1};
    bg_bound bound = {.name = "read memory", .tps = start};
    bg_row *row = bg_row_new();
    bg_results *r;
    bg_error err;
    plan.schemes[0] = bg_scheme_at(0);
    assert_ok(bg_results_new(&r, "nowhere", "{}", &err), &err);
    for (uint32_t i = 0; i < 4; i++) {
        bg_sample s = {.threads = 1, .rep = i, .seconds = seconds[i], .tokens = 64,
                       .ttft_ms = NAN, .steal_ratio = NAN, .roof_tps = roofs[i]};
        strcpy(s.test, cell.test);
        strcpy(s.isa, bg_isa_name(cell.isa));
        strcpy(s.engine, bg_engine_builtin.name);
        strcpy(s.scheme, bg_scheme_name(plan.schemes[0]));
        for (int k = 0; k < BG_COUNTER_COUNT; k++) s.counters[k] = NAN;
        assert_ok(bg_results_add_sample(r, &s, &err), &err);
    }
    assert_ok(bg_fill_samples(row, &plan, &cell, r, NULL, &err), &err);
    bg_fill_roof(row, &bound);
    bg_results_close(&r);
    return row;
}

static void check_row(const double roofs[4], double start, double value, double share)
{
    bg_row *row = make_row(roofs, start);
    assert_string_equal(bg_row_text(row, BG_COL_ROOF), "read memory");
    assert_true(near(bg_row_number(row, BG_COL_TPS), 24)); /* of 64, 32, 16, 16 */
    assert_true(near(bg_row_number(row, BG_COL_ROOF_VALUE), value));
    assert_true(near(bg_row_number(row, BG_COL_ROOF_PCT), share));
    assert_true(near(bg_row_number(row, BG_COL_ROOF_COND), value / start));
    bg_row_free(&row);
}

static void shares_follow_the_roof(void **state)
{
    char reason[64];
    bg_row *row;
    (void)state;
    check_row((double[]){96, 96, 96, 96}, 96, 96, 25);
    check_row((double[]){48, 48, 48, 48}, 96, 48, 50); /* half the roof, twice the share */
    check_row((double[]){80, 40, 20, 20}, 96, 30, 80); /* every repetition at 80 % of its roof */
    check_row((double[]){NAN, 64, 32, NAN}, 96, 48, 50); /* some are of a folder without roofs */
    row = make_row((double[]){NAN, NAN, NAN, NAN}, 96);
    assert_true(near(bg_row_number(row, BG_COL_ROOF_VALUE), 96));
    assert_true(near(bg_row_number(row, BG_COL_ROOF_PCT), 25));
    assert_false(bg_row_has(row, BG_COL_ROOF_COND));
    assert_true(bg_row_absent_reason(row, BG_COL_ROOF_COND, reason, sizeof reason));
    assert_string_equal(reason, "the roof is that of the start");
    bg_row_free(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_tests_are_read_before_and_after),
        cmocka_unit_test(readings_between_count_by_their_time),
        cmocka_unit_test(short_tests_share_readings),
        cmocka_unit_test(unknown_length_gets_the_longest),
        cmocka_unit_test(shares_follow_the_roof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
