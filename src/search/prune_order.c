/* Pruning apart from the choice of formats: where a joint search begins; before it and after it, which
 * a joint search is compared with. */
#include "search/hunt.h"

#include <math.h>
#include <string.h>

enum { PATIENCE = 2 };

typedef struct cut { uint32_t layer; uint8_t level; double per_byte; } cut;

/* What a byte less costs where a layer is at another level; infinitely much where `share` of the weights
 * would not stay. */
static bg_status weigh(bg_hunt *h, const uint8_t *picks, double share, double here, cut *c,
                       bg_error *err)
{
    bg_space *s = &h->space;
    uint8_t old = s->levels[c->layer];
    uint64_t before = bg_space_bytes(s, picks), after;
    double kld;
    c->per_byte = INFINITY;
    s->levels[c->layer] = c->level;
    BG_TRY(bg_space_shape(s, s->levels, err));
    bg_space_mend(s, picks, h->mended);
    after = bg_space_bytes(s, h->mended);
    if (bg_space_share_left(s) >= share && after < before) {
        BG_TRY(bg_hunt_measure(h, h->mended, BG_LEVEL_FEW, &kld, err));
        c->per_byte = (kld - here) / (double)(before - after);
    }
    s->levels[c->layer] = old;
    return bg_space_shape(s, s->levels, err);
}

static bg_status find_cheapest(bg_hunt *h, const uint8_t *picks, double share, cut *best,
                               bg_error *err)
{
    const bg_space *s = &h->space;
    double here;
    bg_hunt_settle(h, picks);
    BG_TRY(bg_hunt_measure(h, picks, BG_LEVEL_FEW, &here, err));
    *best = (cut){.per_byte = INFINITY};
    for (uint32_t l = 0; l < s->n_layer; l++) {
        uint8_t steps[BG_PRUNER_STEPS + 1];
        size_t n = bg_pruner_steps(h->pruner, s->levels[l], steps);
        bg_hunt_stage(h, "pruning", (double)l / (double)s->n_layer);
        if (s->levels[l] == BG_LAYER_DROPPED) continue;
        if (bg_hunt_layers_left(h) > 1) steps[n++] = BG_LAYER_DROPPED;
        for (size_t i = 0; i < n; i++) {
            cut c = {.layer = l, .level = steps[i]};
            BG_TRY(weigh(h, picks, share, here, &c, err));
            if (c.per_byte < best->per_byte) *best = c;
        }
    }
    return BG_OK;
}

/* One unit less, the one that costs least a byte. *done: `share` of the weights would not stay. */
static bg_status cut_one(bg_hunt *h, uint8_t *picks, double share, bool *done, bg_error *err)
{
    cut c;
    BG_TRY(find_cheapest(h, picks, share, &c, err));
    *done = !(c.per_byte < INFINITY);
    if (*done) return BG_OK;
    h->space.levels[c.layer] = c.level;
    BG_TRY(bg_space_shape(&h->space, h->space.levels, err));
    bg_space_mend(&h->space, picks, picks);
    return BG_OK;
}

/* One after another, while `share` of the weights stays and the file is larger than this. */
static bg_status cut_down(bg_hunt *h, uint8_t *picks, double share, uint64_t bytes,
                          bg_error *err)
{
    bool done = false;
    while (!done && bg_space_bytes(&h->space, picks) > bytes)
        BG_TRY(cut_one(h, picks, share, &done, err));
    return BG_OK;
}

/* At each shape on the way down formats are solved anew by what is known of the whole model; a few
 * that are no better end it. The space is at the best's levels then. */
static bg_status try_shapes(bg_hunt *h, uint8_t *finest, uint8_t *picks, bg_error *err)
{
    bool done = false, better;
    for (int idle = 0; idle < PATIENCE; idle = better ? 0 : idle + 1) {
        BG_TRY(cut_one(h, finest, 1 - h->o->prune, &done, err));
        if (done) break;
        BG_TRY(bg_space_solve(&h->space, h->budget, picks, err));
        BG_TRY(bg_hunt_offer(h, picks, &better, err));
    }
    return bg_space_shape(&h->space, h->best_levels, err);
}

/* The finest format of every tensor, and memory for as many picks behind. NULL: no memory. */
static uint8_t *finest_picks(const bg_space *s, bg_error *err)
{
    uint8_t *picks = bg_alloc(2 * s->n, 1);
    if (!picks) (void)bg_fail_nomem(err, "a search", 2 * s->n);
    for (size_t i = 0; picks && i < s->n; i++) picks[i] = bg_item_finest(&s->items[i]);
    return picks;
}

bg_status bg_hunt_prune_begin(bg_hunt *h, bg_error *err)
{
    uint8_t *picks = finest_picks(&h->space, err);
    bg_status status = picks ? try_shapes(h, picks, picks + h->space.n, err) : BG_ERR_NOMEM;
    bg_free(picks);
    return status;
}

bg_status bg_hunt_prune_first(bg_hunt *h, bg_error *err)
{
    uint8_t *picks = finest_picks(&h->space, err);
    bg_status status = picks ? cut_down(h, picks, 1 - h->o->prune, 0, err) : BG_ERR_NOMEM;
    bg_free(picks);
    return status;
}

bg_status bg_hunt_prune_last(bg_hunt *h, uint64_t file_bytes, bg_error *err)
{
    bg_space *s = &h->space;
    BG_TRY(bg_space_shape(s, h->best_levels, err));
    BG_TRY(cut_down(h, h->best, 0, file_bytes, err));
    if (bg_space_bytes(s, h->best) > file_bytes)
        return bg_fail(err, BG_ERR_INFEASIBLE, NULL, "with these formats nothing is left to prune "
                       "at %llu bytes", (unsigned long long)bg_space_bytes(s, h->best));
    BG_TRY(bg_hunt_measure(h, h->best, BG_LEVEL_ALL, &h->best_kld, err));
    h->best_bytes = bg_space_bytes(s, h->best);
    memcpy(h->best_levels, s->levels, s->n_layer);
    return BG_OK;
}
