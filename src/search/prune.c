#include "search/prune.h"

#include "search/grad_ops.h"
#include "search/recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CTX = 256, ABREAST = 2, BATCHES = 8, MOST_CHANNELS = 4096, MOST_LEVELS = 16, TILE = 64 };

struct bg_pruner {
    const bg_model *model;
    const bg_gguf *g;
    bg_team *team;
    const bg_grad_ops *ops;
    bg_recipe *sizes;        /* of the source */
    uint32_t n_ff, unit, n_levels;
    float **gram;            /* of each layer: [n_ff][n_ff] sums of products of channels */
    float **seen;            /* of each layer: [ABREAST * CTX][n_ff] of one batch */
    uint32_t **order;        /* of each layer: channels, the most important first */
    size_t columns;          /* of `seen` */
};

uint32_t bg_pruner_levels(const bg_pruner *p) { return p->n_levels; }

/* ---- what is known of the channels -------------------------------------------------------- */

static const bg_tensor *down_of(const bg_pruner *p, uint32_t layer)
{
    char name[64];
    snprintf(name, sizeof name, "blk.%u.ffn_down.weight", layer);
    return bg_gguf_tensor_find(p->g, name);
}

static void see(void *user, int member, const bg_tensor *t, size_t column, const float *x,
                size_t first, size_t n)
{
    const bg_pruner *p = user;
    uint32_t layer;
    const char *rest;
    (void)member;
    if (!bg_recipe_layer_of(t->name, &layer, &rest) || strcmp(rest, "ffn_down.weight") != 0) return;
    memcpy(p->seen[layer] + column * p->n_ff + first, x, n * sizeof *x);
}

static void add_products(void *user, int member, int size)
{
    const bg_pruner *p = user;
    size_t tiles = (p->n_ff + TILE - 1) / TILE, begin, end;
    bg_team_share(tiles * p->sizes->n_layer, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        size_t layer = i / tiles, row = i % tiles * TILE;
        const float *x = p->seen[layer];
        bg_product product = {
            .m = BG_MIN((size_t)TILE, p->n_ff - row), .n = p->n_ff, .k = p->columns,
            .a = x + row, .a_m = 1, .a_k = p->n_ff, .b = x, .b_k = p->n_ff,
            .c = p->gram[layer] + row * p->n_ff, .c_m = p->n_ff, .add = true,
        };
        p->ops->multiply(&product);
    }
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

typedef struct ranked { double score; uint32_t channel; } ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->channel < y->channel ? -1 : 1;
}

static bg_status rank_layer(bg_pruner *p, uint32_t layer, bg_error *err)
{
    const bg_tensor *t = down_of(p, layer);
    const bg_format_info *f = bg_format_get((int)t->format);
    size_t k = p->n_ff, row_bytes = bg_format_row_bytes(f, k);
    ranked *all = bg_alloc(k, sizeof *all);
    float *row = bg_alloc(k, sizeof *row);
    p->order[layer] = bg_alloc(k, sizeof(uint32_t));
    if (!all || !row || !p->order[layer]) {
        bg_free(all);
        bg_free(row);
        return bg_fail_nomem(err, t->name, k * sizeof *all);
    }
    for (size_t r = 0; r < t->ne[1]; r++) {
        bg_format_decode(f, (const uint8_t *)t->data + r * row_bytes, row, k);
        for (size_t i = 0; i < k; i++) all[i].score += (double)row[i] * (double)row[i];
    }
    for (uint32_t i = 0; i < k; i++) {
        all[i].channel = i;
        all[i].score *= (double)p->gram[layer][i * k + i];
    }
    qsort(all, k, sizeof *all, by_score);
    for (size_t i = 0; i < k; i++) p->order[layer][i] = all[i].channel;
    bg_free(all);
    bg_free(row);
    return BG_OK;
}

/* ---- opening ------------------------------------------------------------------------------ */

static bg_status reserve(bg_pruner *p, bg_error *err)
{
    uint32_t n = p->sizes->n_layer;
    size_t gram = (size_t)p->n_ff * p->n_ff, seen = (size_t)ABREAST * CTX * p->n_ff;
    p->gram = bg_alloc(n, sizeof *p->gram);
    p->seen = bg_alloc(n, sizeof *p->seen);
    p->order = bg_alloc(n, sizeof *p->order);
    if (!p->gram || !p->seen || !p->order) return bg_fail_nomem(err, "pruning", 24 * n);
    for (uint32_t l = 0; l < n; l++) {
        p->gram[l] = bg_alloc(gram, sizeof(float));
        p->seen[l] = bg_alloc(seen, sizeof(float));
        if (!p->gram[l] || !p->seen[l])
            return bg_fail_nomem(err, "pruning", (gram + seen) * sizeof(float));
    }
    return BG_OK;
}

