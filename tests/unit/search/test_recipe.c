/* Recipes: as text and back, what is refused, sizes, and what applying one gives. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/search.h"
#include "unit/model/tiny.h"

#include <stdlib.h>
#include <unistd.h>

static bg_error err;
static bg_text file;
static bg_model *model;
static const bg_gguf *g;
static char path[64], other[64];

static int setup(void **state)
{
    tiny t = tiny_default;
    (void)state;
    t.n_embd = 256;
    t.n_ff = 768;
    t.n_layer = 3;
    file = tiny_file(&t);
    snprintf(path, sizeof path, "/tmp/bg-recipe-%d", (int)getpid());
    snprintf(other, sizeof other, "/tmp/bg-recipe-%d.2", (int)getpid());
    model = tiny_open(&file);
    g = bg_model_gguf(model);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bg_model_close(&model);
    bg_text_fini(&file);
    unlink(path);
    unlink(other);
    return 0;
}

static size_t tensor(const bg_gguf *of, const char *name)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(of); i++)
        if (strcmp(bg_gguf_tensor_at(of, i)->name, name) == 0) return i;
    fail_msg("no %s", name);
    return 0;
}

static void keep(bg_kept *k, uint32_t n, uint32_t begin, uint32_t end)
{
    uint8_t *flags = bg_alloc(n, 1);
    for (uint32_t i = 0; i < n; i++) flags[i] = i < begin || i >= end;
    assert_ok(bg_kept_set(k, flags, n, &err), &err);
    bg_free(flags);
}

/* Mixed formats; layer 0 loses channels and a head, layer 1 goes. */
static bg_recipe *pruned(void)
{
    static const bg_format formats[] = {BG_FORMAT_Q2_K, BG_FORMAT_Q4_0, BG_FORMAT_Q8_0,
                                        BG_FORMAT_TQ1_0};
    bg_recipe *r;
    assert_ok(bg_recipe_new(&r, g, &err), &err);
    assert_non_null(r->layers);
    r->layers[1].dropped = true;
    keep(&r->layers[0].ff, 768, 100, 356);
    keep(&r->layers[0].kv_heads, 2, 0, 1);
    for (size_t i = 0, n = 0; i < r->n_tensors; i++)
        for (size_t j = 0; j < 4; j++, n++)
            if (bg_recipe_fits(r, g, i, formats[n % 4])) r->formats[i] = formats[n % 4];
    return r;
}

static void write_text(const char *text)
{
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
}

static void test_round_trip(void **state)
{
    bg_recipe *r = pruned(), *back;
    char *a, *b;
    size_t na, nb;
    (void)state;
    assert_ok(bg_recipe_write(r, g, path, "of a test\nin two lines", &err), &err);
    assert_ok(bg_recipe_read(&back, g, path, &err), &err);
    assert_true(bg_recipe_pruned(back));
    assert_ok(bg_recipe_write(back, g, other, "of a test\nin two lines", &err), &err);
    assert_ok(bg_file_read(&a, &na, path, 1 << 20, &err), &err);
    assert_ok(bg_file_read(&b, &nb, other, 1 << 20, &err), &err);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    assert_non_null(strstr(a, "# of a test\n# in two lines\ntensor,format,kept\nblk.1,drop,\n"));
    assert_non_null(strstr(a, "0-99;356-767"));
    bg_free(a);
    bg_free(b);
    bg_recipe_free(&r);
    bg_recipe_free(&back);
}

