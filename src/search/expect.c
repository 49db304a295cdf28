/* What error feedback will leave of a divergence that was measured without it.
 *
 * Feedback has every matrix make good what those before it have spoiled, so an error counts the
 * less the more layers follow; and it moves the errors themselves, so that what the errors of two
 * matrices happen to do to each other is gone. The sum of what the tensors do alone, each weighed
 * by its place, knows nothing of that chance, the divergence of the whole model everything: what
 * feedback leaves goes with their geometric mean. What is pruned least squares have made good
 * before: that stays. The constants are fits to files of the embedded model (bench/search-log.md). */
#include "search/hunt.h"

#include "model/model.h"
#include "search/recipe.h"

#include <math.h>

enum { MOST_CHOICES = 1000 }; /* that there is time to measure */
/* Of the divergence by an error behind the last layer, what one before the first makes; and the
 * share of the measured divergence in the mean. */
static const double FIRST = 0.6, MEASURED = 0.4;
/* What divergence by pruning counts then: what feedback leaves is 1.09 of it in nats, where that
 * mean is about 1.4 times what it leaves of formats. */
static const double GONE = 1.5;

static double weight_of(const bg_hunt *h, size_t tensor)
{
    const bg_model *m = h->space.model;
    const bg_tensor *t = bg_model_tensor_at(m, tensor);
    uint32_t layer, n = h->space.n_layer;
    const char *rest;
    if (!bg_recipe_layer_of(t->name, &layer, &rest) || layer >= n)
        return t == m->token_embd && t != m->output ? FIRST : 1;
    return pow(FIRST, (double)(n - 1 - layer) / (double)n);
}

bool bg_hunt_can_foresee(const bg_hunt *h)
{
    return h->o->feedback && (!h->pruner || h->o->order == BG_PRUNE_JOINT) &&
           bg_space_choices(&h->space) <= MOST_CHOICES;
}

/* Where something was measured already; of a pruned one it is not known, and whatever comes is
 * better. */
static void foresee_place(const bg_hunt *h, bg_place *p)
{
    bool pruned = false;
    if (isnan(p->measured)) return;
    for (uint32_t l = 0; h->pruner && l < h->space.n_layer; l++) pruned |= p->levels[l] != 0;
    p->most = pruned ? NAN : bg_hunt_expect(h, p->picks, p->most, 0);
    p->kld = pruned ? NAN : bg_hunt_expect(h, p->picks, p->measured, 0);
}

void bg_hunt_foresee(bg_hunt *h, double least)
{
    for (size_t i = 0; i < h->space.n; i++) {
        bg_item *it = &h->space.items[i];
        double weight = weight_of(h, it->tensor);
        for (size_t c = 0; c < it->n; c++) {
            if (isnan(h->least)) it->alone[c] *= weight;
            it->cost[c] *= weight;
        }
    }
    if (!isnan(h->least)) return;
    h->least = least;
    foresee_place(h, &h->best);
    foresee_place(h, &h->at);
}

double bg_hunt_expect(const bg_hunt *h, const uint8_t *picks, double kld, double gone)
{
    double alone = h->least;
    if (isnan(h->least)) return kld;
    for (size_t i = 0; i < h->space.n; i++)
        alone += h->space.items[i].left * h->space.items[i].alone[picks[i]];
    return GONE * gone + pow(fmax(kld - gone, 0), MEASURED) * pow(fmax(alone, 0), 1 - MEASURED);
}
