/* search_scaled.c: w = d sc[s] level. */
#include "formats/search.h"

#include <float.h>
#include <math.h>

/* The best scale of each sub-block by itself, and how fast the error grows away from it. */
typedef struct ideal { float scale[16], curve[16], most; } ideal;

/* Tries scales that put the peak on either end of the levels, and a bit beyond or short of it (far
 * beyond with three levels, which clip most), each made exact for its levels by least squares. */
static float fit_scale(const bg_grid *g, const float *x, const float *w, float *curve)
{
    float peak = 0, best = 0, best_gain = 0;
    float ends[2] = {(float)g->low, (float)g->high};
    float step = g->levels ? 3.0f : g->high > 1 ? 0.15f : 0.25f, centre = g->high > 1 ? 0 : 6;
    bg_sums sums;
    *curve = 0;
    for (int j = 0; j < g->size; j++)
        if (fabsf(x[j]) > fabsf(peak)) peak = x[j];
    if (fabsf(peak) < 1e-12f) return 0;
    for (int end = 0; end < 2; end++)
        for (int k = -6; k <= 6; k++) {
            float edge = ends[end] + (ends[end] < 0 ? -1.0f : 1.0f) * step * ((float)k + centre);
            bg_sub_sums(g, x, w, peak / edge, 0, &sums);
            if (sums.lx * sums.lx > best_gain * sums.ll) {
                best_gain = sums.lx * sums.lx / sums.ll;
                best = sums.lx / sums.ll;
                *curve = sums.ll;
            }
        }
    for (int pass = 0; pass < 4 && best != 0; pass++) {
        bg_sub_sums(g, x, w, best, 0, &sums);
        if (!(sums.lx * sums.lx > best_gain * sums.ll * (1 + 1e-6f))) break;
        best_gain = sums.lx * sums.lx / sums.ll;
        best = sums.lx / sums.ll;
        *curve = sums.ll;
    }
    return best;
}

static int nearest_sc(const bg_grid *g, float scale, float inverse)
{
    return (int)bg_round(bg_clamp(scale * inverse, (float)g->scale_low, (float)g->scale_high));
}

/* Chooses every sc for a given d by the true error; returns the total. */
static float choose(const bg_grid *g, const bg_target *t, const ideal *ideals, float d, int reach,
                    int *sc)
{
    float total = 0, inverse = bg_inverse(d);
    for (int s = 0; s < g->subs; s++) {
        const float *x = t->x + g->size * s, *w = t->w + g->size * s;
        int centre = nearest_sc(g, ideals->scale[s], inverse);
        float best = FLT_MAX;
        for (int c = BG_MAX(centre - reach, g->scale_low);
             c <= BG_MIN(centre + reach, g->scale_high); c++) {
            float e = bg_sub_error(g, x, w, d * (float)c, 0);
            if (e < best) {
                best = e;
                sc[s] = c;
            }
        }
        total += best;
    }
    return total;
}

/* The d that fits best with sc and levels as they are. */
static float refit(const bg_grid *g, const bg_target *t, float d, const int *sc)
{
    float top = 0, bottom = 0;
    bg_sums sums;
    for (int s = 0; s < g->subs; s++) {
        float c = (float)sc[s];
        if (!sc[s]) continue;
        bg_sub_sums(g, t->x + g->size * s, t->w + g->size * s, d * c, 0, &sums);
        top += c * sums.lx;
        bottom += c * c * sums.ll;
    }
    return bottom > 0 ? bg_round_f16(top / bottom) : d;
}

/* Starts of d, by how little rounding the ideal scales to it should cost. */
enum { STARTS = 2, RANGE = 16 };

static int find_starts(const bg_grid *g, const ideal *ideals, float *starts)
{
    float cost[STARTS];
    int count = 0;
    if (g->scale_low == g->scale_high) {
        starts[0] = bg_round_f16(ideals->most);
        return 1;
    }
    for (int end = 0; end < 2; end++)
        for (int k = 0; k < RANGE; k++) {
            float edge = end ? (float)g->scale_high - (float)k * (float)g->scale_high / 48
                             : (float)g->scale_low + (float)k * (float)g->scale_high / 48;
            float d = bg_round_f16(ideals->most / edge), inverse = bg_inverse(d), sum = 0;
            int at;
            for (int s = 0; s < g->subs; s++) {
                float off = ideals->scale[s] - d * (float)nearest_sc(g, ideals->scale[s], inverse);
                sum += ideals->curve[s] * off * off;
            }
            for (at = count; at > 0 && sum < cost[at - 1]; at--)
                if (at < STARTS) {
                    cost[at] = cost[at - 1];
                    starts[at] = starts[at - 1];
                }
            if (at < STARTS) {
                cost[at] = sum;
                starts[at] = d;
                count = BG_MIN(count + 1, STARTS);
            }
        }
    return count;
}

/* Chooses scales for d and d for the scales in turn, as long as that lowers the error. */
static void descend(const bg_grid *g, const bg_target *t, const ideal *ideals, float d, int reach,
                    float *best, bg_fit *fit)
{
    int sc[16] = {0};
    for (int pass = 0; pass < 4; pass++) {
        float error = choose(g, t, ideals, d, reach, sc);
        if (!(error < *best)) return;
        *best = error;
        fit->d = d;
        memcpy(fit->sc, sc, sizeof sc);
        d = refit(g, t, d, sc);
    }
}

void bg_search_scaled(const bg_grid *g, const bg_target *t, bg_fit *fit)
{
    ideal ideals = {.most = 0};
    float best = FLT_MAX, starts[STARTS];
    int count;
    memset(fit, 0, sizeof *fit);
    for (int s = 0; s < g->subs; s++) {
        ideals.scale[s] = fit_scale(g, t->x + g->size * s, t->w + g->size * s, &ideals.curve[s]);
        if (fabsf(ideals.scale[s]) > fabsf(ideals.most)) ideals.most = ideals.scale[s];
    }
    count = find_starts(g, &ideals, starts);
    for (int k = 0; k < count; k++) descend(g, t, &ideals, starts[k], 1, &best, fit);
    if (g->reach > 1) descend(g, t, &ideals, fit->d, g->reach, &best, fit);
    for (int s = 0; s < g->subs; s++)
        bg_sub_quantize(g, t->x + g->size * s, fit->d * (float)fit->sc[s], 0,
                        fit->q + g->size * s);
}
