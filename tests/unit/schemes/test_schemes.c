#include "test.h"

#include "base/base.h"
#include "bitgauge/scheme.h"

#include <stdlib.h>

static bg_error err;

static bg_format at(const char *scheme, const bg_scheme_model *m, const char *name, uint64_t k,
                    uint64_t rows)
{
    uint64_t ne[4] = {k, rows, 1, 1};
    const bg_scheme *s = bg_scheme_find(scheme);
    assert_non_null(s);
    return bg_scheme_tensor_format(s, m, name, rows > 1 ? 2 : 1, ne, NULL);
}

static uint64_t bytes_of(bg_format f, uint64_t weights)
{
    return bg_format_row_bytes(bg_format_get(f), weights);
}

/* The embedded model: 8 layers, 8 heads for 2, 256 wide, FFN 768, vocabulary 4096. */
static const bg_scheme_model codelet = {.n_layer = 8, .n_head = 8, .n_head_kv = 2};

static uint64_t codelet_bytes(const char *scheme)
{
    static const struct { const char *name; uint64_t k, rows; } layer[] = {
        {"attn_norm", 256, 1}, {"ffn_norm", 256, 1},      {"attn_q", 256, 256},
        {"attn_k", 256, 64},   {"attn_v", 256, 64},       {"attn_output", 256, 256},
        {"ffn_up", 256, 768},  {"ffn_gate", 256, 768},    {"ffn_down", 768, 256},
    };
    char name[64];
    uint64_t n = bytes_of(at(scheme, &codelet, "output_norm.weight", 256, 1), 256);
    n += bytes_of(at(scheme, &codelet, "token_embd.weight", 256, 4096), 256 * 4096);
    n += bytes_of(at(scheme, &codelet, "output.weight", 256, 4096), 256 * 4096);
    for (int i = 0; i < 8; i++)
        for (size_t t = 0; t < BG_COUNT(layer); t++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, layer[t].name);
            n += bytes_of(at(scheme, &codelet, name, layer[t].k, layer[t].rows),
                          layer[t].k * layer[t].rows);
        }
    return n;
}

/* File sizes of llama.cpp v0.5.0; metadata and tensor table take 90912 bytes of each. */
static void sizes_are_those_of_llama_cpp(void **state)
{
    static const struct { const char *scheme; uint64_t file_bytes; } files[] = {
        {"F16", 16361248},   {"Q2_K", 3534624},   {"Q3_K_S", 4009760}, {"Q3_K_M", 4309792},
        {"Q3_K_L", 4584224}, {"Q4_0", 4949792},   {"Q4_K_S", 4982560}, {"Q4_K_M", 5169440},
        {"Q5_K_S", 5834528}, {"Q5_K_M", 5947680}, {"Q6_K", 6774560},   {"Q8_0", 8742688},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(files); i++)
        assert_int_equal(90912 + codelet_bytes(files[i].scheme), files[i].file_bytes);
}

