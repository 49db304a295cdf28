/* q5_0.c: 32 weights in 22 bytes, w = d (q - 16).
 *
 *   0  f16 d
 *   2  u32: bit j is the fifth bit of q[j]
 *   6  16 bytes: low four bits of q[j] (low nibble) and of q[j + 16] (high nibble)
 */
#include "formats/search.h"

void bg_q5_0_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 22, out += 32) {
        float d = bg_load_f16(b);
        uint32_t high = bg_load_u32(b + 2);
        for (int j = 0; j < 16; j++) {
            int low = (b[6 + j] & 15) | (int)(high >> j & 1) << 4;
            int top = b[6 + j] >> 4 | (int)(high >> (j + 16) & 1) << 4;
            out[j] = (float)(low - 16) * d;
            out[j + 16] = (float)(top - 16) * d;
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_SCALED, .subs = 1, .size = 32, .low = -16, .high = 15, .scale_low = 1,
    .scale_high = 1, .trials = 26, .beyond = 0, .apart = 0.15f,
    .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    uint32_t high = 0;
    bg_store_f16(b, fit->d);
    for (int j = 0; j < 32; j++) high |= (uint32_t)(fit->q[j] >> 4) << j;
    bg_store_u32(b + 2, high);
    for (int j = 0; j < 16; j++)
        b[6 + j] = (uint8_t)((fit->q[j] & 15) | (fit->q[j + 16] & 15) << 4);
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b);
    s->sc[0] = 1;
}

const bg_codec bg_q5_0_codec = {&grid, store, load};

void bg_q5_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 22, store);
}
