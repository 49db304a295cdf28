/* Every exporter against what its consumer documents,
 * and what was measured against what comes out. */
#include "test.h"

#include "bitgauge/exchange.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static bg_results *recorded(void)
{
    bg_error err;
    bg_results *r;
    assert_ok(bg_results_open(&r, BG_FIXTURES "/results/codelet", &err), &err);
    return r;
}

static char *export(const bg_results *r, const char *format)
{
    const bg_exporter *e = bg_exporter_find(format);
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    bg_error err;
    assert_non_null(e);
    assert_non_null(f);
    assert_ok(e->write(r, f, &err), &err);
    fclose(f);
    return text;
}

static json_t *export_json(const char *format)
{
    bg_results *r = recorded();
    char *text = export(r, format);
    json_error_t why;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &why);
    if (!root) fail_msg("%s: line %d: %s", format, why.line, why.text);
    free(text);
    bg_results_close(&r);
    return root;
}

/* Types of fields: s text, i integer, n number, b boolean, a array of numbers; upper case: may be
 * missing; a question mark after it: may be null. */
typedef struct field { const char *name, *type; } field;

static bool has_type(const json_t *v, char type)
{
    if (type == 's') return json_is_string(v);
    if (type == 'i') return json_is_integer(v);
    if (type == 'b') return json_is_boolean(v);
    if (type == 'n') return json_is_number(v);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_number(json_array_get(v, i))) return false;
    return json_is_array(v);
}

static void check_fields(const json_t *o, const field *fields, size_t n, bool only)
{
    size_t found = 0;
    assert_true(json_is_object(o));
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_object_get(o, fields[i].name);
        char type = fields[i].type[0];
        bool optional = type >= 'A' && type <= 'Z';
        if (optional) type = (char)(type - 'A' + 'a');
        if (!v && optional) continue;
        found++;
        if (!v) fail_msg("no %s", fields[i].name);
        if (json_is_null(v) && fields[i].type[1] == '?') continue;
        if (!has_type(v, type)) fail_msg("%s has another type", fields[i].name);
    }
    if (only) assert_int_equal(found, json_object_size(o));
}
#define CHECK(o, fields, only) check_fields(o, fields, sizeof(fields) / sizeof(fields)[0], only)

/* benchmark-action/github-action-benchmark, "customBiggerIsBetter": name, unit and value are there,
 * range and extra may be. */
static size_t check_action(const char *format, int better)
{
    static const field fields[] = {
        {"name", "s"}, {"unit", "s"}, {"value", "n"}, {"range", "S"}, {"extra", "S"}};
    json_t *root = export_json(format), *names = json_object();
    size_t n = json_array_size(root);
    assert_true(json_is_array(root) && n > 0);
    for (size_t i = 0; i < n; i++) {
        const json_t *o = json_array_get(root, i);
        const char *name = json_string_value(json_object_get(o, "name")), *metric;
        bool known = false;
        CHECK(o, fields, true);
        metric = strrchr(name, '/') + 1;
        for (int c = 0; c < BG_COL_COUNT; c++) {
            const bg_column_info *info = bg_column_get((bg_column)c);
            if (strcmp(info->name, metric) == 0) known = info->better == better;
        }
        if (!known) fail_msg("%s in %s", name, format);
        assert_null(json_object_get(names, name)); /* the tool compares by name */
        json_object_set_new(names, name, json_true());
    }
    json_decref(names);
    json_decref(root);
    return n;
}

static void action_benchmark(void **state)
{
    (void)state;
    check_action("github-bigger", 1);
    check_action("github-smaller", -1);
}

/* Bencher Metric Format's JSON schema: an object of objects of metrics, which need `value`. Names
 * of benchmarks are up to 1024 characters, of measures up to 64. */
