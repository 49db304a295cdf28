/* Error feedback in the order of the layers: what each matrix reads, after all that comes before it
 * has been rounded, decides how it is rounded itself. */
#include "base/base.h"
#include "base/team.h"
#include "formats/search.h"
#include "search/layers.h"
#include "search/prune.h"
#include "search/recipe.h"
#include "search/second_order.h"

#include "bitgauge/search.h"

#include <string.h>

enum { MAX_CTX = 512, FEWEST_WINDOWS = 32, MOST_WINDOWS = 128 };
#define LEAST_MEMORY ((size_t)64 << 20)
static const double DAMPING = 0.01;
static const double HEARING = 0.1; /* of the time, what a pruner takes to hear the text */

/* Matrices of a layer that read the same, and the residual stream that they add to: what comes of
 * it is to be what it is in the whole model, unless their sum is normalised first. */
typedef enum stream { NONE, BEFORE, MIDDLE } stream;
typedef struct group { bg_matrix_id ids[3]; size_t n; stream adds_to; } group;
static const group groups[] = {
    {{BG_W_Q, BG_W_K, BG_W_V}, 3, NONE}, {{BG_W_OUT}, 1, BEFORE},
    {{BG_W_GATE, BG_W_UP}, 2, NONE}, {{BG_W_DOWN}, 1, MIDDLE},
};

/* A model on its way through the layers. */
typedef struct runner {
    bg_layers layers;
    const bg_tensor *watched;
    float *middle;           /* [n_ctx][n_embd] of a window, within the layer */
    float *seen;             /* [n_ctx][k] what the watched matrix reads in a window */
} runner;

typedef struct feedback {
    bg_image *image;
    const bg_model *source;
    const bg_recipe *recipe; /* that prunes; NULL: the image has the source's shapes */
    bg_pruner *pruner;       /* what makes up for what it prunes; NULL: nothing */
    uint32_t *places;        /* [n_layer + 1] of the image's layers in the source; NULL: the same */
    const bg_feedback_options *o;
    bg_model *model;         /* the image's */
    const bg_grad_ops *ops;
    runner own, meant;       /* the image's model, and the source, which it is to be like */
    uint32_t at;             /* the layer of the source before which its streams are */
    bg_passages windows;
    uint64_t steps, done;
    float *off;              /* [n_ctx][n_embd] how far the stream of a window is off */
    float *turned;           /* [k][n_embd] the matrix that adds to it, negative and turned */
} feedback;

static void see(void *user, int member, const bg_tensor *t, size_t column, const float *x,
                size_t first, size_t n)
{
    runner *r = user;
    (void)member;
    if (t == r->watched) memcpy(r->seen + column * t->ne[0] + first, x, n * sizeof *x);
}

static void runner_close(runner *r)
{
    bg_layers_close(&r->layers);
    bg_free(r->middle);
    bg_free(r->seen);
}

static void feedback_close(feedback *f)
{
    runner_close(&f->own);
    runner_close(&f->meant);
    bg_free(f->windows.tokens);
    bg_free(f->off);
    bg_free(f->turned);
    bg_free(f->places);
    bg_model_close(&f->model);
}

/* As many as a quarter of the model's bytes holds of what two models' layers give, for a small one
 * somewhat more. */
static uint64_t default_windows(const bg_model *m)
{
    size_t window = (size_t)2 * MAX_CTX * bg_half_row(m->h.n_embd) * sizeof(uint16_t);
    size_t memory = BG_MAX(m->weight_bytes / 4, LEAST_MEMORY);
    return BG_MIN(BG_MAX(memory / window, (size_t)FEWEST_WINDOWS), (size_t)MOST_WINDOWS);
}

static bg_status runner_open(runner *r, const feedback *f, const bg_model *m, bg_error *err)
{
    size_t n_ctx = f->windows.n_ctx, widest = m->h.n_embd;
    for (size_t i = 0; i < m->n_tensors; i++) widest = BG_MAX(widest, (size_t)m->tensors[i].ne[0]);
    r->middle = bg_alloc(n_ctx * m->h.n_embd, sizeof *r->middle);
    r->seen = bg_alloc(n_ctx * widest, sizeof *r->seen);
    if (!r->middle || !r->seen)
        return bg_fail_nomem(err, "what the layers read", n_ctx * widest * sizeof *r->seen);
    return bg_layers_open(&r->layers, m, &f->windows, f->o->isa, f->o->team, err);
}

