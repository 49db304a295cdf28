#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static bg_error err;

static void put_i32(bg_text *t, int32_t value)
{
    bg_text_append(t, (const char *)&value, sizeof value); /* tests run on little-endian machines */
}

static void put_entry(bg_text *t, const char *name, int32_t calls, int32_t n, const float *values)
{
    put_i32(t, (int32_t)strlen(name));
    bg_text_puts(t, name);
    put_i32(t, calls);
    put_i32(t, n);
    bg_text_append(t, (const char *)values, (size_t)n * sizeof(float));
}

static void must_fail(bg_text *t, const char *word)
{
    bg_importance *i;
    assert_fails(bg_importance_open_memory(&i, t->data, t->length, "imatrix.dat", &err),
                 BG_ERR_INPUT, word, &err);
    assert_null(i);
    bg_text_fini(t);
}

static void older_files(void **state)
{
    const float a[] = {2, 4, 6}, b[] = {1, 0};
    bg_text t = {0};
    bg_importance *i;
    (void)state;
    put_i32(&t, 3);
    put_entry(&t, "z.weight", 2, 3, a);
    put_entry(&t, "\xc3\xa9.weight", 1, 2, b);
    put_entry(&t, "a.weight", 0, 2, b);
    put_i32(&t, 7); /* chunks and the data set's name follow */
    assert_ok(bg_importance_open_memory(&i, t.data, t.length, "imatrix.dat", &err), &err);
    assert_int_equal(bg_importance_count(i), 3);
    assert_true(bg_importance_find(i, "z.weight", 3)[2] == 3);
    assert_non_null(bg_importance_find(i, "\xc3\xa9.weight", 2));
    assert_true(bg_importance_find(i, "a.weight", 2)[0] == 1);
    assert_null(bg_importance_find(i, "z.weight", 2));
    assert_null(bg_importance_find(i, "y.weight", 3));
    bg_importance_close(&i);
    /* Cut anywhere inside the entries it is refused. */
    for (size_t n = 0; n < t.length - 4; n++) {
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, t.data, n);
        assert_int_equal(bg_importance_open_memory(&i, copy, n, "x", &err), BG_ERR_INPUT);
        free(copy);
    }
    bg_text_fini(&t);
}

static void hostile_older_files(void **state)
{
    const float negative[] = {1, -1}, nan[] = {NAN}, one[] = {1};
    bg_text t = {0};
    (void)state;
    put_i32(&t, 0);
    must_fail(&t, "no importance matrix");
    put_i32(&t, INT32_MAX), put_entry(&t, "a", 1, 1, one);
    must_fail(&t, "damaged at byte");
    put_i32(&t, 1), put_i32(&t, -5), bg_text_puts(&t, "aaaaaaaaaaaaaaaa");
    must_fail(&t, "damaged at byte");
    put_i32(&t, 1), put_i32(&t, 1), bg_text_puts(&t, "a"), put_i32(&t, 1), put_i32(&t, INT32_MAX);
    must_fail(&t, "damaged at byte");
    put_i32(&t, 1), put_entry(&t, "a\033[2J", 1, 1, one);
    must_fail(&t, "damaged at byte");
    put_i32(&t, 1), put_entry(&t, "a", 1, 2, negative);
    must_fail(&t, "negative or not finite");
    put_i32(&t, 1), put_entry(&t, "a", 1, 1, nan);
    must_fail(&t, "negative or not finite");
    put_i32(&t, 2), put_entry(&t, "a", 1, 1, one), put_entry(&t, "a", 1, 1, one);
    must_fail(&t, "twice");
}

