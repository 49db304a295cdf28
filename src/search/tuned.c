/* Weights that are being tuned: on their levels for a pass, moved after it, written as blocks. */
#include "search/tune.h"

#include <math.h>
#include <string.h>

enum { D, DMIN, SC }; /* places of parts; those of m follow those of sc */
enum { FEW = 32 };    /* one weight in so many may be off its nearest level by chance */

static size_t subs_of(const bg_tuned *t) { return (size_t)t->codec->grid->subs; }
static size_t block_of(const bg_tuned *t) { return subs_of(t) * (size_t)t->codec->grid->size; }

static float nearest(float x, int low, int high)
{
    return bg_round(bg_clamp(x, (float)low, (float)high));
}

/* What a block's parts round to. sc does not become 0: a scale of 0 would forget the levels. */
static bg_scales block_from(const bg_tuned *t, const float *part, const float *unit)
{
    const bg_grid *g = t->codec->grid;
    size_t subs = subs_of(t);
    bg_scales b = {.d = bg_round_f16(part[D] * unit[D]),
                   .dmin = bg_round_f16(part[DMIN] * unit[DMIN])};
    for (size_t s = 0; s < subs; s++) {
        bool fixed = t->parts == 2;
        float sc = fixed ? 1 : nearest(part[SC + s] * unit[SC + s], g->scale_low, g->scale_high);
        if (!fixed && sc == 0 && unit[SC + s] != 0) sc = unit[SC + s] < 0 ? -1 : 1;
        b.sc[s] = (int8_t)sc;
        b.m[s] = (int8_t)(fixed ? 1 : nearest(part[SC + subs + s] * unit[SC + subs + s], g->min_low,
                                              g->min_high));
    }
    return b;
}

static void decode_block(const bg_tuned *t, const bg_scales *b, float *scale, float *min)
{
    bool affine = t->codec->grid->kind == BG_GRID_AFFINE;
    for (size_t s = 0; s < subs_of(t); s++) {
        scale[s] = b->d * (float)b->sc[s];
        min[s] = affine ? b->dmin * (float)b->m[s] : 0;
    }
}

/* ---- opening ------------------------------------------------------------------------------ */

static float *row_of(const bg_tuned *t, float *all, size_t row, size_t each)
{
    return all + row * t->blocks * each;
}

/* Units of a block: d, dmin, the mean size of its sc with the sign of each, the mean of its m.
 * Parts then are positive, and stay so. */
static void set_units(const bg_tuned *t, const bg_scales *f, float *part, float *unit)
{
    size_t subs = subs_of(t);
    float sc = 0, m = 0;
    for (size_t s = 0; s < subs; s++) {
        sc += fabsf((float)f->sc[s]) / (float)subs;
        m += fabsf((float)f->m[s]) / (float)subs;
    }
    unit[D] = f->d, unit[DMIN] = f->dmin;
    part[D] = part[DMIN] = 1;
    if (t->parts == 2) return;
    for (size_t s = 0; s < subs; s++) {
        unit[SC + s] = f->sc[s] ? copysignf(BG_MAX(sc, 1.0f), f->sc[s]) : 0;
        part[SC + s] = f->sc[s] ? (float)f->sc[s] / unit[SC + s] : 0;
        unit[SC + subs + s] = BG_MAX(m, 1.0f);
        part[SC + subs + s] = (float)f->m[s] / unit[SC + subs + s];
    }
}

/* Where the weights of a row begin. Rounding alone puts each on the level nearest to it (`near`):
 * such rows begin as the full ones. Where many are elsewhere, error feedback or tuning chose the
 * levels, and weights near an edge would fall back in a few steps: there all begin at most halfway
 * to it. */
static void place_row(const bg_tuned *t, const float *full, const float *near, const float *coded,
                      const float *scale, float *w)
{
    size_t size = (size_t)t->codec->grid->size, chosen = 0;
    float reach = t->codec->grid->kind == BG_GRID_IQ4 ? 4 : 0.49f;
    for (size_t i = 0; i < t->k; i++)
        chosen += fabsf(near[i] - coded[i]) > 0.5f * fabsf(scale[i / size]);
    for (size_t i = 0; i < t->k; i++) {
        float most = fabsf(scale[i / size]) * reach, apart = full[i] - coded[i];
        if (chosen * FEW > t->k || fabsf(apart) > most)
            apart = bg_clamp(apart, -most / 2, most / 2);
        w[i] = coded[i] + apart;
    }
}

typedef struct opening {
    bg_tuned_model *m;
    const bg_image *image;
    const bg_gguf *full;
    bool failed;                        /* no memory for a row */
} opening;