static uint32_t place_of(const feedback *f, uint32_t layer)
{
    return f->places ? f->places[layer] : layer;
}

static bg_status feedback_open(feedback *f, const int32_t *tokens, size_t n, bg_error *err)
{
    uint64_t most = f->o->max_windows ? f->o->max_windows : default_windows(f->source);
    uint32_t n_ctx = BG_MIN(f->o->n_ctx ? f->o->n_ctx : MAX_CTX, (uint32_t)MAX_CTX);
    BG_TRY(bg_model_open_memory(&f->model, f->image->data, f->image->bytes,
                                bg_gguf_path(f->image->g), err));
    if (place_of(f, f->model->h.n_layer) != f->source->h.n_layer ||
        f->source->h.n_embd != f->model->h.n_embd)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(f->source->gguf),
                       "has not the layers of the image");
    BG_TRY(bg_passages_take(&f->windows, f->model, tokens, n, most, n_ctx, err));
    f->off = bg_alloc((size_t)n_ctx * f->model->h.n_embd, sizeof *f->off);
    if (!f->off) return bg_fail_nomem(err, "error feedback", n_ctx);
    f->ops = bg_grad_ops_get(f->o->isa);
    BG_TRY(runner_open(&f->own, f, f->model, err));
    return runner_open(&f->meant, f, f->source, err);
}

/* Sees what a matrix of a layer reads in a window (the output: first is n_layer, end 0), and the
 * stream in the middle of the layer. */
static bg_status watch(runner *r, uint64_t window, uint32_t first, uint32_t end,
                       const bg_tensor *watched, bg_error *err)
{
    const bg_observer observer = {see, r};
    r->watched = watched;
    return bg_layers_run(&r->layers, window, &(bg_layers_pass){
        .first = first, .end = end, .observer = &observer, .until = watched, .middle = r->middle}, err);
}

static void subtract(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = a[i] - b[i];
}

/* off -= what w makes of what it reads. */
static void take_product(void *user, int member, int size)
{
    feedback *f = user;
    size_t n = f->model->h.n_embd, k = f->own.watched->ne[0], begin, end;
    bg_team_share(f->windows.n_ctx, 16, member, size, &begin, &end);
    if (begin < end)
        f->ops->multiply(&(bg_product){.m = end - begin, .n = n, .k = k, .a = f->own.seen + begin * k,
                                       .a_m = k, .a_k = 1, .b = f->turned, .b_k = n,
                                       .c = f->off + begin * n, .c_m = n, .add = true});
}

/* What a matrix has to add, on top of what it and its bias give, to the stream of a window. */
static void find_off(feedback *f, uint64_t window, uint32_t layer, stream adds_to)
{
    const bg_layer *l = &f->model->layers[layer];
    const float *bias = l->bias_f32[adds_to == BEFORE ? BG_W_OUT : BG_W_DOWN];
    size_t n = f->model->h.n_embd;
    for (size_t i = 0; i < f->windows.n_ctx; i++) {
        float *meant = f->meant.middle + i * n, *own = f->own.middle + i * n;
        if (adds_to == BEFORE) bg_half_row_get(bg_layers_stream(&f->own.layers, window, i), own, n);
        else bg_half_row_get(bg_layers_stream(&f->meant.layers, window, i), meant, n);
    }
    subtract(f->off, f->meant.middle, f->own.middle, f->windows.n_ctx * n);
    for (size_t i = 0; bias && i < f->windows.n_ctx; i++)
        subtract(f->off + i * n, f->off + i * n, bias, n);
    bg_team_run(f->o->team, take_product, f);
}

