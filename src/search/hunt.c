#include "search/hunt.h"

#include "base/team.h"

#include <math.h>
#include <string.h>

static bool go_on(bg_hunt *h)
{
    h->state.best_kld = h->best.measured;
    h->state.best_bytes = h->best.bytes;
    h->state.evaluations = h->evaluations;
    h->state.seconds = (double)(bg_clock_ns() - h->start_ns) * 1e-9;
    h->told = h->o->progress && !h->o->progress(h->o->user, &h->state);
    return !h->told && (h->o->seconds <= 0 || h->state.seconds < h->effort * h->o->seconds);
}

void bg_hunt_stage(bg_hunt *h, const char *stage, double fraction)
{
    h->state.stage = stage;
    h->state.fraction = fraction;
}

void bg_hunt_settle(bg_hunt *h, const uint8_t *picks)
{
    bg_space_formats(&h->space, picks, h->anchor);
    memcpy(h->anchor_levels, h->space.levels, h->space.n_layer);
    h->anchored = false;
}

static bg_status measure(bg_hunt *h, const uint8_t *picks, bg_level level, double *kld,
                         bg_error *err)
{
    const bg_student student = {h->formats, h->space.levels};
    const bg_student near = {h->anchor, h->anchor_levels};
    uint64_t windows = h->windows[level], first = level == BG_LEVEL_FEW ? h->few_at : 0, key;
    double all;
    bg_space_formats(&h->space, picks, h->formats);
    key = bg_hash(BG_HASH_INIT, h->formats, h->space.n_tensors * sizeof *h->formats);
    if (h->pruner) key = bg_hash(key, h->space.levels, h->space.n_layer);
    key = bg_hash(key, &windows, sizeof windows);
    if (first) key = bg_hash(key, &first, sizeof first);
    if (h->o->most_asked && (double)h->asked >= h->effort * (double)h->o->most_asked)
        return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "the search was stopped");
    h->asked++;
    if (bg_memo_find(h->memo, key, kld)) return BG_OK;
    if (!go_on(h)) return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "the search was stopped");
    if (!h->anchored) {
        BG_TRY(bg_evaluator_anchor(h->evaluator, near, h->windows[BG_LEVEL_ALL], &all, err));
        h->anchored = true;
    }
    BG_TRY(bg_evaluator_run(h->evaluator, student, first, windows, kld, err));
    h->evaluations++;
    return bg_memo_add(h->memo, key, *kld, err);
}

/* What the space's levels cost alone; 0 where that is not asked for. */
static bg_status measure_gone(bg_hunt *h, bg_level level, double *gone, bg_error *err)
{
    const bg_space *s = &h->space;
    bool pruned = false;
    *gone = 0;
    for (uint32_t l = 0; h->pruner && l < s->n_layer; l++) pruned |= s->levels[l] != 0;
    if (!pruned || isnan(h->least)) return BG_OK;
    for (size_t i = 0; i < s->n; i++) h->finest[i] = bg_item_finest(&s->items[i]);
    bg_space_mend(s, h->finest, h->finest);
    return measure(h, h->finest, level, gone, err);
}

bg_status bg_hunt_measure(bg_hunt *h, const uint8_t *picks, bg_level level, double *kld,
                          bg_error *err)
{
    double gone;
    BG_TRY(measure(h, picks, level, kld, err));
    BG_TRY(measure_gone(h, level, &gone, err));
    *kld = bg_hunt_expect(h, picks, *kld, gone);
    return BG_OK;
}

void bg_hunt_turn(bg_hunt *h)
{
    h->few_at += h->windows[BG_LEVEL_FEW];
    if (h->few_at + h->windows[BG_LEVEL_FEW] > h->windows[BG_LEVEL_MOST]) h->few_at = 0;
}

static void take(bg_place *p, const bg_space *s, const uint8_t *picks, double most, double kld,
                 double measured)
{
    memcpy(p->picks, picks, s->n);
    memcpy(p->levels, s->levels, s->n_layer);
    p->bytes = bg_space_bytes(s, picks);
    p->most = most;
    p->kld = kld;
    p->measured = measured;
}

bg_status bg_hunt_offer(bg_hunt *h, const uint8_t *picks, bool *better, bg_error *err)
{
    double most, kld, measured, gone;
    *better = false;
    if (!bg_space_allows(&h->space, picks, h->budget)) return BG_OK;
    BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_MOST, &most, err));
    if (most >= h->at.most) return BG_OK;
    BG_TRY(measure(h, picks, BG_LEVEL_ALL, &measured, err));
    BG_TRY(measure_gone(h, BG_LEVEL_ALL, &gone, err));
    kld = bg_hunt_expect(h, picks, measured, gone);
    *better = !(kld >= h->at.kld);
    if (*better) take(&h->at, &h->space, picks, most, kld, measured);
    if (!(kld >= h->best.kld)) take(&h->best, &h->space, picks, most, kld, measured);
    return BG_OK;
}

bool bg_hunt_gained(const bg_hunt *h, double before) { return h->at.kld < 0.999 * before; }

