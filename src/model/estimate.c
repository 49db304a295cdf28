/* Importance told from the weights alone: means and variances go through the model in place of
 * tokens. Numbers of the residual stream have a mean and a variance over all tokens and are taken
 * as independent of one another, normal where that matters:
 *
 *   token_embd   mean and variance of each column over the vocabulary
 *   norm         x gain / rms, where rms^2 is the mean of mean^2 + variance
 *   matrix W     mean: W mean (and a bias); variance: W^2 variance, by squares of single weights
 *   attention    values keep their means; averaging over positions leaves a part of the variance
 *   FFN          f(gate) up, by moments of f over a normal gate, independent of up
 *   residual     means add, and variances
 *
 * The importance of a column is mean^2 + variance of what it multiplies, as in files made of
 * texts. */
#include "base/team.h"
#include "model/imatrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The part of the variance that averaging over positions leaves. */
static const float kept_variance = 0.3f;
/* A few hidden neurons of some models answer to the first token of a text by thousands of times
 * what others ever do, and here every token looks like a first one: squares over so many times the
 * median are cut. */
static const float most_of_median = 10;
/* Rows of the embedding that are looked at, evenly over the vocabulary. */
enum { EMBEDDING_ROWS = 4096 };

typedef struct moments { float *mean, *variance; } moments;

typedef struct estimate {
    const bg_gguf *g;
    const bg_architecture *a;
    bg_team *team;
    bg_importance *out;
    bg_status status;          /* of lists that could not grow */
    bg_error *err;
    float eps;
    size_t n;                  /* of the residual stream */
    moments stream, x, gate, up, y;
    float *gain, *rows;        /* decoded: a vector; a row for each member of the team */
    size_t widest;             /* room of all of these */
} estimate;

/* ---- parts of a file ----------------------------------------------------------------------- */

static bool decodable(const bg_tensor *t)
{
    return t->format != BG_FORMAT_NONE && t->data && t->ne[2] == 1 && t->ne[3] == 1;
}

static const bg_tensor *part(const estimate *e, int layer, const char *name, const char *kind)
{
    char whole[64];
    if (layer < 0) snprintf(whole, sizeof whole, "%s.%s", name, kind);
    else snprintf(whole, sizeof whole, "blk.%d.%s.%s", layer, name, kind);
    return bg_gguf_tensor_find(e->g, whole);
}

/* NULL when it is not there or its rows are not of k weights. */
static const bg_tensor *matrix(const estimate *e, int layer, const char *name, size_t k)
{
    const bg_tensor *t = part(e, layer, name, "weight");
    return t && decodable(t) && t->ne[0] == k ? t : NULL;
}

/* The n numbers of a vector into e->gain. */
static bool vector(const estimate *e, int layer, const char *name, const char *kind, size_t n)
{
    const bg_tensor *t = part(e, layer, name, kind);
    if (!t || !decodable(t) || t->ne[0] != n || t->ne[1] != 1) return false;
    bg_format_decode(bg_format_get(t->format), t->data, e->gain, n);
    return true;
}

