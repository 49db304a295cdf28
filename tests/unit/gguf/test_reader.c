#include "build.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>

static bg_error err;

/* Opens what was built, exactly as long as it is, so that a read past the end is seen. */
static bg_status open_text(bg_gguf **g, bg_text *t, void **memory)
{
    assert_false(t->failed);
    *memory = malloc(t->length ? t->length : 1);
    assert_non_null(*memory);
    if (t->length) memcpy(*memory, t->data, t->length);
    return bg_gguf_open_memory(g, *memory, t->length, "test.gguf", &err);
}

static void must_fail(bg_text *t, bg_status status, const char *word)
{
    bg_gguf *g;
    void *memory;
    assert_fails(open_text(&g, t, &memory), status, word, &err);
    assert_null(g);
    free(memory);
    bg_text_fini(t);
}

static void put_every_type(bg_text *t, uint32_t version)
{
    put_header(t, version, 0, 14);
    put_key(t, "u8", BG_GGUF_U8), put(t, 200, 1);
    put_key(t, "i8", BG_GGUF_I8), put(t, (uint8_t)-3, 1);
    put_key(t, "u16", BG_GGUF_U16), put(t, 60000, 2);
    put_key(t, "i16", BG_GGUF_I16), put(t, (uint16_t)-300, 2);
    put_u32(t, "u32", 4000000000u);
    put_key(t, "i32", BG_GGUF_I32), put(t, (uint32_t)-70000, 4);
    put_key(t, "f32", BG_GGUF_F32), put(t, 0x3fc00000, 4); /* 1.5 */
    put_key(t, "bool", BG_GGUF_BOOL), put(t, 1, 1);
    put_key(t, "string", BG_GGUF_STRING), put_bytes(t, "a\0b", 3);
    put_key(t, "u64", BG_GGUF_U64), put(t, UINT64_MAX, 8);
    put_key(t, "i64", BG_GGUF_I64), put(t, (uint64_t)INT64_MIN, 8);
    put_key(t, "f64", BG_GGUF_F64), put(t, 0x3ff8000000000000, 8);
    put_key(t, "words", BG_GGUF_ARRAY), put(t, BG_GGUF_STRING, 4), put(t, 3, 8);
    put_string(t, "one"), put_string(t, ""), put_string(t, "three");
    put_key(t, "numbers", BG_GGUF_ARRAY), put(t, BG_GGUF_I16, 4), put(t, 2, 8);
    put(t, 7, 2), put(t, (uint16_t)-7, 2);
}

static void typed_look_ups(const bg_gguf *g)
{
    uint64_t u = 0;
    double d = 0;
    bool b = false;
    bg_gguf_string s = {0};
    assert_true(bg_gguf_get_u64(g, "u8", &u) && u == 200);
    assert_true(bg_gguf_get_u64(g, "u16", &u) && u == 60000);
    assert_true(bg_gguf_get_u64(g, "u32", &u) && u == 4000000000u);
    assert_true(bg_gguf_get_u64(g, "u64", &u) && u == UINT64_MAX);
    u = 5;
    assert_false(bg_gguf_get_u64(g, "i8", &u)); /* negative */
    assert_false(bg_gguf_get_u64(g, "f32", &u));
    assert_false(bg_gguf_get_u64(g, "bool", &u));
    assert_false(bg_gguf_get_u64(g, "numbers", &u));
    assert_false(bg_gguf_get_u64(g, "absent", &u));
    assert_int_equal(u, 5);
    assert_true(bg_gguf_get_f64(g, "f32", &d) && d == 1.5);
    assert_true(bg_gguf_get_f64(g, "f64", &d) && d == 1.5);
    assert_true(bg_gguf_get_f64(g, "i16", &d) && d == -300);
    assert_true(bg_gguf_get_bool(g, "bool", &b) && b);
    assert_false(bg_gguf_get_bool(g, "u8", &b));
    assert_true(bg_gguf_get_string(g, "string", &s) && s.length == 3);
    assert_memory_equal(s.data, "a\0b", 3);
    assert_false(bg_gguf_get_string(g, "words", &s));
}

