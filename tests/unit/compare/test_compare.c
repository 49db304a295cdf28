#include "test.h"

#include "base/base.h"
#include "bitgauge/compare.h"

#include <jansson.h>
#include <math.h>

static const char machine[] =
    "{\"cpu\": {\"model\": \"A\", \"arch\": \"x\"}, \"limits\": {\"cores\": 2}, \"noise_floors\": ["
    "{\"kind\": \"tg\", \"threads\": 1, \"floor\": 0.02}, {\"kind\": \"pp\", \"threads\": 1, "
    "\"floor\": 0.2}, {\"kind\": \"tg\", \"threads\": 1}, {\"threads\": 1, \"floor\": 1}, 7]}";

typedef struct cell { const char *scheme, *test; double tps, spread; int reps; } cell;

/* A sweep without drift: repetitions spread evenly around their medians,
 * in an order of their own. */
static bg_results *sweep(const char *name, const char *on, const cell *cells, size_t n)
{
    bg_error err;
    bg_results *r;
    assert_ok(bg_results_new(&r, name, "{}", &err), &err);
    assert_ok(bg_results_describe(r, "{}", on, &err), &err);
    for (size_t i = 0; i < n; i++) {
        bg_row *row = bg_row_new();
        bg_sample s = {.isa = "ref", .threads = 1, .tokens = 100};
        bg_row_set_text(row, BG_COL_SCHEME, cells[i].scheme);
        bg_row_set_text(row, BG_COL_TEST, cells[i].test);
        bg_row_set_text(row, BG_COL_ISA, "ref");
        bg_row_set_text(row, BG_COL_MODEL, "m");
        bg_row_set_text(row, BG_COL_STATUS, cells[i].tps > 0 ? "ok" : "failed");
        bg_row_set_number(row, BG_COL_THREADS, 1);
        bg_row_set_number(row, BG_COL_TPS, cells[i].tps > 0 ? cells[i].tps : NAN);
        bg_row_set_number(row, BG_COL_ROOF_VALUE, 4 * cells[i].tps);
        bg_row_set_number(row, BG_COL_RSS_BYTES, 1000);
        assert_ok(bg_results_add(r, &row, &err), &err);
        snprintf(s.scheme, sizeof s.scheme, "%s", cells[i].scheme);
        snprintf(s.test, sizeof s.test, "%s", cells[i].test);
        for (int k = 0; k < cells[i].reps; k++) {
            double at = (k * 7 % cells[i].reps + 0.5) / cells[i].reps - 0.5;
            s.rep = (uint32_t)k;
            s.position = (uint64_t)k;
            s.seconds = s.tokens / (cells[i].tps * (1 + 2 * cells[i].spread * at));
            snprintf(s.tainted, sizeof s.tainted, "%s", k % 5 == 0 ? "steal" : "");
            assert_ok(bg_results_add_sample(r, &s, &err), &err);
        }
    }
    return r;
}

static bg_comparison *compare(bg_results *base, bg_results *other, const bg_compare_options *o)
{
    bg_comparison *c;
    bg_error err;
    assert_ok(bg_compare(&c, base, other, o, &err), &err);
    return c;
}

static void close_all(bg_comparison **c, bg_results **a, bg_results **b)
{
    bg_comparison_close(c);
    bg_results_close(a);
    bg_results_close(b);
}

static void verdicts(void **state)
{
    static const cell before[] = {
        {"slow", "tg64", 100, 0.01, 40},  {"fast", "tg64", 100, 0.01, 40},
        {"same", "tg64", 100, 0.01, 40},  {"small", "tg64", 100, 0.01, 40},
        {"wide", "tg64", 100, 0.6, 40},   {"few", "tg64", 100, 0.01, 3},
        {"loud", "pp64", 100, 0.01, 40},  {"none", "tg64", 100, 0.01, 0},
    };
    static const cell after[] = {
        {"slow", "tg64", 90, 0.01, 40},   {"fast", "tg64", 110, 0.01, 40},
        {"same", "tg64", 100, 0.01, 40},  {"small", "tg64", 97, 0.01, 40},
        {"wide", "tg64", 91, 0.6, 40},    {"few", "tg64", 50, 0.01, 3},
        {"loud", "pp64", 90, 0.01, 40},   {"none", "tg64", 50, 0.01, 0},
    };
    static const struct { bg_verdict verdict; const char *word, *reason; } want[] = {
        {BG_VERDICT_WORSE, "slower", ""},
        {BG_VERDICT_BETTER, "faster", ""},
        {BG_VERDICT_SAME, "same", ""},
        {BG_VERDICT_SAME, "same", ""}, /* significant, and below the threshold */
        {BG_VERDICT_INCONCLUSIVE, "inconclusive", "may be chance"},
        {BG_VERDICT_INCONCLUSIVE, "inconclusive", "too few repetitions (3 and 3"},
        {BG_VERDICT_INCONCLUSIVE, "inconclusive", "below the noise floor"},
        {BG_VERDICT_INCONCLUSIVE, "inconclusive", "no repetitions"},
    };
    bg_results *a = sweep("a", machine, before, BG_COUNT(before));
    bg_results *b = sweep("b", machine, after, BG_COUNT(after));
    bg_comparison *c = compare(a, b, &(bg_compare_options){.seed = 1});
    (void)state;
    assert_int_equal(c->n_cells, BG_COUNT(want));
    for (size_t i = 0; i < c->n_cells; i++) {
        assert_string_equal(bg_compared_verdict(&c->cells[i]), want[i].word);
        assert_int_equal(c->cells[i].verdict, want[i].verdict);
        if (!strstr(c->cells[i].reason, want[i].reason))
            fail_msg("'%s' is not in '%s'", want[i].reason, c->cells[i].reason);
    }
    assert_true(bg_comparison_regressed(c));
    assert_true(fabs(c->cells[0].ratio.ratio - 0.9) < 0.005);
    assert_true(c->cells[0].q >= c->cells[0].p);
    assert_int_equal(c->cells[0].tainted[1], 8);
    assert_int_equal(c->cells[0].floor_source, BG_FLOOR_MACHINE);
    assert_true(fabs(c->cells[6].floor - 0.2) < 1e-12);
    assert_int_equal(c->counts[BG_VERDICT_SAME], 2);
    close_all(&c, &a, &b);
}