bg_status bg_place_open(bg_place *p, const bg_space *s, bg_error *err)
{
    *p = (bg_place){.picks = bg_alloc(s->n + s->n_layer, 1), .most = NAN, .kld = NAN,
                      .measured = NAN};
    if (!p->picks) return bg_fail_nomem(err, "a search", s->n + s->n_layer);
    p->levels = p->picks + s->n;
    return BG_OK;
}

void bg_place_close(bg_place *p)
{
    bg_free(p->picks);
    *p = (bg_place){0};
}

void bg_place_copy(bg_place *to, const bg_place *from, const bg_space *s)
{
    memcpy(to->picks, from->picks, s->n);
    memcpy(to->levels, from->levels, s->n_layer);
    to->bytes = from->bytes;
    to->most = from->most;
    to->kld = from->kld;
    to->measured = from->measured;
}

/* ---- sensitivity -------------------------------------------------------------------------- */

/* Each tensor alone in each of its formats, or of many in three of them: what lies between follows
 * from its distortion. The others are in their finest quantized format, which the fastest kernels
 * multiply; that costs next to nothing, and is taken off. */
enum { MANY = 400 };

static bool is_measured(const bg_hunt *h, const bg_item *it, size_t c)
{
    return h->foresees || bg_space_choices(&h->space) <= MANY || c == 0 || c == it->n / 3 ||
           c == it->n / 2;
}

/* Costs grow with the distortion as they do at the next smaller format that was measured. */
static void interpolate(const bg_hunt *h, bg_item *it, const double *measured)
{
    for (size_t c = 0; c < it->n; c++) {
        size_t near = c;
        while (near > 0 && !is_measured(h, it, near)) near--;
        it->cost[c] = measured[near];
        if (near != c) it->cost[c] *= it->error[c] / it->error[near];
        if (isnan(h->least)) it->alone[c] = it->cost[c];
    }
}

bg_status bg_hunt_sensitivity(bg_hunt *h, bg_error *err)
{
    bg_space *s = &h->space;
    uint8_t *picks = bg_alloc(s->n, 1);
    bg_status status = BG_OK;
    double least;
    if (!picks) return bg_fail_nomem(err, "a search", s->n);
    for (size_t i = 0; i < s->n; i++) picks[i] = bg_item_finest(&s->items[i]);
    bg_hunt_settle(h, picks);
    status = measure(h, picks, BG_LEVEL_FEW, &least, err);
    for (size_t i = 0; status == BG_OK && i < s->n; i++) {
        bg_item *it = &s->items[i];
        double measured[BG_MAX_CHOICES] = {0};
        bg_hunt_stage(h, "sensitivity", (double)i / (double)s->n);
        for (size_t c = 0; status == BG_OK && c < it->n; c++) {
            if (!is_measured(h, it, c) || c >= bg_item_finest(it)) continue;
            picks[i] = (uint8_t)c;
            status = measure(h, picks, BG_LEVEL_FEW, &measured[c], err);
            measured[c] = BG_MAX(measured[c] - least, 0);
        }
        picks[i] = bg_item_finest(it);
        if (status == BG_OK) interpolate(h, it, measured);
    }
    if (status == BG_OK && h->foresees) bg_hunt_foresee(h, least);
    bg_free(picks);
    return status;
}

/* ---- refining ----------------------------------------------------------------------------- */

enum { ROUNDS = 24, PATIENCE = 2, BETWEEN = 4 }; /* BETWEEN: idle generations, of a round */
static const double FORGET = 0.3; /* of what was seen, when it is seen again elsewhere */

/* From choice c to the next. */
static void see(bg_item *it, size_t c, double change)
{
    double old = (1 - FORGET) * it->seen[c];
    it->moved[c] = (old * it->moved[c] + change) / (old + 1);
    it->seen[c] = old + 1;
}

static bg_status measure_steps(bg_hunt *h, uint8_t *picks, bg_error *err)
{
    bg_space *s = &h->space;
    double here;
    BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &here, err));
    for (size_t i = 0; i < s->n; i++) {
        bg_item *it = &s->items[i];
        uint8_t from = picks[i];
        double kld;
        bg_hunt_stage(h, "refining", (double)i / (double)s->n);
        if (it->left <= 0) continue;
        if (from > 0) {
            picks[i] = (uint8_t)(from - 1);
            BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &kld, err));
            see(it, from - 1u, here - kld);
        }
        if (from + 1u < it->n) {
            picks[i] = (uint8_t)(from + 1);
            BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &kld, err));
            see(it, from, kld - here);
        }
        picks[i] = from;
    }
    return BG_OK;
}

/* How many times what items change alone they change here, on the whole: the step below the choices
 * (to -1), or above (0). */
static double scale_of(const bg_space *s, const uint8_t *picks, int to)
{
    double product = 0, square = 0;
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        int c = picks[i] + to;
        double alone;
        if (c < 0 || (size_t)c + 1 >= it->n || it->seen[c] <= 0) continue;
        alone = it->alone[c + 1] - it->alone[c];
        product += alone * it->moved[c];
        square += alone * alone;
    }
    return square > 0 ? fmax(product / square, 0) : 0;
}

