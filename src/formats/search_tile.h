/* search_tile.h: 16 sub-blocks side by side, as the search reads them. Included once for each
 * instruction set. Internal. */
#include "formats/lanes.h"
#include "formats/search.h"

/* A lane is a sub-block: lane i of row j is its weight j, that is weight `size` i + j of the tile.
 * Affine grids count x from `origin`, the lowest of the sub-block (and of 0 where a min has no
 * sign), so that sums do not cancel each other. */
typedef struct tile {
    float x[32][16] ALIGNED, w[32][16] ALIGNED;
    float low[16] ALIGNED, high[16] ALIGNED, origin[16] ALIGNED;
    float w1[16] ALIGNED, x1[16] ALIGNED, xx[16] ALIGNED;       /* sums of w, w x, w x^2 */
    float inverse_w[16] ALIGNED;                                /* 1 / w1 */
} tile;

/* What the lanes of a block hold, added in a fixed order. */
INLINE float add_lanes(const float *v, int subs)
{
    float sum[4] = {0};
    if (subs == 1) return v[0];
    for (int i = 0; i < subs; i++) sum[i % 4] += v[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

INLINE float most_of_lanes(const float *v, int subs)
{
    float most = v[0];
    for (int i = 1; i < subs; i++) most = BG_MAX(most, v[i]);
    return most;
}

/* Gives all lanes of a block the same value. */
INLINE void spread(float *v, int subs, float (*of)(const float *v, int subs))
{
    for (int b = 0; b < 16; b += subs) {
        float all = of(v + b, subs);
        for (int i = b; i < b + subs; i++) v[i] = all;
    }
}

/* Weight size i + j to lane i of row j, four by four. */
static void transpose(float (*out)[16], const float *in, int size)
{
    typedef float v4 __attribute__((vector_size(16)));
    for (int i = 0; i < 16; i += 4)
        for (int j = 0; j < size; j += 4) {
            v4 r[4], a, b, c, d;
            for (int k = 0; k < 4; k++) memcpy(&r[k], in + size * (i + k) + j, sizeof r[k]);
            a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
            b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
            c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
            d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
            *(v4 *)(void *)&out[j][i] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
            *(v4 *)(void *)&out[j + 1][i] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
            *(v4 *)(void *)&out[j + 2][i] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
            *(v4 *)(void *)&out[j + 3][i] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
        }
}

/* Limits x to what a block can express, and finds its ends. */
static void limit(tile *t, int size)
{
    for (int at = 0; at < 16; at += LANES) {
        vf low = v_all(1e10f), high = -low;
        for (int j = 0; j < size; j++) {
            vf x = v_clamp(v_load(&t->x[j][at]), -1e10f, 1e10f);
            v_store(&t->x[j][at], x);
            low = v_min(low, x);
            high = v_max(high, x);
        }
        v_store(t->low + at, low);
        v_store(t->high + at, high);
    }
}

/* Without importance, weights with heavier tails than a normal distribution (kurtosis over 3) have
 * columns that matter more than others, and large weights are a sign of them: errors then count
 * in proportion to 1 + strength * x^2 / mean(x^2). On the outputs of whole matrices with real
 * activations, this beats uniform weights where there are outliers and equals them elsewhere. */
static void weigh_tails(const bg_grid *g, tile *t)
{
    float most[16] ALIGNED, second[16] ALIGNED, fourth[16] ALIGNED;
    float n = (float)(g->subs * g->size);
    for (int at = 0; at < 16; at += LANES)
        v_store(most + at, v_max(-v_load(t->low + at), v_load(t->high + at)));
    spread(most, g->subs, most_of_lanes);
    for (int at = 0; at < 16; at += LANES) {
        vf inverse = v_inverse(v_load(most + at)), two = v_all(0), four = two;
        for (int j = 0; j < g->size; j++) {
            vf x = v_load(&t->x[j][at]) * inverse, xx = x * x;
            two += xx;
            four += xx * xx;
        }
        v_store(second + at, two);
        v_store(fourth + at, four);
    }
    spread(second, g->subs, add_lanes);
    spread(fourth, g->subs, add_lanes);
    for (int at = 0; at < 16; at += LANES) {
        vf inverse = v_inverse(v_load(most + at)), square = v_load(second + at) / n;
        vf excess = v_load(fourth + at) / n * v_inverse(square * square) - 3.0f;
        vf slope = v_clamp(0.4f * excess, 0, 1) * v_inverse(square), scale = 1.0f / (1.0f + slope);
        for (int j = 0; j < g->size; j++) {
            vf x = v_load(&t->x[j][at]) * inverse;
            v_store(&t->w[j][at], v_max((1.0f + slope * (x * x)) * scale, v_all(1e-5f)));
        }
    }
}

/* What has no importance still comes out near, as long as that costs the rest nothing. */
static void weigh_importance(const bg_grid *g, tile *t, const float *importance)
{
    float most[16] ALIGNED;
    transpose(t->w, importance, g->size);
    for (int at = 0; at < 16; at += LANES) {
        vf high = v_load(&t->w[0][at]);
        for (int j = 1; j < g->size; j++) high = v_max(high, v_load(&t->w[j][at]));
        v_store(most + at, high);
    }
    spread(most, g->subs, most_of_lanes);
    for (int at = 0; at < 16; at += LANES) {
        vf high = v_load(most + at), scale = v_pick(v_less(v_all(0), high), high, v_all(1));
        for (int j = 0; j < g->size; j++)
            v_store(&t->w[j][at], v_max(v_load(&t->w[j][at]) / scale, v_all(1e-5f)));
    }
}

static void add_up(const bg_grid *g, tile *t)
{
    for (int at = 0; at < 16; at += LANES) {
        vf w1 = v_all(0), x1 = w1, xx = w1, origin = w1;
        if (g->kind == BG_GRID_AFFINE) origin = v_load(t->low + at);
        if (g->min_low == 0) origin = v_min(origin, v_all(0));
        v_store(t->origin + at, origin);
        for (int j = 0; j < g->size; j++) {
            vf x = v_load(&t->x[j][at]) - origin, w = v_load(&t->w[j][at]), wx = w * x;
            v_store(&t->x[j][at], x);
            w1 += w;
            x1 += wx;
            xx += wx * x;
        }
        v_store(t->w1 + at, w1);
        v_store(t->inverse_w + at, 1.0f / w1);
        v_store(t->x1 + at, x1);
        v_store(t->xx + at, xx);
    }
}

static void load_tile(const bg_grid *g, tile *t, const float *in, const float *importance)
{
    transpose(t->x, in, g->size);
    limit(t, g->size);
    if (importance) weigh_importance(g, t, importance);
    else weigh_tails(g, t);
    add_up(g, t);
}

/* The levels of a sub-block whose weights are in their own order. */
static void put_levels(const bg_grid *g, const float *x, float scale, float min, uint8_t *q)
{
    vf inverse = v_inverse(v_all(scale));
    for (int j = 0; j < g->size; j += LANES) {
        vf v;
        memcpy(&v, x + j, sizeof v);
        v = v_clamp((v + min) * inverse, (float)g->low, (float)g->high);
        v_put(q + j, g->kind == BG_GRID_IQ4 ? v_nearest_iq4(v) : v_int(v_round(v) - (float)g->low));
    }
}
