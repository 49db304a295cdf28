/* search.c: rows of blocks, tile by tile. */
#include "formats/coder.h"

void bg_search(const bg_grid *g, const float *in, const float *importance, size_t n,
               uint8_t *blocks, size_t block_bytes, bg_store_fn *store)
{
    const bg_coder *coder = bg_coder_now();
    size_t tile = (size_t)(BG_TILE_SUBS * g->size), block = (size_t)(g->subs * g->size);
    float rest[BG_TILE_WEIGHTS], rest_importance[BG_TILE_WEIGHTS];
    bg_tile_fit fit;
    for (size_t i = 0; i < n; i += tile) {
        size_t some = BG_MIN(tile, n - i);
        const float *x = in + i, *w = importance ? importance + i : NULL;
        if (some < tile) { /* the other lanes search blocks of zeros */
            memset(rest, 0, sizeof rest);
            x = memcpy(rest, x, some * sizeof *x);
            memset(rest_importance, 0, sizeof rest_importance);
            if (w) w = memcpy(rest_importance, w, some * sizeof *w);
        }
        coder->search_tile(g, x, w, &fit);
        for (size_t b = 0; b * block < some; b++, blocks += block_bytes) {
            size_t lane = b * (size_t)g->subs;
            store(&(bg_fit){fit.d[b], fit.dmin[b], fit.sc + lane, fit.m + lane, fit.q + b * block},
                  blocks);
        }
    }
}
