/* Two folders are checked for being comparable, paired cell by cell, and judged. */
#include "compare/compare.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { BASE, NEW, SIDES, CONFIRMED = SIDES, SOURCES, MAX_METRICS = 32 };
static const double LEVEL = 0.95;

typedef struct state {
    const bg_results *results[SOURCES];    /* the third may be NULL */
    bg_origin origin[SOURCES];
    bg_comparison *c;
    bg_floors *floors;
    bg_series (*series)[SIDES];            /* of each cell of c */
    bg_metric metrics[MAX_METRICS];
    size_t n_metrics, n_notes, capacity, unpaired_capacity;
    uint64_t seed;
    uint32_t resamples;
} state;

static void note(state *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(state *s, const char *format, ...)
{
    va_list ap;
    if (s->n_notes == BG_COUNT(s->c->notes)) return;
    va_start(ap, format);
    vsnprintf(s->c->notes[s->n_notes++], sizeof s->c->notes[0], format, ap);
    va_end(ap);
}

/* Metrics. */

static bg_status add_metric(state *s, const char *name, bg_error *err)
{
    const char *known[BG_COL_COUNT], *near;
    bg_metric m;
    size_t n = 0;
    for (int c = 0; c < BG_COL_COUNT; c++) {
        const char *column = bg_column_get((bg_column)c)->name;
        if (!bg_metric_find((bg_column)c, &m)) continue;
        known[n++] = column;
        if (strcmp(column, name) != 0) continue;
        if (s->n_metrics == MAX_METRICS)
            return bg_fail(err, BG_ERR_INPUT, "--metric", "lists over %d metrics", MAX_METRICS);
        s->metrics[s->n_metrics++] = m;
        return BG_OK;
    }
    near = bg_nearest(name, known, n);
    return bg_fail(err, BG_ERR_INPUT, "--metric", "'%s' is no column that can be compared%s%s%s",
                   name, near ? ": did you mean " : ": tps, ttft_ms, rss_bytes, ppl and others of "
                   "profiles/results-schema.md can", near ? near : "", near ? "?" : "");
}

/* Speed, and what is counted in place of it where speed is not to be trusted. */
static const char usual_metrics[] = "tps,sim_instructions";

static bg_status take_metrics(state *s, const char *list, bg_error *err)
{
    char word[64];
    for (list = list ? list : usual_metrics; *list;) {
        size_t n = strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", (int)BG_MIN(n, sizeof word), list);
        if (n) BG_TRY(add_metric(s, word, err));
        list += n + (list[n] == ',');
    }
    if (s->n_metrics == 0) return bg_fail(err, BG_ERR_INPUT, "--metric", "the list is empty");
    return BG_OK;
}

/* May they be compared? */

static bg_status refuse(const state *s, const char *what, const char *a, const char *b,
                        bg_error *err)
{
    return bg_fail(err, BG_ERR_INPUT, s->c->dir[NEW], "was measured on another %s (%s) than %s "
                   "(%s): give --cross-machine to compare shares of the roof", what, b,
                   s->c->dir[BASE], a);
}

static const char *machine_name(const bg_origin *o, char *out, size_t size)
{
    snprintf(out, size, "%s, %g cores", o->cpu[0] ? o->cpu : "unknown", o->cores);
    return out;
}

static bg_status check_machines(state *s, bg_error *err)
{
    char a[160], b[160];
    for (int i = 0; i < SIDES; i++)
        if (!s->origin[i].machine[0]) {
            note(s, "%s does not name its machine: that both were measured on one is taken on "
                 "trust.", s->c->dir[i]);
            return BG_OK;
        }
    if (strcmp(s->origin[BASE].machine, s->origin[NEW].machine) == 0) return BG_OK;
    machine_name(&s->origin[BASE], a, sizeof a);
    machine_name(&s->origin[NEW], b, sizeof b);
    if (!s->c->cross_machine) return refuse(s, "machine", a, b, err);
    note(s, "Different machines (%s; %s): tokens/s are compared as shares of their roofs.", a, b);
    return BG_OK;
}

static bg_status check_engines(state *s, bg_error *err)
{
    const char *a = s->origin[BASE].engine, *b = s->origin[NEW].engine;
    if (strcmp(a, b) == 0) return BG_OK;
    if (!s->c->cross_machine) return refuse(s, "engine", a, b, err);
    note(s, "Different engines: %s and %s.", a, b);
    return BG_OK;
}

/* Unknown on both sides is the same. */
static bool same_number(const bg_row *a, const bg_row *b, bg_column c)
{
    double x = bg_row_number(a, c), y = bg_row_number(b, c);
    return x == y || (isnan(x) && isnan(y));
}

static bg_status check_models(const state *s, int x, int y, bg_error *err)
{
    const bg_results *r[] = {s->results[x], s->results[y]};
    const bg_row *a, *b;
    if (bg_results_row_count(r[0]) == 0 || bg_results_row_count(r[1]) == 0)
        return bg_fail(err, BG_ERR_INPUT, bg_results_dir(r[bg_results_row_count(r[0]) ? 1 : 0]),
                       "holds no results: let the sweep finish");
    a = bg_results_row(r[0], 0);
    b = bg_results_row(r[1], 0);
    if (bg_same_text(bg_row_text(a, BG_COL_MODEL), bg_row_text(b, BG_COL_MODEL)) &&
        same_number(a, b, BG_COL_MODEL_PARAMS))
        return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, bg_results_dir(r[1]),
                   "holds another model (%s) than %s (%s): compare sweeps of one model",
                   bg_row_text(b, BG_COL_MODEL), bg_results_dir(r[0]),
                   bg_row_text(a, BG_COL_MODEL));
}