/* Units of channels so that rows of ffn_down still fit the formats that they fit now. */
static uint32_t unit_of(uint32_t n_ff)
{
    uint32_t block = n_ff % 256 == 0 ? 256 : n_ff % 32 == 0 ? 32 : 0;
    uint32_t blocks = block ? n_ff / block : 0;
    return block * ((blocks + MOST_LEVELS - 1) / MOST_LEVELS);
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
    if (s == BG_OK) p->n_ff = p->sizes->n_ff;
    if (s == BG_OK) p->unit = unit_of(p->n_ff);
    if (s == BG_OK && (!p->sizes->layers || !p->unit || p->n_ff > MOST_CHANNELS)) {
        bg_pruner_close(&p);
        return BG_OK;
    }
    if (s == BG_OK) {
        p->n_levels = (p->n_ff + p->unit - 1) / p->unit;
        s = reserve(p, err);
    }
    if (s == BG_OK) s = listen(p, tokens, n_tokens, isa, err);
    for (uint32_t l = 0; s == BG_OK && l < p->sizes->n_layer; l++) {
        s = rank_layer(p, l, err);
        bg_free(p->seen[l]);
        p->seen[l] = NULL;
    }
    if (s == BG_OK) *out = p;
    else bg_pruner_close(&p);
    return s;
}

void bg_pruner_close(bg_pruner **pruner)
{
    bg_pruner *p = *pruner;
    if (!p) return;
    for (uint32_t l = 0; p->sizes && l < p->sizes->n_layer; l++) {
        if (p->gram) bg_free(p->gram[l]);
        if (p->seen) bg_free(p->seen[l]);
        if (p->order) bg_free(p->order[l]);
    }
    bg_free(p->gram);
    bg_free(p->seen);
    bg_free(p->order);
    bg_recipe_free(&p->sizes);
    bg_free(p);
    *pruner = NULL;
}

/* ---- levels ------------------------------------------------------------------------------- */

static uint32_t kept_at(const bg_pruner *p, uint32_t level) { return p->n_ff - level * p->unit; }

static void flag_kept(const bg_pruner *p, uint32_t layer, uint32_t level, uint8_t *flags)
{
    memset(flags, 0, p->n_ff);
    for (uint32_t i = 0; i < kept_at(p, level); i++) flags[p->order[layer][i]] = 1;
}

bg_status bg_pruner_shape(const bg_pruner *p, const uint8_t *levels, bg_recipe *r, bg_error *err)
{
    uint8_t *flags = bg_alloc(p->n_ff, 1);
    bg_status s = flags ? BG_OK : bg_fail_nomem(err, "pruning", p->n_ff);
    for (uint32_t l = 0; s == BG_OK && l < r->n_layer; l++) {
        r->layers[l].dropped = levels[l] == BG_LAYER_DROPPED;
        flag_kept(p, l, r->layers[l].dropped ? 0 : levels[l], flags);
        s = bg_kept_set(&r->layers[l].ff, flags, p->n_ff, err);
    }
    bg_free(flags);
    return s;
}

/* What a dropped layer adds comes from attn_output and ffn_down. */
bool bg_pruner_affects(const bg_pruner *p, size_t tensor, uint8_t level)
{
    bg_cut c = bg_recipe_cut(p->sizes, bg_gguf_tensor_at(p->g, tensor)->name);
    if (c.axis == BG_CUT_NONE || level == 0) return false;
    return level == BG_LAYER_DROPPED ? c.axis == BG_CUT_COLUMNS : !c.heads;
}

uint64_t bg_pruner_bytes(const bg_pruner *p, size_t tensor, uint8_t level, uint64_t bytes)
{
    const char *name = bg_gguf_tensor_at(p->g, tensor)->name, *rest;
    bg_cut c = bg_recipe_cut(p->sizes, name);
    uint32_t layer;
    if (level == BG_LAYER_DROPPED && bg_recipe_layer_of(name, &layer, &rest)) return 0;
    return c.axis == BG_CUT_NONE || c.heads ? bytes : bytes / p->n_ff * kept_at(p, level);
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
    const bg_pruner *p;
    uint32_t layer, n_kept;
    const uint32_t *at;      /* kept channels */
    const double *factor;
    float *rows;             /* [rows][n_ff], of the source: becomes the kept columns */
    size_t n_rows;
    bool failed;
} fitting;

/* Row w of ffn_down loses some columns d; (G_kk)^-1 G_kd w_d on top of the kept ones w_k says the
 * most of what they said. */
static void fit_rows(void *user, int member, int size)
{
    fitting *f = user;
    size_t n_ff = f->p->n_ff, n = f->n_kept, begin, end;
    double *x = bg_alloc(n, sizeof *x);
    const float *gram = f->p->gram[f->layer];
    bg_team_share(f->n_rows, 1, member, size, &begin, &end);
    if (!x && begin < end) f->failed = true;
    for (size_t r = begin; x && r < end; r++) {
        float *w = f->rows + r * n_ff;
        for (size_t i = 0; i < n; i++) {
            const float *g = gram + (size_t)f->at[i] * n_ff;
            x[i] = 0;
            for (size_t j = 0, next = 0; j < n_ff; j++) {
                if (next < n && f->at[next] == j) next++;
                else x[i] += (double)g[j] * (double)w[j];
            }
        }
        solve(f->factor, n, x);
        for (size_t i = 0; i < n; i++) w[i] = w[f->at[i]] + (float)x[i]; /* at[i] >= i */
        memset(w + n, 0, (n_ff - n) * sizeof *w);
    }
    bg_free(x);
}