/* What a matrix reads in all windows, in the image's model and in the one that is meant. */
static bg_status observe(feedback *f, const bg_tensor *own, const bg_tensor *meant, uint32_t first,
                         uint32_t end, stream adds_to, bg_second_order *second, bg_error *err)
{
    bool same = meant->ne[0] == own->ne[0]; /* else it reads what is left of that */
    uint32_t place = place_of(f, first);
    for (uint64_t w = 0; w < f->windows.n; w++) {
        BG_TRY(watch(&f->own, w, first, end, own, err));
        if (adds_to != MIDDLE) BG_TRY(watch(&f->meant, w, place, end ? place + 1 : 0, meant, err));
        if (adds_to != NONE) find_off(f, w, first, adds_to);
        else if (same)
            subtract(f->meant.seen, f->meant.seen, f->own.seen, f->windows.n_ctx * own->ne[0]);
        bg_second_add(second, f->own.seen, same ? f->meant.seen : NULL,
                      adds_to == NONE ? NULL : f->off, f->windows.n_ctx);
    }
    return BG_OK;
}

static bool has_grid(const bg_tensor *t) { return bg_codec_of(t->format) != NULL; }

/* Rows that a matrix is rounded from: those of the source, or what is left of them. */
typedef struct meant_rows {
    const bg_tensor *t;      /* of the source */
    const bg_format_info *format;
    const void *data;
    float *made;
    size_t bytes;
} meant_rows;

static void let_go(const feedback *f, meant_rows *m)
{
    if (m->t) bg_gguf_release(f->source->gguf, m->t->data, m->t->bytes);
    bg_free_large(m->made, m->bytes);
}

static bg_status get_rows(const feedback *f, const bg_tensor *own, const bg_tensor *t, meant_rows *m,
                          bg_error *err)
{
    uint64_t ne[2] = {t->ne[0], t->ne[1]};
    *m = (meant_rows){.t = t, .format = bg_format_get((int)t->format), .data = t->data};
    if (f->recipe && t->data) {
        bg_cut c = bg_recipe_cut(f->recipe, t->name);
        BG_TRY(bg_pruner_kept(f->pruner, f->recipe, t, &m->made, &m->bytes, NULL, err));
        if (m->made) ne[c.axis == BG_CUT_ROWS] = (uint64_t)c.kept->n * c.unit;
    }
    if (m->made) {
        m->format = bg_format_get(BG_FORMAT_F32);
        m->data = m->made;
    }
    if (m->data && ne[0] == own->ne[0] && ne[1] == own->ne[1]) return BG_OK;
    let_go(f, m);
    return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(f->source->gguf),
                   "tensor %s is not there in the shape of the image", own->name);
}

/* Of what is off by then, a matrix of k columns is to make good so much: a fit to few tokens
 * explains them by chance. From four tokens a column on it begins to help. */
static float share_of(const feedback *f, size_t k)
{
    double tokens = (double)f->windows.n * f->windows.n_ctx;
    return (float)BG_MAX(1 - 4 * (double)k / tokens, 0);
}

/* Rounds a matrix, where it lies in the image. */
static bg_status round_matrix(const feedback *f, const bg_second_order *second, const bg_tensor *t,
                              const bg_tensor *from, bg_error *err)
{
    const bg_format_info *format = bg_format_get((int)t->format);
    meant_rows m;
    bg_status s;
    BG_TRY(get_rows(f, t, from, &m, err));
    s = bg_second_round(second, share_of(f, t->ne[0]), m.format, m.data, format,
                        (void *)(uintptr_t)t->data, t->ne[1], err);
    let_go(f, &m);
    return s;
}

static bg_status step_done(feedback *f, bg_error *err)
{
    f->done++;
    if (!f->o->progress || f->o->progress(f->o->user, (double)f->done / (double)f->steps))
        return BG_OK;
    return bg_fail(err, BG_ERR_INTERRUPTED, bg_gguf_path(f->source->gguf), "stopped before the end");
}

/* Weights of the matrix that adds to the stream. */
static bg_status turn(feedback *f, const bg_tensor *own, const bg_tensor *from, bg_error *err)
{
    size_t k = own->ne[0], rows = own->ne[1], bytes;
    float *row = bg_alloc(k, sizeof *row);
    meant_rows m;
    bg_status s;
    bg_free(f->turned);
    f->turned = bg_alloc(k * rows, sizeof *f->turned);
    s = row && f->turned ? get_rows(f, own, from, &m, err)
                         : bg_fail_nomem(err, own->name, k * rows * sizeof *row);
    for (size_t r = 0; s == BG_OK && r < rows; r++) {
        bytes = bg_format_row_bytes(m.format, k);
        bg_format_decode(m.format, (const uint8_t *)m.data + r * bytes, row, k);
        for (size_t i = 0; i < k; i++) f->turned[i * rows + r] = -row[i];
    }
    if (s == BG_OK) let_go(f, &m);
    bg_free(row);
    return s;
}

