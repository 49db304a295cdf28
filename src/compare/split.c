/* What cells did together, and what each did beside the others. The host of a shared machine gives
 * and takes speed, which moves all cells of an interleaved sweep alike: next to one another in time
 * they are compared with one another. */
#include "compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FEWEST_CELLS = 4,
    NEAR = 4,                       /* at least so many repetitions before and after are looked
                                     * at */
    NEAR_MOST = 32,
    SPREAD_CELLS = 7,               /* of so many others it is known how they scatter */
};
static const double LEVEL = 0.95, FLOOR_LEVEL = 0.99;
static const double MAD_NORMAL = 1.482602218505602;

/* Cells of one metric, kind of test and number of threads, measured in the same folders. */
typedef struct member {
    bg_compared *cell;
    const bg_series *x;             /* of base and new */
    double middle[2];               /* log of the median */
    double *adjusted[2];            /* the values less what disturbed them, in their order */
    double change;                  /* log ratio of medians of those */
} member;

/* One repetition of one of them. */
typedef struct moment { uint64_t position; double deviation; size_t who, at; } moment;

typedef struct group {
    member *members;
    moment *moments;
    double *rounds[2];
    size_t n, n_moments, n_rounds[2];
} group;

static int by_position(const void *a, const void *b)
{
    const moment *x = a, *y = b;
    if (x->position != y->position) return x->position > y->position ? 1 : -1;
    return (x->who > y->who) - (x->who < y->who);
}

/* The middle of a few; they are reordered. NaN for none. */
static double middle_of(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double v = x[i];
        size_t k = i;
        for (; k > 0 && x[k - 1] > v; k--) x[k] = x[k - 1];
        x[k] = v;
    }
    return n ? (x[(n - 1) / 2] + x[n / 2]) / 2 : NAN;
}

/* All repetitions of a folder in the order they were taken. */
static void line_up(group *g, int side)
{
    g->n_moments = 0;
    for (size_t m = 0; m < g->n; m++) {
        const bg_series *x = &g->members[m].x[side];
        for (size_t i = 0; i < x->n; i++)
            g->moments[g->n_moments++] = (moment){
                x->positions[i], log(x->values[i]) - g->members[m].middle[side], m, i};
    }
    qsort(g->moments, g->n_moments, sizeof *g->moments, by_position);
}

/* Divides each repetition by what those of other cells around it say of that time. */
static void adjust(group *g, int side)
{
    size_t half = BG_MIN(BG_MAX(g->n / 2, NEAR), NEAR_MOST);
    double near[2 * NEAR_MOST + 1];
    for (size_t i = 0; i < g->n_moments; i++) {
        const moment *it = &g->moments[i];
        size_t from = i > half ? i - half : 0, to = BG_MIN(i + half + 1, g->n_moments), n = 0;
        for (size_t k = from; k < to; k++)
            if (g->moments[k].who != it->who) near[n++] = g->moments[k].deviation;
        g->members[it->who].adjusted[side][it->at] =
            g->members[it->who].x[side].values[it->at] / exp(n ? middle_of(near, n) : 0);
    }
}

/* As many repetitions in a row as there are cells make a round: how far it is from the median of
 * rounds, times `level`. */
static void take_rounds(group *g, int side, double level, double *scratch)
{
    size_t n = g->n_rounds[side] = g->n_moments / g->n;
    double *rounds = g->rounds[side], middle;
    for (size_t r = 0; r < n; r++) {
        for (size_t k = 0; k < g->n; k++) scratch[k] = g->moments[r * g->n + k].deviation;
        rounds[r] = exp(bg_quantile(scratch, g->n, 0.5));
    }
    middle = bg_quantile(rounds, n, 0.5);
    for (size_t r = 0; r < n; r++) rounds[r] *= level / middle;
}

/* By how much the medians of the cells changed: the median of that. */
static double change_of_all(const group *g, double *scratch)
{
    for (size_t m = 0; m < g->n; m++)
        scratch[m] = g->members[m].middle[1] - g->members[m].middle[0];
    return exp(bg_quantile(scratch, g->n, 0.5));
}

