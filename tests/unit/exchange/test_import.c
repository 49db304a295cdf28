/* Other programs' results as ours: what comes back is what went out,
 * and what cannot be is refused. */
#include "test.h"

#include "bitgauge/exchange.h"

#include <math.h>
#include <stdlib.h>

static bg_import *import_text(const char *text, const bg_import_options *o)
{
    bg_import *i;
    bg_error err;
    assert_ok(bg_import_new(&i, "somewhere", o, &err), &err);
    assert_ok(bg_import_add(i, "f", text, strlen(text), &err), &err);
    return i;
}

static const bg_results *results_of(bg_import *i)
{
    const bg_results *r;
    bg_error err;
    assert_ok(bg_import_results(i, &r, &err), &err);
    return r;
}

static void assert_refused(const char *text, const char *where, const char *word)
{
    bg_import *i;
    bg_error err = {0};
    assert_ok(bg_import_new(&i, "somewhere", NULL, &err), &err);
    assert_fails(bg_import_add(i, "f", text, strlen(text), &err), BG_ERR_INPUT, word, &err);
    if (strcmp(err.where, where) != 0) fail_msg("%s: %s: %s", where, err.where, err.message);
    bg_import_close(&i);
}

static void add_export(bg_import *i, const bg_results *r, const char *format)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    bg_error err;
    assert_ok(bg_exporter_find(format)->write(r, f, &err), &err);
    fclose(f);
    assert_ok(bg_import_add(i, format, text, n, &err), &err);
    free(text);
}

static bool alike(double a, double b)
{
    return (isnan(a) && isnan(b)) || fabs(a - b) <= 1e-14 * fabs(a);
}

static const bg_row *twin(const bg_results *r, const bg_row *row)
{
    const bg_row *found = bg_results_find(r, bg_row_text(row, BG_COL_SCHEME),
        bg_row_text(row, BG_COL_TEST), bg_row_text(row, BG_COL_ISA),
        isnan(bg_row_number(row, BG_COL_THREADS)) ? 0 : (int)bg_row_number(row, BG_COL_THREADS));
    if (!found) fail_msg("%s %s is lost", bg_row_text(row, BG_COL_SCHEME),
                         bg_row_text(row, BG_COL_TEST));
    return found;
}

/* Every number that a row measured comes back through the two files of github-action-benchmark. */
static void action_benchmark_round_trip(void **state)
{
    bg_results *r;
    bg_import *i;
    const bg_results *back;
    bg_error err;
    size_t compared = 0;
    (void)state;
    assert_ok(bg_results_open(&r, BG_FIXTURES "/results/codelet", &err), &err);
    assert_ok(bg_import_new(&i, "somewhere", NULL, &err), &err);
    add_export(i, r, "github-bigger");
    add_export(i, r, "github-smaller");
    back = results_of(i);
    for (size_t k = 0; k < bg_results_row_count(r); k++) {
        static const bg_column more[] = {BG_COL_TPS_LOW, BG_COL_TPS_HIGH, BG_COL_N_PROMPT,
                                         BG_COL_N_GEN, BG_COL_REPS, BG_COL_WINDOWS};
        const bg_row *row = bg_results_row(r, k), *other;
        bg_measure m[BG_MEASURES];
        size_t n = bg_row_measures(row, m);
        if (n == 0) continue;
        other = twin(back, row);
        assert_string_equal(bg_row_text(other, BG_COL_SOURCE), "imported");
        assert_string_equal(bg_row_text(other, BG_COL_MODEL), bg_row_text(row, BG_COL_MODEL));
        for (size_t j = 0; j < n; j++, compared++)
            assert_true(alike(m[j].value, bg_row_number(other, m[j].column)));
        for (size_t j = 0; j < sizeof more / sizeof *more; j++)
            assert_true(alike(bg_row_number(row, more[j]), bg_row_number(other, more[j])));
    }
    assert_true(compared > 500);
    assert_non_null(strstr(bg_results_plan(back), "\"engine\": \"bitgauge\""));
    assert_non_null(strstr(bg_results_machine(back), "AMD EPYC"));
    bg_import_close(&i);
    bg_results_close(&r);
}

