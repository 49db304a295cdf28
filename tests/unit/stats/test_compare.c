#include "test.h"

#include "base/base.h"
#include "bitgauge/stats.h"

#include <math.h>

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.12g is not %.12g", got, want);
}

/* P-values of scipy 1.17.1, mannwhitneyu(a, b, method="exact"). */
static void exact_ranks(void **state)
{
    static const double a[] = {1.1, 2.3, 3.8, 4.4, 5.9, 6.2};
    static const double b[] = {2.9, 4.1, 6.6, 7.3, 8.8, 9.1, 9.7};
    static const double males[] = {19, 22, 16, 29, 24}, females[] = {20, 11, 17, 12};
    bg_rank_test t;
    (void)state;
    bg_stats_rank(a, 6, b, 7, &t);
    assert_true(t.exact);
    near(t.u, 7, 0);
    near(t.p, 0.05128205128205128, 1e-15);
    bg_stats_rank(b, 7, a, 6, &t);
    near(t.u, 35, 0);
    near(t.p, 0.05128205128205128, 1e-15);
    bg_stats_rank(males, 5, females, 4, &t);
    near(t.u, 17, 0);
    near(t.p, 1.0 / 9, 1e-15);
}

/* The p-value of two samples of n of which a wins u pairs: b is 1..n, and each of a stands above as
 * many of them as are left to win. */
static double p_of_u(size_t n, size_t u)
{
    double a[20], b[20];
    bg_rank_test t;
    for (size_t i = 0; i < n; i++) {
        size_t wins = BG_MIN(u, n);
        a[n - 1 - i] = (double)wins + 0.5 - (double)i * 1e-3;
        b[i] = (double)i + 1;
        u -= wins;
    }
    bg_stats_rank(a, n, b, n, &t);
    return t.p;
}

/* Two-sided critical values of U as every table has them (e.g. Milton, 1964): the largest U that is
 * significant. */
static void tables_of_u(void **state)
{
    static const struct { size_t n, u; double alpha; } critical[] = {
        {5, 2, 0.05},  {5, 0, 0.01},  {8, 13, 0.05},   {8, 7, 0.01},   {10, 23, 0.05},
        {10, 16, 0.01}, {15, 64, 0.05}, {15, 51, 0.01}, {20, 127, 0.05}, {20, 105, 0.01},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(critical); i++) {
        double at = p_of_u(critical[i].n, critical[i].u);
        double above = p_of_u(critical[i].n, critical[i].u + 1);
        if (!(at <= critical[i].alpha && critical[i].alpha < above))
            fail_msg("n %zu: p(%zu) = %g, then %g", critical[i].n, critical[i].u, at, above);
    }
}

/* Exact with ties: counted over all choices, by brute force, in Python. */
static void ties(void **state)
{
    static const double a[] = {1, 2, 2, 3, 3, 3, 5}, b[] = {2, 3, 4, 4, 5, 5, 6, 6};
    static const double same[] = {4, 4, 4};
    bg_rank_test t;
    (void)state;
    bg_stats_rank(a, 7, b, 8, &t);
    near(t.u, 10.5, 0);
    near(t.p, 246.0 / 6435, 1e-15);
    bg_stats_rank(same, 3, same, 3, &t);
    near(t.p, 1, 0);
    bg_stats_rank(a, 7, b, 0, &t);
    assert_true(isnan(t.p));
}

/* scipy 1.17.1: mannwhitneyu(x, y, method="asymptotic", use_continuity=True). */
static void normal_law(void **state)
{
    double x[30], y[25], flat[60];
    bg_rank_test t;
    (void)state;
    for (int i = 0; i < 30; i++) x[i] = 7 * i % 53 + i % 5;
    for (int i = 0; i < 25; i++) y[i] = 11 * i % 59 + i % 7 + 4;
    bg_stats_rank(x, 30, y, 25, &t);
    assert_false(t.exact);
    near(t.u, 285, 0);
    near(t.p, 0.13010886146691794, 1e-14);
    for (int i = 0; i < 60; i++) flat[i] = 1;
    bg_stats_rank(flat, 30, flat + 30, 30, &t);
    near(t.p, 1, 0);
}

/* A fourth of the samples makes z half as large: 1.96 becomes 0.98. Student's table: 2.571 is the
 * two-sided 5 % point for 5 degrees of freedom. */
static void deflation(void **state)
{
    (void)state;
    near(bg_stats_deflate(0.05, 1, INFINITY), 0.05, 1e-12);
    near(bg_stats_deflate(erfc(1.96 / sqrt(2)), 4, INFINITY), erfc(0.98 / sqrt(2)), 1e-9);
    near(bg_stats_deflate(erfc(2.5705818356363146 / sqrt(2)), 1, 5), 0.05, 1e-9);
    near(bg_stats_deflate(erfc(2 * 2.5705818356363146 / sqrt(2)), 4, 5), 0.05, 1e-9);
    near(bg_stats_deflate(1, 9, 3), 1, 0);
    near(bg_stats_deflate(0, 9, 3), 0, 0);
    assert_true(isnan(bg_stats_deflate(NAN, 2, 3)));
}

/* The example of Benjamini and Hochberg (1995), section 3.2: at 0.05 four of fifteen are rejected.
 * Adjusted values: scipy 1.17.1, stats.false_discovery_control. */
