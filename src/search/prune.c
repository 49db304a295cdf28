#include "search/prune.h"

#include "search/layers.h"
#include "search/moments.h"
#include "search/recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CTX = 256, WINDOWS = 64, MOST_CHANNELS = 4096, MOST_LEVELS = 16,
       MOST_PRODUCTS = 1 << 17 }; /* of large matrices with wide units, some rows tell enough */

/* One of the two kinds of things that go: what is left of them are columns of `reader`. */
typedef struct axis {
    bool heads;
    const char *reader;
    uint32_t units, width;   /* units of so many columns go or stay as a whole */
    uint32_t step;           /* units that a level has less */
    uint32_t n_levels;       /* with level 0; 0: nothing can go */
    float *seen;             /* [CTX][n] what the reader of a layer reads in a window, */
    float *sums;             /* [n][n] and the sums of products of its columns in all: while it is heard */
    bg_moments *moments;     /* of each layer */
    uint32_t **order;        /* of each layer: units, the most important first */
} axis;

enum { FF, HEADS, AXES };

struct bg_pruner {
    const bg_model *model;
    const bg_gguf *g;
    bg_team *team;
    const bg_grad_ops *ops;
    bg_recipe *sizes;        /* of the source */
    axis axes[AXES];
};

static size_t columns_of(const axis *a) { return (size_t)a->units * a->width; }
static uint32_t ff_of(uint8_t level) { return level & 15u; }
static uint32_t heads_of(uint8_t level) { return level >> 4; }

/* What is gone of one kind of thing, in steps. */
static uint32_t level_of(const axis *a, uint8_t level)
{
    return a->heads ? heads_of(level) : ff_of(level);
}

static const axis *axis_of(const bg_pruner *p, const bg_cut *c)
{
    return &p->axes[c->heads ? HEADS : FF];
}

size_t bg_pruner_steps(const bg_pruner *p, uint8_t level, uint8_t steps[BG_PRUNER_STEPS])
{
    size_t n = 0;
    if (level == BG_LAYER_DROPPED) return 0;
    if (ff_of(level) + 1 < p->axes[FF].n_levels) steps[n++] = (uint8_t)(level + 1);
    if (heads_of(level) + 1 < p->axes[HEADS].n_levels) steps[n++] = (uint8_t)(level + 16);
    return n;
}

size_t bg_pruner_steps_back(const bg_pruner *p, uint8_t level, uint8_t steps[BG_PRUNER_STEPS])
{
    size_t n = 0;
    (void)p;
    if (level == BG_LAYER_DROPPED) steps[n++] = 0;
    else if (ff_of(level)) steps[n++] = (uint8_t)(level - 1);
    if (level != BG_LAYER_DROPPED && heads_of(level)) steps[n++] = (uint8_t)(level - 16);
    return n;
}

/* ---- what is known of the channels -------------------------------------------------------- */

static const bg_tensor *reader_of(const bg_pruner *p, const axis *a, uint32_t layer)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.%s", layer, a->reader);
    return bg_gguf_tensor_find(p->g, name);
}

static void see(void *user, int member, const bg_tensor *t, size_t column, const float *x,
                size_t first, size_t n)
{
    const bg_pruner *p = user;
    uint32_t layer;
    const char *rest;
    (void)member;
    if (!bg_recipe_layer_of(t->name, &layer, &rest)) return;
    for (const axis *a = p->axes; a < p->axes + AXES; a++)
        if (a->n_levels && strcmp(rest, a->reader) == 0)
            memcpy(a->seen + column * columns_of(a) + first, x, n * sizeof *x);
}

typedef struct ranked { double score; uint32_t unit; } ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->unit < y->unit ? -1 : 1;
}

/* What unit u adds to the squares of what the reader gives:
 * its columns w of a row by their products. */
static double energy(const axis *a, const float *row, size_t u)
{
    size_t n = columns_of(a), first = u * a->width;
    double sum = 0;
    for (size_t i = first; i < first + a->width; i++)
        for (size_t j = first; j < first + a->width; j++)
            sum += (double)row[i] * (double)row[j] * (double)a->sums[i * n + j];
    return sum;
}

