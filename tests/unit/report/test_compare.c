/* The comparison of folders: exact conclusions of folders whose numbers are known. */
#include "test.h"

#include "bitgauge/report.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPS = 20 };

typedef struct folder { bg_results *r; char dir[64]; } folder;

/* A machine of so many cores; a noise floor of 0 is not calibrated. */
static void open_folder(folder *f, const char *parent, const char *name, int cores, double noise)
{
    char machine[512];
    bg_error err;
    snprintf(f->dir, sizeof f->dir, "%s/%s", parent, name);
    assert_ok(bg_dir_create(f->dir, &err), &err);
    assert_ok(bg_results_new(&f->r, f->dir, "{}", &err), &err);
    snprintf(machine, sizeof machine,
             "{\"cpu\": {\"model\": \"Made up\", \"arch\": \"x\"}, \"limits\": {\"cores\": %d}, "
             "\"noise_floors\": [{\"kind\": \"tg\", \"threads\": 2, \"floor\": %g},"
             "{\"kind\": \"pp\", \"threads\": 2, \"floor\": %g}]}",
             cores, noise, noise);
    assert_ok(bg_results_describe(f->r, "{}", machine, &err), &err);
}

/* reps 0: an interval of 1 % in the row, and no samples. 1: neither. */
static void add(folder *f, const char *scheme, const char *test, double tps, int reps)
{
    bg_row *row = bg_row_new();
    bg_error err;
    bg_row_set_text(row, BG_COL_SCHEME, scheme);
    bg_row_set_text(row, BG_COL_TEST, test);
    bg_row_set_text(row, BG_COL_MODEL, "Toy");
    bg_row_set_text(row, BG_COL_ISA, "avx2");
    bg_row_set_text(row, BG_COL_STATUS, "ok");
    bg_row_set_text(row, BG_COL_ROOF, "read memory");
    bg_row_set_number(row, BG_COL_ROOF_PCT, 80);
    bg_row_set_number(row, BG_COL_THREADS, 2);
    bg_row_set_number(row, BG_COL_WEIGHT_BYTES, 1e6);
    bg_row_set_number(row, BG_COL_BPW, 4);
    bg_row_set_number(row, BG_COL_TPS, tps);
    if (reps != 1) {
        bg_row_set_number(row, BG_COL_TPS_LOW, tps * 0.99);
        bg_row_set_number(row, BG_COL_TPS_HIGH, tps * 1.01);
    }
    assert_ok(bg_results_add(f->r, &row, &err), &err);
    for (int i = 0; i < reps && reps > 1; i++) {
        /* Neighbours do not resemble each other, and the median is tps. */
        double noise = 0.004 * ((i * 7) % reps - (reps - 1) / 2.0) / reps;
        bg_sample s = {.threads = 2, .rep = (uint32_t)i, .position = (uint64_t)i, .tokens = 64,
                       .seconds = 64 / tps * (1 + noise), .ttft_ms = NAN, .roof_tps = NAN,
                       .steal_ratio = 0};
        snprintf(s.scheme, sizeof s.scheme, "%s", scheme);
        snprintf(s.test, sizeof s.test, "%s", test);
        snprintf(s.isa, sizeof s.isa, "avx2");
        for (size_t k = 0; k < BG_COUNTER_COUNT; k++) s.counters[k] = NAN;
        assert_ok(bg_results_add_sample(f->r, &s, &err), &err);
    }
}

typedef struct world { char dir[64]; folder a, b; } world;

