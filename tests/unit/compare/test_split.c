/* What own parts are worth, on recorded sweeps of identical work. */
#include "noise.h"

#include <string.h>

enum { SWEEP = 130, ROUNDS = 400, RESAMPLES = 100, NOBODY = NOISE_SERIES };
static const char machine[] =
    "{\"noise_floors\": [{\"kind\": \"pp\", \"threads\": 2, \"floor\": 1.7}, "
    "{\"kind\": \"tg\", \"threads\": 2, \"floor\": 1.8}]}";

static noise recorded;

typedef struct tally { size_t cells, called, slow_called; } tally;

static void compare_rows(const size_t *a, const size_t *b, size_t n, size_t slow, double factor,
                         tally *found)
{
    bg_compare_options o = {.threshold = 0.03, .resamples = RESAMPLES};
    bg_results *base = noise_sweep(&recorded, machine, a, n, NOBODY, 1);
    bg_results *other = noise_sweep(&recorded, machine, b, n, slow, factor);
    bg_comparison *c;
    bg_error err;
    assert_ok(bg_compare(&c, base, other, &o, &err), &err);
    assert_int_equal(c->n_together, 2);
    for (size_t i = 0; i < c->n_cells; i++) {
        bool called = c->cells[i].verdict <= BG_VERDICT_WORSE;
        assert_int_equal(c->cells[i].own.others, 7);
        if (i == slow) found->slow_called += c->cells[i].verdict == BG_VERDICT_WORSE;
        else found->called += called;
        found->cells += i != slow;
    }
    bg_comparison_close(&c);
    bg_results_close(&base);
    bg_results_close(&other);
}

/* Windows of two sweeps as they are: how much the machine was disturbed differs by half. */
static void identical_work(void **state)
{
    enum { PAIRS = 20, N = 100 };
    size_t a[N], b[N];
    tally all = {0};
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 7);
    noise_read(&recorded, "loaded");
    for (int t = 0; t < PAIRS; t++) {
        size_t sweeps = recorded.n / SWEEP, first = (size_t)bg_rng_below(&rng, sweeps);
        size_t second = (first + 1 + (size_t)bg_rng_below(&rng, sweeps - 1)) % sweeps;
        first = first * SWEEP + (size_t)bg_rng_below(&rng, SWEEP - N);
        second = second * SWEEP + (size_t)bg_rng_below(&rng, SWEEP - N);
        for (size_t i = 0; i < N; i++) {
            a[i] = first + i;
            b[i] = second + i;
        }
        compare_rows(a, b, N, NOBODY, 1, &all);
    }
    if (all.called * 100 > all.cells)
        fail_msg("%zu of %zu cells are called changed", all.called, all.cells);
}

/* One cell is slower, in as many rounds as the ci profile takes: it is called so,
 * and no other is. */
static void find_slow(const char *name, int pairs, double factor)
{
    static size_t a[ROUNDS], b[ROUNDS];
    tally found = {0};
    bg_rng rng;
    bg_rng_seed(&rng, 8);
    noise_read(&recorded, name);
    for (int t = 0; t < pairs; t++) {
        noise_rounds(&recorded, &rng, 5, ROUNDS, a);
        noise_rounds(&recorded, &rng, 5, ROUNDS, b);
        compare_rows(a, b, ROUNDS, (size_t)bg_rng_below(&rng, recorded.n_series), factor, &found);
    }
    if (found.slow_called * 100 < (size_t)pairs * 95)
        fail_msg("%s: found in %zu of %d runs", name, found.slow_called, pairs);
    if (found.called * 100 > found.cells)
        fail_msg("%s: %zu of %zu other cells are called changed", name, found.called, found.cells);
}

/* A twentieth, where the cells together move by a tenth from one repetition to the next. */
static void slowdown_of_5_percent(void **state)
{
    (void)state;
    find_slow("calm", 20, 1.05);
}

/* A fifth, where they move by a half. */
static void slowdown_under_load(void **state)
{
    (void)state;
    find_slow("loaded", 10, 1.2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identical_work), cmocka_unit_test(slowdown_of_5_percent),
        cmocka_unit_test(slowdown_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
