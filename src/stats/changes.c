/* Change points of a series. */
#include "stats/stats.h"

#include "base/base.h"

#include <math.h>
#include <string.h>

enum { SHORTEST = 3, ORDERS = 999 };

typedef struct search {
    const double *values;
    double *ranks;
    bg_ranked *sorted;
    double alpha;
    bg_rng rng;
    bg_change *found;           /* room for one a value */
    size_t n_found;
} search;

/* Mid-ranks, less their mean. */
static void rank(search *s, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->sorted[i] = (bg_ranked){.value = s->values[from + i], .at = i};
    bg_stats_give_ranks(s->sorted, n);
    for (size_t i = 0; i < n; i++)
        s->ranks[s->sorted[i].at] = s->sorted[i].rank - (double)(n + 1) / 2;
}

typedef struct arc { size_t from, to; } arc;

/* The arc whose rank sum deviates most from 0: the square over its variance in random orders, up to
 * a factor that all orders share. Ends may be those of the series. */
static double best_arc(const double *ranks, size_t n, arc *at)
{
    double best = 0;
    for (size_t from = 0; from + SHORTEST <= n; from = from ? from + 1 : SHORTEST) {
        double sum = 0;
        for (size_t to = from + 1; to <= n; to++) {
            size_t m = to - from;
            double score;
            sum += ranks[to - 1];
            if (m < SHORTEST || n - m < SHORTEST || (to != n && n - to < SHORTEST)) continue;
            score = sum * sum / ((double)m * (double)(n - m));
            if (score <= best) continue;
            best = score;
            *at = (arc){from, to};
        }
    }
    return best;
}

static void shuffle(bg_rng *rng, double *v, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = (size_t)bg_rng_below(rng, i);
        double kept = v[i - 1];
        v[i - 1] = v[k];
        v[k] = kept;
    }
}

static void split(search *s, size_t from, size_t n)
{
    arc at = {0, 0}, ignored;
    size_t as_much = 1; /* the order as it is */
    double best;
    if (n < 2 * SHORTEST) return;
    rank(s, from, n);
    best = best_arc(s->ranks, n, &at);
    if (best <= 0) return;
    for (int i = 0; i < ORDERS; i++) {
        shuffle(&s->rng, s->ranks, n);
        as_much += best_arc(s->ranks, n, &ignored) >= best * (1 - 1e-12);
        if ((double)as_much > s->alpha * (ORDERS + 1)) return;
    }
    split(s, from, at.from);
    if (at.from) s->found[s->n_found++].at = from + at.from;
    split(s, from + at.from, at.to - at.from);
    if (at.to < n) s->found[s->n_found++].at = from + at.to;
    split(s, from + at.to, n - at.to);
}

/* Sum of distances from the median. */
static double spread(const search *s, size_t from, size_t to)
{
    double median = bg_quantile(s->values + from, to - from, 0.5), sum = 0;
    for (size_t i = from; i < to; i++) sum += fabs(s->values[i] - median);
    return sum;
}

/* Ranks say that there is a change; where two levels fit the values best is where it is. */
static void settle(search *s, size_t n)
{
    for (size_t i = 0; i < s->n_found; i++) {
        size_t from = i ? s->found[i - 1].at : 0, to = i + 1 < s->n_found ? s->found[i + 1].at : n;
        double best = INFINITY;
        for (size_t at = from + SHORTEST; at + SHORTEST <= to; at++) {
            double cost = spread(s, from, at) + spread(s, at, to);
            if (cost >= best) continue;
            best = cost;
            s->found[i].at = at;
        }
    }
}

/* Fills in what the levels to both sides say. */
static void judge(const search *s, size_t n, size_t i)
{
    bg_change *c = &s->found[i];
    size_t from = i ? s->found[i - 1].at : 0, to = i + 1 < s->n_found ? s->found[i + 1].at : n;
    bg_rank_test test;
    bg_stats_rank(s->values + from, c->at - from, s->values + c->at, to - c->at, &test);
    c->before = bg_quantile(s->values + from, c->at - from, 0.5);
    c->after = bg_quantile(s->values + c->at, to - c->at, 0.5);
    c->p = test.p;
}

/* Changes are in order of place. Those that do not hold between their neighbours, the least likely
 * first; each makes one longer level, so all are looked at again. */
static void drop_weak(search *s, size_t n, double floor)
{
    for (;;) {
        size_t worst = s->n_found;
        for (size_t i = 0; i < s->n_found; i++) {
            const bg_change *c = &s->found[i];
            judge(s, n, i);
            if (c->p <= s->alpha && fabs(c->after / c->before - 1) > floor) continue;
            if (worst == s->n_found || c->p > s->found[worst].p) worst = i;
        }
        if (worst == s->n_found) return;
        s->n_found--;
        memmove(s->found + worst, s->found + worst + 1, (s->n_found - worst) * sizeof *s->found);
    }
}

bool bg_stats_changes(const double *values, size_t n, double alpha, double floor, uint64_t seed,
                      bg_change **changes, size_t *n_changes)
{
    search s = {.values = values, .alpha = alpha};
    *n_changes = 0;
    s.ranks = bg_alloc(n + 1, sizeof *s.ranks);
    s.sorted = bg_alloc(n + 1, sizeof *s.sorted);
    s.found = bg_alloc(n + 1, sizeof *s.found);
    *changes = s.found;
    if (s.ranks && s.sorted && s.found) {
        bg_rng_seed(&s.rng, seed);
        split(&s, 0, n);
        drop_weak(&s, n, floor);
        settle(&s, n);
        drop_weak(&s, n, floor);
        *n_changes = s.n_found;
    } else {
        bg_free(s.found);
        *changes = NULL;
    }
    bg_free(s.ranks);
    bg_free(s.sorted);
    return *changes != NULL;
}

void bg_stats_free_changes(bg_change *changes) { bg_free(changes); }
