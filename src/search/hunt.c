#include "search/hunt.h"

#include "base/team.h"

#include <math.h>
#include <string.h>

static bool go_on(bg_hunt *h)
{
    h->state.best_kld = h->best_kld;
    h->state.best_bytes = h->best_bytes;
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

bg_status bg_hunt_measure(bg_hunt *h, const uint8_t *picks, bg_level level, double *kld,
                          bg_error *err)
{
    const bg_student student = {h->formats, h->space.levels};
    const bg_student near = {h->anchor, h->anchor_levels};
    uint64_t windows = h->windows[level], key;
    double all;
    bg_space_formats(&h->space, picks, h->formats);
    key = bg_hash(BG_HASH_INIT, h->formats, h->space.n_tensors * sizeof *h->formats);
    if (h->pruner) key = bg_hash(key, h->space.levels, h->space.n_layer);
    key = bg_hash(key, &windows, sizeof windows);
    if (h->o->most_asked && (double)h->asked >= h->effort * (double)h->o->most_asked)
        return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "the search was stopped");
    h->asked++;
    if (bg_memo_find(h->memo, key, kld)) return BG_OK;
    if (!go_on(h)) return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "the search was stopped");
    if (!h->anchored) {
        BG_TRY(bg_evaluator_anchor(h->evaluator, near, h->windows[BG_LEVEL_ALL], &all, err));
        h->anchored = true;
    }
    BG_TRY(bg_evaluator_run(h->evaluator, student, windows, kld, err));
    h->evaluations++;
    return bg_memo_add(h->memo, key, *kld, err);
}

bg_status bg_hunt_offer(bg_hunt *h, const uint8_t *picks, bool *better, bg_error *err)
{
    double kld;
    *better = false;
    if (!bg_space_allows(&h->space, picks, h->budget)) return BG_OK;
    BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_ALL, &kld, err));
    *better = isnan(h->best_kld) || kld < h->best_kld;
    if (!*better) return BG_OK;
    h->best_bytes = bg_space_bytes(&h->space, picks);
    memcpy(h->best, picks, h->space.n);
    memcpy(h->best_levels, h->space.levels, h->space.n_layer);
    h->best_kld = kld;
    return BG_OK;
}

/* ---- sensitivity -------------------------------------------------------------------------- */

/* Each tensor alone in each of its formats, or of many in three of them: what lies between follows
 * from its distortion. The others are in their finest quantized format, which the fastest kernels
 * multiply; that costs next to nothing, and is taken off. */
enum { MANY = 400 };

static bool is_measured(const bg_space *s, const bg_item *it, size_t c)
{
    size_t all = 0;
    for (size_t i = 0; i < s->n; i++) all += s->items[i].n;
    return all <= MANY || c == 0 || c == it->n / 3 || c == it->n / 2;
}

/* Costs grow with the distortion as they do at the next smaller format that was measured. */
static void interpolate(const bg_space *s, bg_item *it, const double *measured)
{
    for (size_t c = 0; c < it->n; c++) {
        size_t near = c;
        while (near > 0 && !is_measured(s, it, near)) near--;
        it->alone[c] = measured[near];
        if (near != c) it->alone[c] *= it->error[c] / it->error[near];
        it->cost[c] = it->alone[c];
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
    status = bg_hunt_measure(h, picks, BG_LEVEL_FEW, &least, err);
    for (size_t i = 0; status == BG_OK && i < s->n; i++) {
        bg_item *it = &s->items[i];
        double measured[BG_MAX_CHOICES] = {0};
        bg_hunt_stage(h, "sensitivity", (double)i / (double)s->n);
        for (size_t c = 0; status == BG_OK && c < it->n; c++) {
            if (!is_measured(s, it, c) || c >= bg_item_finest(it)) continue;
            picks[i] = (uint8_t)c;
            status = bg_hunt_measure(h, picks, BG_LEVEL_FEW, &measured[c], err);
            measured[c] = BG_MAX(measured[c] - least, 0);
        }
        picks[i] = bg_item_finest(it);
        if (status == BG_OK) interpolate(s, it, measured);
    }
    bg_free(picks);
    return status;
}

/* ---- refining ----------------------------------------------------------------------------- */

enum { ROUNDS = 12 };

/* What a step of each item down or up was measured to change. */
typedef struct steps { double *down, *up; } steps;

static bg_status measure_steps(bg_hunt *h, uint8_t *picks, const steps *m, bg_error *err)
{
    const bg_space *s = &h->space;
    double here;
    BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &here, err));
    for (size_t i = 0; i < s->n; i++) {
        uint8_t from = picks[i];
        double kld;
        bg_hunt_stage(h, "refining", (double)i / (double)s->n);
        if (from > 0) {
            picks[i] = (uint8_t)(from - 1);
            BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &kld, err));
            m->down[i] = kld - here;
        }
        if (from + 1u < s->items[i].n) {
            picks[i] = (uint8_t)(from + 1);
            BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &kld, err));
            m->up[i] = kld - here;
        }
        picks[i] = from;
    }
    return BG_OK;
}

