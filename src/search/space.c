#include "search/space.h"

#include "base/team.h"
#include "search/allocate.h"
#include "search/recipe.h"

#include <math.h>
#include <string.h>

static bool listed(const bg_format *formats, size_t n, bg_format f)
{
    bool found = n == 0;
    for (size_t i = 0; i < n; i++) found |= formats[i] == f;
    return found;
}

/* ---- distortion --------------------------------------------------------------------------- */

typedef struct distortion {
    const bg_tensor *t;
    const bg_format_info *from, *to;
    const float *importance;
    const uint8_t *blocks;
    double *sums;            /* of each row: squares of errors, and of weights */
} distortion;

static void distort_rows(void *user, int member, int size)
{
    const distortion *d = user;
    size_t k = d->t->ne[0], begin, end;
    float *a = bg_alloc(2 * k, sizeof *a), *b = a ? a + k : NULL;
    bg_team_share(d->t->ne[1], 1, member, size, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        double error = NAN, own = NAN;
        if (a) {
            error = own = 0;
            const uint8_t *row = (const uint8_t *)d->t->data + r * bg_format_row_bytes(d->from, k);
            bg_format_decode(d->from, row, a, k);
            bg_format_decode(d->to, d->blocks + r * bg_format_row_bytes(d->to, k), b, k);
            for (size_t i = 0; i < k; i++) {
                double w = d->importance ? (double)d->importance[i] : 1;
                double x = (double)a[i], e = x - (double)b[i];
                error += w * e * e;
                own += w * x * x;
            }
        }
        d->sums[2 * r] = error;
        d->sums[2 * r + 1] = own;
    }
    bg_free(a);
}

static bg_status measure_error(const bg_gguf *g, const bg_tensor *t, bg_format f,
                               const bg_search_options *o,
                               double *out, bg_error *err)
{
    const bg_format_info *from = bg_format_get((int)t->format), *to = bg_format_get((int)f);
    size_t rows = t->ne[1], k = t->ne[0], bytes = bg_format_row_bytes(to, k) * rows;
    const float *importance = o->importance ? bg_importance_find(o->importance, t->name, k) : NULL;
    uint8_t *blocks = bg_alloc_large(bytes);
    double *sums = bg_alloc(2 * rows, sizeof *sums), error = 0, own = 0;
    distortion d = {t, from, to, importance, blocks, sums};
    bg_status s = BG_OK;
    if (!blocks || !sums) s = bg_fail_nomem(err, t->name, bytes);
    if (s == BG_OK)
        s = bg_quantize_rows(from, t->data, to, blocks, importance, rows, k, o->team, err);
    if (s == BG_OK) {
        bg_team_run(o->team, distort_rows, &d);
        for (size_t r = 0; r < rows; r++) {
            error += sums[2 * r];
            own += sums[2 * r + 1];
        }
        *out = own > 0 ? error / own : 0;
        if (!isfinite(*out)) s = bg_fail_nomem(err, t->name, 2 * k * sizeof(float));
    }
    bg_gguf_release(g, t->data, t->bytes);
    bg_free_large(blocks, bytes);
    bg_free(sums);
    return s;
}

/* ---- items -------------------------------------------------------------------------------- */

/* Whether an earlier choice is as good in all that counts. */
static bool is_beaten(const bg_item *it, size_t n, size_t i)
{
    for (size_t c = 0; c < n; c++)
        if (it->error[c] <= it->error[i] && it->seconds[c] <= it->seconds[i]) return true;
    return false;
}

static void move_choice(bg_item *it, size_t to, size_t from)
{
    it->format[to] = it->format[from];
    it->whole[to] = it->whole[from];
    it->seconds[to] = it->seconds[from];
    it->error[to] = it->error[from];
}

static void insert(bg_item *it, bg_format f, uint64_t bytes, double seconds, double error)
{
    size_t at = it->n, out = 0;
    while (at > 0 && (it->whole[at - 1] > bytes ||
                      (it->whole[at - 1] == bytes && it->error[at - 1] > error))) {
        move_choice(it, at, at - 1);
        at--;
    }
    it->format[at] = f;
    it->whole[at] = bytes;
    it->seconds[at] = seconds;
    it->error[at] = error;
    it->n++;
    for (size_t i = 0; i < it->n; i++) {
        if (is_beaten(it, out, i)) continue;
        move_choice(it, out++, i);
    }
    it->n = out;
}