/* Without a calibrated machine the floor comes from the samples: a drift raises it. */
static void estimated_floor(void **state)
{
    static const cell quiet = {"q", "tg64", 100, 0.002, 40};
    bg_results *a = sweep("a", NULL, &quiet, 1), *b = sweep("b", NULL, &quiet, 1);
    bg_comparison *c = compare(a, b, &(bg_compare_options){.threshold = 0.03});
    (void)state;
    assert_int_equal(c->cells[0].floor_source, BG_FLOOR_SAMPLES);
    assert_true(c->cells[0].floor < 0.01);
    assert_int_equal(c->cells[0].verdict, BG_VERDICT_SAME);
    assert_true(strstr(c->notes[0], "on trust") && strstr(c->notes[1], "probe --noise"));
    close_all(&c, &a, &b);
}

/* What does not vary is compared as it is, and lower is better where the column says so. */
static void exact_values(void **state)
{
    static const cell one = {"q", "tg64", 100, 0.01, 10};
    static const struct { double rss, ppl, kld; bg_verdict verdict[3]; } cases[] = {
        {1000, 10, 0.01, {BG_VERDICT_SAME, BG_VERDICT_SAME, BG_VERDICT_SAME}},
        {1011, 10.2, 0.02, {BG_VERDICT_WORSE, BG_VERDICT_WORSE, BG_VERDICT_WORSE}},
        {900, 9, 0.0100001, {BG_VERDICT_BETTER, BG_VERDICT_BETTER, BG_VERDICT_SAME}},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_results *a = sweep("a", machine, &one, 1), *b = sweep("b", machine, &one, 1);
        bg_compare_options o = {.metrics = "rss_bytes,ppl,kld_mean"};
        bg_comparison *c;
        bg_row *row = bg_results_row_mut(a, 0);
        bg_row_set_number(row, BG_COL_PPL, 10);
        bg_row_set_number(row, BG_COL_KLD, 0.01);
        row = bg_results_row_mut(b, 0);
        bg_row_set_number(row, BG_COL_RSS_BYTES, cases[i].rss);
        bg_row_set_number(row, BG_COL_PPL, cases[i].ppl);
        bg_row_set_number(row, BG_COL_KLD, cases[i].kld);
        c = compare(a, b, &o);
        assert_int_equal(c->n_cells, 3);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(c->cells[k].verdict, cases[i].verdict[k]);
            assert_true(c->cells[k].exact && isnan(c->cells[k].q));
        }
        if (i == 1) assert_string_equal(bg_compared_verdict(&c->cells[0]), "worse");
        close_all(&c, &a, &b);
    }
}

static void unpaired(void **state)
{
    static const cell before[] = {{"x", "tg64", 100, 0.01, 10}, {"gone", "tg64", 9, 0.01, 10},
                                  {"dies", "tg64", 9, 0.01, 10}};
    static const cell after[] = {{"x", "tg64", 100, 0.01, 10}, {"dies", "tg64", 0, 0, 0},
                                 {"fresh", "tg64", 9, 0.01, 10}};
    bg_results *a = sweep("a", machine, before, 3), *b = sweep("b", machine, after, 3);
    bg_comparison *c = compare(a, b, &(bg_compare_options){.seed = 1});
    bg_error err;
    char *text;
    (void)state;
    assert_int_equal(c->n_cells, 1);
    assert_int_equal(c->n_unpaired, 3);
    assert_true(!c->unpaired[0].failed && c->unpaired[0].side == 0);
    assert_true(c->unpaired[1].failed && c->unpaired[1].side == 0);
    assert_true(!c->unpaired[2].failed && c->unpaired[2].side == 1);
    assert_true(bg_comparison_regressed(c)); /* what ran before fails */
    assert_ok(bg_comparison_text(c, BG_COMPARE_JUNIT, &text, &err), &err);
    assert_non_null(strstr(text, "<error type=\"failed\""));
    assert_non_null(strstr(text, "errors=\"1\""));
    bg_free_text(text);
    close_all(&c, &a, &b);
}

