#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "results/store.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/bgresultsXXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static void remove_file(const char *name)
{
    char *path = bg_path_join(dir, name);
    unlink(path);
    bg_free(path);
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"plan.json", "results.csv", "samples.csv", "machine.json"};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(names); i++) remove_file(names[i]);
    return rmdir(dir);
}

static void put(const char *name, const char *text)
{
    char *path = bg_path_join(dir, name);
    bg_error err;
    assert_ok(bg_file_write(path, text, strlen(text), &err), &err);
    bg_free(path);
}

static bg_row *cell(const char *scheme, const char *test, const char *isa, int threads, double tps)
{
    bg_row *row = bg_row_new();
    assert_non_null(row);
    assert_true(bg_row_set_text(row, BG_COL_SCHEME, scheme));
    assert_true(bg_row_set_text(row, BG_COL_TEST, test));
    assert_true(bg_row_set_text(row, BG_COL_ISA, isa));
    bg_row_set_number(row, BG_COL_THREADS, threads);
    bg_row_set_number(row, BG_COL_TPS, tps);
    return row;
}

static const char awkward[] = "a \"quoted\", comma\nnew line\ttab caf\xc3\xa9 ";

static bg_results *make_results(void)
{
    static const float itl[] = {0.5f, 1.25f, 3.1415927f};
    bg_results *r;
    bg_row *row;
    bg_error err;
    bg_sample s = {.scheme = "Q4_0", .isa = "avx2", .test = "tg64", .threads = 2, .rep = 3,
                   .position = 1234567890123, .seconds = 0.1, .tokens = 64, .ttft_ms = NAN,
                   .steal_ratio = 1.0 / 3, .roof_tps = 2.0 / 3, .tainted = "steal,load",
                   .outlier = "slow",
                   .itl_ms = itl, .itl_count = 3};
    for (int i = 0; i < BG_COUNTER_COUNT; i++) s.counters[i] = i % 2 ? NAN : i * 1e9 / 7;
    assert_ok(bg_results_new(&r, dir, "{\"seed\": 7}", &err), &err);
    row = cell("Q4_0", "tg64", "avx2", 2, 1.0 / 3);
    assert_true(bg_row_set_text(row, BG_COL_REASON, awkward));
    bg_row_set_number(row, BG_COL_WEIGHT_BYTES, 9007199254740992.0);
    assert_true(bg_row_set_absent(row, BG_COL_J_TOKEN, "no meter; none at all"));
    assert_true(bg_row_set_absent(row, BG_COL_WATTS, "no meter"));
    assert_true(bg_row_set_absent(row, BG_COL_WATTS, "said twice"));
    assert_true(bg_row_set_absent(row, BG_COL_PPL_SE, "no meter; none at all"));
    assert_true(bg_row_set_absent(row, BG_COL_PPL, "off"));
    assert_ok(bg_results_add(r, &row, &err), &err);
    assert_null(row);
    row = cell("Q4_0", "pp512", "avx2", 2, 5e-324);
    assert_ok(bg_results_add(r, &row, &err), &err);
    assert_ok(bg_results_add_sample(r, &s, &err), &err);
    return r;
}

