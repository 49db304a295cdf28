/* The evaluator against whole measurements of the quality room,
 * and against itself without reuse. */
#include "test.h"

#include "base/file.h"
#include "search/evaluate.h"
#include "unit/model/embedded.h"

#include <math.h>

static bg_model *model;
static bg_isa isa;
static int32_t *text;
static size_t n_text;
static bg_error err;
static bg_team *team;

static int setup(void **state)
{
    (void)state;
    if (bg_team_open(&team, 2, NULL, NULL, &err) != BG_OK) return -1;
    return embedded_open(&model, &isa, "codelet-calib.txt", 4000, &text, &n_text);
}

static int teardown(void **state)
{
    (void)state;
    bg_tokens_free(text);
    bg_model_close(&model);
    bg_team_close(&team);
    return 0;
}

static bg_evaluator *open_evaluator(size_t memory)
{
    bg_evaluator *e;
    bg_evaluator_options o = {.n_ctx = 64, .max_windows = 9, .isa = isa, .team = team,
                              .memory = memory};
    assert_ok(bg_evaluator_open(&e, model, text, n_text, &o, &err), &err);
    return e;
}

static double run(bg_evaluator *e, const bg_format *formats, size_t windows)
{
    double kld;
    assert_ok(bg_evaluator_run(e, (bg_student){formats, NULL}, 0, windows, &kld, &err), &err);
    return kld;
}

static bg_recipe *recipe(const char *scheme)
{
    bg_recipe *r;
    assert_ok(bg_recipe_of_scheme(&r, bg_model_gguf(model), bg_scheme_find(scheme), &err), &err);
    return r;
}

static void test_same_as_quality(void **state)
{
    static const char *const schemes[] = {"Q2_K", "Q4_K_M", "Q5_0", "F16"};
    bg_quality_options o = {.n_ctx = 64, .max_windows = 9, .isa = isa, .team = team};
    bg_evaluator *e = open_evaluator(0);
    bg_reference *reference;
    double kld;
    (void)state;
    assert_int_equal(bg_evaluator_windows(e), 9);
    assert_ok(bg_reference_open(&reference, model, text, n_text, &o, &err), &err);
    for (size_t i = 0; i < BG_COUNT(schemes); i++) {
        bg_recipe *r = recipe(schemes[i]);
        bg_model *m;
        bg_quality q;
        assert_ok(bg_model_quantize(&m, model, bg_scheme_find(schemes[i]), NULL, team, NULL, NULL,
                                    &err), &err);
        assert_ok(bg_quality_measure(reference, m, &o, &q, &err), &err);
        /* Streams between layers are halves here, so activations are rounded otherwise, which
         * changes as much as other kernels do. */
        kld = run(e, r->formats, 9);
        if (fabs(kld - q.kld_mean) > 0.03 * q.kld_mean) fail_msg("%.9g, not %.9g", kld, q.kld_mean);
        bg_model_close(&m);
        bg_recipe_free(&r);
    }
    bg_reference_close(&reference);
    bg_evaluator_close(&e);
}

/* Each tensor changed alone, from the anchor on and from the beginning. Little memory makes the
 * second evaluator throw matrices away and make them again. */
static void test_reuse(void **state)
{
    bg_evaluator *e = open_evaluator(0), *whole = open_evaluator(10 << 20);
    bg_recipe *r = recipe("Q4_K_M"), *large = recipe("Q8_0");
    uint64_t layers, reused, before;
    double kld;
    (void)state;
    assert_int_equal(bg_evaluator_windows(whole), 9);
    run(whole, large->formats, 8);
    assert_ok(bg_evaluator_anchor(e, (bg_student){r->formats, NULL}, 8, &kld, &err), &err);
    bg_evaluator_work(e, &layers, &before);
    for (size_t i = 0; i < r->n_tensors; i += 5) {
        bg_format old = r->formats[i];
        if (!bg_recipe_fits(r, bg_model_gguf(model), i, BG_FORMAT_Q2_K)) continue;
        r->formats[i] = BG_FORMAT_Q2_K;
        double a = run(e, r->formats, 8);
        double b = run(whole, r->formats, 8);
        if (a != b) fail_msg("%s: %.17g, not %.17g", bg_model_tensor_at(model, i)->name, a, b);
        r->formats[i] = old;
    }
    bg_evaluator_work(e, &layers, &reused);
    assert_true(reused > before);
    assert_true(kld == run(e, r->formats, 8)); /* all of it reused */
    bg_evaluator_close(&e);
    bg_evaluator_close(&whole);
    bg_recipe_free(&r);
    bg_recipe_free(&large);
}

/* What an evaluator's session takes, whose windows are as open_evaluator has them. */
static size_t session_bytes(uint32_t n_ctx, uint32_t n_batch, uint32_t n_seq)
{
    bg_session_options o = {.n_ctx = n_ctx, .n_batch = n_batch, .n_seq = n_seq, .isa = isa,
                            .team = team, .any_format = true, .bare = true};
    bg_session *s;
    size_t bytes;
    assert_ok(bg_session_open(&s, model, &o, &err), &err);
    bytes = bg_session_kv_bytes(s) + bg_session_scratch_bytes(s);
    bg_session_close(&s);
    return bytes;
}

/* The source is packed whole only while its own predictions are made; then a student and, up to the
 * limit, what else was made. */
