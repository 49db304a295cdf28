/* q8_0.c: 32 weights in 34 bytes, w = d q. Also the activations of the 32-weight formats.
 *
 *   0  f16 d
 *   2  32 int8 q
 */
#include "formats/block.h"

#include <math.h>

void bg_q8_0_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 34, out += 32) {
        float d = bg_load_f16(b);
        for (int j = 0; j < 32; j++) out[j] = (float)(int8_t)b[2 + j] * d;
    }
}

/* The largest magnitude becomes 127: fast enough for activations, and near the best for weights. */
void bg_q8_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    uint8_t *b = blocks;
    (void)importance;
    for (size_t i = 0; i < n; i += 32, b += 34, in += 32) {
        float most = 0, d, inverse;
        for (int j = 0; j < 32; j++) most = BG_MAX(most, fabsf(in[j]));
        d = bg_round_f16(most / 127.0f);
        inverse = bg_inverse(d);
        bg_store_f16(b, d);
        for (int j = 0; j < 32; j++)
            b[2 + j] = (uint8_t)(int8_t)bg_round(bg_clamp(in[j] * inverse, -127.0f, 127.0f));
    }
}
