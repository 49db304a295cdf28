/* What changes are believed to cost, against Gaussian posteriors in closed form and a linear truth. */
#include "test.h"

#include "search/hunt.h"

#include <math.h>
#include <string.h>

enum { ITEMS = 6, CHOICES = 4, LAYERS = 2 };

static bg_item items[ITEMS];
static uint8_t picks[ITEMS], other[ITEMS], levels[LAYERS], other_levels[LAYERS];
static bg_reshape reshapes[2];
static bg_hunt hunt;

/* Every step one choice up costs -1 with a variance of 0.04; the search is at choice 1 of each item. */
static int setup(void **state)
{
    (void)state;
    memset(items, 0, sizeof items);
    for (size_t i = 0; i < ITEMS; i++) {
        items[i].n = CHOICES;
        for (size_t c = 0; c < CHOICES; c++) items[i].cost[c] = 1 - (double)c;
        for (size_t c = 0; c + 1 < CHOICES; c++) items[i].doubt[c] = 0.04;
        picks[i] = other[i] = 1;
    }
    memset(levels, 0, sizeof levels);
    memset(other_levels, 0, sizeof other_levels);
    hunt = (bg_hunt){.space = {.items = items, .n = ITEMS, .n_layer = LAYERS},
                     .at = {.picks = picks, .levels = levels, .kld = 1},
                     .reshapes = reshapes};
    hunt.windows[BG_LEVEL_FEW] = 6;
    bg_rng_seed(&hunt.rng, 5);
    return 0;
}

static void assert_within(double x, double expected, double most)
{
    if (!(fabs(x - expected) <= most)) fail_msg("%.17g, expected %.17g within %g", x, expected, most);
}

static void learn(double change)
{
    bg_mutant m = {.picks = other, .levels = other_levels};
    bg_hunt_learn(&hunt, &m, change);
}

/* Of one step of an item, whose square (1) adds a tenth to the variance, as what may not add up. */
static void test_one_step(void **state)
{
    double noise = bg_hunt_noise(&hunt) + 0.1, gain = 0.04 / (0.04 + noise);
    (void)state;
    other[2] = 2;
    learn(-0.5);
    assert_within(items[2].cost[2], -1 + gain * 0.5, 1e-12);
    assert_within(items[2].cost[3], -2 + gain * 0.5, 1e-12); /* the next step costs what it did */
    assert_within(items[2].doubt[1], 0.04 * (1 - gain), 1e-12);
    assert_within(items[2].cost[1], 0, 0);
    assert_within(items[1].cost[2], -1, 0);
}

static void test_step_down(void **state)
{
    double gain = 0.04 / (0.04 + bg_hunt_noise(&hunt) + 0.1);
    (void)state;
    other[0] = 0;
    learn(1.5);
    assert_within(items[0].cost[0], 1 + gain * 0.5, 1e-12);
    assert_within(items[0].cost[1], 0, 0);
    assert_within(items[0].cost[2], -1, 0);
}

/* One up, one down, a layer of another level: each moves as far as it is in doubt. */
static void test_many(void **state)
{
    double variance = bg_hunt_noise(&hunt) + 0.04 + 0.01 + 0.09 + 0.1 * (1 + 1 + 4);
    double gain = (3 - 2) / variance;
    (void)state;
    items[4].doubt[0] = 0.01;
    reshapes[0] = (bg_reshape){.layer = 1, .level = 1, .from = 0, .cost = 2, .net = -1, .doubt = 0.09};
    reshapes[1] = (bg_reshape){.layer = 0, .level = 1, .from = 0, .cost = 5, .net = -1, .doubt = 0.09};
    hunt.n_reshapes = 2;
    other[3] = 2;
    other[4] = 0;
    other_levels[1] = 1;
    learn(3);
    assert_within(items[3].cost[2], -1 + 0.04 * gain, 1e-12);
    assert_within(items[4].cost[0], 1 + 0.01 * gain, 1e-12);
    assert_within(reshapes[0].cost, 2 + 0.09 * gain, 1e-12);
    assert_within(reshapes[0].net, -1 + 0.09 * gain, 1e-12);
    assert_within(reshapes[1].cost, 5, 0);
}

/* Draws have the variance that is believed, leave the present choice free, and leave no trace. */
static void test_draw(void **state)
{
    enum { DRAWS = 4000 };
    double sum = 0, square = 0;
    bg_item before[ITEMS];
    (void)state;
    items[0].doubt[2] = 0.25;
    memcpy(before, items, sizeof items);
    for (int i = 0; i < DRAWS; i++) {
        double x;
        bg_hunt_draw(&hunt);
        x = items[0].cost[3] - items[0].cost[2];
        sum += x;
        square += (x + 1) * (x + 1);
        assert_within(items[0].cost[1], 0, 0);
        bg_hunt_undraw(&hunt);
        for (size_t j = 0; j < ITEMS; j++)
            assert_memory_equal(items[j].cost, before[j].cost, sizeof items[j].cost);
    }
    assert_within(sum / DRAWS, -1, 0.03);
    assert_within(square / DRAWS, 0.25, 0.03);
}

/* Steps that add up, seen only two at a time: what is believed comes near to them. */
static void test_truth(void **state)
{
    double truth[ITEMS][2], worst = 0;
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 9);
    for (size_t i = 0; i < ITEMS; i++)
        for (int up = 0; up < 2; up++) truth[i][up] = 1 + 0.2 * bg_rng_normal(&rng);
    for (int n = 0; n < 400; n++) {
        size_t a = bg_rng_below(&rng, ITEMS), b = bg_rng_below(&rng, ITEMS);
        if (a == b) continue;
        other[a] = 2;
        other[b] = 0;
        learn(truth[b][0] - truth[a][1]);
        other[a] = other[b] = 1;
    }
    for (size_t i = 0; i < ITEMS; i++) {
        worst = fmax(worst, fabs(items[i].cost[0] - items[0].cost[0] - truth[i][0] + truth[0][0]));
        worst = fmax(worst, fabs(items[i].cost[2] - items[0].cost[2] + truth[i][1] - truth[0][1]));
    }
    assert_true(worst < 0.1); /* of differences that are 0.28 as a rule */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_step, setup),
        cmocka_unit_test_setup(test_step_down, setup),
        cmocka_unit_test_setup(test_many, setup),
        cmocka_unit_test_setup(test_draw, setup),
        cmocka_unit_test_setup(test_truth, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