/* The layer's own key-value heads, where they differ. */
static size_t kv_heads(const estimate *e, int layer)
{
    static const char *const keys[] = {"attention.head_count_kv", "attention.head_count"};
    for (size_t i = 0; i < BG_COUNT(keys); i++) {
        char key[64];
        const bg_gguf_value *v;
        int64_t n;
        snprintf(key, sizeof key, "%s.%s", e->a->name, keys[i]);
        v = bg_gguf_find(e->g, key);
        if (v && (bg_gguf_element_i64(v, (uint64_t)layer, &n) || bg_gguf_element_i64(v, 0, &n)))
            return n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* ---- moments ------------------------------------------------------------------------------- */

static float square(const moments *x, size_t i) { return x->mean[i] * x->mean[i] + x->variance[i]; }

typedef struct product {
    const estimate *e;
    const bg_tensor *t;
    size_t first, rows;
    const moments *x, *y;
} product;

static void multiply_some(void *user, int member, int size)
{
    const product *p = user;
    const bg_format_info *f = bg_format_get(p->t->format);
    size_t k = p->t->ne[0], bytes = bg_format_row_bytes(f, k), begin, end;
    float *row = p->e->rows + (size_t)member * p->e->widest;
    const uint8_t *data = (const uint8_t *)p->t->data + p->first * bytes;
    bg_team_share(p->rows, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        bg_format_decode(f, data + i * bytes, row, k);
        bg_format_moments(row, p->x->mean, p->x->variance, k, &p->y->mean[i],
                          &p->y->variance[i]);
    }
    bg_gguf_release(p->e->g, data + begin * bytes, (end - begin) * bytes);
}

/* y: of `rows` rows of a matrix with x. */
static void multiply(const estimate *e, const bg_tensor *t, size_t first, size_t rows,
                     const moments *x, const moments *y)
{
    product p = {e, t, first, rows, x, y};
    bg_team_run(e->team, multiply_some, &p);
}

static void add_bias(const estimate *e, int layer, const char *name, const moments *y, size_t n)
{
    if (!vector(e, layer, name, "bias", n)) return;
    for (size_t i = 0; i < n; i++) y->mean[i] += e->gain[i];
}

/* `to` may be `from`. False without the norm's gain. */
static bool normalise(const estimate *e, int layer, const char *name, const moments *from,
                      const moments *to)
{
    double squares = 0;
    float scale;
    if (!vector(e, layer, name, "weight", e->n)) return false;
    for (size_t i = 0; i < e->n; i++)
        squares += (double)square(from, i);
    scale = (float)(1 / sqrt(squares / (double)e->n + (double)e->eps));
    for (size_t i = 0; i < e->n; i++) {
        float s = e->gain[i] * scale;
        to->mean[i] = from->mean[i] * s;
        to->variance[i] = from->variance[i] * s * s;
    }
    return true;
}

/* Adds y to the stream, behind a norm of its own where there is one. */
static void add_residual(const estimate *e, int layer, const char *norm)
{
    normalise(e, layer, norm, &e->y, &e->y);
    for (size_t i = 0; i < e->n; i++) {
        e->stream.mean[i] += e->y.mean[i];
        e->stream.variance[i] += e->y.variance[i];
    }
}

static int by_value(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void cut_outliers(const estimate *e, const moments *x, size_t n)
{
    float most;
    for (size_t i = 0; i < n; i++) e->gain[i] = square(x, i);
    qsort(e->gain, n, sizeof *e->gain, by_value);
    most = most_of_median * e->gain[n / 2];
    for (size_t i = 0; i < n; i++) {
        float part = most / square(x, i);
        if (!(part < 1)) continue;
        x->mean[i] *= sqrtf(part);
        x->variance[i] *= part;
    }
}

/* The importance of what reads x. False when it cannot be told. */
static bool note(estimate *e, const bg_tensor *t, const moments *x)
{
    size_t n = t->ne[0];
    bg_importance_entry *entry;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(square(x, i))) return false;
    e->status = bg_importance_append(e->out, t->name, strlen(t->name), n, 1, &entry, e->err);
    if (e->status != BG_OK) return false;
    entry->counts[0] = 1;
    for (size_t i = 0; i < n; i++) entry->values[i] = square(x, i);
    return true;
}

/* ---- parts of a model ---------------------------------------------------------------------- */

static void begin_stream(const estimate *e, const bg_tensor *embedding)
{
    const bg_format_info *f = bg_format_get(embedding->format);
    size_t step = BG_MAX(embedding->ne[1] / EMBEDDING_ROWS, (uint64_t)1), rows = 0;
    size_t bytes = bg_format_row_bytes(f, e->n);
    for (size_t r = 0; r < embedding->ne[1]; r += step, rows++) {
        bg_format_decode(f, (const uint8_t *)embedding->data + r * bytes, e->rows, e->n);
        for (size_t i = 0; i < e->n; i++) {
            e->stream.mean[i] += e->rows[i];
            e->stream.variance[i] += e->rows[i] * e->rows[i];
        }
    }
    for (size_t i = 0; i < e->n; i++) {
        float scale = e->a->scales_embedding ? sqrtf((float)e->n) : 1;
        float mean = e->stream.mean[i] / (float)rows, both = e->stream.variance[i] / (float)rows;
        e->stream.mean[i] = scale * mean;
        e->stream.variance[i] = scale * scale * BG_MAX(both - mean * mean, 0.0f);
    }
}

/* Each query head has the values of its key-value head. */
static bool spread_heads(const estimate *e, int layer, size_t values, size_t n)
{
    size_t heads = kv_heads(e, layer), size = heads ? values / heads : 0;
    if (!size || values % heads || n % values) return false;
    for (size_t i = 0; i < n; i++) {
        size_t from = i / size / (n / values) * size + i % size;
        e->x.mean[i] = e->y.mean[from];
        e->x.variance[i] = e->y.variance[from] * kept_variance;
    }
    return true;
}

static bool attention(estimate *e, int layer)
{
    static const char *const readers[] = {"attn_q", "attn_k", "attn_v", "attn_qkv"};
    const bg_tensor *out = part(e, layer, "attn_output", "weight"), *values;
    size_t n = out && decodable(out) && out->ne[1] == e->n ? out->ne[0] : 0, rows;
    if (!n || !normalise(e, layer, "attn_norm", &e->stream, &e->x)) return false;
    for (size_t i = 0; i < BG_COUNT(readers); i++) {
        const bg_tensor *t = matrix(e, layer, readers[i], e->n);
        if (t && !note(e, t, &e->x)) return false;
    }
    values = matrix(e, layer, "attn_v", e->n);
    rows = values ? values->ne[1] : 0;
    if (!values) { /* behind queries and keys in one matrix */
        values = matrix(e, layer, "attn_qkv", e->n);
        rows = values && values->ne[1] > n ? (values->ne[1] - n) / 2 : 0;
    }
    if (!rows || rows > n) return false;
    multiply(e, values, values->ne[1] - rows, rows, &e->x, &e->y);
    add_bias(e, layer, "attn_v", &e->y, rows);
    if (!spread_heads(e, layer, rows, n) || !note(e, out, &e->x)) return false;
    multiply(e, out, 0, e->n, &e->x, &e->y);
    add_bias(e, layer, "attn_output", &e->y, e->n);
    add_residual(e, layer, "post_attention_norm");
    return true;
}

/* Means of f(g) and of its square over a normal g, by Gauss-Hermite quadrature. */
static void activate(bool gelu, float mean, float variance, float *first, float *second)
{
    static const struct { float at, weight; } nodes[] = {
        {0, 0.406349206f}, {1.023255663f, 0.244097503f}, {2.076847978f, 0.049916406f},
        {3.205429002f, 0.00278914127f}, {4.512745863f, 2.23458440e-5f},
    };
    float sigma = sqrtf(variance);
    *first = *second = 0;
    for (int i = 1 - (int)BG_COUNT(nodes); i < (int)BG_COUNT(nodes); i++) {
        float g = mean + sigma * (i < 0 ? -nodes[-i].at : nodes[i].at), y;
        if (gelu) y = g * 0.5f * (1 + tanhf(0.79788456f * (g + 0.044715f * g * g * g)));
        else y = g / (1 + expf(-g));
        *first += nodes[BG_MAX(i, -i)].weight * y;
        *second += nodes[BG_MAX(i, -i)].weight * y * y;
    }
}

static bool feed_forward(estimate *e, int layer)
{
    const bg_tensor *gate = matrix(e, layer, "ffn_gate", e->n);
    const bg_tensor *up = matrix(e, layer, "ffn_up", e->n);
    const bg_tensor *down = part(e, layer, "ffn_down", "weight");
    size_t n = down && decodable(down) && down->ne[1] == e->n ? down->ne[0] : 0;
    if (!up || !n || !normalise(e, layer, "ffn_norm", &e->stream, &e->x)) return false;
    if (up->ne[1] != (gate ? n : 2 * n) || (gate && gate->ne[1] != n)) return false;
    if (gate && !note(e, gate, &e->x)) return false;
    if (!note(e, up, &e->x)) return false;
    multiply(e, gate ? gate : up, 0, n, &e->x, &e->gate);
    multiply(e, up, gate ? 0 : n, n, &e->x, &e->up);
    if (gate) add_bias(e, layer, "ffn_gate", &e->gate, n);
    if (gate) add_bias(e, layer, "ffn_up", &e->up, n);
    for (size_t i = 0; i < n; i++) {
        float first, second, mean = e->up.mean[i];
        activate(e->a->gelu, e->gate.mean[i], e->gate.variance[i], &first, &second);
        second *= mean * mean + e->up.variance[i];
        e->x.mean[i] = first * mean;
        e->x.variance[i] = BG_MAX(second - e->x.mean[i] * e->x.mean[i], 0.0f);
    }
    cut_outliers(e, &e->x, n);
    if (!note(e, down, &e->x)) return false;
    multiply(e, down, 0, e->n, &e->x, &e->y);
    add_bias(e, layer, "ffn_down", &e->y, e->n);
    add_residual(e, layer, "post_ffw_norm");
    return true;
}

static void walk(estimate *e)
{
    const bg_tensor *embedding = bg_gguf_tensor_find(e->g, "token_embd.weight"), *output;
    int layers = (int)bg_scheme_facts(e->g).n_layer;
    begin_stream(e, embedding);
    for (int l = 0; l < layers; l++)
        if (!attention(e, l) || !feed_forward(e, l)) return;
    output = matrix(e, -1, "output", e->n);
    if (normalise(e, -1, "output_norm", &e->stream, &e->x))
        note(e, output ? output : embedding, &e->x);
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* All architectures that the forward pass knows are made of the parts above. */
static const bg_architecture *architecture_of(const bg_gguf *g)
{
    bg_gguf_string name;
    char text[32];
    if (!bg_gguf_get_string(g, "general.architecture", &name)) return NULL;
    snprintf(text, sizeof text, "%.*s", (int)BG_MIN(name.length, sizeof text), name.data);
    return bg_architecture_find(text);
}

static float epsilon_of(const bg_gguf *g, const bg_architecture *a)
{
    char key[64];
    double eps = 1e-5;
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", a->name);
    bg_gguf_get_f64(g, key, &eps);
    return (float)eps;
}

static bg_status make_room(estimate *e)
{
    moments *all[] = {&e->stream, &e->x, &e->gate, &e->up, &e->y};
    size_t members = (size_t)bg_team_size(e->team), bytes;
    for (size_t i = 0; i < bg_gguf_tensor_count(e->g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(e->g, i);
        if (decodable(t) && strncmp(t->name, "blk.", 4) == 0)
            e->widest = BG_MAX(e->widest, BG_MAX(t->ne[0], t->ne[1]));
    }
    e->widest = BG_MAX(e->widest, e->n);
    if (__builtin_mul_overflow(e->widest, sizeof(float), &bytes)) bytes = SIZE_MAX;
    for (size_t i = 0; i < BG_COUNT(all); i++) {
        all[i]->mean = bg_alloc(e->widest, sizeof(float));
        all[i]->variance = bg_alloc(e->widest, sizeof(float));
        if (!all[i]->mean || !all[i]->variance)
            return bg_fail_nomem(e->err, "the weights' importance", bytes);
    }
    e->gain = bg_alloc(e->widest, sizeof(float));
    e->rows = bg_alloc(e->widest, members * sizeof(float));
    if (e->gain && e->rows) return BG_OK;
    return bg_fail_nomem(e->err, "the weights' importance", bytes);
}

static void free_room(estimate *e)
{
    moments *all[] = {&e->stream, &e->x, &e->gate, &e->up, &e->y};
    for (size_t i = 0; i < BG_COUNT(all); i++) {
        bg_free(all[i]->mean);
        bg_free(all[i]->variance);
    }
    bg_free(e->gain);
    bg_free(e->rows);
}

bg_status bg_importance_estimate(bg_importance **out, const bg_gguf *g, bg_team *team,
                                 bg_error *err)
{
    estimate e = {.g = g, .a = architecture_of(g), .team = team, .err = err};
    const bg_tensor *embedding = bg_gguf_tensor_find(g, "token_embd.weight");
    BG_TRY(bg_importance_alloc(out, NULL, err));
    if (!e.a || !embedding || !decodable(embedding)) return BG_OK;
    e.eps = epsilon_of(g, e.a);
    e.n = embedding->ne[0];
    e.out = *out;
    bg_encoders_choose();
    e.status = make_room(&e);
    if (e.status == BG_OK) walk(&e);
    if (e.status == BG_OK) e.status = bg_importance_sort(*out, err);
    free_room(&e);
    if (e.status != BG_OK) bg_importance_close(out);
    return e.status;
}
