/* Google Benchmark's JSON: a context, and an array of benchmarks: an "iteration" a repetition, and
 * behind those of a cell the aggregates mean, median, stddev and cv. An iteration is a whole
 * test. */
#include "exchange/exchange.h"

#include "bitgauge/stats.h"

#include <math.h>
#include <string.h>

/* What is known of each repetition; CPU time only where it was counted. */
static const struct { const char *name; } values[] = {{"real_time"}, {"cpu_time"},
                                                      {"items_per_second"}};
enum { REAL_TIME, CPU_TIME, SPEED, VALUES };

typedef struct cell {
    const char *name;
    json_int_t family, instance, threads;
    size_t n;
    double *v[VALUES];          /* of the n repetitions; NaN: unknown */
} cell;

static json_t *make_context(const bg_origin *origin, double cores)
{
    json_t *o = json_object();
    bool whole = o && json_object_set_new(o, "date", json_string(origin->created)) == 0 &&
                 json_object_set_new(o, "executable", bg_json_text(origin->engine)) == 0 &&
                 json_object_set_new(o, "num_cpus", bg_json_count(cores)) == 0 &&
                 json_object_set_new(o, "cpu_model", bg_json_text(origin->cpu)) == 0 &&
                 json_object_set_new(o, "library_version", bg_json_text(origin->version)) == 0 &&
                 json_object_set_new(o, "library_build_type", json_string("release")) == 0;
    if (whole) return o;
    json_decref(o);
    return NULL;
}

/* The fields of all entries, then `v` of the values. `aggregate`: NULL for an iteration. */
static bool add_entry(json_t *all, const cell *c, const char *aggregate, size_t rep,
                      const double v[VALUES])
{
    bool ratio = aggregate && strcmp(aggregate, "cv") == 0;
    char name[BG_CELL_NAME + 16];
    json_t *o = json_object();
    bool whole;
    snprintf(name, sizeof name, "%s%s%s", c->name, aggregate ? "_" : "",
             aggregate ? aggregate : "");
    whole = o && json_object_set_new(o, "name", bg_json_text(name)) == 0 &&
            json_object_set_new(o, "family_index", json_integer(c->family)) == 0 &&
            json_object_set_new(o, "per_family_instance_index", json_integer(c->instance)) == 0 &&
            json_object_set_new(o, "run_name", bg_json_text(c->name)) == 0 &&
            json_object_set_new(o, "run_type",
                                json_string(aggregate ? "aggregate" : "iteration")) == 0 &&
            json_object_set_new(o, "repetitions", json_integer((json_int_t)c->n)) == 0 &&
            (aggregate || json_object_set_new(o, "repetition_index",
                                              json_integer((json_int_t)rep)) == 0) &&
            json_object_set_new(o, "threads", json_integer(c->threads)) == 0;
    if (whole && aggregate)
        whole = json_object_set_new(o, "aggregate_name", json_string(aggregate)) == 0 &&
                json_object_set_new(o, "aggregate_unit",
                                    json_string(ratio ? "percentage" : "time")) == 0;
    whole = whole && json_object_set_new(o, "iterations",
                                         json_integer(aggregate ? (json_int_t)c->n : 1)) == 0;
    for (size_t k = 0; k < VALUES && whole; k++)
        whole = isnan(v[k]) || json_object_set_new(o, values[k].name, json_real(v[k])) == 0;
    whole = whole && json_object_set_new(o, "time_unit", json_string("ns")) == 0;
    if (whole) return json_array_append_new(all, o) == 0;
    json_decref(o);
    return false;
}

static bool add_cell(json_t *all, const cell *c)
{
    enum { MEAN, MEDIAN, STDDEV, CV, AGGREGATES };
    static const char *const names[AGGREGATES] = {"mean", "median", "stddev", "cv"};
    double a[AGGREGATES][VALUES];
    for (size_t rep = 0; rep < c->n; rep++) {
        double v[VALUES] = {c->v[REAL_TIME][rep], c->v[CPU_TIME][rep], c->v[SPEED][rep]};
        if (!add_entry(all, c, NULL, rep, v)) return false;
    }
    if (c->n < 2) return true;
    for (size_t k = 0; k < VALUES; k++) {
        bool known = true;
        bg_summary s = {.n = 0};
        for (size_t rep = 0; rep < c->n; rep++) known = known && !isnan(c->v[k][rep]);
        if (known) bg_summarise(c->v[k], c->n, 1, 1, &s);
        a[MEAN][k] = known ? s.mean : (double)NAN;
        a[MEDIAN][k] = known ? s.median : (double)NAN;
        a[STDDEV][k] = known ? s.sd : (double)NAN;
        a[CV][k] = known ? s.sd / s.mean : (double)NAN;
    }
    for (size_t i = 0; i < AGGREGATES; i++)
        if (!add_entry(all, c, names[i], 0, a[i])) return false;
    return true;
}

static bool add_row(json_t *all, const bg_results *r, const bg_row *row, cell *c)
{
    const bg_sample **samples;
    bool done = false;
    if (!bg_cell_samples(r, row, &samples, &c->n)) return false;
    c->v[0] = bg_alloc(VALUES * c->n + 1, sizeof(double));
    for (size_t k = 1; k < VALUES; k++) c->v[k] = c->v[0] ? c->v[0] + k * c->n : NULL;
    for (size_t i = 0; c->v[0] && i < c->n; i++) {
        const double *counters = samples[i]->counters;
        c->v[REAL_TIME][i] = 1e9 * samples[i]->seconds;
        c->v[CPU_TIME][i] =
            1e9 * (counters[BG_COUNTER_USER_TIME] + counters[BG_COUNTER_SYSTEM_TIME]);
        c->v[SPEED][i] = samples[i]->tokens / samples[i]->seconds;
    }
    if (c->v[0]) done = add_cell(all, c);
    bg_free(c->v[0]);
    bg_free(samples);
    return done;
}

bg_status bg_export_google(const bg_results *r, FILE *f, bg_error *err)
{
    bg_origin origin;
    json_t *root, *all, *context;
    cell c = {.family = -1};
    const char *scheme = NULL;
    bool whole;
    BG_TRY(bg_results_origin(r, &origin, err));
    root = json_object();
    all = json_array();
    context = make_context(&origin, origin.cores);
    whole = root && all && json_object_set_new(root, "context", context) == 0;
    for (size_t i = 0; i < bg_results_row_count(r) && whole; i++) {
        const bg_row *row = bg_results_row(r, i);
        bg_measure measures[BG_MEASURES];
        double threads = bg_row_number(row, BG_COL_THREADS);
        char name[BG_CELL_NAME];
        if (!bg_row_has(row, BG_COL_TPS) || bg_row_measures(row, measures) == 0) continue;
        bg_cell_name(name, sizeof name, row);
        c.instance = scheme && strcmp(scheme, bg_row_text(row, BG_COL_SCHEME)) == 0 ? c.instance + 1
                                                                                   : 0;
        c.family += c.instance == 0;
        scheme = bg_row_text(row, BG_COL_SCHEME);
        c.name = name;
        c.threads = isnan(threads) ? 0 : (json_int_t)threads;
        whole = add_row(all, r, row, &c);
    }
    if (whole) whole = json_object_set(root, "benchmarks", all) == 0;
    json_decref(all);
    if (whole) return bg_export_json(f, root, err);
    json_decref(root);
    return bg_export_failed(f, err);
}
