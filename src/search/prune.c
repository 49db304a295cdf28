#include "search/prune.h"

#include "search/grad_ops.h"
#include "search/recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CTX = 256, ABREAST = 2, BATCHES = 8, MOST_CHANNELS = 4096, MOST_LEVELS = 16, TILE = 64,
       MOST_PRODUCTS = 1 << 17 }; /* of large matrices with wide units, some rows tell enough */

/* One of the two kinds of things that go: what is left of them are columns of `reader`. */
typedef struct axis {
    bool heads;
    const char *reader;
    uint32_t units, width;   /* units of so many columns go or stay as a whole */
    uint32_t step;           /* units that a level has less */
    uint32_t n_levels;       /* with level 0; 0: nothing can go */
    float **gram;            /* of each layer: [n][n] sums of products of columns */
    float **seen;            /* of each layer: [ABREAST * CTX][n] of one batch */
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
    size_t columns;          /* of `seen` */
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
            memcpy(a->seen[layer] + column * columns_of(a) + first, x, n * sizeof *x);
}

static void add_axis(const bg_pruner *p, const axis *a, int member, int size)
{
    size_t n = columns_of(a), tiles = (n + TILE - 1) / TILE, begin, end;
    bg_team_share(tiles * p->sizes->n_layer, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t layer = i / tiles, row = i % tiles * TILE;
        const float *x = a->seen[layer];
        bg_product product = {
            .m = BG_MIN((size_t)TILE, n - row), .n = n, .k = p->columns,
            .a = x + row, .a_m = 1, .a_k = n, .b = x, .b_k = n,
            .c = a->gram[layer] + row * n, .c_m = n, .add = true,
        };
        p->ops->multiply(&product);
    }
}

static void add_products(void *user, int member, int size)
{
    const bg_pruner *p = user;
    for (const axis *a = p->axes; a < p->axes + AXES; a++)
        if (a->n_levels) add_axis(p, a, member, size);
}

static bg_status listen(bg_pruner *p, const int32_t *tokens, size_t n_tokens, bg_isa isa,
                        bg_error *err)
{
    enum { BATCH = CTX * ABREAST };
    bg_observer observer = {see, p};
    uint32_t seq[BATCH];
    uint8_t want[BATCH];
    bg_session *s;
    bg_status status;
    BG_TRY(bg_session_open(&s, p->model, &(bg_session_options){.n_ctx = CTX, .n_batch = BATCH,
                               .n_seq = ABREAST, .isa = isa, .team = p->team}, err));
    for (uint32_t i = 0; i < BATCH; i++) {
        seq[i] = i / CTX;
        want[i] = 1; /* the last layer sees the wanted ones alone */
    }
    bg_session_observe(s, &observer);
    status = BG_OK;
    for (size_t b = 0; status == BG_OK && b < BATCHES && (b + 1) * BATCH <= n_tokens; b++) {
        bg_batch batch = {BATCH, tokens + b * BATCH, seq, want};
        for (uint32_t i = 0; i < ABREAST; i++) bg_session_reset(s, i);
        status = bg_session_eval(s, &batch, NULL, err);
        p->columns = BATCH;
        if (status == BG_OK) bg_team_run(p->team, add_products, p);
    }
    bg_session_close(&s);
    if (status == BG_OK && p->columns == 0)
        status = bg_fail(err, BG_ERR_INPUT, NULL, "the text has %zu tokens: pruning needs %d",
                         n_tokens, BATCH);
    return status;
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
static double energy(const axis *a, const float *gram, const float *row, size_t u)
{
    size_t n = columns_of(a), first = u * a->width;
    double sum = 0;
    for (size_t i = first; i < first + a->width; i++)
        for (size_t j = first; j < first + a->width; j++)
            sum += (double)row[i] * (double)row[j] * (double)gram[i * n + j];
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
        for (uint32_t u = 0; u < a->units; u++) all[u].score += energy(a, a->gram[layer], row, u);
    }
    for (uint32_t u = 0; u < a->units; u++) all[u].unit = u;
    qsort(all, a->units, sizeof *all, by_score);
    for (uint32_t u = 0; u < a->units; u++) a->order[layer][u] = all[u].unit;
    bg_free(all);
    bg_free(row);
    return BG_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

static bg_status reserve(const bg_pruner *p, axis *a, bg_error *err)
{
    uint32_t n = p->sizes->n_layer;
    size_t columns = columns_of(a), gram = columns * columns,
           seen = (size_t)ABREAST * CTX * columns;
    a->gram = bg_alloc(n, sizeof *a->gram);
    a->seen = bg_alloc(n, sizeof *a->seen);
    a->order = bg_alloc(n, sizeof *a->order);
    if (!a->gram || !a->seen || !a->order) return bg_fail_nomem(err, "pruning", 24 * n);
    for (uint32_t l = 0; l < n; l++) {
        a->gram[l] = bg_alloc(gram, sizeof(float));
        a->seen[l] = bg_alloc(seen, sizeof(float));
        if (!a->gram[l] || !a->seen[l])
            return bg_fail_nomem(err, "pruning", (gram + seen) * sizeof(float));
    }
    return BG_OK;
}

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

/* Of one kind of thing, when the text was heard. */
static bg_status learn(bg_pruner *p, axis *a, bg_error *err)
{
    for (uint32_t l = 0; a->n_levels && l < p->sizes->n_layer; l++) {
        BG_TRY(rank_layer(p, a, l, err));
        bg_free(a->seen[l]);
        a->seen[l] = NULL;
    }
    return BG_OK;
}

bg_status bg_pruner_open(bg_pruner **out, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                         bg_isa isa, bg_team *team, bg_error *err)
{
    bg_pruner *p = bg_alloc(1, sizeof *p);
    bg_status s;
    *out = NULL;
    if (!p) return bg_fail_nomem(err, "pruning", sizeof *p);
    *p = (bg_pruner){.model = m, .g = bg_model_gguf(m), .team = team, .ops = bg_grad_ops_get(isa)};
    s = bg_recipe_new(&p->sizes, p->g, err);
    if (s == BG_OK && p->sizes->layers) {
        p->axes[FF] = ff_axis(p->sizes);
        p->axes[HEADS] = heads_axis(p->sizes, p->g);
    }
    if (s == BG_OK && !p->axes[FF].n_levels) {
        bg_pruner_close(&p);
        return BG_OK;
    }
    for (size_t i = 0; s == BG_OK && i < AXES; i++)
        if (p->axes[i].n_levels) s = reserve(p, &p->axes[i], err);
    if (s == BG_OK) s = listen(p, tokens, n_tokens, isa, err);
    for (size_t i = 0; s == BG_OK && i < AXES; i++) s = learn(p, &p->axes[i], err);
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
            if (a->gram) bg_free(a->gram[l]);
            if (a->seen) bg_free(a->seen[l]);
            if (a->order) bg_free(a->order[l]);
        }
        bg_free(a->gram);
        bg_free(a->seen);
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

/* Cholesky's factor of a positive definite matrix in place, lower half; false: it is not. */
static bool factor(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        double *aj = a + j * n, d = aj[j];
        for (size_t l = 0; l < j; l++) d -= aj[l] * aj[l];
        if (!(d > 0)) return false;
        aj[j] = d = sqrt(d);
        for (size_t i = j + 1; i < n; i++) {
            double *ai = a + i * n, x = ai[j];
            for (size_t l = 0; l < j; l++) x -= ai[l] * aj[l];
            ai[j] = x / d;
        }
    }
    return true;
}