/* What was measured again must be of the same model and machine as what it stands for. */
static bg_status check_confirmed(state *s, bg_error *err)
{
    char was[160], is[160];
    const bg_results *confirmed = s->results[CONFIRMED];
    if (!confirmed) return BG_OK;
    BG_TRY(check_models(s, NEW, CONFIRMED, err));
    if (s->origin[NEW].machine[0] &&
        strcmp(s->origin[NEW].machine, s->origin[CONFIRMED].machine) != 0)
        return bg_fail(err, BG_ERR_INPUT, bg_results_dir(confirmed), "was measured on another "
                       "machine (%s) than %s (%s): confirm there",
                       machine_name(&s->origin[CONFIRMED], is, sizeof is), s->c->dir[NEW],
                       machine_name(&s->origin[NEW], was, sizeof was));
    note(s, "%zu cells were measured again, and are judged by that (%s).",
         bg_results_row_count(confirmed), bg_results_dir(confirmed));
    return BG_OK;
}

/* Pairs. */

static bool is_ok(const bg_row *row)
{
    return row && !bg_same_text(bg_row_text(row, BG_COL_STATUS), "failed");
}

/* The same cell in one of the folders. */
static const bg_row *partner(const state *s, int source, const bg_row *row)
{
    const bg_results *r = s->results[source];
    for (size_t i = 0; r && i < bg_results_row_count(r); i++) {
        const bg_row *other = bg_results_row(r, i);
        if (bg_row_same_cell(row, other)) return other;
    }
    return NULL;
}

static bg_status add_unpaired(state *s, const bg_row *row, int side, bool failed, bg_error *err)
{
    bg_comparison *c = s->c;
    if (c->n_unpaired == s->unpaired_capacity) {
        size_t capacity = BG_MAX(16, 2 * c->n_unpaired);
        bg_unpaired *grown = bg_grow(c->unpaired, capacity, sizeof *grown);
        if (!grown) return bg_fail_nomem(err, "the comparison", capacity * sizeof *grown);
        c->unpaired = grown;
        s->unpaired_capacity = capacity;
    }
    c->unpaired[c->n_unpaired++] = (bg_unpaired){row, side, failed};
    return BG_OK;
}

/* What a value is multiplied with: 100 over the roof across machines. */
static double scale_of(const state *s, const bg_row *row, const bg_metric *m)
{
    if (!s->c->cross_machine || m->column != BG_COL_TPS) return 1;
    return 100 / bg_row_number(row, BG_COL_ROOF_VALUE);
}

static size_t count_outliers(const bg_series *x)
{
    bg_fences f = bg_stats_fences(x->values, x->n);
    size_t n = 0;
    for (size_t i = 0; i < x->n; i++) n += x->values[i] < f.low || x->values[i] > f.high;
    return n;
}

