/* Tensors: which a model must have, in which shape; opening, closing and asking. */
#include "isa/attend.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

typedef enum dim { DIM_NONE, DIM_EMBD, DIM_FF, DIM_Q, DIM_KV, DIM_VOCAB, DIM_PAIRS } dim;

/* k is the row length; rows DIM_NONE marks a vector. offset: of a `const bg_tensor *` in bg_model
 * or in bg_layer. */
typedef struct part {
    const char *name;
    bool per_layer, optional;
    dim k, rows;
    size_t offset;
} part;

#define WHOLE(member) offsetof(struct bg_model, member)
#define LAYER(member) offsetof(bg_layer, member)
static const part parts[] = {
    {"token_embd.weight", false, false, DIM_EMBD, DIM_VOCAB, WHOLE(token_embd)},
    {"output_norm.weight", false, false, DIM_EMBD, DIM_NONE, WHOLE(output_norm)},
    {"output.weight", false, true, DIM_EMBD, DIM_VOCAB, WHOLE(output)},
    {"rope_freqs.weight", false, true, DIM_PAIRS, DIM_NONE, WHOLE(rope_freqs)},
    {"attn_norm.weight", true, false, DIM_EMBD, DIM_NONE, LAYER(attn_norm)},
    {"attn_q.weight", true, false, DIM_EMBD, DIM_Q, LAYER(w[BG_W_Q])},
    {"attn_k.weight", true, false, DIM_EMBD, DIM_KV, LAYER(w[BG_W_K])},
    {"attn_v.weight", true, false, DIM_EMBD, DIM_KV, LAYER(w[BG_W_V])},
    {"attn_output.weight", true, false, DIM_Q, DIM_EMBD, LAYER(w[BG_W_OUT])},
    {"ffn_norm.weight", true, false, DIM_EMBD, DIM_NONE, LAYER(ffn_norm)},
    {"ffn_gate.weight", true, false, DIM_EMBD, DIM_FF, LAYER(w[BG_W_GATE])},
    {"ffn_up.weight", true, false, DIM_EMBD, DIM_FF, LAYER(w[BG_W_UP])},
    {"ffn_down.weight", true, false, DIM_FF, DIM_EMBD, LAYER(w[BG_W_DOWN])},
};

static uint64_t dim_size(const bg_hparams *h, dim d)
{
    const uint64_t sizes[] = {
        [DIM_NONE] = 1, [DIM_EMBD] = h->n_embd, [DIM_FF] = h->n_ff,
        [DIM_Q] = (uint64_t)h->n_head * h->head_dim,
        [DIM_KV] = (uint64_t)h->n_head_kv * h->head_dim,
        [DIM_VOCAB] = h->n_vocab, [DIM_PAIRS] = h->rope_dim / 2,
    };
    return sizes[d];
}

static bg_status fail_tensor(const bg_model *m, const char *name, bg_error *err, bg_status status,
                             const char *text)
{
    char where[256];
    snprintf(where, sizeof where, "%s: tensor %s", bg_gguf_path(m->gguf), name);
    return bg_fail(err, status, where, "%s", text);
}