static void elements_and_strings(const bg_gguf *g)
{
    int64_t i = 0;
    double d = 0;
    bg_gguf_string s = {0};
    size_t offset = 0;
    assert_true(bg_gguf_element_i64(bg_gguf_find(g, "i32"), 0, &i) && i == -70000);
    assert_true(bg_gguf_element_i64(bg_gguf_find(g, "i64"), 0, &i) && i == INT64_MIN);
    assert_false(bg_gguf_element_i64(bg_gguf_find(g, "u64"), 0, &i));
    assert_true(bg_gguf_element_i64(bg_gguf_find(g, "numbers"), 1, &i) && i == -7);
    assert_true(bg_gguf_element_f64(bg_gguf_find(g, "numbers"), 0, &d) && d == 7);
    assert_false(bg_gguf_element_f64(bg_gguf_find(g, "numbers"), 2, &d));
    assert_false(bg_gguf_element_f64(bg_gguf_find(g, "words"), 0, &d));

    assert_true(bg_gguf_next_string(bg_gguf_find(g, "words"), &offset, &s));
    assert_memory_equal(s.data, "one", 3);
    assert_true(bg_gguf_next_string(bg_gguf_find(g, "words"), &offset, &s));
    assert_int_equal(s.length, 0);
    assert_true(bg_gguf_next_string(bg_gguf_find(g, "words"), &offset, &s));
    assert_memory_equal(s.data, "three", 5);
    assert_false(bg_gguf_next_string(bg_gguf_find(g, "words"), &offset, &s));
    offset = 0;
    assert_false(bg_gguf_next_string(bg_gguf_find(g, "numbers"), &offset, &s));
}

static void every_value_type(void **state)
{
    bg_text t = {0};
    bg_gguf *g;
    void *memory;
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        put_every_type(&t, version);
        assert_ok(open_text(&g, &t, &memory), &err);
        assert_int_equal(bg_gguf_version(g), version);
        assert_int_equal(bg_gguf_value_count(g), 14);
        assert_string_equal(bg_gguf_value_at(g, 13)->key, "numbers");
        assert_null(bg_gguf_value_at(g, 14));
        assert_null(bg_gguf_find(g, "absent"));
        typed_look_ups(g);
        elements_and_strings(g);
        bg_gguf_close(&g);
        assert_null(g);
        free(memory);
        bg_text_fini(&t);
    }
}

/* Two tensors with an alignment of 64; truncated at every length it must fail, whole it opens. */
static void tensors_and_every_truncation(void **state)
{
    static const uint64_t a[] = {32, 3}, b[] = {5};
    bg_text t = {0};
    bg_gguf *g;
    const bg_tensor *x;
    void *memory;
    (void)state;
    put_header(&t, 3, 2, 2);
    put_u32(&t, "general.alignment", 64);
    put_key(&t, "words", BG_GGUF_ARRAY), put(&t, BG_GGUF_STRING, 4), put(&t, 2, 8);
    put_string(&t, "one"), put_string(&t, "two");
    put_tensor(&t, "a.weight", 2, a, BG_FORMAT_Q4_0, 0);
    put_tensor(&t, "b.weight", 1, b, BG_FORMAT_F32, 64);
    put_padding(&t, 64);
    for (int i = 0; i < 64 + 20; i++) put(&t, (uint64_t)i, 1);
    assert_ok(open_text(&g, &t, &memory), &err);
    assert_int_equal(bg_gguf_alignment(g), 64);
    assert_int_equal(bg_gguf_tensor_count(g), 2);
    x = bg_gguf_tensor_find(g, "a.weight");
    assert_non_null(x);
    assert_int_equal(x->format, BG_FORMAT_Q4_0);
    assert_int_equal(x->bytes, 3 * 18);
    assert_int_equal(x->ne[0], 32);
    assert_int_equal(x->ne[1], 3);
    assert_int_equal(x->ne[3], 1);
    assert_int_equal(((const uint8_t *)x->data)[0], 0);
    x = bg_gguf_tensor_at(g, 1);
    assert_string_equal(x->name, "b.weight");
    assert_int_equal(((const uint8_t *)x->data)[0], 64);
    assert_null(bg_gguf_tensor_at(g, 2));
    assert_null(bg_gguf_tensor_find(g, "c"));
    bg_gguf_close(&g);
    free(memory);
    for (size_t n = 0; n < t.length; n++) {
        bg_text part = {.data = t.data, .length = n};
        assert_int_equal(open_text(&g, &part, &memory), BG_ERR_INPUT);
        assert_null(g);
        free(memory);
    }
    t.length -= 1;
    must_fail(&t, BG_ERR_INPUT, "tensor 'b.weight' needs the file up to byte 340, but it ends at "
              "byte 339: the download is incomplete");
}

