/* What each change from where the search is is believed to cost: a mean and a variance, each change for
 * itself. Costs are drawn from it (Thompson sampling), and what a mutant of several changes measures moves
 * them all, each as far as it is in doubt (a Kalman filter without covariances). */
#include "search/hunt.h"

#include <math.h>
#include <string.h>

static const double NOISE = 0.1; /* of squares of changes: many at once do not add up */
static const double SPREAD = 0.5; /* of a cost that was seen once, for all that is not known */
static const double TEXT = 0.007; /* of the divergence: deviation of a difference on one window */

double bg_hunt_noise(const bg_hunt *h)
{
    double one = TEXT * h->at.kld;
    return one * one / (double)h->windows[BG_LEVEL_FEW];
}

double bg_hunt_doubt(const bg_hunt *h, double cost)
{
    double spread = SPREAD * cost;
    return spread * spread + bg_hunt_noise(h);
}

/* From choice c to the next. */
static void shift(bg_item *it, uint8_t at, size_t c, double by)
{
    if (c >= at)
        for (size_t i = c + 1; i < it->n; i++) it->cost[i] += by;
    else
        for (size_t i = 0; i <= c; i++) it->cost[i] -= by;
}

/* Costs as they might be. */
void bg_hunt_draw(bg_hunt *h)
{
    for (size_t i = 0; i < h->space.n; i++) {
        bg_item *it = &h->space.items[i];
        memcpy(it->mean, it->cost, sizeof it->cost);
        for (size_t c = 0; c + 1 < it->n; c++)
            shift(it, h->at.picks[i], c, sqrt(it->doubt[c]) * bg_rng_normal(&h->rng));
    }
}

void bg_hunt_undraw(bg_hunt *h)
{
    for (size_t i = 0; i < h->space.n; i++)
        memcpy(h->space.items[i].cost, h->space.items[i].mean, sizeof h->space.items[i].cost);
}

/* What is known of the level that a mutant has of a layer; NULL: nothing, or it is as here. */
static bg_reshape *reshape_of(const bg_hunt *h, const bg_mutant *m, uint32_t layer)
{
    uint8_t from = h->at.levels[layer], to = m->levels[layer];
    for (bg_reshape *r = h->reshapes; to != from && r < h->reshapes + h->n_reshapes; r++)
        if (r->layer == layer && r->level == to && r->from == from) return r;
    return NULL;
}

/* The choices between which an item goes; up or down. */
typedef struct steps { uint8_t first, last; double sign; } steps;

static steps steps_of(const bg_hunt *h, const bg_mutant *m, size_t i)
{
    uint8_t a = h->at.picks[i], b = m->picks[i];
    return a < b ? (steps){a, b, 1} : (steps){b, a, -1};
}

void bg_hunt_learn(bg_hunt *h, const bg_mutant *m, double change)
{
    const bg_space *s = &h->space;
    double expected = 0, variance = bg_hunt_noise(h), gain;
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        steps t = steps_of(h, m, i);
        double cost = it->cost[t.last] - it->cost[t.first];
        expected += t.sign * cost;
        variance += NOISE * cost * cost;
        for (size_t c = t.first; c < t.last; c++) variance += it->doubt[c];
    }
    for (uint32_t l = 0; l < s->n_layer; l++) {
        const bg_reshape *r = reshape_of(h, m, l);
        if (!r) continue;
        expected += r->cost;
        variance += r->doubt + NOISE * r->cost * r->cost;
    }
    gain = (change - expected) / variance;
    if (!isfinite(gain)) return;
    for (size_t i = 0; i < s->n; i++) {
        bg_item *it = &s->items[i];
        steps t = steps_of(h, m, i);
        for (size_t c = t.first; c < t.last; c++) {
            shift(it, h->at.picks[i], c, t.sign * gain * it->doubt[c]);
            it->doubt[c] *= 1 - it->doubt[c] / variance;
        }
    }
    for (uint32_t l = 0; l < s->n_layer; l++) {
        bg_reshape *r = reshape_of(h, m, l);
        if (!r) continue;
        r->cost += gain * r->doubt;
        r->net += gain * r->doubt;
        r->doubt *= 1 - r->doubt / variance;
    }
}
