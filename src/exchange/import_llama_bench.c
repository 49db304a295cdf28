/* A test of llama-bench as a cell. */
#include "exchange/exchange.h"

#include "bitgauge/stats.h"
#include "results/store.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { MAX_SAMPLES = 100000 };

typedef struct test {
    const char *filename, *type, *scheme, *isa;
    double threads, prompt, gen, depth, size, params, speed;
    char test_name[32], scheme_name[32], model[256];
} test;

static bg_status read_fields(test *t, const bg_entry *e, bg_error *err)
{
    BG_TRY(bg_entry_text(e, "model_filename", 4096, &t->filename, err));
    BG_TRY(bg_entry_text(e, "model_type", 255, &t->type, err));
    BG_TRY(bg_entry_text(e, "scheme", 31, &t->scheme, err));
    BG_TRY(bg_entry_text(e, "isa", 15, &t->isa, err));
    BG_TRY(bg_entry_count(e, "n_threads", 65536, &t->threads, err));
    BG_TRY(bg_entry_count(e, "n_prompt", 0x1p30, &t->prompt, err));
    BG_TRY(bg_entry_count(e, "n_gen", 0x1p30, &t->gen, err));
    BG_TRY(bg_entry_count(e, "n_depth", 0x1p30, &t->depth, err));
    BG_TRY(bg_entry_count(e, "model_size", 0x1p53, &t->size, err));
    BG_TRY(bg_entry_count(e, "model_n_params", 0x1p53, &t->params, err));
    BG_TRY(bg_entry_number(e, "avg_ts", &t->speed, err));
    if (isnan(t->gen)) t->gen = 0;
    if (isnan(t->depth)) t->depth = 0;
    if (!(t->prompt + t->gen > 0))
        return bg_entry_fail(err, e, "has neither n_prompt nor n_gen");
    if (!t->filename) return bg_entry_fail(err, e, "has no model_filename");
    bg_llama_test_name(t->test_name, sizeof t->test_name, (long long)t->prompt, (long long)t->gen,
                       (long long)t->depth);
    return BG_OK;
}

/* Of a type like "llama 7B MXFP4 MoE" all from the third word on, where it is none of ours. */
static void name_scheme(test *t)
{
    const bg_scheme *scheme = t->type ? bg_llama_scheme_find(t->type) : NULL;
    const char *p = t->type ? t->type : "unknown";
    if (t->scheme) snprintf(t->scheme_name, sizeof t->scheme_name, "%s", t->scheme);
    else if (scheme)
        snprintf(t->scheme_name, sizeof t->scheme_name, "%s", bg_scheme_name(scheme));
    else {
        for (int skip = 0; skip < 2 && strchr(p, ' '); skip++) p = strchr(p, ' ') + 1;
        snprintf(t->scheme_name, sizeof t->scheme_name, "%s", p);
    }
    for (char *c = t->scheme_name; *c; c++)
        if (*c == '/' || *c == ',') *c = '-';
}

/* "models/llama-7b-Q4_K_M.gguf" -> "llama-7b": one model in all its schemes, where the file is of
 * the scheme, and not quantized in memory. */
static void name_model(test *t)
{
    const char *slash = strrchr(t->filename, '/');
    size_t n, s = strlen(t->scheme_name);
    snprintf(t->model, sizeof t->model, "%s", slash && slash[1] ? slash + 1 : t->filename);
    n = strlen(t->model);
    if (n > 5 && strcasecmp(t->model + n - 5, ".gguf") == 0) t->model[n -= 5] = 0;
    if (!t->scheme && n > s + 1 && strcasecmp(t->model + n - s, t->scheme_name) == 0 &&
        strchr("-._", t->model[n - s - 1]))
        t->model[n - s - 1] = 0;
}

