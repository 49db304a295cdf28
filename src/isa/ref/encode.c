#include "isa/ref/ref.h"

#include "isa/blocks.h"

#include <math.h>

/* n values as q; returns d. */
static float encode(const float *in, int8_t *q, int n)
{
    float largest = 0, factor;
    bool finite = true;
    for (int i = 0; i < n; i++) {
        float x = fabsf(in[i]);
        finite = finite && x <= 3.40282347e38f; /* false for NaN */
        if (x > largest) largest = x;
    }
    memset(q, 0, (size_t)n);
    if (!finite) return NAN;
    if (largest < BG_ENCODE_TINY) return 0;
    factor = 127.0f / largest;
    for (int i = 0; i < n; i++) q[i] = (int8_t)lrintf(in[i] * factor);
    return largest / 127.0f;
}

void bg_ref_encode_q8_0(const float *in, void *out, size_t k)
{
    bg_block_q8_0 *b = out;
    for (size_t i = 0; i < k / 32; i++) {
        uint16_t d = bg_f32_to_f16(encode(in + 32 * i, b[i].qs, 32));
        memcpy(b[i].d, &d, 2);
    }
}

void bg_ref_encode_q8_k(const float *in, void *out, size_t k)
{
    bg_block_q8_k *b = out;
    for (size_t i = 0; i < k / 256; i++) {
        float d = encode(in + 256 * i, b[i].qs, 256);
        memcpy(b[i].d, &d, 4);
        for (int s = 0; s < 16; s++) {
            int16_t sum = 0;
            for (int j = 0; j < 16; j++) sum = (int16_t)(sum + b[i].qs[16 * s + j]);
            memcpy(b[i].bsums + 2 * s, &sum, 2);
        }
    }
}

void bg_ref_encode_bf16(const float *in, void *out, size_t k)
{
    uint16_t *h = out;
    for (size_t i = 0; i < k; i++) h[i] = bg_f32_to_bf16(in[i]);
}
