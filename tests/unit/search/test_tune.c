/* Tuning: what is written is what was measured, and better than before; the same seed, the same
 * blocks. */
#include "unit/model/tiny.h"

#include "base/team.h"
#include "search/tune.h"

enum { CTX = 16, WINDOWS = 16, TOKENS = CTX * WINDOWS };

static const tiny small = {
    .n_layer = 1, .n_embd = 256, .n_ff = 256, .n_head = 4, .n_head_kv = 2, .head_dim = 64,
    .rope_dim = 64, .n_vocab = 64, .format = BG_FORMAT_F32, .value = BG_FORMAT_NONE,
};

typedef struct bench {
    bg_text file;
    bg_model *m;
    int32_t tokens[TOKENS];
} bench;

static void bench_open(bench *b, const tiny *t)
{
    bg_rng rng;
    b->file = tiny_file(t);
    b->m = tiny_open(&b->file);
    bg_rng_seed(&rng, 5);
    for (size_t i = 0; i < TOKENS; i++) b->tokens[i] = (int32_t)bg_rng_below(&rng, t->n_vocab);
}

static void bench_close(bench *b)
{
    bg_model_close(&b->m);
    bg_text_fini(&b->file);
}

static bg_isa native(void)
{
    bg_error err;
    bg_isa isa;
    assert_ok(bg_isa_parse("native", &isa, &err), &err);
    return isa;
}

static bg_image *image_in(const bench *b, const char *format)
{
    bg_error err;
    bg_recipe *r;
    bg_image *image;
    const bg_gguf *g = bg_model_gguf(b->m);
    assert_ok(bg_recipe_new(&r, g, &err), &err);
    for (size_t i = 0; i < r->n_tensors; i++)
        if (bg_gguf_tensor_at(g, i)->n_dims > 1)
            r->formats[i] = bg_format_find(format)->format;
    assert_ok(bg_recipe_apply(&image, r, g, NULL, NULL, NULL, NULL, &err), &err);
    bg_recipe_free(&r);
    return image;
}

static bg_tuner *tuner_open(const bench *b, bg_team *team)
{
    bg_error err;
    bg_tuner *t;
    bg_tuner_options o = {.n_ctx = CTX, .windows = 3, .own = 0.5, .held_out = 0.25,
                          .isa = native(), .team = team};
    assert_ok(bg_tuner_open(&t, b->m, b->tokens, TOKENS, &o, &err), &err);
    return t;
}

static bg_tune_progress tune(bg_tuner *t, bg_image *image, uint64_t steps)
{
    bg_error err;
    bg_tune_progress p;
    bg_tune_options o = {.steps = steps, .seed = 3};
    assert_ok(bg_tuner_run(t, image, &o, &p, &err), &err);
    return p;
}

/* Every kind of grid: scaled and affine, with and without scales of sub-blocks, uneven, none. */
static const char *const formats[] = {"TQ1_0", "TQ2_0", "Q2_K", "Q3_K", "Q4_0", "Q4_1", "Q4_K",
                                      "Q5_0", "Q5_1", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "Q8_0",
                                      "F16"};

/* What an image is worth does not depend on the weights beside it: opened again, it is worth what
 * the run that wrote it said. */
static void test_better(void **state)
{
    bench b;
    bg_tuner *t;
    (void)state;
    bench_open(&b, &small);
    t = tuner_open(&b, NULL);
    for (size_t i = 0; i < BG_COUNT(formats); i++) {
        bg_image *image = image_in(&b, formats[i]);
        int level = bg_format_find(formats[i])->level;
        bg_tune_progress first = tune(t, image, 16), again = tune(t, image, 1);
        if (!(first.best <= first.start * (level <= 3 ? 0.99 : 1)))
            fail_msg("%s: from %g to %g", formats[i], first.start, first.best);
        if (!(fabs(again.start - first.best) <= 1e-3 * first.best + 1e-6))
            fail_msg("%s: written as %g, read as %g", formats[i], first.best, again.start);
        bg_image_free(&image);
    }
    bg_tuner_close(&t);
    bench_close(&b);
}

