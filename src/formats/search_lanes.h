/* search_lanes.h: the search of 16 sub-blocks side by side. Included once for each instruction set,
 * with BG_CODER_NAME what its function is called after. Internal.
 *
 * Trying a scale s (and an offset o, what the lowest level stands for) puts every weight on its
 * nearest level l. Three sums then tell the error of these same levels at any other scale and
 * offset, and which fit them best:
 *
 *   sum w (x + o - s l)^2 = xx + 2 o x1 + o^2 w1 - 2 s (sum w l x + o sum w l) + s^2 sum w l^2
 *
 * So a few trials give each sub-block a pool of such quadratics, enough to choose d, dmin, sc and m
 * without looking at a weight. What is chosen then leads to further trials, near it. */
#include "formats/search_tile.h"

#include <float.h>
#include <math.h>

enum { POOL = 32 };

/* What the levels of a trial add up to: w l, w l^2, w l x. */
typedef struct trial { vf l, ll, lx; } trial;

/* A d and dmin, and for each lane the levels found best with them, their sc and m. */
typedef struct choice {
    float d[16] ALIGNED, dmin[16] ALIGNED, sc[16] ALIGNED, m[16] ALIGNED;
    float l[16] ALIGNED, ll[16] ALIGNED, lx[16] ALIGNED, error[16] ALIGNED;
} choice;

/* A scale and an offset, before its trial those to try and then those that fit its levels best;
 * what a trial makes of them, and what the levels added up to. */
typedef struct attempt {
    float s[16] ALIGNED, o[16] ALIGNED;
    int32_t inverse[16] ALIGNED, start[16] ALIGNED;
    float l[16] ALIGNED, ll[16] ALIGNED, lx[16] ALIGNED;
} attempt;

typedef struct search {
    const bg_grid *g;
    tile t;
    int n;                      /* attempts in the pool */
    attempt pool[POOL];
    choice ideal;               /* the best trial of each lane: its scale and offset in sc and m */
    choice kept;                /* the best of each block */
    float total[16] ALIGNED;    /* its error, in all lanes of the block */
} search;

/* For all trials before the first: each waits for a division. */
INLINE void prepare(search *a, bg_grid_kind kind, int at, int first, int end)
{
    const tile *t = &a->t;
    float one = (float)(1 << t->fraction), bottom = (float)t->bottom;
    float zero = bottom + (kind == BG_GRID_IQ4 ? 128 : 0.5f - (float)a->g->low) * one;
    for (int k = first; k < end; k++) {
        attempt *p = &a->pool[k];
        vf inverse = v_inverse(v_load(p->s + at)), start = v_all(zero);
        vf step = v_clamp(inverse * v_load(t->to_level + at), kind == BG_GRID_AFFINE ? 0 : -32767,
                          32767);
        vi whole = v_int(v_round(step));
        h_store(p->inverse + at, h_pair(whole, whole));
        if (kind == BG_GRID_AFFINE)
            start = v_clamp(start + v_load(p->o + at) * inverse * one, 0, 32767);
        whole = v_int(start);
        h_store(p->start + at, h_pair(whole, whole));
    }
}

/* Trials go in pairs: what one waits for, the other computes. */
INLINE void try_two(search *a, bg_grid_kind kind, int size, int at, attempt *p)
{
    const tile *t = &a->t;
    vh floor = h_all(t->bottom), low = h_all(a->g->low), inverse[2], start[2];
    vi l[2] = {{0}}, ll[2] = {{0}}, lx[2] = {{0}};
    vf unit = v_load(t->w_unit + at), x_unit = v_load(t->wx_unit + at);
    for (int i = 0; i < 2; i++) {
        inverse[i] = h_load(p[i].inverse + at);
        start[i] = h_load(p[i].start + at);
    }
    for (int j = 0; j < size / 2; j++) {
        vh fine = h_load(&t->fine[j][at]), coarse = h_load(&t->coarse[j][at]);
        vh w = h_load(&t->weight[j][at]);
        for (int i = 0; i < 2; i++) {
            vh level = h_sub(h_add(h_high(fine, inverse[i]), start[i]), floor), wl;
            if (kind == BG_GRID_IQ4) level = h_nearest_iq4(level);
            else level = h_shift(level, t->fraction);
            if (kind == BG_GRID_SCALED) level += low;
            wl = w * level;
            if (kind == BG_GRID_AFFINE) l[i] += h_dot(w, level);
            ll[i] += h_dot(wl, level);
            lx[i] += h_dot(wl, coarse);
        }
    }
    for (int i = 0; i < 2; i++) {
        v_store(p[i].l + at, __builtin_convertvector(l[i], vf) * unit);
        v_store(p[i].ll + at, __builtin_convertvector(ll[i], vf) * unit);
        v_store(p[i].lx + at, __builtin_convertvector(lx[i], vf) * x_unit);
    }
}

