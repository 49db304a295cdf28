#include "search/second_order.h"

#include "base/base.h"
#include "formats/coder.h"
#include "formats/iq4.h"
#include "search/factor.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { STRIP = 96, GROUP = 16, PASSES = 4 };

bg_status bg_second_open(bg_second_order *s, size_t k, size_t outputs, bg_isa isa, bg_team *team,
                         bg_error *err)
{
    *s = (bg_second_order){.ops = bg_grad_ops_get(isa), .team = team, .k = k, .outputs = outputs,
                             .passes = PASSES};
    s->h = bg_alloc(k * k, sizeof *s->h);
    s->d = bg_alloc(k, sizeof *s->d);
    s->whole = bg_alloc(k * k, sizeof *s->whole);
    if (outputs) s->v = bg_alloc(outputs * k, sizeof *s->v);
    else s->c = bg_alloc(k * k, sizeof *s->c);
    if (s->h && s->d && s->whole && (s->c || s->v)) return BG_OK;
    bg_second_close(s);
    return bg_fail_nomem(err, "second moments of a matrix's inputs", 3 * k * k * sizeof *s->h);
}

void bg_second_close(bg_second_order *s)
{
    bg_free(s->h);
    bg_free(s->d);
    bg_free(s->c);
    bg_free(s->whole);
    bg_free(s->v);
    *s = (bg_second_order){.k = 0};
}

/* Work that members take piece by piece. */
typedef struct job {
    const bg_second_order *s;
    _Atomic size_t next;
    const float *x, *difference, *v;  /* inputs to add */
    size_t n;
} job;

/* ---- H -------------------------------------------------------------------------------------- */

/* c[rows][k] += a' x, `rows` columns of a from `at` on, and columns of x from `from` on. */
static void add_product(const job *j, const float *a, size_t a_width, size_t at, size_t from, float *c)
{
    size_t k = j->s->k;
    j->s->ops->multiply(&(bg_product){
        .m = BG_MIN(a_width - at, (size_t)STRIP), .n = k - from, .k = j->n, .a = a + at, .a_m = 1,
        .a_k = a_width, .b = j->x + from, .b_k = k, .c = c + at * k + from, .c_m = k, .add = true});
}

static void add_strips(void *user, int member, int size)
{
    job *j = user;
    const bg_second_order *s = j->s;
    size_t strips = (s->k + STRIP - 1) / STRIP, i;
    size_t width = s->v ? s->outputs : s->k, others = (width + STRIP - 1) / STRIP;
    (void)member;
    (void)size;
    if (!j->v && !j->difference) others = 0;
    while ((i = atomic_fetch_add(&j->next, 1)) < others + strips)
        if (i >= others) add_product(j, j->x, s->k, (i - others) * STRIP, (i - others) * STRIP, s->h);
        else if (s->v) add_product(j, j->v, width, i * STRIP, 0, s->v);
        else add_product(j, j->difference, width, i * STRIP, 0, s->c);
}

void bg_second_add(bg_second_order *s, const float *x, const float *difference, const float *v,
                   size_t n)
{
    job j = {.s = s, .x = x, .difference = difference, .v = v, .n = n};
    bg_team_run(s->team, add_strips, &j);
}

/* ---- u and D -------------------------------------------------------------------------------- */

bg_status bg_second_factor(bg_second_order *s, double damping, bg_error *err)
{
    size_t k = s->k;
    double mean = 0, more;
    for (size_t i = 0; i < k; i++) mean += (double)s->h[i * k + i] / (double)k;
    more = mean > 0 ? damping * mean : 1;
    for (size_t i = 0; i < k; i++) s->h[i * k + i] += (float)more;
    for (size_t i = 0; i < k; i++)
        for (size_t c = i; c < k; c++) s->whole[i * k + c] = s->whole[c * k + i] = s->h[i * k + c];
    return bg_factor(s->ops, s->team, s->h, s->d, k, err);
}

/* ---- rounding ------------------------------------------------------------------------------- */

