/* What a search expects feedback to leave, against the numbers worked out by hand. */
#include "test.h"

#include "search/hunt.h"
#include "unit/model/tiny.h"

#include <math.h>
#include <unistd.h>

static bg_error err;
static bg_text file;
static bg_model *model;

static int setup(void **state)
{
    tiny t = tiny_default;
    (void)state;
    file = tiny_file(&t);
    model = tiny_open(&file);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bg_model_close(&model);
    bg_text_fini(&file);
    return 0;
}

static void assert_near(double a, double b, double error)
{
    if (!(fabs(a - b) <= error)) fail_msg("%.9g, not %.9g", a, b);
}

static size_t find(const char *name)
{
    for (size_t i = 0; i < bg_model_tensor_count(model); i++)
        if (strcmp(bg_model_tensor_at(model, i)->name, name) == 0) return i;
    fail_msg("no tensor %s", name);
    return 0;
}

/* Of two layers; an error before the first counts 0.6 of one behind the last, in it the root of
 * that. */
static void test_expect(void **state)
{
    static const char *const names[] = {"token_embd.weight", "blk.0.ffn_down.weight",
                                        "blk.1.ffn_down.weight", "output.weight"};
    static const double weights[] = {0.6, 0.7745966692414834, 1, 1};
    const bg_search_options o = {.feedback = true};
    bg_item items[4] = {{0}};
    uint8_t picks[4] = {0}, best[4] = {0, 1, 1, 1};
    bg_hunt h = {.o = &o, .least = NAN,
                 .best = {.picks = best, .most = 0.5, .kld = 0.4, .measured = 0.4},
                .at = {.picks = picks, .most = NAN, .kld = NAN, .measured = NAN},
                 .space = {.model = model, .items = items, .n = 4, .n_layer = 2}};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        items[i].tensor = find(names[i]);
        items[i].n = 2;
        items[i].left = 1;
        items[i].alone[0] = items[i].cost[0] = 0.1;
    }
    assert_true(bg_hunt_expect(&h, picks, 0.25, 0) == 0.25); /* sensitivities are not known yet */
    bg_hunt_foresee(&h, 0.01);
    for (size_t i = 0; i < 4; i++) {
        assert_near(items[i].alone[0], 0.1 * weights[i], 1e-12);
        assert_near(items[i].cost[0], 0.1 * weights[i], 1e-12);
        assert_true(items[i].alone[1] == 0);
    }
    /* exp(0.4 ln 0.25 + 0.6 ln (0.01 + 0.1 (0.6 + 0.7746 + 1 + 1))) = exp(-1.188782) */
    assert_near(bg_hunt_expect(&h, picks, 0.25, 0), 0.304592, 1e-6);
    /* Of which 0.05 by what is pruned: 1.5 * 0.05, and 0.2 in place of 0.25. Half of a tensor does
     * half. */
    assert_near(bg_hunt_expect(&h, picks, 0.25, 0.05), 0.075 + 0.304592 * pow(0.2 / 0.25, 0.4), 1e-6);
    items[3].left = 0.5;
    assert_near(bg_hunt_expect(&h, picks, 0.25, 0), 0.304592 * pow(0.2974597 / 0.3474597, 0.6), 1e-6);
    items[3].left = 1;
    /* Sensitivities of a pruned model are costs only; what is known stays. */
    for (size_t i = 0; i < 4; i++) items[i].cost[0] = 0.2;
    bg_hunt_foresee(&h, 0.2);
    assert_near(items[0].cost[0], 0.12, 1e-12);
    assert_near(bg_hunt_expect(&h, picks, 0.25, 0), 0.304592, 1e-6);
    /* The best so far was measured before: 0.06 + 0.01 alone. */
    assert_near(h.best.kld, pow(0.4, 0.4) * pow(0.07, 0.6), 1e-12);
    assert_near(h.best.most, pow(0.5, 0.4) * pow(0.07, 0.6), 1e-12);
    assert_true(h.best.measured == 0.4);
    /* Of two that are measured alike, the one that spoils what comes first is the better. */
    picks[0] = 1;
    {
        double without_first = bg_hunt_expect(&h, picks, 0.25, 0);
        picks[0] = 0;
        picks[3] = 1;
        assert_true(bg_hunt_expect(&h, picks, 0.25, 0) < without_first);
    }
}

/* An embedding that is the output, too, is the last to spoil anything. */
static void test_tied(void **state)
{
    const bg_search_options o = {.feedback = true};
    bg_item item = {.n = 1, .alone = {0.1}};
    uint8_t best = 0;
    bg_hunt h = {.o = &o, .best = {.picks = &best, .measured = NAN}, .at = {.measured = NAN}};
    tiny t = tiny_default;
    bg_text tied;
    bg_model *m;
    (void)state;
    t.tied = true;
    tied = tiny_file(&t);
    m = tiny_open(&tied);
    h.space = (bg_space){.model = m, .items = &item, .n = 1, .n_layer = 2};
    while (strcmp(bg_model_tensor_at(m, item.tensor)->name, "token_embd.weight") != 0) item.tensor++;
    bg_hunt_foresee(&h, 0);
    assert_true(item.alone[0] == 0.1);
    bg_model_close(&m);
    bg_text_fini(&tied);
}

