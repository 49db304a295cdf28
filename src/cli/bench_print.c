#include "cli/bench_print.h"

#include "cli/json.h"

#include <math.h>
#include <string.h>

#ifndef BG_BUILD_COMMIT
#define BG_BUILD_COMMIT "unknown"
#define BG_BUILD_NUMBER 0
#endif

static json_t *real_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *count_or_null(double value)
{
    return isfinite(value) ? json_integer((json_int_t)llround(value)) : json_null();
}

/* llama-bench's fields, in its order; what only a GPU has takes the value of a run on CPUs. */
static bool add_fields(json_t *o, const bg_bench_line *l)
{
    char started[32] = "";
    struct tm utc;
    const bg_bench_result *r = l->result;
    if (gmtime_r(&l->started, &utc)) strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    const struct { const char *name; json_t *value; } fields[] = {
        {"build_commit", json_string(BG_BUILD_COMMIT)},
        {"build_number", json_integer(BG_BUILD_NUMBER)},
        {"cpu_info", bg_cli_json_text(l->cpu, strlen(l->cpu))},
        {"gpu_info", json_string("")},
        {"backends", json_string("CPU")},
        {"model_filename", bg_cli_json_text(l->model_path, strlen(l->model_path))},
        {"model_type", bg_cli_json_text(l->model_type, strlen(l->model_type))},
        {"model_size", json_integer((json_int_t)l->model_size)},
        {"model_n_params", json_integer((json_int_t)l->model_params)},
        {"n_batch", json_integer(l->n_batch)},
        {"n_ubatch", json_integer(l->n_ubatch)},
        {"n_threads", json_integer(l->threads)},
        {"cpu_mask", json_string("0x0")},
        {"cpu_strict", json_true()},
        {"poll", json_integer(0)},
        {"type_k", json_string("f16")},
        {"type_v", json_string("f16")},
        {"n_gpu_layers", json_integer(0)},
        {"n_cpu_moe", json_integer(0)},
        {"split_mode", json_string("none")},
        {"main_gpu", json_integer(0)},
        {"no_kv_offload", json_false()},
        {"flash_attn", json_integer(0)},
        {"devices", json_string("auto")},
        {"tensor_split", json_string("0.00")},
        {"tensor_buft_overrides", json_string("none")},
        {"use_mmap", json_boolean(!l->scheme)}, /* load_mode took its place in llama.cpp v0.5.0 */
        {"load_mode", json_string(l->scheme ? "none" : "mmap")},
        {"embeddings", json_false()},
        {"no_op_offload", json_integer(0)},
        {"no_host", json_false()},
        {"repack", json_false()},
        {"fit_target", json_integer(0)},
        {"fit_min_ctx", json_integer(0)},
        {"n_prompt", json_integer(l->test->n_prompt)},
        {"n_gen", json_integer(l->test->n_gen)},
        {"n_depth", json_integer(l->test->depth)},
        {"test_time", json_string(started)},
        {"avg_ns", count_or_null(r->avg_ns)},
        {"stddev_ns", count_or_null(r->stddev_ns)},
        {"avg_ts", real_or_null(r->avg_ts)},
        {"stddev_ts", real_or_null(r->stddev_ts)},
    };
    bool whole = true;
    for (size_t i = 0; i < BG_COUNT(fields); i++)
        whole = json_object_set_new(o, fields[i].name, fields[i].value) == 0 && whole;
    return whole;
}

static bool add_samples(json_t *o, const bg_bench_line *l)
{
    json_t *ns = json_array(), *ts = json_array(), *roof = json_array();
    double tokens = l->test->n_prompt + l->test->n_gen;
    for (uint32_t i = 0; i < l->test->reps; i++) {
        json_array_append_new(ns, count_or_null(l->samples_ns[i]));
        json_array_append_new(ts, real_or_null(tokens / (l->samples_ns[i] * 1e-9)));
        json_array_append_new(roof, real_or_null(l->samples_roof[i]));
    }
    return json_object_set_new(o, "samples_ns", ns) == 0 &&
           json_object_set_new(o, "samples_ts", ts) == 0 &&
           json_object_set_new(o, "samples_roof_ts", roof) == 0;
}

