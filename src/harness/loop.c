/* The loop: it knows cells, clocks and order, and nothing of models. */
#include "harness/harness.h"

#include <math.h>
#include <string.h>

/* Seconds between savings: such that they take that share of the time. A killed sweep loses what
 * came after the last. */
static const double SAVE_SHARE = 0.02, SAVE_SOONEST = 0.5, SAVE_LATEST = 5;
/* A cell is warm when a repetition was not that much faster than the one before. */
static const double WARM_GAIN = 0.05, WARM_SECONDS = 1;
enum { WARM_MOST = 6 };

/* Costs of the kinds of work, learned while they are done, for the time that is left. */
typedef enum phase { LOAD, QUALITY, COUNT, WARM, REPEAT, PHASES } phase;

typedef struct loop {
    bg_plan *plan;
    const bg_runner *runners;    /* by engine */
    bg_results *results;
    bool (*progress)(void *, const bg_sweep_progress *);
    void *user;
    double started, deadline, saved, save_pause;
    uint64_t position;
    double spent[PHASES], guess[PHASES];   /* guess: of one, as long as none is done */
    size_t done[PHASES], total[PHASES];
} loop;

static double now(const loop *e) { return e->runners->now(e->runners->user); }

static const bg_runner *runner_of(const loop *e, const bg_cell *c)
{
    return &e->runners[c->engine];
}

static const char *scheme_name(const loop *e, size_t scheme)
{
    return bg_plan_name(e->plan, scheme);
}

static double seconds_left(const loop *e)
{
    double left = 0, until = e->deadline - now(e);
    for (int i = 0; i < PHASES; i++) {
        int known = i == REPEAT && !e->done[i] ? WARM : i;
        double each = e->done[known] ? e->spent[known] / (double)e->done[known] : e->guess[i];
        double phase_left;
        phase_left = each * (double)(e->total[i] - BG_MIN(e->done[i], e->total[i]));
        if (i == REPEAT) phase_left = BG_MIN(phase_left, BG_MAX(until - left, 0));
        left += phase_left;
    }
    return left;
}

/* The engine is named where there are several. */
static bg_status tell(loop *e, const bg_cell *c, const char *verb, const char *test, bg_error *err)
{
    const char *engine = e->plan->n_engines > 1 ? e->plan->engines[c->engine]->name : "";
    char what[96];
    bg_sweep_progress p = {.what = what};
    double elapsed = now(e) - e->started;
    if (!e->progress) return BG_OK;
    p.seconds_left = seconds_left(e);
    p.fraction = elapsed / BG_MAX(elapsed + p.seconds_left, 1e-9);
    snprintf(what, sizeof what, "%s%s%s%s%s%s%s", verb, *verb ? " " : "",
             scheme_name(e, c->scheme), *test ? " " : "", test, *engine ? ", " : "", engine);
    if (e->progress(e->user, &p)) return BG_OK;
    return bg_fail(err, BG_ERR_INTERRUPTED, bg_results_dir(e->results),
                   "stopped: what was measured is kept; the same command with this --out goes on");
}

/* Puts a finished row in. */
static bg_status put_row(loop *e, const bg_cell *c, bg_row **row, bg_error *err)
{
    runner_of(e, c)->describe(runner_of(e, c)->user, c, *row);
    runner_of(e, c)->derive(runner_of(e, c)->user, c, *row);
    bg_fill_absent(*row, e->plan, c);
    return bg_results_add(e->results, row, err);
}

static bg_status fail_cell(loop *e, bg_cell *c, const bg_error *why, bg_error *err)
{
    bg_row *row = bg_row_new();
    char reason[800];
    bg_status status;
    if (!row) return bg_fail_nomem(err, "results", 0);
    c->done = true;
    snprintf(reason, sizeof reason, "%s%s%s", why->where, why->where[0] ? ": " : "", why->message);
    bg_log(BG_LOG_WARN, "%s %s failed: %s", scheme_name(e, c->scheme), c->test, reason);
    bg_fill_identity(row, e->plan, c);
    bg_row_set_text(row, BG_COL_STATUS, "failed");
    bg_row_set_text(row, BG_COL_REASON, reason);
    status = put_row(e, c, &row, err);
    bg_row_free(&row);
    return status;
}

