/* The knapsack with speed as a second limit, against all choices tried. */
#include "test.h"

#include "base/base.h"
#include "search/space.h"

#include <math.h>
#include <string.h>

enum { ITEMS = 6, CHOICES = 4, ALL = 4096 };

static bg_item items[ITEMS];
static bg_space space;

static void draw(bg_rng *rng)
{
    memset(items, 0, sizeof items);
    space = (bg_space){.items = items, .n = ITEMS, .fixed = 100, .fixed_seconds = 0.5};
    for (size_t i = 0; i < ITEMS; i++) {
        items[i].n = CHOICES;
        items[i].left = 1;
        for (size_t c = 0; c < CHOICES; c++) {
            items[i].bytes[c] = items[i].whole[c] = 32 * (1 + c + bg_rng_below(rng, 3));
            items[i].seconds[c] = 0.1 + (double)bg_rng_below(rng, 1000) / 1000;
            items[i].cost[c] = (double)(bg_rng_below(rng, 1000) + 1) / (double)(1 + c);
        }
    }
}

/* The least cost that the limits allow; infinite: none do. */
static double best_of_all(uint64_t bytes, uint8_t *picks)
{
    double best = INFINITY;
    for (size_t all = 0; all < ALL; all++) {
        double cost = 0;
        for (size_t i = 0, rest = all; i < ITEMS; i++, rest /= CHOICES) {
            picks[i] = (uint8_t)(rest % CHOICES);
            cost += items[i].cost[picks[i]];
        }
        if (bg_space_allows(&space, picks, bytes)) best = fmin(best, cost);
    }
    return best;
}

static void test_limits(void **state)
{
    bg_rng rng;
    bg_error err;
    double excess = 0;
    size_t solved = 0;
    (void)state;
    bg_rng_seed(&rng, 1);
    for (int round = 0; round < 60; round++) {
        uint8_t picks[ITEMS];
        uint64_t bytes = 100 + 32 * ITEMS * 3;
        double best, cost = 0;
        bg_status s;
        draw(&rng);
        space.most_seconds = 0.5 + ITEMS * (0.3 + 0.01 * round);
        best = best_of_all(bytes, picks);
        s = bg_space_solve(&space, bytes, picks, &err);
        if (s != BG_OK) continue;
        assert_true(isfinite(best));
        assert_true(bg_space_allows(&space, picks, bytes));
        for (size_t i = 0; i < ITEMS; i++) cost += items[i].cost[picks[i]];
        assert_true(cost >= best - 1e-9);
        excess += cost / best - 1;
        solved++;
    }
    /* Of so few items a price of seconds cannot make every mixture. */
    assert_true(solved > 50);
    assert_true(excess / (double)solved < 0.15);
    space.most_seconds = 0.55;
    assert_fails(bg_space_solve(&space, 1 << 20, (uint8_t[ITEMS]){0}, &err), BG_ERR_INFEASIBLE,
                 "the fastest", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
