/* tiny.h: random models of a few thousand weights, as GGUF in memory. */
#ifndef BG_TEST_TINY_H
#define BG_TEST_TINY_H

#include "unit/gguf/build.h"

#include "model/model.h"

#include <math.h>
#include <stdlib.h>

typedef struct tiny {
    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, rope_dim, n_vocab;
    bool tied, rope_factors;
    float linear;         /* rope.scaling.factor; 0: none */
    bg_format format;     /* of matrices */
    bg_format value;      /* of attn_v and ffn_down; NONE: as format */
    bool bias;            /* of attn_output and ffn_down: about 1 */
    const char *text_key, *text;           /* one more key, or NULL */
    const char *number_key;                /* and another */
    uint32_t number;
} tiny;

static const tiny tiny_default = {
    .n_layer = 2, .n_embd = 64, .n_ff = 96, .n_head = 4, .n_head_kv = 2, .head_dim = 16,
    .rope_dim = 16, .n_vocab = 48, .format = BG_FORMAT_F32, .value = BG_FORMAT_NONE,
};

typedef struct tiny_tensor { char name[40]; uint64_t k, rows; bg_format format; } tiny_tensor;

/* The tensors of t in `out` (room for 64). */
static size_t tiny_list(const tiny *t, tiny_tensor *out)
{
    uint64_t q = (uint64_t)t->n_head * t->head_dim, kv = (uint64_t)t->n_head_kv * t->head_dim;
    bg_format f = t->format, v = t->value == BG_FORMAT_NONE ? f : t->value;
    const struct { const char *name; uint64_t k, rows; bg_format format; } parts[] = {
        {"attn_norm", t->n_embd, 0, BG_FORMAT_F32}, {"attn_q", t->n_embd, q, f},
        {"attn_k", t->n_embd, kv, f}, {"attn_v", t->n_embd, kv, v},
        {"attn_output", q, t->n_embd, f},
        {"ffn_norm", t->n_embd, 0, BG_FORMAT_F32}, {"ffn_gate", t->n_embd, t->n_ff, f},
        {"ffn_up", t->n_embd, t->n_ff, f}, {"ffn_down", t->n_ff, t->n_embd, v},
    };
    size_t n = 0;
    out[n++] = (tiny_tensor){"token_embd.weight", t->n_embd, t->n_vocab, f};
    out[n++] = (tiny_tensor){"output_norm.weight", t->n_embd, 0, BG_FORMAT_F32};
    if (!t->tied) out[n++] = (tiny_tensor){"output.weight", t->n_embd, t->n_vocab, f};
    if (t->rope_factors)
        out[n++] = (tiny_tensor){"rope_freqs.weight", t->rope_dim / 2, 0, BG_FORMAT_F32};
    for (uint32_t l = 0; l < t->n_layer; l++)
        for (size_t i = 0; i < BG_COUNT(parts); i++) {
            tiny_tensor *o = &out[n++];
            snprintf(o->name, sizeof o->name, "blk.%u.%s.weight", l, parts[i].name);
            o->k = parts[i].k;
            o->rows = parts[i].rows;
            o->format = parts[i].format;
        }
    for (uint32_t l = 0; t->bias && l < 2 * t->n_layer; l++) {
        tiny_tensor *o = &out[n++];
        *o = (tiny_tensor){.k = t->n_embd, .format = BG_FORMAT_F32};
        snprintf(o->name, sizeof o->name, "blk.%u.%s.bias", l / 2, l % 2 ? "ffn_down" : "attn_output");
    }
    return n;
}

static void tiny_values(const tiny_tensor *t, bg_rng *rng, float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x = bg_rng_normal(rng);
        values[i] = (float)(t->rows ? 1.5 * x / sqrt((double)t->k) : 1 + 0.1 * fabs(x));
    }
}

static void tiny_keys(const tiny *t, bg_text *g, uint64_t *n)
{
    const struct { const char *key; uint32_t value; } keys[] = {
        {"llama.block_count", t->n_layer}, {"llama.embedding_length", t->n_embd},
        {"llama.feed_forward_length", t->n_ff}, {"llama.context_length", 512},
        {"llama.attention.head_count", t->n_head}, {"llama.attention.head_count_kv", t->n_head_kv},
        {"llama.attention.key_length", t->head_dim}, {"llama.rope.dimension_count", t->rope_dim},
    };
    put_key(g, "general.architecture", BG_GGUF_STRING);
    put_string(g, "llama");
    for (size_t i = 0; i < BG_COUNT(keys); i++) put_u32(g, keys[i].key, keys[i].value);
    *n = 1 + BG_COUNT(keys);
    if (t->linear > 0) {
        uint32_t bits;
        memcpy(&bits, &t->linear, 4);
        put_key(g, "llama.rope.scaling.type", BG_GGUF_STRING);
        put_string(g, "linear");
        put_key(g, "llama.rope.scaling.factor", BG_GGUF_F32);
        put(g, bits, 4);
        *n += 2;
    }
    if (t->text_key) {
        put_key(g, t->text_key, BG_GGUF_STRING);
        put_string(g, t->text);
        ++*n;
    }
    if (t->number_key) {
        put_u32(g, t->number_key, t->number);
        ++*n;
    }
}

/* The file. Free with bg_text_fini. */
static bg_text tiny_file(const tiny *t)
{
    tiny_tensor list[64];
    size_t n = tiny_list(t, list), offset = 0;
    uint64_t n_keys;
    bg_text head = {0}, keys = {0}, body = {0};
    bg_rng rng;
    bg_rng_seed(&rng, 11);
    tiny_keys(t, &keys, &n_keys);
    put_header(&head, 3, n, n_keys);
    bg_text_append(&head, keys.data, keys.length);
    for (size_t i = 0; i < n; i++) {
        const bg_format_info *f = bg_format_get(list[i].format);
        uint64_t ne[2] = {list[i].k, list[i].rows};
        size_t rows = list[i].rows ? list[i].rows : 1, bytes = bg_format_row_bytes(f, list[i].k);
        float *values = bg_alloc(list[i].k, sizeof *values);
        char *blocks = bg_alloc(1, bytes);
        put_tensor(&head, list[i].name, list[i].rows ? 2 : 1, ne, (uint32_t)list[i].format, offset);
        for (size_t r = 0; r < rows; r++) {
            tiny_values(&list[i], &rng, values, list[i].k);
            bg_format_encode(f, values, NULL, blocks, list[i].k);
            bg_text_append(&body, blocks, bytes);
        }
        put_padding(&body, 32);
        offset = body.length;
        bg_free(values);
        bg_free(blocks);
    }
    put_padding(&head, 32);
    bg_text_append(&head, body.data, body.length);
    bg_text_fini(&keys);
    bg_text_fini(&body);
    assert_false(head.failed);
    return head;
}

static bg_model *tiny_open(const bg_text *file)
{
    bg_error err;
    bg_gguf *g;
    bg_model *m;
    assert_ok(bg_gguf_open_memory(&g, file->data, file->length, "tiny.gguf", &err), &err);
    assert_ok(bg_model_open_gguf(&m, g, &err), &err);
    return m;
}

#endif
