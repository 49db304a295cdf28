#include "cli/bench_print.h"

#include "exchange/llama_bench.h"

#include <math.h>
#include <string.h>

enum { DIGITS = 9 };

#ifndef BG_BUILD_COMMIT
#define BG_BUILD_COMMIT "unknown"
#define BG_BUILD_NUMBER 0
#endif

static json_t *roof_samples(const bg_bench_line *l)
{
    json_t *roof = json_array();
    for (uint32_t i = 0; i < l->test->reps; i++)
        json_array_append_new(roof, bg_json_real(l->samples_roof[i]));
    return roof;
}

/* What llama-bench does not know. */
static bool add_extras(json_t *o, const bg_bench_line *l)
{
    const bg_bench_result *r = l->result;
    bool predicted = r->layers_timed < l->model_layers, whole = true;
    const struct { const char *name; json_t *value; } fields[] = {
        {"samples_roof_ts", roof_samples(l)},
        {"scheme", bg_json_text(l->scheme)},
        {"isa", bg_json_text(l->record ? NULL : bg_isa_name(l->test->isa))},
        {"tier", bg_json_text(r->tier)},
        {"roof", bg_json_text(*r->roof ? r->roof : NULL)},
        {"roof_ts", bg_json_real(r->roof_tps)},
        {"roof_share", bg_json_real(r->roof_share)},
        {"roof_condition", bg_json_real(r->roof_condition)},
        {"source", json_string(predicted ? "predicted" : "measured")},
        {"layers_timed", json_integer(r->layers_timed)},
        {"random_weights", json_boolean(l->shape)},
        {"load_s", bg_json_real(l->load_seconds)},
        {"peak_rss", bg_json_count(l->peak_rss)},
    };
    for (size_t i = 0; i < BG_COUNT(fields); i++)
        whole = json_object_set_new(o, fields[i].name, fields[i].value) == 0 && whole;
    return whole;
}

/* What a peer says of its own run takes the place of what ours would have been. */
static void take_record(json_t *o, const bg_bench_line *l)
{
    json_t *theirs = json_loads(l->record, JSON_DISABLE_EOF_CHECK, NULL), *value;
    const char *key;
    json_object_foreach(theirs, key, value)
        if (json_object_get(o, key) && strncmp(key, "model_", 6) != 0)
            json_object_set(o, key, value);
    json_decref(theirs);
}

static json_t *make_record(const bg_bench_line *l)
{
    const bg_bench_result *r = l->result;
    const char *load_mode = l->scheme && !l->record ? "none" : "mmap";
    char started[32] = "";
    struct tm utc;
    bg_llama_test t = {
        .build_commit = BG_BUILD_COMMIT, .build_number = BG_BUILD_NUMBER, .cpu = l->cpu,
        .model_filename = l->model_path, .model_type = l->model_type, .test_time = started,
        .load_mode = load_mode, .n_batch = l->n_batch, .n_ubatch = l->n_ubatch,
        .n_threads = l->threads, .n_prompt = l->test->n_prompt, .n_gen = l->test->n_gen,
        .n_depth = l->test->depth, .model_size = (double)l->model_size,
        .model_params = (double)l->model_params, .avg_ns = r->avg_ns, .stddev_ns = r->stddev_ns,
        .avg_ts = r->avg_ts, .stddev_ts = r->stddev_ts, .samples_ns = l->samples_ns,
        .n_samples = l->test->reps,
    };
    json_t *o;
    if (gmtime_r(&l->started, &utc)) strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    o = bg_llama_test_object(&t);
    if (o && l->record) take_record(o, l);
    if (o && add_extras(o, l)) return o;
    json_decref(o);
    return NULL;
}

static bool print_record(const bg_bench_line *l, size_t index, const bg_records *records)
{
    json_t *o = make_record(l);
    bool done = o && records->put(stdout, o, index, DIGITS);
    json_decref(o);
    return done;
}

enum md_column {
    MD_MODEL, MD_SIZE, MD_PARAMS, MD_ENGINE, MD_BACKEND, MD_THREADS, MD_BATCH, MD_UBATCH, MD_TEST,
    MD_SPEED, MD_ROOF, MD_SHARE, MD_CONDITION, MD_LOAD, MD_RSS, MD_COLUMNS
};
/* Characters; less than 0: text, which begins at the left. */
static const struct { const char *title; int width; } md_columns[MD_COLUMNS] = {
    [MD_MODEL] = {"model", -30}, [MD_SIZE] = {"size", 10}, [MD_PARAMS] = {"params", 10},
    [MD_ENGINE] = {"engine", -9}, [MD_BACKEND] = {"backend", -10}, [MD_THREADS] = {"threads", 7},
    [MD_BATCH] = {"n_batch", 7}, [MD_UBATCH] = {"n_ubatch", 8}, [MD_TEST] = {"test", 15},
    [MD_SPEED] = {"t/s", 20}, [MD_ROOF] = {"roof", 17}, [MD_SHARE] = {"% of roof", 9},
    [MD_CONDITION] = {"condition", 9}, [MD_LOAD] = {"load s", 7}, [MD_RSS] = {"peak RSS", 10},
};

static bool md_shows(const bg_bench_layout *layout, int column)
{
    return (column != MD_BATCH || layout->n_batch) && (column != MD_UBATCH || layout->n_ubatch) &&
           (column != MD_ENGINE || layout->engine);
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
    snprintf(cells[MD_ENGINE], n, "%s", l->engine);
    snprintf(cells[MD_BACKEND], n, "CPU");
    snprintf(cells[MD_THREADS], n, "%d", l->threads);
    snprintf(cells[MD_BATCH], n, "%u", l->n_batch);
    snprintf(cells[MD_UBATCH], n, "%u", l->n_ubatch);
    bg_llama_test_name(cells[MD_TEST], n, l->test->n_prompt, l->test->n_gen, 0);
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
    if (l->version) snprintf(layout->version, sizeof layout->version, "%s", l->version);
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
    if (layout->version[0]) printf("llama.cpp: %s\n", layout->version);
}

bool bg_bench_layout_find(bg_bench_layout *layout, const char *format)
{
    layout->records = bg_records_find(format);
    return layout->records || strcmp(format, "md") == 0;
}

void bg_bench_print_begin(const bg_bench_layout *layout)
{
    if (layout->records) layout->records->begin(stdout);
    else md_begin(layout);
}

bool bg_bench_print_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout)
{
    return layout->records ? print_record(l, index, layout->records) : md_line(l, index, layout);
}

void bg_bench_print_end(const bg_bench_layout *layout)
{
    if (layout->records) layout->records->end(stdout);
    else md_end(layout);
}