static void check_llama_row(const bg_results *r, const bg_results *back, const bg_row *row,
                            bool samples)
{
    static const bg_column exact[] = {BG_COL_N_PROMPT, BG_COL_N_GEN, BG_COL_WEIGHT_BYTES,
                                      BG_COL_MODEL_PARAMS, BG_COL_ROOF_VALUE, BG_COL_ROOF_PCT};
    const bg_row *other = twin(back, row);
    double speeds[64];
    size_t n = 0;
    for (size_t j = 0; j < sizeof exact / sizeof *exact; j++)
        assert_true(alike(bg_row_number(row, exact[j]), bg_row_number(other, exact[j])));
    for (size_t k = 0; k < bg_results_sample_count(r); k++) {
        const bg_sample *s = bg_results_sample(r, k);
        if (strcmp(s->scheme, bg_row_text(row, BG_COL_SCHEME)) == 0 && n < 64 &&
            strcmp(s->test, bg_row_text(row, BG_COL_TEST)) == 0 &&
            strcmp(s->isa, bg_row_text(row, BG_COL_ISA)) == 0 &&
            s->threads == bg_row_number(row, BG_COL_THREADS))
            speeds[n++] = s->tokens / s->seconds;
    }
    if (samples && n) {
        double middle = bg_row_number(other, BG_COL_TPS);
        size_t below = 0, above = 0;
        assert_true(bg_row_number(other, BG_COL_REPS) == (double)n);
        for (size_t k = 0; k < n; k++) below += speeds[k] < middle * (1 - 1e-9), above +=
            speeds[k] > middle * (1 + 1e-9);
        assert_true(below <= n / 2 && above <= n / 2);
    } else if (n == 0) {
        assert_true(alike(bg_row_number(row, BG_COL_TPS), bg_row_number(other, BG_COL_TPS)));
        assert_false(bg_row_has(other, BG_COL_TPS_LOW));
    }
}

static void llama_bench_round_trip(void **state)
{
    static const char *const formats[] = {"llama-bench-json", "llama-bench-jsonl",
                                          "llama-bench-csv"};
    bg_results *r;
    bg_error err;
    (void)state;
    assert_ok(bg_results_open(&r, BG_FIXTURES "/results/codelet", &err), &err);
    for (size_t f = 0; f < 3; f++) {
        const bg_results *back;
        bg_import *i;
        size_t rows = 0;
        assert_ok(bg_import_new(&i, "somewhere", NULL, &err), &err);
        add_export(i, r, formats[f]);
        back = results_of(i);
        for (size_t k = 0; k < bg_results_row_count(r); k++) {
            bg_measure m[BG_MEASURES];
            const bg_row *row = bg_results_row(r, k);
            if (!bg_row_has(row, BG_COL_TPS) || !bg_row_measures(row, m)) continue;
            check_llama_row(r, back, row, f < 2);
            rows++;
        }
        assert_int_equal(rows, bg_results_row_count(back));
        bg_import_close(&i);
    }
    bg_results_close(&r);
}

#define LLAMA(file, type, more) "{\"build_commit\": \"abc123\", \"build_number\": 4567, " \
    "\"cpu_info\": \"A CPU\", \"model_filename\": \"" file "\", \"model_type\": \"" type "\", " \
    "\"n_threads\": 8, \"n_prompt\": 0, \"n_gen\": 128, \"avg_ts\": 20.5" more "}"