INLINE void try_all(search *a, bg_grid_kind kind, int at, int first, int end)
{
    prepare(a, kind, at, first, end);
    for (int k = first; k < end; k += 2)
        if (a->g->size == 16) try_two(a, kind, 16, at, &a->pool[k]);
        else try_two(a, kind, 32, at, &a->pool[k]);
}

INLINE trial result(const attempt *p, int at)
{
    return (trial){v_load(p->l + at), v_load(p->ll + at), v_load(p->lx + at)};
}

INLINE vf error_at(const search *a, bg_grid_kind kind, int at, trial r, vf s, vf o)
{
    vf xx = v_load(a->t.xx + at);
    if (kind != BG_GRID_AFFINE) return xx - s * (2.0f * r.lx - s * r.ll);
    vf w1 = v_load(a->t.w1 + at), x1 = v_load(a->t.x1 + at);
    return xx + o * (2.0f * x1 + o * w1) - s * (2.0f * (r.lx + o * r.l) - s * r.ll);
}

/* The scale and offset that fit a trial's levels best; a min without a sign is not below 0. */
INLINE vf solve(const search *a, bg_grid_kind kind, int at, trial r, vf *o)
{
    if (kind != BG_GRID_AFFINE) {
        *o = v_all(0);
        return r.lx * v_inverse(r.ll);
    }
    vf w1 = v_load(a->t.w1 + at), x1 = v_load(a->t.x1 + at), least = v_load(a->t.origin + at), s;
    vf det = w1 * r.ll - r.l * r.l, offset = r.l * r.lx - r.ll * x1;
    vm free = v_less(1e-6f * w1 * r.ll, det);
    if (a->g->min_low == 0) free = v_both(free, v_less(least * det, offset));
    s = v_pick(free, w1 * r.lx - r.l * x1, r.lx + least * r.l) * v_inverse(v_pick(free, det, r.ll));
    *o = v_pick(free, (s * r.l - x1) * v_load(a->t.inverse_w + at), least);
    return s;
}

INLINE vf nearest_sc(const bg_grid *g, vf v)
{
    return v_round(v_clamp(v, (float)g->scale_low, (float)g->scale_high));
}

INLINE vf nearest_m(const bg_grid *g, vf v)
{
    return v_round(v_clamp(v, (float)g->min_low, (float)g->min_high));
}

/* The m that goes best with a trial's levels and an sc, and the error with both. */
INLINE vf settle(const search *a, bg_grid_kind kind, int at, trial r, vf d, vf dmin,
                 vf inverse_min, vf sc, vf *m)
{
    vf s = d * sc, o = v_all(0);
    *m = v_all(0);
    if (kind == BG_GRID_AFFINE) {
        vf origin = v_load(a->t.origin + at);
        o = (s * r.l - v_load(a->t.x1 + at)) * v_load(a->t.inverse_w + at);
        *m = nearest_m(a->g, (o - origin) * inverse_min);
        o = origin + dmin * *m;
    }
    return error_at(a, kind, at, r, s, o);
}

/* The best so far of one vector of lanes. */
typedef struct pick { vf sc, m, error; trial r; } pick;

