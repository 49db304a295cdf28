/* iq4_xs.c: 256 weights in 136 bytes; 8 sub-blocks of 32, w = d (sc - 32) level[q].
 *
 *   0  f16 d
 *   2  u16: the two high bits of sc[s] from bit 2 s on
 *   4  4 bytes: the four low bits of sc[2 i] (low nibble) and sc[2 i + 1] (high nibble)
 *   8  128 bytes: byte 16 s + j holds weight 32 s + j in its low, 32 s + 16 + j in its high nibble
 */
#include "formats/search.h"
#include "formats/iq4.h"

static int scale_of(const uint8_t *b, int s)
{
    return (b[4 + s / 2] >> s % 2 * 4 & 15) | (int)(bg_load_u16(b + 2) >> 2 * s & 3) << 4;
}

void bg_iq4_xs_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 136, out += 256) {
        float d = bg_load_f16(b);
        for (int s = 0; s < 8; s++) {
            float scale = d * (float)(scale_of(b, s) - 32);
            const uint8_t *q = b + 8 + 16 * s;
            for (int j = 0; j < 16; j++) {
                out[32 * s + j] = scale * bg_iq4_values[q[j] & 15];
                out[32 * s + 16 + j] = scale * bg_iq4_values[q[j] >> 4];
            }
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_IQ4, .subs = 8, .size = 32, .low = -127, .high = 113, .scale_low = -32,
    .scale_high = 31, .trials = 26, .beyond = 0, .apart = 3,
    .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    unsigned high = 0;
    bg_store_f16(b, fit->d);
    memset(b + 4, 0, 4);
    for (int s = 0; s < 8; s++) {
        int sc = fit->sc[s] + 32;
        high |= (unsigned)(sc >> 4) << 2 * s;
        b[4 + s / 2] |= (uint8_t)((sc & 15) << s % 2 * 4);
    }
    bg_store_u16(b + 2, (uint16_t)high);
    for (int s = 0; s < 8; s++) {
        const uint8_t *q = fit->q + 32 * s;
        bg_bytes_put(b + 8 + 16 * s, bg_bytes_at(q) | bg_bytes_at(q + 16) << 4);
    }
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b);
    for (int i = 0; i < 8; i++) s->sc[i] = (int8_t)(scale_of(b, i) - 32);
}

const bg_codec bg_iq4_xs_codec = {&grid, store, load};

void bg_iq4_xs_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 136, store);
}