/* What llama-bench does not know. */
static bool add_extras(json_t *o, const bg_bench_line *l)
{
    const bg_bench_result *r = l->result;
    json_t *scheme = l->scheme ? json_string(l->scheme) : json_null();
    bool predicted = r->layers_timed < l->model_layers;
    return json_object_set_new(o, "scheme", scheme) == 0 &&
           json_object_set_new(o, "isa", json_string(bg_isa_name(l->test->isa))) == 0 &&
           json_object_set_new(o, "tier", json_string(r->tier)) == 0 &&
           json_object_set_new(o, "roof", *r->roof ? json_string(r->roof) : json_null()) == 0 &&
           json_object_set_new(o, "roof_ts", real_or_null(r->roof_tps)) == 0 &&
           json_object_set_new(o, "roof_share", real_or_null(r->roof_share)) == 0 &&
           json_object_set_new(o, "roof_condition", real_or_null(r->roof_condition)) == 0 &&
           json_object_set_new(o, "source", json_string(predicted ? "predicted" : "measured")) ==
               0 &&
           json_object_set_new(o, "layers_timed", json_integer(r->layers_timed)) == 0 &&
           json_object_set_new(o, "random_weights", json_boolean(l->shape)) == 0 &&
           json_object_set_new(o, "load_s", real_or_null(l->load_seconds)) == 0 &&
           json_object_set_new(o, "peak_rss", count_or_null(l->peak_rss)) == 0;
}

static json_t *make_object(const bg_bench_line *l, bool samples)
{
    json_t *o = json_object();
    if (o && add_fields(o, l) && (!samples || add_samples(o, l)) && add_extras(o, l)) return o;
    json_decref(o);
    return NULL;
}

static bool dump(const bg_bench_line *l, size_t flags)
{
    json_t *o = make_object(l, true);
    bool done = o && json_dumpf(o, stdout, flags | JSON_REAL_PRECISION(9)) == 0;
    json_decref(o);
    return done;
}

static void nothing(const bg_bench_layout *layout) { (void)layout; }

static void json_begin(const bg_bench_layout *layout)
{
    (void)layout;
    printf("[");
}

static void json_end(const bg_bench_layout *layout)
{
    (void)layout;
    printf("\n]\n");
}

static bool json_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout)
{
    (void)layout;
    printf("%s\n", index ? "," : "");
    return dump(l, JSON_INDENT(2));
}

static bool jsonl_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout)
{
    bool done = dump(l, 0);
    (void)index;
    (void)layout;
    printf("\n");
    return done;
}

static void csv_value(const json_t *value)
{
    const char *text = json_string_value(value);
    putchar('"');
    if (json_is_integer(value)) printf("%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) printf("%.9g", json_real_value(value));
    else if (json_is_boolean(value)) printf("%d", json_is_true(value));
    for (; text && *text; text++) printf(*text == '"' ? "\"\"" : "%c", *text);
    putchar('"');
}

static bool csv_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout)
{
    json_t *o = make_object(l, false), *value;
    const char *name, *comma = "";
    (void)layout;
    if (!o) return false;
    if (index == 0) {
        json_object_foreach(o, name, value) {
            printf("%s%s", comma, name);
            comma = ",";
        }
        printf("\n");
    }
    comma = "";
    json_object_foreach(o, name, value) {
        printf("%s", comma);
        csv_value(value);
        comma = ",";
    }
    printf("\n");
    json_decref(o);
    return true;
}

/* The type of a column, which a value that is unknown does not tell. */
static const char *sql_type(const char *name, const json_t *value)
{
    static const struct { const char *name, *type; } unknown[] = {
        {"avg_ns", "INTEGER"}, {"stddev_ns", "INTEGER"}, {"scheme", "TEXT"}, {"roof", "TEXT"},
        {"peak_rss", "INTEGER"},
    };
    if (json_is_string(value)) return "TEXT";
    if (json_is_integer(value) || json_is_boolean(value)) return "INTEGER";
    for (size_t i = 0; i < BG_COUNT(unknown); i++)
        if (strcmp(unknown[i].name, name) == 0) return unknown[i].type;
    return "REAL";
}