INLINE void pick_better(pick *p, vf sc, vf m, trial r, vf error)
{
    vm better = v_less(error, p->error);
    p->sc = v_pick(better, sc, p->sc);
    p->m = v_pick(better, m, p->m);
    p->r.l = v_pick(better, r.l, p->r.l);
    p->r.ll = v_pick(better, r.ll, p->r.ll);
    p->r.lx = v_pick(better, r.lx, p->r.lx);
    p->error = v_pick(better, error, p->error);
}

INLINE pick get_pick(const choice *c, int at)
{
    return (pick){v_load(c->sc + at), v_load(c->m + at), v_load(c->error + at),
                  {v_load(c->l + at), v_load(c->ll + at), v_load(c->lx + at)}};
}

INLINE void put_pick(choice *c, int at, const pick *p)
{
    v_store(c->sc + at, p->sc);
    v_store(c->m + at, p->m);
    v_store(c->l + at, p->r.l);
    v_store(c->ll + at, p->r.ll);
    v_store(c->lx + at, p->r.lx);
    v_store(c->error + at, p->error);
}

/* ---- the first trials --------------------------------------------------------------------- */

/* What fits each attempt best, after its trial. */
INLINE void solve_all(search *a, bg_grid_kind kind, int at, int first, int end, pick *ideal)
{
    for (int k = first; k < end; k++) {
        attempt *p = &a->pool[k];
        trial r = result(p, at);
        vf o, s = solve(a, kind, at, r, &o);
        v_store(p->s + at, s);
        v_store(p->o + at, o);
        pick_better(ideal, s, o, r, error_at(a, kind, at, r, s, o));
    }
}

/* Levels that reach a bit beyond the range on both sides, shifted by parts of a level: a bit more
 * and a bit less stretched in turn. Each trial is followed by one at what fits it best. */
INLINE void fit_affine(search *a, int at, pick *ideal)
{
    const bg_grid *g = a->g;
    int n = g->trials;
    vf origin = v_load(a->t.origin + at), range = v_load(a->t.high + at) - origin;
    for (int k = 0; k < n; k++) {
        float beyond = g->beyond + (k % 2 ? -g->stretch : g->stretch);
        float shift = g->apart * ((float)k - 0.5f * (float)(n - 1));
        vf s = range * (1 / ((float)g->high + 2 * beyond)), o = s * -(beyond + shift);
        v_store(a->pool[k].s + at, s);
        v_store(a->pool[k].o + at, g->min_low == 0 ? v_max(o, origin) : o);
    }
    try_all(a, BG_GRID_AFFINE, at, 0, n);
    solve_all(a, BG_GRID_AFFINE, at, 0, n, ideal);
    for (int k = 0; k < n; k++) {
        v_store(a->pool[n + k].s + at, v_load(a->pool[k].s + at));
        v_store(a->pool[n + k].o + at, v_load(a->pool[k].o + at));
    }
    try_all(a, BG_GRID_AFFINE, at, n, 2 * n);
    solve_all(a, BG_GRID_AFFINE, at, n, 2 * n, ideal);
    a->n = 2 * n;
}

/* Scales that put the peak on either end of the levels, and a bit beyond or short of it; where the
 * ends are alike, on the one end alone. */
INLINE void fit_scaled(search *a, bg_grid_kind kind, int at, const float *peak, pick *ideal)
{
    const bg_grid *g = a->g;
    bool alike = g->low == -g->high;
    vf top = v_load(peak + at);
    for (int k = 0; k < g->trials; k++) {
        float turn = alike ? 0.5f * (float)k : (float)(k / 2);
        float beyond = g->beyond + g->apart * (turn - 0.25f * (float)(g->trials - 2));
        float end = k % 2 || alike ? (float)g->high + beyond : (float)g->low - beyond;
        v_store(a->pool[k].s + at, top * (1 / end));
    }
    try_all(a, kind, at, 0, g->trials);
    solve_all(a, kind, at, 0, g->trials, ideal);
    a->n = g->trials;
}

