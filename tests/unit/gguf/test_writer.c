#include "build.h"

#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

static bg_error err;
static char dir[64], path[96];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/bgggufXXXXXX");
    if (!mkdtemp(dir)) return 1;
    snprintf(path, sizeof path, "%s/out.gguf", dir);
    return 0;
}

/* rmdir fails when a temporary was left. */
static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static const bg_tensor vector = {.name = "v", .type_id = BG_FORMAT_F32, .n_dims = 1,
                                 .ne = {3, 1, 1, 1}};
static const bg_tensor matrix = {.name = "m", .type_id = BG_FORMAT_Q4_0, .n_dims = 2,
                                 .ne = {32, 2, 1, 1}};

static bg_gguf_writer *start(void)
{
    bg_gguf_writer *w;
    assert_ok(bg_gguf_writer_open(&w, path, &err), &err);
    assert_ok(bg_gguf_writer_u32(w, "general.alignment", 64, &err), &err);
    assert_ok(bg_gguf_writer_string(w, "s", "text", &err), &err);
    assert_ok(bg_gguf_writer_tensor(w, &vector, &err), &err);
    assert_ok(bg_gguf_writer_tensor(w, &matrix, &err), &err);
    return w;
}

/* Appended in pieces, or each piece at its place in another order. */
static void write_data(bg_gguf_writer *w, const float *values, const uint8_t *blocks, bool placed)
{
    if (placed) {
        assert_ok(bg_gguf_writer_start(w, &err), &err);
        assert_ok(bg_gguf_writer_place(w, 1, 18, blocks, 18, &err), &err);
        assert_ok(bg_gguf_writer_place(w, 0, 4, values + 1, 8, &err), &err);
        assert_ok(bg_gguf_writer_place(w, 0, 0, values, 4, &err), &err);
        assert_fails(bg_gguf_writer_place(w, 1, 35, blocks, 2, &err), BG_ERR_INPUT, "more", &err);
        assert_fails(bg_gguf_writer_place(w, 2, 0, blocks, 1, &err), BG_ERR_INPUT, "more", &err);
        assert_ok(bg_gguf_writer_place(w, 1, 0, blocks, 18, &err), &err);
    } else {
        assert_ok(bg_gguf_writer_data(w, values, 4, &err), &err);
        assert_ok(bg_gguf_writer_data(w, values + 1, 8, &err), &err);
        assert_ok(bg_gguf_writer_data(w, blocks, 36, &err), &err);
    }
}

/* The bytes of a whole file, put together here by hand. */
static void bytes_are_as_specified(void **state)
{
    static const uint64_t v_ne[] = {3}, m_ne[] = {32, 2};
    const float values[3] = {1, 2, 3};
    uint8_t blocks[36];
    bg_text expected = {0};
    bg_map map;
    (void)state;
    memset(blocks, 7, sizeof blocks);
    put_header(&expected, 3, 2, 2);
    put_u32(&expected, "general.alignment", 64);
    put_key(&expected, "s", BG_GGUF_STRING), put_string(&expected, "text");
    put_tensor(&expected, "v", 1, v_ne, 0, 0);
    put_tensor(&expected, "m", 2, m_ne, 2, 64);
    put_padding(&expected, 64);
    bg_text_append(&expected, (const char *)values, sizeof values);
    put_padding(&expected, 64);
    bg_text_append(&expected, (const char *)blocks, sizeof blocks);
    put_padding(&expected, 64);

    for (int placed = 0; placed < 2; placed++) {
        bg_gguf_writer *w = start();
        assert_int_equal(bg_gguf_writer_file_bytes(w), expected.length);
        write_data(w, values, blocks, placed);
        assert_false(bg_file_exists(path));
        assert_ok(bg_gguf_writer_finish(&w, &err), &err);
        assert_null(w);
        assert_ok(bg_map_open(&map, path, &err), &err);
        assert_int_equal(map.size, expected.length);
        assert_memory_equal(map.data, expected.data, map.size);
        bg_map_close(&map);
        unlink(path);
    }
    bg_text_fini(&expected);
}

