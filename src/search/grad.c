/* Opening a differentiable model: what its tensors are, where its memory lies. */
#include "search/grad.h"

#include "kernels/kernels.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

enum { LOGIT_FLOATS = 4 << 20 };    /* of a chunk of positions, but at least 64 positions */

#ifdef __x86_64__
/* CPUs that advertise products of bfloat16 are taken at their word only after one. */
static bool multiplies_pairs(const void *user)
{
    static const float a[2] = {2, 3}, b[2] = {5, 7};
    float x, y, c = 0;
    const bg_grad_ops *ops = user;
    ops->pair_row(a, &x, 2);
    ops->pair_row(b, &y, 2);
    ops->multiply_pairs(&(bg_product){.m = 1, .n = 1, .k = 1, .a = &x, .a_m = 1, .a_k = 1, .b = &y,
                                      .b_k = 1, .c = &c, .c_m = 1});
    return c >= 31 && c <= 31;
}

static bool pairs_work;

static void try_pairs(void)
{
    const char *reason;
    /* Intel's take two cycles where two float products take one: they would halve the speed. */
    pairs_work = __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16") &&
                 bg_isa_trial(multiplies_pairs, &bg_grad_ops_avx512bf16, &reason);
}
#endif

const bg_grad_ops *bg_grad_ops_get(bg_isa isa)
{
#ifdef __x86_64__
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    for (;; isa = bg_isa_parent(isa)) {
        if (isa == BG_ISA_AMX) return &bg_grad_ops_amx;
        if (isa == BG_ISA_AVX512) {
            pthread_once(&once, try_pairs);
            return pairs_work ? &bg_grad_ops_avx512bf16 : &bg_grad_ops_avx512;
        }
        if (isa == BG_ISA_AVX2) return &bg_grad_ops_avx2;
        if (isa == BG_ISA_REF) break;
    }
#else
    (void)isa;
#endif
    return &bg_grad_ops_any;
}

const bg_tensor *bg_grad_tensor(const bg_grad *grad, size_t tensor)
{
    return bg_gguf_tensor_at(grad->g, tensor);
}

/* ---- tensors ------------------------------------------------------------------------------ */

static bg_status refuse(const bg_grad *grad, const char *name, const char *why, bg_error *err)
{
    return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(grad->g),
                   "tensor %s %s: gradients are known for dense models of the llama family only",
                   name, why);
}

/* The index of a tensor of `columns` a row; *rows hears how many it has (1 of a vector). */
static bg_status find(const bg_grad *grad, const char *name, size_t columns, size_t *index,
                      size_t *rows, bg_error *err)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(grad->g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(grad->g, i);
        const bg_format_info *f = bg_format_get((int)t->format);
        if (strcmp(t->name, name) != 0) continue;
        if (!f || !f->level) return refuse(grad, name, "is in a format that has no decoder", err);
        if ((columns && t->ne[0] != columns) || t->ne[2] != 1 || t->ne[3] != 1)
            return refuse(grad, name, "has another shape than in a plain model", err);
        *index = i;
        *rows = t->ne[1];
        return BG_OK;
    }
    return refuse(grad, name, "is missing", err);
}

static bg_status find_layer(bg_grad *grad, size_t l, bg_error *err)
{
    static const char *const names[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate",
                                        "ffn_up", "ffn_down"};
    bg_grad_layer *layer = &grad->layers[l];
    size_t rows[BG_GRAD_MATRICES], e = grad->n_embd, one;
    char name[96];
    snprintf(name, sizeof name, "blk.%zu.attn_norm.weight", l);
    BG_TRY(find(grad, name, e, &layer->attn_norm, &one, err));
    snprintf(name, sizeof name, "blk.%zu.ffn_norm.weight", l);
    BG_TRY(find(grad, name, e, &layer->ffn_norm, &one, err));
    for (size_t i = 0; i < BG_GRAD_MATRICES; i++) {
        size_t columns = i == BG_GRAD_OUT ? rows[BG_GRAD_Q] : i == BG_GRAD_DOWN ? rows[BG_GRAD_UP]
                                                                                : e;
        snprintf(name, sizeof name, "blk.%zu.%s.weight", l, names[i]);
        BG_TRY(find(grad, name, columns, &layer->w[i], &rows[i], err));
    }
    layer->n_head = rows[BG_GRAD_Q] / grad->head_dim;
    layer->n_head_kv = rows[BG_GRAD_K] / grad->head_dim;
    layer->n_ff = rows[BG_GRAD_GATE];
    if (rows[BG_GRAD_Q] % grad->head_dim || rows[BG_GRAD_K] % grad->head_dim || !layer->n_head_kv ||
        layer->n_head % layer->n_head_kv || rows[BG_GRAD_V] != rows[BG_GRAD_K] ||
        rows[BG_GRAD_OUT] != e || rows[BG_GRAD_UP] != layer->n_ff || rows[BG_GRAD_DOWN] != e)
        return refuse(grad, name, "does not fit the others of its layer", err);
    grad->most_q = BG_MAX(grad->most_q, rows[BG_GRAD_Q]);
    grad->most_kv = BG_MAX(grad->most_kv, rows[BG_GRAD_K]);
    grad->most_ff = BG_MAX(grad->most_ff, layer->n_ff);
    return BG_OK;
}

