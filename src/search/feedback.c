/* Error feedback in the order of the layers: what each matrix reads, after all that comes before it
 * has been rounded, decides how it is rounded itself. */
#include "base/base.h"
#include "base/team.h"
#include "formats/search.h"
#include "model/model.h"
#include "search/second_order.h"

#include "bitgauge/search.h"

#include <string.h>

enum { MAX_CTX = 512, FEWEST_WINDOWS = 32, MOST_WINDOWS = 128 };
#define LEAST_MEMORY ((size_t)64 << 20)
static const double DAMPING = 0.01;

/* Matrices of a layer that read the same, and the residual stream that they add to: what it is off
 * by then is theirs to make good, unless their sum is normalised first. */
typedef enum stream { NONE, BEFORE, MIDDLE } stream;
typedef struct group { bg_matrix_id ids[3]; size_t n; stream adds_to; } group;
static const group groups[] = {
    {{BG_W_Q, BG_W_K, BG_W_V}, 3, NONE}, {{BG_W_OUT}, 1, BEFORE},
    {{BG_W_GATE, BG_W_UP}, 2, NONE}, {{BG_W_DOWN}, 1, MIDDLE},
};

/* A model on its way through the layers. */
typedef struct runner {
    const bg_model *model;
    bg_session *session;
    const bg_tensor *watched;
    size_t streams_bytes;
    void *packed[BG_W_COUNT]; /* the matrices of the layer that is run, as the session has them */
    size_t packed_bytes[BG_W_COUNT];
    uint16_t *streams;       /* [windows][n_ctx] half rows of n_embd before the layer */
    float *middle;           /* [n_ctx][n_embd] of a window, within the layer */
    float *seen;             /* [n_ctx][k] what the watched matrix reads in a window */
    void **keep;             /* [n_layer + 1] for bg_resume, NULL but for one, */
    float **middles;         /* and so are these */
} runner;

typedef struct feedback {
    bg_image *image;
    const bg_model *source;
    const bg_feedback_options *o;
    bg_model *model;         /* the image's */
    runner own, meant;       /* the image's model and the source */
    uint32_t n_ctx;
    uint64_t windows, steps, done;
    int32_t *tokens;         /* [windows][n_ctx] */
    uint8_t *want;
    float *off;              /* [n_ctx][n_embd] how far the stream of a window is off */
} feedback;

static void see(void *user, int member, const bg_tensor *t, size_t column, const float *x,
                size_t first, size_t n)
{
    runner *r = user;
    (void)member;
    if (t == r->watched) memcpy(r->seen + column * t->ne[0] + first, x, n * sizeof *x);
}

static void drop_layer(runner *r)
{
    for (size_t w = 0; w < BG_W_COUNT; w++) {
        bg_free_large(r->packed[w], r->packed_bytes[w]);
        r->packed[w] = NULL;
    }
}

static void runner_close(runner *r)
{
    bg_session_close(&r->session);
    drop_layer(r);
    bg_free_large(r->streams, r->streams_bytes);
    bg_free(r->middle);
    bg_free(r->seen);
    bg_free(r->keep);
    bg_free(r->middles);
}

