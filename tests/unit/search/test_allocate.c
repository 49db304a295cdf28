/* The knapsack against every possible choice. */
#include "test.h"

#include "search/allocate.h"

#include <math.h>

enum { ITEMS = 6, CHOICES = 4 };

typedef struct instance {
    bg_choice choices[ITEMS][CHOICES];
    const bg_choice *items[ITEMS];
    size_t counts[ITEMS];
} instance;

static void make(instance *in, bg_rng *rng)
{
    for (size_t i = 0; i < ITEMS; i++) {
        in->counts[i] = 1 + bg_rng_below(rng, CHOICES);
        in->items[i] = in->choices[i];
        for (size_t c = 0; c < CHOICES; c++)
            in->choices[i][c] = (bg_choice){10 + bg_rng_below(rng, 90), bg_rng_unit(rng) - 0.3};
    }
}

static double brute_force(const instance *in, uint64_t budget)
{
    size_t at[ITEMS] = {0}, i = 0;
    double best = INFINITY;
    while (i < ITEMS) {
        uint64_t bytes = 0;
        double cost = 0;
        for (size_t j = 0; j < ITEMS; j++) {
            bytes += in->choices[j][at[j]].bytes;
            cost += in->choices[j][at[j]].cost;
        }
        if (bytes <= budget && cost < best) best = cost;
        for (i = 0; i < ITEMS && ++at[i] == in->counts[i]; i++) at[i] = 0;
    }
    return best;
}

static double solve(const instance *in, uint64_t budget, size_t most, bool *feasible)
{
    size_t picks[ITEMS];
    uint64_t bytes = 0;
    double cost = 0;
    bg_error err;
    assert_ok(bg_allocate(in->items, in->counts, ITEMS, budget, most, picks, feasible, &err), &err);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_true(picks[i] < in->counts[i]);
        bytes += in->choices[i][picks[i]].bytes;
        cost += in->choices[i][picks[i]].cost;
    }
    assert_true(!*feasible || bytes <= budget);
    return cost;
}

static void test_brute_force(void **state)
{
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 5);
    for (int i = 0; i < 300; i++) {
        instance in;
        uint64_t budget = 100 + bg_rng_below(&rng, 400);
        bool feasible;
        double cost, best;
        make(&in, &rng);
        cost = solve(&in, budget, 0, &feasible);
        best = brute_force(&in, budget);
        assert_int_equal(feasible, isfinite(best));
        if (feasible && fabs(cost - best) > 1e-12) fail_msg("%g, not %g", cost, best);
        if (!feasible) continue;
        assert_true(solve(&in, budget, 16, &feasible) >= best - 1e-12); /* coarse, and still fits */
        assert_true(feasible);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_brute_force)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