static bg_status rank_layer(bg_pruner *p, const axis *a, uint32_t layer, bg_error *err)
{
    const bg_tensor *t = reader_of(p, a, layer);
    const bg_format_info *f = bg_format_get((int)t->format);
    size_t k = columns_of(a), row_bytes = bg_format_row_bytes(f, k);
    ranked *all = bg_alloc(a->units, sizeof *all);
    float *row = bg_alloc(k, sizeof *row);
    a->order[layer] = bg_alloc(a->units, sizeof(uint32_t));
    if (!all || !row || !a->order[layer]) {
        bg_free(all);
        bg_free(row);
        return bg_fail_nomem(err, t->name, k * sizeof *all);
    }
    for (size_t r = 0; r < t->ne[1]; r += 1 + t->ne[1] * a->width / MOST_PRODUCTS) {
        bg_format_decode(f, (const uint8_t *)t->data + r * row_bytes, row, k);
        for (uint32_t u = 0; u < a->units; u++) all[u].score += energy(a, row, u);
    }
    bg_gguf_release(p->g, t->data, t->bytes);
    for (uint32_t u = 0; u < a->units; u++) {
        all[u].unit = u;
        if (!isfinite(all[u].score)) all[u].score = 0;
    }
    qsort(all, a->units, sizeof *all, by_score);
    for (uint32_t u = 0; u < a->units; u++) a->order[layer][u] = all[u].unit;
    bg_free(all);
    bg_free(row);
    return BG_OK;
}

/* What one layer reads, in all windows; it moves on to the next. */
static bg_status hear_layer(bg_pruner *p, bg_layers *l, uint32_t layer, bg_error *err)
{
    const bg_observer observer = {see, p};
    const bg_layers_pass pass = {.first = layer, .end = layer + 1, .observer = &observer,
                                 .keeps = true, .place = layer + 1};
    BG_TRY(bg_layers_take(l, layer, err));
    for (axis *a = p->axes; a < p->axes + AXES; a++)
        if (a->n_levels) memset(a->sums, 0, columns_of(a) * columns_of(a) * sizeof *a->sums);
    for (uint64_t w = 0; w < l->windows->n; w++) {
        BG_TRY(bg_layers_run(l, w, &pass, err));
        for (axis *a = p->axes; a < p->axes + AXES; a++)
            if (a->n_levels)
                bg_moments_add(p->ops, p->team, a->sums, columns_of(a), a->seen, CTX);
    }
    for (axis *a = p->axes; a < p->axes + AXES; a++) {
        if (!a->n_levels) continue;
        BG_TRY(bg_moments_keep(&a->moments[layer], a->sums, columns_of(a), err));
        BG_TRY(rank_layer(p, a, layer, err));
    }
    return BG_OK;
}

static bg_status reserve(const bg_pruner *p, axis *a, bg_error *err)
{
    uint32_t n = p->sizes->n_layer;
    size_t columns = columns_of(a);
    a->sums = bg_alloc(columns * columns, sizeof *a->sums);
    a->seen = bg_alloc(CTX * columns, sizeof *a->seen);
    a->moments = bg_alloc(n, sizeof *a->moments);
    a->order = bg_alloc(n, sizeof *a->order);
    if (a->sums && a->seen && a->moments && a->order) return BG_OK;
    return bg_fail_nomem(err, "pruning", columns * columns * sizeof *a->sums);
}

static void forget(axis *a)
{
    bg_free(a->sums);
    bg_free(a->seen);
    a->sums = a->seen = NULL;
}

static bg_status listen(bg_pruner *p, const int32_t *tokens, size_t n_tokens,
                        const bg_feedback_options *o, bg_error *err)
{
    bg_passages w;
    bg_layers l;
    bg_status s;
    BG_TRY(bg_passages_take(&w, p->model, tokens, n_tokens, WINDOWS, CTX, err));
    s = bg_layers_open(&l, p->model, &w, o->isa, p->team, err);
    for (size_t i = 0; s == BG_OK && i < AXES; i++)
        if (p->axes[i].n_levels) s = reserve(p, &p->axes[i], err);
    for (uint32_t i = 0; s == BG_OK && i < p->sizes->n_layer; i++) {
        if (o->progress && !o->progress(o->user, (double)i / p->sizes->n_layer))
            s = bg_fail(err, BG_ERR_INTERRUPTED, bg_gguf_path(p->g), "stopped before the end");
        else s = hear_layer(p, &l, i, err);
    }
    for (size_t i = 0; i < AXES; i++) forget(&p->axes[i]);
    bg_layers_close(&l);
    bg_free(w.tokens);
    return s;
}

/* ---- opening ------------------------------------------------------------------------------ */

static uint32_t steps_of(uint32_t units, uint32_t step, size_t columns)
{
    return step && columns <= MOST_CHANNELS ? (units + step - 1) / step : 0;
}

