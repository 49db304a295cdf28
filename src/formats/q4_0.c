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
    .kind = BG_GRID_SCALED, .subs = 1, .size = 32, .low = -8, .high = 7, .scale_low = 1,
    .scale_high = 1, .trials = 26, .beyond = 0, .apart = 0.15f,
    .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b, fit->d);
    for (int j = 0; j < 16; j++) b[2 + j] = (uint8_t)(fit->q[j] | fit->q[j + 16] << 4);
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b);
    s->sc[0] = 1;
}

const bg_codec bg_q4_0_codec = {&grid, store, load};

void bg_q4_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 18, store);
}
