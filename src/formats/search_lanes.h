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

typedef struct search {
    const bg_grid *g;
    tile t;
    int n;                      /* trials in the pool, each with the scale that fits it best */
    struct { float l[16] ALIGNED, ll[16] ALIGNED, lx[16] ALIGNED, scale[16] ALIGNED; } pool[POOL];
    choice ideal;               /* the best trial of each lane: its scale and offset in sc and m */
    choice kept;                /* the best of each block */
    float total[16];            /* its error, in the first lane of the block */
} search;

/* Trials go in pairs: what one waits for, the other computes. */
INLINE void try_sized(const search *a, bg_grid_kind kind, int size, int at, const vf *s,
                      const vf *o, trial *r)
{
    const tile *t = &a->t;
    float one = (float)(1 << t->fraction), bottom = (float)t->bottom;
    vh inverse[2], start[2], floor = h_all(t->bottom), low = h_all(a->g->low);
    vi l[2] = {{0}}, ll[2] = {{0}}, lx[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        vf scale = v_inverse(s[i]), zero = v_all(bottom + (0.5f - (float)a->g->low) * one);
        vf step = scale * v_load(t->to_level + at);
        vi whole = v_int(v_round(v_clamp(step, kind == BG_GRID_AFFINE ? 0 : -32767, 32767)));
        inverse[i] = h_pair(whole, whole);
        if (kind == BG_GRID_IQ4) zero = v_all(bottom + 128 * one);
        if (kind == BG_GRID_AFFINE) zero = v_clamp(zero + o[i] * scale * one, 0, 32767);
        whole = v_int(zero);
        start[i] = h_pair(whole, whole);
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
        vf unit = v_load(t->w_unit + at);
        r[i].l = __builtin_convertvector(l[i], vf) * unit;
        r[i].ll = __builtin_convertvector(ll[i], vf) * unit;
        r[i].lx = __builtin_convertvector(lx[i], vf) * v_load(t->wx_unit + at);
    }
}