static bool compare_series(const double *const x[2], const size_t n[2], uint64_t seed,
                           uint32_t resamples, double wider, bg_ratio *ratio, double *p)
{
    double by = sqrt(wider);
    if (!bg_stats_ratio(x[0], n[0], x[1], n[1], LEVEL, seed, resamples, ratio)) return false;
    ratio->low = ratio->ratio * pow(ratio->low / ratio->ratio, by);
    ratio->high = ratio->ratio * pow(ratio->high / ratio->ratio, by);
    *p = bg_stats_differ(x[0], n[0], x[1], n[1], ratio, wider);
    return true;
}

/* The median of what the others did, which is as far from what they would have done as pi / 2 over
 * their number says, in variances of one. */
static bool judge_beside(group *g, size_t which, double *others, uint64_t seed, uint32_t resamples)
{
    member *m = &g->members[which];
    bg_own *own = &m->cell->own;
    size_t n = 0, lengths[2] = {m->x[0].n, m->x[1].n};
    double change, wider = 1 + acos(-1) / 2 / (double)(g->n - 1);
    for (size_t k = 0; k < g->n; k++)
        if (k != which) others[n++] = g->members[k].change;
    change = exp(bg_quantile(others, n, 0.5));
    own->others = n;
    for (size_t i = 0; i < m->x[1].n; i++) m->adjusted[1][i] /= change;
    return compare_series((const double *const[]){m->adjusted[0], m->adjusted[1]}, lengths, seed,
                          resamples, wider, &own->ratio, &own->p);
}

static bg_status fill_group(group *g, bg_together *t, bg_floors *f, uint64_t seed,
                            uint32_t resamples, bg_error *err)
{
    double *scratch = bg_alloc(g->n, sizeof *scratch);
    bg_compared *all = &t->all;
    bool done = scratch != NULL;
    bg_status status = BG_OK;
    for (int side = 0; side < 2 && done; side++) {
        line_up(g, side);
        adjust(g, side);
        take_rounds(g, side, side ? change_of_all(g, scratch) : 1, scratch);
    }
    for (size_t m = 0; m < g->n && done; m++) {
        member *one = &g->members[m];
        one->change = log(bg_quantile(one->adjusted[1], one->x[1].n, 0.5) /
                          bg_quantile(one->adjusted[0], one->x[0].n, 0.5));
        for (int side = 0; side < 2 && status == BG_OK; side++)
            status = bg_floors_add(f, BG_FLOOR_OF_OWN, one->cell, one->adjusted[side],
                                   one->x[side].n, err);
    }
    for (size_t m = 0; m < g->n && done; m++) done = judge_beside(g, m, scratch, seed, resamples);
    *t = (bg_together){.cells = g->n, .all = {
        .base_row = g->members[0].cell->base_row, .new_row = g->members[0].cell->new_row,
        .metric = g->members[0].cell->metric, .confirmed = g->members[0].cell->confirmed,
        .n = {g->n_rounds[0], g->n_rounds[1]}, .q = NAN, .floor = NAN}};
    for (int side = 0; side < 2 && done; side++)
        all->value[side] = bg_quantile(g->rounds[side], g->n_rounds[side], 0.5);
    done = done && compare_series((const double *const[]){g->rounds[0], g->rounds[1]}, g->n_rounds,
                                  seed, resamples, 1, &all->ratio, &all->p);
    bg_free(scratch);
    if (!done) return bg_fail_nomem(err, "the comparison", g->n * sizeof *scratch);
    return status;
}

static bool same_threads(const bg_compared *a, const bg_compared *b)
{
    return a->metric == b->metric && a->confirmed == b->confirmed &&
           bg_row_number(a->base_row, BG_COL_THREADS) == bg_row_number(b->base_row, BG_COL_THREADS);
}

/* "pp256" and "pp512" are of a kind. What takes memory bandwidth slows prompts and generation
 * differently. */
