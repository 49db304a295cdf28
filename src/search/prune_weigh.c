/* What another shape of a layer changes, in nats and bytes. */
#include "search/hunt.h"

#include <math.h>
#include <string.h>

static uint32_t layers_left(const bg_space *s)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < s->n_layer; l++) n += s->levels[l] != BG_LAYER_DROPPED;
    return n;
}

bg_status bg_hunt_weigh(bg_hunt *h, const uint8_t *picks, double share, double here, bg_reshape *r,
                        bg_error *err)
{
    bg_space *s = &h->space;
    uint8_t old = s->levels[r->layer];
    double before = (double)bg_space_bytes(s, picks), left = bg_space_share_left(s), kld;
    r->cost = INFINITY;
    s->levels[r->layer] = r->level;
    BG_TRY(bg_space_shape(s, s->levels, err));
    bg_space_mend(s, picks, h->mended);
    r->saved = before - (double)bg_space_bytes(s, h->mended);
    if (bg_space_share_left(s) > left || (bg_space_share_left(s) >= share && r->saved > 0)) {
        BG_TRY(bg_hunt_measure(h, h->mended, BG_LEVEL_FEW, &kld, err));
        r->cost = kld - here;
    }
    s->levels[r->layer] = old;
    return bg_space_shape(s, s->levels, err);
}

size_t bg_hunt_reshapes(const bg_hunt *h, bool back, bg_reshape *all)
{
    const bg_space *s = &h->space;
    size_t n = 0;
    for (uint32_t l = 0; l < s->n_layer; l++) {
        uint8_t steps[BG_HUNT_RESHAPES], level = s->levels[l];
        size_t n_steps = bg_pruner_steps(h->pruner, level, steps);
        if (level != BG_LAYER_DROPPED && layers_left(s) > 1) steps[n_steps++] = BG_LAYER_DROPPED;
        if (back) n_steps += bg_pruner_steps_back(h->pruner, level, steps + n_steps);
        for (size_t i = 0; i < n_steps; i++)
            all[n++] = (bg_reshape){.layer = l, .level = steps[i], .cost = NAN};
    }
    return n;
}