/* Whether a tensor may be made this: a listed format that fits, its own or one of fewer bits. */
static bool is_choice(const bg_recipe *r, const bg_gguf *g, size_t tensor, const bg_format_info *f,
                      const bg_format *formats, size_t n_formats)
{
    const bg_tensor *t = bg_gguf_tensor_at(g, tensor);
    const bg_format_info *own = bg_format_get((int)t->format);
    return listed(formats, n_formats, f->format) && bg_recipe_fits(r, g, tensor, f->format) &&
           (f->format == t->format || (own && bg_format_bpw(f) < bg_format_bpw(own)));
}

bg_status bg_search_fewest(uint64_t *bytes, const bg_gguf *g, const bg_format *formats,
                           size_t n_formats, bg_error *err)
{
    bg_recipe *r;
    *bytes = 0;
    BG_TRY(bg_recipe_new(&r, g, err));
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        const bg_format_info *f;
        uint64_t least = UINT64_MAX;
        for (size_t k = 0; (f = bg_format_at(k)); k++)
            if (is_choice(r, g, i, f, formats, n_formats))
                least = BG_MIN(least, bg_format_row_bytes(f, t->ne[0]) * t->ne[1]);
        *bytes += least == UINT64_MAX ? t->bytes : least;
    }
    bg_recipe_free(&r);
    return BG_OK;
}

static bg_status fill_item(bg_item *it, const bg_recipe *r, const bg_gguf *g, size_t tensor,
                           const bg_search_options *o, const bg_speeds *speeds, double weights,
                           bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(g, tensor);
    const bg_format_info *f;
    *it = (bg_item){.tensor = tensor};
    for (size_t i = 0; (f = bg_format_at(i)) && it->n < BG_MAX_CHOICES; i++) {
        size_t bytes = bg_format_row_bytes(f, t->ne[0]) * t->ne[1];
        double error = 0, seconds = 0;
        if (!is_choice(r, g, tensor, f, o->formats, o->n_formats)) continue;
        if (f->format != t->format) BG_TRY(measure_error(g, t, f->format, o, &error, err));
        if (speeds)
            seconds = weights * (f->format == t->format ? speeds->own
                                 : speeds->per_weight[f->format]);
        insert(it, f->format, bytes, seconds, error);
    }
    /* Before anything is known better: the distortion counts as much as there are weights. */
    for (size_t c = 0; c < it->n; c++)
        it->cost[c] = it->error[c] * (double)t->ne[0] * (double)t->ne[1] * 1e-6;
    return BG_OK;
}

bg_status bg_space_shape(bg_space *s, const uint8_t *levels, bg_error *err)
{
    const bg_gguf *g = bg_model_gguf(s->model);
    size_t unit = bg_gguf_alignment(g);
    bg_quantize_plan plan;
    bg_recipe *r;
    bg_status status;
    if (levels != s->levels) memcpy(s->levels, levels, s->n_layer);
    BG_TRY(bg_recipe_new(&r, g, err));
    status = s->pruner ? bg_pruner_shape(s->pruner, s->levels, r, err) : BG_OK;
    if (status == BG_OK) status = bg_recipe_plan(r, g, s->importance, &plan, err);
    for (size_t i = 0; status == BG_OK && i < s->n; i++) {
        bg_item *it = &s->items[i];
        uint32_t layer;
        const char *rest;
        uint8_t level = 0;
        uint64_t own = bg_gguf_tensor_at(g, it->tensor)->bytes;
        bg_format format = bg_gguf_tensor_at(g, it->tensor)->format;
        if (bg_recipe_layer_of(bg_gguf_tensor_at(g, it->tensor)->name, &layer, &rest) &&
            layer < s->n_layer)
            level = s->levels[layer];
        if (level && !bg_pruner_bytes(s->pruner, it->tensor, level, format, &own)) own = 0;
        it->left = level ? bg_pruner_left(s->pruner, it->tensor, level) : 1;
        plan.file_bytes -= bg_round_up(own, unit);
        for (size_t c = 0; c < it->n; c++) {
            uint64_t bytes = it->whole[c];
            bool fits = !level || bg_pruner_bytes(s->pruner, it->tensor, level, it->format[c],
                                                  &bytes);
            it->bytes[c] = fits ? bg_round_up(bytes, unit) : BG_NEVER;
        }
    }
    if (status == BG_OK) s->fixed = plan.file_bytes;
    bg_recipe_free(&r);
    return status;
}

