/* Structure and formats under one budget: what a layer's shape changes is weighed against what its bytes
 * buy or cost elsewhere, and what looks best, alone and together, is tried with formats that are solved
 * anew. Layers get back what they lost the same way. */
#include "search/hunt.h"

#include "search/recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SINGLES = 8, PAIRED = 4, BISECTIONS = 60 };

/* Changes of a format cost this share of the largest gain more: many at once do not add up. */
static const double DAMPING = 0.1;

static int by_net(const void *a, const void *b)
{
    const bg_reshape *x = a, *y = b;
    if (x->net != y->net) return x->net < y->net ? -1 : 1;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

/* ---- the price of a byte ------------------------------------------------------------------ */

static uint64_t bytes_at(const bg_space *s, const bg_item *it, uint8_t level, size_t c)
{
    uint64_t bytes = it->whole[c];
    if (level && !bg_pruner_bytes(s->pruner, it->tensor, level, it->format[c], &bytes)) return BG_NEVER;
    return bg_round_up(bytes, bg_gguf_alignment(bg_model_gguf(s->model)));
}

/* The least that an item costs, its bytes at this price; `taken`: the bytes. What is smaller matters
 * less in proportion. */
static double least(const bg_space *s, const bg_item *it, uint8_t level, double price,
                    uint64_t *taken)
{
    double left = level ? bg_pruner_left(s->pruner, it->tensor, level) : 1, best = INFINITY;
    double scale = it->left > 0 ? left / it->left : 1;
    for (size_t c = 0; c < it->n; c++) {
        uint64_t bytes = bytes_at(s, it, level, c);
        double cost = scale * it->cost[c] + price * (double)bytes;
        if (bytes >= BG_NEVER || cost >= best) continue;
        best = cost;
        *taken = bytes;
    }
    return isfinite(best) ? best : 0;
}

/* The layer that an item is of; n_layer: none. */
static uint32_t layer_of(const bg_space *s, const bg_item *it)
{
    uint32_t layer;
    const char *rest;
    bool is = bg_recipe_layer_of(bg_model_tensor_at(s->model, it->tensor)->name, &layer, &rest);
    return is && layer < s->n_layer ? layer : s->n_layer;
}

static uint8_t level_of(const bg_space *s, const bg_item *it)
{
    uint32_t layer = layer_of(s, it);
    return layer < s->n_layer ? s->levels[layer] : 0;
}

/* Nats for a byte at which what costs least in all just fits (Lagrange's multiplier). */
static double find_price(const bg_hunt *h)
{
    const bg_space *s = &h->space;
    double low = 0, high = 1;
    for (int i = 0; i < BISECTIONS; i++) {
        double price = i < 2 ? (i ? 1e-3 : 1e-12) : sqrt(low * high);
        uint64_t bytes = s->fixed, taken = 0;
        for (size_t j = 0; j < s->n; j++) {
            (void)least(s, &s->items[j], level_of(s, &s->items[j]), price, &taken);
            bytes += taken;
        }
        if (bytes > h->budget) low = price;
        else high = price;
        if (low <= 0) return 0;
    }
    return high;
}

/* With its bytes at this price. */
static double net_of(const bg_space *s, const bg_reshape *r, double price)
{
    double net = r->cost;
    uint64_t taken;
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        if (layer_of(s, it) != r->layer) continue;
        net += least(s, it, r->level, price, &taken) - least(s, it, level_of(s, it), price, &taken);
    }
    return net;
}

/* ---- what to try -------------------------------------------------------------------------- */

/* A shape with formats solved anew; left out where it does not fit. */
static bg_status propose(bg_hunt *h, const bg_reshape *a, const bg_reshape *b, bg_mutant *m,
                         size_t *n, bg_error *err)
{
    bg_space *s = &h->space;
    bg_status status;
    memcpy(s->levels, h->at.levels, s->n_layer);
    s->levels[a->layer] = a->level;
    if (b) s->levels[b->layer] = b->level;
    BG_TRY(bg_space_shape(s, s->levels, err));
    if (bg_space_share_left(s) < 1 - h->o->prune) return BG_OK;
    bg_space_mend(s, h->at.picks, h->mended);
    status = bg_hunt_solve(h, h->mended, DAMPING, m[*n].picks, err);
    if (status == BG_ERR_INFEASIBLE) return BG_OK;
    memcpy(m[*n].levels, s->levels, s->n_layer);
    m[*n].index = *n;
    m[*n].score = 0;
    *n += status == BG_OK;
    return status;
}

/* Alone, and two layers at a time: what one loses another may get. */
static bg_status propose_all(bg_hunt *h, const bg_reshape *all, size_t n_all, bg_mutant *m, size_t *n,
                             size_t most, bg_error *err)
{
    size_t singles = BG_MIN(n_all, (size_t)SINGLES), paired = BG_MIN(n_all, (size_t)PAIRED);
    for (size_t i = 0; i < singles && *n < most; i++) BG_TRY(propose(h, &all[i], NULL, m, n, err));
    for (size_t i = 0; i < paired; i++)
        for (size_t j = i + 1; j < paired && *n < most; j++)
            if (all[i].layer != all[j].layer) BG_TRY(propose(h, &all[i], &all[j], m, n, err));
    return BG_OK;
}

/* Those that may be, best first. */
static bg_status weigh_all(bg_hunt *h, bg_reshape *all, size_t *n, bg_error *err)
{
    size_t possible = bg_hunt_reshapes(h, true, all);
    double here, price = find_price(h);
    bg_hunt_settle(h, h->at.picks);
    BG_TRY(bg_hunt_measure(h, h->at.picks, BG_LEVEL_FEW, &here, err));
    *n = 0;
    for (size_t i = 0; i < possible; i++) {
        bg_reshape *r = &all[*n];
        *r = all[i];
        bg_hunt_stage(h, "pruning", (double)i / (double)possible);
        BG_TRY(bg_hunt_weigh(h, h->at.picks, 1 - h->o->prune, here, r, err));
        if (!isfinite(r->cost)) continue;
        r->net = net_of(&h->space, r, price);
        r->from = h->at.levels[r->layer];
        r->doubt = bg_hunt_doubt(h, r->cost);
        ++*n;
    }
    qsort(all, *n, sizeof *all, by_net);
    return BG_OK;
}

bg_status bg_hunt_reshape(bg_hunt *h, bg_mutant *m, size_t *n, size_t most, bg_error *err)
{
    bg_reshape *all = h->reshapes;
    bg_status s = weigh_all(h, all, &h->n_reshapes, err);
    if (s == BG_OK) s = propose_all(h, all, h->n_reshapes, m, n, most, err);
    return s == BG_OK ? bg_space_shape(&h->space, h->at.levels, err) : s;
}