static void round_trip(void **state)
{
    bg_results *r = make_results(), *back;
    bg_error err;
    char reason[64];
    const bg_row *row;
    const bg_sample *s, *was = bg_results_sample(r, 0);
    (void)state;
    assert_ok(bg_results_save(r, &err), &err);
    assert_ok(bg_results_open(&back, dir, &err), &err);
    assert_int_equal(bg_results_row_count(back), 2);
    assert_string_equal(bg_results_dir(back), dir);
    assert_non_null(strstr(bg_results_plan(back), "\"version\": 1"));
    assert_null(bg_results_machine(back));
    row = bg_results_find(back, "Q4_0", "tg64", NULL, 0);
    assert_non_null(row);
    assert_true(bg_row_number(row, BG_COL_TPS) == 1.0 / 3);
    assert_true(bg_row_number(row, BG_COL_WEIGHT_BYTES) == 9007199254740992.0);
    assert_string_equal(bg_row_text(row, BG_COL_REASON), awkward);
    assert_string_equal(bg_row_text(row, BG_COL_ABSENT),
                        "j_per_token,ppl_se=no meter, none at all; watts=no meter; ppl=off");
    assert_true(bg_row_absent_reason(row, BG_COL_PPL, reason, sizeof reason));
    assert_string_equal(reason, "off");
    assert_true(bg_row_absent_reason(row, BG_COL_J_TOKEN, reason, sizeof reason));
    assert_string_equal(reason, "no meter, none at all");
    assert_false(bg_row_absent_reason(row, BG_COL_TPS, reason, sizeof reason));
    assert_false(bg_row_has(row, BG_COL_PPL));
    assert_true(isnan(bg_row_number(row, BG_COL_PPL)));
    assert_null(bg_results_find(back, "Q4_0", "tg64", "ref", 0));
    assert_null(bg_results_find(back, "Q4_0", "tg64", "avx2", 1));
    row = bg_results_find(back, "Q4_0", "pp512", "avx2", 2);
    assert_true(bg_row_number(row, BG_COL_TPS) == 5e-324);

    assert_int_equal(bg_results_sample_count(back), 1);
    s = bg_results_sample(back, 0);
    assert_string_equal(s->scheme, "Q4_0");
    assert_string_equal(s->tainted, "steal,load");
    assert_string_equal(s->outlier, "slow");
    assert_int_equal(s->threads, 2);
    assert_int_equal(s->rep, 3);
    assert_true(s->position == 1234567890123);
    assert_true(s->seconds == 0.1 && s->steal_ratio == 1.0 / 3 && isnan(s->ttft_ms) &&
                s->roof_tps == 2.0 / 3);
    assert_int_equal(s->itl_count, 3);
    assert_true(s->itl_ms[1] == 1.25f && fabsf(s->itl_ms[2] - 3.14159f) < 1e-5f);
    for (int i = 0; i < BG_COUNTER_COUNT; i++)
        assert_true(i % 2 ? isnan(s->counters[i]) : s->counters[i] == was->counters[i]);
    bg_results_close(&back);
    bg_results_close(&r);
}

/* Outside the fences of its own cell: 1 to 9 has quartiles 3 and 7, so -3 and 13. */
static void outliers_are_labelled(void **state)
{
    static const double speeds[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 100, -1};
    bg_results *r;
    bg_error err;
    bg_row *row = cell("Q4_0", "tg64", "avx2", 2, 1);
    bg_sample s = {.scheme = "Q4_0", .isa = "avx2", .test = "tg64", .threads = 2, .seconds = 1};
    (void)state;
    for (int i = 0; i < BG_COUNTER_COUNT; i++) s.counters[i] = NAN;
    assert_ok(bg_results_new(&r, dir, "{}", &err), &err);
    assert_ok(bg_results_add(r, &row, &err), &err);
    for (size_t i = 0; speeds[i] > 0; i++) {
        s.tokens = speeds[i];
        s.rep = (uint32_t)i;
        assert_ok(bg_results_add_sample(r, &s, &err), &err);
    }
    s.threads = 1; /* another cell's, which has no row */
    assert_ok(bg_results_add_sample(r, &s, &err), &err);
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(bg_results_label(r, &err), &err);
        for (size_t i = 0; i < 11; i++)
            assert_string_equal(bg_results_sample(r, i)->outlier, i == 9 && !pass ? "fast" : "");
        s.threads = 2; /* more of them make it usual, and the label goes */
        for (int k = 0; k < 12 && !pass; k++)
            assert_ok(bg_results_add_sample(r, &s, &err), &err);
    }
    bg_results_close(&r);
}

static void same_cell_is_replaced(void **state)
{
    bg_results *r = make_results();
    bg_row *row = cell("Q4_0", "tg64", "avx2", 2, 99);
    bg_error err;
    (void)state;
    assert_ok(bg_results_add(r, &row, &err), &err);
    assert_int_equal(bg_results_row_count(r), 2);
    assert_true(bg_row_number(bg_results_find(r, "Q4_0", "tg64", "avx2", 2), BG_COL_TPS) == 99);
    row = cell("Q4_0", "tg64", "avx2", 1, 98);
    assert_ok(bg_results_add(r, &row, &err), &err);
    assert_int_equal(bg_results_row_count(r), 3);
    bg_results_close(&r);
}

static void text_is_cleaned(void **state)
{
    char text[] = "ok \xff\xc3( \xed\xa0\x80 \xf0\x9f\x98\x80 \x01\r caf\xc3\xa9 \xe2\x82";
    (void)state;
    bg_text_clean(text);
    assert_string_equal(text, "ok ?" "?( ??? \xf0\x9f\x98\x80 ?? caf\xc3\xa9 ??");
}

static bg_status parse(const char *csv, bg_results **r, bg_error *err)
{
    bg_status s;
    assert_ok(bg_results_new(r, "mem", "{}", err), err);
    s = bg_results_parse_rows(*r, "mem/results.csv", csv, strlen(csv), err);
    if (s != BG_OK) bg_results_close(r);
    return s;
}