/* The row of a timed cell from its samples; decides whether it is done. */
static bg_status update_cell(loop *e, bg_cell *c, bool last, bg_error *err)
{
    const bg_plan *p = e->plan;
    bg_row *row = bg_row_new();
    bg_summary s;
    bg_status status;
    if (!row) return bg_fail_nomem(err, "results", 0);
    bg_fill_identity(row, p, c);
    status = bg_fill_samples(row, p, c, e->results, &s, err);
    c->judged = c->reps;
    if (status == BG_OK) {
        c->done = last || s.n >= p->max_reps ||
                  (s.n >= p->min_reps && bg_summary_precision(&s) <= p->precision);
        bg_row_set_number(row, BG_COL_CAPPED,
                          c->done && bg_summary_precision(&s) > p->precision);
        status = put_row(e, c, &row, err);
    }
    bg_row_free(&row);
    return status;
}

/* Intervals take longer than repetitions do. */
static bool is_due(const bg_plan *p, const bg_cell *c)
{
    return c->reps >= p->max_reps ||
           (c->reps >= p->min_reps && c->reps > c->judged + c->judged / 10);
}

/* Rows tell of all samples. */
static bg_status update_all(loop *e, bg_error *err)
{
    for (size_t i = 0; i < e->plan->n_cells; i++) {
        bg_cell *c = &e->plan->cells[i];
        if (!c->done && c->reps != c->judged) BG_TRY(update_cell(e, c, false, err));
    }
    return BG_OK;
}

/* Place of a row's cell in the plan; last for one that is not of the plan, which a folder that
 * was edited may hold. */
static size_t rank(void *user, const bg_row *row)
{
    const loop *e = user;
    size_t i = 0;
    while (i < e->plan->n_cells && !bg_cell_has_row(e->plan, &e->plan->cells[i], row)) i++;
    return i;
}

static bg_status save(loop *e, bool force, bg_error *err)
{
    double begin = now(e), cost;
    bg_status status;
    if (!force && begin - e->saved < e->save_pause) return BG_OK;
    BG_TRY(update_all(e, err));
    bg_results_sort(e->results, rank, e);
    BG_TRY(bg_results_label(e->results, err));
    status = bg_results_save(e->results, err);
    e->saved = now(e);
    cost = e->saved - begin;
    e->save_pause = BG_MIN(BG_MAX(cost / SAVE_SHARE, SAVE_SOONEST), SAVE_LATEST);
    return status;
}

static const bg_row *find_row(const bg_plan *p, const bg_cell *c, const bg_results *r)
{
    for (size_t i = 0; i < bg_results_row_count(r); i++)
        if (bg_cell_has_row(p, c, bg_results_row(r, i))) return bg_results_row(r, i);
    return NULL;
}

/* Whether the samples of a cell are as many and as alike as they were to be. */
static bool is_narrow(const bg_plan *p, const bg_cell *c, const bg_results *r)
{
    bg_row *row = bg_row_new();
    bg_summary s;
    bg_error why;
    bool narrow = row && bg_fill_samples(row, p, c, r, &s, &why) == BG_OK && s.n >= p->min_reps &&
                  bg_summary_precision(&s) <= p->precision;
    bg_row_free(&row);
    return narrow;
}

size_t bg_loop_restore(bg_plan *p, const bg_results *r)
{
    size_t left = 0;
    for (size_t i = 0; i < p->n_cells; i++) {
        bg_cell *c = &p->cells[i];
        const bg_row *row = find_row(p, c, r);
        const char *status = row ? bg_row_text(row, BG_COL_STATUS) : NULL;
        double warm_ups = row ? bg_row_number(row, BG_COL_WARM_UPS) : 0;
        c->warm_ups = warm_ups > 0 && warm_ups < UINT32_MAX ? (uint32_t)warm_ups : 0;
        if (status && strcmp(status, "ok") == 0)
            c->done = !bg_cell_timed(c) || bg_row_number(row, BG_COL_CAPPED) == 1 ||
                      is_narrow(p, c, r);
        left += !c->done;
    }
    return left;
}

