/* Change points of made-up series: steps are found where they are, noise is left alone. */
#include "test.h"

#include "base/base.h"
#include "bitgauge/stats.h"

#include <math.h>

static void make(double *v, size_t n, double noise, uint64_t seed)
{
    bg_rng rng;
    bg_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) v[i] = 1000 * (1 + noise * bg_rng_normal(&rng));
}

static size_t count(const double *v, size_t n, double floor, bg_change *first)
{
    bg_change *changes;
    size_t found;
    assert_true(bg_stats_changes(v, n, 0.01, floor, 1, &changes, &found));
    if (first && found) *first = changes[0];
    bg_stats_free_changes(changes);
    return found;
}

/* A 5 % step in 2 % of noise, anywhere from the 8th of 30 on: found in 95 of 100 series, near its
 * place and of its size. */
static void steps(void **state)
{
    size_t found = 0, near = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        size_t at = 8 + seed % 15;
        double v[30];
        bg_change c = {.at = 0};
        make(v, 30, 0.02, seed);
        for (size_t i = at; i < 30; i++) v[i] *= 0.95;
        found += count(v, 30, 0.02, &c) == 1;
        if (c.at + 2 < at || c.at > at + 2) continue;
        near++;
        assert_true(c.after / c.before > 0.92 && c.after / c.before < 0.98);
    }
    assert_true(found >= 95);
    assert_true(near >= 90);
}

/* At the 1 % level and without a floor: 400 series of pure noise give 4 false ones on average, and
 * over 11 in one of a thousand trials; with the floor of the noise, none. */
static void noise(void **state)
{
    size_t found = 0, above = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        double v[30];
        make(v, 30, 0.02, 1000 + seed);
        found += count(v, 30, 0, NULL) > 0;
        above += count(v, 30, 0.06, NULL) > 0;
    }
    assert_true(found <= 11);
    assert_int_equal(above, 0);
}

static void shapes(void **state)
{
    double v[60], few[5] = {1, 1, 1, 9, 9}, same[20];
    bg_change *changes, *again;
    size_t n, m;
    (void)state;
    make(v, 60, 0.01, 7); /* up, and down again */
    for (size_t i = 20; i < 40; i++) v[i] *= 1.1;
    assert_true(bg_stats_changes(v, 60, 0.01, 0.02, 1, &changes, &n));
    assert_int_equal(n, 2);
    assert_int_equal(changes[0].at, 20);
    assert_int_equal(changes[1].at, 40);
    assert_true(changes[0].after > changes[0].before && changes[1].after < changes[1].before);
    assert_true(bg_stats_changes(v, 60, 0.01, 0.02, 1, &again, &m));
    assert_int_equal(m, n);
    assert_memory_equal(changes, again, n * sizeof *changes);
    bg_stats_free_changes(changes);
    bg_stats_free_changes(again);
    make(v, 30, 0.012, 3); /* a stretch in the middle, where neither half differs from the other */
    for (size_t i = 12; i < 20; i++) v[i] *= 0.9;
    assert_int_equal(count(v, 30, 0.02, NULL), 2);
    make(v, 60, 0.01, 7);
    for (size_t i = 20; i < 40; i++) v[i] *= 1.1;
    v[25] = 5000; /* an outlier is none */
    assert_int_equal(count(v, 20, 0.02, NULL), 0);
    assert_int_equal(count(v, 60, 0.02, NULL), 2);
    assert_int_equal(count(v, 60, 0.2, NULL), 0);
    assert_int_equal(count(few, 5, 0.02, NULL), 0);
    assert_int_equal(count(few, 0, 0.02, NULL), 0);
    for (size_t i = 0; i < 20; i++) same[i] = 3;
    assert_int_equal(count(same, 20, 0, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps), cmocka_unit_test(noise), cmocka_unit_test(shapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