static void feedback_close(feedback *f)
{
    runner_close(&f->own);
    runner_close(&f->meant);
    bg_free(f->tokens);
    bg_free(f->want);
    bg_free(f->off);
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

static bg_status take_tokens(feedback *f, const int32_t *tokens, size_t n, bg_error *err)
{
    const bg_tokenizer *t = bg_model_tokenizer(f->model);
    int32_t bos = bg_tokenizer_adds_bos(t) ? bg_tokenizer_bos(t) : -1;
    uint64_t most = f->o->max_windows ? f->o->max_windows : default_windows(f->source), all, step;
    f->n_ctx = BG_MIN(f->o->n_ctx ? f->o->n_ctx : MAX_CTX, (uint32_t)MAX_CTX);
    all = n / f->n_ctx;
    f->windows = BG_MIN(most, all);
    if (f->n_ctx < 2 || f->windows == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the text has %zu tokens, but a window needs %u: "
                       "give a longer text", n, BG_MAX(f->n_ctx, 2u));
    step = all / f->windows; /* spread over the text */
    f->tokens = bg_alloc((size_t)f->windows * f->n_ctx, sizeof *tokens);
    if (!f->tokens) return bg_fail_nomem(err, "the text", n * sizeof *tokens);
    for (uint64_t w = 0; w < f->windows; w++) {
        memcpy(f->tokens + w * f->n_ctx, tokens + w * step * f->n_ctx, f->n_ctx * sizeof *tokens);
        if (bos >= 0) f->tokens[w * f->n_ctx] = bos;
    }
    return BG_OK;
}

static bg_status runner_open(runner *r, const feedback *f, const bg_model *m, bg_error *err)
{
    const bg_hparams *h = &m->h;
    bg_session_options so = {.isa = f->o->isa, .team = f->o->team, .bare = true,
                             .n_ctx = f->n_ctx, .n_batch = f->n_ctx};
    size_t tokens = (size_t)f->windows * f->n_ctx, widest = h->n_embd;
    for (size_t i = 0; i < m->n_tensors; i++) widest = BG_MAX(widest, (size_t)m->tensors[i].ne[0]);
    r->model = m;
    r->streams_bytes = tokens * bg_half_row(h->n_embd) * sizeof *r->streams;
    r->streams = bg_alloc_large(r->streams_bytes);
    r->middle = bg_alloc((size_t)f->n_ctx * h->n_embd, sizeof *r->middle);
    r->seen = bg_alloc(f->n_ctx * widest, sizeof *r->seen);
    r->keep = bg_alloc((size_t)h->n_layer + 1, sizeof *r->keep);
    r->middles = bg_alloc((size_t)h->n_layer + 1, sizeof *r->middles);
    if (!r->streams || !r->middle || !r->seen || !r->keep || !r->middles)
        return bg_fail_nomem(err, "what the layers read", r->streams_bytes);
    return bg_session_open(&r->session, m, &so, err);
}

static bg_status feedback_open(feedback *f, const int32_t *tokens, size_t n, bg_error *err)
{
    BG_TRY(bg_model_open_memory(&f->model, f->image->data, f->image->bytes,
                                bg_gguf_path(f->image->g), err));
    if (f->source->h.n_layer != f->model->h.n_layer || f->source->h.n_embd != f->model->h.n_embd)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(f->source->gguf),
                       "has not the layers of the image");
    BG_TRY(take_tokens(f, tokens, n, err));
    f->want = bg_alloc(f->n_ctx, 1);
    f->off = bg_alloc((size_t)f->n_ctx * f->model->h.n_embd, sizeof *f->off);
    if (!f->want || !f->off) return bg_fail_nomem(err, "error feedback", f->n_ctx);
    memset(f->want, 1, f->n_ctx);
    BG_TRY(runner_open(&f->own, f, f->model, err));
    return runner_open(&f->meant, f, f->source, err);
}

/* Packs matrix w of the layer as it is now. */
static bg_status pack_matrix(const feedback *f, runner *r, uint32_t layer, size_t w, bg_error *err)
{
    const bg_tensor *t = r->model->layers[layer].w[w];
    const bg_format_info *format = bg_format_get((int)t->format);
    if (!t->data)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(r->model->gguf), "tensor %s is not as it is in "
                       "a file any more", t->name);
    if (!r->packed[w]) {
        r->packed_bytes[w] = bg_packed_bytes(format, t->ne[1], t->ne[0]);
        r->packed[w] = bg_alloc_large(r->packed_bytes[w]);
        if (!r->packed[w]) return bg_fail_nomem(err, t->name, r->packed_bytes[w]);
    }
    BG_TRY(bg_pack_matrix(format, t->data, r->packed[w], t->ne[1], t->ne[0], f->o->team, err));
    bg_gguf_release(r->model->gguf, t->data, t->bytes);
    bg_session_substitute(r->session, t, t->format, r->packed[w]);
    return BG_OK;
}

/* Of both models; all others of their layers are let go. */
static bg_status take_layer(feedback *f, uint32_t layer, bg_error *err)
{
    runner *const both[] = {&f->own, &f->meant};
    for (size_t i = 0; i < BG_COUNT(both); i++) {
        drop_layer(both[i]);
        for (size_t w = 0; w < BG_W_COUNT; w++) BG_TRY(pack_matrix(f, both[i], layer, w, err));
    }
    return BG_OK;
}

static uint16_t *stream_of(const feedback *f, const runner *r, uint64_t window, size_t row)
{
    return r->streams + (window * f->n_ctx + row) * bg_half_row(f->model->h.n_embd);
}

/* Runs a window from layer `first` up to `end`, from what the stream holds before `first` (at first,
 * the embedding). With `watched` that is seen what it reads, and the stream in the middle of the
 * layer; else the stream becomes that before layer `place`. */
