#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"
#include "bitgauge/model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define CODELET BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf"

static bg_error err;
static char dir[64], in[96], out[96];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/bgquantXXXXXX");
    if (!mkdtemp(dir)) return 1;
    snprintf(in, sizeof in, "%s/in.gguf", dir);
    snprintf(out, sizeof out, "%s/out.gguf", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(in);
    unlink(out);
    return rmdir(dir);
}

/* Sizes of the files that llama.cpp v0.5.0 makes of the embedded model; for schemes that it lacks
 * and for those not measured, what the scheme comes to. */
static void planned_sizes(void **state)
{
    static const struct { const char *scheme; uint64_t bytes; const char *formats; } files[] = {
        {"F16", 16361248, "F16"},           {"Q2_K", 3534624, "Q2_K+Q3_K+Q6_K+Q4_K"},
        {"Q3_K_S", 4009760, "Q3_K+Q6_K"},   {"Q3_K_M", 4309792, "Q3_K+Q4_K+Q6_K+Q5_K"},
        {"Q3_K_L", 4584224, "Q3_K+Q5_K+Q6_K"}, {"Q4_0", 4949792, "Q4_0+Q6_K"},
        {"Q4_K_S", 4982560, "Q4_K+Q6_K+Q5_K"}, {"Q4_K_M", 5169440, "Q4_K+Q6_K"},
        {"Q5_K_S", 5834528, "Q5_K+Q6_K"},   {"Q5_K_M", 5947680, "Q5_K+Q6_K"},
        {"Q6_K", 6774560, "Q6_K"},          {"Q8_0", 8742688, "Q8_0"},
        {"Q4_K_L", 5947680, "Q4_K+Q8_0+Q6_K"}, {"BF16", 16361248, "BF16"},
    };
    bg_quantize_plan p;
    bg_gguf *g;
    (void)state;
    assert_ok(bg_gguf_open(&g, CODELET, &err), &err);
    for (size_t i = 0; i < BG_COUNT(files); i++) {
        assert_ok(bg_quantize_plan_file(&p, g, bg_scheme_find(files[i].scheme), &err), &err);
        assert_int_equal(p.file_bytes, files[i].bytes);
        assert_string_equal(p.formats, files[i].formats);
        assert_int_equal(p.n_params, 8130816);
        assert_int_equal(p.weight_bytes, files[i].bytes - 90912);
        assert_int_equal(p.n_fell_back, 0);
    }
    bg_gguf_close(&g);
}

static bool count_steps(void *user, double fraction)
{
    int *steps = user;
    assert_true(fraction >= 0 && fraction <= 1);
    (*steps)++;
    return true;
}

static bool stop_soon(void *user, double fraction)
{
    (void)user;
    return fraction < 0.1;
}

static void embedded_model(void **state)
{
    const bg_scheme *scheme = bg_scheme_find("Q8_0");
    bg_gguf *a, *b;
    bg_team *team;
    uint64_t n = 0;
    int steps = 0;
    (void)state;
    assert_ok(bg_team_open(&team, 2, NULL, NULL, &err), &err);
    assert_ok(bg_quantize_file(CODELET, out, scheme, NULL, team, count_steps, &steps, &err), &err);
    assert_true(steps >= 75);
    assert_ok(bg_gguf_open(&a, CODELET, &err), &err);
    assert_ok(bg_gguf_open(&b, out, &err), &err);
    assert_int_equal(bg_gguf_file_bytes(b), 8742688);
    assert_true(bg_gguf_get_u64(b, "general.file_type", &n) && n == 7);
    assert_true(bg_gguf_get_u64(b, "general.quantization_version", &n) && n == 2);
    assert_int_equal(bg_gguf_value_count(b), bg_gguf_value_count(a));
    for (size_t i = 0; i < bg_gguf_value_count(a); i++) {
        const bg_gguf_value *x = bg_gguf_value_at(a, i), *y = bg_gguf_value_at(b, i);
        assert_string_equal(x->key, y->key);
        assert_int_equal(x->bytes, y->bytes);
        if (strcmp(x->key, "general.file_type") != 0)
            assert_memory_equal(x->data, y->data, x->bytes);
    }
    for (size_t i = 0; i < bg_gguf_tensor_count(a); i++) {
        const bg_tensor *x = bg_gguf_tensor_at(a, i), *y = bg_gguf_tensor_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(y->format, x->n_dims == 1 ? BG_FORMAT_F32 : BG_FORMAT_Q8_0);
    }
    bg_gguf_close(&a);
    bg_gguf_close(&b);
    unlink(out);
    assert_fails(bg_quantize_file(CODELET, out, scheme, NULL, team, stop_soon, NULL, &err),
                 BG_ERR_INTERRUPTED, "stopped", &err);
    assert_false(bg_file_exists(out));
    assert_fails(bg_quantize_file(CODELET, CODELET, scheme, NULL, NULL, NULL, NULL, &err),
                 BG_ERR_INPUT, "is the input itself", &err);
    bg_team_close(&team);
}

