/* search.h: finding the block that is nearest to given weights. Internal.
 *
 * Every format is one of two shapes of a grid of values; S sub-blocks share d (and dmin):
 *
 *   scaled:  w = d sc[s] level        level: an integer of a range, or one of sixteen (IQ4)
 *   affine:  w = d sc[s] q - dmin m[s]
 *
 * A legacy format is one sub-block whose sc and m can only be 1. Searches minimise the sum of
 * weight * error^2, where the values are what decoding will compute, with d and dmin as halves.
 */
#ifndef BG_FORMATS_SEARCH_H
#define BG_FORMATS_SEARCH_H

#include "formats/block.h"

typedef struct bg_grid {
    int subs, size;             /* sub-blocks, and weights in each: 16 or 32 (or one of 256) */
    int low, high;              /* integer levels; ignored with `levels` */
    int scale_low, scale_high;  /* sc */
    int min_low, min_high;      /* m; affine grids only */
    const int8_t *levels;       /* sixteen ascending levels, or NULL */
} bg_grid;

/* q counts from the lowest level: 0 is `low`. */
typedef struct bg_fit {
    float d, dmin;
    int sc[16], m[16];
    uint8_t q[BG_FORMAT_MAX_BLOCK];
} bg_fit;

/* The block to fit: weights limited to what a block can express, and the weight of each error. */
typedef struct bg_target {
    float x[BG_FORMAT_MAX_BLOCK], w[BG_FORMAT_MAX_BLOCK];
    float most;                 /* largest |x| */
} bg_target;

void bg_target_load(bg_target *t, const float *in, const float *importance, size_t n);

void bg_search_scaled(const bg_grid *g, const bg_target *t, bg_fit *fit);
void bg_search_affine(const bg_grid *g, const bg_target *t, bg_fit *fit);

#endif