static bg_status run(const feedback *f, runner *r, uint64_t window, uint32_t first, uint32_t end,
                     const bg_tensor *watched, uint32_t place, bg_error *err)
{
    const bg_observer observer = {see, r};
    uint16_t *here = stream_of(f, r, window, 0);
    bg_batch b = {.n = f->n_ctx, .tokens = f->tokens + window * f->n_ctx, .want = f->want};
    bg_resume resume = {.first = first, .end = end, .until = watched, .half = true, .from = here,
                        .keep = r->keep, .middle = r->middles};
    bg_status s;
    r->watched = watched;
    r->keep[place] = watched ? NULL : here;
    r->middles[place] = watched ? r->middle : NULL;
    bg_session_observe(r->session, watched ? &observer : NULL);
    bg_session_reset(r->session, 0);
    s = bg_session_resume(r->session, &b, &resume, NULL, err);
    bg_session_observe(r->session, NULL);
    r->keep[place] = NULL;
    r->middles[place] = NULL;
    return s;
}

static void subtract(float *out, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = a[i] - b[i];
}

/* How far the stream of a window that the matrices add to is off by now. */
static void find_off(feedback *f, uint64_t window, stream adds_to)
{
    size_t n = f->model->h.n_embd;
    if (adds_to == MIDDLE) subtract(f->off, f->meant.middle, f->own.middle, f->n_ctx * n);
    for (size_t i = 0; adds_to == BEFORE && i < f->n_ctx; i++) {
        float *meant = f->meant.middle + i * n, *own = f->own.middle + i * n; /* free now */
        bg_half_row_get(stream_of(f, &f->meant, window, i), meant, n);
        bg_half_row_get(stream_of(f, &f->own, window, i), own, n);
        subtract(f->off + i * n, meant, own, n);
    }
}

/* What a matrix reads in all windows, in the image's model and in the source. */
static bg_status observe(feedback *f, const bg_tensor *own, const bg_tensor *meant, uint32_t first,
                         uint32_t end, stream adds_to, bg_second_order *second, bg_error *err)
{
    for (uint64_t w = 0; w < f->windows; w++) {
        BG_TRY(run(f, &f->own, w, first, end, own, first, err));
        BG_TRY(run(f, &f->meant, w, first, end, meant, first, err));
        find_off(f, w, adds_to);
        subtract(f->meant.seen, f->meant.seen, f->own.seen, f->n_ctx * own->ne[0]);
        bg_second_add(second, f->own.seen, f->meant.seen, f->off, f->n_ctx);
    }
    return BG_OK;
}

static bool has_grid(const bg_tensor *t) { return bg_codec_of(t->format) != NULL; }

/* The tensor of the source that a matrix is rounded from; NULL with a reason. */
static const bg_tensor *source_of(const feedback *f, const bg_tensor *t, bg_error *err)
{
    const bg_tensor *from = bg_model_tensor_find(f->source, t->name);
    if (from && from->ne[0] == t->ne[0] && from->ne[1] == t->ne[1] && from->data) return from;
    bg_fail(err, BG_ERR_INPUT, bg_gguf_path(f->source->gguf),
            "tensor %s is not there in the shape of the image", t->name);
    return NULL;
}

/* Of what is off by then, a matrix of k columns is to make good so much: a fit to few tokens explains
 * them by chance. From four tokens a column on it begins to help. */
static float share_of(const feedback *f, size_t k)
{
    double tokens = (double)f->windows * f->n_ctx;
    return (float)BG_MAX(1 - 4 * (double)k / tokens, 0);
}

/* Rounds a matrix, where it lies in the image. */
static bg_status round_matrix(const feedback *f, const bg_second_order *second, const bg_tensor *t,
                              bg_error *err)
{
    const bg_tensor *from = source_of(f, t, err);
    const bg_format_info *format = bg_format_get((int)t->format);
    if (!from) return BG_ERR_INPUT;
    BG_TRY(bg_second_round(second, share_of(f, t->ne[0]), bg_format_get((int)from->format), from->data,
                           format, (void *)(uintptr_t)t->data, t->ne[1], err));
    bg_gguf_release(f->source->gguf, from->data, from->bytes);
    return BG_OK;
}

static bg_status step_done(feedback *f, bg_error *err)
{
    f->done++;
    if (!f->o->progress || f->o->progress(f->o->user, (double)f->done / (double)f->steps))
        return BG_OK;
    return bg_fail(err, BG_ERR_INTERRUPTED, bg_gguf_path(f->source->gguf), "stopped before the end");
}

