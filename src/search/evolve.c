/* Mutations of the best choice so far at constant bytes: many are proposed, those that look best by
 * what was learnt of each tensor are measured on little text, the survivors on more. */
#include "search/hunt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATIONS = 100, PATIENCE = 5, PROPOSED = 96, TRIED = 12, SURVIVORS = 4, OFFERED = 2, RAISES = 3 };

static int by_score(const void *a, const void *b)
{
    const bg_mutant *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* One of the items that can go up (or down) and is not held; s->n: there is none. */
static size_t pick_item(bg_hunt *h, const uint8_t *picks, const uint8_t *held, bool up)
{
    const bg_space *s = &h->space;
    size_t start = bg_rng_below(&h->rng, s->n);
    for (size_t j = 0; j < s->n; j++) {
        size_t i = (start + j) % s->n;
        if (!held[i] && (up ? picks[i] + 1u < s->items[i].n : picks[i] > 0)) return i;
    }
    return s->n;
}

static void mutate(bg_hunt *h, uint8_t *picks, uint8_t *held)
{
    const bg_space *s = &h->space;
    uint64_t budget = h->budget;
    size_t raises = 1 + bg_rng_below(&h->rng, RAISES), i;
    memcpy(picks, h->at.picks, s->n);
    memset(held, 0, s->n);
    while (raises-- > 0 && (i = pick_item(h, picks, held, true)) < s->n) {
        picks[i]++;
        held[i] = 1;
    }
    while (bg_space_bytes(s, picks) > budget && (i = pick_item(h, picks, held, false)) < s->n)
        picks[i]--;
    /* What that left over. */
    for (int tries = 0; tries < 8 && (i = pick_item(h, picks, held, true)) < s->n; tries++) {
        picks[i]++;
        if (bg_space_bytes(s, picks) > budget) picks[i]--;
        held[i] = 1;
    }
}

static double predict(const bg_space *s, const uint8_t *picks)
{
    double sum = 0;
    for (size_t i = 0; i < s->n; i++) sum += s->items[i].cost[picks[i]];
    return isnan(sum) ? INFINITY : sum;
}

/* The space is at their levels then. */
static bg_status measure(bg_hunt *h, bg_mutant *m, bg_level level, bg_error *err)
{
    if (memcmp(h->space.levels, m->levels, h->space.n_layer) != 0)
        BG_TRY(bg_space_shape(&h->space, m->levels, err));
    return bg_hunt_measure(h, m->picks, level, &m->score, err);
}

static bg_status measure_all(bg_hunt *h, bg_mutant *m, size_t n, bg_level level, bg_error *err)
{
    for (size_t i = 0; i < n; i++) BG_TRY(measure(h, &m[i], level, err));
    qsort(m, n, sizeof *m, by_score);
    return BG_OK;
}

bg_status bg_hunt_try(bg_hunt *h, bg_mutant *m, size_t n, size_t most, bool *better, bg_error *err)
{
    size_t tried = 0;
    qsort(m, n, sizeof *m, by_score);
    while (tried < BG_MIN(n, most) && isfinite(m[tried].score)) tried++;
    BG_TRY(measure_all(h, m, tried, BG_LEVEL_FEW, err));
    tried = BG_MIN(tried, (size_t)SURVIVORS);
    BG_TRY(measure_all(h, m, tried, BG_LEVEL_SOME, err));
    *better = false;
    for (size_t i = 0; i < BG_MIN(tried, (size_t)OFFERED) && !*better; i++) {
        BG_TRY(bg_space_shape(&h->space, m[i].levels, err));
        BG_TRY(bg_hunt_offer(h, m[i].picks, better, err));
    }
    return bg_space_shape(&h->space, h->at.levels, err);
}

bg_mutant *bg_hunt_mutants(const bg_hunt *h, size_t n, bg_error *err)
{
    size_t each = h->space.n + h->space.n_layer;
    bg_mutant *m = bg_alloc(n * (sizeof *m + each), 1);
    uint8_t *memory = (uint8_t *)(m + n);
    if (!m) (void)bg_fail_nomem(err, "a search", n * each);
    for (size_t i = 0; m && i < n; i++)
        m[i] = (bg_mutant){memory + i * each, memory + i * each + h->space.n, INFINITY, i};
    return m;
}

static bg_status generation(bg_hunt *h, bg_mutant *m, uint8_t *held, bool *better, bg_error *err)
{
    for (size_t i = 0; i < PROPOSED; i++) {
        mutate(h, m[i].picks, held);
        memcpy(m[i].levels, h->at.levels, h->space.n_layer);
        m[i].index = i;
        m[i].score = bg_space_allows(&h->space, m[i].picks, h->budget)
                         ? predict(&h->space, m[i].picks) : INFINITY;
    }
    return bg_hunt_try(h, m, PROPOSED, TRIED, better, err);
}

bg_status bg_hunt_evolve(bg_hunt *h, bg_error *err)
{
    bg_mutant *m = bg_hunt_mutants(h, PROPOSED, err);
    uint8_t *held = bg_alloc(h->space.n, 1);
    bg_status s = m ? BG_OK : BG_ERR_NOMEM;
    bool better = true;
    if (!held) s = bg_fail_nomem(err, "a search", h->space.n);
    for (int g = 0, idle = 0; s == BG_OK && g < GENERATIONS && idle < PATIENCE; g++) {
        bg_hunt_stage(h, "population", (double)idle / PATIENCE);
        if (better) bg_hunt_settle(h, h->at.picks);
        bg_hunt_turn(h);
        s = generation(h, m, held, &better, err);
        idle = better ? 0 : idle + 1;
    }
    bg_free(m);
    bg_free(held);
    return s;
}