/* The stream of the model that is meant, up to before its layer `end`. */
static bg_status move_meant(feedback *f, uint32_t end, bg_error *err)
{
    for (; f->at < end; f->at++) {
        bg_layers_pass pass = {.first = f->at, .end = f->at + 1, .keeps = true, .place = f->at + 1};
        BG_TRY(bg_layers_take(&f->meant.layers, f->at, err));
        for (uint64_t w = 0; w < f->windows.n; w++)
            BG_TRY(bg_layers_run(&f->meant.layers, w, &pass, err));
    }
    return BG_OK;
}

/* n matrices that read the same, and those of the source: of layer `first`, or, when that is
 * n_layer, the output. `meant` is watched in the source. */
static bg_status round_group(feedback *f, const bg_tensor *const *matrices,
                             const bg_tensor *const *from, size_t n, const bg_tensor *meant,
                             stream adds_to, uint32_t first, uint32_t end, bg_error *err)
{
    bg_second_order second;
    bg_status s;
    bool any = false;
    for (size_t i = 0; i < n; i++) any |= has_grid(matrices[i]);
    if (!any) return step_done(f, err);
    if (adds_to != NONE) BG_TRY(turn(f, matrices[0], from[0], err));
    BG_TRY(bg_second_open(&second, matrices[0]->ne[0], adds_to == NONE ? 0 : f->model->h.n_embd,
                          f->o->isa, f->o->team, err));
    s = observe(f, matrices[0], meant, first, end, adds_to, &second, err);
    if (s == BG_OK)
        s = bg_second_factor(&second, f->o->damping > 0 ? f->o->damping : DAMPING, err);
    for (size_t i = 0; s == BG_OK && i < n; i++)
        if (has_grid(matrices[i])) s = round_matrix(f, &second, matrices[i], from[i], err);
    bg_second_close(&second);
    return s == BG_OK ? step_done(f, err) : s;
}

/* What adds to the stream is to make it what it is at the next layer's place in the model that is
 * meant; of its attention, what it is after that, which the next matrix is watched for. */
static bg_status round_layer(feedback *f, uint32_t l, bg_error *err)
{
    const bg_layer *layer = &f->model->layers[l];
    const bg_layer *meant = &f->meant.layers.model->layers[place_of(f, l)];
    const bg_layers_pass pass = {.first = l, .end = l + 1, .keeps = true, .place = l + 1};
    bool normalised = layer->v[BG_V_ATTN_POST_NORM] || layer->v[BG_V_FFN_POST_NORM];
    BG_TRY(bg_layers_take(&f->own.layers, l, err));
    BG_TRY(move_meant(f, place_of(f, l), err));
    BG_TRY(bg_layers_take(&f->meant.layers, place_of(f, l), err));
    for (const group *g = groups; g < groups + BG_COUNT(groups); g++) {
        const bg_tensor *matrices[BG_COUNT(g->ids)], *from[BG_COUNT(g->ids)];
        stream adds_to = normalised ? NONE : g->adds_to;
        for (size_t i = 0; i < g->n; i++) {
            matrices[i] = layer->w[g->ids[i]];
            from[i] = meant->w[g->ids[i]];
        }
        if (adds_to == MIDDLE) BG_TRY(move_meant(f, place_of(f, l + 1), err));
        BG_TRY(round_group(f, matrices, from, g->n, adds_to == BEFORE ? meant->w[BG_W_GATE] : from[0],
                           adds_to, l, l + 1, err));
        for (size_t i = 0; i < g->n; i++) BG_TRY(bg_layers_pack(&f->own.layers, l, g->ids[i], err));
    }
    BG_TRY(move_meant(f, place_of(f, l + 1), err));
    for (uint64_t w = 0; w < f->windows.n; w++) BG_TRY(bg_layers_run(&f->own.layers, w, &pass, err));
    return step_done(f, err);
}

