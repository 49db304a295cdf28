/* search.c: fits of blocks to weights. */
#include "formats/search.h"

#include <math.h>

void bg_target_load(bg_target *t, const float *in, const float *importance, size_t n)
{
    float total = 0;
    t->most = 0;
    for (size_t i = 0; i < n; i++) {
        t->x[i] = bg_clamp(in[i], -1e10f, 1e10f);
        t->most = BG_MAX(t->most, fabsf(t->x[i]));
        t->w[i] = importance ? importance[i] : 1.0f;
        total = BG_MAX(total, t->w[i]);
    }
    for (size_t i = 0; i < n; i++) t->w[i] = total > 0 ? t->w[i] / total : 1.0f;
}

static void quantize_sub(const bg_grid *g, const float *x, float scale, float min, uint8_t *q)
{
    float inverse = bg_inverse(scale);
    for (int j = 0; j < g->size; j++) {
        float t = (x[j] + min) * inverse;
        if (g->levels) {
            int k = 0;
            while (k < 15 && t > 0.5f * (float)(g->levels[k] + g->levels[k + 1])) k++;
            q[j] = (uint8_t)k;
        } else {
            q[j] = (uint8_t)((int)bg_round(bg_clamp(t, (float)g->low, (float)g->high)) - g->low);
        }
    }
}

void bg_search_scaled(const bg_grid *g, const bg_target *t, bg_fit *fit)
{
    float scale[16], most = 0, edge = g->levels ? g->levels[0] : (float)g->low, inverse;
    memset(fit, 0, sizeof *fit);
    for (int s = 0; s < g->subs; s++) {
        float peak = 0;
        for (int j = 0; j < g->size; j++) {
            float x = t->x[g->size * s + j];
            if (fabsf(x) > fabsf(peak)) peak = x;
        }
        scale[s] = peak / edge;
        if (fabsf(scale[s]) > fabsf(most)) most = scale[s];
    }
    fit->d = bg_round_f16(most / (float)(g->scale_low < 0 ? g->scale_low : g->scale_high));
    inverse = bg_inverse(fit->d);
    for (int s = 0; s < g->subs; s++) {
        fit->sc[s] = (int)bg_round(bg_clamp(scale[s] * inverse, (float)g->scale_low,
                                            (float)g->scale_high));
        quantize_sub(g, t->x + g->size * s, fit->d * (float)fit->sc[s], 0, fit->q + g->size * s);
    }
}

void bg_search_affine(const bg_grid *g, const bg_target *t, bg_fit *fit)
{
    float scale[16], min[16], most_scale = 0, most_min = 0, inverse, inverse_min;
    memset(fit, 0, sizeof *fit);
    for (int s = 0; s < g->subs; s++) {
        const float *x = t->x + g->size * s;
        float low = x[0], high = x[0];
        for (int j = 1; j < g->size; j++) {
            low = BG_MIN(low, x[j]);
            high = BG_MAX(high, x[j]);
        }
        if (g->min_low == 0) low = BG_MIN(low, 0);
        scale[s] = (high - low) / (float)g->high;
        min[s] = -low;
        most_scale = BG_MAX(most_scale, scale[s]);
        if (fabsf(min[s]) > fabsf(most_min)) most_min = min[s];
    }
    fit->d = bg_round_f16(most_scale / (float)g->scale_high);
    fit->dmin = bg_round_f16(most_min / (float)g->min_high);
    inverse = bg_inverse(fit->d);
    inverse_min = bg_inverse(fit->dmin);
    for (int s = 0; s < g->subs; s++) {
        fit->sc[s] = (int)bg_round(bg_clamp(scale[s] * inverse, (float)g->scale_low,
                                            (float)g->scale_high));
        fit->m[s] = (int)bg_round(bg_clamp(min[s] * inverse_min, (float)g->min_low,
                                           (float)g->min_high));
        quantize_sub(g, t->x + g->size * s, fit->d * (float)fit->sc[s],
                     fit->dmin * (float)fit->m[s], fit->q + g->size * s);
    }
}