static bg_status compensate(bg_pruner *p, uint32_t layer, const bg_kept *kept, float *rows,
                            size_t n_rows, bg_error *err)
{
    size_t n = kept->n;
    double *a = bg_alloc(n * n, sizeof *a), mean = 0;
    fitting f = {.p = p, .layer = layer, .n_kept = kept->n, .at = kept->at, .factor = a,
                 .rows = rows, .n_rows = n_rows};
    if (!a) return bg_fail_nomem(err, "least squares", n * n * sizeof *a);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            a[i * n + j] = (double)p->gram[layer][(size_t)kept->at[i] * p->n_ff + kept->at[j]];
    for (size_t i = 0; i < n; i++) mean += a[i * n + i] / (double)n;
    for (size_t i = 0; i < n; i++) a[i * n + i] += 0.01 * mean + 1e-30;
    if (!factor(a, n)) f.failed = true;
    else bg_team_run(p->team, fit_rows, &f);
    bg_free(a);
    if (!f.failed) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(p->g), "the channels of layer %u cannot be made up "
                   "for: their activations are not finite", layer);
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

static void move_rows(float *rows, size_t k, size_t n_rows, const bg_kept *kept)
{
    for (size_t i = 0; i < kept->n; i++)
        memmove(rows + i * k, rows + kept->at[i] * k, k * sizeof *rows); /* at[i] >= i */
    memset(rows + kept->n * k, 0, (n_rows - kept->n) * k * sizeof *rows);
}

bg_status bg_pruner_rows(bg_pruner *p, size_t tensor, uint32_t level, float **rows, size_t *bytes,
                         float *importance, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(p->g, tensor);
    bg_cut c = bg_recipe_cut(p->sizes, t->name);
    uint8_t *flags = bg_alloc(p->n_ff, 1);
    bg_kept kept = {0};
    bg_status s = flags ? BG_OK : bg_fail_nomem(err, t->name, p->n_ff);
    *bytes = t->ne[0] * t->ne[1] * sizeof **rows;
    *rows = bg_alloc_large(*bytes);
    if (s == BG_OK && !*rows) s = bg_fail_nomem(err, t->name, *bytes);
    if (s == BG_OK && level != BG_LAYER_DROPPED) s = decode(t, *rows);
    if (s == BG_OK && level != BG_LAYER_DROPPED && level && !c.heads) {
        flag_kept(p, c.layer, level, flags);
        s = bg_kept_set(&kept, flags, p->n_ff, err);
        if (s == BG_OK && c.axis == BG_CUT_ROWS) move_rows(*rows, t->ne[0], t->ne[1], &kept);
        else if (s == BG_OK) s = compensate(p, c.layer, &kept, *rows, t->ne[1], err);
        for (size_t i = 0; importance && c.axis == BG_CUT_COLUMNS && i < p->n_ff; i++)
            importance[i] = i < kept.n ? importance[kept.at[i]] : 1;
    }
    bg_free(kept.at);
    bg_free(flags);
    if (s == BG_OK) return BG_OK;
    if (*rows) bg_free_large(*rows, *bytes);
    *rows = NULL;
    return s;
}

/* The columns that are kept, side by side. */
static void close_up(float *rows, size_t n_rows, size_t from, size_t to)
{
    for (size_t r = 0; r < n_rows; r++) memmove(rows + r * to, rows + r * from, to * sizeof *rows);
}

static bg_status finish(bg_pruner *p, const uint8_t *levels, const bg_importance *importance,
                        bg_image *image, bg_error *err)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(image->g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(p->g, image->source[i]);
        const float *given = bg_importance_find(importance, t->name, t->ne[0]);
        bg_cut c = bg_recipe_cut(p->sizes, t->name);
        float *rows, *weights = NULL;
        size_t bytes;
        bg_status s;
        if (c.axis != BG_CUT_COLUMNS || c.heads || levels[c.layer] == 0) continue;
        if (given) {
            weights = bg_alloc(t->ne[0], sizeof *weights);
            if (!weights) return bg_fail_nomem(err, t->name, t->ne[0] * sizeof *weights);
            memcpy(weights, given, t->ne[0] * sizeof *weights);
        }
        s = bg_pruner_rows(p, image->source[i], levels[c.layer], &rows, &bytes, weights, err);
        if (s == BG_OK) {
            close_up(rows, t->ne[1], t->ne[0], kept_at(p, levels[c.layer]));
            s = bg_image_encode(image, i, rows, weights, p->team, err);
            bg_free_large(rows, bytes);
        }
        bg_free(weights);
        BG_TRY(s);
    }
    return BG_OK;
}

bg_status bg_pruner_finish(bg_pruner *p, const uint8_t *levels, const bg_importance *importance,
                           bg_image *image, bg_error *err)
{
    bg_importance *estimate;
    bg_status s;
    if (importance) return finish(p, levels, importance, image, err);
    BG_TRY(bg_importance_estimate(&estimate, p->g, p->team, err));
    s = finish(p, levels, estimate, image, err);
    bg_importance_close(&estimate);
    return s;
}
