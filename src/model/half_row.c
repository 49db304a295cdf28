#include "model/model.h"

#include <math.h>
#include <string.h>

enum { PIECE = 256, SCALE = sizeof(float) / sizeof(uint16_t) };
static const float LARGEST_HALF = 65504;

size_t bg_half_row(size_t n) { return SCALE + n; }

/* A power of two by which to divide; NaN where a number is not finite. */
static float scale_of(const float *x, size_t n)
{
    float largest = 0, sum = 0;
    int exponent;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(x[i]);
        largest = magnitude > largest ? magnitude : largest;
        sum += 0 * magnitude;
    }
    if (isnan(sum)) return NAN;
    if (largest <= 0 || (largest >= 1 && largest <= LARGEST_HALF)) return 1;
    frexpf(largest, &exponent);
    return ldexpf(1, exponent - 15);
}

void bg_half_row_put(const float *x, size_t n, uint16_t *row)
{
    const bg_format_info *halves = bg_format_get(BG_FORMAT_F16);
    float scale = scale_of(x, n), part[PIECE];
    bool plain = scale >= 1 && scale <= 1;
    memcpy(row, &scale, sizeof scale);
    if (plain) bg_format_encode(halves, x, NULL, row + SCALE, n);
    for (size_t at = 0; !plain && at < n; at += PIECE) {
        size_t some = BG_MIN(n - at, (size_t)PIECE);
        for (size_t i = 0; i < some; i++) part[i] = x[at + i] / scale;
        bg_format_encode(halves, part, NULL, row + SCALE + at, some);
    }
}

void bg_half_row_get(const uint16_t *row, float *x, size_t n)
{
    float scale;
    memcpy(&scale, row, sizeof scale);
    bg_format_decode(bg_format_get(BG_FORMAT_F16), row + SCALE, x, n);
    if (scale >= 1 && scale <= 1) return;
    for (size_t i = 0; i < n; i++) x[i] *= scale;
}