static void bad_headers(void **state)
{
    bg_text t = {0};
    (void)state;
    must_fail(&t, BG_ERR_INPUT, "empty");
    bg_text_puts(&t, "GGML and more than enough bytes for it");
    must_fail(&t, BG_ERR_INPUT, "not a GGUF file");
    put_header(&t, 1, 0, 0);
    must_fail(&t, BG_ERR_UNSUPPORTED, "version 1");
    put_header(&t, 4, 0, 0);
    must_fail(&t, BG_ERR_UNSUPPORTED, "version 4");
    put_header(&t, 0x03000000, 0, 0);
    must_fail(&t, BG_ERR_UNSUPPORTED, "big-endian");
    put_header(&t, 3, 0, UINT64_MAX);
    must_fail(&t, BG_ERR_INPUT, "more than its 24 bytes");
    put_header(&t, 3, UINT64_MAX / 2, 0);
    must_fail(&t, BG_ERR_INPUT, "more than its 24 bytes");
}

static void bad_values(void **state)
{
    char long_name[70000];
    bg_text t = {0};
    (void)state;
    put_header(&t, 3, 0, 1), put_key(&t, "k", 13), put(&t, 0, 64);
    must_fail(&t, BG_ERR_INPUT, "unknown type 13");
    put_header(&t, 3, 0, 1), put_key(&t, "k", BG_GGUF_ARRAY), put(&t, 99, 4), put(&t, 0, 64);
    must_fail(&t, BG_ERR_INPUT, "array of unknown type 99");
    put_header(&t, 3, 0, 1), put_key(&t, "k", BG_GGUF_ARRAY), put(&t, BG_GGUF_ARRAY, 4);
    put(&t, 1, 8), put(&t, BG_GGUF_U8, 4), put(&t, 0, 8);
    must_fail(&t, BG_ERR_UNSUPPORTED, "array of arrays");
    put_header(&t, 3, 0, 1), put_key(&t, "k", BG_GGUF_ARRAY), put(&t, BG_GGUF_U64, 4);
    put(&t, UINT64_MAX / 4, 8), put(&t, 0, 8);
    must_fail(&t, BG_ERR_INPUT, "truncated");
    put_header(&t, 3, 0, 1), put_key(&t, "k", BG_GGUF_ARRAY), put(&t, BG_GGUF_STRING, 4);
    put(&t, UINT64_MAX, 8), put(&t, 0, 8);
    must_fail(&t, BG_ERR_INPUT, "more than the rest of the file can hold");
    put_header(&t, 3, 0, 1), put_key(&t, "k", BG_GGUF_STRING), put(&t, UINT64_MAX - 3, 8);
    must_fail(&t, BG_ERR_INPUT, "metadata key 'k' needs 18446744073709551612 more bytes");
    put_header(&t, 3, 0, 1), put(&t, 0, 8), put(&t, BG_GGUF_U8, 4), put(&t, 0, 64);
    must_fail(&t, BG_ERR_INPUT, "name of 0 bytes");
    put_header(&t, 3, 0, 1), put_bytes(&t, "a\0b", 3), put(&t, 0, 64);
    must_fail(&t, BG_ERR_INPUT, "control characters");
    memset(long_name, 'x', sizeof long_name);
    put_header(&t, 3, 0, 1), put_bytes(&t, long_name, sizeof long_name), put(&t, 0, 64);
    must_fail(&t, BG_ERR_INPUT, "name of 70000 bytes");
    put_header(&t, 3, 0, 3), put_u32(&t, "same", 1), put_u32(&t, "other", 1);
    put_u32(&t, "same", 1);
    must_fail(&t, BG_ERR_INPUT, "'same' is there twice");
    put_header(&t, 3, 0, 1), put_u32(&t, "general.alignment", 48);
    must_fail(&t, BG_ERR_INPUT, "power of two");
    put_header(&t, 3, 0, 1), put_u32(&t, "general.alignment", 0);
    must_fail(&t, BG_ERR_INPUT, "power of two");
    put_header(&t, 3, 0, 1), put_key(&t, "general.alignment", BG_GGUF_STRING), put_string(&t, "a");
    must_fail(&t, BG_ERR_INPUT, "power of two");
}

