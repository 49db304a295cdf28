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

#define CODECS(X)                                                                                  \
    X(Q4_0, q4_0) X(Q4_1, q4_1) X(Q5_0, q5_0) X(Q5_1, q5_1) X(Q2_K, q2_k) X(Q3_K, q3_k)            \
    X(Q4_K, q4_k) X(Q5_K, q5_k) X(Q6_K, q6_k) X(IQ4_NL, iq4_nl) X(IQ4_XS, iq4_xs)                  \
    X(TQ1_0, tq1_0) X(TQ2_0, tq2_0)

#define CODEC(NAME, prefix) extern const bg_codec bg_##prefix##_codec;
CODECS(CODEC)
#undef CODEC

const bg_codec *bg_codec_of(bg_format f)
{
    switch ((int)f) {
#define CODEC(NAME, prefix) case BG_FORMAT_##NAME: return &bg_##prefix##_codec;
    CODECS(CODEC)
#undef CODEC
    default: return NULL;
    }
}
