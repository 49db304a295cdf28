#include "history/history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double ALPHA = 0.01, FLOOR = 0.02;
enum { SEED = 1, COURSE = 40, LONGEST = 500 };

static bool passes(const char *wanted, const char *has)
{
    return !wanted || strcmp(wanted, has) == 0;
}

static bool selected(const bg_history_row *r, const bg_history_filter *f)
{
    return strcmp(r->metric, f->metric ? f->metric : "tps") == 0 && passes(f->scheme, r->scheme) &&
           passes(f->test, r->test) && passes(f->isa, r->isa) && passes(f->machine, r->machine) &&
           passes(f->branch, r->branch) && r->value > 0;
}

/* All that makes a series, the scheme last. */
static int compare_keys(const bg_history_row *a, const bg_history_row *b, bool scheme)
{
    const char *const x[] = {a->machine, a->engine, a->model, a->metric, a->isa, a->threads,
                             a->test};
    const char *const y[] = {b->machine, b->engine, b->model, b->metric, b->isa, b->threads,
                             b->test};
    for (size_t i = 0; i < BG_COUNT(x); i++) {
        int order = strcmp(x[i], y[i]);
        if (order) return order;
    }
    return scheme ? strcmp(a->scheme, b->scheme) : 0;
}

bool bg_history_neighbours(const bg_history_series *a, const bg_history_series *b)
{
    return compare_keys(a->rows[0], b->rows[0], false) == 0;
}

/* Rows of a series are neighbours after sorting, in the order of time; those of other schemes of
 * the same kind too, ordered by their first appearance. */
typedef struct item { const bg_history_row *row; size_t first; } item;

