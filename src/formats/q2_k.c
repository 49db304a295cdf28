/* q2_k.c: 256 weights in 84 bytes; 16 sub-blocks of 16, w = d sc q - dmin m.
 *
 *    0  16 bytes: sc of sub-block s in the low, m in the high four bits of byte s
 *   16  64 bytes: weight 128 h + 32 g + i has its two bits in byte 32 h + i, from bit 2 g on
 *   80  f16 d
 *   82  f16 dmin
 */
#include "formats/search.h"

void bg_q2_k_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 84, out += 256) {
        float d = bg_load_f16(b + 80), dmin = bg_load_f16(b + 82);
        for (int s = 0; s < 16; s++) {
            const uint8_t *q = b + 16 + (s & 8) * 4 + (s & 1) * 16;
            float scale = d * (float)(b[s] & 15), min = dmin * (float)(b[s] >> 4);
            int shift = (s & 6);
            for (int j = 0; j < 16; j++)
                out[16 * s + j] = scale * (float)(q[j] >> shift & 3) - min;
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_AFFINE, .subs = 16, .size = 16, .low = 0, .high = 3, .scale_low = 0,
    .scale_high = 15, .min_low = 0, .min_high = 15, .trials = 10, .beyond = 0.4f, .apart = 0.12f,
    .stretch = 0.25f, .descents = 2, .neighbours = 4,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b + 80, fit->d);
    bg_store_f16(b + 82, fit->dmin);
    for (int s = 0; s < 16; s++) b[s] = (uint8_t)(fit->sc[s] | fit->m[s] << 4);
    for (int j = 0; j < 64; j += 16) {
        const uint8_t *q = fit->q + j / 32 * 128 + j % 32;
        bg_bytes_put(b + 16 + j, bg_bytes_at(q) | bg_bytes_at(q + 32) << 2
                                     | bg_bytes_at(q + 64) << 4 | bg_bytes_at(q + 96) << 6);
    }
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b + 80);
    s->dmin = bg_load_f16(b + 82);
    for (int i = 0; i < 16; i++) {
        s->sc[i] = b[i] & 15;
        s->m[i] = (int8_t)(b[i] >> 4);
    }
}

const bg_codec bg_q2_k_codec = {&grid, store, load};

void bg_q2_k_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 84, store);
}