/* What a member works with: GROUP rows at a time. */
typedef struct bench {
    float *w;                /* [GROUP][k] weights */
    float *e;                /* [GROUP][k] weights less what they became */
    float *g;                /* [GROUP][k] the slope of the error: e H */
    uint8_t *q;              /* [GROUP][k] levels */
    bg_tile_fit *fit;        /* of each block as many tiles as it has sub-blocks */
    float t[GROUP * BG_FORMAT_MAX_BLOCK];     /* targets in a block */
    float weight[BG_TILE_WEIGHTS];            /* D, for every row of a tile */
} bench;

typedef struct rounding {
    const bg_second_order *s;
    float share;
    const bg_format_info *from, *to;
    const bg_codec *codec;
    const uint8_t *src;
    uint8_t *dst;
    size_t rows, src_row, dst_row;
    bench *benches;
    _Atomic size_t next;
} rounding;

static size_t block_of(const bg_grid *g) { return (size_t)(g->subs * g->size); }

/* Adds to n targets from column `at` on what the errors of columns [from, to) ask of them. */
static void carry(const rounding *r, bench *b, size_t from, size_t to, size_t at, size_t n, float *t)
{
    const bg_second_order *s = r->s;
    if (from < to)
        s->ops->multiply(&(bg_product){
            .m = GROUP, .n = n, .k = to - from, .a = b->e + from, .a_m = s->k, .a_k = 1,
            .b = s->h + from * s->k + at, .b_k = s->k, .c = t, .c_m = block_of(r->codec->grid),
            .add = true});
}

/* The tiles that the blocks from column `at` on are fitted by. */
static bg_tile_fit *fits_of(const rounding *r, const bench *b, size_t at)
{
    return b->fit + at / block_of(r->codec->grid) * (size_t)r->codec->grid->subs;
}

/* The scales of a block of all rows. */
static void find_scales(const rounding *r, bench *b, size_t at)
{
    const bg_grid *g = r->codec->grid;
    size_t block = block_of(g), tile = (size_t)(BG_TILE_SUBS * g->size);
    for (size_t i = 0; i < tile; i++) b->weight[i] = r->s->d[at + i % block];
    for (int i = 0; i < g->subs; i++)
        bg_coder_now()->search_tile(g, b->t + (size_t)i * tile, b->weight, fits_of(r, b, at) + i);
}

/* The levels of a sub-block. */
typedef struct levels {
    const bg_grid *g;
    float scale, min, inverse;
} levels;

static levels levels_of(const rounding *r, const bench *b, size_t row, size_t at, size_t sub)
{
    const bg_grid *g = r->codec->grid;
    size_t subs = (size_t)g->subs, lane = row * subs + sub, in_tile = lane % BG_TILE_SUBS;
    const bg_tile_fit *fit = fits_of(r, b, at) + lane / BG_TILE_SUBS;
    levels l = {g, fit->d[in_tile / subs] * (float)fit->sc[in_tile],
                fit->dmin[in_tile / subs] * (float)fit->m[in_tile], 0};
    l.inverse = bg_inverse(l.scale);
    return l;
}

/* The number of the level that is nearest to w. */
static inline uint8_t nearest_level(const levels *l, float w)
{
    float low = (float)l->g->low, level = bg_clamp((w + l->min) * l->inverse, low, (float)l->g->high);
    uint8_t q = 0;
    if (l->g->kind != BG_GRID_IQ4) return (uint8_t)(bg_round(level) - low);
    while (q < 15 && level > 0.5f * (bg_iq4_values[q] + bg_iq4_values[q + 1])) q++;
    return q;
}

static inline float level_value(const levels *l, uint8_t q)
{
    float level = l->g->kind == BG_GRID_IQ4 ? bg_iq4_values[q] : (float)q + (float)l->g->low;
    return l->scale * level - l->min;
}