/* Interval, rank test and noise floor from the samples. */
static bg_status measure(state *s, bg_compared *cell, const bg_series x[SIDES], bg_error *err)
{
    if (x[BASE].n == 0 || x[NEW].n == 0) return BG_OK;
    for (int i = 0; i < SIDES; i++) {
        cell->n[i] = x[i].n;
        cell->tainted[i] = x[i].tainted;
        cell->outliers[i] = count_outliers(&x[i]);
        cell->value[i] = bg_quantile(x[i].values, x[i].n, 0.5);
        BG_TRY(bg_floors_add(s->floors, BG_FLOOR_OF_ALL, cell, x[i].values, x[i].n, err));
    }
    if (!bg_stats_ratio(x[BASE].values, x[BASE].n, x[NEW].values, x[NEW].n, LEVEL, s->seed,
                        s->resamples, &cell->ratio))
        return bg_fail_nomem(err, "the bootstrap", x[NEW].n);
    cell->p = bg_stats_differ(x[BASE].values, x[BASE].n, x[NEW].values, x[NEW].n, &cell->ratio, 1);
    return BG_OK;
}

static bg_status grow_cells(state *s, bg_error *err)
{
    bg_comparison *c = s->c;
    size_t capacity = BG_MAX(64, 2 * c->n_cells);
    bg_compared *cells;
    bg_series (*series)[SIDES];
    if (c->n_cells < s->capacity) return BG_OK;
    cells = bg_grow(c->cells, capacity, sizeof *cells);
    if (cells) c->cells = cells;
    series = bg_grow(s->series, capacity, sizeof *series);
    if (series) s->series = series;
    if (!cells || !series) return bg_fail_nomem(err, "the comparison", capacity * sizeof *cells);
    s->capacity = capacity;
    return BG_OK;
}

/* `source` is where the second row and its samples are. */
static bg_status add_cell(state *s, const bg_row *const rows[SIDES], int source,
                          const bg_metric *m, bg_error *err)
{
    bg_compared *cell;
    bg_series *x;
    BG_TRY(grow_cells(s, err));
    x = s->series[s->c->n_cells];
    cell = &s->c->cells[s->c->n_cells++];
    *cell = (bg_compared){.base_row = rows[BASE], .new_row = rows[NEW], .metric = m->column,
                          .exact = m->exact, .p = NAN, .q = NAN, .floor = NAN,
                          .confirmed = source == CONFIRMED};
    cell->own = (bg_own){.ratio = {NAN, NAN, NAN, NAN, NAN, NAN, NAN}, .p = NAN, .q = NAN,
                         .floor = NAN, .spread = NAN, .verdict = BG_VERDICT_INCONCLUSIVE};
    for (int i = 0; i < SIDES; i++) {
        x[i] = (bg_series){0};
        cell->value[i] = bg_row_number(rows[i], m->column) * scale_of(s, rows[i], m);
    }
    cell->ratio = (bg_ratio){.ratio = cell->value[NEW] / cell->value[BASE], .low = NAN, .high = NAN,
                             .tau = NAN};
    if (cell->value[BASE] == cell->value[NEW]) cell->ratio.ratio = 1; /* also 0 and 0 */
    for (int i = 0; i < SIDES && !m->exact; i++)
        BG_TRY(bg_series_take(&x[i], s->results[i == BASE ? BASE : source], rows[i], m,
                              scale_of(s, rows[i], m), err));
    return measure(s, cell, x, err);
}

static bg_status pair_rows(state *s, bg_error *err)
{
    for (size_t i = 0; i < bg_results_row_count(s->results[BASE]); i++) {
        const bg_row *rows[SIDES] = {bg_results_row(s->results[BASE], i), NULL};
        int source = CONFIRMED;
        if (!is_ok(rows[BASE])) continue;
        rows[NEW] = partner(s, source, rows[BASE]);
        if (!rows[NEW]) rows[NEW] = partner(s, source = NEW, rows[BASE]);
        if (!is_ok(rows[NEW])) {
            BG_TRY(add_unpaired(s, rows[BASE], BASE, rows[NEW] != NULL, err));
            continue;
        }
        for (size_t m = 0; m < s->n_metrics; m++)
            if (bg_row_has(rows[BASE], s->metrics[m].column) &&
                bg_row_has(rows[NEW], s->metrics[m].column))
                BG_TRY(add_cell(s, rows, source, &s->metrics[m], err));
    }
    for (size_t i = 0; i < bg_results_row_count(s->results[NEW]); i++) {
        const bg_row *row = bg_results_row(s->results[NEW], i), *other = partner(s, BASE, row);
        if (is_ok(row) && !is_ok(other)) BG_TRY(add_unpaired(s, row, NEW, other != NULL, err));
    }
    if (s->c->n_cells || s->c->n_unpaired == 0) return BG_OK;
    for (size_t i = 0; i < s->c->n_unpaired; i++)
        if (s->c->unpaired[i].side == BASE && s->c->unpaired[i].failed) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, s->c->dir[NEW], "has no cell in common with %s: give both "
                   "sweeps the same schemes, threads, instruction sets and tests", s->c->dir[BASE]);
}