INLINE void try_two(const search *a, bg_grid_kind kind, int at, const vf *s, const vf *o, trial *r)
{
    if (a->g->size == 16) try_sized(a, kind, 16, at, s, o, r);
    else try_sized(a, kind, 32, at, s, o, r);
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

/* Puts two trials in the pool, and makes s and o what fits them best. */
INLINE void add_two(search *a, bg_grid_kind kind, int at, vf *s, vf *o, pick *ideal)
{
    trial r[2];
    try_two(a, kind, at, s, o, r);
    for (int i = 0; i < 2; i++, a->n++) {
        s[i] = solve(a, kind, at, r[i], &o[i]);
        v_store(a->pool[a->n].l + at, r[i].l);
        v_store(a->pool[a->n].ll + at, r[i].ll);
        v_store(a->pool[a->n].lx + at, r[i].lx);
        v_store(a->pool[a->n].scale + at, s[i]);
        pick_better(ideal, s[i], o[i], r[i], error_at(a, kind, at, r[i], s[i], o[i]));
    }
}

/* Levels that reach a bit beyond the range on both sides, shifted by parts of a level: a bit more
 * and a bit less stretched in turn. Each trial is followed by one at what fits it best. */
INLINE void fit_affine(search *a, int at, pick *ideal)
{
    const bg_grid *g = a->g;
    vf origin = v_load(a->t.origin + at), range = v_load(a->t.high + at) - origin;
    for (int k = 0; k < g->trials; k += 2) {
        vf s[2], o[2];
        for (int i = 0; i < 2; i++) {
            float beyond = g->beyond + (i ? -0.15f : 0.15f);
            float shift = g->apart * ((float)(k + i) - 0.5f * (float)(g->trials - 1));
            s[i] = range / ((float)g->high + 2 * beyond);
            o[i] = s[i] * -(beyond + shift);
            if (g->min_low == 0) o[i] = v_max(o[i], origin);
        }
        add_two(a, BG_GRID_AFFINE, at, s, o, ideal);
        add_two(a, BG_GRID_AFFINE, at, s, o, ideal);
    }
}

/* Scales that put the peak on either end of the levels, and a bit beyond or short of it. */
INLINE void fit_scaled(search *a, bg_grid_kind kind, int at, const float *peak, pick *ideal)
{
    const bg_grid *g = a->g;
    vf top = v_load(peak + at);
    for (int k = 0; k < g->trials / 2; k++) {
        float beyond = g->beyond + g->apart * ((float)k - 0.25f * (float)(g->trials - 2));
        vf s[2] = {top * (1 / ((float)g->low - beyond)), top * (1 / ((float)g->high + beyond))};
        vf o[2] = {v_all(0), v_all(0)};
        add_two(a, kind, at, s, o, ideal);
    }
}

/* The weight of largest magnitude: of the block where sub-blocks have no scales of their own. */
static void find_peaks(const search *a, float *peak)
{
    for (int i = 0; i < 16; i++)
        peak[i] = a->t.high[i] < -a->t.low[i] ? a->t.low[i] : a->t.high[i];
    if (a->g->scale_low < a->g->scale_high || a->g->subs == 1) return;
    for (int i = 0; i < 16; i++) peak[i] = fabsf(peak[i]);
    spread(peak, a->g->subs, most_of_lanes);
}

INLINE void fit(search *a, bg_grid_kind kind)
{
    float peak[16] ALIGNED;
    vf zero = v_all(0);
    find_peaks(a, peak);
    for (int at = 0; at < 16; at += LANES) {
        pick ideal = {zero, zero, v_load(a->t.xx + at), {zero, zero, zero}};
        a->n = 0;
        if (kind == BG_GRID_AFFINE) fit_affine(a, at, &ideal);
        else fit_scaled(a, kind, at, peak, &ideal);
        put_pick(&a->ideal, at, &ideal);
    }
}

/* ---- d and dmin ---------------------------------------------------------------------------- */

enum { STEPS = 16, MIN_STEPS = 4, STARTS = STEPS * MIN_STEPS, SCALED_STARTS = 32 };

INLINE int number_of_starts(bg_grid_kind kind)
{
    return kind == BG_GRID_AFFINE ? STARTS : SCALED_STARTS;
}

/* Halves that put the largest scale (and min) on the top of sc (and m) or a bit below. */
INLINE void list_starts(const bg_grid *g, bg_grid_kind kind, float scale, float min, float *d,
                        float *dmin)
{
    for (int k = 0; k < number_of_starts(kind); k++) {
        if (kind == BG_GRID_AFFINE) {
            d[k] = scale / (float)g->scale_high * (1 + (float)(k / MIN_STEPS) / (3.0f * STEPS));
            dmin[k] = min / (float)g->min_high * (1 + (float)(k % MIN_STEPS) / (3.0f * MIN_STEPS));
        } else {
            float end = (float)(k % 2 ? g->scale_high : g->scale_low);
            d[k] = scale / (end * (1 - (float)(k / 2) / 64));
        }
    }
    for (int k = 0; k < number_of_starts(kind); k += LANES) {
        v_store(d + k, v_half(v_load(d + k)));
        if (kind == BG_GRID_AFFINE) v_store(dmin + k, v_half(v_load(dmin + k)));
    }
}

/* What rounding the ideal scales and mins of a block to each of the starts costs. */
INLINE void cost_of_starts(const search *a, bg_grid_kind kind, int b, const float *mins,
                           const float *d, const float *dmin, float *cost)
{
    const choice *c = &a->ideal;
    float slope[16];
    for (int s = b; s < b + a->g->subs; s++) slope[s] = c->l[s] * a->t.inverse_w[s];
    for (int k = 0; k < number_of_starts(kind); k += LANES) {
        vf step = v_load(d + k), inverse = v_inverse(step), sum = v_all(0);
        vf step_min = v_load(dmin + k), inverse_min = v_inverse(step_min);
        for (int s = b; s < b + a->g->subs; s++) {
            vf ds = step * nearest_sc(a->g, c->sc[s] * inverse) - c->sc[s], dm;
            sum += c->ll[s] * ds * ds;
            if (kind != BG_GRID_AFFINE) continue;
            dm = step_min * nearest_m(a->g, (mins[s] + slope[s] * ds) * inverse_min) - mins[s];
            sum += a->t.w1[s] * dm * (dm - (slope[s] + slope[s]) * ds);
        }
        v_store(cost + k, sum);
    }
}

INLINE void find_start(const search *a, bg_grid_kind kind, int b, choice *out)
{
    float scale = 0, min = 0, mins[16];
    float d[STARTS] ALIGNED, dmin[STARTS] ALIGNED = {0}, cost[STARTS] ALIGNED;
    int best = 0;
    for (int s = b; s < b + a->g->subs; s++) {
        mins[s] = a->ideal.m[s] - a->t.origin[s];
        min = BG_MAX(min, mins[s]);
        if (fabsf(a->ideal.sc[s]) > fabsf(scale)) scale = a->ideal.sc[s];
    }
    list_starts(a->g, kind, scale, min, d, dmin);
    cost_of_starts(a, kind, b, mins, d, dmin, cost);
    for (int k = 1; k < number_of_starts(kind); k++)
        if (cost[k] < cost[best]) best = k;
    for (int s = b; s < b + a->g->subs; s++) {
        out->d[s] = d[best];
        out->dmin[s] = dmin[best];
    }
}

/* Sub-blocks that share a scale: that of the trial that is best for all of them. */
static void find_shared(const search *a, int b, choice *out)
{
    float best = 0, d = 0;
    for (int k = 0; k < a->n; k++) {
        float lx = add_lanes(a->pool[k].lx + b, a->g->subs);
        float ll = add_lanes(a->pool[k].ll + b, a->g->subs);
        if (!(lx * lx > best * ll)) continue;
        best = lx * lx / ll;
        d = bg_round_f16(lx / ll);
    }
    for (int s = b; s < b + a->g->subs; s++) out->d[s] = d;
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
    for (int b = 0; b < 16; b += g->subs)
        if (g->scale_low < g->scale_high) find_start(a, kind, b, c);
        else find_shared(a, b, c);
}

/* The d and dmin that fit best with sc, m and levels as they are. */
INLINE void refit(const search *a, bg_grid_kind kind, choice *c)
{
    for (int b = 0; b < 16; b += a->g->subs) {
        float uu = 0, uv = 0, vv = 0, ux = 0, vx = 0, det, d = c->d[b], dmin = c->dmin[b];
        for (int s = b; s < b + a->g->subs; s++) {
            float sc = c->sc[s], m = c->m[s], l = c->l[s], origin = a->t.origin[s];
            uu += sc * sc * c->ll[s];
            ux += sc * c->lx[s];
            if (kind != BG_GRID_AFFINE) continue;
            uv += sc * m * l;
            vv += m * m * a->t.w1[s];
            ux += sc * origin * l;
            vx += m * (a->t.x1[s] + origin * a->t.w1[s]);
        }
        det = uu * vv - uv * uv;
        if (kind == BG_GRID_AFFINE && det > 1e-6f * uu * vv) {
            d = bg_round_f16((vv * ux - uv * vx) / det);
            dmin = bg_round_f16((uv * ux - uu * vx) / det);
        } else if (uu > 0) {
            d = bg_round_f16(ux / uu);
        }
        for (int s = b; s < b + a->g->subs; s++) {
            c->d[s] = d;
            c->dmin[s] = dmin;
        }
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
            trial r = {v_load(a->pool[k].l + at), v_load(a->pool[k].ll + at),
                       v_load(a->pool[k].lx + at)};
            vf sc = nearest_sc(a->g, v_load(a->pool[k].scale + at) * inverse);
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

INLINE void try_near(const search *a, bg_grid_kind kind, choice *c)
{
    const bg_grid *g = a->g;
    for (int at = 0; at < 16; at += LANES) {
        vf d = v_load(c->d + at), dmin = v_load(c->dmin + at), origin = v_load(a->t.origin + at);
        vf inverse = v_inverse(d), inverse_min = v_inverse(dmin);
        pick best = get_pick(c, at), first = best;
        vf slope = first.r.l * v_load(a->t.inverse_w + at) * d * inverse_min;
        for (int k = 0; k < g->neighbours; k += 2) {
            vf s[2], o[2] = {v_all(0), v_all(0)}, sc, m, error;
            trial r[2];
            for (int i = 0; i < 2; i++) {
                if (kind == BG_GRID_AFFINE) sc = first.sc + (float)near_affine[k + i][0];
                else sc = (i ? -first.sc : first.sc) + (float)near_scaled[k + i];
                sc = v_clamp(sc, (float)g->scale_low, (float)g->scale_high);
                s[i] = d * sc;
                if (kind != BG_GRID_AFFINE) continue;
                m = first.m + slope * (sc - first.sc) + (float)near_affine[k + i][1];
                o[i] = origin + dmin * nearest_m(g, m);
            }
            try_two(a, kind, at, s, o, r);
            for (int i = 0; i < 2; i++) {
                sc = nearest_sc(g, solve(a, kind, at, r[i], &o[i]) * inverse);
                error = settle(a, kind, at, r[i], d, dmin, inverse_min, sc, &m);
                pick_better(&best, sc, m, r[i], error);
            }
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
    float change[16] ALIGNED;
    for (int b = 0; b < 16; b += a->g->subs) {
        float total = add_lanes(c->error + b, a->g->subs);
        bool better = total < a->total[b];
        if (better) a->total[b] = total;
        for (int s = b; s < b + a->g->subs; s++) change[s] = better;
    }
    for (int at = 0; at < 16; at += LANES) {
        vm better = v_less(v_all(0), v_load(change + at));
        for (size_t field = 0; field < sizeof *c / sizeof c->d; field++) {
            const float *from = (const float *)c + 16 * field + at;
            float *to = (float *)&a->kept + 16 * field + at;
            v_store(to, v_pick(better, v_load(from), v_load(to)));
        }
    }
}

/* ---- all of it ----------------------------------------------------------------------------- */

INLINE void run(search *a, bg_grid_kind kind)
{
    choice c;
    memset(&c, 0, sizeof c);
    fit(a, kind);
    find_starts(a, kind, &c);
    choose(a, kind, &c);
    keep(a, &c);
    refit(a, kind, &c);
    settle_again(a, kind, &c);
    keep(a, &c);
    c = a->kept;
    try_near(a, kind, &c);
    keep(a, &c);
    refit(a, kind, &c);
    settle_again(a, kind, &c);
    keep(a, &c);
}

void BG_CODER_NAME(bg_search_tile)(const bg_grid *g, const float *in, const float *importance, bg_tile_fit *fit)
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
