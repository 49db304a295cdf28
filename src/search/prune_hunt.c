/* Structure and formats under one budget: what a piece of the model costs to lose is weighed against
 * what its bytes buy elsewhere, and what looks best is tried with formats that were solved anew. */
#include "search/hunt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIED = 3, MOST_MOVES = 64 };

typedef struct move { uint32_t layer; uint8_t level; double net; } move;

static int by_net(const void *a, const void *b)
{
    const move *x = a, *y = b;
    if (x->net != y->net) return x->net < y->net ? -1 : 1;
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

/* Nats that a byte buys at the best place for it. */
static double worth(const bg_hunt *h)
{
    const bg_space *s = &h->space;
    double most = 0;
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        size_t from = h->best[i], to = from + 1;
        if (to >= it->n || it->bytes[to] <= it->bytes[from]) continue;
        most = fmax(most, -it->cost[to] / (double)(it->bytes[to] - it->bytes[from]));
    }
    return most;
}

uint32_t bg_hunt_layers_left(const bg_hunt *h)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < h->space.n_layer; l++) n += h->space.levels[l] != BG_LAYER_DROPPED;
    return n;
}

static bg_status weigh(bg_hunt *h, move *m, double per_byte, double here, bg_error *err)
{
    bg_space *s = &h->space;
    uint8_t old = s->levels[m->layer];
    uint64_t before = bg_space_bytes(s, h->best), after;
    double kld;
    s->levels[m->layer] = m->level;
    BG_TRY(bg_space_shape(s, s->levels, err));
    bg_space_mend(s, h->best, h->mended);
    after = bg_space_bytes(s, h->mended);
    m->net = INFINITY;
    if (bg_space_share_left(s) >= 1 - h->o->prune) {
        BG_TRY(bg_hunt_measure(h, h->mended, BG_LEVEL_FEW, &kld, err));
        m->net = kld - here - per_byte * ((double)before - (double)after);
    }
    s->levels[m->layer] = old;
    return bg_space_shape(s, s->levels, err);
}

static bg_status weigh_all(bg_hunt *h, move *moves, size_t *n, bg_error *err)
{
    const uint8_t *levels = h->space.levels;
    double per_byte = worth(h), here;
    uint32_t n_layer = h->space.n_layer;
    uint8_t steps[BG_PRUNER_STEPS + 1];
    size_t n_steps;
    *n = 0;
    bg_hunt_settle(h, h->best);
    BG_TRY(bg_hunt_measure(h, h->best, BG_LEVEL_FEW, &here, err));
    for (uint32_t l = 0; l < n_layer; l++) {
        bg_hunt_stage(h, "pruning", (double)l / (double)n_layer);
        if (levels[l] == BG_LAYER_DROPPED) continue;
        n_steps = bg_pruner_steps(h->pruner, levels[l], steps);
        if (bg_hunt_layers_left(h) > 1) steps[n_steps++] = BG_LAYER_DROPPED;
        for (size_t i = 0; i < n_steps; i++) {
            moves[*n] = (move){l, steps[i], 0};
            BG_TRY(weigh(h, &moves[(*n)++], per_byte, here, err));
        }
    }
    qsort(moves, *n, sizeof *moves, by_net);
    return BG_OK;
}

/* Makes one move and spends what it saved. */
static bg_status try_move(bg_hunt *h, const move *m, uint8_t *picks, bool *better, bg_error *err)
{
    h->space.levels[m->layer] = m->level;
    BG_TRY(bg_space_shape(&h->space, h->space.levels, err));
    BG_TRY(bg_space_solve(&h->space, h->budget, picks, err));
    BG_TRY(bg_hunt_offer(h, picks, better, err));
    return *better ? BG_OK : bg_space_shape(&h->space, h->best_levels, err);
}

bg_status bg_hunt_prune(bg_hunt *h, bg_error *err)
{
    move *moves = bg_alloc((BG_PRUNER_STEPS + 1) * (size_t)h->space.n_layer, sizeof *moves);
    uint8_t *picks = bg_alloc(h->space.n, 1);
    bool better = true;
    bg_status s = moves && picks ? BG_OK : bg_fail_nomem(err, "a search", h->space.n);
    for (int round = 0; s == BG_OK && better && round < MOST_MOVES; round++) {
        size_t n = 0;
        better = false;
        s = bg_hunt_learn(h, err);
        if (s == BG_OK) s = weigh_all(h, moves, &n, err);
        for (size_t i = 0; s == BG_OK && i < BG_MIN(n, (size_t)TRIED) && !better; i++)
            if (moves[i].net < 0) s = try_move(h, &moves[i], picks, &better, err);
    }
    if (s != BG_OK && h->space.items) memcpy(h->space.levels, h->best_levels, h->space.n_layer);
    bg_free(moves);
    bg_free(picks);
    return s;
}
