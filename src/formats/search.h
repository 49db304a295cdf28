/* search.h: finding the block that is nearest to given weights. Internal.
 *
 * Every format is one of two shapes of a grid of values; sub-blocks share d (and dmin):
 *
 *   scaled:  w = d sc[s] level        level: an integer of a range, or one of sixteen (IQ4)
 *   affine:  w = d sc[s] q - dmin m[s]
 *
 * A legacy format is one sub-block whose sc and m can only be 1. A search minimises the sum of
 * weight * error^2, where the values are those that decoding will compute, d and dmin halves and
 * sc and m integers.
 */
#ifndef BG_FORMATS_SEARCH_H
#define BG_FORMATS_SEARCH_H

#include "formats/block.h"

typedef struct bg_grid {
    int subs, size;             /* sub-blocks, and weights in each: a multiple of 16 */
    int low, high;              /* integer levels; the outermost ones with `levels` */
    int scale_low, scale_high;  /* sc */
    int min_low, min_high;      /* m; affine grids only */
    int reach;                  /* sc (and m) tried on each side of the ideal one */
    const float *levels;        /* NULL, or the level for (i - 256) / 2 on, i below 512 */
} bg_grid;

/* q counts from the lowest level: 0 is `low`. With `levels`, q is the level itself plus 128. */
typedef struct bg_fit {
    float d, dmin;
    int sc[16], m[16];
    uint8_t q[BG_FORMAT_MAX_BLOCK];
} bg_fit;

/* The block to fit: weights limited to what a block can express, and the weight of each error. */
typedef struct bg_target {
    float x[BG_FORMAT_MAX_BLOCK], w[BG_FORMAT_MAX_BLOCK];
} bg_target;

void bg_target_load(bg_target *t, const float *in, const float *importance, size_t n);

void bg_search_scaled(const bg_grid *g, const bg_target *t, bg_fit *fit);
void bg_search_affine(const bg_grid *g, const bg_target *t, bg_fit *fit);

/* ---- what both searches stand on (search.c); n is a multiple of 16 ------------------------- */

/* Sums over a sub-block whose weights x + min were put on the nearest levels l of a scale. */
typedef struct bg_sums { float l, ll, lx, error; } bg_sums; /* w l, w l^2, w l x, w error^2 */

void bg_sub_sums(const bg_grid *g, const float *x, const float *w, float scale, float min,
                 bg_sums *sums);
float bg_sub_error(const bg_grid *g, const float *x, const float *w, float scale, float min);
void bg_sub_quantize(const bg_grid *g, const float *x, float scale, float min, uint8_t *q);

#endif