bg_status bg_space_open(bg_space *s, const bg_model *m, const bg_pruner *pruner,
                        const bg_search_options *o, const bg_speeds *speeds, bg_error *err)
{
    const bg_gguf *g = bg_model_gguf(m);
    bg_recipe *r;
    bg_status status = BG_OK;
    *s = (bg_space){.model = m, .pruner = pruner, .importance = o->importance,
                    .n_tensors = bg_gguf_tensor_count(g), .n_layer = bg_model_hparams(m)->n_layer};
    if (speeds) s->most_seconds = 1 / o->min_tps;
    BG_TRY(bg_recipe_new(&r, g, err));
    bg_encoders_choose();
    s->items = bg_alloc(s->n_tensors, sizeof *s->items);
    s->levels = bg_alloc(s->n_layer, 1);
    if (!s->items || !s->levels)
        status = bg_fail_nomem(err, "a search", s->n_tensors * sizeof *s->items);
    for (size_t i = 0; status == BG_OK && i < s->n_tensors; i++) {
        double weights = bg_speeds_weights(m, i);
        status = fill_item(&s->items[s->n], r, g, i, o, speeds, weights, err);
        if (status == BG_OK && s->items[s->n].n > 0) s->n++;
        else if (speeds) s->fixed_seconds += weights * speeds->own;
    }
    if (status == BG_OK && s->n == 0)
        status = bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                         "has no tensor that could be in one of these formats: give a larger list");
    if (status == BG_OK) status = bg_space_shape(s, s->levels, err);
    bg_recipe_free(&r);
    if (status != BG_OK) bg_space_close(s);
    return status;
}

void bg_space_close(bg_space *s)
{
    bg_free(s->items);
    bg_free(s->levels);
    *s = (bg_space){0};
}

double bg_space_share_left(const bg_space *s)
{
    double left = 0, all = 0;
    for (size_t i = 0; i < s->n; i++) {
        left += s->items[i].left * (double)s->items[i].whole[0];
        all += (double)s->items[i].whole[0];
    }
    return left / all;
}

void bg_space_mend(const bg_space *s, const uint8_t *from, uint8_t *picks)
{
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        size_t c = from[i];
        while (c < it->n && it->bytes[c] >= BG_NEVER) c++;
        if (c == it->n)
            for (c = from[i]; c > 0 && it->bytes[c] >= BG_NEVER;) c--;
        picks[i] = (uint8_t)c;
    }
}

size_t bg_space_choices(const bg_space *s)
{
    size_t all = 0;
    for (size_t i = 0; i < s->n; i++) all += s->items[i].n;
    return all;
}

uint64_t bg_space_bytes(const bg_space *s, const uint8_t *picks)
{
    uint64_t bytes = s->fixed;
    for (size_t i = 0; i < s->n; i++) bytes += s->items[i].bytes[picks[i]];
    return bytes;
}

void bg_space_formats(const bg_space *s, const uint8_t *picks, bg_format *formats)
{
    for (size_t i = 0; i < s->n_tensors; i++) formats[i] = BG_FORMAT_NONE;
    for (size_t i = 0; i < s->n; i++) {
        const bg_item *it = &s->items[i];
        bg_format f = it->format[picks[i]];
        if (f != bg_model_tensor_at(s->model, it->tensor)->format) formats[it->tensor] = f;
    }
}

/* What is cut of a tensor is not multiplied. */
static double seconds_of(const bg_item *it, size_t c)
{
    return it->seconds[c] * it->left;
}

double bg_space_seconds(const bg_space *s, const uint8_t *picks)
{
    double seconds = s->fixed_seconds;
    for (size_t i = 0; i < s->n; i++) seconds += seconds_of(&s->items[i], picks[i]);
    return seconds;
}

static bool is_fast(const bg_space *s, const uint8_t *picks)
{
    return s->most_seconds <= 0 || bg_space_seconds(s, picks) <= s->most_seconds;
}