static bg_status check_shape(const bg_model *m, const bg_tensor *t, const part *p, bg_error *err)
{
    uint64_t k = dim_size(&m->h, p->k), rows = dim_size(&m->h, p->rows);
    uint32_t dims = p->rows == DIM_NONE ? 1 : 2;
    const bg_format_info *f = bg_format_get(t->format);
    char text[200];
    size_t row_bytes;
    if (!f || !f->level) {
        snprintf(text, sizeof text,
                 "weights of type %s are not supported: `bitgauge schemes` lists the formats that "
                 "are", bg_gguf_tensor_type_name(t->type_id));
        return fail_tensor(m, t->name, err, BG_ERR_UNSUPPORTED, text);
    }
    if (t->ne[0] != k || t->ne[1] != rows || t->ne[2] != 1 || t->ne[3] != 1 || t->n_dims < dims) {
        snprintf(text, sizeof text,
                 "shape is %llu x %llu x %llu x %llu where the model's keys ask for %llu x %llu: "
                 "the file is damaged or of a variant that is not supported",
                 (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
                 (unsigned long long)t->ne[2], (unsigned long long)t->ne[3],
                 (unsigned long long)k, (unsigned long long)rows);
        return fail_tensor(m, t->name, err, BG_ERR_INPUT, text);
    }
    row_bytes = bg_format_row_bytes(f, k);
    if (!row_bytes || !(t->data || m->shape) || t->bytes / row_bytes != rows ||
        t->bytes % row_bytes)
        return fail_tensor(m, t->name, err, BG_ERR_INPUT,
                           "its size does not fit its shape: the file is damaged");
    return BG_OK;
}

static const bg_tensor *find(const bg_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (strcmp(m->tensors[i].name, name) == 0) return &m->tensors[i];
    return NULL;
}

/* Finds one part; layer is ignored where there is none. Counts those found in *used. */
static bg_status link_part(bg_model *m, const part *p, uint32_t layer, size_t *used, bg_error *err)
{
    char name[96];
    char *base = p->per_layer ? (char *)&m->layers[layer] : (char *)m;
    const bg_tensor *t;
    if (p->per_layer) snprintf(name, sizeof name, "blk.%u.%s", layer, p->name);
    else snprintf(name, sizeof name, "%s", p->name);
    t = find(m, name);
    if (!t) {
        if (p->optional) return BG_OK;
        return fail_tensor(m, name, err, BG_ERR_INPUT,
                           "is missing: the file is incomplete or no llama model");
    }
    BG_TRY(check_shape(m, t, p, err));
    *(const bg_tensor **)(base + p->offset) = t;
    ++*used;
    return BG_OK;
}

/* A tensor that nothing here uses would change what the model computes. */
static bg_status refuse_unknown(const bg_model *m, bg_error *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const bg_tensor *t = &m->tensors[i];
        bool known = t == m->token_embd || t == m->output || t == m->output_norm ||
                     t == m->rope_freqs;
        for (uint32_t l = 0; l < m->h.n_layer && !known; l++) {
            const bg_layer *layer = &m->layers[l];
            known = t == layer->attn_norm || t == layer->ffn_norm;
            for (int w = 0; w < BG_W_COUNT && !known; w++) known = t == layer->w[w];
        }
        if (!known)
            return fail_tensor(m, t->name, err, BG_ERR_UNSUPPORTED,
                               "is no part of a plain llama model: this variant is not supported");
    }
    return BG_OK;
}

static bg_status decode_vector(const bg_tensor *t, float **out, bg_error *err)
{
    size_t n = t->ne[0];
    *out = bg_alloc(n, sizeof(float));
    if (!*out) return bg_fail_nomem(err, t->name, n * sizeof(float));
    if (t->data) bg_format_decode(bg_format_get(t->format), t->data, *out, n);
    else for (size_t i = 0; i < n; i++) (*out)[i] = 1; /* a shape's */
    return BG_OK;
}

static bg_status decode_norms(bg_model *m, bg_error *err)
{
    BG_TRY(decode_vector(m->output_norm, &m->output_norm_f32, err));
    for (uint32_t l = 0; l < m->h.n_layer; l++) {
        BG_TRY(decode_vector(m->layers[l].attn_norm, &m->layers[l].attn_norm_f32, err));
        BG_TRY(decode_vector(m->layers[l].ffn_norm, &m->layers[l].ffn_norm_f32, err));
    }
    return BG_OK;
}

/* Angle of pair i a position: base^(-2i / rope_dim), linearly scaled, divided by the factor that
 * rope_freqs.weight gives. */
static bg_status prepare_rope(bg_model *m, bg_error *err)
{
    size_t pairs = m->h.rope_dim / 2;
    float *factors = NULL;
    m->rope_speed = bg_alloc(pairs, sizeof *m->rope_speed);
    if (!m->rope_speed) return bg_fail_nomem(err, "rope", pairs * sizeof *m->rope_speed);
    if (m->rope_freqs) BG_TRY(decode_vector(m->rope_freqs, &factors, err));
    for (size_t i = 0; i < pairs; i++) {
        double exponent = -2.0 * (double)i / (double)m->h.rope_dim;
        m->rope_speed[i] = pow((double)m->h.rope_base, exponent) * (double)m->h.rope_scale;
        if (factors) m->rope_speed[i] /= (double)factors[i];
    }
    bg_free(factors);
    return BG_OK;
}