static void llama_bench_files(void **state)
{
    bg_import *i = import_text("[" LLAMA("models/llama-7b-Q4_K_M.gguf", "llama 7B Q4_K - Medium",
        ", \"samples_ns\": [6400000000, 6400000000, 6000000000]") ",\n"
        LLAMA("models/llama-7b.Q8_0.gguf", "llama 7B Q8_0", "") ",\n"
        LLAMA("models/llama-7b-IQ4_XS.gguf", "llama 7B IQ4_XS - 4.25 bpw (guessed)", "") ",\n"
        LLAMA("models/llama-7b-mxfp4.gguf", "llama 7B MXFP4", "") "]\n", NULL);
    const bg_results *r = results_of(i);
    const bg_row *row = bg_results_find(r, "Q4_K_M", "tg128", NULL, 8);
    (void)state;
    assert_int_equal(bg_results_row_count(r), 4);
    assert_non_null(row);
    assert_string_equal(bg_row_text(row, BG_COL_MODEL), "llama-7b");
    assert_true(alike(bg_row_number(row, BG_COL_TPS), 20));
    assert_true(bg_row_number(row, BG_COL_REPS) == 3);
    assert_int_equal(bg_results_sample_count(r), 3);
    assert_non_null(bg_results_find(r, "Q8_0", "tg128", NULL, 8));
    assert_non_null(bg_results_find(r, "IQ4_XS", "tg128", NULL, 8));
    row = bg_results_find(r, "MXFP4", "tg128", NULL, 8);
    assert_non_null(row);
    assert_true(alike(bg_row_number(row, BG_COL_TPS), 20.5));
    assert_non_null(strstr(bg_results_plan(r), "\"engine\": \"llama.cpp\""));
    assert_non_null(strstr(bg_results_plan(r), "\"engine_version\": \"abc123 (4567)\""));
    bg_import_close(&i);
    i = import_text(LLAMA("a.gguf", "llama 7B Q8_0", "") "\n" LLAMA("b.gguf", "llama 7B Q6_K", ""),
                    &(bg_import_options){.engine = "ik_llama.cpp", .model = "c"});
    assert_non_null(strstr(bg_results_plan(results_of(i)), "\"engine\": \"ik_llama.cpp\""));
    assert_string_equal(bg_row_text(bg_results_row(results_of(i), 1), BG_COL_MODEL), "c");
    bg_import_close(&i);
}

static void refusals(void **state)
{
    (void)state;
    assert_refused("", "f: row 1", "empty");
    assert_refused("[\n{},\n3]", "f: line 2", "neither");
    assert_refused("[\n\n[]]", "f: line 3", "not a JSON object");
    assert_refused("{\"n_prompt\": 1,\n\"n_gen\": ]}", "f: line 2", "not JSON");
    assert_refused("[{\"n_prompt\": 0}", "f: line 1", "neither n_prompt");
    assert_refused("[" LLAMA("a.gguf", "llama 7B Q8_0", ""), "f: line 1", "ends inside");
    assert_refused(LLAMA("a.gguf", "x", "") "\n" LLAMA("a.gguf", "x", ""), "f: line 2",
                   "same cell");
    assert_refused(LLAMA("a.gguf", "llama 7B F16", "") "\n" LLAMA("b.gguf", "llama 7B Q8_0", ""),
                   "f: line 2", "--model");
    assert_refused(LLAMA("a.gguf", "x", ", \"samples_ns\": [1, 0]"), "f: line 1",
                   "impossible time");
    assert_refused(LLAMA("a.gguf", "x", ", \"samples_ns\": [\"1\"]"), "f: line 1",
                   "impossible time");
    assert_refused(LLAMA("a.gguf", "x", ", \"model_size\": -1"), "f: line 1", "no count");
    assert_refused(LLAMA("a.gguf", "x", ", \"model_size\": 1e300"), "f: line 1", "no count");
    assert_refused(LLAMA("a.gguf", "x", ", \"isa\": 3"), "f: line 1", "no text");
    assert_refused(LLAMA("a.gguf", "x", ", \"n_gen\": 3"), "f: line 1", "duplicate");
    assert_refused("{\"name\": \"-/s/tg8/-/t1/tps\", \"unit\": \"tokens/s\", \"value\": 1}\n"
                   LLAMA("b.gguf", "llama 7B Q8_0", ""), "f: line 2", "--model");
    assert_refused("a,b\n1,2\n", "f: line 2", "n_prompt");
    assert_refused("n_prompt,n_gen\n1,2,3\n", "f: row 2", "llama-bench");
    assert_refused("n_prompt,n_gen\n1,x\n", "f: line 2", "no number");
    assert_refused("[{\"name\": \"a\", \"unit\": \"b\", \"value\": 1}]", "f: line 1",
                   "of the form");
    assert_refused("[{\"name\": \"m/s/tg8/-/t1/tps\", \"unit\": \"s\", \"value\": 1}]", "f: line 1",
                   "unit");
    assert_refused("[{\"name\": \"m/s/tg8/-/t1/tps\", \"unit\": \"tokens/s\", \"value\": -1}]",
                   "f: line 1", "impossible");
    assert_refused("[{\"name\": \"m/s/tg8/-/t1/model\", \"unit\": \"1\", \"value\": 1}]",
                   "f: line 1", "of the form");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(action_benchmark_round_trip), cmocka_unit_test(llama_bench_round_trip),
        cmocka_unit_test(llama_bench_files), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
