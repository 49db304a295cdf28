/* q6_k.c: 256 weights in 210 bytes; 16 sub-blocks of 16, w = d sc (q - 32).
 *
 *     0  128 bytes: weight 128 h + 32 g + i has its four low bits in byte 64 h + 32 (g % 2) + i,
 *        in the low nibble for g < 2, else in the high one
 *   128  64 bytes: byte 32 h + i holds its two high bits, from bit 2 g on
 *   192  16 int8 sc
 *   208  f16 d
 */
#include "formats/search.h"

void bg_q6_k_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 210, out += 256) {
        float d = bg_load_f16(b + 208);
        for (int s = 0; s < 16; s++) {
            int half = s / 8, group = s / 2 % 4, side = s % 2 * 16;
            const uint8_t *low = b + 64 * half + group % 2 * 32 + side;
            const uint8_t *high = b + 128 + 32 * half + side;
            float scale = d * (float)(int8_t)b[192 + s];
            for (int j = 0; j < 16; j++) {
                int q = (low[j] >> group / 2 * 4 & 15) | (high[j] >> 2 * group & 3) << 4;
                out[16 * s + j] = scale * (float)(q - 32);
            }
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_SCALED, .subs = 16, .size = 16, .low = -32, .high = 31, .scale_low = -128,
    .scale_high = 127, .trials = 10, .beyond = -0.3f, .apart = 0.4f,
    .descents = 1, .neighbours = 22,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b + 208, fit->d);
    for (int s = 0; s < 16; s++) b[192 + s] = (uint8_t)(int8_t)fit->sc[s];
    for (int j = 0; j < 64; j += 16) {
        const uint8_t *p = fit->q + j / 32 * 128 + j % 32;
        uint8_t *low = b + j / 32 * 64 + j % 32;
        bg_bytes q[4];
        for (int i = 0; i < 4; i++) q[i] = bg_bytes_at(p + 32 * i);
        bg_bytes_put(low, (q[0] & 15) | q[2] << 4);
        bg_bytes_put(low + 32, (q[1] & 15) | q[3] << 4);
        bg_bytes_put(b + 128 + j, q[0] >> 4 | (q[1] >> 4) << 2 | (q[2] >> 4) << 4
                                      | (q[3] >> 4) << 6);
    }
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b + 208);
    memcpy(s->sc, b + 192, 16);
}

const bg_codec bg_q6_k_codec = {&grid, store, load};

void bg_q6_k_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 210, store);
}
