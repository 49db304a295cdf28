/* naive.h: what a tiny model computes, by naive loops in double precision. */
#ifndef BG_TEST_NAIVE_H
#define BG_TEST_NAIVE_H

#include "tiny.h"

#include <math.h>

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
