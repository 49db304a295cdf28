/* Attention in portable C, the definition: a position at a time. */
#include "isa/ref/ref.h"

#include <math.h>
#include <string.h>

static void see(const bg_attend *a, size_t row, const float *q, const float *key,
                const float *value)
{
    float *out = a->out + row * a->value_width, score = 0, weight;
    for (size_t d = 0; d < a->dim; d++) score += q[d] * key[d];
    score *= a->scale;
    if (a->cap > 0) a->soft_cap(&score, a->cap, 1);
    score *= 1.44269504f;
    if (score > a->base[row]) {
        float shrink = exp2f(a->base[row] - score);
        for (size_t d = 0; d < a->dim; d++) out[d] *= shrink;
        a->sum[row] *= shrink;
        a->base[row] = score;
    }
    weight = exp2f(score - a->base[row]);
    a->sum[row] += weight;
    for (size_t d = 0; d < a->dim; d++) out[d] += weight * value[d];
}

void bg_ref_attend(const bg_attend *a)
{
    size_t rows = a->tokens * a->heads;
    float *key = a->scratch, *value = key + a->dim;
    memset(a->out, 0, rows * a->value_width * sizeof(float));
    memset(a->sum, 0, rows * sizeof(float));
    for (size_t r = 0; r < rows; r++) a->base[r] = -INFINITY;
    for (size_t j = a->begin; j < a->end; j++) {
        size_t at = bg_attend_place(a, j);
        const uint16_t *k = a->keys + at / BG_KV_PANEL * BG_KV_PANEL * a->dim + at % BG_KV_PANEL;
        const uint16_t *v = a->values + at * a->value_width;
        for (size_t d = 0; d < a->dim; d++) {
            key[d] = bg_f16_to_f32(k[d * BG_KV_PANEL]);
            value[d] = bg_f16_to_f32(v[d]);
        }
        for (size_t r = 0; r < rows; r++) {
            size_t pos = a->pos + r / a->heads;
            if (j <= pos && j >= bg_attend_first(a, pos))
                see(a, r, a->q + r / a->heads * a->q_stride + r % a->heads * a->dim, key, value);
        }
    }
}