static void solve(const double *a, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t l = 0; l < i; l++) x[i] -= a[i * n + l] * x[l];
        x[i] /= a[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        x[i] /= a[i * n + i];
        for (size_t l = 0; l < i; l++) x[l] -= a[i * n + l] * x[i];
    }
}

typedef struct fitting {
    const float *gram;
    size_t n, n_kept;        /* columns */
    const uint32_t *at;      /* those that stay */
    const double *factor;
    float *rows;             /* [rows][n], of the source: becomes the kept columns */
    size_t n_rows;
    bool failed;
} fitting;

/* A row w loses some columns d; (G_kk)^-1 G_kd w_d on top of the kept ones w_k says the
 * most of what they said. */
static void fit_rows(void *user, int member, int size)
{
    fitting *f = user;
    size_t all = f->n, n = f->n_kept, begin, end;
    double *x = bg_alloc(n, sizeof *x);
    bg_team_share(f->n_rows, 1, member, size, &begin, &end);
    if (!x && begin < end) f->failed = true;
    for (size_t r = begin; x && r < end; r++) {
        float *w = f->rows + r * all;
        for (size_t i = 0; i < n; i++) {
            const float *g = f->gram + (size_t)f->at[i] * all;
            x[i] = 0;
            for (size_t j = 0, next = 0; j < all; j++) {
                if (next < n && f->at[next] == j) next++;
                else x[i] += (double)g[j] * (double)w[j];
            }
        }
        solve(f->factor, n, x);
        for (size_t i = 0; i < n; i++) w[i] = w[f->at[i]] + (float)x[i]; /* at[i] >= i */
        memset(w + n, 0, (all - n) * sizeof *w);
    }
    bg_free(x);
}

static bg_status fit(bg_pruner *p, fitting *f, double *a)
{
    size_t n = f->n_kept;
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            a[i * n + j] = (double)f->gram[(size_t)f->at[i] * f->n + f->at[j]];
    for (size_t i = 0; i < n; i++) mean += a[i * n + i] / (double)n;
    for (size_t i = 0; i < n; i++) a[i * n + i] += 0.01 * mean + 1e-30;
    if (!factor(a, n)) return BG_ERR_INPUT;
    bg_team_run(p->team, fit_rows, f);
    return f->failed ? BG_ERR_NOMEM : BG_OK;
}

