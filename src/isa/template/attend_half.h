/* attend_half.h: attention on keys and values as they lie in the cache, queries and weights in
 * single precision. Internal; goes before attend.h. */
#ifndef BG_TEMPLATE_ATTEND_HALF_H
#define BG_TEMPLATE_ATTEND_HALF_H

BG_INLINE void att_queries(const bg_attend *a, float factor, void *rows, size_t stride)
{
    const vfloats f = f_all(factor);
    for (size_t r = 0; r < a->tokens * a->heads; r++) {
        const float *q = a->q + r / a->heads * a->q_stride + r % a->heads * a->dim;
        float *out = (float *)(void *)((char *)rows + r * stride);
        size_t i = 0;
        for (; i + FLOATS <= a->dim; i += FLOATS)
            f_store(out + i, f_mul(f_load(q + i), f));
        for (; i < a->dim; i++) out[i] = q[i] * factor;
    }
}

/* Those of a single token come from memory: asked for 4 KiB ahead, they take 105 us where it was
 * 143 (and 88 from cache); 2, 8 and 16 KiB are worse. */
BG_INLINE size_t att_ahead(const bg_attend *a) { return a->tokens == 1 ? 4096 : 0; }

BG_INLINE att_matrix att_keys(const bg_attend *a, size_t start, size_t width, void *room)
{
    (void)width, (void)room;
    return (att_matrix){
        .data = (const uint8_t *)(a->keys + bg_attend_place(a, start) * a->dim),
        .step = BG_KV_PANEL * sizeof(uint16_t), .panel = a->dim * BG_KV_PANEL * sizeof(uint16_t),
        .ahead = att_ahead(a),
    };
}

BG_INLINE att_matrix att_values(const bg_attend *a, size_t start, size_t width, void *room)
{
    (void)width, (void)room;
    return (att_matrix){
        .data = (const uint8_t *)(a->values + bg_attend_place(a, start) * a->value_width),
        .step = a->value_width * sizeof(uint16_t), .panel = BG_KV_PANEL * sizeof(uint16_t),
        .ahead = att_ahead(a),
    };
}

/* Over the scores themselves. */
BG_INLINE void att_put(void *weights, size_t i, vfloats w) { f_store((float *)weights + i, w); }

#endif