/* The phase of a cell that is not timed. */
static phase once(const bg_cell *c) { return c->simulated ? COUNT : QUALITY; }

/* Of each scheme, which engines have it. */
typedef bool loaded_by[BG_ENGINES];

static void count_work(loop *e)
{
    for (size_t s = 0; s < e->plan->n_schemes; s++) {
        loaded_by open = {false};
        for (size_t i = 0; i < e->plan->n_cells; i++) {
            const bg_cell *c = &e->plan->cells[i];
            if (c->scheme != s || c->done) continue;
            if (!open[c->engine]) e->total[LOAD]++;
            open[c->engine] = true;
            if (!bg_cell_timed(c)) {
                e->total[once(c)]++;
            } else {
                e->total[WARM] += 2;
                e->total[REPEAT] += (e->plan->min_reps + e->plan->max_reps) / 2;
            }
        }
    }
}

/* What one of each kind of work may take, from how long a window took. Generating is slower than
 * reading a prompt by about as much as a batch is better for a processor. */
static void guess_costs(loop *e)
{
    enum { SLOWER = 8 };
    const bg_plan *p = e->plan;
    double window = p->window_seconds, tokens = 0;
    size_t n = 0;
    for (int i = 0; i < PHASES; i++) e->guess[i] = 0.5;
    for (size_t i = 0; i < p->n_cells; i++) {
        const bg_cell *c = &p->cells[i];
        if (c->done || !bg_cell_timed(c)) continue;
        tokens += c->n * (c->kind == BG_TEST_PP ? 1.0 : SLOWER) + c->depth;
        n++;
    }
    if (!(window > 0)) return;
    if (n) e->guess[WARM] = e->guess[REPEAT] = window * tokens / (double)n / BG_WINDOW;
    e->guess[QUALITY] = window * p->windows;
}

static bool is_open(const loop *e, const bg_cell *c, size_t group)
{
    return !c->done && e->plan->group[c->scheme] == group;
}

/* Fails the open cells of the same scheme and engine. */
static bg_status fail_alike(loop *e, const bg_cell *like, const bg_error *why, bg_error *err)
{
    size_t scheme = like->scheme, engine = like->engine;
    for (size_t i = 0; i < e->plan->n_cells; i++) {
        bg_cell *c = &e->plan->cells[i];
        if (c->scheme == scheme && c->engine == engine && !c->done)
            BG_TRY(fail_cell(e, c, why, err));
    }
    return BG_OK;
}

static bg_status load_group(loop *e, size_t group, loaded_by loaded[], bg_error *err)
{
    bg_plan *p = e->plan;
    for (size_t i = 0; i < p->n_cells; i++) {
        const bg_cell *c = &p->cells[i];
        double start = now(e);
        bg_error why = {0};
        bg_status status;
        if (!is_open(e, c, group) || loaded[c->scheme][c->engine]) continue;
        BG_TRY(tell(e, c, "quantizing", "", err));
        status = runner_of(e, c)->load(runner_of(e, c)->user, c->scheme, &why);
        if (status == BG_ERR_INTERRUPTED) BG_TRY(tell(e, c, "quantizing", "", err));
        if (status == BG_OK) loaded[c->scheme][c->engine] = true;
        else BG_TRY(fail_alike(e, c, &why, err));
        e->spent[LOAD] += now(e) - start;
        e->done[LOAD]++;
    }
    return BG_OK;
}

/* Fills the row of a cell that is not timed. */
static bg_status run_once(loop *e, const bg_cell *c, bg_row *row, bg_error *err)
{
    if (c->simulated) {
        double per_token[BG_SIM_COUNT];
        BG_TRY(runner_of(e, c)->count(runner_of(e, c)->user, c, per_token, err));
        bg_fill_counts(row, per_token);
    } else {
        bg_quality q;
        BG_TRY(runner_of(e, c)->quality(runner_of(e, c)->user, c, &q, err));
        bg_fill_quality(row, &q);
    }
    return BG_OK;
}