/* The weight of largest magnitude: of the block where sub-blocks have no scales of their own. */
static void find_peaks(const search *a, float *peak)
{
    for (int i = 0; i < 16; i++)
        peak[i] = a->t.high[i] < -a->t.low[i] ? a->t.low[i] : a->t.high[i];
    if (a->g->scale_low < a->g->scale_high || a->g->subs == 1) return;
    for (int i = 0; i < 16; i++) peak[i] = fabsf(peak[i]);
    spread_most(peak, a->g->subs);
}

INLINE void fit(search *a, bg_grid_kind kind)
{
    float peak[16] ALIGNED;
    vf zero = v_all(0);
    find_peaks(a, peak);
    for (int at = 0; at < 16; at += LANES) {
        pick ideal = {zero, zero, v_load(a->t.xx + at), {zero, zero, zero}};
        if (kind == BG_GRID_AFFINE) fit_affine(a, at, &ideal);
        else fit_scaled(a, kind, at, peak, &ideal);
        put_pick(&a->ideal, at, &ideal);
    }
}

/* ---- d and dmin ---------------------------------------------------------------------------- */

enum { STEPS = 32, BEST = 4, MIN_STEPS = 8, STARTS = BEST * MIN_STEPS };

/* Halves that put the largest scale on the top of sc or a bit below. */
INLINE void list_steps(const bg_grid *g, bg_grid_kind kind, float scale, float *d)
{
    float low = scale / (float)g->scale_low, high = scale / (float)g->scale_high;
    for (int k = 0; k < STEPS; k++) {
        if (kind == BG_GRID_AFFINE) d[k] = high * (1 + (float)k / (3.0f * STEPS));
        else d[k] = (k % 2 ? high : low) * (1 / (1 - (float)(k / 2) / 64));
    }
    for (int k = 0; k < STEPS; k += LANES) v_store(d + k, v_half(v_load(d + k)));
}

/* What rounding the ideal scales of a block to each of the steps costs, mins being free. */
INLINE void cost_of_steps(const search *a, int b, const float *curve, const float *d, float *cost)
{
    const choice *c = &a->ideal;
    for (int k = 0; k < STEPS; k += LANES) {
        vf step = v_load(d + k), inverse = v_inverse(step), sum = v_all(0);
        for (int s = b; s < b + a->g->subs; s++) {
            vf ds = step * nearest_sc(a->g, c->sc[s] * inverse) - c->sc[s];
            sum += curve[s] * (ds * ds);
        }
        v_store(cost + k, sum);
    }
}

/* What rounding the mins then costs with each of the starts. */
INLINE void cost_of_starts(const search *a, int b, const float *mins, const float *slope,
                           const float *d, const float *dmin, float *cost)
{
    const choice *c = &a->ideal;
    for (int k = 0; k < STARTS; k += LANES) {
        vf step = v_load(d + k), inverse = v_inverse(step), sum = v_all(0);
        vf step_min = v_load(dmin + k), inverse_min = v_inverse(step_min);
        for (int s = b; s < b + a->g->subs; s++) {
            vf ds = step * nearest_sc(a->g, c->sc[s] * inverse) - c->sc[s], shift = slope[s] * ds;
            vf dm = step_min * nearest_m(a->g, (mins[s] + shift) * inverse_min) - mins[s] - shift;
            sum += a->t.w1[s] * (dm * dm);
        }
        v_store(cost + k, v_load(cost + k) + sum);
    }
}

INLINE int least_of(const float *cost, int n)
{
    int best = 0;
    for (int k = 1; k < n; k++)
        if (cost[k] < cost[best]) best = k;
    return best;
}

/* The steps that are best of every fourth part of their range, each with several steps of mins,
 * which put the largest min on the top of m or a bit below. */