static void bencher(void **state)
{
    static const field fields[] = {{"value", "n"}, {"lower_value", "N"}, {"upper_value", "N"}};
    json_t *root = export_json("bencher"), *benchmark, *metric;
    const char *name, *measure;
    size_t n = 0, intervals = 0;
    (void)state;
    json_object_foreach(root, name, benchmark) {
        assert_true(*name && strlen(name) <= 1024 && json_object_size(benchmark) > 0);
        json_object_foreach(benchmark, measure, metric) {
            double value = json_number_value(json_object_get(metric, "value"));
            const json_t *low = json_object_get(metric, "lower_value");
            assert_true(*measure && strlen(measure) <= 64);
            CHECK(metric, fields, true);
            assert_true(!low || json_number_value(low) <= value);
            assert_true(!low || value <= json_number_value(json_object_get(metric, "upper_value")));
            intervals += low != NULL;
            n++;
        }
    }
    assert_true(n > 100 && intervals > 50);
    json_decref(root);
}

/* Google Benchmark's user guide and its tools: iterations and aggregates of one run_name. */
static void google_benchmark(void **state)
{
    static const field context[] = {{"date", "s"}, {"executable", "s"}, {"num_cpus", "i"},
        {"library_build_type", "s"}};
    static const field common[] = {{"name", "s"}, {"run_name", "s"}, {"run_type", "s"},
        {"family_index", "i"}, {"per_family_instance_index", "i"}, {"repetitions", "i"},
        {"threads", "i"}, {"iterations", "i"}, {"real_time", "n"}, {"cpu_time", "N"},
        {"time_unit", "s"}, {"items_per_second", "n"}, {"repetition_index", "I"},
        {"aggregate_name", "S"}, {"aggregate_unit", "S"}};
    static const char *const names[] = {"mean", "median", "stddev", "cv"};
    json_t *root = export_json("google-benchmark");
    const json_t *all = json_object_get(root, "benchmarks");
    json_int_t rep = 0;
    double sum = 0;
    size_t aggregate = 4, iterations = 0;
    (void)state;
    CHECK(json_object_get(root, "context"), context, false);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *o = json_array_get(all, i);
        double time = json_number_value(json_object_get(o, "real_time"));
        json_int_t n = json_integer_value(json_object_get(o, "repetitions"));
        CHECK(o, common, true);
        assert_string_equal(json_string_value(json_object_get(o, "time_unit")), "ns");
        if (strcmp(json_string_value(json_object_get(o, "run_type")), "iteration") == 0) {
            if (aggregate == 4) rep = 0, sum = 0, aggregate = 0;
            assert_int_equal(json_integer_value(json_object_get(o, "repetition_index")), rep++);
            sum += time;
            iterations++;
            continue;
        }
        assert_int_equal(rep, n); /* all repetitions came before */
        assert_string_equal(json_string_value(json_object_get(o, "aggregate_name")),
                            names[aggregate]);
        if (aggregate == 0) assert_true(fabs(time / (sum / (double)n) - 1) < 1e-12);
        aggregate++;
    }
    assert_int_equal(aggregate, 4);
    assert_true(iterations > 100);
    json_decref(root);
}

/* The names and order of llama-bench's fields in llama.cpp v0.5.0. */
static const char *const llama_fields[] = {
    "build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename",
    "model_type", "model_size", "model_n_params", "n_batch", "n_ubatch", "n_threads", "cpu_mask",
    "cpu_strict", "poll", "type_k", "type_v", "n_gpu_layers", "n_cpu_moe", "split_mode", "main_gpu",
    "no_kv_offload", "flash_attn", "devices", "tensor_split", "tensor_buft_overrides", "use_mmap",
    "load_mode", "embeddings", "no_op_offload", "no_host", "repack", "fit_target", "fit_min_ctx",
    "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns", "avg_ts", "stddev_ts",
};
enum { LLAMA_FIELDS = sizeof llama_fields / sizeof llama_fields[0] };

