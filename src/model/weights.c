/* Tensors: finding and checking those that a model must have; opening, closing and asking. */
#include "model/model.h"

#include <math.h>
#include <string.h>

static bg_status fail_tensor(const bg_model *m, const char *name, bg_error *err, bg_status status,
                             const char *text)
{
    char where[256];
    snprintf(where, sizeof where, "%s: tensor %s", bg_gguf_path(m->gguf), name);
    return bg_fail(err, status, where, "%s", text);
}

static bg_status check_shape(const bg_model *m, const bg_layer_sizes *n, const bg_tensor *t,
                             const bg_part *p, bg_error *err)
{
    uint64_t k = bg_dim_size(&m->h, n, p->k), rows = bg_dim_size(&m->h, n, p->rows);
    uint32_t dims = p->rows == BG_DIM_NONE ? 1 : 2;
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

/* Finds one part; layer is 0 where there is none. Counts those found in *used. */
static bg_status link_part(bg_model *m, const bg_part *p, uint32_t layer, size_t *used,
                           bg_error *err)
{
    char name[96];
    char *base = p->per_layer ? (char *)&m->layers[layer] : (char *)m;
    const bg_tensor *t;
    if (p->per_layer) snprintf(name, sizeof name, "blk.%u.%s", layer, p->name);
    else snprintf(name, sizeof name, "%s", p->name);
    t = find(m, name);
    if (!t) {
        char text[128];
        if (p->optional) return BG_OK;
        snprintf(text, sizeof text, "is missing: the file is incomplete or of another variant of "
                 "%s, which is not supported", m->arch->name);
        return fail_tensor(m, name, err, BG_ERR_INPUT, text);
    }
    BG_TRY(check_shape(m, &m->layers[layer].n, t, p, err));
    *(const bg_tensor **)(base + p->offset) = t;
    ++*used;
    return BG_OK;
}

/* The tensor's part, where the architecture has it and the layer exists. */
static bool is_known(const bg_model *m, const bg_tensor *t)
{
    for (size_t i = 0; i < bg_parts_count; i++) {
        const bg_part *p = &bg_parts[i];
        if (!bg_architecture_has(m->arch, p)) continue;
        for (uint32_t l = 0; l < (p->per_layer ? m->h.n_layer : 1); l++) {
            const char *base = p->per_layer ? (const char *)&m->layers[l] : (const char *)m;
            if (*(const bg_tensor *const *)(const void *)(base + p->offset) == t) return true;
        }
    }
    return false;
}

/* A tensor that nothing here uses would change what the model computes. */
static bg_status refuse_unknown(const bg_model *m, bg_error *err)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const bg_tensor *t = &m->tensors[i];
        const char *what = strstr(t->name, "_exps.") ? "mixture of experts" : "variant";
        char text[160];
        if (is_known(m, t)) continue;
        snprintf(text, sizeof text, "is no part of a plain %s model, and leaving it out would "
                 "change what the model computes: this %s is not supported", m->arch->name, what);
        return fail_tensor(m, t->name, err, BG_ERR_UNSUPPORTED, text);
    }
    return BG_OK;
}

/* Nothing where there is no tensor. */
static bg_status decode_vector(const bg_tensor *t, float **out, bg_error *err)
{
    size_t n = t ? t->ne[0] : 0;
    float value = t && strstr(t->name, ".bias") ? 0 : 1;
    if (!t) return BG_OK;
    *out = bg_alloc(n, sizeof(float));
    if (!*out) return bg_fail_nomem(err, t->name, n * sizeof(float));
    if (t->data) bg_format_decode(bg_format_get(t->format), t->data, *out, n);
    else for (size_t i = 0; i < n; i++) (*out)[i] = value; /* a shape's */
    return BG_OK;
}

