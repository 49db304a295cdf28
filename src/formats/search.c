/* search.c: rows of blocks, tile by tile, and which instruction set searches them. */
#include "formats/search.h"

#include <stdatomic.h>

static bool always(void) { return true; }

#ifdef __x86_64__
static bool have_avx2(void) { return __builtin_cpu_supports("avx2"); }

static bool have_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const bg_searcher searchers[] = {
    {"any", always, bg_search_tile_any},
#ifdef __x86_64__
    {"avx2", have_avx2, bg_search_tile_avx2},
    {"avx512", have_avx512, bg_search_tile_avx512},
#endif
};

static const bg_searcher *_Atomic searcher = &searchers[0];

const bg_searcher *bg_searcher_at(size_t i) { return i < BG_COUNT(searchers) ? &searchers[i] : NULL; }

void bg_searcher_use(const bg_searcher *s) { atomic_store(&searcher, s); }

void bg_search(const bg_grid *g, const float *in, const float *importance, size_t n,
               uint8_t *blocks, size_t block_bytes, bg_store_fn *store)
{
    const bg_searcher *s = atomic_load(&searcher);
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
        s->tile(g, x, w, &fit);
        for (size_t b = 0; b * block < some; b++, blocks += block_bytes) {
            size_t lane = b * (size_t)g->subs;
            store(&(bg_fit){fit.d[b], fit.dmin[b], fit.sc + lane, fit.m + lane, fit.q + b * block},
                  blocks);
        }
    }
}
