/* variants.h: a small random model of every architecture and of what its files may say, as GGUF in
 * memory. They are the same everywhere, so what another program computes for them can be kept. */
#ifndef BG_TEST_VARIANTS_H
#define BG_TEST_VARIANTS_H

#include "unit/gguf/build.h"

#include "model/model.h"

#include <math.h>

/* Tensors that a variant has beside the matrices and norms of llama. */
enum {
    HAS_OUTPUT = 1, HAS_QKV_BIAS = 2, HAS_OTHER_BIAS = 4, HAS_HEAD_NORM = 8, HAS_POST_NORM = 16,
    HAS_ROPE_FREQS = 32, HAS_ROPE_LENGTHS = 64, IS_FUSED = 128,
};

enum { VARIANT_MOST_KEYS = 8, VARIANT_VOCAB = 40 };

/* A key after "ARCHITECTURE."; of the values that are set the one that is not 0 decides its
 * type. */
typedef struct variant_key {
    const char *name;
    uint32_t u32;
    float f32;
    const char *text;
    const uint8_t *bools;      /* n_layer of them */
} variant_key;

typedef struct variant {
    const char *name, *arch;
    uint32_t n_layer, n_embd, n_head, n_head_kv, head_dim, n_ff;
    unsigned has;
    variant_key keys[VARIANT_MOST_KEYS];
    const uint32_t *heads, *kv_heads, *ffs;   /* by layer, or NULL */
} variant;

static const uint8_t some_windows[] = {1, 0, 0, 1};
static const uint32_t pruned_heads[] = {6, 4, 2}, pruned_kv_heads[] = {3, 2, 1},
                      pruned_ffs[] = {96, 40, 64};

static const variant variants[] = {
    {"llama", "llama", 2, 64, 4, 2, 16, 96, HAS_ROPE_FREQS, {{NULL}}, NULL, NULL, NULL},
    {"llama-biases", "llama", 2, 48, 4, 4, 12, 80, HAS_OUTPUT | HAS_QKV_BIAS | HAS_OTHER_BIAS,
     {{"rope.freq_base", 0, 1e5f, NULL, NULL}}, NULL, NULL, NULL},
    {"llama-linear", "llama", 2, 64, 2, 1, 32, 96, HAS_OUTPUT,
     {{"rope.scaling.type", 0, 0, "linear", NULL}, {"rope.scaling.factor", 0, 2.5f, NULL, NULL}},
     NULL, NULL, NULL},
    {"llama-yarn", "llama", 2, 64, 2, 1, 32, 96, HAS_OUTPUT,
     {{"rope.scaling.type", 0, 0, "yarn", NULL}, {"rope.scaling.factor", 0, 4, NULL, NULL},
      {"rope.scaling.original_context_length", 64, 0, NULL, NULL}}, NULL, NULL, NULL},
    {"qwen2", "qwen2", 2, 64, 4, 2, 16, 96, HAS_QKV_BIAS,
     {{"rope.freq_base", 0, 1e6f, NULL, NULL}}, NULL, NULL, NULL},
    {"qwen3", "qwen3", 2, 64, 4, 2, 24, 96, HAS_OUTPUT | HAS_HEAD_NORM,
     {{"rope.freq_base", 0, 1e6f, NULL, NULL}}, NULL, NULL, NULL},
    {"gemma2", "gemma2", 4, 64, 4, 2, 24, 96, HAS_POST_NORM,
     {{"attention.sliding_window", 24, 0, NULL, NULL},
      {"attn_logit_softcapping", 0, 3, NULL, NULL}, {"final_logit_softcapping", 0, 2, NULL, NULL}},
     NULL, NULL, NULL},
    {"gemma2-wide", "gemma2", 46, 32, 2, 1, 8, 40, HAS_POST_NORM,
     {{"attention.sliding_window", 70, 0, NULL, NULL}}, NULL, NULL, NULL},
    {"gemma3", "gemma3", 7, 64, 4, 1, 20, 96, HAS_HEAD_NORM | HAS_POST_NORM,
     {{"attention.sliding_window", 20, 0, NULL, NULL}, {"rope.freq_base", 0, 1e6f, NULL, NULL},
      {"rope.scaling.type", 0, 0, "linear", NULL}, {"rope.scaling.factor", 0, 8, NULL, NULL}},
     NULL, NULL, NULL},
    {"gemma3-pattern", "gemma3", 4, 64, 4, 2, 16, 96, HAS_HEAD_NORM | HAS_POST_NORM | HAS_OUTPUT,
     {{"attention.sliding_window", 33, 0, NULL, NULL},
      {"attention.sliding_window_pattern", 0, 0, NULL, some_windows},
      {"rope.freq_base_swa", 0, 500, NULL, NULL}, {"final_logit_softcapping", 0, 2, NULL, NULL}},
     NULL, NULL, NULL},
    {"phi3-long", "phi3", 2, 64, 4, 2, 16, 96, HAS_OUTPUT | HAS_ROPE_LENGTHS | IS_FUSED,
     {{"rope.scaling.original_context_length", 64, 0, NULL, NULL},
      {"rope.scaling.attn_factor", 0, 1.19f, NULL, NULL}, {"rope.dimension_count", 12, 0, NULL, NULL},
      {"attention.sliding_window", 30, 0, NULL, NULL}}, NULL, NULL, NULL},
    {"phi3-short", "phi3", 2, 64, 4, 4, 16, 96, HAS_ROPE_LENGTHS | IS_FUSED,
     {{"rope.scaling.original_context_length", 512, 0, NULL, NULL}}, NULL, NULL, NULL},
};

