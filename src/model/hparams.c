/* Hyper-parameters: which keys a file must have, and what values make sense. */
#include "model/model.h"

#include <math.h>
#include <string.h>

typedef struct field {
    const char *key;          /* after the architecture's name */
    size_t offset;            /* of a uint32_t in bg_hparams */
    uint32_t min, max;
    bool required;            /* else the value set before stays */
    bool of_layers;           /* may be a list, a number a layer: the largest is taken */
} field;

#define AT(member) offsetof(bg_hparams, member)
static const field integers[] = {
    {"block_count", AT(n_layer), 1, 4096, true, false},
    {"embedding_length", AT(n_embd), 1, 1u << 20, true, false},
    {"context_length", AT(n_ctx_train), 1, 1u << 30, true, false},
};
static const field head_dim = {"attention.key_length", AT(head_dim), 2, 1u << 12, false, false};

/* Also of bg_layer_sizes: `in_layer` there. */
static const struct { field f; size_t in_layer; } of_layers[] = {
    {{"feed_forward_length", AT(n_ff), 1, 1u << 22, true, true}, offsetof(bg_layer_sizes, n_ff)},
    {{"attention.head_count", AT(n_head), 1, 1u << 16, true, true},
     offsetof(bg_layer_sizes, n_head)},
    {{"attention.head_count_kv", AT(n_head_kv), 1, 1u << 16, false, true},
     offsetof(bg_layer_sizes, n_head_kv)},
};

typedef struct key { char name[96]; } key;

static key full_key(const bg_hparams *h, const char *name)
{
    key k;
    snprintf(k.name, sizeof k.name, "%s.%s", h->architecture, name);
    return k;
}

static bg_status check_range(const bg_gguf *g, const field *f, const char *name, int64_t value,
                             bg_error *err)
{
    if (value >= f->min && value <= f->max) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                   "key %s is %lld, not from %u to %u: the file is damaged or of a variant that is "
                   "not supported", name, (long long)value, f->min, f->max);
}

/* A value that is a whole number or, for layers, element i of a list of them. */
static bg_status read_element(const bg_hparams *h, const bg_gguf *g, const field *f,
                              const bg_gguf_value *v, uint64_t i, uint32_t *out, bg_error *err)
{
    int64_t value;
    bool real = v->type == BG_GGUF_F32 || v->type == BG_GGUF_F64 ||
                v->element_type == BG_GGUF_F32 || v->element_type == BG_GGUF_F64;
    if (v->type == BG_GGUF_ARRAY && (!f->of_layers || v->count < h->n_layer))
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       f->of_layers ? "key %s lists fewer numbers than there are layers: the file "
                                      "is damaged"
                                    : "key %s is a list: layers that differ in it do not run here",
                       v->key);
    if (real || !bg_gguf_element_i64(v, v->type == BG_GGUF_ARRAY ? i : 0, &value))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s is not a whole number: the file is damaged", v->key);
    BG_TRY(check_range(g, f, v->key, value, err));
    *out = (uint32_t)value;
    return BG_OK;
}

static bg_status read_integer(bg_hparams *h, const bg_gguf *g, const field *f, bg_error *err)
{
    key k = full_key(h, f->key);
    const bg_gguf_value *v = bg_gguf_find(g, k.name);
    uint32_t *out = (uint32_t *)((char *)h + f->offset), one = 0, largest = 0;
    if (!v) {
        if (!f->required) return BG_OK;
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s is missing: convert the model again", k.name);
    }
    for (uint64_t i = 0; i < (v->type == BG_GGUF_ARRAY ? h->n_layer : 1); i++) {
        BG_TRY(read_element(h, g, f, v, i, &one, err));
        largest = BG_MAX(largest, one);
    }
    *out = largest;
    return BG_OK;
}

