/* search.h: finding the blocks that are nearest to given weights. Internal.
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

typedef enum bg_grid_kind { BG_GRID_SCALED, BG_GRID_IQ4, BG_GRID_AFFINE } bg_grid_kind;

typedef struct bg_grid {
    bg_grid_kind kind;
    int subs, size;             /* sub-blocks (1, 8 or 16), and weights in each (16 or 32) */
    int low, high;              /* integer levels; the outermost ones of IQ4 */
    int scale_low, scale_high;  /* sc */
    int min_low, min_high;      /* m; affine grids only */
    /* The first trials of a sub-block: so many (an even number), beyond the outermost levels by
     * `beyond` on average, `apart` levels from one to the next, those of affine grids beyond by
     * `stretch` more and less in turn (search_lanes.h). */
    int trials;
    float beyond, apart, stretch;
    int descents;               /* so many d and dmin are tried; affine grids only, others one */
    int neighbours;             /* further trials (even), near the sc and m that these led to */
} bg_grid;

/* One block: q counts from the lowest level. */
typedef struct bg_fit {
    float d, dmin;
    const int8_t *sc, *m;
    const uint8_t *q;
} bg_fit;

/* 16 quants at a time, for those who pack their bits. */
typedef uint8_t bg_bytes __attribute__((vector_size(16)));

static inline bg_bytes bg_bytes_at(const uint8_t *p)
{
    bg_bytes v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void bg_bytes_put(uint8_t *p, bg_bytes v) { memcpy(p, &v, sizeof v); }

typedef void bg_store_fn(const bg_fit *fit, uint8_t *block);

/* Encodes n weights, a whole number of blocks; `store` lays out each. */
void bg_search(const bg_grid *g, const float *in, const float *importance, size_t n,
               uint8_t *blocks, size_t block_bytes, bg_store_fn *store);

/* All of a block but its levels. */
typedef struct bg_scales { float d, dmin; int8_t sc[16], m[16]; } bg_scales;

/* What a format's blocks hold, how they are written, and read again, for those who choose levels
 * and scales by something else than a search. `load` leaves alone what the format has not. NULL:
 * the format has no grid. */
typedef struct bg_codec {
    const bg_grid *grid;
    bg_store_fn *store;
    void (*load)(const uint8_t *block, bg_scales *s);
} bg_codec;
const bg_codec *bg_codec_of(bg_format f);

/* ---- the search of 16 sub-blocks ----------------------------------------------------------- */

enum { BG_TILE_SUBS = 16, BG_TILE_WEIGHTS = 512 };

/* 16 sub-blocks after one another, of 16 / subs blocks. */
typedef struct bg_tile_fit {
    float d[BG_TILE_SUBS], dmin[BG_TILE_SUBS];  /* of each block */
    int8_t sc[BG_TILE_SUBS], m[BG_TILE_SUBS];
    uint8_t q[BG_TILE_WEIGHTS];
} bg_tile_fit;

/* importance may be NULL. */
typedef void bg_search_tile_fn(const bg_grid *g, const float *in, const float *importance,
                               bg_tile_fit *fit);

#endif