/* A single measurement on little text is noise for a good part, and the knapsack would fall for
 * what looks good by chance: as much as one sighting counts what the item's own sensitivity says. */
static double change_of(const bg_item *it, size_t c, double scale)
{
    double alone = scale * (it->alone[c + 1] - it->alone[c]);
    return (it->seen[c] * it->moved[c] + alone) / (it->seen[c] + 1);
}

static void set_costs(const bg_hunt *h, const uint8_t *picks)
{
    const bg_space *s = &h->space;
    double down = scale_of(s, picks, -1), up = scale_of(s, picks, 0);
    for (size_t i = 0; i < s->n; i++) {
        bg_item *it = &s->items[i];
        size_t from = picks[i];
        it->cost[from] = 0;
        for (size_t c = from; c-- > 0;) it->cost[c] = it->cost[c + 1] - change_of(it, c, down);
        for (size_t c = from + 1; c < it->n; c++)
            it->cost[c] = it->cost[c - 1] + change_of(it, c - 1, up);
        for (size_t c = 0; c + 1 < it->n; c++)
            it->doubt[c] = bg_hunt_doubt(h, it->cost[c + 1] - it->cost[c]) / (it->seen[c] + 1);
    }
}

static bg_status learn_steps(bg_hunt *h, bg_error *err)
{
    size_t n = h->space.n;
    uint8_t *picks = bg_alloc(n, 1);
    bg_status s = picks ? BG_OK : bg_fail_nomem(err, "a search", n);
    if (s == BG_OK) {
        memcpy(picks, h->at.picks, n);
        bg_hunt_turn(h);
        bg_hunt_settle(h, picks);
        s = measure_steps(h, picks, err);
    }
    bg_free(picks);
    return s;
}

bg_status bg_hunt_solve(bg_hunt *h, const uint8_t *near, double damping, uint8_t *picks,
                        bg_error *err)
{
    bg_space *s = &h->space;
    double largest = 0;
    bg_status status;
    for (size_t i = 0; i < s->n; i++)
        for (size_t c = 0; c < s->items[i].n; c++)
            if (isfinite(s->items[i].cost[c])) largest = fmax(largest, -s->items[i].cost[c]);
    s->near = near;
    s->change = damping * largest;
    status = bg_space_solve(s, h->budget, picks, err);
    s->near = NULL;
    return status;
}

/* Many changes at once do not add up: each costs something extra, more and more. */
static bg_status propose(bg_hunt *h, bg_mutant *m, size_t *n, bg_error *err)
{
    static const double dampings[] = {0, 0.05, 0.1, 0.2, 0.4};
    for (*n = 0; *n < BG_COUNT(dampings); ++*n) {
        bg_mutant *to = &m[*n];
        BG_TRY(bg_hunt_solve(h, h->at.picks, dampings[*n], to->picks, err));
        memcpy(to->levels, h->at.levels, h->space.n_layer);
        to->index = *n;
        to->score = 0;
    }
    return BG_OK;
}

bg_status bg_hunt_step(bg_hunt *h, bool learn, bool *better, bg_error *err)
{
    enum { MOST = 64 };
    bool joint = h->pruner && h->o->order == BG_PRUNE_JOINT;
    bg_mutant *m = bg_hunt_mutants(h, MOST, err);
    size_t n = 0;
    bg_status s = m ? BG_OK : BG_ERR_NOMEM;
    if (s == BG_OK && learn) s = learn_steps(h, err);
    set_costs(h, h->at.picks);
    if (s == BG_OK) s = propose(h, m, &n, err);
    if (s == BG_OK && joint) s = bg_hunt_reshape(h, m, &n, MOST, err);
    if (s == BG_OK) bg_hunt_turn(h); /* not what the costs were seen on */
    if (s == BG_OK) s = bg_hunt_try(h, m, n, better, err);
    bg_free(m);
    return s;
}

/* The smaller what is to be gained, the more text it takes to see it. false: as much as there may
 * be. */
static bool look_longer(bg_hunt *h)
{
    if (h->windows[BG_LEVEL_SOME] >= h->windows[BG_LEVEL_MOST]) return false;
    h->windows[BG_LEVEL_FEW] = h->windows[BG_LEVEL_SOME];
    h->windows[BG_LEVEL_SOME] = h->windows[BG_LEVEL_MOST];
    h->few_at = 0;
    return true;
}

bg_status bg_hunt_refine(bg_hunt *h, bg_error *err)
{
    bool better;
    for (int round = 0, idle = 0; idle < PATIENCE && round < ROUNDS; round++) {
        double before = h->at.kld;
        BG_TRY(bg_hunt_step(h, true, &better, err));
        BG_TRY(bg_hunt_evolve(h, BETWEEN, err));
        idle = bg_hunt_gained(h, before) ? 0 : idle + 1;
        if (idle == PATIENCE && look_longer(h)) idle = 0;
    }
    return BG_OK;
}