/* Channels go in steps with which rows of ffn_down still fit the formats that they fit now. */
static axis ff_axis(const bg_recipe *sizes)
{
    uint32_t n = sizes->n_ff, block = n % 256 == 0 ? 256 : n % 32 == 0 ? 32 : 0;
    uint32_t blocks = block ? n / block : 0;
    axis a = {.reader = "ffn_down.weight", .units = n, .width = 1,
              .step = block * ((blocks + MOST_LEVELS - 1) / MOST_LEVELS)};
    a.n_levels = steps_of(n, a.step, n);
    return a;
}

/* A key-value head goes with the query heads that share it. What biases add to keys and values
 * would stay where heads are only zero here, and the source's own format has to fit what is
 * left. */
static axis heads_axis(const bg_recipe *sizes, const bg_gguf *g)
{
    uint32_t n = sizes->n_head_kv;
    axis a = {.heads = true, .reader = "attn_output.weight", .units = n,
              .width = sizes->head_dim * (sizes->n_head / n), .step = n / (MOST_LEVELS - 1) + 1};
    a.n_levels = steps_of(n, a.step, columns_of(&a));
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        bg_cut c = bg_recipe_cut(sizes, t->name);
        const bg_format_info *f = bg_format_get((int)t->format);
        if (!c.heads) continue;
        if (t->n_dims < 2 || !f || (c.axis == BG_CUT_COLUMNS && c.unit % f->block_weights))
            a.n_levels = 0;
    }
    if (a.n_levels < 2) a.n_levels = 0;
    return a;
}

bg_status bg_pruner_open(bg_pruner **out, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                         const bg_feedback_options *o, bg_error *err)
{
    bg_pruner *p = bg_alloc(1, sizeof *p);
    bg_status s;
    *out = NULL;
    if (!p) return bg_fail_nomem(err, "pruning", sizeof *p);
    *p = (bg_pruner){.model = m, .g = bg_model_gguf(m), .team = o->team,
                     .ops = bg_grad_ops_get(o->isa)};
    s = bg_recipe_new(&p->sizes, p->g, err);
    if (s == BG_OK && p->sizes->layers) {
        p->axes[FF] = ff_axis(p->sizes);
        p->axes[HEADS] = heads_axis(p->sizes, p->g);
    }
    if (s == BG_OK && !p->axes[FF].n_levels) {
        bg_pruner_close(&p);
        return BG_OK;
    }
    if (s == BG_OK) s = listen(p, tokens, n_tokens, o, err);
    if (s == BG_OK) *out = p;
    else bg_pruner_close(&p);
    return s;
}

void bg_pruner_close(bg_pruner **pruner)
{
    bg_pruner *p = *pruner;
    if (!p) return;
    for (axis *a = p->axes; a < p->axes + AXES; a++) {
        for (uint32_t l = 0; p->sizes && l < p->sizes->n_layer; l++) {
            if (a->moments) bg_moments_free(&a->moments[l]);
            if (a->order) bg_free(a->order[l]);
        }
        bg_free(a->moments);
        bg_free(a->order);
    }
    bg_recipe_free(&p->sizes);
    bg_free(p);
    *pruner = NULL;
}

/* ---- levels ------------------------------------------------------------------------------- */

static uint32_t units_left(const axis *a, uint8_t level)
{
    return a->units - level_of(a, level) * a->step;
}

/* The units that a level leaves; all of a dropped layer. */
static bg_status find_kept(const axis *a, uint32_t layer, uint8_t level, bg_kept *kept,
                           bg_error *err)
{
    uint8_t *flags = bg_alloc(a->units, 1);
    bg_status s = BG_OK;
    if (!flags) return bg_fail_nomem(err, "pruning", a->units);
    if (!a->n_levels || level == BG_LAYER_DROPPED) memset(flags, 1, a->units);
    else
        for (uint32_t i = 0; i < units_left(a, level); i++) flags[a->order[layer][i]] = 1;
    s = bg_kept_set(kept, flags, a->units, err);
    bg_free(flags);
    return s;
}

bg_status bg_pruner_shape(const bg_pruner *p, const uint8_t *levels, bg_recipe *r, bg_error *err)
{
    for (uint32_t l = 0; l < r->n_layer; l++) {
        r->layers[l].dropped = levels[l] == BG_LAYER_DROPPED;
        BG_TRY(find_kept(&p->axes[FF], l, levels[l], &r->layers[l].ff, err));
        BG_TRY(find_kept(&p->axes[HEADS], l, levels[l], &r->layers[l].kv_heads, err));
    }
    return BG_OK;
}