/* A positive finite number; zero too stands for "none" where `none` is given. */
static bg_status read_real(const bg_hparams *h, const bg_gguf *g, const char *name, bool none,
                           float *out, bg_error *err)
{
    key k = full_key(h, name);
    double value;
    if (!bg_gguf_find(g, k.name)) return BG_OK;
    if (!bg_gguf_get_f64(g, k.name, &value) || !(value > 0 || (none && value == 0)) ||
        !(value < 1e30))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s is not a positive number: the file is damaged", k.name);
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

static bg_status read_architecture(bg_hparams *h, const bg_architecture **arch, const bg_gguf *g,
                                   bg_error *err)
{
    bg_gguf_string s;
    const char *path = bg_gguf_path(g), *slash = strrchr(path, '/');
    char known[128];
    if (!bg_gguf_get_string(g, "general.architecture", &s))
        return bg_fail(err, BG_ERR_INPUT, path,
                       "key general.architecture is missing: this is no language model");
    copy_string(h->architecture, sizeof h->architecture, s);
    *arch = bg_architecture_find(h->architecture);
    if (!*arch)
        return bg_fail(err, BG_ERR_UNSUPPORTED, path,
                       "architecture '%s' is not supported: it computes something else than those "
                       "that are, %s", h->architecture, bg_architecture_list(known, sizeof known));
    snprintf(h->name, sizeof h->name, "%s", slash ? slash + 1 : path);
    if (bg_gguf_get_string(g, "general.name", &s) && s.length)
        copy_string(h->name, sizeof h->name, s);
    return BG_OK;
}

static bg_status read_scaling(bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    static const struct { const char *name; bg_rope_scaling kind; } kinds[] = {
        {"none", BG_ROPE_NONE}, {"linear", BG_ROPE_LINEAR}, {"yarn", BG_ROPE_YARN},
        {"longrope", BG_ROPE_LONGROPE},
    };
    key k = full_key(h, "rope.scaling.type");
    bg_gguf_string s;
    char name[32] = "linear";
    float factor = 0;
    size_t i = 0;
    if (bg_gguf_get_string(g, k.name, &s)) copy_string(name, sizeof name, s);
    else if (bg_gguf_find(g, k.name)) snprintf(name, sizeof name, "no text");
    while (i < BG_COUNT(kinds) && strcmp(kinds[i].name, name) != 0) i++;
    if (i == BG_COUNT(kinds))
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g), "%s is %s: kinds other than "
                       "'none', 'linear', 'yarn' and 'longrope' are not supported", k.name, name);
    h->rope_scaling = kinds[i].kind;
    BG_TRY(read_real(h, g, "rope.scale_linear", true, &factor, err)); /* the older way to say it */
    BG_TRY(read_real(h, g, "rope.scaling.factor", true, &factor, err));
    h->rope_scale = factor > 0 && h->rope_scaling != BG_ROPE_NONE ? 1.0f / factor : 1.0f;
    h->rope_magnitude = 1;
    if (h->rope_scaling == BG_ROPE_YARN && !(h->rope_base > 1))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "rope.freq_base is %g, which YaRN cannot stretch: the file is damaged",
                       (double)h->rope_base);
    return read_real(h, g, "rope.scaling.attn_factor", false, &h->rope_magnitude, err);
}

static bg_status read_rope(bg_hparams *h, const bg_architecture *arch, const bg_gguf *g,
                           bg_error *err)
{
    static const field dimension = {"rope.dimension_count", AT(rope_dim), 2, 1u << 12, false,
                                    false};
    static const field context = {"rope.scaling.original_context_length", AT(rope_n_ctx), 1,
                                  1u << 30, false, false};
    h->rope_dim = h->head_dim;
    h->rope_base = 10000.0f;
    h->rope_n_ctx = h->n_ctx_train;
    h->local_rope_base = arch->local_rope_base;
    BG_TRY(read_integer(h, g, &dimension, err));
    BG_TRY(read_integer(h, g, &context, err));
    BG_TRY(read_real(h, g, "rope.freq_base", false, &h->rope_base, err));
    if (arch->window_period)
        BG_TRY(read_real(h, g, "rope.freq_base_swa", false, &h->local_rope_base, err));
    if (h->rope_dim > h->head_dim || h->rope_dim % 2)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "rope.dimension_count is %u where a head has %u: it must be even and no "
                       "larger", h->rope_dim, h->head_dim);
    return read_scaling(h, g, err);
}

/* Things that a file may say and that would need other arithmetic. */
static bg_status refuse_variants(const bg_hparams *h, const bg_gguf *g, bg_error *err)
{
    static const struct { const char *key, *what; } zeros[] = {
        {"expert_count", "mixtures of experts are not supported: give a dense model"},
        {"attention.key_length_swa", "heads of another width in layers with a window are not "
                                     "supported"},
        {"rope.dimension_count_swa", "rotations of another width in layers with a window are not "
                                     "supported"},
    };
    uint64_t value;
    for (size_t i = 0; i < BG_COUNT(zeros); i++)
        if (bg_gguf_get_u64(g, full_key(h, zeros[i].key).name, &value) && value &&
            (i == 0 || value != h->head_dim))
            return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g), "%s is %llu: %s",
                           full_key(h, zeros[i].key).name, (unsigned long long)value,
                           zeros[i].what);
    if (bg_gguf_get_u64(g, full_key(h, "attention.value_length").name, &value) &&
        value != h->head_dim)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "keys of width %u with values of width %llu are not supported", h->head_dim,
                       (unsigned long long)value);
    return BG_OK;
}