static void bad_tensors(void **state)
{
    static const uint64_t one[] = {32}, none[] = {32, 0}, odd[] = {33, 2},
                          huge[] = {1ull << 40, 1ull << 40, 1, 1}, big[] = {1ull << 62, 2};
    static const struct {
        const char *name;
        uint32_t n_dims;
        const uint64_t *ne;
        uint32_t type;
        uint64_t offset;
        bg_status status;
        const char *word;
    } cases[] = {
        {"x", 0, one, 0, 0, BG_ERR_INPUT, "0 dimensions"},
        {"x", 2, none, 0, 0, BG_ERR_INPUT, "length 0"},
        {"x", 2, odd, BG_FORMAT_Q4_0, 0, BG_ERR_INPUT, "multiple of its type's block"},
        {"x", 4, huge, 0, 0, BG_ERR_INPUT, "multiply to more"},
        {"x", 2, big, 24, 0, BG_ERR_INPUT, "multiply to more"},
        {"x", 1, one, 99, 0, BG_ERR_INPUT, "unknown type 99"},
        {"x", 1, one, 4, 0, BG_ERR_UNSUPPORTED, "Q4_2; its type is no longer"},
        {"x", 1, one, 0, 8, BG_ERR_INPUT, "no multiple of 32"},
        {"x", 1, one, 0, 32, BG_ERR_INPUT, "download is incomplete"},
        {"x", 1, one, 0, UINT64_MAX - 31, BG_ERR_INPUT, "download is incomplete"},
        {"\033[2J", 1, one, 0, 0, BG_ERR_INPUT, "control characters"},
        {"", 1, one, 0, 0, BG_ERR_INPUT, "name of 0 bytes"},
    };
    bg_text t = {0};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        put_header(&t, 3, 1, 0);
        put_tensor(&t, cases[i].name, cases[i].n_dims, cases[i].ne, cases[i].type, cases[i].offset);
        put_padding(&t, 32);
        for (int n = 0; n < 128; n++) put(&t, 0, 1);
        must_fail(&t, cases[i].status, cases[i].word);
    }
    put_header(&t, 3, 1, 0), put_string(&t, "x"), put(&t, 5, 4);
    for (int n = 0; n < 128; n++) put(&t, 0, 1);
    must_fail(&t, BG_ERR_INPUT, "5 dimensions");
    put_header(&t, 3, 2, 0);
    put_tensor(&t, "x", 1, one, 0, 0), put_tensor(&t, "x", 1, one, 0, 0);
    put_padding(&t, 32);
    for (int n = 0; n < 128; n++) put(&t, 0, 1);
    must_fail(&t, BG_ERR_INPUT, "tensor 'x' is there twice");
}