/* Layers of different sizes, and of one, whose surplus heads and channels count for nothing. */
static const variant pruned = {"llama-pruned", "llama", 3, 64, 6, 3, 16, 96, HAS_OUTPUT, {{NULL}},
                               pruned_heads, pruned_kv_heads, pruned_ffs};
static const variant uneven = {"deci", "deci", 3, 64, 6, 3, 16, 96, HAS_OUTPUT, {{NULL}},
                               pruned_heads, pruned_kv_heads, pruned_ffs};
static const variant unpruned = {"llama-unpruned", "llama", 3, 64, 6, 3, 16, 96, HAS_OUTPUT,
                                 {{NULL}}, NULL, NULL, NULL};

static uint32_t of_layer(const uint32_t *list, uint32_t all, uint32_t layer)
{
    return list ? list[layer] : all;
}

typedef struct variant_tensor { char name[40]; uint64_t k, rows; } variant_tensor;
typedef struct variant_list { variant_tensor *all; size_t n; } variant_list;

static void put_one(variant_list *o, int layer, const char *name, uint64_t k, uint64_t rows)
{
    variant_tensor *t = &o->all[o->n++];
    if (layer < 0) snprintf(t->name, sizeof t->name, "%s", name);
    else snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, name);
    t->k = k;
    t->rows = rows;
}

