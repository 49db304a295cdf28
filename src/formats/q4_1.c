/* q4_1.c: 32 weights in 20 bytes, w = d q + m.
 *
 *   0  f16 d
 *   2  f16 m
 *   4  16 bytes: byte j holds q[j] in its low and q[j + 16] in its high four bits
 */
#include "formats/search.h"

void bg_q4_1_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 20, out += 32) {
        float d = bg_load_f16(b), m = bg_load_f16(b + 2);
        for (int j = 0; j < 16; j++) {
            out[j] = (float)(b[4 + j] & 15) * d + m;
            out[j + 16] = (float)(b[4 + j] >> 4) * d + m;
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_AFFINE, .subs = 1, .size = 32, .low = 0, .high = 15, .scale_low = 1,
    .scale_high = 1, .min_low = 1, .min_high = 1, .trials = 12, .beyond = 0.15f, .apart = 0.15f,
    .stretch = 0.15f, .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b, fit->d);
    bg_store_f16(b + 2, -fit->dmin);
    for (int j = 0; j < 16; j++) b[4 + j] = (uint8_t)(fit->q[j] | fit->q[j + 16] << 4);
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b);
    s->dmin = -bg_load_f16(b + 2);
    s->sc[0] = s->m[0] = 1;
}

const bg_codec bg_q4_1_codec = {&grid, store, load};

void bg_q4_1_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 20, store);
}
