/* q4_0.c: 32 weights in 18 bytes, w = d (q - 8).
 *
 *   0  f16 d
 *   2  16 bytes: byte j holds q[j] in its low and q[j + 16] in its high four bits
 */
#include "formats/search.h"

void bg_q4_0_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 18, out += 32) {
        float d = bg_load_f16(b);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)((b[2 + j] & 15) - 8) * d;
            out[j + 16] = (float)((b[2 + j] >> 4) - 8) * d;
        }
    }
}

static const bg_grid grid = {
    .subs = 1, .size = 32, .low = -8, .high = 7, .scale_low = 1, .scale_high = 1,
};

void bg_q4_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    uint8_t *b = blocks;
    bg_target target;
    bg_fit fit;
    for (size_t i = 0; i < n; i += 32, b += 18) {
        bg_target_load(&target, in + i, importance ? importance + i : NULL, 32);
        bg_search_scaled(&grid, &target, &fit);
        bg_store_f16(b, fit.d);
        for (int j = 0; j < 16; j++) b[2 + j] = (uint8_t)(fit.q[j] | fit.q[j + 16] << 4);
    }
}
