/* Importance matrices against llama.cpp's own, and their files. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"
#include "bitgauge/quality.h"
#include "unit/model/embedded.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define PEER BG_SOURCE "/tests/fixtures/imatrix/codelet.gguf"

static bg_model *model;
static bg_isa isa;
static int32_t *text;
static size_t n_text;
static bg_error err;

static int setup(void **state)
{
    (void)state;
    return embedded_open(&model, &isa, "codelet-calib.txt", 10000, &text, &n_text);
}

static int teardown(void **state)
{
    (void)state;
    bg_tokens_free(text);
    bg_model_close(&model);
    return 0;
}

static bg_importance *collect(const bg_importance_options *o)
{
    bg_importance *i;
    assert_ok(bg_importance_collect(&i, model, text, n_text, "calib.txt", o, &err), &err);
    return i;
}

/* The largest difference over the value, and that of the sum of each tensor. */
static double compare(const bg_importance *a, const bg_importance *b, double *of_sums)
{
    double worst = 0;
    *of_sums = 0;
    for (size_t t = 0; t < bg_model_tensor_count(model); t++) {
        const bg_tensor *w = bg_model_tensor_at(model, t);
        const float *x = bg_importance_find(a, w->name, w->ne[0]);
        const float *y = bg_importance_find(b, w->name, w->ne[0]);
        double sum_x = 0, sum_y = 0;
        assert_true(!x == !y);
        for (size_t k = 0; x && k < w->ne[0]; k++) {
            worst = fmax(worst, fabs((double)x[k] / (double)y[k] - 1));
            sum_x += (double)x[k];
            sum_y += (double)y[k];
        }
        if (x) *of_sums = fmax(*of_sums, fabs(sum_x / sum_y - 1));
    }
    return worst;
}

/* llama.cpp keeps attention's values as halves, and adds in other orders. */
static void equals_llama_cpp(void **state)
{
    bg_importance *own, *peer;
    double sums;
    (void)state;
    own = collect(&(bg_importance_options){.max_windows = 2, .isa = isa});
    assert_ok(bg_importance_open(&peer, PEER, &err), &err);
    assert_int_equal(bg_importance_count(own), bg_importance_count(peer));
    assert_int_equal(bg_importance_chunks(peer), 2);
    assert_string_equal(bg_importance_dataset(peer), "codelet-calib.txt");
    assert_true(compare(own, peer, &sums) < 4e-3);
    assert_true(sums < 2e-4);
    bg_importance_close(&own);
    bg_importance_close(&peer);
}

/* Windows side by side, in pieces, by several threads: the same sums. */
static void windows_and_threads(void **state)
{
    static const uint32_t contexts[] = {37, 520}, windows[] = {3, 1};
    bg_team *team;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    for (size_t c = 0; c < BG_COUNT(contexts); c++) {
        bg_importance_options o = {.n_ctx = contexts[c], .max_windows = windows[c], .output = true,
                                   .isa = isa};
        bg_importance *one, *three;
        double sums;
        one = collect(&o);
        o.team = team;
        three = collect(&o);
        assert_non_null(bg_importance_find(one, "output.weight", 256));
        assert_int_equal(bg_importance_count(one), 57);
        assert_true(compare(one, three, &sums) < 1e-6);
        bg_importance_close(&one);
        bg_importance_close(&three);
    }
    bg_team_close(&team);
}

/* One token's squares are what the first layer's norm gives: a closed form. */
static void of_one_layer(void **state)
{
    const bg_tensor *embd = bg_model_tensor_find(model, "token_embd.weight");
    const bg_tensor *norm = bg_model_tensor_find(model, "blk.0.attn_norm.weight");
    bg_importance *own =
        collect(&(bg_importance_options){.n_ctx = 16, .max_windows = 1, .isa = isa});
    const float *got = bg_importance_find(own, "blk.0.attn_q.weight", 256);
    float row[256];
    double want[256] = {0};
    (void)state;
    assert_non_null(got);
    for (size_t i = 0; i < 16; i++) {
        double sum = 0;
        int32_t token = i == 0 && bg_tokenizer_adds_bos(bg_model_tokenizer(model))
                            ? bg_tokenizer_bos(bg_model_tokenizer(model)) : text[i];
        bg_format_decode(bg_format_get(embd->format),
                         (const uint8_t *)embd->data + (size_t)token * embd->bytes / embd->ne[1],
                         row, 256);
        for (size_t k = 0; k < 256; k++) sum += (double)row[k] * (double)row[k];
        for (size_t k = 0; k < 256; k++) {
            float w;
            memcpy(&w, (const uint8_t *)norm->data + 4 * k, sizeof w);
            want[k] += pow((double)row[k] * (double)w, 2) /
                       (sum / 256 + (double)bg_model_hparams(model)->rms_eps) / 16;
        }
    }
    for (size_t k = 0; k < 256; k++) assert_true(fabs((double)got[k] / want[k] - 1) < 1e-5);
    bg_importance_close(&own);
}

static void files(void **state)
{
    static const bg_importance_form forms[] = {BG_IMPORTANCE_GGUF, BG_IMPORTANCE_DAT};
    bg_importance *own =
        collect(&(bg_importance_options){.n_ctx = 64, .max_windows = 1, .isa = isa});
    char path[] = "/tmp/bgimportanceXXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t f = 0; f < BG_COUNT(forms); f++) {
        bg_importance *back;
        double sums;
        assert_ok(bg_importance_write(own, path, forms[f], &err), &err);
        assert_ok(bg_importance_open(&back, path, &err), &err);
        assert_int_equal(bg_importance_count(back), 56);
        assert_int_equal(bg_importance_chunks(back), 1);
        assert_string_equal(bg_importance_dataset(back), "calib.txt");
        assert_true(compare(own, back, &sums) < 3e-7);
        bg_importance_close(&back);
        unlink(path);
    }
    assert_fails(bg_importance_write(own, "/nowhere/x", BG_IMPORTANCE_GGUF, &err), BG_ERR_IO,
                 "check the path", &err);
    bg_importance_close(&own);
}

static bool stop(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    (void)total;
    return done < 1;
}

static void refusals(void **state)
{
    const double squares[] = {1, 2}, endless[] = {1, INFINITY};
    bg_importance_options o = {.isa = isa, .n_ctx = 1 << 20};
    bg_importance *i;
    (void)state;
    assert_fails(bg_importance_collect(&i, model, text, n_text, "x", &o, &err), BG_ERR_INPUT,
                 "smaller --ctx", &err);
    assert_null(i);
    o = (bg_importance_options){.isa = isa, .n_ctx = 16, .progress = stop};
    assert_fails(bg_importance_collect(&i, model, text, n_text, "x", &o, &err), BG_ERR_INTERRUPTED,
                 "nothing was written", &err);
    assert_null(i);
    assert_ok(bg_importance_new(&i, "x", 1, 16, &err), &err);
    assert_ok(bg_importance_add(i, "b", squares, 2, 4, &err), &err);
    assert_ok(bg_importance_add(i, "a", squares, 2, 2, &err), &err);
    assert_true(bg_importance_find(i, "b", 2)[1] == 0.5f);
    assert_fails(bg_importance_add(i, "c", endless, 2, 2, &err), BG_ERR_INPUT, "not finite", &err);
    assert_fails(bg_importance_add(i, "a", squares, 2, 2, &err), BG_ERR_INPUT, "twice", &err);
    bg_importance_close(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_llama_cpp), cmocka_unit_test(windows_and_threads),
        cmocka_unit_test(of_one_layer),     cmocka_unit_test(files),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