static int compare_items(const void *pa, const void *pb)
{
    const item *a = pa, *b = pb;
    int order = compare_keys(a->row, b->row, false);
    if (order) return order;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

/* Sorting by series first tells where each begins. */
static int compare_series(const void *pa, const void *pb)
{
    const item *a = pa, *b = pb;
    int order = compare_keys(a->row, b->row, true);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

static size_t order_items(item *items, size_t n, const bg_history_row *base)
{
    size_t series = 0;
    qsort(items, n, sizeof *items, compare_series);
    for (size_t i = 0; i < n; i++) {
        bool begins = i == 0 || compare_keys(items[i - 1].row, items[i].row, true) != 0;
        series += begins;
        items[i].first = begins ? (size_t)(items[i].row - base) : items[i - 1].first;
    }
    qsort(items, n, sizeof *items, compare_items);
    return series;
}

/* The newest values: what was long ago changed long ago. */
static bool fill_series(bg_history_series *s, const item *items, size_t n, double alpha,
                        double floor)
{
    double known = NAN;
    if (n > LONGEST) {
        items += n - LONGEST;
        n = LONGEST;
    }
    s->rows = bg_alloc(n, sizeof *s->rows);
    s->values = bg_alloc(n, sizeof *s->values);
    if (!s->rows || !s->values) return false;
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        s->rows[i] = items[i].row;
        s->values[i] = items[i].row->value;
        if (items[i].row->floor > 0) known = fmax(items[i].row->floor, isnan(known) ? 0 : known);
    }
    s->floor = isnan(known) ? floor : known;
    return bg_stats_changes(s->values, n, alpha, s->floor, SEED, &s->changes, &s->n_changes);
}

bg_status bg_history_follow(bg_history_trend **out, const bg_history *h, const bg_history_filter *f,
                            double alpha, double floor, bg_error *err)
{
    bg_history_trend *t = bg_alloc(1, sizeof *t);
    item *items = bg_alloc(h->n + 1, sizeof *items);
    size_t n = 0, series = 0;
    bool whole = t && items;
    *out = NULL;
    for (size_t i = 0; i < h->n && whole; i++)
        if (selected(&h->rows[i], f)) items[n++].row = &h->rows[i];
    if (whole && n) series = order_items(items, n, h->rows);
    if (whole) t->series = bg_alloc(series + 1, sizeof *t->series);
    whole = whole && t->series;
    for (size_t from = 0, to; from < n && whole; from = to) {
        to = from + 1;
        while (to < n && compare_keys(items[from].row, items[to].row, true) == 0) to++;
        whole = fill_series(&t->series[t->n++], items + from, to - from, alpha > 0 ? alpha : ALPHA,
                            floor > 0 ? floor : FLOOR);
    }
    bg_free(items);
    if (!whole) {
        bg_history_trend_close(&t);
        return bg_fail_nomem(err, "trends", h->n * sizeof *items);
    }
    if (n == 0) {
        bg_history_trend_close(&t);
        return bg_fail(err, BG_ERR_INPUT, h->dir, "has no such number: see `bitgauge history list` "
                       "and `show`");
    }
    *out = t;
    return BG_OK;
}

void bg_history_trend_close(bg_history_trend **trend)
{
    bg_history_trend *t = trend ? *trend : NULL;
    if (!t) return;
    for (size_t i = 0; i < t->n; i++) {
        bg_free(t->series[i].rows);
        bg_free(t->series[i].values);
        bg_stats_free_changes(t->series[i].changes);
    }
    bg_free(t->series);
    bg_free(t);
    *trend = NULL;
}

/* The last COURSE values in eight heights. */
static void put_course(const bg_history_series *s, bg_text *t)
{
    static const char *const heights[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    size_t from = s->n > COURSE ? s->n - COURSE : 0;
    double low = INFINITY, high = 0;
    for (size_t i = from; i < s->n; i++) {
        low = fmin(low, s->values[i]);
        high = fmax(high, s->values[i]);
    }
    /* At least the noise floor to each side, so that noise does not look like a change. */
    low = fmin(low, (low + high) / 2 * (1 - s->floor));
    high = fmax(high, (low + high) / 2 * (1 + s->floor));
    for (size_t i = from; i < s->n; i++)
        bg_text_puts(t, heights[(size_t)fmin(7, 8 * (s->values[i] - low) / (high - low))]);
}

static void put_series(const bg_history_series *s, bg_text *t)
{
    size_t last = s->n_changes ? s->changes[s->n_changes - 1].at : 0;
    const bg_history_row *r = s->rows[s->n - 1];
    bg_text_printf(t, "  %-10.31s %10.5g %-9s %4zu runs  ", r->scheme,
                   bg_quantile(s->values + last, s->n - last, 0.5), r->unit, s->n);
    put_course(s, t);
    bg_text_puts(t, "\n");
    for (size_t i = 0; i < s->n_changes; i++) {
        const bg_change *c = &s->changes[i];
        const bg_history_row *at = s->rows[c->at];
        double change = 100 * (c->after / c->before - 1);
        double gain = r->better * change;
        const char *what = gain > 0 ? "better" : gain < 0 ? "WORSE" : "";
        bg_text_printf(t, "  %10s %+.1f %% %s from %.12s on (%.10s, p %.2g)\n", "", change, what,
                       *at->commit ? at->commit : at->run, at->date, c->p);
    }
}

bg_status bg_history_trend_text(const bg_history_trend *trend, char **text, bg_error *err)
{
    bg_text t = {0};
    *text = NULL;
    for (size_t i = 0; i < trend->n; i++) {
        const bg_history_series *s = &trend->series[i];
        const bg_history_row *r = s->rows[0];
        if (i == 0 || !bg_history_neighbours(&trend->series[i - 1], s))
            bg_text_printf(&t, "%s%s %s of %s, %s%s%s threads, %s on %s (%.8s)\n",
                           i ? "\n" : "", r->test, r->metric, r->model, r->isa, *r->isa ? ", " : "",
                           *r->threads ? r->threads : "?", r->engine, *r->cpu ? r->cpu : "?",
                           r->machine);
        put_series(s, &t);
    }
    if (t.failed) {
        bg_text_fini(&t);
        return bg_fail_nomem(err, "trends", 0);
    }
    *text = t.data;
    return BG_OK;
}