/* The image of b in a format, and what tuning it towards `full` begins with. */
static bg_image *tuned_in(const bench *b, const char *format, const bench *full, bg_tuned_model *m)
{
    bg_image *image = image_in(b, format);
    bg_error err;
    assert_ok(bg_tuned_open(m, image, bg_model_gguf(full->m), bg_grad_ops_get(native()), NULL,
                              &err), &err);
    return image;
}

/* Levels and scales survive being taken apart and stored again. */
static void test_stored(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &small);
    for (size_t i = 0; i < BG_COUNT(formats); i++) {
        bg_tuned_model m;
        bg_image *image = tuned_in(&b, formats[i], &b, &m);
        bg_tuned_store(&m, image);
        for (size_t k = 0; k < bg_gguf_tensor_count(image->g); k++) {
            const bg_tensor *x = bg_gguf_tensor_at(image->g, k);
            float *now = bg_alloc(x->ne[0], 4), *stored = bg_alloc(x->ne[0], 4);
            const bg_format_info *f = bg_format_get((int)x->format);
            for (size_t r = 0; r < x->ne[1]; r++) {
                bg_tuned_rows(&m, k, r, 1, now);
                bg_format_decode(f, (const char *)x->data + r * bg_format_row_bytes(f, x->ne[0]),
                                 stored, x->ne[0]);
                for (size_t c = 0; c < x->ne[0] && m.tensors[k].codec; c++)
                    if (!(fabsf(now[c] - stored[c]) <= 1e-6f * fabsf(now[c]) + 1e-9f))
                        fail_msg("%s, %s, row %zu, column %zu: %g stored as %g", formats[i],
                                 x->name, r, c, (double)now[c], (double)stored[c]);
            }
            bg_free(now);
            bg_free(stored);
        }
        bg_tuned_close(&m);
        bg_image_free(&image);
    }
    bench_close(&b);
}

/* The weights of a model with other signs: whatever its blocks hold, something else chose. */
static void turn_signs(const bench *b)
{
    const bg_gguf *g = bg_model_gguf(b->m);
    for (size_t k = 0; k < bg_gguf_tensor_count(g); k++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, k);
        float *w = (void *)(uintptr_t)t->data;
        for (size_t i = 0; i < t->ne[0] * t->ne[1]; i++) w[i] = -w[i];
    }
}

static void check_margin(const bg_tuned_model *m, const bg_gguf *full, size_t k, const char *format)
{
    const bg_tuned *t = &m->tensors[k];
    const float *meant = (const void *)bg_gguf_tensor_at(full, k)->data;
    size_t n = t->rows * t->k, size = (size_t)t->codec->grid->size;
    bool uneven = t->codec->grid->kind == BG_GRID_IQ4;
    float *before = bg_alloc(n, 4), *after = bg_alloc(n, 4), nudge = uneven ? 1.9f : 0.2f;
    bg_tuned_rows((void *)(uintptr_t)m, k, 0, t->rows, before);
    for (size_t c = 0; c < n; c++) {
        float half_way = (uneven ? 2.01f : 0.251f) * fabsf(t->scale[c / size]);
        if (!(fabsf(t->w[c] - before[c]) <= half_way))
            fail_msg("%s: on %g, begins at %g", format, (double)before[c], (double)t->w[c]);
    }
    for (size_t c = 0; c < n; c++) t->w[c] += (c % 3 ? nudge : -nudge) * t->scale[c / size];
    bg_tuned_rows((void *)(uintptr_t)m, k, 0, t->rows, after);
    for (size_t c = 0; c < n; c++) {
        float far = (uneven ? 12 : 0.6f) * fabsf(t->scale[c / size]);
        if (fabsf(meant[c] - before[c]) > far &&
            !(fabsf(after[c] - before[c]) <= 1e-6f * fabsf(before[c])))
            fail_msg("%s: a fifth of a level takes %g to %g", format, (double)before[c],
                     (double)after[c]);
    }
    bg_free(before);
    bg_free(after);
}

/* Levels that are not nearest to the full weights, as error feedback chooses them, take more than a
 * few steps to undo. */
