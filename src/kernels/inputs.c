/* What checks feed to kernels. The bytes of a block are free but for its scales, whose places are
 * listed here. */
#include "kernels/kernels.h"

#include "isa/blocks.h"

#include <stddef.h>
#include <string.h>

#define AT(type, member) (int)offsetof(bg_block_##type, member)
static const struct { bg_format format; int halves[2]; } places[] = { /* -1: there is none */
    {BG_FORMAT_Q4_0, {AT(q4_0, d), -1}},      {BG_FORMAT_Q4_1, {AT(q4_1, d), AT(q4_1, m)}},
    {BG_FORMAT_Q5_0, {AT(q5_0, d), -1}},      {BG_FORMAT_Q5_1, {AT(q5_1, d), AT(q5_1, m)}},
    {BG_FORMAT_Q8_0, {AT(q8_0, d), -1}},      {BG_FORMAT_IQ4_NL, {AT(q4_0, d), -1}},
    {BG_FORMAT_Q2_K, {AT(q2_k, d), AT(q2_k, dmin)}},
    {BG_FORMAT_Q3_K, {AT(q3_k, d), -1}},      {BG_FORMAT_Q4_K, {AT(q4_k, d), AT(q4_k, dmin)}},
    {BG_FORMAT_Q5_K, {AT(q5_k, d), AT(q5_k, dmin)}},
    {BG_FORMAT_Q6_K, {AT(q6_k, d), -1}},      {BG_FORMAT_IQ4_XS, {AT(iq4_xs, d), -1}},
    {BG_FORMAT_TQ1_0, {AT(tq1_0, d), -1}},    {BG_FORMAT_TQ2_0, {AT(tq2_0, d), -1}},
};

static float pick(bg_rng *rng, const float *values, size_t n)
{
    return values[bg_rng_below(rng, n)];
}

/* A scale, or a number of a float format. Every value is a half, also the denormal ones. */
static float scale(bg_input kind, bg_rng *rng)
{
    static const float strange[] = {0, -0.0f, 0x1p-24f, -0x1p-24f, 0x3ffp-24f, 65504, -65504, 1};
    static const float powers[] = {0.5f, 1, 2, -0.5f, -1, -2};
    switch (kind) {
    case BG_INPUT_SCALES: return pick(rng, strange, BG_COUNT(strange));
    case BG_INPUT_EXACT: return pick(rng, powers, BG_COUNT(powers));
    default: return (float)(bg_rng_unit(rng) + 0.5) * (bg_rng_below(rng, 2) ? 0x1p-6f : -0x1p-6f);
    }
}

static void store_half(uint8_t *p, float x)
{
    uint16_t h = bg_f32_to_f16(x);
    memcpy(p, &h, sizeof h);
}

static void store_float(bg_format format, uint8_t *p, float x)
{
    uint16_t h = format == BG_FORMAT_F16 ? bg_f32_to_f16(x) : bg_f32_to_bf16(x);
    if (format == BG_FORMAT_F32)
        memcpy(p, &x, sizeof x);
    else
        memcpy(p, &h, sizeof h);
}

static float number(bg_input kind, bg_rng *rng)
{
    switch (kind) {
    case BG_INPUT_EXTREME: return bg_rng_below(rng, 2) ? 65504 : -65504;
    case BG_INPUT_SCALES: return scale(kind, rng);
    case BG_INPUT_EXACT: return (float)bg_rng_below(rng, 17) - 8;
    default: return (float)bg_rng_normal(rng);
    }
}

void bg_input_weights(const bg_format_info *f, bg_input kind, bg_rng *rng, uint8_t *row, size_t k)
{
    static const uint8_t patterns[] = {0xff, 0x00, 0x80, 0x7f, 0xf0, 0x0f};
    size_t place = 0;
    if (f->block_weights == 1) {
        for (size_t i = 0; i < k; i++)
            store_float(f->format, row + i * f->block_bytes, number(kind, rng));
        return;
    }
    while (places[place].format != f->format) place++;
    for (size_t b = 0; b < k / f->block_weights; b++, row += f->block_bytes) {
        if (kind == BG_INPUT_EXTREME)
            memset(row, patterns[bg_rng_below(rng, BG_COUNT(patterns))], f->block_bytes);
        else
            for (size_t i = 0; i < f->block_bytes; i++) row[i] = (uint8_t)bg_rng_u64(rng);
        for (int i = 0; i < 2; i++)
            if (places[place].halves[i] >= 0)
                store_half(row + places[place].halves[i], scale(kind, rng));
    }
}

static void quants(bg_input kind, bg_rng *rng, int8_t *q, size_t n)
{
    int sign = bg_rng_below(rng, 2) ? 1 : -1, alternate = bg_rng_below(rng, 2) ? 1 : -1;
    for (size_t i = 0; i < n; i++) {
        if (kind == BG_INPUT_EXTREME)
            q[i] = (int8_t)(127 * sign);
        else if (kind == BG_INPUT_EXACT)
            q[i] = (int8_t)((int)bg_rng_below(rng, 3) - 1);
        else
            q[i] = (int8_t)((int)bg_rng_below(rng, 255) - 127);
        sign *= alternate;
    }
}

void bg_input_column(bg_format activation, bg_input kind, bg_rng *rng, uint8_t *x, size_t k)
{
    size_t bytes = bg_format_get(activation)->block_bytes;
    memset(x, 0xff, bg_activation_bytes(activation, k)); /* what lies behind the column is NaN */
    if (activation == BG_FORMAT_F32 || activation == BG_FORMAT_BF16) {
        for (size_t i = 0; i < k; i++) store_float(activation, x + bytes * i, number(kind, rng));
    } else if (activation == BG_FORMAT_Q8_0) {
        bg_block_q8_0 *b = (bg_block_q8_0 *)x;
        for (size_t i = 0; i < k / 32; i++) {
            store_half(b[i].d, scale(kind, rng));
            quants(kind, rng, b[i].qs, 32);
        }
    } else {
        bg_block_q8_k *b = (bg_block_q8_k *)x;
        for (size_t i = 0; i < k / 256; i++) {
            store_float(BG_FORMAT_F32, b[i].d, scale(kind, rng));
            quants(kind, rng, b[i].qs, 256);
            for (int s = 0; s < 16; s++) {
                int16_t sum = 0;
                for (int j = 0; j < 16; j++) sum = (int16_t)(sum + b[i].qs[16 * s + j]);
                memcpy(b[i].bsums + 2 * s, &sum, sizeof sum);
            }
        }
    }
}