/* The embedding of all windows. */
static bg_status begin(feedback *f, bg_error *err)
{
    const bg_layers_pass pass = {.first = 0, .end = 1, .keeps = true, .place = 0};
    bg_layers *both[] = {&f->own.layers, &f->meant.layers};
    for (size_t i = 0; i < BG_COUNT(both); i++) {
        BG_TRY(bg_layers_take(both[i], 0, err));
        for (uint64_t w = 0; w < f->windows.n; w++) BG_TRY(bg_layers_run(both[i], w, &pass, err));
    }
    return BG_OK;
}

static bg_status run(feedback *f, const int32_t *tokens, size_t n_tokens, bg_error *err)
{
    const bg_tensor *output = f->source->output;
    bg_status s = feedback_open(f, tokens, n_tokens, err);
    if (s == BG_OK) s = begin(f, err);
    if (s == BG_OK) f->steps = (uint64_t)f->model->h.n_layer * (BG_COUNT(groups) + 1) + 1;
    for (uint32_t l = 0; s == BG_OK && l < f->model->h.n_layer; l++) s = round_layer(f, l, err);
    /* One that is the embedding too is left as it is: every layer has read it. */
    if (s == BG_OK && f->model->output != f->model->token_embd)
        s = round_group(f, &f->model->output, &output, 1, output, NONE, f->model->h.n_layer, 0, err);
    feedback_close(f);
    return s;
}

bg_status bg_feedback(bg_image *image, const bg_model *source, const int32_t *tokens, size_t n_tokens,
                      const bg_feedback_options *o, bg_error *err)
{
    feedback f = {.image = image, .source = source, .o = o};
    return run(&f, tokens, n_tokens, err);
}

/* ---- of recipes --------------------------------------------------------------------------- */

bg_status bg_pruner_feedback(bg_pruner *p, const bg_recipe *r, bg_image *image,
                             const bg_model *source, const int32_t *tokens, size_t n_tokens,
                             const bg_feedback_options *o, bg_error *err)
{
    feedback f = {.image = image, .source = source, .recipe = r, .pruner = p, .o = o};
    uint32_t n = 0;
    if (!bg_recipe_pruned(r)) return bg_feedback(image, source, tokens, n_tokens, o, err);
    f.places = bg_alloc((size_t)r->n_layer + 1, sizeof *f.places);
    if (!f.places) return bg_fail_nomem(err, "layers", r->n_layer * sizeof *f.places);
    for (uint32_t l = 0; l < r->n_layer; l++)
        if (!r->layers[l].dropped) f.places[n++] = l;
    f.places[n] = r->n_layer;
    return run(&f, tokens, n_tokens, err);
}

/* Of the whole progress. */
typedef struct part { const bg_feedback_options *o; double from, to; } part;

static bool show_part(void *user, double fraction)
{
    const part *p = user;
    return p->o->progress(p->o->user, p->from + fraction * (p->to - p->from));
}

bg_status bg_recipe_finish(bg_image *image, const bg_recipe *r, const bg_model *source,
                           const int32_t *tokens, size_t n_tokens, const bg_importance *importance,
                           bool feed_back, const bg_feedback_options *o, bg_error *err)
{
    bool pruned = bg_recipe_pruned(r);
    part first = {o, 0, feed_back ? HEARING : 1}, then = {o, pruned ? HEARING : 0, 1};
    bg_feedback_options parts[] = {*o, *o};
    bg_pruner *p = NULL;
    bg_status s = BG_OK;
    if (o->progress) parts[0].progress = parts[1].progress = show_part;
    parts[0].user = &first;
    parts[1].user = &then;
    if (pruned) s = bg_pruner_open(&p, source, tokens, n_tokens, &parts[0], err);
    if (s == BG_OK && p) s = bg_pruner_finish(p, r, importance, image, err);
    if (s == BG_OK && feed_back)
        s = bg_pruner_feedback(p, r, image, source, tokens, n_tokens, &parts[1], err);
    bg_pruner_close(&p);
    return s;
}