static bg_status check_heads(const bg_hparams *h, const bg_gguf *g, const bg_layer_sizes *n,
                             bg_error *err)
{
    if (n->n_head % n->n_head_kv)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "%u query heads cannot share %u key heads evenly: the file is damaged",
                       n->n_head, n->n_head_kv);
    if (h->head_dim < 2 || (uint64_t)h->head_dim * n->n_head > 1u << 20)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "%u heads of width %u make no sense: the file is damaged", n->n_head,
                       h->head_dim);
    return BG_OK;
}

/* ---- layers ------------------------------------------------------------------------------ */

/* Whether a layer sees a window only: a list says it of each, a number every how many do not. */
static bg_status read_window(uint32_t *window, const bg_hparams *h, const bg_architecture *arch,
                             const bg_gguf *g, uint32_t layer, bg_error *err)
{
    const bg_gguf_value *v =
        bg_gguf_find(g, full_key(h, "attention.sliding_window_pattern").name);
    bool list = v && v->type == BG_GGUF_ARRAY;
    int64_t n = arch->window_period;
    *window = 0;
    if (!h->window) return BG_OK;
    if (v && (!bg_gguf_element_i64(v, list ? layer : 0, &n) || n < 0))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "key %s does not say of layer %u whether it sees a window: the file is "
                       "damaged",
                       v->key, layer);
    if (list ? n != 0 : n == 0 || layer % n < n - 1) *window = h->window;
    return BG_OK;
}

bg_status bg_layer_sizes_read(bg_layer_sizes *n, const bg_hparams *h, const bg_architecture *arch,
                              const bg_gguf *g, uint32_t layer, bg_error *err)
{
    *n = (bg_layer_sizes){.n_ff = 0};
    BG_TRY(read_window(&n->window, h, arch, g, layer, err));
    for (size_t i = 0; i < BG_COUNT(of_layers); i++) {
        const bg_gguf_value *v = bg_gguf_find(g, full_key(h, of_layers[i].f.key).name);
        uint32_t *out = (uint32_t *)((char *)n + of_layers[i].in_layer);
        if (v) BG_TRY(read_element(h, g, &of_layers[i].f, v, layer, out, err));
        else *out = n->n_head; /* of n_head_kv, which comes after it */
    }
    return check_heads(h, g, n, err);
}

bg_status bg_hparams_read(bg_hparams *h, const bg_architecture **architecture, const bg_gguf *g,
                          bg_error *err)
{
    static const field window = {"attention.sliding_window", AT(window), 0, UINT32_MAX, false,
                                 false};
    const bg_architecture *arch;
    bg_layer_sizes first;
    uint32_t width;
    memset(h, 0, sizeof *h);
    BG_TRY(read_architecture(h, architecture, g, err));
    arch = *architecture;
    for (size_t i = 0; i < BG_COUNT(integers); i++)
        BG_TRY(read_integer(h, g, &integers[i], err));
    for (size_t i = 0; i < BG_COUNT(of_layers); i++) {
        h->n_head_kv = h->n_head;
        BG_TRY(read_integer(h, g, &of_layers[i].f, err));
    }
    h->head_dim = 2; /* for the check of numbers of heads alone */
    BG_TRY(bg_layer_sizes_read(&first, h, arch, g, 0, err));
    width = h->n_embd / first.n_head;
    h->head_dim = h->n_embd % first.n_head ? 0 : width;
    BG_TRY(read_integer(h, g, &head_dim, err));
    BG_TRY(check_heads(h, g, &first, err));
    BG_TRY(refuse_variants(h, g, err));
    h->window = arch->window;
    if (arch->window_period) BG_TRY(read_integer(h, g, &window, err));
    h->rms_eps = 1e-5f;
    h->embedding_scale = arch->scales_embedding ? sqrtf((float)h->n_embd) : 1;
    h->score_scale = 1.0f / sqrtf((float)(h->n_layer == arch->wide_query_layers ? width
                                                                                 : h->head_dim));
    h->score_cap = arch->score_cap;
    h->logit_cap = arch->logit_cap;
    BG_TRY(read_real(h, g, "attention.layer_norm_rms_epsilon", false, &h->rms_eps, err));
    if (arch->score_cap > 0)
        BG_TRY(read_real(h, g, "attn_logit_softcapping", false, &h->score_cap, err));
    if (arch->logit_cap > 0 || arch->caps_logits)
        BG_TRY(read_real(h, g, "final_logit_softcapping", true, &h->logit_cap, err));
    return read_rope(h, arch, g, err);
}