/* What a dropped layer adds comes from attn_output and ffn_down. */
uint8_t bg_pruner_level(const bg_pruner *p, size_t tensor, uint8_t level)
{
    bg_cut c = bg_recipe_cut(p->sizes, bg_gguf_tensor_at(p->g, tensor)->name);
    if (c.axis == BG_CUT_NONE) return 0;
    if (level == BG_LAYER_DROPPED) return c.axis == BG_CUT_COLUMNS ? level : 0;
    return c.heads ? level & 0xf0 : level & 15;
}

double bg_pruner_left(const bg_pruner *p, size_t tensor, uint8_t level)
{
    const char *name = bg_gguf_tensor_at(p->g, tensor)->name, *rest;
    bg_cut c = bg_recipe_cut(p->sizes, name);
    uint32_t layer;
    if (level == BG_LAYER_DROPPED && bg_recipe_layer_of(name, &layer, &rest)) return 0;
    if (c.axis == BG_CUT_NONE) return 1;
    return (double)units_left(axis_of(p, &c), level) / axis_of(p, &c)->units;
}

bool bg_pruner_bytes(const bg_pruner *p, size_t tensor, uint8_t level, bg_format format,
                     uint64_t *bytes)
{
    const bg_tensor *t = bg_gguf_tensor_at(p->g, tensor);
    const bg_format_info *f = bg_format_get((int)format);
    bg_cut c = bg_recipe_cut(p->sizes, t->name);
    uint64_t ne[2] = {t->ne[0], t->ne[1]};
    double left = bg_pruner_left(p, tensor, level);
    *bytes = 0;
    if (left <= 0) return true;
    if (c.axis != BG_CUT_NONE)
        ne[c.axis == BG_CUT_ROWS] = (uint64_t)units_left(axis_of(p, &c), level) * c.unit;
    if (!f || ne[0] % f->block_weights) return false;
    *bytes = bg_format_row_bytes(f, ne[0]) * ne[1];
    return true;
}

/* ---- least squares ------------------------------------------------------------------------ */

static bg_status compensate(bg_pruner *p, const axis *a, uint32_t layer, const bg_kept *kept,
                            float *rows, size_t n_rows, bg_error *err)
{
    size_t n = (size_t)kept->n * a->width;
    uint32_t *at = bg_alloc(n, sizeof *at);
    bg_status s;
    if (!at) return bg_fail_nomem(err, "least squares", n * sizeof *at);
    for (size_t i = 0; i < n; i++)
        at[i] = kept->at[i / a->width] * a->width + (uint32_t)(i % a->width);
    s = bg_moments_fit(&a->moments[layer], at, n, rows, n_rows, p->ops, p->team, err);
    bg_free(at);
    if (s != BG_ERR_INPUT) return s;
    return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(p->g), "what layer %u loses cannot be made up "
                   "for: its activations are not finite", layer);
}

/* ---- tensors ------------------------------------------------------------------------------ */

static void decode(const bg_tensor *t, float *rows)
{
    const bg_format_info *f = bg_format_get((int)t->format);
    size_t k = t->ne[0], bytes = bg_format_row_bytes(f, k);
    for (size_t r = 0; r < t->ne[1]; r++)
        bg_format_decode(f, (const uint8_t *)t->data + r * bytes, rows + r * k, k);
}

/* Columns of units that nothing makes up for. */
static void move_columns(float *rows, size_t k, uint32_t unit, size_t n_rows, const bg_kept *kept)
{
    for (size_t r = 0; r < n_rows; r++, rows += k) {
        for (size_t i = 0; i < kept->n; i++)
            memmove(rows + i * unit, rows + kept->at[i] * unit, unit * sizeof *rows); /* at[i] >= i */
        memset(rows + kept->n * unit, 0, (k - kept->n * unit) * sizeof *rows);
    }
}

/* Units of so many rows of k. */
static void move_rows(float *rows, size_t k, uint32_t unit, size_t n_rows, const bg_kept *kept)
{
    size_t part = unit * k, left = (size_t)kept->n * part;
    for (size_t i = 0; i < kept->n; i++)
        memmove(rows + i * part, rows + kept->at[i] * part, part * sizeof *rows); /* at[i] >= i */
    memset(rows + left, 0, (n_rows * k - left) * sizeof *rows);
}

static void move_importance(float *importance, size_t n, uint32_t unit, const bg_kept *kept)
{
    size_t left = (size_t)kept->n * unit;
    for (size_t i = 0; i < n; i++)
        importance[i] = i < left ? importance[kept->at[i / unit] * unit + i % unit] : 1;
}