/* Sub-block `sub` of one row; its targets know of the sub-blocks before. */
static void round_sub(const rounding *r, bench *b, size_t row, size_t at, size_t sub)
{
    const bg_grid *g = r->codec->grid;
    size_t k = r->s->k, size = (size_t)g->size, first = at + sub * size;
    levels l = levels_of(r, b, row, at, sub);
    float *t = b->t + row * block_of(g) + sub * size;
    float *w = b->w + row * k + first, *e = b->e + row * k + first;
    uint8_t *q = b->q + row * k + first;
    for (size_t j = 0; j < size; j++) {
        const float *u = r->s->h + (first + j) * k + first;
        q[j] = nearest_level(&l, t[j]);
        e[j] = w[j] - level_value(&l, q[j]);
        for (size_t i = j + 1; i < size; i++) t[i] += e[j] * u[i];
    }
}

static void round_block(const rounding *r, bench *b, size_t at)
{
    const bg_grid *g = r->codec->grid;
    size_t block = block_of(g), size = (size_t)g->size;
    for (size_t i = 0; i < GROUP; i++)
        memcpy(b->t + i * block, b->w + i * r->s->k + at, block * sizeof *b->t);
    carry(r, b, 0, at, at, block, b->t);
    find_scales(r, b, at);
    for (size_t s = 0; s < (size_t)g->subs; s++) {
        carry(r, b, at, at + s * size, at + s * size, size, b->t + s * size);
        for (size_t i = 0; i < GROUP; i++) round_sub(r, b, i, at, s);
    }
}

/* ---- improving ------------------------------------------------------------------------------ */

/* A sub-block of a row, and what all columns as they are make of it. */
typedef struct patch {
    const float *h;          /* its square of H, rows k apart */
    float *slope, *e, *moved;       /* [size] moved: what its weights have moved by */
    uint8_t *q;
    size_t k;
} patch;

static void move(const patch *p, size_t size, size_t j, float step)
{
    p->e[j] -= step;
    p->moved[j] -= step;
    for (size_t i = 0; i < size; i++) p->slope[i] -= step * p->h[j * p->k + i];
}

/* Each column against all others as they are: first those that columns before them did not know
 * of. */
static void improve_levels(const patch *p, const levels *l)
{
    size_t size = (size_t)l->g->size;
    for (size_t j = 0; j < size; j++) {
        float was = level_value(l, p->q[j]);
        uint8_t better = nearest_level(l, was + p->slope[j] / p->h[j * p->k + j]);
        if (better == p->q[j]) continue;
        p->q[j] = better;
        move(p, size, j, level_value(l, better) - was);
    }
}

/* Steps of a scale and a min, ds and dm, change the error by
 * -2 (ds p - dm s) + ds^2 a - 2 ds dm b + dm^2 c. */
typedef struct bowl { float a, b, c, p, s; } bowl;

static bowl bowl_of(const patch *p, const levels *l)
{
    size_t size = (size_t)l->g->size;
    float level[32];
    bowl o = {0};
    for (size_t j = 0; j < size; j++)
        level[j] = l->g->kind == BG_GRID_IQ4 ? bg_iq4_values[p->q[j]]
                                             : (float)p->q[j] + (float)l->g->low;
    for (size_t j = 0; j < size; j++) {
        float sum = 0, weighted = 0;
        for (size_t i = 0; i < size; i++) {
            sum += p->h[j * p->k + i];
            weighted += p->h[j * p->k + i] * level[i];
        }
        o.a += weighted * level[j];
        o.b += sum * level[j];
        o.c += sum;
        o.p += p->slope[j] * level[j];
        o.s += p->slope[j];
    }
    return o;
}

static float change(const bowl *o, float ds, float dm)
{
    return -2 * (ds * o->p - dm * o->s) + ds * ds * o->a - 2 * ds * dm * o->b + dm * dm * o->c;
}

/* The integer that is nearest to wanted / unit, and so the value that can be had. */
static float attainable(float wanted, float unit, int low, int high, int shift, int8_t *n)
{
    float inverse = bg_inverse(unit);
    *n = (int8_t)bg_clamp(floorf(wanted * inverse) + (float)shift, (float)low, (float)high);
    return (float)*n * unit;
}

