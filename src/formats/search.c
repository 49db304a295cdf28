/* search.c: the inner loops of the searches. Sixteen lanes, always added in the same order, so
 * that compilers vectorise them and every build gives the same blocks. */
#include "formats/search.h"

enum { LANES = 16 };

void bg_target_load(bg_target *t, const float *in, const float *importance, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) {
        t->x[i] = bg_clamp(in[i], -1e10f, 1e10f);
        t->w[i] = importance ? importance[i] : 1.0f;
        most = BG_MAX(most, t->w[i]);
    }
    for (size_t i = 0; i < n; i++) t->w[i] = most > 0 ? t->w[i] / most : 1.0f;
}

/* The nearest levels of sixteen weights. */
static inline void find_levels(const bg_grid *g, const float *x, float inverse, float min,
                               float *level)
{
    float low = (float)g->low, high = (float)g->high;
    int index[LANES];
    if (!g->levels) {
        for (int i = 0; i < LANES; i++)
            level[i] = bg_round(bg_clamp((x[i] + min) * inverse, low, high));
        return;
    }
    for (int i = 0; i < LANES; i++)
        index[i] = (int)(2.0f * bg_clamp(x[i] * inverse, low, high) + 256.0f);
    for (int i = 0; i < LANES; i++) level[i] = g->levels[index[i]];
}

static inline float add_lanes(float *e)
{
    for (int step = LANES / 2; step >= 4; step /= 2)
        for (int i = 0; i < step; i++) e[i] += e[i + step];
    return (e[0] + e[1]) + (e[2] + e[3]);
}

void bg_sub_sums(const bg_grid *g, const float *x, const float *w, float scale, float min,
                 bg_sums *sums)
{
    float l[LANES] = {0}, ll[LANES] = {0}, lx[LANES] = {0}, e[LANES] = {0}, level[LANES];
    float inverse = bg_inverse(scale);
    for (int j = 0; j < g->size; j += LANES) {
        find_levels(g, x + j, inverse, min, level);
        for (int i = 0; i < LANES; i++) {
            float wl = w[j + i] * level[i], r = x[j + i] + min - scale * level[i];
            l[i] += wl;
            ll[i] += wl * level[i];
            lx[i] += wl * x[j + i];
            e[i] += w[j + i] * (r * r);
        }
    }
    sums->l = add_lanes(l);
    sums->ll = add_lanes(ll);
    sums->lx = add_lanes(lx);
    sums->error = add_lanes(e);
}

float bg_sub_error(const bg_grid *g, const float *x, const float *w, float scale, float min)
{
    float e[LANES] = {0}, level[LANES];
    float inverse = bg_inverse(scale);
    for (int j = 0; j < g->size; j += LANES) {
        find_levels(g, x + j, inverse, min, level);
        for (int i = 0; i < LANES; i++) {
            float r = x[j + i] + min - scale * level[i];
            e[i] += w[j + i] * (r * r);
        }
    }
    return add_lanes(e);
}

void bg_sub_quantize(const bg_grid *g, const float *x, float scale, float min, uint8_t *q)
{
    float level[LANES], inverse = bg_inverse(scale);
    for (int j = 0; j < g->size; j += LANES) {
        find_levels(g, x + j, inverse, min, level);
        for (int i = 0; i < LANES; i++)
            q[j + i] = (uint8_t)((int)level[i] - (g->levels ? -128 : g->low));
    }
}