/* Writes a GGUF file with sums and counts of the shapes given. */
static void write_gguf(const char *path, const char *sums_name, const char *counts_name,
                       uint64_t columns, uint64_t matrices, uint64_t counted, const float *sums,
                       const float *counts)
{
    bg_gguf_writer *w;
    bg_tensor s = {.name = sums_name, .type_id = 0, .n_dims = 2, .ne = {columns, matrices, 1, 1}};
    bg_tensor c = {.name = counts_name, .type_id = 0, .n_dims = 2, .ne = {1, counted, 1, 1}};
    assert_ok(bg_gguf_writer_open(&w, path, &err), &err);
    assert_ok(bg_gguf_writer_string(w, "general.type", "imatrix", &err), &err);
    assert_ok(bg_gguf_writer_tensor(w, &s, &err), &err);
    assert_ok(bg_gguf_writer_tensor(w, &c, &err), &err);
    assert_ok(bg_gguf_writer_data(w, sums, columns * matrices * 4, &err), &err);
    assert_ok(bg_gguf_writer_data(w, counts, counted * 4, &err), &err);
    assert_ok(bg_gguf_writer_finish(&w, &err), &err);
}

static void gguf_files(void **state)
{
    const float sums[] = {2, 4, 6, 8, 9, 9}, counts[] = {2, 4, 0};
    char path[] = "/tmp/bgimatrixXXXXXX";
    bg_importance *i;
    const float *v;
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    write_gguf(path, "x.weight.in_sum2", "x.weight.counts", 2, 3, 3, sums, counts);
    assert_ok(bg_importance_open(&i, path, &err), &err);
    v = bg_importance_find(i, "x.weight", 6);
    assert_non_null(v);
    assert_true(v[0] == 1 && v[1] == 2 && v[2] == 1.5f && v[3] == 2);
    assert_true(v[4] == 1 && v[5] == 1); /* an expert no token reached */
    bg_importance_close(&i);

    write_gguf(path, "x.weight.in_sum2", "y.weight.counts", 2, 3, 3, sums, counts);
    assert_fails(bg_importance_open(&i, path, &err), BG_ERR_INPUT, "no 'x.weight.counts'", &err);
    write_gguf(path, "x.weight.in_sum2", "x.weight.counts", 2, 3, 2, sums, counts);
    assert_fails(bg_importance_open(&i, path, &err), BG_ERR_INPUT, "matching shapes", &err);
    write_gguf(path, "x.weight", "x.counts", 2, 3, 3, sums, counts);
    assert_fails(bg_importance_open(&i, path, &err), BG_ERR_INPUT, "no importance matrix", &err);
    unlink(path);
    assert_fails(bg_importance_open(&i, path, &err), BG_ERR_IO, "check the path", &err);
}

static void belongs_to_a_model(void **state)
{
    const float ones[1024] = {1};
    bg_text t = {0};
    bg_importance *i;
    bg_gguf *g;
    (void)state;
    assert_ok(bg_gguf_open(&g, BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf", &err), &err);
    put_i32(&t, 1), put_entry(&t, "blk.0.ffn_down.weight", 1, 768, ones);
    assert_ok(bg_importance_open_memory(&i, t.data, t.length, "x", &err), &err);
    assert_ok(bg_importance_check(i, g, &err), &err);
    bg_importance_close(&i);
    bg_text_fini(&t);
    put_i32(&t, 1), put_entry(&t, "blk.0.ffn_down.weight", 1, 1024, ones);
    assert_ok(bg_importance_open_memory(&i, t.data, t.length, "x", &err), &err);
    assert_fails(bg_importance_check(i, g, &err), BG_ERR_INPUT, "made for another model", &err);
    bg_importance_close(&i);
    bg_text_fini(&t);
    put_i32(&t, 1), put_entry(&t, "other.weight", 1, 1024, ones);
    assert_ok(bg_importance_open_memory(&i, t.data, t.length, "x", &err), &err);
    assert_fails(bg_importance_check(i, g, &err), BG_ERR_INPUT, "no tensor of this model", &err);
    bg_importance_close(&i);
    bg_text_fini(&t);
    bg_gguf_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_files), cmocka_unit_test(hostile_older_files),
        cmocka_unit_test(gguf_files), cmocka_unit_test(belongs_to_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
