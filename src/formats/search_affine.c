/* search_affine.c: w = d sc[s] q - dmin m[s]. */
#include "formats/search.h"

#include <float.h>
#include <math.h>

/* The best scale and min of a sub-block by itself, with the error's shape around it:
 * error + ll ds^2 - 2 l ds dm + w dm^2. */
typedef struct ideal { float scale, min, l, ll, w; } ideal;

/* The scale and min that fit best with the levels as they are. A min below 0 is only for grids
 * whose m has a sign of its own. */
static bool solve(const bg_grid *g, const bg_sums *s, float w, float wx, float *scale, float *min)
{
    float det = w * s->ll - s->l * s->l;
    if (!(s->ll > 0)) return false;
    if (det > 1e-6f * w * s->ll) {
        *scale = (w * s->lx - s->l * wx) / det;
        *min = (s->l * s->lx - s->ll * wx) / det;
        if (*min >= 0 || g->min_low > 0) return *scale > 0;
    }
    *min = 0;
    *scale = s->lx / s->ll;
    return *scale > 0;
}

static void fit_sub(const bg_grid *g, const float *x, const float *w, ideal *best)
{
    int trims = g->subs == 1 ? 6 : 3;
    float low = x[0], high = x[0], sum_w = 0, sum_x = 0, least = FLT_MAX, scale, min;
    bg_sums sums;
    for (int j = 0; j < g->size; j++) {
        low = BG_MIN(low, x[j]);
        high = BG_MAX(high, x[j]);
        sum_w += w[j];
        sum_x += w[j] * x[j];
    }
    if (g->min_low == 0) low = BG_MIN(low, 0);
    *best = (ideal){.w = sum_w, .min = -low};
    if (high - low < 1e-12f) return;
    for (int a = 0; a < trims; a++)
        for (int b = 0; b < trims; b++) {
            float below = 0.75f * (float)a / (float)(trims - 1) - 0.15f;
            float above = 0.75f * (float)b / (float)(trims - 1) - 0.15f;
            float step = (high - low) / ((float)g->high + below + above);
            float from = low < 0 || g->min_low > 0 ? low + below * step : 0;
            bg_sub_sums(g, x, w, step, -from, &sums);
            for (int pass = 0; pass < 3; pass++) {
                if (!solve(g, &sums, sum_w, sum_x, &scale, &min)) break;
                bg_sub_sums(g, x, w, scale, min, &sums);
                if (!(sums.error < least)) break;
                least = sums.error;
                *best = (ideal){scale, min, sums.l, sums.ll, sum_w};
            }
        }
}

static int nearest_in(float value, float inverse, int low, int high)
{
    return (int)bg_round(bg_clamp(value * inverse, (float)low, (float)high));
}

/* The min that goes best with a scale that is not quite the ideal one. */
static float min_for(const ideal *i, float scale)
{
    return i->w > 0 ? i->min + i->l / i->w * (scale - i->scale) : i->min;
}

/* Chooses every sc and m for the given d and dmin by the true error; returns the total. */
static float choose(const bg_grid *g, const bg_target *t, const ideal *ideals, int reach,
                    bg_fit *fit)
{
    float total = 0, inverse = bg_inverse(fit->d), inverse_min = bg_inverse(fit->dmin);
    for (int s = 0; s < g->subs; s++) {
        const float *x = t->x + g->size * s, *w = t->w + g->size * s;
        const ideal *i = &ideals[s];
        int centre = nearest_in(i->scale, inverse, g->scale_low, g->scale_high);
        float best = FLT_MAX;
        for (int c = BG_MAX(centre - reach, g->scale_low);
             c <= BG_MIN(centre + reach, g->scale_high); c++) {
            float scale = fit->d * (float)c;
            int middle = nearest_in(min_for(i, scale), inverse_min, g->min_low, g->min_high);
            for (int m = BG_MAX(middle - reach, g->min_low);
                 m <= BG_MIN(middle + reach, g->min_high); m++) {
                float e = bg_sub_error(g, x, w, scale, fit->dmin * (float)m);
                if (e < best) {
                    best = e;
                    fit->sc[s] = c;
                    fit->m[s] = m;
                }
            }
        }
        total += best;
    }
    return total;
}