static void put_layer(const variant *v, int l, variant_list *o)
{
    uint64_t e = v->n_embd, ff = of_layer(v->ffs, v->n_ff, (uint32_t)l);
    uint64_t q = (uint64_t)of_layer(v->heads, v->n_head, (uint32_t)l) * v->head_dim;
    uint64_t kv = (uint64_t)of_layer(v->kv_heads, v->n_head_kv, (uint32_t)l) * v->head_dim;
    const struct { unsigned when, not; const char *name; uint64_t k, rows; } parts[] = {
        {0, 0, "attn_norm.weight", e, 0}, {0, IS_FUSED, "attn_q.weight", e, q},
        {0, IS_FUSED, "attn_k.weight", e, kv}, {0, IS_FUSED, "attn_v.weight", e, kv},
        {IS_FUSED, 0, "attn_qkv.weight", e, q + 2 * kv}, {HAS_QKV_BIAS, 0, "attn_q.bias", q, 0},
        {HAS_QKV_BIAS, 0, "attn_k.bias", kv, 0}, {HAS_QKV_BIAS, 0, "attn_v.bias", kv, 0},
        {HAS_HEAD_NORM, 0, "attn_q_norm.weight", v->head_dim, 0},
        {HAS_HEAD_NORM, 0, "attn_k_norm.weight", v->head_dim, 0},
        {0, 0, "attn_output.weight", q, e}, {HAS_OTHER_BIAS, 0, "attn_output.bias", e, 0},
        {HAS_POST_NORM, 0, "post_attention_norm.weight", e, 0}, {0, 0, "ffn_norm.weight", e, 0},
        {0, IS_FUSED, "ffn_gate.weight", e, ff}, {0, IS_FUSED, "ffn_up.weight", e, ff},
        {IS_FUSED, 0, "ffn_up.weight", e, 2 * ff}, {0, 0, "ffn_down.weight", ff, e},
        {HAS_OTHER_BIAS, 0, "ffn_gate.bias", ff, 0}, {HAS_OTHER_BIAS, 0, "ffn_up.bias", ff, 0},
        {HAS_OTHER_BIAS, 0, "ffn_down.bias", e, 0}, {HAS_POST_NORM, 0, "post_ffw_norm.weight", e, 0},
    };
    for (size_t i = 0; i < BG_COUNT(parts); i++)
        if ((!parts[i].when || (v->has & parts[i].when)) && !(v->has & parts[i].not))
            put_one(o, l, parts[i].name, parts[i].k, parts[i].rows);
}

static variant_list list_variant(const variant *v)
{
    variant_list o = {bg_alloc(8 + 24 * v->n_layer, sizeof *o.all), 0};
    uint32_t rope = v->head_dim;
    for (size_t i = 0; i < VARIANT_MOST_KEYS && v->keys[i].name; i++)
        if (strcmp(v->keys[i].name, "rope.dimension_count") == 0) rope = v->keys[i].u32;
    put_one(&o, -1, "token_embd.weight", v->n_embd, VARIANT_VOCAB);
    put_one(&o, -1, "output_norm.weight", v->n_embd, 0);
    if (v->has & HAS_OUTPUT) put_one(&o, -1, "output.weight", v->n_embd, VARIANT_VOCAB);
    if (v->has & HAS_ROPE_FREQS) put_one(&o, -1, "rope_freqs.weight", rope / 2, 0);
    if (v->has & HAS_ROPE_LENGTHS) {
        put_one(&o, -1, "rope_factors_long.weight", rope / 2, 0);
        put_one(&o, -1, "rope_factors_short.weight", rope / 2, 0);
    }
    for (uint32_t l = 0; l < v->n_layer; l++) put_layer(v, (int)l, &o);
    return o;
}

static void put_list(bg_text *g, const char *key, const uint32_t *list, uint32_t n)
{
    put_key(g, key, BG_GGUF_ARRAY);
    put(g, BG_GGUF_U32, 4);
    put(g, n, 8);
    for (uint32_t i = 0; i < n; i++) put(g, list[i], 4);
}

static void put_variant_key(const variant *v, const variant_key *k, bg_text *g)
{
    char key[80];
    uint32_t bits;
    snprintf(key, sizeof key, "%s.%s", v->arch, k->name);
    memcpy(&bits, &k->f32, 4);
    if (k->text) {
        put_key(g, key, BG_GGUF_STRING);
        put_string(g, k->text);
    } else if (k->bools) {
        put_key(g, key, BG_GGUF_ARRAY);
        put(g, BG_GGUF_BOOL, 4);
        put(g, v->n_layer, 8);
        for (uint32_t i = 0; i < v->n_layer; i++) put(g, k->bools[i], 1);
    } else if (k->f32 > 0) {
        put_key(g, key, BG_GGUF_F32);
        put(g, bits, 4);
    } else {
        put_u32(g, key, k->u32);
    }
}

