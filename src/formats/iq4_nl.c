/* iq4_nl.c: 32 weights in 18 bytes, w = d level[q].
 *
 *   0  f16 d
 *   2  16 bytes: byte j holds q[j] in its low and q[j + 16] in its high four bits
 */
#include "formats/search.h"
#include "formats/iq4.h"

void bg_iq4_nl_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 18, out += 32) {
        float d = bg_load_f16(b);
        for (int j = 0; j < 16; j++) {
            out[j] = d * bg_iq4_values[b[2 + j] & 15];
            out[j + 16] = d * bg_iq4_values[b[2 + j] >> 4];
        }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_IQ4, .subs = 1, .size = 32, .low = -127, .high = 113, .scale_low = 1,
    .scale_high = 1, .trials = 26, .beyond = 0, .apart = 3,
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

const bg_codec bg_iq4_nl_codec = {&grid, store, load};

void bg_iq4_nl_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 18, store);
}