static void header_is_free(void **state)
{
    bg_results *r;
    bg_error err;
    (void)state;
    assert_ok(parse("\xef\xbb\xbftest,future,tps,scheme\r\n\r\ntg64,x,12.5,Q4_0\r\ntg64,,,F16\r\n",
                    &r, &err), &err);
    assert_int_equal(bg_results_row_count(r), 2);
    assert_true(bg_row_number(bg_results_row(r, 0), BG_COL_TPS) == 12.5);
    assert_string_equal(bg_row_text(bg_results_row(r, 1), BG_COL_SCHEME), "F16");
    assert_false(bg_row_has(bg_results_row(r, 1), BG_COL_TPS));
    bg_results_close(&r);
    assert_ok(parse("scheme,test\n", &r, &err), &err);
    assert_int_equal(bg_results_row_count(r), 0);
    bg_results_close(&r);
}

static void bad_rows(void **state)
{
    static const struct { const char *csv, *word; } bad[] = {
        {"", "row 1"},
        {"", "the file is empty"},
        {"scheme,test,tps\nQ4_0,tg64,1\nQ4_0,pp512\n", "row 3"},
        {"scheme,test,tps\nQ4_0,tg64,1\nQ4_0,pp512\n", "2 fields where the header has 3"},
        {"scheme,test,tps\nQ4_0,tg64,1,2\n", "4 fields"},
        {"scheme,test,tps\nQ4_0,tg64,fast\n", "'fast' in column tps is not a number"},
        {"scheme,test,tps\nQ4_0,tg64,nan\n", "not a number"},
        {"scheme,test,tps\nQ4_0,tg64,0x10\n", "not a number"},
        {"scheme,test,tps\nQ4_0,tg64,1e999\n", "not a number"},
        {"scheme,test,tps\nQ4_0,tg64,1 2\n", "not a number"},
        {"scheme,test,threads\nQ4_0,tg64,1.5\n", "not a count"},
        {"scheme,test,threads\nQ4_0,tg64,-1\n", "not a count"},
        {"scheme,test,threads\nQ4_0,tg64,3000000000\n", "not a count"},
        {"scheme,test,weight_bytes\nQ4_0,tg64,1e17\n", "not a count"},
        {"scheme,test\nQ4_0,tg64\nQ4_0,tg64\n", "repeats row 2"},
        {"scheme,test\nQ4_0,tg64\nF16,tg64\nQ4_0,tg64\n", "row 4"},
        {"scheme,test\n,tg64\n", "has no scheme"},
        {"scheme,tps\nQ4_0,1\n", "has no test"},
        {"scheme,test,scheme\nQ4_0,tg64,F16\n", "twice"},
        {"scheme,test\n\"Q4_0,tg64\n", "ends inside a quoted field"},
        {"scheme,test\nQ4\"_0,tg64\n", "is not CSV"},
        {"scheme,test\nQ4_0,tg64,1\n", "restore the file, or run the sweep again"},
    };
    bg_results *r;
    bg_error err;
    (void)state;
    for (size_t i = 0; i < BG_COUNT(bad); i++)
        assert_fails(parse(bad[i].csv, &r, &err), BG_ERR_INPUT, bad[i].word, &err);
    assert_ok(bg_results_new(&r, "mem", "{}", &err), &err);
    assert_fails(bg_results_parse_rows(r, "mem", "scheme,test\nQ4\0_0,tg64\n", 22, &err),
                 BG_ERR_INPUT, "zero byte", &err);
    bg_results_close(&r);
}

static void oversized(void **state)
{
    bg_text t = {0};
    bg_results *r;
    bg_error err;
    (void)state;
    bg_text_puts(&t, "scheme,test,reason\nQ4_0,tg64,");
    for (int i = 0; i < BG_CSV_MAX_FIELD + 1; i++) bg_text_puts(&t, "x");
    assert_fails(parse(t.data, &r, &err), BG_ERR_INPUT, "row 2", &err);
    bg_text_fini(&t);
    bg_text_puts(&t, "scheme,test\n");
    for (int i = 0; i <= BG_RESULTS_MAX_ROWS; i++) bg_text_printf(&t, "s%d,tg64\n", i);
    assert_fails(parse(t.data, &r, &err), BG_ERR_INPUT, "limit of 20000 rows", &err);
    bg_text_fini(&t);
    for (int i = 0; i < 600; i++) bg_text_puts(&t, "a,");
    assert_fails(parse(t.data, &r, &err), BG_ERR_INPUT, "fields", &err);
    bg_text_fini(&t);
}