/* ---- a file of another architecture, with experts, made here ------------------------------- */

enum { K = 32, ROWS = 2, EXPERTS = 2 };

static void write_model(uint32_t foreign_type, float bad)
{
    static const char zeros[256];
    float values[K * ROWS * EXPERTS];
    const bg_tensor tensors[] = {
        {.name = "blk.0.ffn_up_exps.weight", .type_id = 0, .n_dims = 3,
         .ne = {K, ROWS, EXPERTS, 1}},
        {.name = "blk.0.ffn_gate_inp.weight", .type_id = 0, .n_dims = 2, .ne = {K, ROWS, 1, 1}},
        {.name = "blk.0.odd.weight", .type_id = 0, .n_dims = 2, .ne = {33, 1, 1, 1}},
        {.name = "blk.0.table", .type_id = 26, .n_dims = 1, .ne = {4, 1, 1, 1}},
        {.name = "blk.0.foreign.weight", .type_id = foreign_type, .n_dims = 2,
         .ne = {foreign_type ? 256 : 32, 1, 1, 1}},
    };
    bg_gguf_writer *w;
    for (size_t i = 0; i < BG_COUNT(values); i++) values[i] = sinf((float)i);
    values[K + 5] *= bad;
    assert_ok(bg_gguf_writer_open(&w, in, &err), &err);
    assert_ok(bg_gguf_writer_string(w, "general.architecture", "other", &err), &err);
    for (size_t i = 0; i < BG_COUNT(tensors); i++)
        assert_ok(bg_gguf_writer_tensor(w, &tensors[i], &err), &err);
    assert_ok(bg_gguf_writer_data(w, values, K * ROWS * EXPERTS * 4, &err), &err);
    assert_ok(bg_gguf_writer_data(w, values, K * ROWS * 4, &err), &err);
    assert_ok(bg_gguf_writer_data(w, values, 33 * 4, &err), &err);
    assert_ok(bg_gguf_writer_data(w, zeros, 16, &err), &err);
    assert_ok(bg_gguf_writer_data(w, zeros, foreign_type ? 66 : 128, &err), &err);
    assert_ok(bg_gguf_writer_finish(&w, &err), &err);
}

static void other_architecture(void **state)
{
    static const bg_format expected[] = {BG_FORMAT_Q8_0, BG_FORMAT_F32, BG_FORMAT_F16,
                                         BG_FORMAT_NONE, BG_FORMAT_Q8_0};
    const bg_scheme *scheme = bg_scheme_find("Q6_K");
    bg_quantize_plan p;
    bg_gguf *g;
    float decoded[K];
    uint64_t n = 0;
    (void)state;
    write_model(0, 1);
    assert_ok(bg_gguf_open(&g, in, &err), &err);
    assert_ok(bg_quantize_plan_file(&p, g, scheme, &err), &err);
    assert_int_equal(p.n_fell_back, 3);
    bg_gguf_close(&g);
    assert_ok(bg_quantize_file(in, out, scheme, NULL, NULL, NULL, NULL, &err), &err);
    assert_ok(bg_gguf_open(&g, out, &err), &err);
    assert_int_equal(bg_gguf_file_bytes(g), p.file_bytes);
    assert_true(bg_gguf_get_u64(g, "general.file_type", &n) && n == 18);
    for (size_t i = 0; i < BG_COUNT(expected); i++)
        assert_int_equal(bg_gguf_tensor_at(g, i)->format, expected[i]);
    /* the last row of the last expert: Q8_0 keeps it within half a step of 1/127 */
    bg_format_decode(bg_format_get(BG_FORMAT_Q8_0),
                     (const uint8_t *)bg_gguf_tensor_at(g, 0)->data + (ROWS * EXPERTS - 1) * 34,
                     decoded, K);
    for (int k = 0; k < K; k++)
        assert_true(fabsf(decoded[k] - sinf((float)(K * (ROWS * EXPERTS - 1) + k))) < 0.005f);
    bg_gguf_close(&g);
    unlink(out);
}

