/* Pruning apart from the choice of formats: where a joint search begins; before it and after it, which
 * a joint search is compared with. */
#include "search/hunt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shapes on the way down that begin a search, no more than this many; the best are refined by a round,
 * the better half of these by another, until one is left. */
enum { MOST_SHAPES = 10, PATIENCE = 4, WAYS = 2, STARTS = 4 };

/* Of the weights, at most: what is gone where formats are measured for shapes far down. */
static const double BELOW = 0.15;

/* Cuts of layers, and what they were last seen to cost a byte. */
typedef struct cuts {
    bg_reshape *all;
    size_t n;
    double *seen;            /* [layer][level]; -INFINITY: not yet */
    bool keeps_layers;       /* none goes as a whole */
} cuts;

static bg_status cuts_open(cuts *c, const bg_space *s, bg_error *err)
{
    *c = (cuts){.all = bg_alloc(BG_HUNT_RESHAPES * (size_t)s->n_layer, sizeof *c->all),
                .seen = bg_alloc((size_t)s->n_layer * 256, sizeof *c->seen)};
    if (!c->all || !c->seen) return bg_fail_nomem(err, "a search", s->n_layer * 2048);
    for (size_t i = 0; i < (size_t)s->n_layer * 256; i++) c->seen[i] = -INFINITY;
    return BG_OK;
}

static void cuts_close(cuts *c)
{
    bg_free(c->all);
    bg_free(c->seen);
}

/* The one that costs least a byte; NULL: none may be. Costs grow as more is gone, so that what was seen
 * before, or of the step before, is a bound: only what looks best by that is measured again. */
static bg_status find_cheapest(bg_hunt *h, cuts *c, const uint8_t *picks, double share,
                               bg_reshape **best, bg_error *err)
{
    double here;
    c->n = bg_hunt_reshapes(h, false, c->all);
    bg_hunt_settle(h, picks);
    BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &here, err));
    for (bg_reshape *r = c->all; r < c->all + c->n; r++) {
        r->net = c->seen[r->layer * 256 + r->level];
        if (c->keeps_layers && r->level == BG_LAYER_DROPPED) r->net = INFINITY;
    }
    for (;;) {
        bg_reshape *r = NULL;
        for (bg_reshape *i = c->all; i < c->all + c->n; i++)
            if (!(i->net >= INFINITY) && (!r || i->net < r->net)) r = i;
        *best = r;
        if (!r || !isnan(r->cost)) return BG_OK;
        bg_hunt_stage(h, "pruning", (double)(r - c->all) / (double)c->n);
        BG_TRY(bg_hunt_weigh(h, picks, share, here, r, err));
        r->net = r->saved > 0 ? r->cost / r->saved : INFINITY;
        if (r->net < INFINITY) c->seen[r->layer * 256 + r->level] = r->net;
    }
}

/* One unit less. *done: `share` of the weights would not stay. */
static bg_status cut_one(bg_hunt *h, cuts *c, uint8_t *picks, double share, bool *done, bg_error *err)
{
    bg_space *s = &h->space;
    uint8_t steps[BG_PRUNER_STEPS];
    bg_reshape *r;
    BG_TRY(find_cheapest(h, c, picks, share, &r, err));
    *done = !r;
    if (!r) return BG_OK;
    for (size_t n = bg_pruner_steps(h->pruner, r->level, steps), i = 0; i < n; i++) {
        double *next = &c->seen[r->layer * 256 + steps[i]];
        *next = fmax(*next, r->net);
    }
    s->levels[r->layer] = r->level;
    BG_TRY(bg_space_shape(s, s->levels, err));
    bg_space_mend(s, picks, picks);
    return BG_OK;
}

/* One after another, while `share` of the weights stays and the file is larger than this. */
static bg_status cut_down(bg_hunt *h, uint8_t *picks, double share, uint64_t bytes,
                          bool keeps_layers, bg_error *err)
{
    bool done = false;
    cuts c;
    bg_status s = cuts_open(&c, &h->space, err);
    c.keeps_layers = keeps_layers;
    while (s == BG_OK && !done && bg_space_bytes(&h->space, picks) > bytes)
        s = cut_one(h, &c, picks, share, &done, err);
    cuts_close(&c);
    return s;
}