INLINE void find_start(const search *a, bg_grid_kind kind, int b, choice *out)
{
    const choice *c = &a->ideal;
    float scale = 0, min = 0, mins[16], slope[16] = {0}, curve[16];
    float steps[STEPS] ALIGNED, cost[STEPS] ALIGNED;
    float d[STARTS] ALIGNED, dmin[STARTS] ALIGNED, all[STARTS] ALIGNED;
    int best;
    for (int s = b; s < b + a->g->subs; s++) {
        if (kind == BG_GRID_AFFINE) slope[s] = c->l[s] * a->t.inverse_w[s];
        curve[s] = c->ll[s] - slope[s] * c->l[s];
        mins[s] = c->m[s] - a->t.origin[s];
        min = BG_MAX(min, mins[s]);
        if (fabsf(c->sc[s]) > fabsf(scale)) scale = c->sc[s];
    }
    list_steps(a->g, kind, scale, steps);
    cost_of_steps(a, b, curve, steps, cost);
    if (kind != BG_GRID_AFFINE) {
        best = least_of(cost, STEPS);
        for (int s = b; s < b + a->g->subs; s++) out->d[s] = steps[best];
        return;
    }
    for (int k = 0; k < STARTS; k++)
        dmin[k] = min / (float)a->g->min_high * (1 + (float)(k % MIN_STEPS) / (3.0f * MIN_STEPS));
    for (int k = 0; k < STARTS; k += LANES) v_store(dmin + k, v_half(v_load(dmin + k)));
    for (int part = 0; part < BEST; part++) {
        best = STEPS / BEST * part;
        best += least_of(cost + best, STEPS / BEST);
        for (int k = MIN_STEPS * part; k < MIN_STEPS * (part + 1); k++) {
            d[k] = steps[best];
            all[k] = cost[best];
        }
    }
    cost_of_starts(a, b, mins, slope, d, dmin, all);
    for (int i = 0; i < a->g->descents; i++) {
        best = least_of(all, STARTS);
        for (int s = b; s < b + a->g->subs; s++) {
            out[i].d[s] = d[best];
            out[i].dmin[s] = dmin[best];
        }
        best -= best % MIN_STEPS;
        for (int k = best; k < best + MIN_STEPS; k++) all[k] = FLT_MAX;
    }
}

/* Sub-blocks that share a scale: that of the trial that is best for all of them. */
INLINE void find_shared(const search *a, choice *c)
{
    float best[16] ALIGNED = {0}, lx[16] ALIGNED, ll[16] ALIGNED;
    for (int k = 0; k < a->n; k++) {
        memcpy(lx, a->pool[k].lx, sizeof lx);
        memcpy(ll, a->pool[k].ll, sizeof ll);
        add_blocks(lx, a->g->subs);
        add_blocks(ll, a->g->subs);
        for (int at = 0; at < 16; at += LANES) {
            vf d = v_load(lx + at) * v_inverse(v_load(ll + at)), gain = d * v_load(lx + at);
            vm better = v_less(v_load(best + at), gain);
            v_store(best + at, v_pick(better, gain, v_load(best + at)));
            v_store(c->d + at, v_pick(better, v_half(d), v_load(c->d + at)));
        }
    }
}

INLINE void find_starts(const search *a, bg_grid_kind kind, choice *c)
{
    const bg_grid *g = a->g;
    if (g->scale_low == g->scale_high && g->subs == 1) {
        for (int at = 0; at < 16; at += LANES) {
            v_store(c->d + at, v_half(v_load(a->ideal.sc + at)));
            v_store(c->dmin + at, v_half(v_load(a->ideal.m + at) - v_load(a->t.origin + at)));
        }
        return;
    }
    if (g->scale_low == g->scale_high) find_shared(a, c);
    else for (int b = 0; b < 16; b += g->subs) find_start(a, kind, b, c);
}