static void false_discoveries(void **state)
{
    static const double p[] = {0.4262, 0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298,
                               0.0344, 0.0459, 0.3240, 0.5719, 0.6528, NAN,    0.7590, 1.000};
    static const double want[] = {0.58118182, 0.0015,     0.003,      0.0095,   0.035625, 0.0603,
                                  0.06385714, 0.06385714, 0.0645,     0.0765,   0.486,    0.714875,
                                  0.75323077, NAN,        0.81321429, 1};
    double q[BG_COUNT(p)];
    int rejected = 0;
    (void)state;
    assert_true(bg_stats_adjust(p, BG_COUNT(p), q));
    for (size_t i = 0; i < BG_COUNT(p); i++) {
        if (isnan(want[i])) assert_true(isnan(q[i]));
        else near(q[i], want[i], 1e-8);
        rejected += q[i] < 0.05;
    }
    assert_int_equal(rejected, 4);
    assert_true(bg_stats_adjust(p, 0, q));
}

/* Tables of Student's t; scipy 1.17.1, stats.t.ppf. */
static void student(void **state)
{
    (void)state;
    near(bg_stats_t(0.95, 1), 12.706204736174694, 1e-9);
    near(bg_stats_t(0.95, 2), 4.302652729749462, 1e-9);
    near(bg_stats_t(0.95, 3), 3.1824463052837078, 1e-9);
    near(bg_stats_t(0.95, 5.9), 2.5705818356363146, 1e-9);
    near(bg_stats_t(0.95, 10), 2.228138851986274, 1e-9);
    near(bg_stats_t(0.95, 30), 2.0422724563012378, 1e-9);
    near(bg_stats_t(0.99, 4), 4.60409487, 1e-8);
    near(bg_stats_t(0.95, INFINITY), 1.959963984540054, 1e-9);
}

/* Tukey, "Exploratory Data Analysis" (1977): 1.5 of the distance of the quartiles beyond them. */
static void fences(void **state)
{
    static const double x[] = {1, 2, 3, 4, 5, 6, 7, 8, 100};
    bg_fences f = bg_stats_fences(x, 9);
    (void)state;
    near(f.low, -3, 1e-12);
    near(f.high, 13, 1e-12);
    assert_true(isnan(bg_stats_fences(x, 0).low));
}

/* A first-order autoregressive series of correlation r has (1 + r) / (1 - r). */
static void correlation_times(void **state)
{
    static const double r[] = {0, 0.5, 0.8, 0.9};
    enum { N = 4000 };
    double *x = bg_alloc(N, sizeof *x);
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 3);
    for (size_t k = 0; k < BG_COUNT(r); k++) {
        double want = (1 + r[k]) / (1 - r[k]);
        x[0] = bg_rng_normal(&rng);
        for (int i = 1; i < N; i++)
            x[i] = r[k] * x[i - 1] + sqrt(1 - r[k] * r[k]) * bg_rng_normal(&rng);
        near(bg_stats_correlation_time(x, N) / want, 1, 0.25);
    }
    for (int i = 0; i < N; i++) x[i] = 7;
    near(bg_stats_correlation_time(x, N), 1, 0);
    near(bg_stats_correlation_time(x, 3), 1, 0);
    for (int i = 0; i < N; i++) x[i] = i < N / 2; /* one step: almost nothing is independent */
    assert_true(bg_stats_correlation_time(x, N) > N / 4.0);
    bg_free(x);
}

static void ratios(void **state)
{
    enum { N = 40 };
    double a[N], b[N];
    bg_ratio r, again, back;
    (void)state;
    for (int i = 0; i < N; i++) {
        a[i] = 9 + 0.2 * (7 * i % 11);
        b[i] = 1.25 * a[i];
    }
    assert_true(bg_stats_ratio(a, N, b, N, 0.95, 5, 0, &r));
    near(r.ratio, 1.25, 1e-12);
    assert_true(r.low < 1.25 && r.low > 1.1 && r.high > 1.25 && r.high < 1.4);
    assert_true(bg_stats_ratio(a, N, b, N, 0.95, 5, 0, &again));
    assert_memory_equal(&r, &again, sizeof r);
    assert_true(bg_stats_ratio(b, N, a, N, 0.95, 5, 0, &back));
    near(back.ratio, 0.8, 1e-12);
    assert_true(bg_stats_ratio(a, 2, b, 8, 0.95, 5, 0, &r));
    assert_true(isnan(r.low) && isfinite(r.ratio));
    assert_true(bg_stats_ratio(a, 0, b, 8, 0.95, 5, 0, &r));
    assert_true(isnan(r.ratio));
}

static void one_rule(void **state)
{
    bg_ratio slower = {.ratio = 0.95, .low = 0.93, .high = 0.97};
    (void)state;
    assert_true(bg_stats_is_change(&slower, 0.001, 0.01, 0.03, 0.02));
    assert_true(bg_stats_is_change(&slower, 0.001, 0.01, 0, NAN));           /* no floor is known */
    assert_false(bg_stats_is_change(&slower, 0.02, 0.01, 0.03, 0.02));       /* chance */
    assert_false(bg_stats_is_change(&slower, NAN, 0.01, 0.03, 0.02));
    assert_false(bg_stats_is_change(&slower, 0.001, 0.01, 0.06, 0.02));      /* threshold */
    assert_false(bg_stats_is_change(&slower, 0.001, 0.01, 0.03, 0.06));      /* floor */
    slower.high = 1.01;
    assert_false(bg_stats_is_change(&slower, 0.001, 0.01, 0.03, 0.02));      /* interval */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_ranks), cmocka_unit_test(tables_of_u), cmocka_unit_test(ties),
        cmocka_unit_test(normal_law), cmocka_unit_test(deflation),
        cmocka_unit_test(false_discoveries), cmocka_unit_test(student), cmocka_unit_test(fences),
        cmocka_unit_test(correlation_times), cmocka_unit_test(ratios), cmocka_unit_test(one_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