/* ---- beginnings --------------------------------------------------------------------------- */

static int by_kld(const void *a, const void *b)
{
    const bg_place *x = a, *y = b;
    if (x->kld != y->kld) return x->kld < y->kld ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* A start at the shape that the space has; none where nothing fits. */
static bg_status add_start(bg_hunt *h, bg_place *starts, size_t *n, bool *better, bg_error *err)
{
    bg_place *p = &starts[*n];
    bg_status s;
    *better = false;
    h->at.kld = h->at.most = NAN;
    s = bg_space_solve(&h->space, h->budget, h->mended, err);
    if (s == BG_ERR_INFEASIBLE) return BG_OK;
    if (s == BG_OK) s = bg_hunt_offer(h, h->mended, better, err);
    if (s != BG_OK || !*better) return s;
    BG_TRY(bg_place_open(p, &h->space, err));
    bg_place_copy(p, &h->at, &h->space);
    ++*n;
    return BG_OK;
}

/* At each shape on the way down formats are solved anew by what is known of the whole model. A few that
 * are no better than the best so far end it. */
static bg_status find_starts(bg_hunt *h, cuts *c, uint8_t *finest, bg_place *starts, size_t *n,
                             bg_error *err)
{
    double least = INFINITY;
    size_t most = *n + MOST_SHAPES;
    bool done = false, better = true;
    int idle = 0;
    while (!done && *n < most && idle < PATIENCE) {
        BG_TRY(add_start(h, starts, n, &better, err));
        if (better) idle = h->at.kld < least ? 0 : idle + 1;
        if (better) least = fmin(least, h->at.kld);
        BG_TRY(cut_one(h, c, finest, 1 - h->o->prune, &done, err));
    }
    return BG_OK;
}

static bg_status refine_start(bg_hunt *h, bg_place *p, bool learn, bg_error *err)
{
    bool better;
    bg_place_copy(&h->at, p, &h->space);
    BG_TRY(bg_space_shape(&h->space, h->at.levels, err));
    BG_TRY(bg_hunt_step(h, learn, &better, err));
    bg_place_copy(p, &h->at, &h->space);
    return BG_OK;
}

/* Best first; those whose shape a better one has are left out. */
static size_t sort_starts(const bg_space *s, bg_place *starts, size_t n)
{
    size_t kept = 0;
    qsort(starts, n, sizeof *starts, by_kld);
    for (size_t i = 0; i < n; i++) {
        bg_place p = starts[i];
        bool is_there = false;
        for (size_t j = 0; j < kept; j++)
            is_there |= memcmp(starts[j].levels, p.levels, s->n_layer) == 0;
        if (is_there) continue;
        starts[i] = starts[kept];
        starts[kept++] = p;
    }
    return kept;
}

/* A round for each, then for the better half. What is learnt at the best serves all. */
static bg_status halve_starts(bg_hunt *h, bg_place *starts, size_t n, bg_error *err)
{
    n = sort_starts(&h->space, starts, n);
    for (n = BG_MIN(n, (size_t)STARTS); n > 1; n = (n + 1) / 2) {
        for (size_t i = 0; i < n; i++) BG_TRY(refine_start(h, &starts[i], i == 0, err));
        qsort(starts, n, sizeof *starts, by_kld);
    }
    if (!n) return bg_space_solve(&h->space, h->budget, h->mended, err); /* says what is too large */
    bg_place_copy(&h->at, &starts[0], &h->space);
    return bg_space_shape(&h->space, h->at.levels, err);
}

/* The finest format of every tensor. NULL: no memory. */
static uint8_t *finest_picks(const bg_space *s, bg_error *err)
{
    uint8_t *picks = bg_alloc(s->n, 1);
    if (!picks) (void)bg_fail_nomem(err, "a search", s->n);
    for (size_t i = 0; picks && i < s->n; i++) picks[i] = bg_item_finest(&s->items[i]);
    return picks;
}

static bg_status go_to_top(bg_hunt *h, bg_error *err)
{
    memset(h->space.levels, 0, h->space.n_layer);
    return bg_space_shape(&h->space, h->space.levels, err);
}

static bg_status go_down(bg_hunt *h, bool keeps_layers, bg_place *starts, size_t *n, bg_error *err)
{
    uint8_t *picks = finest_picks(&h->space, err);
    cuts c;
    bg_status s = cuts_open(&c, &h->space, err);
    c.keeps_layers = keeps_layers;
    if (!picks) s = BG_ERR_NOMEM;
    if (s == BG_OK) s = go_to_top(h, err);
    if (s == BG_OK) s = find_starts(h, &c, picks, starts, n, err);
    cuts_close(&c);
    bg_free(picks);
    return s;
}

/* What formats cost where some of the model is gone. */
static bg_status learn_below(bg_hunt *h, bg_error *err)
{
    uint8_t *picks = finest_picks(&h->space, err);
    bg_status s = picks ? go_to_top(h, err) : BG_ERR_NOMEM;
    if (s == BG_OK) s = cut_down(h, picks, 1 - fmin(h->o->prune, BELOW), 0, true, err);
    if (s == BG_OK) s = bg_hunt_sensitivity(h, err);
    bg_free(picks);
    return s;
}

/* Nothing that is gone was worth its bytes. */
static bool is_best_whole(const bg_space *s, const bg_place *starts, size_t n)
{
    const bg_place *best = starts;
    for (size_t i = 1; i < n; i++)
        if (starts[i].kld < best->kld) best = &starts[i];
    for (uint32_t l = 0; n && l < s->n_layer; l++)
        if (best->levels[l]) return false;
    return n > 0;
}

/* A way down on which whole layers may go, by what formats cost in the whole model, and one on which they
 * may not, by what they cost below: what is cheapest next is not what leads furthest. */
static bg_status go_ways(bg_hunt *h, bg_place *starts, size_t *n, bg_error *err)
{
    BG_TRY(go_down(h, false, starts, n, err));
    if (is_best_whole(&h->space, starts, *n)) return BG_OK;
    BG_TRY(learn_below(h, err));
    return go_down(h, true, starts, n, err);
}

bg_status bg_hunt_prune_begin(bg_hunt *h, bg_error *err)
{
    bg_place starts[WAYS * MOST_SHAPES] = {{0}};
    size_t n = 0;
    bg_status s = go_ways(h, starts, &n, err);
    if (s == BG_OK) s = halve_starts(h, starts, n, err);
    for (size_t i = 0; i < BG_COUNT(starts); i++) bg_place_close(&starts[i]);
    return s;
}

bg_status bg_hunt_prune_first(bg_hunt *h, bg_error *err)
{
    uint8_t *picks = finest_picks(&h->space, err);
    bg_status status = picks ? cut_down(h, picks, 1 - h->o->prune, 0, false, err) : BG_ERR_NOMEM;
    bg_free(picks);
    return status;
}

bg_status bg_hunt_prune_last(bg_hunt *h, uint64_t file_bytes, bg_error *err)
{
    bg_space *s = &h->space;
    bg_place *p = &h->best;
    BG_TRY(bg_space_shape(s, p->levels, err));
    BG_TRY(cut_down(h, p->picks, 0, file_bytes, false, err));
    memcpy(p->levels, s->levels, s->n_layer);
    p->bytes = bg_space_bytes(s, p->picks);
    if (p->bytes > file_bytes)
        return bg_fail(err, BG_ERR_INFEASIBLE, NULL, "with these formats nothing is left to prune "
                       "at %llu bytes", (unsigned long long)p->bytes);
    BG_TRY(bg_hunt_measure(h, p->picks, BG_LEVEL_ALL, &p->kld, err));
    p->measured = p->kld;
    return BG_OK;
}