/* Verdicts. */

/* Where a p of a kind is, and its q. */
typedef enum family { WHOLE, OWN, TOGETHER, FAMILIES } family;

static double *p_of(bg_comparison *c, family f, size_t i, double **q)
{
    bg_compared *cell = f == TOGETHER ? &c->together[i].all : &c->cells[i];
    *q = f == OWN ? &cell->own.q : &cell->q;
    return f == OWN ? &cell->own.p : &cell->p;
}

static bg_status adjust_all(bg_comparison *c, bg_error *err)
{
    double *p = bg_alloc(BG_MAX(c->n_cells, 1), 2 * sizeof *p), *q = p + c->n_cells, *to;
    bool done = p != NULL;
    for (int f = 0; f < FAMILIES && done; f++) {
        size_t n = f == TOGETHER ? c->n_together : c->n_cells;
        for (size_t i = 0; i < n; i++) p[i] = *p_of(c, (family)f, i, &to);
        done = bg_stats_adjust(p, n, q);
        for (size_t i = 0; i < n && done; i++) {
            p_of(c, (family)f, i, &to);
            *to = q[i];
        }
    }
    bg_free(p);
    return done ? BG_OK : bg_fail_nomem(err, "the comparison", c->n_cells * sizeof *p);
}

/* How the others scatter shows how far identical work differs in these very folders; a calibration
 * does so for the machine. Both rest on few, and their mean square is surer than either. Only
 * without the first, parts of the samples are asked. */
static void take_floors(state *s, bg_compared *cell)
{
    bg_own *own = &cell->own;
    if (cell->exact) return;
    cell->floor = bg_floors_get(s->floors, BG_FLOOR_OF_ALL, cell, &cell->floor_source);
    if (own->others == 0) return;
    own->floor = bg_floors_get(s->floors, BG_FLOOR_OF_OWN, cell, &own->floor_source);
    if (isnan(own->spread)) return;
    own->floor = own->floor_source == BG_FLOOR_MACHINE
                 ? sqrt((own->floor * own->floor + own->spread * own->spread) / 2) : own->spread;
    if (own->floor_source != BG_FLOOR_MACHINE) own->floor_source = BG_FLOOR_SAMPLES;
}

/* What the cells that go with it did together; NULL: it has no such part. */
static bg_together *together_of(bg_comparison *c, const bg_compared *cell)
{
    for (size_t i = 0; i < c->n_together && cell->own.others; i++)
        if (bg_compared_same_group(&c->together[i].all, cell)) return &c->together[i];
    return NULL;
}

/* Under the highest floor of the cells. */
static void judge_together(state *s)
{
    bg_comparison *c = s->c;
    for (size_t i = 0; i < c->n_cells; i++) {
        bg_together *t = together_of(c, &c->cells[i]);
        if (!t || c->cells[i].floor <= t->all.floor) continue;
        t->all.floor = c->cells[i].floor;
        t->all.floor_source = c->cells[i].floor_source;
    }
    for (size_t i = 0; i < c->n_together; i++)
        bg_judge(&c->together[i].all, c->threshold, c->alpha, 0);
}

static bg_status judge_all(state *s, bg_error *err)
{
    bg_comparison *c = s->c;
    bool estimated = false;
    if (!c->cross_machine)
        BG_TRY(bg_compare_split(c, s->series, s->floors, s->seed, s->resamples, err));
    BG_TRY(adjust_all(c, err));
    for (size_t i = 0; i < c->n_cells; i++) take_floors(s, &c->cells[i]);
    judge_together(s);
    for (size_t i = 0; i < c->n_cells; i++) {
        bg_compared *cell = &c->cells[i];
        const bg_together *t = together_of(c, cell);
        bg_metric m;
        bg_metric_find(cell->metric, &m);
        estimated = estimated || cell->floor_source == BG_FLOOR_SAMPLES;
        bg_judge(cell, c->threshold, c->alpha, m.least);
        bg_judge_own(cell, c->threshold, c->alpha, t && t->all.verdict == BG_VERDICT_WORSE);
        c->counts[cell->verdict]++;
    }
    if (estimated)
        note(s, "Noise floors are estimated from the samples, which do not show how runs far "
             "apart differ: calibrate the machine with `bitgauge probe --noise`.");
    return BG_OK;
}