bool bg_compared_same_group(const bg_compared *a, const bg_compared *b)
{
    const char *x = bg_row_text(a->base_row, BG_COL_TEST);
    const char *y = bg_row_text(b->base_row, BG_COL_TEST);
    size_t n = strcspn(x, "0123456789");
    return same_threads(a, b) && strcspn(y, "0123456789") == n && strncmp(x, y, n) == 0;
}

static bool takes_part(const bg_series x[2])
{
    return x[0].n >= BG_COMPARE_FEWEST && x[1].n >= BG_COMPARE_FEWEST;
}

/* The cells from `first` on that go with it; false: no memory. */
static bool open_group(group *g, bg_comparison *c, bg_series (*series)[2], size_t first)
{
    size_t total[2] = {0, 0}, most;
    g->members = bg_alloc(c->n_cells - first, sizeof *g->members);
    for (size_t i = first; g->members && i < c->n_cells; i++) {
        member *m = &g->members[g->n];
        if (!takes_part(series[i]) || !bg_compared_same_group(&c->cells[first], &c->cells[i]))
            continue;
        *m = (member){.cell = &c->cells[i], .x = series[i]};
        g->n++;
        for (int side = 0; side < 2; side++) {
            total[side] += m->x[side].n;
            m->middle[side] = log(bg_quantile(m->x[side].values, m->x[side].n, 0.5));
            m->adjusted[side] = bg_alloc(m->x[side].n, sizeof *m->adjusted[side]);
            if (!m->adjusted[side]) return false;
        }
    }
    most = BG_MAX(total[0], total[1]);
    g->moments = bg_alloc(most, sizeof *g->moments);
    for (int side = 0; side < 2; side++)
        g->rounds[side] = bg_alloc(most, sizeof *g->rounds[side]);
    return g->members && g->moments && g->rounds[0] && g->rounds[1];
}

static void close_group(group *g)
{
    for (int side = 0; side < 2; side++) {
        for (size_t m = 0; m < g->n; m++) bg_free(g->members[m].adjusted[side]);
        bg_free(g->rounds[side]);
    }
    bg_free(g->moments);
    bg_free(g->members);
}

/* Whether a cell before this one is of its group. */
static bool is_later(const bg_comparison *c, bg_series (*series)[2], size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (takes_part(series[k]) && bg_compared_same_group(&c->cells[k], &c->cells[i]))
            return true;
    return false;
}

/* Cells of identical work may feel a disturbance differently. How far the own parts of the others
 * of that many threads are from none tells by how much. */
static void give_spread(bg_comparison *c, bg_compared *cell, double *others)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_cells && cell->own.others; i++)
        if (&c->cells[i] != cell && c->cells[i].own.others && same_threads(cell, &c->cells[i]))
            others[n++] = fabs(log(c->cells[i].own.ratio.ratio));
    if (n >= SPREAD_CELLS)
        cell->own.spread = expm1(bg_stats_t(FLOOR_LEVEL, INFINITY) * MAD_NORMAL *
                                 bg_quantile(others, n, 0.5));
}

bg_status bg_compare_split(bg_comparison *c, bg_series (*series)[2], bg_floors *f, uint64_t seed,
                           uint32_t resamples, bg_error *err)
{
    double *others = bg_alloc(BG_MAX(c->n_cells, 1), sizeof *others);
    bg_status status = BG_OK;
    c->together = bg_alloc(BG_MAX(c->n_cells, 1), sizeof *c->together);
    if (!c->together || !others) status = bg_fail_nomem(err, "the comparison", c->n_cells);
    for (size_t i = 0; i < c->n_cells && status == BG_OK; i++) {
        group g = {0};
        if (!takes_part(series[i]) || is_later(c, series, i)) continue;
        if (!open_group(&g, c, series, i)) status = bg_fail_nomem(err, "the comparison", 0);
        else if (g.n >= FEWEST_CELLS)
            status = fill_group(&g, &c->together[c->n_together++], f, seed, resamples, err);
        close_group(&g);
    }
    for (size_t i = 0; i < c->n_cells && status == BG_OK; i++)
        give_spread(c, &c->cells[i], others);
    bg_free(others);
    return status;
}
