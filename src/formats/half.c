/* half.c: IEEE half and bfloat16, and the formats that are a plain sequence of values. */
#include "formats/coder.h"

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Half: sign 1, exponent 5 (bias 15), fraction 10. Single: 1, 8 (bias 127), 23. */
float bg_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, magnitude = (uint32_t)(h & 0x7fff) << 13;
    if (magnitude >= 0x0f800000) return from_bits(sign | magnitude | 0x7f800000); /* inf, NaN */
    if (magnitude >= 0x00800000) return from_bits(sign | (magnitude + (112u << 23)));
    /* Subnormal: as the fraction below 2^-14, whose own leading one is taken off again. */
    return from_bits(sign | bits_of(from_bits((113u << 23) + magnitude) - 0x1p-14f));
}

uint16_t bg_f32_to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds up to infinity */
    if (magnitude < 0x38800000) /* subnormal: adding 0.5 aligns units of 2^-24 and rounds */
        return (uint16_t)(sign | (bits_of(from_bits(magnitude) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | ((magnitude + 0xfff + (magnitude >> 13 & 1) - (112u << 23)) >> 13));
}

float bg_bf16_to_f32(uint16_t h) { return from_bits((uint32_t)h << 16); }

uint16_t bg_f32_to_bf16(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

void bg_f32_decode(const void *blocks, float *out, size_t n) { memcpy(out, blocks, n * 4); }

void bg_f32_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    (void)importance;
    memcpy(blocks, in, n * 4);
}

void bg_f16_decode(const void *blocks, float *out, size_t n)
{
    bg_coder_now()->decode_halves(blocks, out, n);
}

void bg_f16_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    (void)importance;
    bg_coder_now()->encode_halves(in, blocks, n);
}

void bg_bf16_decode(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;
    for (size_t i = 0; i < n; i++) out[i] = bg_bf16_to_f32(bg_load_u16(p + 2 * i));
}

void bg_bf16_encode(const float *in, const float *importance, void *blocks, size_t n)
{
    uint8_t *p = blocks;
    (void)importance;
    for (size_t i = 0; i < n; i++)
        bg_store_u16(p + 2 * i, bg_f32_to_bf16(bg_clamp(in[i], -0x1.fep127f, 0x1.fep127f)));
}