/* n matrices that read the same: of layer `first`, or, when that is n_layer, the output. */
static bg_status round_group(feedback *f, const bg_tensor *const *matrices, size_t n, stream adds_to,
                             uint32_t first, uint32_t end, bg_error *err)
{
    const bg_tensor *meant = source_of(f, matrices[0], err);
    bg_second_order second;
    bg_status s;
    bool any = false;
    for (size_t i = 0; i < n; i++) any |= has_grid(matrices[i]);
    if (!any) return step_done(f, err);
    if (!meant) return BG_ERR_INPUT;
    BG_TRY(bg_second_open(&second, matrices[0]->ne[0], adds_to == NONE ? 0 : f->model->h.n_embd,
                          f->o->isa, f->o->team, err));
    s = observe(f, matrices[0], meant, first, end, adds_to, &second, err);
    if (s == BG_OK)
        s = bg_second_factor(&second, f->o->damping > 0 ? f->o->damping : DAMPING, err);
    for (size_t i = 0; s == BG_OK && i < n; i++)
        if (has_grid(matrices[i])) s = round_matrix(f, &second, matrices[i], err);
    bg_second_close(&second);
    return s == BG_OK ? step_done(f, err) : s;
}

static bg_status move_on(feedback *f, uint32_t layer, uint32_t place, bg_error *err)
{
    for (uint64_t w = 0; w < f->windows; w++) {
        BG_TRY(run(f, &f->own, w, layer, layer + 1, NULL, place, err));
        BG_TRY(run(f, &f->meant, w, layer, layer + 1, NULL, place, err));
    }
    return BG_OK;
}

static bg_status round_layer(feedback *f, uint32_t l, bg_error *err)
{
    const bg_layer *layer = &f->model->layers[l];
    bool normalised = layer->v[BG_V_ATTN_POST_NORM] || layer->v[BG_V_FFN_POST_NORM];
    BG_TRY(take_layer(f, l, err));
    for (const group *g = groups; g < groups + BG_COUNT(groups); g++) {
        const bg_tensor *matrices[BG_COUNT(g->ids)];
        for (size_t i = 0; i < g->n; i++) matrices[i] = layer->w[g->ids[i]];
        BG_TRY(round_group(f, matrices, g->n, normalised ? NONE : g->adds_to, l, l + 1, err));
        for (size_t i = 0; i < g->n; i++) BG_TRY(pack_matrix(f, &f->own, l, g->ids[i], err));
    }
    BG_TRY(move_on(f, l, l + 1, err));
    return step_done(f, err);
}

bg_status bg_feedback(bg_image *image, const bg_model *source, const int32_t *tokens, size_t n_tokens,
                      const bg_feedback_options *o, bg_error *err)
{
    feedback f = {.image = image, .source = source, .o = o};
    bg_status s = feedback_open(&f, tokens, n_tokens, err);
    if (s == BG_OK) s = take_layer(&f, 0, err);
    if (s == BG_OK) s = move_on(&f, 0, 0, err);
    if (s == BG_OK) f.steps = (uint64_t)f.model->h.n_layer * (BG_COUNT(groups) + 1) + 1;
    for (uint32_t l = 0; s == BG_OK && l < f.model->h.n_layer; l++) s = round_layer(&f, l, err);
    /* One that is the embedding too is left as it is: every layer has read it. */
    if (s == BG_OK && f.model->output != f.model->token_embd)
        s = round_group(&f, &f.model->output, 1, NONE, f.model->h.n_layer, 0, err);
    feedback_close(&f);
    return s;
}

/* What a pruned image is rounded from: the same cut, in the formats of the source. */
static bg_status cut_source(bg_image **image, const bg_recipe *r, const bg_gguf *g, bg_team *team,
                            bg_error *err)
{
    bg_recipe *cut;
    bg_status s;
    *image = NULL;
    BG_TRY(bg_recipe_copy(&cut, r, err));
    for (size_t i = 0; i < cut->n_tensors; i++) cut->formats[i] = BG_FORMAT_NONE;
    s = bg_recipe_apply(image, cut, g, NULL, team, NULL, NULL, err);
    bg_recipe_free(&cut);
    return s;
}

bg_status bg_feedback_recipe(bg_image *image, const bg_recipe *r, const bg_model *source,
                             const int32_t *tokens, size_t n_tokens, const bg_feedback_options *o,
                             bg_error *err)
{
    bg_image *cut;
    bg_model *m = NULL;
    bg_status s;
    if (!bg_recipe_pruned(r)) return bg_feedback(image, source, tokens, n_tokens, o, err);
    s = cut_source(&cut, r, source->gguf, o->team, err);
    if (s == BG_OK)
        s = bg_recipe_compensate(cut, r, source, tokens, n_tokens, NULL, o->isa, o->team, err);
    if (s == BG_OK)
        s = bg_model_open_memory(&m, cut->data, cut->bytes, bg_gguf_path(source->gguf), err);
    if (s == BG_OK) s = bg_feedback(image, m, tokens, n_tokens, o, err);
    bg_model_close(&m);
    bg_image_free(&cut);
    return s;
}