static bg_status measure_once(loop *e, bg_cell *c, bg_error *err)
{
    double start = now(e);
    bg_error why = {0};
    bg_row *row;
    bg_status status;
    BG_TRY(tell(e, c, "", c->test, err));
    row = bg_row_new();
    if (!row) return bg_fail_nomem(err, "results", 0);
    bg_fill_identity(row, e->plan, c);
    status = run_once(e, c, row, &why);
    e->spent[once(c)] += now(e) - start;
    e->done[once(c)]++;
    if (status == BG_OK) {
        c->done = true;
        status = put_row(e, c, &row, err);
    } else {
        status = status == BG_ERR_INTERRUPTED ? tell(e, c, "", c->test, err) : BG_OK;
        if (status == BG_OK) status = fail_cell(e, c, &why, err);
    }
    bg_row_free(&row);
    return status;
}

/* One repetition of one cell, timed (a sample) or not (a warm-up). *seconds is left alone when it
 * fails. */
static bg_status repeat(loop *e, bg_cell *c, bool timed, double *seconds, bg_error *err)
{
    double start = now(e);
    bg_error why = {0};
    bg_sample sample = {.threads = c->threads, .position = e->position, .roof_tps = NAN};
    bg_status status;
    BG_TRY(tell(e, c, "", c->test, err));
    status = runner_of(e, c)->repeat(runner_of(e, c)->user, c, timed, &sample, &why);
    e->spent[timed ? REPEAT : WARM] += now(e) - start;
    e->done[timed ? REPEAT : WARM]++;
    if (status == BG_ERR_INTERRUPTED) BG_TRY(tell(e, c, "", c->test, err));
    if (status != BG_OK) return fail_cell(e, c, &why, err);
    *seconds = sample.seconds;
    if (!timed) return BG_OK;
    snprintf(sample.scheme, sizeof sample.scheme, "%s", scheme_name(e, c->scheme));
    snprintf(sample.engine, sizeof sample.engine, "%s", e->plan->engines[c->engine]->name);
    snprintf(sample.isa, sizeof sample.isa, "%s", bg_cell_isa(e->plan, c));
    snprintf(sample.test, sizeof sample.test, "%s", c->test);
    sample.rep = c->reps++;
    e->position++;
    return bg_results_add_sample(e->results, &sample, err);
}

/* Repeats a cell until that makes it no faster, within bounds. */
static bg_status warm_up(loop *e, bg_cell *c, double deadline, bg_error *err)
{
    double began = now(e), seconds = INFINITY;
    for (int i = 0; i < WARM_MOST && !c->done; i++) {
        double last = seconds;
        BG_TRY(repeat(e, c, false, &seconds, err));
        c->warm_ups++;
        if (seconds >= (1 - WARM_GAIN) * last || now(e) >= BG_MIN(began + WARM_SECONDS, deadline))
            break;
    }
    return BG_OK;
}

/* One window a cell, ahead of its repetitions so that a sweep that runs out of time has it. */
static bg_status meter(loop *e, bg_cell *c, double deadline, bg_error *err)
{
    double start = now(e);
    bg_error why = {0};
    if (c->done || start >= deadline) return BG_OK;
    if (runner_of(e, c)->energy(runner_of(e, c)->user, c, &c->energy, &why) != BG_OK)
        return fail_cell(e, c, &why, err);
    e->spent[WARM] += now(e) - start;
    return BG_OK;
}

/* The cells of a group that are open, in an order that the seed and the position fix. */
static size_t shuffle_open(const loop *e, size_t group, bool first, uint32_t *order)
{
    size_t n = 0;
    bg_rng rng;
    for (size_t i = 0; i < e->plan->n_cells; i++)
        if (is_open(e, &e->plan->cells[i], group) &&
            bg_cell_timed(&e->plan->cells[i]))
            order[n++] = (uint32_t)i;
    bg_rng_seed(&rng, bg_hash(e->plan->seed ^ BG_HASH_INIT, &e->position, sizeof e->position));
    if (!first) bg_rng_shuffle(&rng, order, n);
    return n;
}