/* The d and dmin that fit best with sc, m and levels as they are. */
static void refit(const bg_grid *g, const bg_target *t, const ideal *ideals, bg_fit *fit)
{
    double uu = 0, uv = 0, vv = 0, ux = 0, vx = 0, det;
    bg_sums sums;
    for (int s = 0; s < g->subs; s++) {
        const float *x = t->x + g->size * s, *w = t->w + g->size * s;
        double c = fit->sc[s], m = fit->m[s], wx = 0;
        bg_sub_sums(g, x, w, fit->d * (float)fit->sc[s], fit->dmin * (float)fit->m[s], &sums);
        for (int j = 0; j < g->size; j++) wx += (double)(w[j] * x[j]);
        uu += c * c * (double)sums.ll;
        uv += c * m * (double)sums.l;
        vv += m * m * (double)ideals[s].w;
        ux += c * (double)sums.lx;
        vx += m * wx;
    }
    det = uu * vv - uv * uv;
    if (det > 1e-9 * uu * vv) {
        fit->d = bg_round_f16((float)((vv * ux - uv * vx) / det));
        fit->dmin = bg_round_f16((float)((uv * ux - uu * vx) / det));
    } else if (uu > 0) {
        fit->d = bg_round_f16((float)(ux / uu));
    }
}

/* Pairs of d and dmin to start from, by how little rounding the ideals to them should cost. */
enum { STARTS = 2, RANGE = 8 };
typedef struct start { float d, dmin, cost; } start;

static float rounding_cost(const bg_grid *g, const ideal *ideals, float d, float dmin)
{
    float sum = 0, inverse = bg_inverse(d), inverse_min = bg_inverse(dmin);
    for (int s = 0; s < g->subs; s++) {
        const ideal *i = &ideals[s];
        float scale = d * (float)nearest_in(i->scale, inverse, g->scale_low, g->scale_high);
        float ds = scale - i->scale;
        float dm = dmin * (float)nearest_in(min_for(i, scale), inverse_min, g->min_low,
                                            g->min_high) - i->min;
        sum += i->ll * ds * ds - 2.0f * i->l * ds * dm + i->w * dm * dm;
    }
    return sum;
}

static int find_starts(const bg_grid *g, const ideal *ideals, start *starts)
{
    float scale = 0, min = 0;
    int count = 0, range = g->scale_low == g->scale_high ? 1 : RANGE;
    for (int s = 0; s < g->subs; s++) {
        scale = BG_MAX(scale, ideals[s].scale);
        if (fabsf(ideals[s].min) > fabsf(min)) min = ideals[s].min;
    }
    for (int a = 0; a < range; a++)
        for (int b = 0; b < range; b++) {
            float spread = 1.0f / 24;
            start new = {bg_round_f16(scale / (float)g->scale_high * (1 + (float)a * spread)),
                         bg_round_f16(min / (float)g->min_high * (1 + (float)b * spread)), 0};
            int at;
            new.cost = rounding_cost(g, ideals, new.d, new.dmin);
            for (at = count; at > 0 && new.cost < starts[at - 1].cost; at--)
                if (at < STARTS) starts[at] = starts[at - 1];
            if (at < STARTS) {
                starts[at] = new;
                count = BG_MIN(count + 1, STARTS);
            }
        }
    return count;
}

/* Chooses sc and m for d and dmin, and those for these, as long as that lowers the error. */
static void descend(const bg_grid *g, const bg_target *t, const ideal *ideals, float d, float dmin,
                    int reach, float *best, bg_fit *fit)
{
    bg_fit trial = {.d = d, .dmin = dmin};
    for (int pass = 0; pass < 4; pass++) {
        float error = choose(g, t, ideals, reach, &trial);
        if (!(error < *best)) return;
        *best = error;
        memcpy(fit, &trial, offsetof(bg_fit, q));
        refit(g, t, ideals, &trial);
    }
}

void bg_search_affine(const bg_grid *g, const bg_target *t, bg_fit *fit)
{
    ideal ideals[16];
    start starts[STARTS];
    float best = FLT_MAX;
    int count;
    memset(fit, 0, sizeof *fit);
    for (int s = 0; s < g->subs; s++)
        fit_sub(g, t->x + g->size * s, t->w + g->size * s, &ideals[s]);
    count = find_starts(g, ideals, starts);
    for (int k = 0; k < count; k++)
        descend(g, t, ideals, starts[k].d, starts[k].dmin, 1, &best, fit);
    if (g->reach > 1) descend(g, t, ideals, fit->d, fit->dmin, g->reach, &best, fit);
    for (int s = 0; s < g->subs; s++)
        bg_sub_quantize(g, t->x + g->size * s, fit->d * (float)fit->sc[s],
                        fit->dmin * (float)fit->m[s], fit->q + g->size * s);
}