static bg_status read_floors(state *s, bg_error *err)
{
    for (int i = 0; i < SIDES; i++) {
        const char *text = bg_results_machine(s->results[i]);
        json_t *machine = text ? json_loads(text, 0, NULL) : NULL;
        bg_status status = bg_floors_read(s->floors, machine, err);
        json_decref(machine);
        if (status != BG_OK) return status;
    }
    return BG_OK;
}

static bg_status run(state *s, const bg_compare_options *o, bg_error *err)
{
    for (int i = 0; i < SOURCES; i++)
        if (s->results[i]) BG_TRY(bg_results_origin(s->results[i], &s->origin[i], err));
    BG_TRY(take_metrics(s, o->metrics, err));
    BG_TRY(check_models(s, BASE, NEW, err));
    BG_TRY(check_engines(s, err));
    BG_TRY(check_machines(s, err));
    BG_TRY(check_confirmed(s, err));
    BG_TRY(read_floors(s, err));
    BG_TRY(pair_rows(s, err));
    if (s->c->n_cells == 0 && s->c->n_unpaired == 0)
        return bg_fail(err, BG_ERR_INPUT, s->c->dir[NEW], "nothing to compare: no cell of both "
                       "folders has %s", o->metrics ? o->metrics : "tps or sim_instructions");
    return judge_all(s, err);
}

bg_status bg_compare(bg_comparison **out, const bg_results *base, const bg_results *new_results,
                     const bg_compare_options *o, bg_error *err)
{
    state s = {.results = {base, new_results, o->confirmed}, .seed = o->seed,
               .resamples = o->resamples};
    bg_status status;
    *out = NULL;
    s.c = bg_alloc(1, sizeof *s.c);
    s.floors = bg_floors_new();
    if (s.c && s.floors) {
        s.c->threshold = o->threshold > 0 ? o->threshold : 0.05;
        s.c->alpha = o->alpha > 0 ? o->alpha : BG_STATS_ALPHA;
        s.c->cross_machine = o->cross_machine;
        for (int i = 0; i < SIDES; i++) s.c->dir[i] = bg_results_dir(s.results[i]);
        status = run(&s, o, err);
    } else {
        status = bg_fail_nomem(err, "the comparison", sizeof *s.c);
    }
    for (size_t i = 0; s.c && i < s.c->n_cells && s.series; i++)
        for (int k = 0; k < SIDES; k++) bg_series_fini(&s.series[i][k]);
    bg_free(s.series);
    bg_floors_free(&s.floors);
    if (status == BG_OK) *out = s.c;
    else bg_comparison_close(&s.c);
    return status;
}

void bg_comparison_close(bg_comparison **c)
{
    if (!c || !*c) return;
    bg_free((*c)->cells);
    bg_free((*c)->unpaired);
    bg_free((*c)->together);
    bg_free(*c);
    *c = NULL;
}

const char *bg_compared_verdict(const bg_compared *c)
{
    static const char *const words[BG_VERDICTS][2] = {
        {"better", "faster"}, {"worse", "slower"}, {"same", "same"},
        {"inconclusive", "inconclusive"},
    };
    static const char *const of_time[] = {"tokens/s", "ms", "s", "cycles"};
    bool timed = false;
    for (size_t i = 0; i < BG_COUNT(of_time); i++)
        timed = timed || strcmp(bg_column_get(c->metric)->unit, of_time[i]) == 0;
    return words[c->verdict][timed];
}

bool bg_comparison_regressed(const bg_comparison *c)
{
    bool regressed = c->counts[BG_VERDICT_WORSE] > 0;
    for (size_t i = 0; i < c->n_together; i++)
        regressed = regressed || c->together[i].all.verdict == BG_VERDICT_WORSE;
    for (size_t i = 0; i < c->n_unpaired; i++)
        regressed = regressed || (c->unpaired[i].side == BASE && c->unpaired[i].failed);
    return regressed;
}
