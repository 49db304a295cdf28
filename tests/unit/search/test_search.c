/* The search on a random model: it fits, beats the schemes, and comes to the same result again,
 * also when it was stopped on the way. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/search.h"
#include "unit/model/tiny.h"

#include <math.h>
#include <unistd.h>

enum { TOKENS = 256 * 4 };

static bg_error err;
static bg_text file;
static bg_model *model;
static int32_t tokens[TOKENS];
static size_t n_tokens = TOKENS; /* fewer where only a search's way matters: they are slow here */
static char path[64];

static int setup(void **state)
{
    tiny t = tiny_default;
    bg_rng rng;
    (void)state;
    t.n_embd = 256;
    t.n_ff = 512;
    file = tiny_file(&t);
    model = tiny_open(&file);
    bg_rng_seed(&rng, 3);
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)bg_rng_below(&rng, t.n_vocab);
    snprintf(path, sizeof path, "/tmp/bg-search-%d", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bg_model_close(&model);
    bg_text_fini(&file);
    unlink(path);
    return 0;
}

static bg_search_options options(uint64_t bytes)
{
    static const bg_format formats[] = {BG_FORMAT_TQ2_0, BG_FORMAT_Q2_K, BG_FORMAT_Q4_0,
                                        BG_FORMAT_Q6_K};
    bg_search_options o = {.file_bytes = bytes, .seed = 7, .memory = 16 << 20, .formats = formats,
                           .n_formats = BG_COUNT(formats)};
    bg_isa_parse("native", &o.isa, &err);
    return o;
}

static bg_recipe *search(const bg_search_options *o, bg_search_result *result)
{
    bg_recipe *r;
    assert_ok(bg_search_run(&r, NULL, model, tokens, n_tokens, o, result, &err), &err);
    return r;
}

static uint64_t scheme_bytes(const char *name)
{
    bg_quantize_plan plan;
    assert_ok(bg_quantize_plan_file(&plan, bg_model_gguf(model), bg_scheme_find(name), &err), &err);
    return plan.file_bytes;
}

static void assert_same(const bg_recipe *a, const bg_recipe *b)
{
    assert_memory_equal(a->formats, b->formats, a->n_tensors * sizeof *a->formats);
}

static bool stop_after(void *user, const bg_search_state *s)
{
    return s->evaluations < *(const uint64_t *)user;
}

/* From the first sensitivity on there is a best so far. */
static bool has_guess(void *user, const bg_search_state *s)
{
    bool *seen = user;
    if (strcmp(s->stage, "sensitivity") != 0) return true;
    *seen = true;
    assert_true(isfinite(s->best_kld));
    assert_true(s->best_bytes > 0);
    return false;
}

static void test_guess(void **state)
{
    bg_search_options o = options(scheme_bytes("Q4_0"));
    bg_search_result part;
    bool seen = false;
    bg_recipe *r;
    (void)state;
    o.progress = has_guess;
    o.user = &seen;
    r = search(&o, &part);
    assert_true(seen);
    assert_true(part.stopped);
    assert_true(isfinite(part.kld));
    assert_true(part.file_bytes <= o.file_bytes);
    bg_recipe_free(&r);
}

static void test_search(void **state)
{
    bg_search_options o = options(scheme_bytes("Q4_0"));
    bg_search_result whole, again, part;
    bg_recipe *a, *b, *c;
    bg_quantize_plan plan;
    uint64_t most = 10;
    (void)state;
    o.n_formats = 3;
    a = search(&o, &whole);
    assert_false(whole.stopped);
    assert_true(isnan(whole.predicted_tps));
    assert_ok(bg_recipe_plan(a, bg_model_gguf(model), NULL, &plan, &err), &err);
    assert_int_equal(plan.file_bytes, whole.file_bytes);
    assert_true(plan.file_bytes <= o.file_bytes);
    b = search(&o, &again);
    assert_same(a, b);
    assert_true(whole.kld == again.kld);
    /* Stopped early, it still has something; then it goes on, and evaluates nothing twice. */
    o.checkpoint = path;
    o.progress = stop_after;
    o.user = &most;
    c = search(&o, &part);
    assert_true(part.stopped);
    assert_true(part.file_bytes <= o.file_bytes);
    assert_int_equal(part.evaluations, 10);
    assert_true(bg_file_exists(path));
    bg_recipe_free(&c);
    o.progress = NULL;
    c = search(&o, &part);
    assert_same(a, c);
    assert_int_equal(part.evaluations, whole.evaluations - 10);
    assert_false(bg_file_exists(path));
    bg_recipe_free(&a);
    bg_recipe_free(&b);
    bg_recipe_free(&c);
}

