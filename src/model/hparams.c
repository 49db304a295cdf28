/* Hyper-parameters: which keys a file must have, and what values make sense. */
#include "model/model.h"

#include <string.h>

typedef struct field {
    const char *key;          /* after "llama." */
    size_t offset;            /* of a uint32_t in bg_hparams */
    uint32_t min, max;
    bool required;            /* else the value set before stays */
} field;

#define AT(member) offsetof(bg_hparams, member)
static const field integers[] = {
    {"block_count", AT(n_layer), 1, 4096, true},
    {"embedding_length", AT(n_embd), 1, 1u << 20, true},
    {"feed_forward_length", AT(n_ff), 1, 1u << 22, true},
    {"context_length", AT(n_ctx_train), 1, 1u << 30, true},
    {"attention.head_count", AT(n_head), 1, 1u << 16, true},
};
static const field derived[] = { /* with defaults that follow from those above */
    {"attention.head_count_kv", AT(n_head_kv), 1, 1u << 16, false},
    {"attention.key_length", AT(head_dim), 2, 1u << 12, false},
};

static bg_status read_integer(bg_hparams *h, const bg_gguf *g, const field *f, bg_error *err)
{
    char key[96];
    uint64_t value;
    snprintf(key, sizeof key, "%s.%s", h->architecture, f->key);
    if (!bg_gguf_find(g, key)) {
        if (!f->required) return BG_OK;
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s is missing: convert the model again", key);
    }
    if (!bg_gguf_get_u64(g, key, &value))
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "key %s is not one whole number: models whose layers differ are not "
                       "supported", key);
    if (value < f->min || value > f->max)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s is %llu, not from %u to %u: the file is damaged", key,
                       (unsigned long long)value, f->min, f->max);
    *(uint32_t *)((char *)h + f->offset) = (uint32_t)value;
    return BG_OK;
}

/* A positive finite number. */
static bg_status read_real(const bg_hparams *h, const bg_gguf *g, const char *name, float *out,
                           bg_error *err)
{
    char key[96];
    double value;
    snprintf(key, sizeof key, "%s.%s", h->architecture, name);
    if (!bg_gguf_find(g, key)) return BG_OK;
    if (!bg_gguf_get_f64(g, key, &value) || !(value > 0) || !(value < 1e30))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s is not a positive number: the file is damaged", key);
    *out = (float)value;
    return BG_OK;
}

static void copy_string(char *out, size_t size, bg_gguf_string s)
{
    size_t n = s.length < size - 1 ? s.length : size - 1;
    memcpy(out, s.data, n);
    out[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] < 32 || out[i] == 127) out[i] = '?';
}

static bool string_is(bg_gguf_string s, const char *text)
{
    return s.length == strlen(text) && memcmp(s.data, text, s.length) == 0;
}

static bg_status read_architecture(bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    bg_gguf_string s;
    const char *path = bg_gguf_path(g), *slash = strrchr(path, '/');
    if (!bg_gguf_get_string(g, "general.architecture", &s))
        return bg_fail(err, BG_ERR_INPUT, path,
                       "key general.architecture is missing: this is no language model");
    copy_string(h->architecture, sizeof h->architecture, s);
    if (!string_is(s, "llama"))
        return bg_fail(err, BG_ERR_UNSUPPORTED, path,
                       "architecture '%s' is not supported: give a model of the llama "
                       "architecture (Llama, Mistral, TinyLlama, SmolLM ...)", h->architecture);
    snprintf(h->name, sizeof h->name, "%s", slash ? slash + 1 : path);
    if (bg_gguf_get_string(g, "general.name", &s) && s.length)
        copy_string(h->name, sizeof h->name, s);
    return BG_OK;
}

static bg_status read_rope(bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    static const field dimension = {"rope.dimension_count", AT(rope_dim), 2, 1u << 12, false};
    bg_gguf_string s;
    float factor = 1;
    char key[96];
    h->rope_dim = h->head_dim;
    h->rope_base = 10000.0f;
    BG_TRY(read_integer(h, g, &dimension, err));
    BG_TRY(read_real(h, g, "rope.freq_base", &h->rope_base, err));
    if (h->rope_dim > h->head_dim || h->rope_dim % 2)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "rope.dimension_count is %u where a head has %u: it must be even and no "
                       "larger", h->rope_dim, h->head_dim);
    snprintf(key, sizeof key, "%s.rope.scaling.type", h->architecture);
    if (!bg_gguf_find(g, key)) { /* the older way to say "linear" */
        BG_TRY(read_real(h, g, "rope.scale_linear", &factor, err));
    } else if (bg_gguf_get_string(g, key, &s) && string_is(s, "linear")) {
        BG_TRY(read_real(h, g, "rope.scaling.factor", &factor, err));
    } else if (!bg_gguf_get_string(g, key, &s) || !string_is(s, "none")) {
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "%s is neither 'none' nor 'linear': other kinds are not supported", key);
    }
    h->rope_scale = 1.0f / factor;
    return BG_OK;
}

/* Things that a llama file may say and that would need other arithmetic. */
static bg_status refuse_variants(const bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    char key[96];
    uint64_t value;
    snprintf(key, sizeof key, "%s.expert_count", h->architecture);
    if (bg_gguf_get_u64(g, key, &value) && value)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "mixtures of experts are not supported: give a dense model");
    snprintf(key, sizeof key, "%s.attention.value_length", h->architecture);
    if (bg_gguf_get_u64(g, key, &value) && value != h->head_dim)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "keys of width %u with values of width %llu are not supported", h->head_dim,
                       (unsigned long long)value);
    return BG_OK;
}

static bg_status check_heads(const bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    if (h->n_head % h->n_head_kv)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "%u query heads cannot share %u key heads evenly: the file is damaged",
                       h->n_head, h->n_head_kv);
    if (h->head_dim < 2 || (uint64_t)h->head_dim * h->n_head > 1u << 20)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "%u heads of width %u make no sense: the file is damaged", h->n_head,
                       h->head_dim);
    return BG_OK;
}

bg_status bg_hparams_read(bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    memset(h, 0, sizeof *h);
    BG_TRY(read_architecture(h, g, err));
    for (size_t i = 0; i < BG_COUNT(integers); i++)
        BG_TRY(read_integer(h, g, &integers[i], err));
    h->n_head_kv = h->n_head;
    h->head_dim = h->n_embd % h->n_head ? 0 : h->n_embd / h->n_head;
    for (size_t i = 0; i < BG_COUNT(derived); i++)
        BG_TRY(read_integer(h, g, &derived[i], err));
    BG_TRY(check_heads(h, g, err));
    BG_TRY(refuse_variants(h, g, err));
    h->rms_eps = 1e-5f;
    BG_TRY(read_real(h, g, "attention.layer_norm_rms_epsilon", &h->rms_eps, err));
    return read_rope(h, g, err);
}