/* The d and dmin that fit best with sc, m and levels as they are. */
INLINE void refit(const search *a, bg_grid_kind kind, choice *c)
{
    enum { UU, UV, VV, UX, VX, SUMS };
    float sums[SUMS][16] ALIGNED;
    for (int at = 0; at < 16; at += LANES) {
        vf sc = v_load(c->sc + at), l = v_load(c->l + at), lx = v_load(c->lx + at);
        v_store(sums[UU] + at, sc * sc * v_load(c->ll + at));
        if (kind == BG_GRID_AFFINE) {
            vf m = v_load(c->m + at), origin = v_load(a->t.origin + at), w = v_load(a->t.w1 + at);
            lx += origin * l;
            v_store(sums[UV] + at, sc * m * l);
            v_store(sums[VV] + at, m * m * w);
            v_store(sums[VX] + at, m * (v_load(a->t.x1 + at) + origin * w));
        }
        v_store(sums[UX] + at, sc * lx);
    }
    for (int i = 0; i < SUMS; i++)
        if (kind == BG_GRID_AFFINE || i == UU || i == UX) add_blocks(sums[i], a->g->subs);
    for (int at = 0; at < 16; at += LANES) {
        vf uu = v_load(sums[UU] + at), ux = v_load(sums[UX] + at), d = ux * v_inverse(uu);
        vm any = v_less(v_all(0), uu);
        if (kind == BG_GRID_AFFINE) {
            vf uv = v_load(sums[UV] + at), vv = v_load(sums[VV] + at), vx = v_load(sums[VX] + at);
            vf det = uu * vv - uv * uv, inverse = v_inverse(det), dmin = v_load(c->dmin + at);
            vm both = v_less(1e-6f * uu * vv, det);
            d = v_pick(both, (vv * ux - uv * vx) * inverse, d);
            v_store(c->dmin + at, v_pick(both, v_half((uv * ux - uu * vx) * inverse), dmin));
        }
        v_store(c->d + at, v_pick(any, v_half(d), v_load(c->d + at)));
    }
}

/* ---- sc, m and levels ---------------------------------------------------------------------- */

/* The best of the pool. */
INLINE void choose(const search *a, bg_grid_kind kind, choice *c)
{
    vf zero = v_all(0);
    for (int at = 0; at < 16; at += LANES) {
        vf d = v_load(c->d + at), inverse = v_inverse(d), dmin = v_load(c->dmin + at), m;
        vf inverse_min = v_inverse(dmin);
        pick best = {zero, zero, v_all(FLT_MAX), {zero, zero, zero}};
        for (int k = 0; k < a->n; k++) {
            trial r = result(&a->pool[k], at);
            vf sc = nearest_sc(a->g, v_load(a->pool[k].s + at) * inverse);
            vf error = settle(a, kind, at, r, d, dmin, inverse_min, sc, &m);
            pick_better(&best, sc, m, r, error);
        }
        put_pick(c, at, &best);
    }
}

/* Steps of sc and m from the chosen ones, those first that found the most on real weights. Scaled
 * grids try every second one from the chosen sc with its sign turned. */
static const int8_t near_affine[][2] = {
    {0, 0}, {2, 1}, {1, 0}, {3, 0}, {-1, 0}, {4, -1}, {1, -1}, {2, 2}, {3, -2}, {2, -1}, {4, -3},
    {2, 3}, {5, 1}, {-1, 1}, {2, -3}, {3, 2}, {5, -4}, {4, -2}, {0, 3}, {3, 4}, {1, 1}, {2, -2},
};
static const int8_t near_scaled[] = {
    0, 6, -9, -12, 8, 11, -14, -14, 5, -5, -3, 2, 10, 12, -7, 0, 3, 3, 6, -9, -4, 9,
};

INLINE void try_near(search *a, bg_grid_kind kind, choice *c)
{
    const bg_grid *g = a->g;
    for (int at = 0; at < 16; at += LANES) {
        vf d = v_load(c->d + at), dmin = v_load(c->dmin + at), origin = v_load(a->t.origin + at);
        vf inverse = v_inverse(d), inverse_min = v_inverse(dmin);
        pick best = get_pick(c, at), first = best;
        vf slope = first.r.l * v_load(a->t.inverse_w + at) * d * inverse_min;
        for (int k = 0; k < g->neighbours; k++) {
            vf sc, m;
            if (kind == BG_GRID_AFFINE) sc = first.sc + (float)near_affine[k][0];
            else sc = (k % 2 ? -first.sc : first.sc) + (float)near_scaled[k];
            sc = v_clamp(sc, (float)g->scale_low, (float)g->scale_high);
            v_store(a->pool[k].s + at, d * sc);
            if (kind != BG_GRID_AFFINE) continue;
            m = first.m + slope * (sc - first.sc) + (float)near_affine[k][1];
            v_store(a->pool[k].o + at, origin + dmin * nearest_m(g, m));
        }
        try_all(a, kind, at, 0, g->neighbours);
        for (int k = 0; k < g->neighbours; k++) {
            trial r = result(&a->pool[k], at);
            vf o, m, sc = nearest_sc(g, solve(a, kind, at, r, &o) * inverse);
            vf error = settle(a, kind, at, r, d, dmin, inverse_min, sc, &m);
            pick_better(&best, sc, m, r, error);
        }
        put_pick(c, at, &best);
    }
}

