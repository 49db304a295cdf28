/* q8_k.c: 256 activations in 292 bytes, w = d q. Never stored in a file.
 *
 *     0  f32 d
 *     4  256 int8 q, -127 to 127
 *   260  16 int16: the sum of every 16 q, which is what a format with minima multiplies them with
 */
#include "formats/block.h"

#include <math.h>

void bg_q8_k_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 292, out += 256) {
        float d;
        memcpy(&d, b, sizeof d);
        for (int j = 0; j < 256; j++) out[j] = d * (float)(int8_t)b[4 + j];
    }
}

/* The largest magnitude becomes 127; importance does not matter at eight bits. */
void bg_q8_k_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    uint8_t *b = blocks;
    (void)importance;
    for (size_t i = 0; i < n; i += 256, b += 292, in += 256) {
        float most = 0, d, inverse;
        for (int j = 0; j < 256; j++) most = BG_MAX(most, fabsf(in[j]));
        d = most / 127.0f;
        inverse = bg_inverse(d);
        if (inverse == 0.0f) d = 0.0f;
        memcpy(b, &d, sizeof d);
        for (int g = 0; g < 16; g++) {
            int sum = 0;
            for (int j = 16 * g; j < 16 * g + 16; j++) {
                int q = (int)bg_round(in[j] * inverse);
                b[4 + j] = (uint8_t)(int8_t)q;
                sum += q;
            }
            bg_store_u16(b + 260 + 2 * g, (uint16_t)(int16_t)sum);
        }
    }
}