/* Read from files that llama.cpp v0.5.0 made of the embedded model. */
static void formats_are_those_of_llama_cpp(void **state)
{
    static const struct {
        const char *scheme, *tensor, *formats[8]; /* by layer */
    } expected[] = {
        {"Q2_K", "attn_q", {"Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K"}},
        {"Q2_K", "attn_v", {"Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K"}},
        {"Q2_K", "attn_output", {"Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K"}},
        {"Q2_K", "ffn_down", {"Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K"}},
        {"Q2_K", "ffn_up", {"Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K", "Q2_K"}},
        {"Q3_K_M", "attn_v", {"Q5_K", "Q5_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K"}},
        {"Q3_K_M", "attn_output", {"Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K"}},
        {"Q3_K_M", "ffn_down", {"Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K"}},
        {"Q3_K_M", "attn_k", {"Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K", "Q3_K"}},
        {"Q4_K_M", "attn_v", {"Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q6_K"}},
        {"Q4_K_M", "ffn_down", {"Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q6_K"}},
        {"Q4_K_M", "attn_output", {"Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K", "Q4_K"}},
        {"Q4_0", "ffn_down", {"Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0", "Q4_0"}},
        {"Q5_K_S", "ffn_down", {"Q5_K", "Q5_K", "Q5_K", "Q5_K", "Q5_K", "Q5_K", "Q5_K", "Q5_K"}},
        {"Q6_K", "ffn_down", {"Q6_K", "Q6_K", "Q6_K", "Q6_K", "Q6_K", "Q6_K", "Q6_K", "Q6_K"}},
        {"Q8_0", "attn_v", {"Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0", "Q8_0"}},
    };
    static const struct { const char *scheme, *embedding, *output; } ends[] = {
        {"Q2_K", "Q2_K", "Q6_K"}, {"Q3_K_M", "Q3_K", "Q6_K"}, {"Q4_0", "Q4_0", "Q6_K"},
        {"Q4_K_M", "Q4_K", "Q6_K"}, {"Q5_K_S", "Q5_K", "Q6_K"}, {"Q6_K", "Q6_K", "Q6_K"},
        {"Q8_0", "Q8_0", "Q8_0"},
    };
    char name[64];
    (void)state;
    for (size_t i = 0; i < BG_COUNT(expected); i++)
        for (int l = 0; l < 8; l++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", l, expected[i].tensor);
            assert_int_equal(at(expected[i].scheme, &codelet, name, 256, 256),
                             bg_format_find(expected[i].formats[l])->format);
        }
    for (size_t i = 0; i < BG_COUNT(ends); i++) {
        assert_int_equal(at(ends[i].scheme, &codelet, "token_embd.weight", 256, 4096),
                         bg_format_find(ends[i].embedding)->format);
        assert_int_equal(at(ends[i].scheme, &codelet, "output.weight", 256, 4096),
                         bg_format_find(ends[i].output)->format);
    }
}

static void rules_by_layer_and_heads(void **state)
{
    const bg_scheme_model full = {.n_layer = 32, .n_head = 32, .n_head_kv = 32};
    const bg_scheme_model grouped = {.n_layer = 32, .n_head = 32, .n_head_kv = 8};
    (void)state;
    assert_int_equal(at("Q2_K", &full, "blk.9.attn_v.weight", 4096, 4096), BG_FORMAT_Q3_K);
    assert_int_equal(at("Q2_K", &grouped, "blk.9.attn_v.weight", 4096, 1024), BG_FORMAT_Q4_K);
    assert_int_equal(at("Q2_K_S", &full, "blk.9.attn_v.weight", 4096, 4096), BG_FORMAT_Q2_K);
    assert_int_equal(at("Q2_K_S", &grouped, "blk.3.ffn_down.weight", 4096, 4096), BG_FORMAT_Q4_K);
    assert_int_equal(at("Q2_K_S", &grouped, "blk.4.ffn_down.weight", 4096, 4096), BG_FORMAT_Q2_K);
    assert_int_equal(at("Q3_K_M", &full, "blk.1.ffn_down.weight", 4096, 4096), BG_FORMAT_Q5_K);
    assert_int_equal(at("Q3_K_M", &full, "blk.2.ffn_down.weight", 4096, 4096), BG_FORMAT_Q4_K);
    assert_int_equal(at("Q4_K_S", &full, "blk.3.attn_v.weight", 4096, 4096), BG_FORMAT_Q5_K);
    assert_int_equal(at("Q4_K_S", &full, "blk.4.attn_v.weight", 4096, 4096), BG_FORMAT_Q4_K);
    /* of 32 layers: the first and last four, and 6, 9, 12, ... between */
    for (uint32_t i = 0; i < 32; i++) {
        char name[64];
        bool more = i < 4 || i >= 28 || i % 3 == 0;
        snprintf(name, sizeof name, "blk.%u.ffn_down.weight", i);
        assert_int_equal(at("Q5_K_M", &full, name, 4096, 4096),
                         more ? BG_FORMAT_Q6_K : BG_FORMAT_Q5_K);
    }
    assert_int_equal(at("IQ4_XS", &grouped, "blk.9.attn_v.weight", 4096, 1024), BG_FORMAT_Q5_K);
    assert_int_equal(at("IQ4_NL", &grouped, "blk.0.ffn_down.weight", 4096, 4096), BG_FORMAT_Q5_K);
    assert_int_equal(at("IQ4_NL", &full, "blk.9.attn_v.weight", 4096, 4096), BG_FORMAT_IQ4_NL);
    assert_int_equal(at("TQ2_0", &full, "token_embd.weight", 4096, 32000), BG_FORMAT_Q4_K);
    assert_int_equal(at("TQ1_0", &full, "output.weight", 4096, 32000), BG_FORMAT_Q6_K);
}

