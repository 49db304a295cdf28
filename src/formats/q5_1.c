/* q5_1.c: 32 weights in 24 bytes, w = d q + m.
 *
 *   0  f16 d
 *   2  f16 m
 *   4  u32: bit j is the fifth bit of q[j]
 *   8  16 bytes: low four bits of q[j] (low nibble) and of q[j + 16] (high nibble)
 */
#include "formats/search.h"

void bg_q5_1_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 24, out += 32) {
        float d = bg_load_f16(b), m = bg_load_f16(b + 2);
        uint32_t high = bg_load_u32(b + 4);
        for (int j = 0; j < 16; j++) {
            int low = (b[8 + j] & 15) | (int)(high >> j & 1) << 4;
            int top = b[8 + j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
            out[j] = (float)low * d + m;
            out[j + 16] = (float)top * d + m;
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_AFFINE, .subs = 1, .size = 32, .low = 0, .high = 31, .scale_low = 1,
    .scale_high = 1, .min_low = 1, .min_high = 1, .trials = 12, .beyond = 0, .apart = 0.15f,
    .stretch = 0.15f, .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    uint32_t high = 0;
    bg_store_f16(b, fit->d);
    bg_store_f16(b + 2, -fit->dmin);
    for (int j = 0; j < 32; j++) high |= (uint32_t)(fit->q[j] >> 4) << j;
    bg_store_u32(b + 4, high);
    for (int j = 0; j < 16; j++)
        b[8 + j] = (uint8_t)((fit->q[j] & 15) | (fit->q[j + 16] & 15) << 4);
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b);
    s->dmin = -bg_load_f16(b + 2);
    s->sc[0] = s->m[0] = 1;
}

const bg_codec bg_q5_1_codec = {&grid, store, load};

void bg_q5_1_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 24, store);
}
