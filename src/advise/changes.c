/* changes.c: which change of a constraint would change the pick. Each is found by asking again,
 * so that what is printed is what the command would answer. */
#include "advise/advise.h"

#include <math.h>
#include <string.h>

enum { MAX_CHANGES = 2 * BG_LIMIT_COUNT + BG_OBJECTIVE_COUNT + 1 };

double bg_limit_round(size_t limit, double value, int digits)
{
    double scale, x;
    if (!(value > 0)) return value;
    scale = pow(10, floor(log10(value)) - digits + 1);
    x = value / scale;
    /* The small slack keeps an already round number from moving a whole step. */
    return (bg_limits[limit].upper ? ceil(x - 1e-9) : floor(x + 1e-9)) * scale;
}

void bg_limit_option(char *buffer, size_t n, size_t limit, double value, int digits)
{
    static const char *const units[] = {"", "kB", "MB", "GB", "TB"};
    double v = bg_limit_round(limit, value, digits);
    size_t u = 0;
    if (limit == BG_LIMIT_MEMORY)
        for (; v >= 999.5 && u + 1 < BG_COUNT(units); u++) v /= 1000;
    snprintf(buffer, n, "%s %.*g%s", bg_limits[limit].option, digits + 3, v, units[u]);
}

static bool pick_of(const bg_advice *a, const query *q, verdict *v, size_t *pick)
{
    bg_advise_judge(a, q, v);
    if (v->n) *pick = v->order[0];
    return v->n > 0;
}

static void add_change(bg_advice *a, const char *option, size_t candidate)
{
    change *c = &a->changes[a->n_changes];
    for (size_t i = 0; i < a->n_changes; i++)
        if (strcmp(a->changes[i].option, option) == 0) return;
    if (a->n_changes == MAX_CHANGES) return;
    snprintf(c->option, sizeof c->option, "%s", option);
    c->candidate = candidate;
    snprintf(a->change_text[a->n_changes], sizeof *a->change_text, "with %s: %s", option,
             a->c[candidate].name);
    a->n_changes++;
}

/* Adds the limit with the fewest digits that leads to another pick, near `value`. */
static void add_limit(bg_advice *a, const query *base, size_t limit, double value, verdict *v)
{
    for (int digits = 2; digits <= 9; digits++) {
        query q = *base;
        char option[64];
        size_t pick;
        q.limit[limit] = bg_limit_round(limit, value, digits);
        q.implied[limit] = false;
        if (!pick_of(a, &q, v, &pick) || (a->feasible && pick == a->pick)) continue;
        bg_limit_option(option, sizeof option, limit, value, digits);
        add_change(a, option, pick);
        return;
    }
}

/* A limit just tight enough to exclude the pick; one relaxed until another pick gets in. */
static void try_limit(bg_advice *a, size_t limit, verdict *v)
{
    double own = bg_limits[limit].value(&a->c[a->pick], &a->query);
    query q = a->query;
    size_t pick;
    if (a->feasible && own > 0) {
        q.limit[limit] = nextafter(own, bg_limits[limit].upper ? 0 : INFINITY);
        q.implied[limit] = false;
        if (pick_of(a, &q, v, &pick))
            add_limit(a, &a->query, limit, bg_limits[limit].value(&a->c[pick], &q), v);
    }
    /* That a useless model would be faster is no advice: default limits of quality stay. */
    if (isnan(a->query.limit[limit])) return;
    if (a->query.implied[limit] && limit != BG_LIMIT_MEMORY) return;
    q.limit[limit] = NAN;
    if (pick_of(a, &q, v, &pick) && (!a->feasible || pick != a->pick))
        add_limit(a, &a->query, limit, bg_limits[limit].value(&a->c[pick], &q), v);
}

/* A longer context costs memory: the first power of two at which the pick falls out. */
static void try_context(bg_advice *a, verdict *v)
{
    if (isnan(a->query.limit[BG_LIMIT_MEMORY]) || !a->feasible) return;
    for (double ctx = 512; ctx <= 1 << 20; ctx *= 2) {
        query q = a->query;
        char option[64];
        size_t pick;
        q.ctx = ctx;
        if (ctx <= a->query.ctx) continue;
        if (!pick_of(a, &q, v, &pick)) return;
        if (pick == a->pick) continue;
        snprintf(option, sizeof option, "--ctx %.0f", ctx);
        add_change(a, option, pick);
        return;
    }
}

static void try_objectives(bg_advice *a, verdict *v)
{
    for (int o = 0; o < BG_OBJECTIVE_COUNT; o++) {
        query q = a->query;
        char option[64];
        size_t pick;
        q.objective = (bg_objective)o;
        if (q.objective == a->query.objective || !pick_of(a, &q, v, &pick)) continue;
        if (a->feasible && pick == a->pick) continue;
        snprintf(option, sizeof option, "--objective %s", bg_objective_name(q.objective));
        add_change(a, option, pick);
    }
}

/* When no single limit is enough: all that the nearest choice needs, at once. */
static void add_nearest(bg_advice *a)
{
    const bg_candidate *c = &a->c[a->pick];
    char option[64] = "", all[64] = "";
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++) {
        double value = bg_limits[l].value(c, &a->query);
        size_t used = strlen(all);
        if (bg_limit_holds(l, c, &a->query) || isnan(value)) continue;
        bg_limit_option(option, sizeof option, l, value, 3);
        snprintf(all + used, sizeof all - used, "%s%s", used ? " " : "", option);
    }
    if (all[0] && !bg_advise_lacks(a, c, a->query.objective)) add_change(a, all, a->pick);
}

bg_status bg_advise_find_changes(bg_advice *a, verdict *scratch, bg_error *err)
{
    a->changes = bg_alloc(MAX_CHANGES, sizeof *a->changes);
    a->change_text = bg_alloc(MAX_CHANGES, sizeof *a->change_text);
    if (!a->changes || !a->change_text)
        return bg_fail_nomem(err, "the recommendation", MAX_CHANGES * sizeof *a->changes);
    if (!a->feasible) add_nearest(a);
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++)
        /* Limits of quality ask for more of the same: perplexity only when KLD is missing. */
        if (l != BG_LIMIT_PPL || a->basis == BG_LOSS_PPL || !isnan(a->query.limit[l]))
            try_limit(a, l, scratch);
    try_context(a, scratch);
    try_objectives(a, scratch);
    return BG_OK;
}