static bg_status hold_all(bg_model *m, bg_error *err)
{
    m->n_held = m->h.n_layer;
    m->held = bg_alloc(m->n_held, sizeof *m->held);
    if (!m->held) return bg_fail_nomem(err, "layers", m->n_held * sizeof *m->held);
    for (uint32_t i = 0; i < m->n_held; i++) m->held[i] = i;
    return BG_OK;
}

bg_status bg_model_link(bg_model *m, bg_error *err)
{
    bg_hparams *h = &m->h;
    const bg_tensor *embd = find(m, "token_embd.weight");
    size_t used = 0;
    if (h->n_layer > m->n_tensors)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(m->gguf),
                       "%u layers in a file of %zu tensors: the file is damaged", h->n_layer,
                       m->n_tensors);
    if (embd && (embd->ne[1] < 1 || embd->ne[1] > 1u << 24))
        return fail_tensor(m, embd->name, err, BG_ERR_INPUT,
                           "has an impossible number of rows: the file is damaged");
    h->n_vocab = embd ? (uint32_t)embd->ne[1] : 0;
    m->layers = bg_alloc(h->n_layer, sizeof *m->layers);
    m->packs = bg_packs_new(m->n_tensors);
    if (!m->layers || !m->packs) return bg_fail_nomem(err, "layers", h->n_layer * sizeof *m->layers);
    for (size_t i = 0; i < BG_COUNT(parts); i++) {
        uint32_t times = parts[i].per_layer ? h->n_layer : 1;
        for (uint32_t l = 0; l < times; l++) BG_TRY(link_part(m, &parts[i], l, &used, err));
    }
    if (used != m->n_tensors) BG_TRY(refuse_unknown(m, err));
    if (!m->shape) BG_TRY(hold_all(m, err));
    h->tied_embeddings = !m->output;
    if (!m->output) m->output = m->token_embd;
    for (size_t i = 0; i < m->n_tensors; i++) {
        h->n_params += m->tensors[i].ne[0] * m->tensors[i].ne[1];
        m->weight_bytes += m->tensors[i].bytes;
    }
    BG_TRY(decode_norms(m, err));
    return prepare_rope(m, err);
}

/* llama.cpp's name for no vocabulary is "none". */
static bool has_tokenizer(const bg_gguf *g)
{
    bg_gguf_string model;
    if (!bg_gguf_find(g, "tokenizer.ggml.model")) return false;
    return !bg_gguf_get_string(g, "tokenizer.ggml.model", &model) || model.length != 4 ||
           memcmp(model.data, "none", 4) != 0;
}

bg_status bg_model_open_gguf(bg_model **out, bg_gguf *g, bg_error *err)
{
    bg_status status;
    bg_model *m = bg_alloc(1, sizeof *m);
    *out = NULL;
    if (!m) {
        bg_gguf_close(&g);
        return bg_fail_nomem(err, "model", sizeof *m);
    }
    m->gguf = g;
    status = bg_hparams_read(&m->h, g, err);
    if (status != BG_OK) goto cleanup;
    m->n_tensors = bg_gguf_tensor_count(g);
    m->tensors = bg_alloc(m->n_tensors, sizeof *m->tensors);
    if (!m->tensors) {
        status = bg_fail_nomem(err, "tensors", m->n_tensors * sizeof *m->tensors);
        goto cleanup;
    }
    for (size_t i = 0; i < m->n_tensors; i++) m->tensors[i] = *bg_gguf_tensor_at(g, i);
    status = bg_model_link(m, err);
    if (status == BG_OK && has_tokenizer(g))
        status = bg_tokenizer_open(&m->tokenizer, g, err);
    if (status == BG_OK && m->tokenizer && bg_tokenizer_size(m->tokenizer) > m->h.n_vocab)
        status = bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                         "the tokenizer has %u tokens, token_embd.weight has %u rows: the file is "
                         "damaged", bg_tokenizer_size(m->tokenizer), m->h.n_vocab);
cleanup:
    if (status != BG_OK) bg_model_close(&m);
    *out = m;
    return status;
}