static void test_when(void **state)
{
    bg_search_options o = {.feedback = true};
    bg_item items[64] = {{0}};
    bg_hunt h = {.o = &o, .space = {.items = items, .n = 64}};
    (void)state;
    for (size_t i = 0; i < 64; i++) items[i].n = 12;
    assert_true(bg_hunt_can_foresee(&h));
    o.feedback = false;
    assert_false(bg_hunt_can_foresee(&h));
    o.feedback = true;
    h.pruner = (bg_pruner *)(void *)&h; /* any */
    assert_true(bg_hunt_can_foresee(&h));
    o.order = BG_PRUNE_LAST;
    assert_false(bg_hunt_can_foresee(&h));
    h.pruner = NULL;
    for (size_t i = 0; i < 64; i++) items[i].n = 24; /* too many to measure */
    assert_false(bg_hunt_can_foresee(&h));
}

enum { TOKENS = 256 * 3 };
static const bg_format formats[] = {BG_FORMAT_Q4_0, BG_FORMAT_Q5_0, BG_FORMAT_Q8_0};
static int32_t tokens[TOKENS];

static bg_search_options options(const char *scheme, double share, uint64_t most)
{
    bg_search_options o = {.seed = 7, .memory = 16 << 20, .formats = formats, .n_formats = 3,
                           .feedback = true, .most_asked = most};
    bg_quantize_plan plan;
    bg_rng rng;
    bg_isa_parse("native", &o.isa, &err);
    bg_rng_seed(&rng, 3);
    for (size_t i = 0; i < TOKENS; i++)
        tokens[i] = (int32_t)bg_rng_below(&rng, tiny_default.n_vocab);
    assert_ok(bg_quantize_plan_file(&plan, bg_model_gguf(model), bg_scheme_find(scheme), &err), &err);
    o.file_bytes = (uint64_t)(share * (double)plan.file_bytes);
    return o;
}

/* The same again after a stop. Free the recipe. */
static bg_recipe *search_twice(bg_search_options *o, bg_search_result *whole)
{
    bg_search_result part;
    bg_recipe *a, *b;
    uint64_t most = o->most_asked;
    char path[64];
    snprintf(path, sizeof path, "/tmp/bg-expect-%d", (int)getpid());
    assert_ok(bg_search_run(&a, NULL, model, tokens, TOKENS, o, whole, &err), &err);
    assert_true(whole->file_bytes <= o->file_bytes);
    o->checkpoint = path;
    o->most_asked = 50;
    assert_ok(bg_search_run(&b, NULL, model, tokens, TOKENS, o, &part, &err), &err);
    assert_true(part.stopped);
    bg_recipe_free(&b);
    o->most_asked = most;
    assert_ok(bg_search_run(&b, NULL, model, tokens, TOKENS, o, &part, &err), &err);
    assert_memory_equal(a->formats, b->formats, a->n_tensors * sizeof *a->formats);
    for (uint32_t l = 0; l < a->n_layer; l++) {
        assert_int_equal(a->layers[l].dropped, b->layers[l].dropped);
        assert_int_equal(a->layers[l].ff.n, b->layers[l].ff.n);
        assert_int_equal(a->layers[l].kv_heads.n, b->layers[l].kv_heads.n);
    }
    assert_true(part.kld == whole->kld);
    assert_true(part.evaluations < whole->evaluations);
    unlink(path);
    bg_recipe_free(&b);
    return a;
}

/* The whole way: what it says it measured is what the evaluator measures of its recipe. */
static void test_search(void **state)
{
    bg_search_options o = options("Q5_0", 1, 120);
    bg_evaluator_options eo = {.first_scored = 64, .seed = 8, .memory = 16 << 20, .isa = o.isa};
    bg_search_result whole;
    bg_recipe *r = search_twice(&o, &whole);
    bg_evaluator *e;
    double kld;
    (void)state;
    assert_ok(bg_evaluator_open(&e, model, tokens, TOKENS, &eo, &err), &err);
    assert_ok(bg_evaluator_run(e, (bg_student){r->formats, NULL}, 0, 3, &kld, &err), &err);
    assert_near(kld, whole.kld, 0.03 * kld);
    bg_evaluator_close(&e);
    bg_recipe_free(&r);
}

/* A joint one, of a model that may be pruned and of one that must be. */
static void test_joint(void **state)
{
    static const double shares[] = {1, 0.8};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(shares); i++) {
        bg_search_options o = options("Q4_0", shares[i], 500);
        bg_search_result result;
        bg_recipe *r;
        o.prune = 1;
        r = search_twice(&o, &result);
        assert_true(isfinite(result.kld));
        if (shares[i] < 1) assert_true(bg_recipe_pruned(r));
        bg_recipe_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_tied),
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_joint),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