static void sql_value(const json_t *value)
{
    const char *text = json_string_value(value);
    if (json_is_null(value)) printf("NULL");
    else if (json_is_integer(value)) printf("'%lld'", (long long)json_integer_value(value));
    else if (json_is_real(value)) printf("'%.9g'", json_real_value(value));
    else if (json_is_boolean(value)) printf("'%d'", json_is_true(value));
    else {
        putchar('\'');
        for (; *text; text++) printf(*text == '\'' ? "\'\'" : "%c", *text);
        putchar('\'');
    }
}

/* Values in quotes, as llama-bench writes them: SQLite turns them into the column's type. */
static bool sql_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout)
{
    json_t *o = make_object(l, false), *value;
    const char *name, *comma = "";
    (void)layout;
    if (!o) return false;
    if (index == 0) {
        printf("CREATE TABLE IF NOT EXISTS llama_bench (");
        json_object_foreach(o, name, value) {
            printf("%s\n  %s %s", comma, name, sql_type(name, value));
            comma = ",";
        }
        printf("\n);\n\n");
    }
    comma = "INSERT INTO llama_bench (";
    json_object_foreach(o, name, value) {
        printf("%s%s", comma, name);
        comma = ", ";
    }
    comma = ") VALUES (";
    json_object_foreach(o, name, value) {
        printf("%s", comma);
        sql_value(value);
        comma = ", ";
    }
    printf(");\n");
    json_decref(o);
    return true;
}

enum md_column {
    MD_MODEL, MD_SIZE, MD_PARAMS, MD_BACKEND, MD_THREADS, MD_BATCH, MD_UBATCH, MD_TEST, MD_SPEED,
    MD_ROOF, MD_SHARE, MD_CONDITION, MD_LOAD, MD_RSS, MD_COLUMNS
};
/* Characters; less than 0: text, which begins at the left. */
static const struct { const char *title; int width; } md_columns[MD_COLUMNS] = {
    [MD_MODEL] = {"model", -30}, [MD_SIZE] = {"size", 10}, [MD_PARAMS] = {"params", 10},
    [MD_BACKEND] = {"backend", -10}, [MD_THREADS] = {"threads", 7}, [MD_BATCH] = {"n_batch", 7},
    [MD_UBATCH] = {"n_ubatch", 8}, [MD_TEST] = {"test", 15}, [MD_SPEED] = {"t/s", 20},
    [MD_ROOF] = {"roof", 17}, [MD_SHARE] = {"% of roof", 9}, [MD_CONDITION] = {"condition", 9},
    [MD_LOAD] = {"load s", 7}, [MD_RSS] = {"peak RSS", 10},
};

static bool md_shows(const bg_bench_layout *layout, int column)
{
    return (column != MD_BATCH || layout->n_batch) && (column != MD_UBATCH || layout->n_ubatch);
}

static void md_begin(const bg_bench_layout *layout)
{
    static const char dashes[] = "--------------------------------";
    for (int i = 0; i < MD_COLUMNS; i++)
        if (md_shows(layout, i)) printf("| %*s ", md_columns[i].width, md_columns[i].title);
    printf("|\n");
    for (int i = 0; i < MD_COLUMNS; i++) {
        int width = md_columns[i].width;
        if (!md_shows(layout, i)) continue;
        if (width < 0) printf("| %.*s ", -width, dashes);
        else printf("| %.*s: ", width - 1, dashes);
    }
    printf("|\n");
}

static const char *md_size(char *buffer, size_t n, double bytes)
{
    double mib = bytes / 1048576;
    if (isnan(bytes)) buffer[0] = 0;
    else if (mib < 1024) snprintf(buffer, n, "%.2f MiB", mib);
    else snprintf(buffer, n, "%.2f GiB", mib / 1024);
    return buffer;
}

void bg_bench_test_name(char *buffer, size_t size, const bg_bench_test *test)
{
    char prompt[24] = "", gen[24] = "";
    if (test->n_prompt) snprintf(prompt, sizeof prompt, "pp%u", test->n_prompt);
    if (test->n_gen) snprintf(gen, sizeof gen, "tg%u", test->n_gen);
    snprintf(buffer, size, "%s%s%s", prompt, *prompt && *gen ? "+" : "", gen);
}