/* The engine is told by what only bitgauge writes. */
static bg_status keep_origin(bg_import *i, const test *t, const bg_entry *e, bg_error *err)
{
    const char *commit, *cpu, *time, *model, *engine = i->options.engine;
    char version[96];
    double number;
    BG_TRY(bg_entry_text(e, "build_commit", 64, &commit, err));
    BG_TRY(bg_entry_text(e, "cpu_info", 256, &cpu, err));
    BG_TRY(bg_entry_text(e, "test_time", 31, &time, err));
    BG_TRY(bg_entry_count(e, "build_number", 0x1p31, &number, err));
    snprintf(version, sizeof version, number > 0 ? "%s (%.0f)" : "%s", commit ? commit : "",
             number);
    if (!engine) engine = t->isa ? "bitgauge" : "llama.cpp";
    BG_TRY(bg_import_keep(&i->engine, engine, "engine", e, err));
    BG_TRY(bg_import_keep(&i->version, version, "build", e, err));
    BG_TRY(bg_import_keep(&i->cpu, cpu, "CPU", e, err));
    if (!i->model_file) BG_TRY(bg_import_keep(&i->model_file, t->filename, "model", e, err));
    if (time && !i->created[0]) {
        snprintf(i->created, sizeof i->created, "%s", time);
        bg_text_clean(i->created);
    }
    if (bg_results_row_count(i->results) == 0 || i->options.model) return BG_OK;
    model = bg_row_text(bg_results_row(i->results, 0), BG_COL_MODEL);
    if (model && strcmp(model, t->model) == 0) return BG_OK;
    return bg_entry_fail(err, e, "is of the model '%.80s' where entries before are of '%.80s': "
                         "import them into folders of their own, or say with --model that they "
                         "are one", t->model, model ? model : "");
}

/* Adds the repetitions; *speeds is freed with bg_free. No samples is fine. */
static bg_status take_samples(bg_import *i, const test *t, const bg_entry *e, double **speeds,
                              size_t *n, bg_error *err)
{
    const json_t *all = json_object_get(e->object, "samples_ns");
    bg_sample s = {.threads = isnan(t->threads) ? 0 : (int)t->threads, .tokens = t->prompt + t->gen,
                   .ttft_ms = NAN, .steal_ratio = NAN, .roof_tps = NAN};
    *n = json_is_array(all) ? json_array_size(all) : 0;
    if (*n > MAX_SAMPLES) return bg_entry_fail(err, e, "has over %d samples", MAX_SAMPLES);
    *speeds = bg_alloc(*n + 1, sizeof **speeds);
    if (!*speeds) return bg_fail_nomem(err, e->name, *n * sizeof **speeds);
    snprintf(s.scheme, sizeof s.scheme, "%s", t->scheme_name);
    snprintf(s.test, sizeof s.test, "%s", t->test_name);
    snprintf(s.isa, sizeof s.isa, "%s", t->isa ? t->isa : "");
    bg_text_clean(s.scheme);
    bg_text_clean(s.isa);
    for (int c = 0; c < BG_COUNTER_COUNT; c++) s.counters[c] = NAN;
    for (size_t k = 0; k < *n; k++) {
        double ns = json_number_value(json_array_get(all, k));
        if (!(ns >= 1 && ns < 1e18))
            return bg_entry_fail(err, e, "has an impossible time among its samples_ns");
        s.rep = (uint32_t)k;
        s.position = bg_results_sample_count(i->results);
        s.seconds = ns * 1e-9;
        (*speeds)[k] = s.tokens / s.seconds;
        BG_TRY(bg_results_add_sample(i->results, &s, err));
    }
    return BG_OK;
}

static bg_status set_speed(bg_row *row, const test *t, const double *speeds, size_t n,
                           const bg_entry *e, bg_error *err)
{
    static const char reason[] = "the file has no samples, and its mean stands for the median";
    bg_summary s;
    if (n == 0) {
        if (!(t->speed > 0))
            return bg_entry_fail(err, e, "has neither samples_ns nor a positive avg_ts");
        bg_row_set_number(row, BG_COL_TPS, t->speed);
        if (!bg_row_set_absent(row, BG_COL_TPS_LOW, reason) ||
            !bg_row_set_absent(row, BG_COL_TPS_HIGH, reason))
            return bg_fail_nomem(err, e->name, sizeof reason);
        return BG_OK;
    }
    bg_summarise(speeds, n, 1, 0, &s);
    bg_row_set_number(row, BG_COL_TPS, s.median);
    bg_row_set_number(row, BG_COL_TPS_LOW, s.ci_low);
    bg_row_set_number(row, BG_COL_TPS_HIGH, s.ci_high);
    bg_row_set_number(row, BG_COL_TPS_MIN, s.min);
    bg_row_set_number(row, BG_COL_TPS_MAD, s.mad);
    bg_row_set_number(row, BG_COL_REPS, (double)s.n);
    bg_row_set_number(row, BG_COL_OUTLIERS, (double)s.outliers);
    return BG_OK;
}