static void open_row(const bg_tuned *t, const bg_grad_ops *ops, const bg_tensor *coded,
                     const bg_tensor *full, size_t r, float *row)
{
    const bg_format_info *f = t->format;
    bool whole = full->ne[0] == t->k && full->ne[1] == t->rows;
    float *w = t->w + r * t->k, *values = row, *source = row + t->k, *near = row + 2 * t->k;
    float *scale, *min;
    bg_format_decode(f, (const uint8_t *)coded->data + r * bg_format_row_bytes(f, t->k), values,
                     t->k);
    if (!t->codec) {
        memcpy(w, values, t->k * sizeof *w);
        return;
    }
    if (whole) {
        const bg_format_info *from = bg_format_get((int)full->format);
        bg_format_decode(from, (const uint8_t *)full->data + r * bg_format_row_bytes(from, t->k),
                         source, t->k);
    } else {
        memcpy(source, values, t->k * sizeof *source);
    }
    scale = row_of(t, t->scale, r, subs_of(t));
    min = row_of(t, t->min, r, subs_of(t));
    for (size_t b = 0; b < t->blocks; b++) {
        float *part = row_of(t, t->part, r, t->parts) + b * t->parts;
        float *unit = row_of(t, t->unit, r, t->parts) + b * t->parts;
        bg_scales now = {0};
        t->codec->load((const uint8_t *)coded->data + (r * t->blocks + b) * f->block_bytes, &now);
        set_units(t, &now, part, unit);
        now = block_from(t, part, unit);
        decode_block(t, &now, scale + b * subs_of(t), min + b * subs_of(t));
    }
    ops->round(t->codec->grid, source, scale, min, t->blocks * subs_of(t), near, NULL);
    place_row(t, source, near, values, scale, w);
}

static void open_some(void *user, int member, int size)
{
    opening *o = user;
    for (size_t i = 0; i < o->m->n; i++) {
        bg_tuned *t = &o->m->tensors[i];
        const bg_tensor *coded = bg_gguf_tensor_at(o->image->g, i);
        const bg_tensor *full = bg_gguf_tensor_at(o->full, o->image->source[i]);
        float *row = bg_alloc(3 * t->k, sizeof *row);
        size_t begin, end;
        bg_team_share(t->rows, 1, member, size, &begin, &end);
        if (!row) __atomic_store_n(&o->failed, true, __ATOMIC_RELAXED);
        else for (size_t r = begin; r < end; r++) open_row(t, o->m->ops, coded, full, r, row);
        bg_free(row);
    }
}

/* Levels on either side of the middle: how far a scale's relative change moves the outermost. */
static float reach_of(const bg_tuned *t)
{
    const bg_grid *g = t->codec->grid;
    return g->kind == BG_GRID_IQ4 ? 8 : 0.5f * (float)(g->high - g->low);
}

/* What a step is a part of: the mean distance of levels; of floats, which have none to speak of, a
 * small part of their size. Scales move so that the outermost levels go as far. */
static void measure_pace(bg_tuned *t)
{
    size_t n = t->codec ? t->rows * t->blocks * subs_of(t) : t->rows * t->k;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += t->codec ? fabs((double)t->scale[i]) : (double)t->w[i] * (double)t->w[i];
    t->pace = (float)(t->codec ? sum / (double)n : sqrt(sum / (double)n));
    if (t->codec && t->codec->grid->kind == BG_GRID_IQ4) t->pace *= 13;
    if (!t->codec && t->rows > 1) t->pace *= 0.05f;
    t->part_pace = t->codec ? 1 / reach_of(t) : 0;
}

/* Vectors scale what matrices make, so they go at the mean pace of scales. */
static void pace_vectors(bg_tuned_model *m)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const bg_tuned *t = &m->tensors[i];
        sum += t->rows > 1 ? (double)(t->rows * t->k) * (double)t->part_pace : 0;
        n += t->rows > 1 ? (double)(t->rows * t->k) : 0;
    }
    for (size_t i = 0; i < m->n; i++)
        if (m->tensors[i].rows == 1) m->tensors[i].pace *= (float)(n > 0 ? sum / n : 0);
}

static bg_status reserve(bg_tuned *t, const bg_tensor *from, bg_error *err)
{
    float **weights[] = {&t->w, &t->m, &t->v};
    float **parts[] = {&t->part, &t->part_m, &t->part_v, &t->unit}, **subs[] = {&t->scale, &t->min};
    bool ok = true;
    t->format = bg_format_get((int)from->format);
    t->codec = from->ne[1] > 1 || from->n_dims > 1 ? bg_codec_of(from->format) : NULL;
    t->k = from->ne[0];
    t->rows = from->ne[1];
    for (size_t i = 0; i < BG_COUNT(weights); i++)
        ok = (*weights[i] = bg_alloc(t->rows * t->k, sizeof(float))) && ok;
    if (t->codec) {
        const bg_grid *g = t->codec->grid;
        t->blocks = t->k / block_of(t);
        t->parts = g->scale_low == g->scale_high ? 2 : 2 + 2 * (size_t)g->subs;
        for (size_t i = 0; i < BG_COUNT(parts); i++)
            ok = (*parts[i] = bg_alloc(t->rows * t->blocks * t->parts, sizeof(float))) && ok;
        for (size_t i = 0; i < BG_COUNT(subs); i++)
            ok = (*subs[i] = bg_alloc(t->rows * t->blocks * subs_of(t), sizeof(float))) && ok;
    }
    return ok ? BG_OK : bg_fail_nomem(err, from->name, 12 * t->rows * t->k);
}