/* Angles as the model room has them: base^(-2i / rope_dim), scaled, divided by a factor each. */
static bg_status prepare_rope(bg_grad *grad, const bg_hparams *h, size_t *used, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_find(grad->g, "rope_freqs.weight");
    size_t pairs = grad->rope_dim / 2;
    float factors[2048];
    grad->turn = bg_alloc(grad->n_ctx * grad->rope_dim, sizeof *grad->turn);
    if (!grad->turn) return bg_fail_nomem(err, "rope", grad->n_ctx * grad->rope_dim * 4);
    for (size_t i = 0; i < pairs; i++) factors[i] = 1;
    if (t) {
        if (t->ne[0] != pairs || t->format != BG_FORMAT_F32 || t->bytes != 4 * pairs)
            return refuse(grad, t->name, "has another shape than in a plain model", err);
        memcpy(factors, t->data, t->bytes);
        ++*used;
    }
    for (size_t i = 0; i < pairs; i++) {
        double exponent = -2.0 * (double)i / (double)grad->rope_dim;
        double speed = pow((double)h->rope_base, exponent) * (double)h->rope_scale
                       / (double)factors[i];
        for (size_t at = 0; at < grad->n_ctx; at++) {
            grad->turn[at * grad->rope_dim + 2 * i] = (float)cos((double)at * speed);
            grad->turn[at * grad->rope_dim + 2 * i + 1] = (float)sin((double)at * speed);
        }
    }
    return BG_OK;
}

/* A tensor that no part of the model is. */
static const char *unknown(const bg_grad *grad)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(grad->g); i++) {
        const char *name = bg_gguf_tensor_at(grad->g, i)->name;
        bool known = i == grad->token_embd || i == grad->output || i == grad->output_norm ||
                     strcmp(name, "rope_freqs.weight") == 0;
        for (size_t l = 0; l < grad->n_layer && !known; l++) {
            const bg_grad_layer *layer = &grad->layers[l];
            known = i == layer->attn_norm || i == layer->ffn_norm;
            for (size_t k = 0; k < BG_GRAD_MATRICES && !known; k++) known = i == layer->w[k];
        }
        if (!known) return name;
    }
    return "(twice)";
}

static bg_status describe(bg_grad *grad, const bg_hparams *h, bg_error *err)
{
    size_t rows, used = 2;
    if (strcmp(h->architecture, "llama") != 0 && strcmp(h->architecture, "deci") != 0)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(grad->g),
                       "gradients of architecture '%s' are not known: give a dense model of the "
                       "llama architecture", h->architecture);
    if (h->rope_dim > 4096 || h->rope_dim > h->head_dim)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(grad->g),
                       "heads whose first %u numbers rotate are not supported", h->rope_dim);
    if (h->rope_scaling == BG_ROPE_YARN || h->rope_magnitude < 1 || h->rope_magnitude > 1)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(grad->g),
                       "gradients of rotations stretched by YaRN are not known: give another "
                       "model");
    BG_TRY(find(grad, "token_embd.weight", grad->n_embd, &grad->token_embd, &grad->n_vocab, err));
    BG_TRY(find(grad, "output_norm.weight", grad->n_embd, &grad->output_norm, &rows, err));
    grad->tied = !bg_gguf_tensor_find(grad->g, "output.weight");
    grad->output = grad->token_embd;
    if (!grad->tied) {
        BG_TRY(find(grad, "output.weight", grad->n_embd, &grad->output, &rows, err));
        if (rows != grad->n_vocab) return refuse(grad, "output.weight", "has other tokens", err);
        used++;
    }
    for (size_t l = 0; l < grad->n_layer; l++) BG_TRY(find_layer(grad, l, err));
    BG_TRY(prepare_rope(grad, h, &used, err));
    used += grad->n_layer * (BG_GRAD_MATRICES + 2);
    if (used == bg_gguf_tensor_count(grad->g)) return BG_OK;
    return refuse(grad, unknown(grad), "is no part of a plain model", err);
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Takes the next piece of the arena, or counts it when there is none yet. */
typedef struct cursor { char *base; size_t used; bool overflow; } cursor;