/* The recipe, the text and the importance say all of the image. */
static void assert_made_again(const bg_image *image, const bg_recipe *r, const bg_search_options *o)
{
    const bg_gguf *g = bg_model_gguf(model);
    bg_image *again;
    assert_ok(bg_recipe_apply(&again, r, g, o->importance, NULL, NULL, NULL, &err), &err);
    assert_int_equal(again->bytes, image->bytes);
    assert_memory_not_equal(again->data, image->data, image->bytes);
    assert_ok(bg_recipe_finish(again, r, model, tokens, n_tokens, o->importance, o->feedback,
                               &(bg_feedback_options){.isa = o->isa}, &err), &err);
    assert_memory_equal(again->data, image->data, image->bytes);
    bg_image_free(&again);
}

/* With pruning: the image is what was promised, and about as good by the search's own measure. */
static void test_prune(void **state)
{
    bg_search_options o = options(0);
    bg_search_result plain, result;
    bg_recipe *r;
    bg_image *image;
    bg_quantize_plan plan;
    uint64_t layers;
    (void)state;
    n_tokens = TOKENS / 2;
    o.n_formats = 3;
    o.file_bytes = scheme_bytes("Q4_0") * 7 / 10;
    r = search(&o, &plain);
    assert_false(bg_recipe_pruned(r));
    bg_recipe_free(&r);
    o.prune = 0.6;
    assert_ok(bg_search_run(&r, &image, model, tokens, n_tokens, &o, &result, &err), &err);
    assert_ok(bg_recipe_plan(r, bg_model_gguf(model), NULL, &plan, &err), &err);
    assert_int_equal(plan.file_bytes, result.file_bytes);
    assert_int_equal(image->bytes, result.file_bytes);
    assert_true(result.file_bytes <= o.file_bytes);
    assert_true(bg_gguf_get_u64(image->g, "llama.block_count", &layers) ||
                bg_gguf_get_u64(image->g, "deci.block_count", &layers));
    assert_true(layers >= 1);
    assert_true(result.kld <= 1.1 * plain.kld);
    assert_made_again(image, r, &o);
    n_tokens = TOKENS;
    bg_image_free(&image);
    bg_recipe_free(&r);
}

/* What is smaller than the whole model in its smallest formats needs pruning, as much as that is:
 * also when there is no time to measure what. */
static void test_prune_smaller(void **state)
{
    bg_search_options o = options(0);
    bg_recipe *r;
    bg_quantize_plan plan;
    bg_search_result result;
    uint64_t none = 0;
    (void)state;
    o.n_formats = 2;         /* TQ2_0 and Q2_K */
    assert_ok(bg_recipe_new(&r, bg_model_gguf(model), &err), &err);
    for (size_t i = 0; i < r->n_tensors; i++)
        if (bg_recipe_fits(r, bg_model_gguf(model), i, BG_FORMAT_TQ2_0))
            r->formats[i] = BG_FORMAT_TQ2_0;
    assert_ok(bg_recipe_plan(r, bg_model_gguf(model), NULL, &plan, &err), &err);
    bg_recipe_free(&r);
    o.file_bytes = plan.file_bytes - plan.weight_bytes / 5;
    assert_fails(bg_search_run(&r, NULL, model, tokens, TOKENS, &o, &result, &err),
                 BG_ERR_INFEASIBLE, "the smallest takes", &err);
    o.prune = 0.01;
    assert_fails(bg_search_run(&r, NULL, model, tokens, TOKENS, &o, &result, &err),
                 BG_ERR_INFEASIBLE, "the smallest takes", &err);
    o.prune = 1;
    o.most_asked = 60;
    for (int stopped = 0; stopped < 2; stopped++) {
        o.progress = stopped ? stop_after : NULL;
        o.user = &none;
        r = search(&o, &result);
        assert_true(bg_recipe_pruned(r));
        assert_ok(bg_recipe_plan(r, bg_model_gguf(model), NULL, &plan, &err), &err);
        assert_int_equal(plan.file_bytes, result.file_bytes);
        assert_true(result.file_bytes <= o.file_bytes);
        assert_int_equal(isnan(result.kld), stopped);
        bg_recipe_free(&r);
    }
}

