/* tiny.h: random models of a few thousand weights as GGUF in memory, and what they compute by naive
 * loops in double precision. */
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
        {"attn_k", t->n_embd, kv, f}, {"attn_v", t->n_embd, kv, v}, {"attn_output", q, t->n_embd, f},
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

/* ---- naive ------------------------------------------------------------------------------- */

static float *naive_weights(const bg_model *m, const char *name)
{
    const bg_tensor *t = bg_model_tensor_find(m, name);
    const bg_format_info *f;
    float *w;
    assert_non_null(t);
    f = bg_format_get(t->format);
    w = bg_alloc(t->ne[0] * t->ne[1], sizeof *w);
    for (size_t r = 0; r < t->ne[1]; r++)
        bg_format_decode(f, (const char *)t->data + r * bg_format_row_bytes(f, t->ne[0]),
                         w + r * t->ne[0], t->ne[0]);
    return w;
}

/* y[rows] = W x */
static void naive_product(const bg_model *m, const char *name, const double *x, double *y)
{
    const bg_tensor *t = bg_model_tensor_find(m, name);
    float *w = naive_weights(m, name);
    for (size_t r = 0; r < t->ne[1]; r++) {
        y[r] = 0;
        for (size_t i = 0; i < t->ne[0]; i++) y[r] += (double)w[r * t->ne[0] + i] * x[i];
    }
    bg_free(w);
}

static void naive_norm(const bg_model *m, const char *name, const double *x, double *y, size_t n)
{
    float *w = naive_weights(m, name);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    for (size_t i = 0; i < n; i++) y[i] = x[i] / sqrt(sum / (double)n + 1e-5) * (double)w[i];
    bg_free(w);
}

static void naive_rope(const tiny *t, const float *factors, double *x, size_t heads, size_t pos)
{
    for (size_t head = 0; head < heads; head++)
        for (size_t i = 0; i < t->rope_dim / 2; i++) {
            double *pair = x + head * t->head_dim + 2 * i, a = pair[0], b = pair[1];
            double angle = (double)pos * pow(10000, -2.0 * (double)i / t->rope_dim);
            if (t->linear > 0) angle /= (double)t->linear;
            if (factors) angle /= (double)factors[i];
            pair[0] = a * cos(angle) - b * sin(angle);
            pair[1] = a * sin(angle) + b * cos(angle);
        }
}

/* The cache holds halves. */
static double naive_half(double x) { return (double)bg_f16_to_f32(bg_f32_to_f16((float)x)); }

static void naive_attention(const tiny *t, const double *q, const double *k, const double *v,
                            size_t pos, double *out)
{
    size_t kv = (size_t)t->n_head_kv * t->head_dim, dim = t->head_dim;
    double p[512], sum;
    for (size_t head = 0; head < t->n_head; head++) {
        size_t shared = head / (t->n_head / t->n_head_kv) * dim;
        sum = 0;
        for (size_t j = 0; j <= pos; j++) {
            double s = 0;
            for (size_t d = 0; d < dim; d++) s += q[head * dim + d] * k[j * kv + shared + d];
            sum += p[j] = exp(s / sqrt((double)dim));
        }
        for (size_t d = 0; d < dim; d++) {
            out[head * dim + d] = 0;
            for (size_t j = 0; j <= pos; j++)
                out[head * dim + d] += p[j] / sum * v[j * kv + shared + d];
        }
    }
}

/* Logits of all n tokens, [n][n_vocab]. Free with bg_free. */
static double *naive_logits(const tiny *t, const bg_model *m, const int32_t *tokens, size_t n)
{
    size_t e = t->n_embd, q_width = (size_t)t->n_head * t->head_dim;
    size_t kv = (size_t)t->n_head_kv * t->head_dim;
    double *x = bg_alloc(n * e, sizeof *x), *logits = bg_alloc(n * t->n_vocab, sizeof *logits);
    double *k = bg_alloc(n * kv, sizeof *k), *v = bg_alloc(n * kv, sizeof *v);
    double *h = bg_alloc(4096, sizeof *h), *q = bg_alloc(4096, sizeof *q);
    double *a = bg_alloc(4096, sizeof *a), *b = bg_alloc(4096, sizeof *b);
    float *embd = naive_weights(m, "token_embd.weight");
    float *factors = t->rope_factors ? naive_weights(m, "rope_freqs.weight") : NULL;
    char name[BG_W_COUNT + 2][40];
    static const char *const parts[] = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate",
                                        "ffn_up", "ffn_down", "attn_norm", "ffn_norm"};
    assert_true(q_width <= 4096 && t->n_ff <= 4096);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < e; j++) x[i * e + j] = (double)embd[(size_t)tokens[i] * e + j];
    for (uint32_t l = 0; l < t->n_layer; l++) {
        for (size_t i = 0; i < BG_COUNT(parts); i++)
            snprintf(name[i], sizeof name[i], "blk.%u.%s.weight", l, parts[i]);
        for (size_t i = 0; i < n; i++) {
            double *y = x + i * e;
            naive_norm(m, name[7], y, h, e);
            naive_product(m, name[0], h, q);
            naive_product(m, name[1], h, k + i * kv);
            naive_product(m, name[2], h, v + i * kv);
            naive_rope(t, factors, q, t->n_head, i);
            naive_rope(t, factors, k + i * kv, t->n_head_kv, i);
            for (size_t j = i * kv; j < (i + 1) * kv; j++) {
                k[j] = naive_half(k[j]);
                v[j] = naive_half(v[j]);
            }
            naive_attention(t, q, k, v, i, a);
            naive_product(m, name[3], a, h);
            for (size_t j = 0; j < e; j++) y[j] += h[j];
            naive_norm(m, name[8], y, h, e);
            naive_product(m, name[4], h, a);
            naive_product(m, name[5], h, b);
            for (size_t j = 0; j < t->n_ff; j++) a[j] = a[j] / (1 + exp(-a[j])) * b[j];
            naive_product(m, name[6], a, h);
            for (size_t j = 0; j < e; j++) y[j] += h[j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        naive_norm(m, "output_norm.weight", x + i * e, h, e);
        naive_product(m, t->tied ? "token_embd.weight" : "output.weight", h,
                      logits + i * t->n_vocab);
    }
    bg_free(x), bg_free(k), bg_free(v), bg_free(h), bg_free(q), bg_free(a), bg_free(b);
    bg_free(embd), bg_free(factors);
    return logits;
}

#endif