bg_status bg_model_open(bg_model **m, const char *path, bg_error *err)
{
    bg_gguf *g;
    *m = NULL;
    BG_TRY(bg_gguf_open(&g, path, err));
    return bg_model_open_gguf(m, g, err);
}

bg_status bg_model_open_memory(bg_model **m, const void *data, size_t size, const char *name,
                               bg_error *err)
{
    bg_gguf *g;
    *m = NULL;
    BG_TRY(bg_gguf_open_memory(&g, data, size, name, err));
    return bg_model_open_gguf(m, g, err);
}

void bg_model_close(bg_model **model)
{
    bg_model *m = *model;
    if (!m) return;
    for (uint32_t l = 0; m->layers && l < m->h.n_layer; l++) {
        bg_free(m->layers[l].attn_norm_f32);
        bg_free(m->layers[l].ffn_norm_f32);
    }
    for (size_t i = 0; m->recoded && i < m->n_tensors; i++)
        if (m->recoded[i]) bg_free_large(m->recoded[i], bg_recoded_bytes(&m->tensors[i]));
    bg_free(m->recoded);
    bg_packs_free(&m->packs);
    bg_free(m->held);
    bg_free(m->stands_for);
    bg_free(m->layers);
    bg_free(m->output_norm_f32);
    bg_free(m->rope_speed);
    bg_free(m->tensors);
    if (!m->source) {
        bg_tokenizer_close(&m->tokenizer);
        bg_gguf_close(&m->gguf);
    }
    bg_free(m);
    *model = NULL;
}

const bg_hparams *bg_model_hparams(const bg_model *m) { return &m->h; }
const bg_tokenizer *bg_model_tokenizer(const bg_model *m) { return m->tokenizer; }
const bg_gguf *bg_model_gguf(const bg_model *m) { return m->gguf; }
size_t bg_model_tensor_count(const bg_model *m) { return m->n_tensors; }
size_t bg_model_weight_bytes(const bg_model *m) { return m->weight_bytes; }
uint32_t bg_model_layers_held(const bg_model *m) { return m->n_held; }

const bg_tensor *bg_model_tensor_at(const bg_model *m, size_t i)
{
    return i < m->n_tensors ? &m->tensors[i] : NULL;
}

const bg_tensor *bg_model_tensor_find(const bg_model *m, const char *name) { return find(m, name); }

double bg_model_bpw(const bg_model *m)
{
    return 8.0 * (double)m->weight_bytes / (double)m->h.n_params;
}

bg_scheme_model bg_model_scheme_facts(const bg_model *m)
{
    return (bg_scheme_model){m->h.n_layer, m->h.n_head, m->h.n_head_kv, m->h.tied_embeddings};
}

size_t bg_model_bytes_per_token(const bg_model *m)
{
    size_t row = m->token_embd->bytes / m->h.n_vocab;
    return m->weight_bytes + row - (m->h.tied_embeddings ? 0 : m->token_embd->bytes);
}

double bg_model_flops_per_token(const bg_model *m, uint32_t depth)
{
    const bg_hparams *h = &m->h;
    double weights = (double)m->output->ne[0] * (double)m->output->ne[1];
    for (uint32_t l = 0; l < h->n_layer; l++)
        for (int w = 0; w < BG_W_COUNT; w++)
            weights += (double)m->layers[l].w[w]->ne[0] * (double)m->layers[l].w[w]->ne[1];
    /* Scores and the weighted sum of values: one multiply-add each per head value and position. */
    return 2.0 * weights + 4.0 * (double)h->n_layer * (double)h->n_head * (double)h->head_dim *
                               ((double)depth + 1.0);
}

size_t bg_model_kv_bytes(const bg_hparams *h, uint32_t n_ctx)
{
    size_t positions = bg_round_up(n_ctx, BG_KV_PANEL), bytes;
    size_t width = h->head_dim + bg_round_up(h->head_dim, BG_KV_PANEL);
    size_t heads = (size_t)h->n_layer * h->n_head_kv;
    bool over = __builtin_mul_overflow(heads * width * sizeof(uint16_t), positions, &bytes);
    return over ? SIZE_MAX : bytes;
}
