/* q4_k.c: 256 weights in 144 bytes; 8 sub-blocks of 32, w = d sc q - dmin m.
 *
 *    0  f16 d
 *    2  f16 dmin
 *    4  12 bytes: sc and m, six bits each (scales6.h)
 *   16  128 bytes: byte 32 p + i holds weight 64 p + i in its low, 64 p + 32 + i in its high nibble
 */
#include "formats/scales6.h"

void bg_q4_k_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    uint8_t sc[8], m[8];
    for (size_t i = 0; i < n; i += 256, b += 144, out += 256) {
        float d = bg_load_f16(b), dmin = bg_load_f16(b + 2);
        bg_scales6_unpack(b + 4, sc, m);
        for (int s = 0; s < 8; s++) {
            const uint8_t *q = b + 16 + s / 2 * 32;
            float scale = d * (float)sc[s], min = dmin * (float)m[s];
            for (int j = 0; j < 32; j++)
                out[32 * s + j] = scale * (float)(q[j] >> s % 2 * 4 & 15) - min;
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_AFFINE, .subs = 8, .size = 32, .low = 0, .high = 15, .scale_low = 0,
    .scale_high = 63, .min_low = 0, .min_high = 63, .trials = 8, .beyond = 0.15f, .apart = 0.15f,
    .stretch = 0.15f, .descents = 1, .neighbours = 12,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_scales6_store(b, fit);
    for (int j = 0; j < 128; j += 16) {
        const uint8_t *q = fit->q + j / 32 * 64 + j % 32;
        bg_bytes_put(b + 16 + j, bg_bytes_at(q) | bg_bytes_at(q + 32) << 4);
    }
}

static void load(const uint8_t *b, bg_scales *s) { bg_scales6_load(b, s); }

const bg_codec bg_q4_k_codec = {&grid, store, load};

void bg_q4_k_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 144, store);
}