static void test_memory(void **state)
{
    enum { LIMIT = 10 << 20, SMALL = 1 << 20 };
    const bg_hparams *h = bg_model_hparams(model);
    size_t rows = (size_t)8 * 31, logits = 2 * rows * h->n_vocab * sizeof(float);
    size_t fixed = session_bytes(64, 8 * 63, 8) + session_bytes(1, (uint32_t)rows, 1) + logits +
                   SMALL;
    size_t output = (size_t)h->n_vocab * h->n_embd * 2, before, student;
    bg_recipe *r = recipe("Q8_0");
    bg_quantize_plan plan;
    bg_evaluator *e;
    (void)state;
    bg_model_unpack(model);
    before = bg_large_bytes();
    bg_large_peak_reset();
    e = open_evaluator(LIMIT);
    if (bg_large_peak() > before + bg_model_weight_bytes(model) + LIMIT / 2 + fixed)
        fail_msg("%zu at first", bg_large_peak() - before);
    bg_large_peak_reset();
    assert_ok(bg_recipe_plan(r, bg_model_gguf(model), NULL, &plan, &err), &err);
    student = BG_MAX((size_t)plan.weight_bytes, (size_t)LIMIT / 2);
    run(e, r->formats, 9);
    for (size_t i = 0; i < r->n_tensors; i++) {
        if (!bg_recipe_fits(r, bg_model_gguf(model), i, BG_FORMAT_Q4_0)) continue;
        r->formats[i] = i % 2 ? BG_FORMAT_Q4_0 : BG_FORMAT_Q5_0;
        run(e, r->formats, 1);
    }
    if (bg_large_peak() > before + output + student + LIMIT / 2 + fixed)
        fail_msg("%zu later", bg_large_peak() - before);
    bg_evaluator_close(&e);
    bg_recipe_free(&r);
}

static double quality(const bg_model *m)
{
    bg_quality_options o = {.n_ctx = 64, .max_windows = 9, .isa = isa, .team = team};
    bg_reference *reference;
    bg_quality q;
    assert_ok(bg_reference_open(&reference, model, text, n_text, &o, &err), &err);
    assert_ok(bg_quality_measure(reference, m, &o, &q, &err), &err);
    bg_reference_close(&reference);
    return q.kld_mean;
}

/* A pruned student, whose matrices are padded with zeros here, against the file that really is
 * smaller, with and without what makes up for lost channels. */
static void test_pruned(void **state)
{
    /* Channels, heads (16 each), a layer. */
    uint8_t levels[8] = {0, 1, 0, BG_LAYER_DROPPED, 0, 16, 2 + 16, 0}, steps[BG_PRUNER_STEPS];
    bg_evaluator_options o = {.n_ctx = 64, .max_windows = 9, .isa = isa, .team = team};
    bg_feedback_options hearing = {.isa = isa, .team = team};
    const bg_gguf *g = bg_model_gguf(model);
    bg_recipe *r = recipe("Q4_K_M");
    bg_image *image;
    bg_evaluator *e;
    bg_model *m;
    double kld, plain, made_up;
    (void)state;
    assert_ok(bg_pruner_open(&o.pruner, model, text, n_text, &hearing, &err), &err);
    assert_int_equal(bg_pruner_steps(o.pruner, 1, steps), 2);
    assert_int_equal(steps[0], 2);
    assert_int_equal(steps[1], 1 + 16);
    assert_int_equal(bg_pruner_steps(o.pruner, 2 + 16, steps), 0);
    for (size_t i = 0; i < r->n_tensors; i++) /* half of the heads leave rows of 128 */
        if (strstr(bg_gguf_tensor_at(g, i)->name, "attn_output")) r->formats[i] = BG_FORMAT_Q4_0;
    assert_ok(bg_evaluator_open(&e, model, text, n_text, &o, &err), &err);
    assert_ok(bg_evaluator_run(e, (bg_student){r->formats, levels}, 0, 9, &kld, &err), &err);
    assert_ok(bg_pruner_shape(o.pruner, levels, r, &err), &err);
    assert_int_equal(r->layers[1].ff.n, 512);
    assert_int_equal(r->layers[6].ff.n, 256);
    assert_true(r->layers[3].dropped);
    assert_int_equal(r->layers[5].kv_heads.n, 1);
    assert_int_equal(r->layers[6].kv_heads.n, 1);
    assert_int_equal(r->layers[1].kv_heads.n, 2);
    assert_ok(bg_recipe_apply(&image, r, g, NULL, team, NULL, NULL, &err), &err);
    assert_ok(bg_model_open_memory(&m, image->data, image->bytes, "pruned", &err), &err);
    plain = quality(m);
    bg_model_close(&m);
    assert_ok(bg_pruner_finish(o.pruner, r, NULL, image, &err), &err);
    assert_ok(bg_model_open_memory(&m, image->data, image->bytes, "pruned", &err), &err);
    made_up = quality(m);
    bg_model_close(&m);
    if (fabs(kld / made_up - 1) > 0.03) fail_msg("%.9g, not %.9g", kld, made_up);
    if (made_up > plain) fail_msg("%g is worse than %g", made_up, plain);
    bg_image_free(&image);
    bg_evaluator_close(&e);
    bg_pruner_close(&o.pruner);
    bg_recipe_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_quality),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_pruned),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