static void test_errors(void **state)
{
#define HEAD "tensor,format,kept\n"
    static const struct { const char *text, *word; } cases[] = {
        {"", "empty"},
        {"name,type\n", "line 1"},
        {HEAD "nothing.weight,Q4_0,\n", "another model"},
        {HEAD "# fine\nblk.0.attn_q.weight,Q9_0,\n", "line 3"},
        {HEAD "blk.0.attn_q.weight,Q8_K,\n", "no format of weights"},
        {HEAD "blk.0.attn_norm.weight,Q8_0,\n", "vector"},
        {HEAD "blk.0.attn_q.weight,Q8_0,\nblk.0.attn_q.weight,Q8_0,\n", "line 2 already"},
        {HEAD "blk.0.attn_q.weight\n", "no format"},
        {HEAD "blk.0.attn_q.weight,Q8_0,,x\n", "three columns"},
        {HEAD ",Q8_0,\n", "another model"},
        {HEAD "blk.0.attn_q.weight,Q8_0,\"0-1\n", "no list of ranges"},
        {"tensor;format;kept\n", "line 1"},
        {HEAD "output.weight,Q8_0,0-15\n", "nothing of this tensor"},
        {HEAD "blk.0.ffn_up.weight,Q8_0,0-800\n", "before 768"},
        {HEAD "blk.0.ffn_up.weight,Q8_0,9-8\n", "go up"},
        {HEAD "blk.0.ffn_up.weight,Q8_0,9-\n", "without an end"},
        {HEAD "blk.0.ffn_up.weight,Q8_0,x\n", "no list of ranges"},
        {HEAD "blk.0.ffn_up.weight,Q8_0,0-511\n", "has no line for"},
        {HEAD "blk.0.ffn_up.weight,Q8_0,0-511\nblk.0.ffn_gate.weight,Q8_0,0-767\n", "line 2"},
        {HEAD "blk.0.attn_k.weight,Q8_0,0-17\n", "kept whole"},
        {HEAD "blk.0.attn_output.weight,Q4_K,\n", "do not fit Q4_K"},
        {HEAD "blk.7,drop,\n", "no layer"},
        {HEAD "blk.0,drop,\nblk.1,drop,\nblk.2,drop,\n", "every layer"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_recipe *r;
        write_text(cases[i].text);
        assert_fails(bg_recipe_read(&r, g, path, &err), BG_ERR_INPUT, cases[i].word, &err);
        assert_null(r);
    }
}

/* As spreadsheets and editors of several systems write it. */
static void test_spelling(void **state)
{
    static const char *const texts[] = {
        HEAD "blk.0.attn_q.weight,Q8_0,\nblk.2,drop,\n",
        HEAD "blk.0.attn_q.weight,q8_0\nblk.2,DROP",
        "\xef\xbb\xbf" "# made\r\ntensor,format,kept\r\nblk.0.attn_q.weight,Q8_0,\r\nblk.2,drop,\r\n",
        "\"# made, by\",,\n\"tensor\",\"format\",\"kept\"\n\n \"blk.0.attn_q.weight\", \"Q8_0\" ,\n,,\n"
        "blk.2 ,\tdrop , ,,\n",
    };
    size_t matrices = 0;
    (void)state;
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        matrices += t->n_dims > 1 && strncmp(t->name, "blk.2.", 6) != 0;
    }
    for (size_t i = 0; i < BG_COUNT(texts); i++) {
        bg_recipe *r;
        write_text(texts[i]);
        assert_ok(bg_recipe_read(&r, g, path, &err), &err);
        assert_int_equal(r->formats[tensor(g, "blk.0.attn_q.weight")], BG_FORMAT_Q8_0);
        assert_true(r->layers[2].dropped);
        assert_int_equal(r->n_unnamed, matrices - 1);
        bg_recipe_free(&r);
    }
}

/* The plan says what the image takes, and without pruning a recipe of a scheme gives the file that
 * the scheme gives. */
static void test_same_as_scheme(void **state)
{
    const bg_scheme *scheme = bg_scheme_find("Q4_K_M");
    char out[80];
    bg_quantize_plan plan;
    bg_recipe *r;
    bg_image *image;
    char *bytes;
    size_t n, differ = 0;
    (void)state;
    snprintf(out, sizeof out, "%s.gguf", path);
    assert_ok(bg_file_write(path, file.data, file.length, &err), &err);
    assert_ok(bg_quantize_file(path, out, scheme, NULL, NULL, NULL, NULL, &err), &err);
    assert_ok(bg_recipe_of_scheme(&r, g, scheme, &err), &err);
    assert_ok(bg_recipe_plan(r, g, NULL, &plan, &err), &err);
    assert_ok(bg_recipe_apply(&image, r, g, NULL, NULL, NULL, NULL, &err), &err);
    assert_ok(bg_file_read(&bytes, &n, out, 1 << 28, &err), &err);
    assert_int_equal(n, plan.file_bytes);
    assert_int_equal(n, image->bytes);
    for (size_t i = 0; i < n; i++) differ += (uint8_t)bytes[i] != image->data[i];
    assert_int_equal(differ, 0);
    unlink(out);
    bg_free(bytes);
    bg_image_free(&image);
    bg_recipe_free(&r);
}

