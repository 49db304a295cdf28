/* search_tile.h: 16 sub-blocks side by side, as the search reads them. Included once for each
 * instruction set. Internal. */
#include "formats/lanes.h"
#include "formats/search.h"

/* A lane is a sub-block: lane i of row j is its weight j, that is weight `size` i + j of the tile.
 * Affine grids count x from `origin`, the lowest of the sub-block (and of 0 where a min has no
 * sign), so that sums do not cancel each other.
 *
 * Trials read x and w as integers of 16 bits, of a unit for each lane, weights 2 j and 2 j + 1 in
 * one lane of row j: x twice, as finely as possible, for finding its level, and again so that sums
 * of w level x stay within 32 bits. All sums are of these integers, so the error of levels is exact
 * but for x and w themselves. */
typedef struct tile {
    float x[32][16] ALIGNED, w[32][16] ALIGNED; /* before; x not yet from the origin */
    int32_t fine[16][16] ALIGNED, coarse[16][16] ALIGNED, weight[16][16] ALIGNED;
    float low[16] ALIGNED, high[16] ALIGNED, origin[16] ALIGNED;
    float w1[16] ALIGNED, x1[16] ALIGNED, xx[16] ALIGNED;       /* sums of w, w x, w x^2 */
    float inverse_w[16] ALIGNED;                                /* 1 / w1 */
    float w_unit[16] ALIGNED, wx_unit[16] ALIGNED;              /* of `weight`; times `coarse` */
    /* A level has `fraction` bits below the point when it is found, (fine / scale) to_level / 2^16
     * of them, and counts from `bottom` then, so that adding limits it to the highest level and
     * taking off `bottom` to the lowest. */
    int fraction, bottom;
    float to_level[16] ALIGNED;
} tile;

/* Gives all lanes of a block (1, 8 or 16 lanes) their sum, in the same order of additions. */
INLINE void add_blocks(float *v, int subs)
{
    typedef float v16 __attribute__((vector_size(64)));
    v16 x = *(const v16 *)(const void *)v;
    if (subs == 1) return;
    if (subs == 16)
        x += __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    x += __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    x += __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    x += __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    *(v16 *)(void *)v = x;
}

/* Gives them the most of one of them. */
static void spread_most(float *v, int subs)
{
    for (int b = 0; b < 16; b += subs) {
        float most = v[b];
        for (int i = b; i < b + subs; i++) most = BG_MAX(most, v[i]);
        for (int i = b; i < b + subs; i++) v[i] = most;
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
    spread_most(most, g->subs);
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
    add_blocks(second, g->subs);
    add_blocks(fourth, g->subs);
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
    spread_most(most, g->subs);
    for (int at = 0; at < 16; at += LANES) {
        vf high = v_load(most + at), scale = v_pick(v_less(v_all(0), high), high, v_all(1));
        for (int j = 0; j < g->size; j++)
            v_store(&t->w[j][at], v_max(v_load(&t->w[j][at]) / scale, v_all(1e-5f)));
    }
}

/* How finely a grid's levels, weights and coarse x are counted. */
typedef struct precision { int levels, fraction; float weight, coarse; } precision;

static precision precision_of(const bg_grid *g)
{
    int most = BG_MAX(-g->low, g->high), coarse = INT16_MAX;
    precision p = {.levels = g->kind == BG_GRID_IQ4 ? 256 : g->high - g->low + 1, .fraction = 13};
    while (1 << (13 - p.fraction) < p.levels) p.fraction--;
    p.weight = (float)BG_MIN(511, INT16_MAX / most);
    while ((float)(g->size * most) * p.weight * (float)coarse >= 0x1p31f) coarse >>= 1;
    p.coarse = (float)coarse;
    return p;
}

/* Makes x and w integers, and adds them up. */
static void count(const bg_grid *g, tile *t)
{
    precision p = precision_of(g);
    t->fraction = p.fraction;
    t->bottom = (1 << 15) - (p.levels << p.fraction);
    for (int at = 0; at < 16; at += LANES) {
        vf low = v_load(t->low + at), high = v_load(t->high + at), most = v_all(0), origin = most;
        vf w1 = most, x1 = most, xx = most, range, inverse, inverse_weight, w_unit, x_unit;
        if (g->kind == BG_GRID_AFFINE) origin = g->min_low == 0 ? v_min(low, v_all(0)) : low;
        range = g->kind == BG_GRID_AFFINE ? high - origin : v_max(-low, high);
        for (int j = 0; j < g->size; j++) most = v_max(most, v_load(&t->w[j][at]));
        inverse = v_inverse(range);
        inverse_weight = p.weight / most;
        for (int j = 0; j < g->size; j += 2) {
            vi fine[2], coarse[2], weight[2];
            for (int i = 0; i < 2; i++) {
                vf x = (v_load(&t->x[j + i][at]) - origin) * inverse;
                vf w = v_round(v_load(&t->w[j + i][at]) * inverse_weight), wx;
                fine[i] = v_int(v_round(x * (float)INT16_MAX));
                x = v_round(x * p.coarse);
                coarse[i] = v_int(x);
                weight[i] = v_int(w);
                wx = w * x;
                w1 += w;
                x1 += wx;
                xx += wx * x;
            }
            h_store(&t->fine[j / 2][at], h_pair(fine[0], fine[1]));
            h_store(&t->coarse[j / 2][at], h_pair(coarse[0], coarse[1]));
            h_store(&t->weight[j / 2][at], h_pair(weight[0], weight[1]));
        }
        w_unit = most * (1 / p.weight);
        x_unit = range * (1 / p.coarse);
        v_store(t->origin + at, origin);
        v_store(t->w1 + at, w1 * w_unit);
        v_store(t->inverse_w + at, 1.0f / (w1 * w_unit));
        v_store(t->x1 + at, x1 * (w_unit * x_unit));
        v_store(t->xx + at, xx * (w_unit * x_unit) * x_unit);
        v_store(t->w_unit + at, w_unit);
        v_store(t->wx_unit + at, w_unit * x_unit);
        v_store(t->to_level + at, range * ((float)(1 << p.fraction) * 65536 / INT16_MAX));
    }
}

static void load_tile(const bg_grid *g, tile *t, const float *in, const float *importance)
{
    transpose(t->x, in, g->size);
    limit(t, g->size);
    if (importance) weigh_importance(g, t, importance);
    else weigh_tails(g, t);
    count(g, t);
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