static int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    snprintf(w->dir, sizeof w->dir, "/tmp/bitgauge-compare-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    world *w = *state;
    char command[96];
    bg_results_close(&w->a.r);
    bg_results_close(&w->b.r);
    snprintf(command, sizeof command, "rm -r %s", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
    return 0;
}

static void compared(const world *w, char **text)
{
    const bg_results *sides[] = {w->a.r, w->b.r};
    bg_error err;
    assert_ok(bg_report_compare(sides, 2, NULL, text, &err), &err);
}

static void says(const char *text, const char *sentence)
{
    if (strstr(text, sentence)) return;
    print_message("no \"%s\" in:\n%s\n", sentence, text);
    fail();
}

static void tells_faster(void **state)
{
    world *w = *state;
    char *text;
    open_folder(&w->a, w->dir, "old", 4, 0.03);
    open_folder(&w->b, w->dir, "new", 4, 0.05);
    add(&w->a, "Q4_0", "tg64", 100, REPS);
    add(&w->b, "Q4_0", "tg64", 120, REPS);
    add(&w->a, "Q8_0", "tg64", 50, REPS);
    add(&w->b, "Q8_0", "tg64", 125, REPS);
    add(&w->a, "F16", "tg64", 25, REPS);
    add(&w->b, "F16", "tg64", 26, REPS);      /* below the floor */
    add(&w->a, "Q4_0", "pp64", 300, REPS);
    add(&w->b, "Q4_0", "pp64", 200, REPS);
    compared(w, &text);
    says(text, "new is faster than old at 2 of 3 schemes, by 20");
    says(text, " to a factor of 2.50");
    says(text, "; no difference between old and new can be told at 1 of 3 schemes: new was "
               "measured at 1.04 times the speed, within chance or the noise floor (5 %).");
    says(text, "Prefill (pp64): old is faster than new at Q4_0, by a factor of 1.50");
    says(text, "On old decode (tg64) is bound by reading memory, at 80 % of that roof (median of 3 "
               "schemes); prefill (pp64) is bound by reading memory, at 80 % of that roof.");
    assert_null(strstr(text, "Noise floor not calibrated"));
    assert_null(strstr(text, "Engines differ"));
    bg_free_text(text);
}

/* A floor that is not known is taken to be large. */
static void assumes_a_floor(void **state)
{
    world *w = *state;
    char *text;
    open_folder(&w->a, w->dir, "old", 4, 0.03);
    open_folder(&w->b, w->dir, "new", 8, 0);
    add(&w->a, "Q4_0", "tg64", 100, 0);
    add(&w->b, "Q4_0", "tg64", 120, 0);
    add(&w->a, "Q8_0", "tg64", 100, 0);
    add(&w->b, "Q8_0", "tg64", 700, 0);
    compared(w, &text);
    says(text, "Decode (tg64): new is faster than old at 1 of 2 schemes, by a factor of 7.00 "
               "(Q8_0, interval 6.90 to 7.10); no difference between old and new can be told at 1 "
               "of 2 schemes: new was measured at 1.20 times the speed, within chance or the noise "
               "floor (30 %, assumed).");
    says(text, "- Noise floor not calibrated, taken to be 30 % (`bitgauge probe --noise` measures "
               "it): new.");
    bg_free_text(text);
}

static void says_what_has_no_interval(void **state)
{
    world *w = *state;
    char *text;
    open_folder(&w->a, w->dir, "old", 4, 0.03);
    open_folder(&w->b, w->dir, "new", 8, 0.03);
    add(&w->a, "Q4_0", "tg64", 100, REPS);
    add(&w->b, "Q4_0", "tg64", 720, 1);
    add(&w->b, "Q8_0", "tg64", 400, 1);
    add(&w->a, "Q4_0", "pp128", 400, 1);
    add(&w->b, "Q4_0", "pp512", 400, 1);
    compared(w, &text);
    says(text, "> **Decode (tg64): new was measured at 7.2 times the speed of old at Q4_0, with "
               "too few repetitions for an interval.**");
    says(text, "- Only old measured the test: pp128.");
    says(text, "- Only new measured the test: pp512.");
    says(text, "- Only new measured this scheme: Q8_0.");
    says(text, "- Speeds without an interval (under three repetitions, or none kept), so that how "
               "much of their ratios is chance is not known: new.");
    assert_null(strstr(text, "faster than"));
    bg_free_text(text);
}

static void tells_equal(void **state)
{
    world *w = *state;
    char *text;
    open_folder(&w->a, w->dir, "old", 4, 0.03);
    open_folder(&w->b, w->dir, "new", 4, 0.03);
    add(&w->a, "Q4_0", "tg64", 100, REPS);
    add(&w->b, "Q4_0", "tg64", 101, REPS);
    compared(w, &text);
    says(text, "> **Decode (tg64): no difference between old and new can be told at Q4_0: new was "
               "measured at 1.01 times the speed, within chance or the noise floor (3 %).**");
    says(text, "Recommended, balancing speed against quality: Q4_0 on both (by quality estimated "
               "from bits per weight).");
    bg_free_text(text);
}

static void refuses_counts(void **state)
{
    world *w = *state;
    const bg_results *sides[BG_REPORT_SIDES + 1] = {NULL};
    char *text;
    bg_error err;
    open_folder(&w->a, w->dir, "old", 4, 0.03);
    for (size_t i = 0; i <= BG_REPORT_SIDES; i++) sides[i] = w->a.r;
    assert_int_equal(bg_report_compare(sides, 1, NULL, &text, &err), BG_ERR_INPUT);
    assert_int_equal(bg_report_compare(sides, BG_REPORT_SIDES + 1, NULL, &text, &err),
                     BG_ERR_INPUT);
    assert_null(text);
    /* Nothing measured is nothing to tell, and no error. */
    assert_ok(bg_report_compare(sides, BG_REPORT_SIDES, NULL, &text, &err), &err);
    says(text, "No speed of");
    bg_free_text(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tells_faster, set_up, tear_down),
        cmocka_unit_test_setup_teardown(assumes_a_floor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(says_what_has_no_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(tells_equal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_counts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