/* One after the other: something is pruned, the file fits,
 * also when there is no time to prune it. */
static void test_prune_order(void **state)
{
    static const bg_prune_order orders[] = {BG_PRUNE_FIRST, BG_PRUNE_LAST};
    bg_search_options o = options(scheme_bytes("Q4_0") * 7 / 10);
    uint64_t most = 10;
    (void)state;
    n_tokens = TOKENS / 2;
    o.n_formats = 3;
    o.prune = 0.4;
    for (size_t i = 0; i < BG_COUNT(orders); i++)
        for (int stopped = 0; stopped < 2; stopped++) {
            bg_search_result result;
            bg_quantize_plan plan;
            bg_recipe *r;
            o.order = orders[i];
            o.progress = stopped ? stop_after : NULL;
            o.user = &most;
            r = search(&o, &result);
            assert_ok(bg_recipe_plan(r, bg_model_gguf(model), NULL, &plan, &err), &err);
            assert_int_equal(plan.file_bytes, result.file_bytes);
            assert_true(result.file_bytes <= o.file_bytes);
            assert_int_equal(result.stopped, stopped);
            assert_true(stopped || bg_recipe_pruned(r));
            bg_recipe_free(&r);
        }
    n_tokens = TOKENS;
}

/* Speed as a limit: one that everything meets changes nothing but what is known, one that nothing
 * meets is refused. */
static void test_speed(void **state)
{
    bg_search_options o = options(scheme_bytes("Q4_0"));
    bg_search_result result;
    bg_recipe *r;
    (void)state;
    o.most_asked = 5;
    o.min_tps = 0.01;
    r = search(&o, &result);
    assert_true(result.predicted_tps > 0.01);
    assert_true(result.file_bytes <= o.file_bytes);
    bg_recipe_free(&r);
    o.min_tps = 1e12;
    assert_fails(bg_search_run(&r, NULL, model, tokens, TOKENS, &o, &result, &err),
                 BG_ERR_INFEASIBLE, "the fastest", &err);
}

static void test_limits(void **state)
{
    static const bg_format formats[] = {BG_FORMAT_Q4_K, BG_FORMAT_Q4_0};
    bg_search_options o = options(1000);
    bg_search_result result;
    uint64_t none = 0;
    bg_recipe *r;
    (void)state;
    assert_fails(bg_search_run(&r, NULL, model, tokens, TOKENS, &o, &result, &err),
                 BG_ERR_INFEASIBLE, "the smallest takes", &err);
    /* Only what was listed; stopped before anything was measured. */
    o = options(1 << 30);
    o.formats = formats;
    o.n_formats = 2;
    o.progress = stop_after;
    o.user = &none;
    r = search(&o, &result);
    assert_true(result.stopped);
    for (size_t i = 0; i < r->n_tensors; i++)
        assert_true(r->formats[i] == BG_FORMAT_Q4_K || r->formats[i] == BG_FORMAT_Q4_0 ||
                    r->formats[i] == BG_FORMAT_NONE);
    bg_recipe_free(&r);
    assert_fails(bg_search_run(&r, NULL, model, tokens, 100, &o, &result, &err), BG_ERR_INPUT,
                 "a window needs 256", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_prune_smaller),
        cmocka_unit_test(test_prune_order),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