static void ends_of_the_model(void **state)
{
    const bg_scheme_model tied = {.n_layer = 8, .n_head = 8, .n_head_kv = 2,
                                  .tied_embeddings = true};
    (void)state;
    assert_int_equal(at("Q4_K_M", &tied, "token_embd.weight", 256, 4096), BG_FORMAT_Q6_K);
    assert_int_equal(at("Q4_K_L", &tied, "token_embd.weight", 256, 4096), BG_FORMAT_Q8_0);
    assert_int_equal(at("Q4_K_L", &codelet, "output.weight", 256, 4096), BG_FORMAT_Q8_0);
    assert_int_equal(at("Q4_K_L", &codelet, "token_embd.weight", 256, 4096), BG_FORMAT_Q8_0);
    assert_int_equal(at("Q4_K_L", &codelet, "blk.0.attn_v.weight", 256, 64), BG_FORMAT_Q6_K);
    assert_int_equal(at("BF16", &codelet, "output.weight", 256, 4096), BG_FORMAT_BF16);
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.attn_norm.weight", 256, 1), BG_FORMAT_F32);
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.attn_q.bias", 256, 1), BG_FORMAT_F32);
    /* left as they are */
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.ffn_gate_inp.weight", 256, 8), BG_FORMAT_NONE);
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.attn_q_norm.weight", 64, 8), BG_FORMAT_NONE);
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.ssm_a", 64, 8), BG_FORMAT_NONE);
    /* unknown matrices get the base */
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.something.weight", 256, 8), BG_FORMAT_Q4_K);
    assert_int_equal(at("Q4_K_M", &codelet, "blk.0.ffn_down_exps.weight", 256, 8), BG_FORMAT_Q6_K);
}

static void odd_rows_fall_back(void **state)
{
    static const struct { const char *scheme; bg_format at_32, at_33; } cases[] = {
        {"Q2_K_S", BG_FORMAT_IQ4_NL, BG_FORMAT_F16}, {"Q3_K_S", BG_FORMAT_IQ4_NL, BG_FORMAT_F16},
        {"Q4_K_M", BG_FORMAT_Q5_0, BG_FORMAT_F16},   {"Q5_K_M", BG_FORMAT_Q5_1, BG_FORMAT_F16},
        {"Q6_K", BG_FORMAT_Q8_0, BG_FORMAT_F16},     {"IQ4_XS", BG_FORMAT_IQ4_NL, BG_FORMAT_F16},
        {"TQ1_0", BG_FORMAT_IQ4_NL, BG_FORMAT_F16},  {"TQ2_0", BG_FORMAT_IQ4_NL, BG_FORMAT_F16},
        {"Q4_0", BG_FORMAT_Q4_0, BG_FORMAT_F16},     {"F16", BG_FORMAT_F16, BG_FORMAT_F16},
        {"BF16", BG_FORMAT_BF16, BG_FORMAT_BF16},
    };
    const bg_scheme *q6_k = bg_scheme_find("Q6_K");
    const char *name = "blk.1.ffn_up.weight";
    uint64_t ne[4] = {96, 8, 1, 1};
    bool fell_back = false;
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        assert_int_equal(at(cases[i].scheme, &codelet, name, 96, 8), cases[i].at_32);
        assert_int_equal(at(cases[i].scheme, &codelet, name, 33, 8), cases[i].at_33);
    }
    bg_scheme_tensor_format(q6_k, &codelet, name, 2, ne, &fell_back);
    assert_true(fell_back);
    ne[0] = 256;
    bg_scheme_tensor_format(q6_k, &codelet, name, 2, ne, &fell_back);
    assert_false(fell_back);
}

