/* q3_k.c: 256 weights in 110 bytes; 16 sub-blocks of 16, w = d (sc - 32) (q - 4).
 *
 *     0  32 bytes: bit 4 h + g of byte i is the third bit of weight 128 h + 32 g + i
 *    32  64 bytes: byte 32 h + i holds its two low bits, from bit 2 g on
 *    96  8 bytes: low four bits of sc[s] (low nibble) and sc[s + 8] (high nibble)
 *   104  4 bytes: byte s % 4 holds the two high bits of sc[s], from bit 2 (s / 4) on
 *   108  f16 d
 */
#include "formats/search.h"

static int scale_of(const uint8_t *b, int s)
{
    return (b[96 + s % 8] >> s / 8 * 4 & 15) | (b[104 + s % 4] >> s / 4 * 2 & 3) << 4;
}

void bg_q3_k_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 110, out += 256) {
        float d = bg_load_f16(b + 108);
        for (int s = 0; s < 16; s++) {
            const uint8_t *high = b + (s & 1) * 16, *low = high + 32 + (s & 8) * 4;
            float scale = d * (float)(scale_of(b, s) - 32);
            int shift = s & 6, bit = s / 2;
            for (int j = 0; j < 16; j++) {
                int q = (low[j] >> shift & 3) | (high[j] >> bit & 1) << 2;
                out[16 * s + j] = scale * (float)(q - 4);
            }
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_SCALED, .subs = 16, .size = 16, .low = -4, .high = 3, .scale_low = -32,
    .scale_high = 31, .trials = 14, .beyond = 0.15f, .apart = 0.25f,
    .descents = 1, .neighbours = 4,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b + 108, fit->d);
    memset(b + 96, 0, 12);
    for (int s = 0; s < 16; s++) {
        int sc = fit->sc[s] + 32;
        b[96 + s % 8] |= (uint8_t)((sc & 15) << s / 8 * 4);
        b[104 + s % 4] |= (uint8_t)(sc >> 4 << s / 4 * 2);
    }
    for (int j = 0; j < 32; j += 16) {
        bg_bytes high = {0}, low = {0};
        for (int g = 7; g >= 0; g--) {
            bg_bytes q = bg_bytes_at(fit->q + 32 * g + j);
            high = high << 1 | q >> 2;
            low = low << 2 | (q & 3);
            if (g % 4 == 0) bg_bytes_put(b + 32 + g / 4 * 32 + j, low);
        }
        bg_bytes_put(b + j, high);
    }
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b + 108);
    for (int i = 0; i < 16; i++) s->sc[i] = (int8_t)(scale_of(b, i) - 32);
}

const bg_codec bg_q3_k_codec = {&grid, store, load};

void bg_q3_k_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 110, store);
}
