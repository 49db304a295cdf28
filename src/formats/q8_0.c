/* q8_0.c: 32 weights in 34 bytes, w = d q. Also the activations of the 32-weight formats.
 *
 *   0  f16 d
 *   2  32 int8 q
 */
#include "formats/coder.h"

void bg_q8_0_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 34, out += 32) {
        float d = bg_load_f16(b);
        for (int j = 0; j < 32; j++) out[j] = (float)(int8_t)b[2 + j] * d;
    }
}

void bg_q8_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    (void)importance;
    bg_coder_now()->encode_q8_0(in, blocks, n);
}
