/* tq1_0.c: 256 weights in 54 bytes, w = d (q - 1) with q of 0, 1, 2.
 *
 *    0  32 bytes: byte i holds weights i, 32 + i, 64 + i, 96 + i, 128 + i
 *   32  16 bytes: byte i holds weights 160 + i, 176 + i, 192 + i, 208 + i, 224 + i
 *   48  4 bytes: byte i holds weights 240 + i, 244 + i, 248 + i, 252 + i
 *   52  f16 d
 *
 * A byte is the fraction of 256 that its digits make in base 3, the first weight's digit first,
 * rounded up: multiplying by 3 then moves the next digit above the byte.
 */
#include "formats/search.h"

typedef struct part { int first, bytes, digits, offset; } part;
static const part parts[] = {{0, 32, 5, 0}, {160, 16, 5, 32}, {240, 4, 4, 48}};

void bg_tq1_0_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 256, b += 54, out += 256) {
        float d = bg_load_f16(b + 52);
        for (const part *p = parts; p < parts + BG_COUNT(parts); p++)
            for (int j = 0; j < p->bytes; j++) {
                unsigned rest = b[p->offset + j];
                for (int k = 0; k < p->digits; k++, rest = rest * 3 & 255)
                    out[p->first + k * p->bytes + j] = (float)((int)(rest * 3 >> 8) - 1) * d;
            }
    }
}

static const bg_grid grid = {
    .kind = BG_GRID_SCALED, .subs = 16, .size = 16, .low = -1, .high = 1, .scale_low = 1,
    .scale_high = 1, .trials = 14, .beyond = 1.6f, .apart = 0.5f,
    .descents = 1, .neighbours = 2,
};

static void store(const bg_fit *fit, uint8_t *b)
{
    bg_store_f16(b + 52, fit->d);
    for (const part *p = parts; p < parts + BG_COUNT(parts); p++)
        for (int j = 0; j < p->bytes; j++) {
            unsigned digits = 0;
            for (int k = 0; k < 5; k++)
                digits = digits * 3 + (k < p->digits ? fit->q[p->first + k * p->bytes + j] : 0);
            b[p->offset + j] = (uint8_t)((digits * 256 + 242) / 243);
        }
}

static void load(const uint8_t *b, bg_scales *s)
{
    s->d = bg_load_f16(b + 52);
    memset(s->sc, 1, sizeof s->sc);
}

const bg_codec bg_tq1_0_codec = {&grid, store, load};

void bg_tq1_0_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    bg_search(&grid, in, importance, n, blocks, 54, store);
}