bg_status bg_tuned_open(bg_tuned_model *m, const bg_image *image, const bg_gguf *full,
                        const bg_grad_ops *ops, bg_team *team, bg_error *err)
{
    opening o = {m, image, full, false};
    bg_status s = BG_OK;
    *m = (bg_tuned_model){.ops = ops, .team = team, .n = bg_gguf_tensor_count(image->g)};
    m->tensors = bg_alloc(m->n, sizeof *m->tensors);
    if (!m->tensors) return bg_fail_nomem(err, "tensors", m->n * sizeof *m->tensors);
    for (size_t i = 0; i < m->n && s == BG_OK; i++)
        s = reserve(&m->tensors[i], bg_gguf_tensor_at(image->g, i), err);
    if (s == BG_OK) bg_team_run(team, open_some, &o);
    if (s == BG_OK && o.failed) s = bg_fail_nomem(err, "rows", 0);
    for (size_t i = 0; i < m->n && s == BG_OK; i++) measure_pace(&m->tensors[i]);
    if (s == BG_OK) pace_vectors(m);
    if (s != BG_OK) bg_tuned_close(m);
    return s;
}

void bg_tuned_close(bg_tuned_model *m)
{
    for (size_t i = 0; m->tensors && i < m->n; i++) {
        bg_tuned *t = &m->tensors[i];
        float *all[] = {t->w, t->m, t->v, t->part, t->part_m, t->part_v, t->unit, t->scale, t->min};
        for (size_t k = 0; k < BG_COUNT(all); k++) bg_free(all[k]);
    }
    bg_free(m->tensors);
    m->tensors = NULL;
}

/* ---- a pass ------------------------------------------------------------------------------- */

/* By way of the format's blocks; vectors are F32, as a rule. */
static void round_floats(const bg_tuned *t, const float *w, size_t n, float *out)
{
    uint8_t blocks[BG_FORMAT_MAX_BYTES];
    size_t unit = BG_MAX(t->format->block_weights, 32u);
    if (t->format->format == BG_FORMAT_F32) {
        memcpy(out, w, n * sizeof *out);
        return;
    }
    for (size_t i = 0, some; i < n; i += some) {
        some = BG_MIN(unit, n - i);
        bg_format_encode(t->format, w + i, NULL, blocks, some);
        bg_format_decode(t->format, blocks, out + i, some);
    }
}

void bg_tuned_rows(void *user, size_t tensor, size_t first, size_t n, float *out)
{
    const bg_tuned_model *m = user;
    const bg_tuned *t = &m->tensors[tensor];
    const float *w = t->w + first * t->k;
    if (!t->codec) {
        round_floats(t, w, n * t->k, out);
        return;
    }
    m->ops->round(t->codec->grid, w, row_of(t, t->scale, first, subs_of(t)),
                  row_of(t, t->min, first, subs_of(t)), n * t->blocks * subs_of(t), out, NULL);
}

/* The gradients of a block's parts from the sums of its sub-blocks. */
static void part_gradients(const bg_tuned *t, const bg_scales *b, const float *unit,
                           const float *sum, const float *sum_level, float *dp)
{
    size_t subs = subs_of(t);
    bool affine = t->codec->grid->kind == BG_GRID_AFFINE;
    dp[D] = dp[DMIN] = 0;
    for (size_t s = 0; s < subs; s++) {
        float d_scale = sum_level[s], d_min = affine ? -sum[s] : 0;
        dp[D] += (float)b->sc[s] * d_scale * unit[D];
        dp[DMIN] += (float)b->m[s] * d_min * unit[DMIN];
        if (t->parts == 2) continue;
        dp[SC + s] = b->d * d_scale * unit[SC + s];
        dp[SC + subs + s] = b->dmin * d_min * unit[SC + subs + s];
    }
}