static void bad_samples(void **state)
{
    static const struct { const char *csv, *word; } bad[] = {
        {"scheme,test,rep\nQ4_0,tg64,-1\n", "not a count"},
        {"scheme,test,rep\nQ4_0,tg64,4294967296\n", "not a count"},
        {"scheme,test,threads\nQ4_0,tg64,2147483648\n", "not a count"},
        {"scheme,test,seconds\nQ4_0,tg64,x\n", "not a number"},
        {"scheme,test,cycles\nQ4_0,tg64,x\n", "column cycles"},
        {"scheme,test,itl_ms\nQ4_0,tg64,1 2 x\n", "'x' in column itl_ms"},
        {"scheme,test,itl_ms\nQ4_0,tg64,1  2\n", "not a latency"},
        {"scheme,test,itl_ms\nQ4_0,tg64,-1\n", "not a latency"},
        {"scheme,test\nQ4_0_a_name_that_is_much_too_long_for_it,tg64\n", "column scheme"},
        {"test\ntg64\n", "has no scheme"},
        {"scheme,test\nQ4_0\n", "row 2"},
    };
    bg_results *r;
    bg_error err;
    (void)state;
    assert_ok(bg_results_new(&r, "mem", "{}", &err), &err);
    for (size_t i = 0; i < BG_COUNT(bad); i++)
        assert_fails(bg_results_parse_samples(r, "mem", bad[i].csv, strlen(bad[i].csv), &err),
                     BG_ERR_INPUT, bad[i].word, &err);
    assert_int_equal(bg_results_sample_count(r), 0);
    bg_results_close(&r);
}

static void bad_folders(void **state)
{
    bg_results *r;
    bg_error err;
    (void)state;
    remove_dir(NULL);
    assert_fails(bg_results_open(&r, "/nonexistent/dir", &err), BG_ERR_INPUT,
                 "run `bitgauge sweep --out DIR`", &err);
    r = make_results();
    assert_ok(bg_results_save(r, &err), &err); /* makes the folder again */
    bg_results_close(&r);
    remove_file("plan.json");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "is not a results folder", &err);
    put("plan.json", "{\"version\": 2}");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "update bitgauge", &err);
    put("plan.json", "{\"version\": \"1\"}");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "no version", &err);
    put("plan.json", "[1]");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "not a JSON object", &err);
    put("plan.json", "{\n\"version\": ");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "is not JSON (line 2", &err);
    put("plan.json", "{\"version\": 1}");
    put("machine.json", "{");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "machine.json", &err);
    put("machine.json", "{\"cpu\": 1}");
    assert_ok(bg_results_open(&r, dir, &err), &err);
    assert_string_equal(bg_results_machine(r), "{\"cpu\": 1}");
    bg_results_close(&r);
    remove_file("samples.csv");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "samples.csv", &err);
    put("samples.csv", "scheme,test\nQ4_0\n");
    assert_fails(bg_results_open(&r, dir, &err), BG_ERR_INPUT, "samples.csv: row 2", &err);
}

static void cannot_write(void **state)
{
    bg_results *r;
    bg_error err;
    (void)state;
    assert_ok(bg_results_new(&r, "/proc/nothing/here", "{}", &err), &err);
    assert_fails(bg_results_save(r, &err), BG_ERR_IO, "cannot create the folder", &err);
    bg_results_close(&r);
    assert_fails(bg_results_new(&r, dir, "[]", &err), BG_ERR_INPUT, "JSON object", &err);
}

static void columns_are_named_once(void **state)
{
    (void)state;
    for (int a = 0; a < BG_COL_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(bg_column_get((bg_column)a)->name,
                                    bg_column_get((bg_column)b)->name);
    assert_string_equal(bg_column_get(BG_COL_COUNTER_CYCLES)->name, "cycles_per_token");
    assert_string_equal(bg_column_get(BG_COL_COUNTER_MAJOR_FAULTS)->name, "major_faults");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(outliers_are_labelled),
        cmocka_unit_test(same_cell_is_replaced),
        cmocka_unit_test(text_is_cleaned), cmocka_unit_test(header_is_free),
        cmocka_unit_test(bad_rows), cmocka_unit_test(oversized), cmocka_unit_test(bad_samples),
        cmocka_unit_test(bad_folders), cmocka_unit_test(cannot_write),
        cmocka_unit_test(columns_are_named_once),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