static void *take(cursor *c, size_t count, size_t size)
{
    size_t bytes, start = c->used;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 4 ||
        start > SIZE_MAX / 4) {
        c->overflow = true;
        return NULL;
    }
    c->used += bg_round_up(bytes, 64);
    return c->base ? c->base + start : NULL;
}

static float *floats(cursor *c, size_t rows, size_t stride)
{
    size_t n;
    if (__builtin_mul_overflow(rows, stride, &n)) n = SIZE_MAX;
    return take(c, n, sizeof(float));
}

/* A member's scratch: panels of transposed rows, rows of gradients, what attention needs. */
static size_t own_floats(const bg_grad *grad)
{
    size_t longest = BG_MAX(BG_MAX(grad->n_embd, grad->most_q), grad->most_ff);
    size_t tiles = longest + (grad->pairs ? grad->most / 2 : 0);
    return BG_MAX(bg_grad_attention_floats(grad), tiles * BG_GRAD_TILE);
}

static void lay_out_layers(bg_grad *grad, cursor *c)
{
    size_t n = grad->most;
    bg_grad_kept *kept = take(c, grad->n_layer, sizeof *kept);
    for (size_t l = 0; l < grad->n_layer; l++) {
        bg_grad_kept k = {
            .x = floats(c, n, grad->e_stride), .x_mid = floats(c, n, grad->e_stride),
            .q = floats(c, n, grad->q_stride), .k = floats(c, n, grad->kv_stride),
            .v = floats(c, n, grad->kv_stride), .att = floats(c, n, grad->q_stride),
            .gate = floats(c, n, grad->ff_stride), .up = floats(c, n, grad->ff_stride),
            .inverse = floats(c, n, 1), .inverse_mid = floats(c, n, 1),
            .log_sum = floats(c, n, grad->layers[l].n_head),
        };
        if (c->base) kept[l] = k;
    }
    grad->kept = kept;
}

static void lay_out(bg_grad *grad, cursor *c)
{
    size_t n = grad->most, e = grad->n_embd, members = (size_t)bg_team_size(grad->team);
    float **position_rows[] = {&grad->x, &grad->y, &grad->n1, &grad->n2, &grad->dx, &grad->dx_mid,
                               &grad->dn};
    float **query_rows[] = {&grad->dq, &grad->dk, &grad->dv, &grad->datt};
    float **ff_rows[] = {&grad->h, &grad->dgate, &grad->dup};
    lay_out_layers(grad, c);
    for (size_t i = 0; i < BG_COUNT(position_rows); i++)
        *position_rows[i] = floats(c, n, grad->e_stride);
    for (size_t i = 0; i < BG_COUNT(query_rows); i++) *query_rows[i] = floats(c, n, grad->q_stride);
    for (size_t i = 0; i < BG_COUNT(ff_rows); i++) *ff_rows[i] = floats(c, n, grad->ff_stride);
    if (grad->pairs) {
        grad->row_pairs = floats(c, n, grad->pair_stride);
        grad->y_pairs = floats(c, n / 2, grad->e_stride);
        grad->n1_pairs = floats(c, n / 2, grad->e_stride);
        grad->n2_pairs = floats(c, n / 2, grad->e_stride);
        grad->att_pairs = floats(c, n / 2, grad->q_stride);
        grad->h_pairs = floats(c, n / 2, grad->ff_stride);
    }
    grad->inverse = floats(c, n, 1);
    grad->norms = floats(c, 2, e);
    grad->norm_sums = floats(c, 2, e);
    for (size_t i = 0; i < BG_GRAD_MATRICES; i++) {
        size_t wide = i >= BG_GRAD_GATE ? grad->most_ff
                      : i == BG_GRAD_K || i == BG_GRAD_V ? grad->most_kv : grad->most_q;
        grad->matrices[i] = floats(c, e, wide);
    }
    grad->output_rows = floats(c, grad->n_vocab, e);
    grad->output_columns = floats(c, e, grad->v_stride);
    grad->d_output = floats(c, grad->n_vocab, e);
    grad->logits = floats(c, grad->chunk, grad->v_stride);
    grad->others = floats(c, grad->chunk, grad->v_stride);
    grad->losses = take(c, n, sizeof *grad->losses);
    grad->first = take(c, grad->n_vocab, sizeof *grad->first);
    grad->next = take(c, n, sizeof *grad->next);
    grad->own = take(c, members, sizeof *grad->own);
    for (size_t i = 0; i < members; i++) {
        float *own = floats(c, 1, own_floats(grad));
        if (c->base) grad->own[i] = own;
    }
}