static bg_status set_extras(bg_row *row, const bg_entry *e, bg_error *err)
{
    for (size_t k = 0; k < BG_LLAMA_EXTRAS; k++) {
        const bg_llama_extra *extra = &bg_llama_extras[k];
        bg_column_type type = bg_column_get(extra->column)->type;
        const char *text = NULL;
        double number = NAN;
        if (extra->column == BG_COL_SCHEME) continue;
        if (type == BG_TYPE_TEXT) BG_TRY(bg_entry_text(e, extra->name, 47, &text, err));
        else if (type == BG_TYPE_INT) BG_TRY(bg_entry_count(e, extra->name, 65536, &number, err));
        else BG_TRY(bg_entry_number(e, extra->name, &number, err));
        if (text && !bg_row_set_text(row, extra->column, text)) return bg_fail_nomem(err, text, 0);
        if (type != BG_TYPE_TEXT) bg_row_set_number(row, extra->column, number * extra->factor);
    }
    return BG_OK;
}

static bool set_identity(bg_row *row, const test *t)
{
    const bg_scheme *scheme = bg_scheme_find(t->scheme_name);
    bg_row_set_number(row, BG_COL_THREADS, t->threads);
    bg_row_set_number(row, BG_COL_N_PROMPT, t->prompt);
    bg_row_set_number(row, BG_COL_N_GEN, t->gen);
    bg_row_set_number(row, BG_COL_DEPTH, t->depth);
    bg_row_set_number(row, BG_COL_WEIGHT_BYTES, t->size);
    bg_row_set_number(row, BG_COL_MODEL_PARAMS, t->params);
    if (t->params > 0) bg_row_set_number(row, BG_COL_BPW, 8 * t->size / t->params);
    if (scheme) bg_row_set_number(row, BG_COL_LEVEL, bg_scheme_level(scheme));
    return bg_row_set_text(row, BG_COL_SCHEME, t->scheme_name) &&
           bg_row_set_text(row, BG_COL_TEST, t->test_name) &&
           bg_row_set_text(row, BG_COL_MODEL, t->model) &&
           (!scheme || bg_row_set_text(row, BG_COL_SUFFIX, bg_scheme_suffix(scheme)));
}

bg_status bg_import_llama_bench(bg_import *i, const bg_entry *e, bg_error *err)
{
    test t = {.speed = NAN};
    bg_row *row;
    double *speeds = NULL;
    size_t n = 0;
    bg_status status;
    BG_TRY(read_fields(&t, e, err));
    name_scheme(&t);
    if (i->options.model) snprintf(t.model, sizeof t.model, "%s", i->options.model);
    else name_model(&t);
    bg_text_clean(t.model);
    BG_TRY(keep_origin(i, &t, e, err));
    row = bg_row_new();
    if (!row || !set_identity(row, &t)) {
        bg_row_free(&row);
        return bg_fail_nomem(err, e->name, 0);
    }
    status = set_extras(row, e, err);
    if (status == BG_OK && bg_import_find(i, row)) status = bg_import_row(i, &row, e, err);
    if (status == BG_OK) status = take_samples(i, &t, e, &speeds, &n, err);
    if (status == BG_OK) status = set_speed(row, &t, speeds, n, e, err);
    if (status == BG_OK) status = bg_import_row(i, &row, e, err);
    bg_free(speeds);
    bg_row_free(&row);
    return status;
}