/* The scale and min of a sub-block that fit its levels better, of those that d and dmin allow. */
static void improve_scale(const patch *p, levels *l, float d, float dmin, int8_t *sc, int8_t *m)
{
    const bg_grid *g = l->g;
    bool affine = g->kind == BG_GRID_AFFINE;
    bowl o = bowl_of(p, l);
    float det = affine ? o.a * o.c - o.b * o.b : o.a, least = 0, scale = l->scale, min = l->min;
    float ds = affine ? o.p * o.c - o.b * o.s : o.p;
    if (!(o.a > 0) || !(det > 1e-6f * o.a * (affine ? o.c : 1))) return;
    for (int k = 0; k < 4; k++) {
        int8_t to_sc, to_m = *m;
        float to = attainable(l->scale + ds / det, d, g->scale_low, g->scale_high, k % 2, &to_sc);
        float to_min = l->min, cost;
        if (affine)
            to_min = attainable(l->min + (o.b * (to - l->scale) - o.s) / o.c, dmin, g->min_low,
                                g->min_high, k / 2, &to_m);
        cost = change(&o, to - l->scale, to_min - l->min);
        if (!(cost < least)) continue;
        least = cost;
        scale = to;
        min = to_min;
        *sc = to_sc;
        *m = to_m;
    }
    if (!(least < 0)) return;
    for (size_t j = 0; j < (size_t)g->size; j++) {
        float was = level_value(l, p->q[j]);
        levels then = {g, scale, min, 0};
        move(p, (size_t)g->size, j, level_value(&then, p->q[j]) - was);
    }
    l->scale = scale;
    l->min = min;
    l->inverse = bg_inverse(scale);
}

/* One sub-block of all rows. */
static void improve_sub(const rounding *r, bench *b, size_t first)
{
    const bg_second_order *s = r->s;
    const bg_grid *g = r->codec->grid;
    size_t k = s->k, block = block_of(g), size = (size_t)g->size, subs = (size_t)g->subs;
    size_t at = first / block * block, sub = first % block / size;
    float moved[GROUP * 32], slope[GROUP * 32];
    memset(moved, 0, sizeof moved);
    for (size_t i = 0; i < GROUP; i++) {
        levels l = levels_of(r, b, i, at, sub);
        size_t lane = i * subs + sub, in_tile = lane % BG_TILE_SUBS;
        bg_tile_fit *fit = fits_of(r, b, at) + lane / BG_TILE_SUBS;
        patch p = {s->whole + first * k + first, slope + i * size, b->e + i * k + first,
                   moved + i * size, b->q + i * k + first, k};
        memcpy(p.slope, b->g + i * k + first, size * sizeof *p.slope);
        improve_levels(&p, &l);
        if (g->scale_low < g->scale_high)
            improve_scale(&p, &l, fit->d[in_tile / subs], fit->dmin[in_tile / subs],
                          &fit->sc[in_tile], &fit->m[in_tile]);
    }
    s->ops->multiply(&(bg_product){.m = GROUP, .n = k, .k = size, .a = moved, .a_m = size, .a_k = 1,
                                   .b = s->whole + first * k, .b_k = k, .c = b->g, .c_m = k,
                                   .add = true});
}

static void improve(const rounding *r, bench *b)
{
    const bg_second_order *s = r->s;
    s->ops->multiply(&(bg_product){.m = GROUP, .n = s->k, .k = s->k, .a = b->e, .a_m = s->k, .a_k = 1,
                                   .b = s->whole, .b_k = s->k, .c = b->g, .c_m = s->k});
    for (int pass = 0; pass < s->passes; pass++)
        for (size_t first = 0; first < s->k; first += (size_t)r->codec->grid->size)
            improve_sub(r, b, first);
}