/* Pairs go along rows, columns and positions: all of these must be even. */
static bool may_pair(const bg_grad *grad)
{
    size_t odd = grad->n_embd | grad->n_vocab | grad->n_ctx | grad->head_dim;
    for (size_t l = 0; l < grad->n_layer; l++)
        odd |= grad->layers[l].n_ff | grad->layers[l].n_head * grad->head_dim
               | grad->layers[l].n_head_kv * grad->head_dim;
    return grad->ops->multiply_pairs && odd % 2 == 0;
}

static bg_status prepare_memory(bg_grad *grad, bg_error *err)
{
    cursor c = {0};
    grad->e_stride = bg_grad_stride(grad->n_embd);
    grad->q_stride = bg_grad_stride(grad->most_q);
    grad->kv_stride = bg_grad_stride(grad->most_kv);
    grad->ff_stride = bg_grad_stride(grad->most_ff);
    grad->v_stride = bg_grad_stride(grad->n_vocab);
    grad->s_stride = bg_grad_stride(grad->n_ctx);
    grad->pair_stride = bg_grad_stride(BG_MAX(BG_MAX(grad->n_embd, grad->most_q),
                                              BG_MAX(grad->most_ff, grad->n_vocab)) / 2);
    grad->chunk = BG_MIN(grad->most, BG_MAX(LOGIT_FLOATS / grad->n_vocab / 4 * 4, (size_t)64));
    lay_out(grad, &c);
    if (!c.overflow) grad->arena = bg_alloc_large(c.used);
    if (!grad->arena)
        return bg_fail(err, BG_ERR_NOMEM, bg_gguf_path(grad->g), "no memory for the gradients of "
                       "%zu positions: use shorter or fewer windows", grad->most);
    grad->arena_bytes = c.used;
    c = (cursor){grad->arena, 0, false};
    lay_out(grad, &c);
    return BG_OK;
}

bg_status bg_grad_open(bg_grad **out, const bg_gguf *g, const bg_hparams *h, size_t n_ctx,
                       size_t most_windows, bool rough, bg_isa isa, bg_team *team, bg_error *err)
{
    bg_grad *grad = bg_alloc(1, sizeof *grad);
    bg_status s;
    uint64_t n_layer = h->n_layer;
    char key[96];
    *out = NULL;
    if (!grad) return bg_fail_nomem(err, "gradients", sizeof *grad);
    snprintf(key, sizeof key, "%s.block_count", h->architecture);
    bg_gguf_get_u64(g, key, &n_layer); /* fewer than the source where layers were dropped */
    grad->g = g;
    grad->ops = bg_grad_ops_get(isa);
    grad->team = team;
    grad->n_embd = h->n_embd;
    grad->head_dim = h->head_dim;
    grad->rope_dim = h->rope_dim;
    grad->eps = h->rms_eps;
    grad->n_ctx = n_ctx;
    grad->most = n_ctx * most_windows;
    grad->n_layer = (size_t)BG_MIN(n_layer, bg_gguf_tensor_count(g));
    grad->layers = bg_alloc(grad->n_layer, sizeof *grad->layers);
    s = grad->layers ? describe(grad, h, err) : bg_fail_nomem(err, "layers", grad->n_layer);
    if (s == BG_OK) {
        grad->pairs = rough && may_pair(grad);
        s = prepare_memory(grad, err);
    }
    if (s != BG_OK) bg_grad_close(&grad);
    *out = grad;
    return s;
}

void bg_grad_close(bg_grad **grad)
{
    if (!*grad) return;
    if ((*grad)->arena) bg_free_large((*grad)->arena, (*grad)->arena_bytes);
    bg_free((*grad)->layers);
    bg_free((*grad)->turn);
    bg_free(*grad);
    *grad = NULL;
}

size_t bg_grad_width(const bg_grad *grad) { return grad->n_embd; }
