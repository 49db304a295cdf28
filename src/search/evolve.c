/* Mutations of the best choice so far, of formats at constant bytes and of the shapes of layers: those
 * that look best by what is believed of each change are measured on little text, which changes what is
 * believed, and the survivors on more. */
#include "search/hunt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATIONS = 100, PROPOSED = 128, TRIED = 12, SURVIVORS = 4, OFFERED = 2, RAISES = 3,
       RESHAPED = 2 };
static const double DAMPING[] = {0.05, 0.3}; /* of changes of formats that are solved, from and to */

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

/* Of those that were measured on little text, best first. */
static bg_status decide(bg_hunt *h, bg_mutant *m, size_t tried, bool *better, bg_error *err)
{
    tried = BG_MIN(tried, (size_t)SURVIVORS);
    BG_TRY(measure_all(h, m, tried, BG_LEVEL_SOME, err));
    *better = false;
    for (size_t i = 0; i < BG_MIN(tried, (size_t)OFFERED) && !*better; i++) {
        BG_TRY(bg_space_shape(&h->space, m[i].levels, err));
        BG_TRY(bg_hunt_offer(h, m[i].picks, better, err));
    }
    return bg_space_shape(&h->space, h->at.levels, err);
}

bg_status bg_hunt_try(bg_hunt *h, bg_mutant *m, size_t n, bool *better, bg_error *err)
{
    size_t tried = 0;
    qsort(m, n, sizeof *m, by_score);
    while (tried < n && isfinite(m[tried].score)) tried++;
    BG_TRY(measure_all(h, m, tried, BG_LEVEL_FEW, err));
    return decide(h, m, tried, better, err);
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

/* ---- generations -------------------------------------------------------------------------- */

/* Of many mutants the one that would be best with these costs. held: scratch, and their picks. */
static void find_local(bg_hunt *h, bg_mutant *to, uint8_t *held)
{
    uint8_t *picks = held + h->space.n;
    for (int i = 0; i < PROPOSED; i++) {
        double sum;
        mutate(h, picks, held);
        if (!bg_space_allows(&h->space, picks, h->budget)) continue;
        sum = predict(&h->space, picks);
        if (!(sum < to->score)) continue;
        to->score = sum;
        memcpy(to->picks, picks, h->space.n);
    }
}

/* The space's levels at what would be best, of one layer or two. false: as they are. */
static bool draw_shape(bg_hunt *h)
{
    bg_space *s = &h->space;
    bool any = false;
    for (size_t i = 0; i < h->n_reshapes; i++) {
        bg_reshape *r = &h->reshapes[i];
        r->drawn = r->net + sqrt(r->doubt) * bg_rng_normal(&h->rng);
        if (r->from != h->at.levels[r->layer]) r->drawn = 0; /* the layer is another by now */
    }
    for (int n = 0; n < RESHAPED; n++) {
        const bg_reshape *best = NULL;
        for (const bg_reshape *r = h->reshapes; r < h->reshapes + h->n_reshapes; r++)
            if (r->drawn < (best ? best->drawn : 0) && s->levels[r->layer] == r->from) best = r;
        if (best) s->levels[best->layer] = best->level;
        any |= best != NULL;
    }
    return any;
}

/* Formats for the space's shape, solved with these costs. */
static bg_status find_solved(bg_hunt *h, bg_mutant *to, bg_error *err)
{
    bg_space *s = &h->space;
    double damping = DAMPING[0] + (DAMPING[1] - DAMPING[0]) * bg_rng_unit(&h->rng);
    bg_status status;
    BG_TRY(bg_space_shape(s, s->levels, err));
    memcpy(to->levels, s->levels, s->n_layer);
    if (bg_space_share_left(s) < 1 - h->o->prune) return BG_OK;
    bg_space_mend(s, h->at.picks, h->mended);
    status = bg_hunt_solve(h, h->mended, damping, to->picks, err);
    if (status == BG_OK) to->score = predict(s, to->picks);
    return status == BG_ERR_INFEASIBLE ? BG_OK : status;
}

static bool is_among(const bg_hunt *h, const bg_mutant *m, const bg_mutant *others)
{
    const bg_space *s = &h->space;
    for (; others < m; others++)
        if (memcmp(m->picks, others->picks, s->n) == 0 &&
            memcmp(m->levels, others->levels, s->n_layer) == 0)
            return true;
    return false;
}

/* The best by costs that are drawn from what is believed: what is in doubt gets its chance. Every other
 * one of the whole's shape is solved, which goes further. Without a score: there is none. */
static bg_status find_one(bg_hunt *h, bg_mutant *all, size_t i, uint8_t *held, bg_error *err)
{
    bg_space *s = &h->space;
    bg_mutant *to = &all[i];
    bg_status status = BG_OK;
    to->index = i;
    to->score = INFINITY;
    memcpy(to->levels, h->at.levels, s->n_layer);
    bg_hunt_draw(h);
    if (draw_shape(h) || i % 2) status = find_solved(h, to, err);
    else find_local(h, to, held);
    bg_hunt_undraw(h);
    if (is_among(h, to, all)) to->score = INFINITY;
    return status;
}

/* Measured one by one, so that each is found by what was learnt from those before. */
static bg_status generation(bg_hunt *h, bg_mutant *m, uint8_t *held, bool *better, bg_error *err)
{
    size_t n = TRIED;
    double here;
    BG_TRY(bg_hunt_measure(h, h->at.picks, BG_LEVEL_FEW, &here, err));
    for (size_t i = 0; i < TRIED; i++) {
        BG_TRY(find_one(h, m, i, held, err));
        if (isfinite(m[i].score)) BG_TRY(measure(h, &m[i], BG_LEVEL_FEW, err));
        BG_TRY(bg_space_shape(&h->space, h->at.levels, err));
        if (isfinite(m[i].score)) bg_hunt_learn(h, &m[i], m[i].score - here);
    }
    qsort(m, TRIED, sizeof *m, by_score);
    while (n > 0 && !isfinite(m[n - 1].score)) n--;
    return decide(h, m, n, better, err);
}

bg_status bg_hunt_evolve(bg_hunt *h, int patience, bg_error *err)
{
    bg_mutant *m = bg_hunt_mutants(h, TRIED, err);
    uint8_t *held = bg_alloc(2 * h->space.n, 1);
    bg_status s = m ? BG_OK : BG_ERR_NOMEM;
    bool better = true;
    if (!held) s = bg_fail_nomem(err, "a search", 2 * h->space.n);
    for (int g = 0, idle = 0; s == BG_OK && g < GENERATIONS && idle < patience; g++) {
        double before = h->at.kld;
        bg_hunt_stage(h, "population", (double)idle / patience);
        if (better) bg_hunt_settle(h, h->at.picks);
        bg_hunt_turn(h);
        s = generation(h, m, held, &better, err);
        idle = bg_hunt_gained(h, before) ? 0 : idle + 1;
    }
    bg_free(m);
    bg_free(held);
    return s;
}
