#include "test.h"

#include "stats/stats.h"

#include <math.h>

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.12g is not %.12g", got, want);
}

/* quantile(1:10, type = 7) and, below, mad() as R prints them. */
static void quantiles(void **state)
{
    static const double ten[] = {10, 1, 9, 2, 8, 3, 7, 4, 6, 5};
    double one = 3;
    (void)state;
    near(bg_quantile(ten, 10, 0), 1, 0);
    near(bg_quantile(ten, 10, 0.1), 1.9, 1e-12);
    near(bg_quantile(ten, 10, 0.25), 3.25, 1e-12);
    near(bg_quantile(ten, 10, 0.5), 5.5, 1e-12);
    near(bg_quantile(ten, 10, 0.99), 9.91, 1e-12);
    near(bg_quantile(ten, 10, 1), 10, 0);
    near(bg_quantile(&one, 1, 0.3), 3, 0);
    assert_true(isnan(bg_quantile(&one, 0, 0.5)));
}

static void moments_and_mad(void **state)
{
    static const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 100};
    bg_summary s;
    (void)state;
    bg_summarise(x, 9, 1, 0, &s);
    assert_int_equal(s.n, 9);
    assert_int_equal(s.outliers, 1); /* fences: 3 - 6 and 7 + 6 */
    near(s.median, 5, 0);
    near(s.mean, 136.0 / 9, 1e-12);
    near(s.sd, sqrt((10204 - 136.0 * 136 / 9) / 8), 1e-12);
    near(s.min, 1, 0);
    near(s.max, 100, 0);
    near(s.mad, 2.9652, 1e-4);
}

static double binomial_tail(int n, int from, double p)
{
    double sum = 0;
    for (int j = from; j <= n; j++)
        sum += exp(lgamma(n + 1) - lgamma(j + 1) - lgamma(n - j + 1)) * pow(p, j) *
               pow(1 - p, n - j);
    return sum;
}

/* The survival times of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), table 2.1.
 * For odd n the bootstrap distribution of the median has a closed form: P(median* <= x(k)) is the
 * chance that a majority of n draws falls on the k lowest values. */
static void bootstrap_against_closed_form(void **state)
{
    static const double control[] = {10, 27, 31, 40, 46, 50, 52, 104, 146};
    static const double treatment[] = {16, 23, 38, 94, 99, 141, 197};
    static const struct { const double *x; int n; double median; } groups[] = {
        {control, 9, 46}, {treatment, 7, 94}};
    enum { DRAWS = 20000 };
    double *medians = bg_alloc(DRAWS, sizeof *medians);
    bg_rng rng;
    (void)state;
    assert_non_null(medians);
    for (size_t g = 0; g < BG_COUNT(groups); g++) {
        int n = groups[g].n, low = 0, high = 0;
        for (int k = n; k >= 1; k--) {
            double p = binomial_tail(n, (n + 1) / 2, (double)k / n);
            if (p >= 0.025) low = k - 1;
            if (p >= 0.975) high = k - 1;
        }
        bg_rng_seed(&rng, 7);
        assert_true(bg_stats_resample(groups[g].x, (size_t)n, &rng, DRAWS, medians));
        near(bg_quantile(groups[g].x, (size_t)n, 0.5), groups[g].median, 0);
        near(bg_quantile(medians, DRAWS, 0.025), groups[g].x[low], 0);
        near(bg_quantile(medians, DRAWS, 0.975), groups[g].x[high], 0);
    }
    bg_free(medians);
}

/* A run in which values hang on to their neighbours says less: its interval is wider, and holds the
 * median of the process in 90 to 98 % of runs, where a plain bootstrap does in 60 %. */
static void coverage_with_autocorrelation(void **state)
{
    enum { TRIALS = 600, N = 100 };
    const double r = 0.7;
    int covered = 0;
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 12);
    for (int t = 0; t < TRIALS; t++) {
        double x[N], z = bg_rng_normal(&rng);
        bg_summary s;
        for (int i = 0; i < N; i++) {
            x[i] = 100 + 5 * z;
            z = r * z + sqrt(1 - r * r) * bg_rng_normal(&rng);
        }
        bg_summarise(x, N, (uint64_t)t, 300, &s);
        covered += s.ci_low <= 100 && 100 <= s.ci_high;
    }
    if (covered < TRIALS * 90 / 100 || covered > TRIALS * 98 / 100)
        fail_msg("coverage is %.1f %%", 100.0 * covered / TRIALS);
}

/* Of independent values the interval holds the true median more often than it says: it allows for
 * the autocorrelation that so few cannot show. */
static void coverage(void **state)
{
    enum { TRIALS = 500, N = BG_SUMMARY_FEWEST };
    int covered = 0;
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 11);
    for (int t = 0; t < TRIALS; t++) {
        double x[N];
        bg_summary s;
        for (int i = 0; i < N; i++) x[i] = 100 + 5 * bg_rng_normal(&rng);
        bg_summarise(x, N, (uint64_t)t, 400, &s);
        covered += s.ci_low <= 100 && 100 <= s.ci_high;
        assert_true(s.ci_low > 0);
        bg_summarise(x, N - 1, (uint64_t)t, 400, &s);
        assert_true(isnan(s.ci_low) && isnan(s.ci_high) && s.half > 0);
    }
    if (covered < TRIALS * 95 / 100) fail_msg("coverage is %.1f %%", 100.0 * covered / TRIALS);
}

static void few_values(void **state)
{
    static const double x[] = {4, 4, 4, 4};
    bg_summary s;
    (void)state;
    bg_summarise(x, 1, 0, 0, &s);
    near(s.median, 4, 0);
    assert_true(isnan(s.sd) && isnan(s.ci_low) && isnan(s.ci_high));
    assert_true(isinf(bg_summary_precision(&s)));
    bg_summarise(x, 4, 0, 0, &s);
    near(bg_summary_precision(&s), 0, 0);
    bg_summarise(x, 0, 0, 0, &s);
    assert_true(isnan(s.median));
}

static void precision_is_half_the_interval(void **state)
{
    bg_summary s = {.median = 50, .half = 1.5, .ci_low = 45, .ci_high = 55};
    (void)state;
    near(bg_summary_precision(&s), 0.03, 1e-12);
}

static void same_seed_same_interval(void **state)
{
    double x[24];
    bg_summary a, b;
    (void)state;
    for (int i = 0; i < 24; i++) x[i] = 3 + 0.1 * (7 * i % 11);
    bg_summarise(x, 24, 5, 0, &a);
    bg_summarise(x, 24, 5, 0, &b);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.ci_low > 0 && a.ci_low <= a.median && a.ci_high >= a.median);
    for (int i = 0; i < 24; i++) x[i] -= 4; /* of both signs */
    bg_summarise(x, 24, 5, 0, &b);
    assert_true(b.ci_low < b.median && b.median < b.ci_high);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles), cmocka_unit_test(moments_and_mad),
        cmocka_unit_test(bootstrap_against_closed_form), cmocka_unit_test(coverage),
        cmocka_unit_test(coverage_with_autocorrelation),
        cmocka_unit_test(few_values), cmocka_unit_test(precision_is_half_the_interval),
        cmocka_unit_test(same_seed_same_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