static void llama_bench(void **state)
{
    static const field fields[] = {{"model_size", "i"}, {"model_n_params", "i"}, {"avg_ns", "i"},
        {"avg_ts", "n"}, {"stddev_ns", "i?"}, {"stddev_ts", "n?"}, {"samples_ns", "a"},
        {"samples_ts", "a"}, {"n_threads", "i"}, {"use_mmap", "b"}, {"test_time", "s"}};
    json_t *root = export_json("llama-bench-json");
    (void)state;
    assert_true(json_array_size(root) > 100);
    for (size_t i = 0; i < json_array_size(root); i++) {
        json_t *o = json_array_get(root, i), *value;
        const char *name;
        size_t k = 0;
        json_object_foreach(o, name, value) {
            if (k < LLAMA_FIELDS) assert_string_equal(name, llama_fields[k]);
            k++;
        }
        CHECK(o, fields, false);
        assert_int_equal(json_array_size(json_object_get(o, "samples_ns")),
                         json_array_size(json_object_get(o, "samples_ts")));
    }
    json_decref(root);
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += *text == '\n';
    return n;
}

static void llama_bench_tables(void **state)
{
    bg_results *r = recorded();
    json_t *root = export_json("llama-bench-json");
    size_t tests = json_array_size(root);
    char *csv = export(r, "llama-bench-csv"), *jsonl = export(r, "llama-bench-jsonl");
    char *sql = export(r, "llama-bench-sql"), *line, *rest = jsonl;
    (void)state;
    assert_int_equal(count_lines(csv), tests + 1);
    for (size_t i = 0; i < tests; i++) {
        json_t *o;
        line = strsep(&rest, "\n");
        o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_true(o && json_equal(o, json_array_get(root, i)));
        json_decref(o);
    }
    assert_string_equal(rest, "");
    rest = csv;
    for (size_t k = 0; k < LLAMA_FIELDS; k++)
        assert_string_equal(strsep(&rest, ","), llama_fields[k]);
    assert_non_null(strstr(sql, "CREATE TABLE IF NOT EXISTS llama_bench (\n"
                                "  build_commit TEXT,\n"));
    assert_non_null(strstr(sql, "  avg_ns INTEGER,\n  stddev_ns INTEGER,\n  avg_ts REAL,\n"));
    free(csv);
    free(jsonl);
    free(sql);
    json_decref(root);
    bg_results_close(&r);
}

/* Text that tries to leave its place. */
static void hostile_text(void **state)
{
    bg_results *r;
    bg_row *row = bg_row_new();
    bg_error err;
    const bg_exporter *e;
    char *sql;
    (void)state;
    assert_ok(bg_results_new(&r, "x", "{\"created\": \"'); DROP TABLE llama_bench; --\"}", &err),
              &err);
    bg_row_set_text(row, BG_COL_SCHEME, "Q4_0");
    bg_row_set_text(row, BG_COL_TEST, "pp8");
    bg_row_set_text(row, BG_COL_MODEL, "a\"b,c\n'; DROP TABLE llama_bench; --");
    bg_row_set_number(row, BG_COL_N_PROMPT, 8);
    bg_row_set_number(row, BG_COL_TPS, 12.5);
    assert_ok(bg_results_add(r, &row, &err), &err);
    sql = export(r, "llama-bench-sql");
    assert_non_null(strstr(sql, "'''); DROP TABLE"));
    assert_non_null(strstr(sql, "''; DROP TABLE"));
    free(sql);
    for (size_t i = 0; (e = bg_exporter_at(i)); i++) {
        char *text = export(r, e->name);
        json_t *o = strstr(e->name, "json") || strstr(e->name, "github") ? json_loads(text, 0, NULL)
                                                                         : json_true();
        assert_non_null(o);
        json_decref(o);
        free(text);
    }
    bg_results_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(action_benchmark), cmocka_unit_test(bencher),
        cmocka_unit_test(google_benchmark), cmocka_unit_test(llama_bench),
        cmocka_unit_test(llama_bench_tables), cmocka_unit_test(hostile_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