static void what_cannot_be_done(void **state)
{
    const bg_scheme *scheme = bg_scheme_find("Q8_0");
    (void)state;
    write_model(16, 1); /* IQ2_XXS */
    assert_fails(bg_quantize_file(in, out, scheme, NULL, NULL, NULL, NULL, &err),
                 BG_ERR_UNSUPPORTED, "is IQ2_XXS, which bitgauge cannot decode", &err);
    write_model(0, NAN);
    assert_fails(bg_quantize_file(in, out, scheme, NULL, NULL, NULL, NULL, &err), BG_ERR_INPUT,
                 "ffn_up_exps", &err);
    assert_false(bg_file_exists(out));
    assert_fails(bg_quantize_file(in, "/nonexistent/x.gguf", scheme, NULL, NULL, NULL, NULL, &err),
                 BG_ERR_IO, "/nonexistent/x.gguf", &err);
    assert_fails(bg_quantize_file(in, dir, scheme, NULL, NULL, NULL, NULL, &err), BG_ERR_IO,
                 "no regular file", &err);
    assert_fails(bg_quantize_file("/nonexistent", out, scheme, NULL, NULL, NULL, NULL, &err),
                 BG_ERR_IO, "check the path", &err);
}

/* Each expert gets its own columns: with all weight on one column, that column comes out best. */
static void importance_by_expert(void **state)
{
    const bg_scheme *scheme = bg_scheme_find("Q4_0");
    bg_importance *importance;
    bg_text t = {0};
    bg_gguf *g;
    bg_gguf_string s;
    float plain[2][K], weighted[2][K], columns[K * EXPERTS];
    const int32_t header[] = {1, 24}, counts[] = {1, K * EXPERTS};
    (void)state;
    for (int i = 0; i < K * EXPERTS; i++) columns[i] = i == 3 || i == K + 20 ? 1000.0f : 0.001f;
    bg_text_append(&t, (const char *)header, sizeof header);
    bg_text_puts(&t, "blk.0.ffn_up_exps.weight");
    bg_text_append(&t, (const char *)counts, sizeof counts);
    bg_text_append(&t, (const char *)columns, sizeof columns);
    assert_ok(bg_importance_open_memory(&importance, t.data, t.length, "some/i.dat", &err), &err);
    write_model(0, 1);
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(bg_quantize_file(in, out, scheme, pass ? importance : NULL, NULL, NULL, NULL,
                                   &err), &err);
        assert_ok(bg_gguf_open(&g, out, &err), &err);
        for (int e = 0; e < 2; e++)
            bg_format_decode(bg_format_get(BG_FORMAT_Q4_0),
                             (const uint8_t *)bg_gguf_tensor_at(g, 0)->data + e * ROWS * 18,
                             pass ? weighted[e] : plain[e], K);
        assert_true(bg_gguf_get_string(g, "quantize.imatrix.file", &s) == (pass == 1));
        if (pass) assert_memory_equal(s.data, "i.dat", 5);
        bg_gguf_close(&g);
    }
    for (int e = 0; e < 2; e++) {
        int column = e ? 20 : 3;
        float truth = sinf((float)(e * ROWS * K + column));
        assert_true(fabsf(weighted[e][column] - truth) < 0.01f);
        assert_true(fabsf(weighted[e][column] - truth) <= fabsf(plain[e][column] - truth));
    }
    bg_importance_close(&importance);
    /* A matrix that was never a file has no name. */
    assert_ok(bg_importance_open_memory(&importance, t.data, t.length, "", &err), &err);
    assert_ok(bg_quantize_file(in, out, scheme, importance, NULL, NULL, NULL, &err), &err);
    assert_ok(bg_gguf_open(&g, out, &err), &err);
    assert_false(bg_gguf_get_string(g, "quantize.imatrix.file", &s));
    bg_gguf_close(&g);
    bg_importance_close(&importance);
    bg_text_fini(&t);
    unlink(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(planned_sizes),       cmocka_unit_test(embedded_model),
        cmocka_unit_test(other_architecture),  cmocka_unit_test(what_cannot_be_done),
        cmocka_unit_test(importance_by_expert),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