static bg_status check_factors(const bg_model *m, const bg_tensor *t, const float *factors,
                               bg_error *err)
{
    for (size_t i = 0; t && i < t->ne[0]; i++)
        if (!(factors[i] > 0) || !isfinite(factors[i]))
            return fail_tensor(m, t->name, err, BG_ERR_INPUT,
                               "divides angles by a number that is not positive: the file is "
                               "damaged");
    return BG_OK;
}

static bg_status decode_vectors(bg_model *m, bg_error *err)
{
    BG_TRY(decode_vector(m->output_norm, &m->output_norm_f32, err));
    for (size_t i = 0; i < BG_ROPE_FACTORS; i++) {
        BG_TRY(decode_vector(m->rope_factors[i], &m->rope_factors_f32[i], err));
        BG_TRY(check_factors(m, m->rope_factors[i], m->rope_factors_f32[i], err));
    }
    for (uint32_t l = 0; l < m->h.n_layer; l++) {
        bg_layer *layer = &m->layers[l];
        for (size_t i = 0; i < BG_V_COUNT; i++)
            BG_TRY(decode_vector(layer->v[i], &layer->v_f32[i], err));
        for (size_t i = 0; i < BG_W_COUNT; i++)
            BG_TRY(decode_vector(layer->bias[i], &layer->bias_f32[i], err));
    }
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
    if (!m->layers || !m->packs)
        return bg_fail_nomem(err, "layers", h->n_layer * sizeof *m->layers);
    for (uint32_t l = 0; l < h->n_layer; l++)
        BG_TRY(bg_layer_sizes_read(&m->layers[l].n, h, m->arch, m->gguf, l, err));
    for (size_t i = 0; i < bg_parts_count; i++) {
        uint32_t times = bg_parts[i].per_layer ? h->n_layer : 1;
        if (!bg_architecture_has(m->arch, &bg_parts[i])) continue;
        for (uint32_t l = 0; l < times; l++) BG_TRY(link_part(m, &bg_parts[i], l, &used, err));
    }
    if (used != m->n_tensors) BG_TRY(refuse_unknown(m, err));
    if (!m->shape) BG_TRY(hold_all(m, err));
    h->tied_embeddings = !m->output;
    if (!m->output) m->output = m->token_embd;
    for (size_t i = 0; i < m->n_tensors; i++) {
        h->n_params += m->tensors[i].ne[0] * m->tensors[i].ne[1];
        m->weight_bytes += m->tensors[i].bytes;
    }
    return decode_vectors(m, err);
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
    status = bg_hparams_read(&m->h, &m->arch, g, err);
    if (status == BG_OK) status = bg_model_list_tensors(m, err);
    if (status == BG_OK) status = bg_model_link(m, err);
    if (status == BG_OK && has_tokenizer(g))
        status = bg_tokenizer_open(&m->tokenizer, g, err);
    if (status == BG_OK && m->tokenizer && bg_tokenizer_size(m->tokenizer) > m->h.n_vocab)
        status = bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                         "the tokenizer has %u tokens, token_embd.weight has %u rows: the file is "
                         "damaged", bg_tokenizer_size(m->tokenizer), m->h.n_vocab);
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
        for (size_t i = 0; i < BG_V_COUNT; i++) bg_free(m->layers[l].v_f32[i]);
        for (size_t i = 0; i < BG_W_COUNT; i++) bg_free(m->layers[l].bias_f32[i]);
    }
    for (size_t i = 0; i < BG_ROPE_FACTORS; i++) bg_free(m->rope_factors_f32[i]);
    for (size_t i = 0; m->recoded && i < m->n_tensors; i++)
        if (m->recoded[i]) bg_free_large(m->recoded[i], bg_recoded_bytes(&m->tensors[i]));
    bg_free(m->recoded);
    bg_packs_free(&m->packs);
    bg_free(m->held);
    bg_free(m->stands_for);
    bg_free(m->layers);
    bg_free(m->output_norm_f32);
    for (size_t i = 0; m->names && i < m->n_tensors; i++) bg_free(m->names[i]);
    bg_free(m->names);
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