/* Of a recipe that is no scheme's, the file says what it mostly is. */
static void test_file_type(void **state)
{
    static const struct { const char *scheme, *others; uint64_t type; } cases[] = {
        {"Q4_K_M", NULL, 15}, {"Q5_K_L", NULL, 17}, {"F16", NULL, 1},
        {"Q8_0", "attn", 7},     /* some of it in Q4_0 */
        {"Q8_0", "blk", 2},      /* most of it */
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_recipe *r;
        bg_image *image;
        uint64_t type;
        assert_ok(bg_recipe_of_scheme(&r, g, bg_scheme_find(cases[i].scheme), &err), &err);
        for (size_t t = 0; cases[i].others && t < r->n_tensors; t++)
            if (strstr(bg_gguf_tensor_at(g, t)->name, cases[i].others) &&
                bg_recipe_fits(r, g, t, BG_FORMAT_Q4_0))
                r->formats[t] = BG_FORMAT_Q4_0;
        assert_ok(bg_recipe_apply(&image, r, g, NULL, NULL, NULL, NULL, &err), &err);
        assert_true(bg_gguf_get_u64(image->g, "general.file_type", &type));
        assert_int_equal(type, cases[i].type);
        bg_image_free(&image);
        bg_recipe_free(&r);
    }
}

static void decode(const bg_gguf *of, const char *name, size_t row, float *out)
{
    const bg_tensor *t = bg_gguf_tensor_at(of, tensor(of, name));
    const bg_format_info *f = bg_format_get((int)t->format);
    bg_format_decode(f, (const uint8_t *)t->data + row * bg_format_row_bytes(f, t->ne[0]), out,
                     t->ne[0]);
}

/* What is kept of a pruned tensor are the source's numbers. */
static void test_pruned(void **state)
{
    bg_recipe *r = pruned();
    bg_quantize_plan plan;
    bg_image *image;
    float a[768], b[768];
    bg_gguf_string architecture;
    uint64_t layers, width;
    int64_t n_ff;
    (void)state;
    r->formats[tensor(g, "blk.0.ffn_up.weight")] = BG_FORMAT_NONE;
    r->formats[tensor(g, "blk.0.ffn_down.weight")] = BG_FORMAT_NONE;
    r->formats[tensor(g, "blk.2.attn_q.weight")] = BG_FORMAT_NONE;
    assert_ok(bg_recipe_plan(r, g, NULL, &plan, &err), &err);
    assert_ok(bg_recipe_apply(&image, r, g, NULL, NULL, NULL, NULL, &err), &err);
    assert_int_equal(plan.file_bytes, image->bytes);
    /* Layers of different sizes go by this name, with all of their keys. */
    assert_true(bg_gguf_get_string(image->g, "general.architecture", &architecture));
    assert_true(architecture.length == 4 && memcmp(architecture.data, "deci", 4) == 0);
    assert_null(bg_gguf_find(image->g, "llama.block_count"));
    assert_true(bg_gguf_get_u64(image->g, "deci.block_count", &layers));
    assert_int_equal(layers, 2);
    assert_true(bg_gguf_get_u64(image->g, "deci.embedding_length", &width));
    assert_int_equal(width, 256);
    assert_true(bg_gguf_element_i64(bg_gguf_find(image->g, "deci.feed_forward_length"), 0, &n_ff));
    assert_int_equal(n_ff, 512);
    assert_null(bg_gguf_tensor_find(image->g, "blk.2.attn_q.weight"));
    decode(g, "blk.2.attn_q.weight", 7, a);
    decode(image->g, "blk.1.attn_q.weight", 7, b);
    assert_memory_equal(a, b, 256 * sizeof *a);
    decode(g, "blk.0.ffn_up.weight", 400, a);
    decode(image->g, "blk.0.ffn_up.weight", 400 - 256, b);
    assert_memory_equal(a, b, 256 * sizeof *a);
    decode(g, "blk.0.ffn_down.weight", 5, a);
    decode(image->g, "blk.0.ffn_down.weight", 5, b);
    assert_memory_equal(a, b, 100 * sizeof *a);
    assert_memory_equal(a + 356, b + 100, (768 - 356) * sizeof *a);
    bg_image_free(&image);
    bg_recipe_free(&r);
    /* Without one of its layers it is what it was. */
    assert_ok(bg_recipe_new(&r, g, &err), &err);
    r->layers[1].dropped = true;
    assert_ok(bg_recipe_apply(&image, r, g, NULL, NULL, NULL, NULL, &err), &err);
    assert_true(bg_gguf_get_u64(image->g, "llama.block_count", &layers));
    assert_int_equal(layers, 2);
    bg_image_free(&image);
    bg_recipe_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_spelling), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_same_as_scheme), cmocka_unit_test(test_file_type),
        cmocka_unit_test(test_pruned),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