/* The best sc and m for the same levels after a change of d and dmin. */
INLINE void settle_again(const search *a, bg_grid_kind kind, choice *c)
{
    for (int at = 0; at < 16; at += LANES) {
        vf d = v_load(c->d + at), dmin = v_load(c->dmin + at), o;
        pick p = get_pick(c, at);
        p.sc = nearest_sc(a->g, solve(a, kind, at, p.r, &o) * v_inverse(d));
        p.error = settle(a, kind, at, p.r, d, dmin, v_inverse(dmin), p.sc, &p.m);
        put_pick(c, at, &p);
    }
}

/* Keeps a choice for the blocks where it is better. */
INLINE void keep(search *a, const choice *c)
{
    float total[16] ALIGNED;
    memcpy(total, c->error, sizeof total);
    add_blocks(total, a->g->subs);
    for (int at = 0; at < 16; at += LANES) {
        vm better = v_less(v_load(total + at), v_load(a->total + at));
        v_store(a->total + at, v_pick(better, v_load(total + at), v_load(a->total + at)));
        for (size_t field = 0; field < sizeof *c / sizeof c->d; field++) {
            const float *from = (const float *)c + 16 * field + at;
            float *to = (float *)&a->kept + 16 * field + at;
            v_store(to, v_pick(better, v_load(from), v_load(to)));
        }
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* Once more with the d and dmin that fit best. */
INLINE void improve(search *a, bg_grid_kind kind, choice *c)
{
    refit(a, kind, c);
    settle_again(a, kind, c);
    keep(a, c);
}

INLINE void run(search *a, bg_grid_kind kind)
{
    choice c[BEST];
    memset(c, 0, sizeof c);
    fit(a, kind);
    find_starts(a, kind, c);
    for (int i = 0; i < a->g->descents; i++) {
        choose(a, kind, &c[i]);
        keep(a, &c[i]);
        improve(a, kind, &c[i]);
    }
    c[0] = a->kept;
    try_near(a, kind, &c[0]);
    keep(a, &c[0]);
    improve(a, kind, &c[0]);
}

void BG_CODER_NAME(bg_search_tile)(const bg_grid *g, const float *in, const float *importance,
                                   bg_tile_fit *fit)
{
    search a;
    a.g = g;
    memset(&a.kept, 0, sizeof a.kept);
    for (int i = 0; i < 16; i++) a.total[i] = FLT_MAX;
    load_tile(g, &a.t, in, importance);
    if (g->kind == BG_GRID_AFFINE) run(&a, BG_GRID_AFFINE);
    else if (g->kind == BG_GRID_IQ4) run(&a, BG_GRID_IQ4);
    else run(&a, BG_GRID_SCALED);
    for (int i = 0; i < 16; i++) {
        float scale = a.kept.d[i] * a.kept.sc[i], min = a.kept.dmin[i] * a.kept.m[i];
        fit->d[i / g->subs] = a.kept.d[i];
        fit->dmin[i / g->subs] = a.kept.dmin[i];
        fit->sc[i] = (int8_t)a.kept.sc[i];
        fit->m[i] = (int8_t)a.kept.m[i];
        put_levels(g, in + i * g->size, scale, min, fit->q + i * g->size);
    }
}