static bg_status time_group(loop *e, size_t group, double deadline, uint32_t *order,
                            bg_error *err)
{
    size_t n = shuffle_open(e, group, true, order);
    bool first = true;
    double seconds;
    for (size_t i = 0; i < n; i++) {
        BG_TRY(warm_up(e, &e->plan->cells[order[i]], deadline, err));
        BG_TRY(meter(e, &e->plan->cells[order[i]], deadline, err));
    }
    while ((n = shuffle_open(e, group, false, order)) > 0) {
        for (size_t i = 0; i < n; i++) {
            bg_cell *c = &e->plan->cells[order[i]];
            bool late = now(e) >= deadline;
            if (!late || first) BG_TRY(repeat(e, c, true, &seconds, err));
            if (!c->done && (late || is_due(e->plan, c))) BG_TRY(update_cell(e, c, late, err));
            BG_TRY(save(e, false, err));
        }
        first = false;
    }
    return BG_OK;
}

static bg_status run_group(loop *e, size_t group, double deadline, loaded_by loaded[],
                           uint32_t *order, bg_error *err)
{
    BG_TRY(load_group(e, group, loaded, err));
    for (size_t i = 0; i < e->plan->n_cells; i++) {
        bg_cell *c = &e->plan->cells[i];
        if (bg_cell_timed(c) || !is_open(e, c, group)) continue;
        BG_TRY(measure_once(e, c, err));
        BG_TRY(save(e, false, err));
    }
    return time_group(e, group, deadline, order, err);
}

/* Shares what is left of the time among the groups by their open cells. */
static double group_deadline(const loop *e, size_t group)
{
    size_t here = 0, all = 0;
    for (size_t i = 0; i < e->plan->n_cells; i++) {
        if (e->plan->cells[i].done) continue;
        all++;
        here += e->plan->group[e->plan->cells[i].scheme] == group;
    }
    if (here == 0 || !isfinite(e->deadline)) return e->deadline;
    return now(e) + BG_MAX(e->deadline - now(e), 0) * (double)here / (double)all;
}

/* What earlier runs left. */
static void take_up(loop *e)
{
    for (size_t k = 0; k < e->plan->n_cells; k++)
        e->plan->cells[k].reps = e->plan->cells[k].judged = 0;
    for (size_t i = 0; i < bg_results_sample_count(e->results); i++) {
        const bg_sample *s = bg_results_sample(e->results, i);
        e->position = BG_MAX(e->position, s->position + 1);
        for (size_t k = 0; k < e->plan->n_cells; k++) {
            bg_cell *c = &e->plan->cells[k];
            if (!bg_cell_made(e->plan, c, s)) continue;
            c->reps++;
            c->judged++;
            break;
        }
    }
}

bg_status bg_loop_run(bg_plan *p, const bg_runner *runners, bg_results *r,
                      bool (*progress)(void *, const bg_sweep_progress *), void *user,
                      double started, bg_error *err)
{
    loop e = {.plan = p, .runners = runners, .results = r, .progress = progress, .user = user,
              .started = started,
              .deadline = p->time_limit > 0 ? started + p->time_limit : INFINITY};
    loaded_by loaded[BG_PLAN_MAX_SCHEMES] = {{false}};
    uint32_t *order = bg_alloc(p->n_cells, sizeof *order);
    bg_error ignored;
    bg_status status = BG_OK, saved;
    if (!order) return bg_fail_nomem(err, "the plan", p->n_cells * sizeof *order);
    count_work(&e);
    guess_costs(&e);
    take_up(&e);
    e.saved = now(&e);
    for (size_t g = 0; g < p->n_groups && status == BG_OK; g++) {
        status = run_group(&e, g, group_deadline(&e, g), loaded, order, err);
        saved = update_all(&e, status == BG_OK ? err : &ignored); /* while the models are there */
        if (status == BG_OK) status = saved;
        for (size_t s = 0; s < p->n_schemes; s++)
            for (size_t k = 0; k < p->n_engines; k++)
                if (loaded[s][k]) runners[k].unload(runners[k].user, s);
        memset(loaded, 0, sizeof loaded);
    }
    saved = save(&e, true, status == BG_OK ? err : &ignored);
    bg_free(order);
    return status == BG_OK ? saved : status;
}
