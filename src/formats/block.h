/* block.h: what the block formats share: little-endian fields at any alignment, rounding, and the
 * prototypes of every format's pair of functions. Internal. */
#ifndef BG_FORMATS_BLOCK_H
#define BG_FORMATS_BLOCK_H

#include "base/base.h"
#include "bitgauge/format.h"

#include <string.h>

#define BG_FORMAT(NAME, prefix, id, weights, bytes, activation, level)                           \
    void bg_##prefix##_decode(const void *blocks, float *out, size_t n);                         \
    void bg_##prefix##_encode(const float *in, const float *importance, void *blocks, size_t n);
#include "bitgauge/formats.def"

static inline uint16_t bg_load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t bg_load_u32(const uint8_t *p)
{
    return bg_load_u16(p) | (uint32_t)bg_load_u16(p + 2) << 16;
}

static inline void bg_store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void bg_store_u32(uint8_t *p, uint32_t v)
{
    bg_store_u16(p, (uint16_t)v);
    bg_store_u16(p + 2, (uint16_t)(v >> 16));
}

static inline float bg_load_f16(const uint8_t *p) { return bg_f16_to_f32(bg_load_u16(p)); }

/* Stores a value that already is a finite half (see bg_round_f16). */
static inline void bg_store_f16(uint8_t *p, float x) { bg_store_u16(p, bg_f32_to_f16(x)); }

/* The nearest finite half: what a block can hold for a scale. */
static inline float bg_round_f16(float x)
{
    return bg_f16_to_f32(bg_f32_to_f16(BG_MIN(BG_MAX(x, -65504.0f), 65504.0f)));
}

/* Nearest integer, ties to even, as a float; |x| < 2^22. */
static inline float bg_round(float x) { return (x + 12582912.0f) - 12582912.0f; }

static inline float bg_clamp(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* 1/x, and 0 for a scale of 0: quants of an empty grid are all its origin. */
static inline float bg_inverse(float x)
{
    return x < -1e-30f || x > 1e-30f ? 1.0f / x : 0.0f;
}

#endif