/* How many times what items change alone they change here, on the whole. */
static double scale_of(const bg_space *s, const uint8_t *picks, const double *measured, int to)
{
    double product = 0, square = 0;
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        int near = picks[i] + to;
        double alone;
        if (near < 0 || (size_t)near >= it->n) continue;
        alone = it->alone[near] - it->alone[picks[i]];
        product += alone * measured[i];
        square += alone * alone;
    }
    return square > 0 ? fmax(product / square, 0) : 0;
}

/* A single measurement on little text is noise for a good part, and the knapsack would fall for what
 * looks good by chance: half of each cost is what the item's own sensitivity says. Longer steps go on
 * by that alone. */
static void set_costs(const bg_space *s, const uint8_t *picks, const steps *m)
{
    double down = scale_of(s, picks, m->down, -1), up = scale_of(s, picks, m->up, 1);
    for (size_t i = 0; i < s->n; i++) {
        bg_item *it = &s->items[i];
        size_t from = picks[i];
        for (size_t c = 0; c < it->n; c++) {
            double scale = c < from ? down : up, measured = c < from ? m->down[i] : m->up[i];
            size_t near = c < from ? from - 1 : c > from ? from + 1 : from;
            double step = near == from ? 0 : it->alone[near] - it->alone[from];
            it->cost[c] = near == from ? 0 : (measured + scale * step) / 2 +
                                             scale * (it->alone[c] - it->alone[near]);
        }
    }
}

bg_status bg_hunt_learn(bg_hunt *h, bg_error *err)
{
    size_t n = h->space.n;
    steps m = {bg_alloc(n, sizeof(double)), bg_alloc(n, sizeof(double))};
    uint8_t *picks = bg_alloc(n, 1);
    bg_status s = m.down && m.up && picks ? BG_OK : bg_fail_nomem(err, "a search", 17 * n);
    if (s == BG_OK) {
        memcpy(picks, h->best, n);
        bg_hunt_settle(h, picks);
        s = measure_steps(h, picks, &m, err);
    }
    if (s == BG_OK) set_costs(&h->space, picks, &m);
    bg_free(m.down);
    bg_free(m.up);
    bg_free(picks);
    return s;
}

/* Many changes at once do not add up: each costs something extra, more and more until what the
 * knapsack proposes is better indeed. */
static bg_status step(bg_hunt *h, bool *better, bg_error *err)
{
    static const double dampings[] = {0, 0.05, 0.1, 0.2, 0.4};
    bg_space *s = &h->space;
    uint8_t *picks = bg_alloc(2 * s->n, 1), *from = picks ? picks + s->n : NULL;
    bg_status status = BG_OK;
    double largest = 0, base = h->best_kld;
    if (!picks) return bg_fail_nomem(err, "a search", 2 * s->n);
    memcpy(from, h->best, s->n);
    for (size_t i = 0; i < s->n; i++)
        for (size_t c = 0; c < s->items[i].n; c++)
            if (isfinite(s->items[i].cost[c])) largest = fmax(largest, -s->items[i].cost[c]);
    *better = false;
    for (size_t d = 0; status == BG_OK && d < BG_COUNT(dampings); d++) {
        double extra = (dampings[d] - (d ? dampings[d - 1] : 0)) * largest;
        bool now;
        for (size_t i = 0; i < s->n; i++)
            for (size_t c = 0; c < s->items[i].n; c++)
                if (c != from[i]) s->items[i].cost[c] += extra;
        status = bg_space_solve(s, h->budget, picks, err);
        if (status == BG_OK) status = bg_hunt_offer(h, picks, &now, err);
        if (status == BG_OK) *better |= now && h->best_kld < 0.999 * base;
    }
    bg_free(picks);
    return status;
}

bg_status bg_hunt_refine(bg_hunt *h, bg_error *err)
{
    bool better = true;
    for (int round = 0; better && round < ROUNDS; round++) {
        BG_TRY(bg_hunt_learn(h, err));
        BG_TRY(step(h, &better, err));
    }
    return BG_OK;
}