static void put_variant_keys(const variant *v, bg_text *g, uint64_t *n)
{
    const struct { const char *name; uint32_t value; const uint32_t *list; } numbers[] = {
        {"block_count", v->n_layer, NULL}, {"embedding_length", v->n_embd, NULL},
        {"context_length", 512, NULL}, {"vocab_size", VARIANT_VOCAB, NULL},
        {"feed_forward_length", v->n_ff, v->ffs}, {"attention.head_count", v->n_head, v->heads},
        {"attention.head_count_kv", v->n_head_kv, v->kv_heads},
        {"attention.key_length", v->head_dim, NULL}, {"attention.value_length", v->head_dim, NULL},
    };
    variant_key eps = {"attention.layer_norm_rms_epsilon", 0, 1e-5f, NULL, NULL};
    char key[80];
    put_key(g, "general.architecture", BG_GGUF_STRING);
    put_string(g, v->arch);
    put_key(g, "tokenizer.ggml.model", BG_GGUF_STRING);
    put_string(g, "none");
    put_variant_key(v, &eps, g);
    for (size_t i = 0; i < BG_COUNT(numbers); i++) {
        snprintf(key, sizeof key, "%s.%s", v->arch, numbers[i].name);
        if (numbers[i].list) put_list(g, key, numbers[i].list, v->n_layer);
        else put_u32(g, key, numbers[i].value);
    }
    *n = 3 + BG_COUNT(numbers);
    for (size_t i = 0; i < VARIANT_MOST_KEYS && v->keys[i].name; i++, ++*n)
        put_variant_key(v, &v->keys[i], g);
}

/* Sums of uniform numbers: exact, so that every machine makes the same. */
static float variant_number(bg_rng *rng)
{
    int32_t sum = 0;
    for (int i = 0; i < 4; i++) sum += (int32_t)bg_rng_below(rng, 2048);
    return (float)(sum - 4094) / 1182.0f; /* variance 1 */
}

static float variant_value(const variant_tensor *t, bg_rng *rng)
{
    float x = variant_number(rng);
    if (strstr(t->name, ".bias")) return 0.5f * x;
    if (strstr(t->name, "rope_")) return 1 + 2 * fabsf(x);
    return t->rows ? 1.5f * x / sqrtf((float)t->k) : 1 + 0.3f * x;
}

/* The file. Those rows and columns that `smaller` (NULL: v itself) has are as in its file, others
 * zero. Free with bg_text_fini. */
static bg_text variant_file(const variant *v, const variant *smaller)
{
    variant_list list = list_variant(v), known = list_variant(smaller ? smaller : v);
    bg_text head = {0}, body = {0}, keys = {0};
    uint64_t n_keys;
    bg_rng rng;
    bg_rng_seed(&rng, 17);
    put_variant_keys(v, &keys, &n_keys);
    put_header(&head, 3, list.n, n_keys);
    bg_text_append(&head, keys.data, keys.length);
    for (size_t i = 0; i < list.n; i++) {
        const variant_tensor *t = &list.all[i], *of = &known.all[i];
        uint64_t ne[2] = {t->k, t->rows}, numbers = t->k * (t->rows ? t->rows : 1);
        put_tensor(&head, t->name, t->rows ? 2 : 1, ne, BG_FORMAT_F32, body.length);
        for (uint64_t j = 0; j < numbers; j++) {
            bool there = j % t->k < of->k && j / t->k < (of->rows ? of->rows : 1);
            float value = there ? variant_value(of, &rng) : 0;
            bg_text_append(&body, (const char *)&value, 4);
        }
        put_padding(&body, 32);
    }
    put_padding(&head, 32);
    bg_text_append(&head, body.data, body.length);
    bg_text_fini(&body);
    bg_text_fini(&keys);
    bg_free(list.all);
    bg_free(known.all);
    assert_false(head.failed);
    return head;
}

#endif