/* The tensor as floats, what is kept of it first. */
static bg_status take_kept(bg_pruner *p, const bg_tensor *t, const bg_cut *c, const bg_kept *kept,
                           float *rows, float *importance, bg_error *err)
{
    const axis *a = p ? axis_of(p, c) : NULL;
    decode(t, rows);
    if (kept->at && c->axis == BG_CUT_ROWS) move_rows(rows, t->ne[0], c->unit, t->ne[1], kept);
    if (!kept->at || c->axis != BG_CUT_COLUMNS) return BG_OK;
    if (importance) move_importance(importance, t->ne[0], c->unit, kept);
    if (a && a->moments) return compensate(p, a, c->layer, kept, rows, t->ne[1], err);
    move_columns(rows, t->ne[0], c->unit, t->ne[1], kept);
    return BG_OK;
}

bg_status bg_pruner_rows(bg_pruner *p, size_t tensor, uint8_t level, float **rows, size_t *bytes,
                         float *importance, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(p->g, tensor);
    bg_cut c = bg_recipe_cut(p->sizes, t->name);
    bg_kept kept = {0};
    bg_status s = BG_OK;
    *bytes = t->ne[0] * t->ne[1] * sizeof **rows;
    *rows = bg_alloc_large(*bytes);
    if (!*rows) return bg_fail_nomem(err, t->name, *bytes);
    if (level != BG_LAYER_DROPPED) {
        s = find_kept(axis_of(p, &c), c.layer, level, &kept, err);
        if (s == BG_OK) s = take_kept(p, t, &c, &kept, *rows, importance, err);
    }
    bg_free(kept.at);
    if (s == BG_OK) return BG_OK;
    bg_free_large(*rows, *bytes);
    *rows = NULL;
    return s;
}

/* The columns that are kept, side by side. */
static void close_up(float *rows, size_t n_rows, size_t from, size_t to)
{
    for (size_t r = 0; r < n_rows; r++) memmove(rows + r * to, rows + r * from, to * sizeof *rows);
}

bg_status bg_pruner_kept(bg_pruner *p, const bg_recipe *r, const bg_tensor *t, float **rows,
                         size_t *bytes, float *importance, bg_error *err)
{
    bg_cut c = bg_recipe_cut(r, t->name);
    bg_status s;
    *rows = NULL;
    if (c.axis == BG_CUT_NONE || !c.kept->at) return BG_OK;
    *bytes = t->ne[0] * t->ne[1] * sizeof **rows;
    *rows = bg_alloc_large(*bytes);
    if (!*rows) return bg_fail_nomem(err, t->name, *bytes);
    s = take_kept(p, t, &c, c.kept, *rows, importance, err);
    if (s == BG_OK && c.axis == BG_CUT_COLUMNS)
        close_up(*rows, t->ne[1], t->ne[0], (size_t)c.kept->n * c.unit);
    if (s == BG_OK) return BG_OK;
    bg_free_large(*rows, *bytes);
    *rows = NULL;
    return s;
}

/* Tensor i of the image; weights: of its importance. */
static bg_status finish_tensor(bg_pruner *p, const bg_recipe *r, const float *weights,
                               bg_image *image, size_t i, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(p->g, image->source[i]);
    size_t k = t->ne[0], bytes = 0;
    float *rows = NULL, *kept_weights = weights ? bg_alloc(k, sizeof *weights) : NULL;
    bg_status s = kept_weights || !weights ? BG_OK : bg_fail_nomem(err, t->name, k);
    if (s == BG_OK && weights) memcpy(kept_weights, weights, k * sizeof *weights);
    if (s == BG_OK) s = bg_pruner_kept(p, r, t, &rows, &bytes, kept_weights, err);
    if (s == BG_OK) s = bg_image_encode(image, i, rows, kept_weights, p->team, err);
    bg_free_large(rows, bytes);
    bg_free(kept_weights);
    return s;
}

static bg_status finish(bg_pruner *p, const bg_recipe *r, const bg_importance *importance,
                        bg_image *image, bg_error *err)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(image->g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(p->g, image->source[i]);
        bg_cut c = bg_recipe_cut(r, t->name);
        if (c.axis != BG_CUT_COLUMNS || !c.kept->at || !axis_of(p, &c)->moments) continue;
        BG_TRY(finish_tensor(p, r, bg_importance_find(importance, t->name, t->ne[0]), image, i,
                             err));
    }
    return BG_OK;
}

bg_status bg_pruner_finish(bg_pruner *p, const bg_recipe *r, const bg_importance *importance,
                           bg_image *image, bg_error *err)
{
    bg_importance *estimate;
    bg_status s;
    if (importance) return finish(p, r, importance, image, err);
    BG_TRY(bg_importance_estimate(&estimate, p->g, p->team, err));
    s = finish(p, r, estimate, image, err);
    bg_importance_close(&estimate);
    return s;
}