/* Types of other programs are no error here: their extent is known, their format is none. */
static void foreign_types(void **state)
{
    static const uint64_t ne[] = {256, 2};
    bg_text t = {0};
    bg_gguf *g;
    void *memory;
    (void)state;
    put_header(&t, 3, 1, 0);
    put_tensor(&t, "x", 2, ne, 16, 0);
    put_padding(&t, 32);
    for (int i = 0; i < 2 * 66; i++) put(&t, 0, 1);
    assert_ok(open_text(&g, &t, &memory), &err);
    assert_int_equal(bg_gguf_tensor_at(g, 0)->format, BG_FORMAT_NONE);
    assert_int_equal(bg_gguf_tensor_at(g, 0)->bytes, 2 * 66);
    assert_string_equal(bg_gguf_tensor_type_name(16), "IQ2_XXS");
    assert_string_equal(bg_gguf_tensor_type_name(12), "Q4_K");
    assert_string_equal(bg_gguf_tensor_type_name(1000), "unknown");
    bg_gguf_close(&g);
    free(memory);
    bg_text_fini(&t);
}

static void split_files(void **state)
{
    bg_text t = {0};
    bg_gguf *g;
    (void)state;
    put_header(&t, 3, 0, 1), put_key(&t, "split.count", BG_GGUF_U16), put(&t, 3, 2);
    must_fail(&t, BG_ERR_UNSUPPORTED, "one of the 3 files");
    put_header(&t, 3, 0, 0);
    assert_fails(bg_gguf_open_memory(&g, t.data, t.length, "m-00002-of-00003.gguf", &err),
                 BG_ERR_UNSUPPORTED, "llama-gguf-split --merge", &err);
    assert_ok(bg_gguf_open_memory(&g, t.data, t.length, "m-00001-of-00001.gguf", &err), &err);
    bg_gguf_close(&g);
    bg_text_fini(&t);
}

/* The figures are those that the gguf package of PyPI gives for the embedded model. */
static void embedded_model(void **state)
{
    bg_gguf *g;
    uint64_t n = 0;
    bg_gguf_string s;
    size_t weights = 0;
    (void)state;
    assert_ok(bg_gguf_open(&g, BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf", &err), &err);
    assert_int_equal(bg_gguf_version(g), 3);
    assert_int_equal(bg_gguf_file_bytes(g), 16361248);
    assert_true(bg_gguf_get_string(g, "general.architecture", &s));
    assert_memory_equal(s.data, "llama", 5);
    assert_true(bg_gguf_get_u64(g, "llama.block_count", &n) && n == 8);
    assert_int_equal(bg_gguf_value_count(g), 26);
    assert_int_equal(bg_gguf_tensor_count(g), 75);
    assert_int_equal(bg_gguf_find(g, "tokenizer.ggml.tokens")->count, 4096);
    assert_int_equal(bg_gguf_tensor_find(g, "blk.7.ffn_down.weight")->ne[0], 768);
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        weights += t->ne[0] * t->ne[1];
        assert_ptr_equal(bg_gguf_tensor_find(g, t->name), t);
    }
    assert_int_equal(weights, 8130816);
    bg_gguf_close(&g);
    assert_fails(bg_gguf_open(&g, "/nonexistent.gguf", &err), BG_ERR_IO, "check the path", &err);
    assert_fails(bg_gguf_open(&g, BG_SOURCE "/LICENSE", &err), BG_ERR_INPUT, "not a GGUF", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_type), cmocka_unit_test(tensors_and_every_truncation),
        cmocka_unit_test(bad_headers),      cmocka_unit_test(bad_values),
        cmocka_unit_test(bad_tensors),      cmocka_unit_test(foreign_types),
        cmocka_unit_test(split_files),      cmocka_unit_test(embedded_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
