/* Rows with a speed, as tests of llama-bench. */
#include "exchange/exchange.h"

#include <math.h>
#include <string.h>

/* In batches of so many tokens, as profiles/results-schema.md says of pp tests. */
enum { BATCH = 512 };

static double mean(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return sum / (double)n;
}

static double deviation(const double *v, size_t n)
{
    double m = mean(v, n), sum = 0;
    for (size_t i = 0; i < n; i++) sum += (v[i] - m) * (v[i] - m);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : (double)NAN;
}

/* ns: times, and room for as many speeds behind them. Without samples the median of the row stands
 * for the mean. */
static void summarise(bg_llama_test *t, const bg_row *row, double *ns, size_t n)
{
    double tokens = (double)(t->n_prompt + t->n_gen);
    t->avg_ts = bg_row_number(row, BG_COL_TPS);
    t->avg_ns = 1e9 * tokens / t->avg_ts;
    t->stddev_ns = t->stddev_ts = NAN;
    if (n == 0) return;
    for (size_t i = 0; i < n; i++) ns[n + i] = tokens / (ns[i] * 1e-9);
    t->samples_ns = ns;
    t->n_samples = n;
    t->avg_ns = mean(ns, n);
    t->stddev_ns = deviation(ns, n);
    t->avg_ts = mean(ns + n, n);
    t->stddev_ts = deviation(ns + n, n);
}

static bool add_extras(json_t *o, const bg_row *row)
{
    json_t *source = bg_json_text(bg_row_text(row, BG_COL_SOURCE));
    bool whole = json_object_set_new(o, "source", source) == 0;
    for (size_t i = 0; i < BG_LLAMA_EXTRAS; i++) {
        const bg_llama_extra *extra = &bg_llama_extras[i];
        bg_column_type type = bg_column_get(extra->column)->type;
        double number = type == BG_TYPE_TEXT ? (double)NAN : bg_row_number(row, extra->column);
        json_t *value = type == BG_TYPE_TEXT  ? bg_json_text(bg_row_text(row, extra->column))
                        : type == BG_TYPE_INT ? bg_json_count(number)
                                              : bg_json_real(number / extra->factor);
        whole = json_object_set_new(o, extra->name, value) == 0 && whole;
    }
    return whole;
}

static void describe(bg_llama_test *t, const bg_row *row, const bg_origin *origin)
{
    const struct { long long *to; bg_column column; } counts[] = {
        {&t->n_threads, BG_COL_THREADS}, {&t->n_prompt, BG_COL_N_PROMPT},
        {&t->n_gen, BG_COL_N_GEN}, {&t->n_depth, BG_COL_DEPTH}};
    const char *version = bg_row_text(row, BG_COL_ENGINE_VER);
    if (!version) version = origin->version[0] ? origin->version : "unknown";
    *t = (bg_llama_test){.build_commit = version,
                         .cpu = origin->cpu[0] ? origin->cpu : "unknown", .load_mode = "none",
                         .test_time = origin->created, .n_batch = BATCH, .n_ubatch = BATCH};
    t->model_filename = origin->model_file[0] ? origin->model_file : bg_row_text(row, BG_COL_MODEL);
    t->model_size = bg_row_number(row, BG_COL_WEIGHT_BYTES);
    t->model_params = bg_row_number(row, BG_COL_MODEL_PARAMS);
    for (size_t i = 0; i < BG_COUNT(counts); i++) {
        double value = bg_row_number(row, counts[i].column);
        *counts[i].to = isnan(value) ? 0 : (long long)value;
    }
}

static json_t *make_record(const bg_results *r, const bg_row *row, const bg_origin *origin)
{
    const bg_sample **samples;
    char type[128];
    bg_llama_test t;
    json_t *o = NULL;
    double *ns;
    size_t n;
    describe(&t, row, origin);
    bg_llama_model_type(type, sizeof type, "llama", isnan(t.model_params) ? 0 : t.model_params,
                        bg_scheme_find(bg_row_text(row, BG_COL_SCHEME)));
    t.model_type = type;
    if (!bg_cell_samples(r, row, &samples, &n)) return NULL;
    ns = bg_alloc(2 * n + 1, sizeof *ns);
    if (ns) {
        for (size_t i = 0; i < n; i++) ns[i] = samples[i]->seconds * 1e9;
        summarise(&t, row, ns, n);
        o = bg_llama_test_object(&t);
    }
    bg_free(ns);
    bg_free(samples);
    if (o && add_extras(o, row)) return o;
    json_decref(o);
    return NULL;
}

static bg_status write(const bg_results *r, FILE *f, const char *format, bg_error *err)
{
    const bg_records *records = bg_records_find(format);
    bg_origin origin;
    size_t n = 0;
    BG_TRY(bg_results_origin(r, &origin, err));
    records->begin(f);
    for (size_t i = 0; i < bg_results_row_count(r); i++) {
        const bg_row *row = bg_results_row(r, i);
        bg_measure measures[BG_MEASURES];
        json_t *o;
        bool done;
        if (!bg_row_has(row, BG_COL_TPS) || bg_row_measures(row, measures) == 0) continue;
        o = make_record(r, row, &origin);
        done = o && records->put(f, o, n++, BG_EXPORT_DIGITS);
        json_decref(o);
        if (!done) return bg_export_failed(f, err);
    }
    records->end(f);
    return ferror(f) ? bg_export_failed(f, err) : BG_OK;
}

#define EXPORT(format)                                                                   \
    bg_status bg_export_llama_##format(const bg_results *r, FILE *f, bg_error *err)      \
    {                                                                                    \
        return write(r, f, #format, err);                                                \
    }
EXPORT(json)
EXPORT(jsonl)
EXPORT(csv)
EXPORT(sql)
