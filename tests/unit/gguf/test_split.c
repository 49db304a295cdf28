/* Models in several files. */
#include "build.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/bgsplitXXXXXX";
static bg_error err;

typedef struct part { uint16_t no, count; int32_t tensors; bool numbered; } part;

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_number(bg_text *t, const char *key, bg_gguf_type type, uint64_t n, size_t bytes)
{
    put_key(t, key, type);
    put(t, n, bytes);
}

/* A file of two vectors of eight numbers, "NAME.a" and "NAME.b", all of one value. */
static void write_part(const char *file, const char *name, float value, part p)
{
    bg_text t = {0};
    FILE *f = fopen(path_of(file), "wb");
    assert_non_null(f);
    put_header(&t, 3, 2, 2 + (unsigned)p.numbered + (p.no == 0));
    if (p.no == 0) put_u32(&t, "some.number", 7);
    if (p.numbered) put_number(&t, "split.no", BG_GGUF_U16, p.no, 2);
    put_number(&t, "split.count", BG_GGUF_U16, p.count, 2);
    put_number(&t, "split.tensors.count", BG_GGUF_I32, (uint32_t)p.tensors, 4);
    for (int i = 0; i < 2; i++) {
        char tensor[32];
        uint64_t ne[1] = {8};
        snprintf(tensor, sizeof tensor, "%s.%c", name, 'a' + i);
        put_tensor(&t, tensor, 1, ne, BG_FORMAT_F32, (uint64_t)i * 32);
    }
    put_padding(&t, 32);
    for (int i = 0; i < 16; i++) bg_text_append(&t, (const char *)&value, 4);
    assert_int_equal(fwrite(t.data, 1, t.length, f), t.length);
    fclose(f);
    bg_text_fini(&t);
}

static void write_three(void)
{
    write_part("m-00001-of-00003.gguf", "x", 1, (part){0, 3, 6, true});
    write_part("m-00002-of-00003.gguf", "y", 2, (part){1, 3, 6, true});
    write_part("m-00003-of-00003.gguf", "z", 3, (part){2, 3, 6, true});
}

static void must_fail(const char *file, bg_status status, const char *word)
{
    bg_gguf *g;
    assert_fails(bg_gguf_open(&g, path_of(file), &err), status, word, &err);
    assert_null(g);
}

static void all_parts_are_one(void **state)
{
    static const char names[] = "xyz";
    bg_gguf *g;
    uint64_t n;
    size_t bytes = 0;
    (void)state;
    write_three();
    assert_ok(bg_gguf_open(&g, path_of("m-00001-of-00003.gguf"), &err), &err);
    assert_true(bg_gguf_get_u64(g, "some.number", &n) && n == 7);
    assert_int_equal(bg_gguf_tensor_count(g), 6);
    assert_int_equal(bg_gguf_file_count(g), 3);
    for (int i = 0; i < 6; i++) {
        char name[8];
        const bg_tensor *t;
        snprintf(name, sizeof name, "%c.%c", names[i / 2], 'a' + i % 2);
        t = bg_gguf_tensor_find(g, name);
        assert_non_null(t);
        assert_true(t == bg_gguf_tensor_at(g, (size_t)i));
        for (int j = 0; j < 8; j++) assert_true(((const float *)t->data)[j] == (float)(i / 2 + 1));
        bg_gguf_release(g, t->data, t->bytes);
    }
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        assert_int_equal(stat(bg_gguf_file_path(g, i), &st), 0);
        bytes += (size_t)st.st_size;
    }
    assert_int_equal(bg_gguf_file_bytes(g), bytes);
    bg_gguf_close(&g);
}

static void parts_must_fit(void **state)
{
    static const char *const files[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf"};
    (void)state;
    write_three();
    must_fail(files[1], BG_ERR_INPUT, "give the first");
    write_part(files[2], "z", 3, (part){1, 3, 6, true});
    must_fail(files[0], BG_ERR_INPUT, "part 2 of 3, its name says otherwise");
    write_part(files[2], "z", 3, (part){2, 4, 6, true});
    must_fail(files[0], BG_ERR_INPUT, "part 3 of 4");
    write_part(files[2], "z", 3, (part){2, 3, 6, false}); /* as if it were the first */
    must_fail(files[0], BG_ERR_INPUT, "part 1 of 3");
    write_part(files[2], "y", 3, (part){2, 3, 6, true});
    must_fail(files[0], BG_ERR_INPUT, "'y.a' is there twice");
    write_part(files[0], "x", 1, (part){0, 3, 7, true});
    write_part(files[2], "z", 3, (part){2, 3, 6, true});
    must_fail(files[0], BG_ERR_INPUT, "announces 7 tensors");
    write_part(files[0], "x", 1, (part){0, 65535, 6, true});
    must_fail(files[0], BG_ERR_INPUT, "must be named NAME-00001-of-65535.gguf");
    write_part(files[0], "x", 1, (part){3, 3, 6, true});
    must_fail(files[0], BG_ERR_INPUT, "damaged");
    write_part(files[0], "x", 1, (part){0, 3, 6, true});
    write_part("n.gguf", "x", 1, (part){0, 3, 6, true});
    must_fail("n.gguf", BG_ERR_INPUT, "must be named");
    unlink(path_of(files[1]));
    must_fail(files[0], BG_ERR_IO, "cannot be read: fetch all");
    unlink(path_of(files[0])), unlink(path_of(files[2])), unlink(path_of("n.gguf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_are_one), cmocka_unit_test(parts_must_fit),
    };
    int failed = mkdtemp(folder) ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    rmdir(folder);
    return failed;
}