bool bg_space_allows(const bg_space *s, const uint8_t *picks, uint64_t file_bytes)
{
    return bg_space_bytes(s, picks) <= file_bytes && is_fast(s, picks);
}

/* A knapsack of the space. */
typedef struct knapsack {
    const bg_space *s;
    uint64_t budget;
    bg_choice *choices;
    const bg_choice **items;
    size_t *counts, *out;
} knapsack;

/* With so many nats to pay for a second. */
static bg_status pack(const knapsack *k, double per_second, size_t most, uint8_t *picks,
                      bool *feasible, bg_error *err)
{
    const bg_space *s = k->s;
    for (size_t i = 0; i < s->n; i++)
        for (size_t c = 0; c < k->counts[i]; c++)
            k->choices[i * BG_MAX_CHOICES + c] = (bg_choice){
                s->items[i].bytes[c],
                s->items[i].cost[c] + per_second * seconds_of(&s->items[i], c) +
                    (s->near && s->near[i] != c ? s->change : 0)};
    BG_TRY(bg_allocate(k->items, k->counts, s->n, k->budget, most, k->out, feasible, err));
    for (size_t i = 0; i < s->n; i++) picks[i] = (uint8_t)k->out[i];
    return BG_OK;
}

/* The least price of a second with which the knapsack is fast enough (Lagrange's multiplier): found
 * on a coarse knapsack, and raised until the fine one is. */
static bg_status pack_fast(const knapsack *k, uint8_t *picks, bg_error *err)
{
    enum { COARSE = 256, DOUBLINGS = 40, HALVINGS = 8 };
    const bg_space *s = k->s;
    double low = 0, high = 1e-4 / s->most_seconds, middle;
    bool feasible;
    int i = 0;
    for (; i < DOUBLINGS; i++, low = high, high *= 4) {
        BG_TRY(pack(k, high, COARSE, picks, &feasible, err));
        if (is_fast(s, picks)) break;
    }
    for (int j = 0; i < DOUBLINGS && j < HALVINGS; j++) {
        middle = (low + high) / 2;
        BG_TRY(pack(k, middle, COARSE, picks, &feasible, err));
        if (is_fast(s, picks)) high = middle;
        else low = middle;
    }
    for (int j = 0; i < DOUBLINGS && j < DOUBLINGS; j++, high *= 1.02) {
        BG_TRY(pack(k, high, 0, picks, &feasible, err));
        if (is_fast(s, picks)) return BG_OK;
    }
    BG_TRY(pack(k, 1e12, 0, picks, &feasible, err));
    if (is_fast(s, picks)) return BG_OK;
    return bg_fail(err, BG_ERR_INFEASIBLE, NULL, "no choice of formats within these bytes is "
                   "expected to decode %.0f tokens/s: the fastest %.0f", 1 / s->most_seconds,
                   1 / bg_space_seconds(s, picks));
}

bg_status bg_space_solve(const bg_space *s, uint64_t file_bytes, uint8_t *picks, bg_error *err)
{
    knapsack k = {.s = s, .budget = file_bytes > s->fixed ? file_bytes - s->fixed : 0,
                  .choices = bg_alloc(s->n * BG_MAX_CHOICES, sizeof *k.choices),
                  .items = bg_alloc(s->n, sizeof *k.items),
                  .counts = bg_alloc(2 * s->n, sizeof *k.counts)};
    bool feasible = false;
    bg_status status = BG_OK;
    if (!k.choices || !k.items || !k.counts) status = bg_fail_nomem(err, "a search", s->n * 400);
    else k.out = k.counts + s->n;
    for (size_t i = 0; status == BG_OK && i < s->n; i++) {
        k.items[i] = k.choices + i * BG_MAX_CHOICES;
        k.counts[i] = s->items[i].n;
    }
    if (status == BG_OK) status = pack(&k, 0, 0, picks, &feasible, err);
    if (status == BG_OK && !feasible)
        status = bg_fail(err, BG_ERR_INFEASIBLE, NULL, "no choice of formats fits into %llu bytes: "
                         "the smallest takes %llu", (unsigned long long)file_bytes,
                         (unsigned long long)bg_space_bytes(s, picks));
    if (status == BG_OK && !is_fast(s, picks)) status = pack_fast(&k, picks, err);
    bg_free(k.choices);
    bg_free((void *)k.items);
    bg_free(k.counts);
    return status;
}