/* Levels do not change sides, and what cannot be stored does not go on from there. */
static void limit_parts(const bg_tuned *t, float *part, const float *unit)
{
    const bg_grid *g = t->codec->grid;
    size_t subs = subs_of(t);
    part[D] = BG_MAX(part[D], 1e-3f);
    for (size_t s = 0; s < subs && t->parts > 2; s++) {
        float end = (float)(unit[SC + s] < 0 ? g->scale_low : g->scale_high);
        float *sc = &part[SC + s], *m = &part[SC + subs + s], m_unit = unit[SC + subs + s];
        if (unit[SC + s] < 0 || unit[SC + s] > 0) *sc = bg_clamp(*sc, 1e-3f, end / unit[SC + s]);
        *m = bg_clamp(*m, (float)g->min_low / m_unit, (float)g->min_high / m_unit);
    }
}

static void step_block(const bg_tuned_model *m, const bg_tuned *t, size_t r, size_t index,
                       const float *dw, const bg_adam *step)
{
    const bg_grid *g = t->codec->grid;
    size_t at = (r * t->blocks + index) * t->parts, subs = subs_of(t), n = block_of(t);
    size_t weights = r * t->k + index * n;
    float *scale = t->scale + (r * t->blocks + index) * subs;
    float *min = t->min + (r * t->blocks + index) * subs;
    float sum[BG_TILE_SUBS], sum_level[BG_TILE_SUBS];
    float new_scale[BG_TILE_SUBS], new_min[BG_TILE_SUBS];
    float dp[BG_TUNE_MOST_PARTS];
    bg_adam parts = m->others;
    bg_scales b = block_from(t, t->part + at, t->unit + at);
    m->ops->level_sums(g, t->w + weights, scale, min, subs, dw, sum, sum_level);
    m->ops->adam(t->w + weights, t->m + weights, t->v + weights, dw, step, n);
    part_gradients(t, &b, t->unit + at, sum, sum_level, dp);
    parts.rate *= t->part_pace;
    m->ops->adam(t->part + at, t->part_m + at, t->part_v + at, dp, &parts, t->parts);
    limit_parts(t, t->part + at, t->unit + at);
    b = block_from(t, t->part + at, t->unit + at);
    decode_block(t, &b, new_scale, new_min);
    m->ops->rescale(g, t->w + weights, scale, min, new_scale, new_min, subs);
    memcpy(scale, new_scale, subs * sizeof *scale);
    memcpy(min, new_min, subs * sizeof *min);
}

void bg_tuned_gradient(void *user, size_t tensor, size_t first, size_t n, const float *dw)
{
    const bg_tuned_model *m = user;
    const bg_tuned *t = &m->tensors[tensor];
    bg_adam step = t->rows > 1 ? m->weights : m->others;
    step.rate *= t->pace;
    if (!t->codec) {
        m->ops->adam(t->w + first * t->k, t->m + first * t->k, t->v + first * t->k, dw, &step,
                     n * t->k);
        return;
    }
    for (size_t r = first; r < first + n; r++)
        for (size_t b = 0; b < t->blocks; b++)
            step_block(m, t, r, b, dw + (r - first) * t->k + b * block_of(t), &step);
}

/* ---- blocks again ------------------------------------------------------------------------- */

typedef struct storing { const bg_tuned_model *m; bg_image *image; } storing;

static void store_row(const bg_tuned_model *m, const bg_tuned *t, size_t r, uint8_t *out)
{
    size_t subs = subs_of(t), n = block_of(t);
    for (size_t i = 0; i < t->blocks; i++, out += t->format->block_bytes) {
        size_t at = r * t->blocks + i;
        bg_scales b = block_from(t, t->part + at * t->parts, t->unit + at * t->parts);
        float values[BG_FORMAT_MAX_BLOCK];
        uint8_t q[BG_FORMAT_MAX_BLOCK];
        m->ops->round(t->codec->grid, t->w + r * t->k + i * n, t->scale + at * subs,
                      t->min + at * subs, subs, values, q);
        t->codec->store(&(bg_fit){b.d, b.dmin, b.sc, b.m, q}, out);
    }
}

static void store_some(void *user, int member, int size)
{
    const storing *s = user;
    for (size_t i = 0; i < s->m->n; i++) {
        const bg_tuned *t = &s->m->tensors[i];
        size_t begin, end, bytes = bg_format_row_bytes(t->format, t->k);
        uint8_t *data = (void *)(uintptr_t)bg_gguf_tensor_at(s->image->g, i)->data;
        bg_team_share(t->rows, 1, member, size, &begin, &end);
        for (size_t r = begin; r < end; r++) {
            if (t->codec) store_row(s->m, t, r, data + r * bytes);
            else bg_format_encode(t->format, t->w + r * t->k, NULL, data + r * bytes, t->k);
        }
    }
}

void bg_tuned_store(const bg_tuned_model *m, bg_image *image)
{
    storing s = {m, image};
    bg_team_run(m->team, store_some, &s);
}