static void test_margin(void **state)
{
    bench b, other;
    (void)state;
    bench_open(&b, &small);
    bench_open(&other, &small);
    turn_signs(&other);
    for (size_t i = 0; i < BG_COUNT(formats); i++) {
        bg_tuned_model m;
        bg_image *image = tuned_in(&b, formats[i], &other, &m);
        for (size_t k = 0; k < m.n; k++)
            if (m.tensors[k].codec)
                check_margin(&m, bg_model_gguf(other.m), k, formats[i]);
        bg_tuned_close(&m);
        bg_image_free(&image);
    }
    bench_close(&other);
    bench_close(&b);
}

/* After rounding alone, weights begin as the model has them, unless beyond a grid's ends. */
static void test_plain(void **state)
{
    bench b;
    (void)state;
    bench_open(&b, &small);
    for (size_t i = 0; i < BG_COUNT(formats); i++) {
        bg_tuned_model m;
        bg_image *image = tuned_in(&b, formats[i], &b, &m);
        for (size_t k = 0; k < m.n; k++) {
            const bg_tuned *t = &m.tensors[k];
            const float *full = (const void *)bg_gguf_tensor_at(bg_model_gguf(b.m), k)->data;
            size_t n = t->rows * t->k, same = 0;
            if (!t->codec) continue;
            for (size_t c = 0; c < n; c++)
                same += fabsf(t->w[c] - full[c]) <= 1e-5f * fabsf(full[c]);
            if (same < n / 2) fail_msg("%s: %zu of %zu begin as they are", formats[i], same, n);
        }
        bg_tuned_close(&m);
        bg_image_free(&image);
    }
    bench_close(&b);
}

/* The Fisher information foretells the divergence of small changes. */
static void test_fisher(void **state)
{
    static const char *const kinds[] = {"Q5_K", "Q6_K"};
    bench b;
    bg_tuner *t;
    bg_fisher *f;
    bg_error err;
    (void)state;
    bench_open(&b, &small);
    t = tuner_open(&b, NULL);
    assert_ok(bg_tuner_fisher(t, 0, &f, &err), &err);
    for (size_t i = 0; i < BG_COUNT(kinds); i++) {
        bg_image *image = image_in(&b, kinds[i]);
        double foretold = 0, real = tune(t, image, 1).start;
        for (size_t k = 0; k < bg_gguf_tensor_count(image->g); k++) {
            double rise = 0;
            const bg_tensor *x = bg_gguf_tensor_at(image->g, k);
            assert_ok(bg_fisher_rise(f, k, bg_format_get((int)x->format), x->data, &rise, &err),
                      &err);
            foretold += rise;
        }
        if (!(foretold > 0.6 * real && foretold < 1.6 * real))
            fail_msg("%s: %g foretold, %g measured", kinds[i], foretold, real);
        bg_image_free(&image);
    }
    bg_fisher_free(&f);
    bg_tuner_close(&t);
    bench_close(&b);
}

static void test_repeatable(void **state)
{
    bench b;
    bg_image *images[2];
    (void)state;
    bench_open(&b, &small);
    for (int i = 0; i < 2; i++) {
        bg_error err;
        bg_team *team;
        bg_tuner *t;
        assert_ok(bg_team_open(&team, 1 + 2 * i, NULL, NULL, &err), &err);
        t = tuner_open(&b, team);
        images[i] = image_in(&b, "Q2_K");
        tune(t, images[i], 10);
        bg_tuner_close(&t);
        bg_team_close(&team);
    }
    assert_memory_equal(images[0]->data, images[1]->data, images[0]->bytes);
    bg_image_free(&images[0]);
    bg_image_free(&images[1]);
    bench_close(&b);
}

static void test_refusals(void **state)
{
    bench b;
    bg_tuner *t;
    bg_error err;
    bg_tuner_options o = {.n_ctx = CTX, .isa = BG_ISA_REF};
    (void)state;
    bench_open(&b, &tiny_default);
    assert_int_equal(bg_tuner_open(&t, b.m, b.tokens, CTX * 7, &o, &err), BG_ERR_INPUT);
    b.tokens[3] = 48;
    assert_int_equal(bg_tuner_open(&t, b.m, b.tokens, TOKENS, &o, &err), BG_ERR_INPUT);
    assert_null(t);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored), cmocka_unit_test(test_margin), cmocka_unit_test(test_plain),
        cmocka_unit_test(test_better),
        cmocka_unit_test(test_fisher), cmocka_unit_test(test_repeatable),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