static bg_status compensate(bg_pruner *p, const axis *a, uint32_t layer, const bg_kept *kept,
                            float *rows, size_t n_rows, bg_error *err)
{
    size_t n = (size_t)kept->n * a->width;
    double *matrix = bg_alloc(n * n, sizeof *matrix);
    uint32_t *at = bg_alloc(n, sizeof *at);
    fitting f = {.gram = a->gram[layer], .n = columns_of(a), .n_kept = n, .at = at,
                 .factor = matrix, .rows = rows, .n_rows = n_rows};
    bg_status s = BG_ERR_NOMEM;
    for (size_t i = 0; at && i < n; i++)
        at[i] = kept->at[i / a->width] * a->width + (uint32_t)(i % a->width);
    if (at && matrix) s = fit(p, &f, matrix);
    bg_free(matrix);
    bg_free(at);
    if (s == BG_OK) return BG_OK;
    if (s == BG_ERR_NOMEM) return bg_fail_nomem(err, "least squares", n * n * sizeof *matrix);
    return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(p->g), "what layer %u loses cannot be made up "
                   "for: its activations are not finite", layer);
}

/* ---- tensors ------------------------------------------------------------------------------ */

static bg_status decode(const bg_tensor *t, float *rows)
{
    const bg_format_info *f = bg_format_get((int)t->format);
    size_t k = t->ne[0], bytes = bg_format_row_bytes(f, k);
    for (size_t r = 0; r < t->ne[1]; r++)
        bg_format_decode(f, (const uint8_t *)t->data + r * bytes, rows + r * k, k);
    return BG_OK;
}

/* Units of so many rows of k. */
static void move_rows(float *rows, size_t k, uint32_t unit, size_t n_rows, const bg_kept *kept)
{
    size_t part = unit * k, left = (size_t)kept->n * part;
    for (size_t i = 0; i < kept->n; i++)
        memmove(rows + i * part, rows + kept->at[i] * part, part * sizeof *rows); /* at[i] >= i */
    memset(rows + left, 0, (n_rows * k - left) * sizeof *rows);
}

static void move_importance(float *importance, const axis *a, const bg_kept *kept)
{
    size_t n = columns_of(a), left = (size_t)kept->n * a->width;
    for (size_t i = 0; i < n; i++)
        importance[i] = i < left ? importance[kept->at[i / a->width] * a->width + i % a->width] : 1;
}

/* The tensor as floats, what is kept of it first. */
static bg_status take_kept(bg_pruner *p, const bg_tensor *t, const bg_cut *c, const bg_kept *kept,
                           float *rows, float *importance, bg_error *err)
{
    const axis *a = axis_of(p, c);
    BG_TRY(decode(t, rows));
    if (kept->at && c->axis == BG_CUT_ROWS) move_rows(rows, t->ne[0], c->unit, t->ne[1], kept);
    if (!kept->at || c->axis != BG_CUT_COLUMNS) return BG_OK;
    if (importance) move_importance(importance, a, kept);
    return compensate(p, a, c->layer, kept, rows, t->ne[1], err);
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

/* Tensor i of the image; weights: of its importance. */
static bg_status finish_tensor(bg_pruner *p, const bg_cut *c, const float *weights, bg_image *image,
                               size_t i, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(p->g, image->source[i]);
    size_t k = t->ne[0], bytes = k * t->ne[1] * sizeof(float);
    float *rows = bg_alloc_large(bytes);
    float *kept_weights = weights ? bg_alloc(k, sizeof *weights) : NULL;
    bg_status s = rows && (kept_weights || !weights) ? BG_OK : bg_fail_nomem(err, t->name, bytes);
    if (s == BG_OK && weights) memcpy(kept_weights, weights, k * sizeof *weights);
    if (s == BG_OK) s = take_kept(p, t, c, c->kept, rows, kept_weights, err);
    if (s == BG_OK) {
        close_up(rows, t->ne[1], k, (size_t)c->kept->n * c->unit);
        s = bg_image_encode(image, i, rows, kept_weights, p->team, err);
    }
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
        if (c.axis != BG_CUT_COLUMNS || !c.kept->at || !axis_of(p, &c)->n_levels) continue;
        BG_TRY(finish_tensor(p, &c, bg_importance_find(importance, t->name, t->ne[0]), image, i,
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

bg_status bg_recipe_compensate(bg_image *image, const bg_recipe *r, const bg_model *source,
                               const int32_t *tokens, size_t n_tokens,
                               const bg_importance *importance, bg_isa isa, bg_team *team,
                               bg_error *err)
{
    bg_pruner *p;
    bg_status s = BG_OK;
    if (!bg_recipe_pruned(r)) return BG_OK;
    BG_TRY(bg_pruner_open(&p, source, tokens, n_tokens, isa, team, err));
    if (p) s = bg_pruner_finish(p, r, importance, image, err);
    bg_pruner_close(&p);
    return s;
}