static void refusals(void **state)
{
    static const char other[] =
        "{\"cpu\": {\"model\": \"B\", \"arch\": \"x\"}, \"limits\": {\"cores\": 2}}";
    static const cell one = {"q", "tg64", 100, 0.01, 20}, fast = {"q", "tg64", 200, 0.01, 20};
    bg_results *a = sweep("a", machine, &one, 1), *b = sweep("b", other, &fast, 1), *llama;
    bg_compare_options o = {.seed = 1};
    bg_comparison *c;
    bg_error err;
    (void)state;
    assert_fails(bg_compare(&c, a, b, &o, &err), BG_ERR_INPUT, "--cross-machine", &err);
    assert_null(c);
    o.cross_machine = true; /* twice as fast under a roof twice as high */
    c = compare(a, b, &o);
    assert_int_equal(c->cells[0].verdict, BG_VERDICT_SAME);
    assert_true(fabs(c->cells[0].value[1] - 25) < 0.1);
    bg_comparison_close(&c);
    o.cross_machine = false;
    assert_ok(bg_results_new(&llama, "c", "{\"engine\": \"llama.cpp\"}", &err), &err);
    assert_fails(bg_compare(&c, a, llama, &o, &err), BG_ERR_INPUT, "holds no results", &err);
    bg_row_set_text(bg_results_row_mut(b, 0), BG_COL_MODEL, "other");
    assert_fails(bg_compare(&c, a, b, &o, &err), BG_ERR_INPUT, "another model", &err);
    o.metrics = "tpx";
    assert_fails(bg_compare(&c, a, a, &o, &err), BG_ERR_INPUT, "did you mean tps", &err);
    o.metrics = "threads";
    assert_fails(bg_compare(&c, a, a, &o, &err), BG_ERR_INPUT, "no column that can be compared",
                 &err);
    o.metrics = ",";
    assert_fails(bg_compare(&c, a, a, &o, &err), BG_ERR_INPUT, "empty", &err);
    o.metrics = "ppl";
    assert_fails(bg_compare(&c, a, a, &o, &err), BG_ERR_INPUT, "has ppl", &err);
    bg_results_close(&a);
    bg_results_close(&b);
    bg_results_close(&llama);
}

/* Names come from files: they must not end an attribute, a cell or an annotation. */
static void names_are_escaped(void **state)
{
    static const cell before = {"a|\"<&>:,%", "tg64", 100, 0.01, 30};
    static const cell after = {"a|\"<&>:,%", "tg64", 50, 0.01, 30};
    bg_results *a = sweep("a", machine, &before, 1), *b = sweep("b", machine, &after, 1);
    bg_comparison *c = compare(a, b, &(bg_compare_options){.seed = 1});
    bg_error err;
    char *text;
    json_t *json;
    (void)state;
    assert_ok(bg_comparison_text(c, BG_COMPARE_MD, &text, &err), &err);
    assert_non_null(strstr(text, "| a\\|\"\\<&\\>:,% | tg64 |"));
    bg_free_text(text);
    assert_ok(bg_comparison_text(c, BG_COMPARE_JUNIT, &text, &err), &err);
    assert_non_null(strstr(text, "classname=\"bitgauge.a|&quot;&lt;&amp;&gt;:,%\""));
    assert_non_null(strstr(text, "<failure type=\"regression\""));
    bg_free_text(text);
    assert_ok(bg_comparison_text(c, BG_COMPARE_ANNOTATIONS, &text, &err), &err);
    assert_non_null(strstr(text, "::error title=a|\"<&>%3A%2C%25 tg64%2C ref%2C 1 thread"
                                 "::tps -50 %25"));
    bg_free_text(text);
    assert_ok(bg_comparison_text(c, BG_COMPARE_JSON, &text, &err), &err);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json,
                        "cells"), 0), "scheme")), "a|\"<&>:,%");
    assert_true(json_is_true(json_object_get(json, "regression")));
    json_decref(json);
    bg_free_text(text);
    close_all(&c, &a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts), cmocka_unit_test(estimated_floor),
        cmocka_unit_test(exact_values), cmocka_unit_test(unpaired), cmocka_unit_test(refusals),
        cmocka_unit_test(names_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