static void store_rows(const rounding *r, const bench *b, size_t row, size_t n)
{
    size_t k = r->s->k, block = block_of(r->codec->grid), subs = (size_t)r->codec->grid->subs;
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < k; at += block) {
            const bg_tile_fit *fit = fits_of(r, b, at) + i * subs / BG_TILE_SUBS;
            size_t lane = i * subs % BG_TILE_SUBS;
            r->codec->store(&(bg_fit){fit->d[lane / subs], fit->dmin[lane / subs], fit->sc + lane,
                                      fit->m + lane, b->q + i * k + at},
                            r->dst + (row + i) * r->dst_row + at / block * r->to->block_bytes);
        }
}

/* Moves weights to what is meant; e is free yet. */
static void aim(const rounding *r, bench *b, size_t row)
{
    const bg_second_order *s = r->s;
    size_t k = s->k, rows = BG_MIN(r->rows - row, (size_t)GROUP);
    if (s->v) memcpy(b->e, s->v + row * k, rows * k * sizeof *b->e);
    else
        s->ops->multiply(&(bg_product){.m = GROUP, .n = k, .k = k, .a = b->w, .a_m = k, .a_k = 1,
                                       .b = s->c, .b_k = k, .c = b->e, .c_m = k});
    for (size_t i = 0; i < rows; i++) {
        float *w = b->w + i * k, *z = b->e + i * k;
        bg_factor_solve(s->ops, s->h, s->d, k, z);
        for (size_t j = 0; j < k; j++) w[j] += r->share * z[j];
    }
}

static void round_groups(void *user, int member, int size)
{
    rounding *r = user;
    bench *b = &r->benches[member];
    size_t k = r->s->k, block = block_of(r->codec->grid), row;
    (void)size;
    while ((row = atomic_fetch_add(&r->next, 1) * GROUP) < r->rows) {
        for (size_t i = 0; i < GROUP; i++)
            if (row + i < r->rows)
                bg_format_decode(r->from, r->src + (row + i) * r->src_row, b->w + i * k, k);
            else memset(b->w + i * k, 0, k * sizeof *b->w);
        if (r->share > 0) aim(r, b, row);
        for (size_t at = 0; at < k; at += block) round_block(r, b, at);
        improve(r, b);
        store_rows(r, b, row, BG_MIN(r->rows - row, (size_t)GROUP));
    }
}

static bool bench_open(bench *b, const rounding *r)
{
    size_t k = r->s->k, blocks = k / block_of(r->codec->grid);
    b->w = bg_alloc(GROUP * k, sizeof *b->w);
    b->e = bg_alloc(GROUP * k, sizeof *b->e);
    b->g = bg_alloc(GROUP * k, sizeof *b->g);
    b->q = bg_alloc(GROUP, k);
    b->fit = bg_alloc(blocks * (size_t)r->codec->grid->subs, sizeof *b->fit);
    return b->w && b->e && b->g && b->q && b->fit;
}

static void bench_close(bench *b)
{
    bg_free(b->w);
    bg_free(b->e);
    bg_free(b->g);
    bg_free(b->q);
    bg_free(b->fit);
}

bg_status bg_second_round(const bg_second_order *s, float share, const bg_format_info *from,
                          const void *src, const bg_format_info *to, void *dst, size_t rows,
                          bg_error *err)
{
    rounding r = {.s = s, .share = share, .from = from, .to = to, .codec = bg_codec_of(to->format),
                  .src = src, .dst = dst, .rows = rows, .src_row = bg_format_row_bytes(from, s->k),
                  .dst_row = bg_format_row_bytes(to, s->k)};
    int members = bg_team_size(s->team);
    bool fine = true;
    r.benches = bg_alloc((size_t)members, sizeof *r.benches);
    for (int i = 0; r.benches && i < members; i++) fine &= bench_open(&r.benches[i], &r);
    fine &= r.benches != NULL;
    if (fine) bg_team_run(s->team, round_groups, &r);
    for (int i = 0; r.benches && i < members; i++) bench_close(&r.benches[i]);
    bg_free(r.benches);
    return fine ? BG_OK : bg_fail_nomem(err, "rows to round", 3 * GROUP * s->k * sizeof(float));
}