static void names_and_lists(void **state)
{
    const bg_scheme *s, *list[32];
    size_t n;
    (void)state;
    assert_int_equal(bg_scheme_count(), 25);
    for (size_t i = 0; i < 25; i++) {
        s = bg_scheme_at(i);
        assert_ptr_equal(bg_scheme_find(bg_scheme_name(s)), s);
        assert_true(strlen(bg_scheme_policy(s)) < 100);
        if (i > 0) assert_true(bg_scheme_level(s) >= bg_scheme_level(bg_scheme_at(i - 1)));
    }
    assert_null(bg_scheme_at(25));
    assert_string_equal(bg_scheme_name(bg_scheme_find("q4_k_m")), "Q4_K_M");
    assert_string_equal(bg_scheme_name(bg_scheme_find("Q2_K_M")), "Q2_K");
    assert_string_equal(bg_scheme_name(bg_scheme_find("Q5_K")), "Q5_K_M");
    assert_string_equal(bg_scheme_suffix(bg_scheme_find("Q3_K_L")), "K_L");
    assert_int_equal(bg_scheme_file_type(bg_scheme_find("IQ4_XS")), 30);
    assert_int_equal(bg_scheme_file_type(bg_scheme_find("Q5_K_L")), 17);
    assert_int_equal(bg_scheme_base(bg_scheme_find("Q3_K_M")), BG_FORMAT_Q3_K);
    assert_null(bg_scheme_find("Q9_K"));
    assert_string_equal(bg_scheme_nearest("Q4KM"), "Q4_K_M");
    assert_fails(bg_scheme_parse("Q4_KM", &s, &err), BG_ERR_INPUT, "did you mean Q4_K_M?", &err);

    assert_ok(bg_scheme_parse_list("all", list, 32, &n, &err), &err);
    assert_int_equal(n, 25);
    assert_ok(bg_scheme_parse_list("levels", list, 32, &n, &err), &err);
    assert_int_equal(n, 11);
    assert_string_equal(bg_scheme_name(list[5]), "Q4_K_M");
    assert_ok(bg_scheme_parse_list("q6_k, Q4_K_M,levels,Q6_K", list, 32, &n, &err), &err);
    assert_int_equal(n, 11);
    assert_string_equal(bg_scheme_name(list[0]), "Q6_K");
    assert_fails(bg_scheme_parse_list("", list, 32, &n, &err), BG_ERR_INPUT, "empty", &err);
    assert_fails(bg_scheme_parse_list("Q4_K_M,zzz", list, 32, &n, &err), BG_ERR_INPUT, "zzz", &err);
    assert_fails(bg_scheme_parse_list("all", list, 3, &n, &err), BG_ERR_INPUT, "more than 3", &err);
}

/* With an importance matrix a scheme is a row of its own, of the same formats. */
static void variants(void **state)
{
    const bg_scheme *plain = bg_scheme_find("Q4_K_M"), *with = bg_scheme_find("q4_k_m+IMATRIX");
    const uint64_t ne[4] = {768, 256, 1, 1};
    (void)state;
    assert_non_null(with);
    assert_string_equal(bg_scheme_name(with), "Q4_K_M+imatrix");
    assert_ptr_equal(bg_scheme_with_importance(plain), with);
    assert_ptr_equal(bg_scheme_with_importance(with), with);
    assert_true(bg_scheme_wants_importance(with) && !bg_scheme_wants_importance(plain));
    assert_int_equal(bg_scheme_level(with), 4);
    for (uint32_t l = 0; l < 8; l++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.ffn_down.weight", l);
        assert_int_equal(bg_scheme_tensor_format(with, &codelet, name, 2, ne, NULL),
                         bg_scheme_tensor_format(plain, &codelet, name, 2, ne, NULL));
    }
    assert_null(bg_scheme_find("Q8_0+imatrix"));
    assert_null(bg_scheme_find("F16+imatrix"));
    assert_null(bg_scheme_find("+imatrix"));
    assert_null(bg_scheme_find("Q4_K_M+imatrix+imatrix"));
    assert_null(bg_scheme_find("Q4_K_M+"));
    assert_ok(bg_scheme_check_importance(plain, false, &err), &err);
    assert_ok(bg_scheme_check_importance(with, true, &err), &err);
    assert_fails(bg_scheme_check_importance(with, false, &err), BG_ERR_INPUT, "give --imatrix",
                 &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_llama_cpp),
        cmocka_unit_test(formats_are_those_of_llama_cpp),
        cmocka_unit_test(rules_by_layer_and_heads), cmocka_unit_test(ends_of_the_model),
        cmocka_unit_test(odd_rows_fall_back),       cmocka_unit_test(names_and_lists),
        cmocka_unit_test(variants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
