/* tq2_0.c: 256 weights in 66 bytes, w = d (q - 1) with q of 0 to 3.
 *
 *    0  64 bytes: weight 128 h + 32 g + i has its two bits in byte 32 h + i, from bit 2 g on
 *   64  f16 d
 */
#include "formats/search.h"

void bg_tq2_0_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 66, out += 256) {
        float d = bg_load_f16(b + 64);
        for (int j = 0; j < 256; j++) {
            int q = b[j / 128 * 32 + j % 32] >> j / 32 % 4 * 2 & 3;
            out[j] = (float)(q - 1) * d;
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_SCALED, .subs = 16, .size = 16, .low = -1, .high = 2, .scale_low = 1,
    .scale_high = 1, .trials = 14, .beyond = 1.6f, .apart = 0.5f,
    .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b + 64, fit->d);
    for (int j = 0; j < 64; j++) {
        const uint8_t *q = fit->q + j / 32 * 128 + j % 32;
        b[j] = (uint8_t)(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
    }
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b + 64);
    memset(s->sc, 1, sizeof s->sc);
}

const bg_codec bg_tq2_0_codec = {&grid, store, load};

void bg_tq2_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 66, store);
}
