/* iq4_nl.c: 32 weights in 18 bytes, w = d level[q].
 *
 *   0  f16 d
 *   2  16 bytes: byte j holds q[j] in its low and q[j + 16] in its high four bits
 */
#include "formats/search.h"
#include "formats/iq4.h"

void bg_iq4_nl_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 18, out += 32) {
        float d = bg_load_f16(b);
        for (int j = 0; j < 16; j++) {
            out[j] = d * (float)bg_iq4_levels[b[2 + j] & 15];
            out[j + 16] = d * (float)bg_iq4_levels[b[2 + j] >> 4];
        }
    }
}

static const bg_grid grid = {
    .subs = 1, .size = 32, .low = -127, .high = 113, .levels = bg_iq4_nearest, .scale_low = 1,
    .scale_high = 1,
};

void bg_iq4_nl_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    uint8_t *b = blocks;
    bg_target target;
    bg_fit fit;
    for (size_t i = 0; i < n; i += 32, b += 18) {
        bg_target_load(&target, in + i, importance ? importance + i : NULL, 32);
        bg_search_scaled(&grid, &target, &fit);
        for (int j = 0; j < 32; j++) fit.q[j] = bg_iq4_index(fit.q[j] - 128);
        bg_store_f16(b, fit.d);
        for (int j = 0; j < 16; j++) b[2 + j] = (uint8_t)(fit.q[j] | fit.q[j + 16] << 4);
    }
}