typedef char md_cell[128];

static void md_fill(md_cell cells[MD_COLUMNS], const bg_bench_line *l, bool predicted)
{
    const bg_bench_result *r = l->result;
    double millions = (double)l->model_params * 1e-6;
    const char *mark = predicted ? " *" : "";
    size_t n = sizeof(md_cell), used;
    snprintf(cells[MD_MODEL], n, "%s", l->model_type);
    md_size(cells[MD_SIZE], n, (double)l->model_size);
    if (millions < 1000) snprintf(cells[MD_PARAMS], n, "%.2f M", millions);
    else snprintf(cells[MD_PARAMS], n, "%.2f B", millions / 1000);
    snprintf(cells[MD_BACKEND], n, "CPU");
    snprintf(cells[MD_THREADS], n, "%d", l->threads);
    snprintf(cells[MD_BATCH], n, "%u", l->n_batch);
    snprintf(cells[MD_UBATCH], n, "%u", l->n_ubatch);
    bg_bench_test_name(cells[MD_TEST], n, l->test);
    used = strlen(cells[MD_TEST]);
    if (l->test->depth) snprintf(cells[MD_TEST] + used, n - used, " @ d%u", l->test->depth);
    if (isnan(r->stddev_ts)) snprintf(cells[MD_SPEED], n, "%.2f%s", r->avg_ts, mark);
    else snprintf(cells[MD_SPEED], n, "%.2f \xc2\xb1 %.2f%s", r->avg_ts, r->stddev_ts, mark);
    snprintf(cells[MD_ROOF], n, "%s", r->roof);
    if (!isnan(r->roof_share)) snprintf(cells[MD_SHARE], n, "%.0f %%", 100 * r->roof_share);
    if (!isnan(r->roof_condition)) snprintf(cells[MD_CONDITION], n, "%.2f", r->roof_condition);
    if (!isnan(l->load_seconds)) snprintf(cells[MD_LOAD], n, "%.2f", l->load_seconds);
    md_size(cells[MD_RSS], n, l->peak_rss);
}

/* Speeds that were predicted are marked, and a last line says from what. */
static bool md_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout)
{
    md_cell cells[MD_COLUMNS] = {""};
    bool predicted = l->result->layers_timed < l->model_layers;
    (void)index;
    if (predicted && (!layout->layers || l->result->layers_timed < layout->layers_timed)) {
        layout->layers_timed = l->result->layers_timed;
        layout->layers = l->model_layers;
    }
    layout->condition = layout->condition || !isnan(l->result->roof_condition);
    md_fill(cells, l, predicted);
    for (int i = 0; i < MD_COLUMNS; i++) {
        int width = md_columns[i].width;
        /* The plus-minus sign is two bytes and one column. */
        if (strchr(cells[i], '\xc2')) width++;
        if (md_shows(layout, i)) printf("| %*s ", width, cells[i]);
    }
    printf("|\n");
    return true;
}

static void md_end(const bg_bench_layout *layout)
{
    if (layout->condition)
        printf("\ncondition: the roof during the test over the roof at the start of the run\n");
    if (layout->layers)
        printf("\n* predicted for the whole model from %u or more of its %u layers\n",
               layout->layers_timed, layout->layers);
    printf("\nbuild: %s (%d)\n", BG_BUILD_COMMIT, BG_BUILD_NUMBER);
}

const bg_bench_printer *bg_bench_printer_find(const char *name)
{
    static const bg_bench_printer printers[] = {
        {"md", md_begin, md_line, md_end},
        {"csv", nothing, csv_line, nothing},
        {"json", json_begin, json_line, json_end},
        {"jsonl", nothing, jsonl_line, nothing},
        {"sql", nothing, sql_line, nothing},
    };
    for (size_t i = 0; i < BG_COUNT(printers); i++)
        if (strcmp(printers[i].name, name) == 0) return &printers[i];
    return NULL;
}