static void metadata_is_copied_and_replaced(void **state)
{
    static const char *const except[] = {"dropped", NULL};
    bg_text t = {0};
    bg_gguf *g;
    bg_gguf_writer *w;
    uint64_t n = 0;
    double d = 0;
    bool b = false;
    bg_gguf_string s;
    size_t offset = 0;
    (void)state;
    put_header(&t, 2, 0, 5);
    put_u32(&t, "first", 1);
    put_u32(&t, "general.alignment", 128);
    put_u32(&t, "dropped", 2);
    put_key(&t, "words", BG_GGUF_ARRAY), put(&t, BG_GGUF_STRING, 4), put(&t, 2, 8);
    put_string(&t, "one"), put_bytes(&t, "t\0o", 3);
    put_key(&t, "flag", BG_GGUF_BOOL), put(&t, 1, 1);
    assert_ok(bg_gguf_open_memory(&g, t.data, t.length, "m", &err), &err);
    assert_ok(bg_gguf_writer_open(&w, path, &err), &err);
    assert_ok(bg_gguf_writer_copy_metadata(w, g, except, &err), &err);
    bg_gguf_close(&g);
    assert_ok(bg_gguf_writer_f32(w, "first", 0.5f, &err), &err); /* in its place */
    assert_ok(bg_gguf_writer_bool(w, "last", true, &err), &err);
    assert_ok(bg_gguf_writer_finish(&w, &err), &err);

    assert_ok(bg_gguf_open(&g, path, &err), &err);
    assert_int_equal(bg_gguf_version(g), 3);
    assert_int_equal(bg_gguf_value_count(g), 5);
    assert_string_equal(bg_gguf_value_at(g, 0)->key, "first");
    assert_true(bg_gguf_get_f64(g, "first", &d) && d == 0.5);
    assert_true(bg_gguf_get_u64(g, "general.alignment", &n) && n == 128);
    assert_null(bg_gguf_find(g, "dropped"));
    assert_true(bg_gguf_get_bool(g, "last", &b) && b);
    assert_true(bg_gguf_next_string(bg_gguf_find(g, "words"), &offset, &s));
    assert_true(bg_gguf_next_string(bg_gguf_find(g, "words"), &offset, &s));
    assert_int_equal(s.length, 3);
    assert_memory_equal(s.data, "t\0o", 3);
    bg_gguf_close(&g);
    bg_text_fini(&t);
}

static void misuse_is_seen(void **state)
{
    const bg_tensor odd = {.name = "odd", .type_id = BG_FORMAT_Q4_0, .n_dims = 1,
                           .ne = {33, 1, 1, 1}};
    const bg_tensor unknown = {.name = "x", .type_id = 99, .n_dims = 1, .ne = {1, 1, 1, 1}};
    char bytes[64] = {0};
    bg_gguf_writer *w = start();
    (void)state;
    unlink(path);
    assert_fails(bg_gguf_writer_tensor(w, &odd, &err), BG_ERR_INPUT, "multiple", &err);
    assert_fails(bg_gguf_writer_tensor(w, &unknown, &err), BG_ERR_INPUT, "unknown", &err);
    assert_fails(bg_gguf_writer_u32(w, "general.alignment", 3, &err), BG_ERR_INPUT, "power", &err);
    assert_fails(bg_gguf_writer_data(w, bytes, 13, &err), BG_ERR_INPUT, "more data", &err);
    assert_fails(bg_gguf_writer_u32(w, "late", 1, &err), BG_ERR_INPUT, "after the first", &err);
    assert_ok(bg_gguf_writer_data(w, bytes, 12, &err), &err);
    assert_fails(bg_gguf_writer_finish(&w, &err), BG_ERR_INPUT, "tensor 'm' got no data", &err);
    assert_null(w);
    assert_false(bg_file_exists(path));
    assert_fails(bg_gguf_writer_open(&w, "/nonexistent/x.gguf", &err), BG_ERR_IO, "cannot", &err);
    assert_fails(bg_gguf_writer_open(&w, dir, &err), BG_ERR_IO, "no regular file", &err);
    assert_ok(bg_gguf_writer_open(&w, path, &err), &err);
    bg_gguf_writer_discard(&w);
    assert_false(bg_file_exists(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_as_specified),
        cmocka_unit_test(metadata_is_copied_and_replaced),
        cmocka_unit_test(misuse_is_seen),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
