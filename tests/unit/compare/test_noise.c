/* What verdicts and intervals are worth, by simulation on recorded noise. */
#include "noise.h"

#include <math.h>

enum { LONGEST = 600, RESAMPLES = 200, NOBODY = NOISE_SERIES };

static noise recorded;

static double *times(size_t series, const size_t *rows, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) out[i] = recorded.ms[series][rows[i]];
    return out;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Two runs of identical work. With stretch 0 two windows of the recording as it is, at any time. */
static void draw_pair(bg_rng *rng, double stretch, size_t n, size_t *a, size_t *b)
{
    size_t at[2];
    if (stretch > 0) {
        noise_rounds(&recorded, rng, stretch, n, a);
        noise_rounds(&recorded, rng, stretch, n, b);
        return;
    }
    for (int i = 0; i < 2; i++) at[i] = (size_t)bg_rng_below(rng, recorded.n - n);
    for (size_t i = 0; i < n; i++) {
        a[i] = at[0] + i;
        b[i] = at[1] + i;
    }
}

/* Runs of n rounds, simulated on all recordings: whether the interval of a median holds that of the
 * recording, and that of the ratio of two runs 1. Each recording counts as much. */
static double covered(size_t n, bool ratios)
{
    static const char *const names[] = {"calm", "loaded", "shared", "busy", "priority"};
    enum { INTERVALS = 240 };
    static double x[LONGEST], y[LONGEST];
    static size_t a[LONGEST], b[LONGEST];
    double share = 0;
    for (size_t k = 0; k < BG_COUNT(names); k++) {
        size_t held = 0, all = 0;
        bg_rng rng;
        bg_rng_seed(&rng, 17 + n);
        noise_read(&recorded, names[k]);
        while (all < INTERVALS) {
            draw_pair(&rng, 5, n, a, b);
            for (size_t s = 0; s < recorded.n_series; s++, all++) {
                double median = bg_quantile(recorded.ms[s], recorded.n, 0.5);
                bg_summary one;
                bg_ratio two;
                times(s, a, n, x);
                times(s, b, n, y);
                if (!ratios) {
                    bg_summarise(x, n, all, RESAMPLES, &one);
                    held += one.ci_low <= median && median <= one.ci_high;
                } else {
                    assert_true(bg_stats_ratio(x, n, y, n, 0.95, all, RESAMPLES, &two));
                    held += two.low <= 1 && 1 <= two.high;
                }
            }
        }
        share += 100 * (double)held / (double)all / BG_COUNT(names);
    }
    return share;
}

static void coverage(void **state)
{
    static const size_t lengths[] = {8, 12, 20, 60, 200};
    (void)state;
    for (int ratios = 0; ratios < 2; ratios++) {
        double all = 0;
        for (size_t k = 0; k < BG_COUNT(lengths); k++) {
            double share = covered(lengths[k], ratios);
            if (share < 91 || share > 98.5)
                fail_msg("%s of %zu rounds: %.1f %%", ratios ? "ratios" : "medians", lengths[k],
                         share);
            all += share / BG_COUNT(lengths);
        }
        if (all < 93 || all > 97) fail_msg("%s: %.1f %%", ratios ? "ratios" : "medians", all);
    }
}

/* noise_floors as a calibration would find them: what 99 % of pairs of runs stay below. */
static void calibrate(bg_text *json, double stretch, size_t n)
{
    enum { PAIRS = 200 };
    static double x[LONGEST], d[PAIRS];
    static size_t a[LONGEST], b[LONGEST];
    bg_rng rng;
    bg_rng_seed(&rng, 99);
    bg_text_puts(json, "{\"noise_floors\": [");
    for (size_t s = 0; s < recorded.n_series; s++) {
        char scheme[32], kind[32];
        int threads;
        for (int t = 0; t < PAIRS; t++) {
            double first;
            draw_pair(&rng, stretch, n, a, b);
            first = bg_quantile(times(s, a, n, x), n, 0.5);
            d[t] = fabs(first / bg_quantile(times(s, b, n, x), n, 0.5) - 1);
        }
        qsort(d, PAIRS, sizeof *d, compare_doubles);
        assert_int_equal(sscanf(recorded.names[s], "%31[^-]-%31[a-z]%*[^-]-%d", scheme, kind,
                                &threads), 3);
        bg_text_printf(json, "%s{\"kind\": \"%s\", \"threads\": %d, \"floor\": %.6f, "
                       "\"pairs\": %d, \"seconds\": 1}", s ? ", " : "", kind, threads,
                       d[PAIRS * 99 / 100], PAIRS);
    }
    bg_text_puts(json, "]}\n");
}

typedef struct tally { size_t cells, called, slow_called; } tally;

/* Compares pairs of runs of n rounds; `called` counts verdicts of faster or slower on cells whose
 * work is identical. */
static tally compare_pairs(int pairs, double stretch, size_t n, size_t slow, double factor,
                           double threshold)
{
    static size_t a[LONGEST], b[LONGEST];
    bg_compare_options o = {.threshold = threshold, .resamples = RESAMPLES};
    bg_text machine = {0};
    tally found = {0};
    bg_rng rng;
    bg_error err;
    bg_rng_seed(&rng, 5);
    calibrate(&machine, stretch, n);
    for (int t = 0; t < pairs; t++) {
        bg_results *base, *other;
        bg_comparison *c;
        draw_pair(&rng, stretch, n, a, b);
        base = noise_sweep(&recorded, machine.data, a, n, NOBODY, 1);
        other = noise_sweep(&recorded, machine.data, b, n, slow, factor);
        assert_ok(bg_compare(&c, base, other, &o, &err), &err);
        for (size_t i = 0; i < c->n_cells; i++) {
            bool called = c->cells[i].verdict <= BG_VERDICT_WORSE;
            assert_int_equal(c->cells[i].floor_source, BG_FLOOR_MACHINE);
            if (i == slow) found.slow_called += c->cells[i].verdict == BG_VERDICT_WORSE;
            else found.called += called;
            found.cells += i != slow;
        }
        bg_comparison_close(&c);
        bg_results_close(&base);
        bg_results_close(&other);
    }
    bg_text_fini(&machine);
    return found;
}

/* Identical work in windows of the recordings as they are, drift and bursts included: at most one
 * cell in a hundred is called faster or slower. */
static void identical_work(void **state)
{
    static const char *const names[] = {"shared", "busy", "priority"};
    tally all = {0};
    (void)state;
    for (size_t k = 0; k < BG_COUNT(names); k++) {
        tally one;
        noise_read(&recorded, names[k]);
        one = compare_pairs(40, 0, 40, NOBODY, 1, 0.05);
        all.cells += one.cells;
        all.called += one.called;
    }
    if (all.called * 100 > all.cells)
        fail_msg("%zu of %zu cells are called changed", all.called, all.cells);
}

/* One cell of four 5 % slower, in runs long enough that the floor is lower than that. */
static void slowdown_of_5_percent(void **state)
{
    enum { PAIRS = 40 };
    tally found;
    (void)state;
    noise_read(&recorded, "priority");
    found = compare_pairs(PAIRS, 5, LONGEST, 0, 1.05, 0.03);
    if (found.slow_called * 100 < PAIRS * 95)
        fail_msg("found in %zu of %d runs", found.slow_called, PAIRS);
    if (found.called * 100 > found.cells)
        fail_msg("%zu of %zu other cells are called changed", found.called, found.cells);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(coverage), cmocka_unit_test(identical_work),
        cmocka_unit_test(slowdown_of_5_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
