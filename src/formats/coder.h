/* coder.h: the heavy loops of encoding, compiled for several instruction sets. All of them give the
 * same bits, so that which one runs is a matter of speed alone. Internal. */
#ifndef BG_FORMATS_CODER_H
#define BG_FORMATS_CODER_H

#include "formats/search.h"

typedef struct bg_coder {
    const char *name;
    bool (*present)(void);      /* in this CPU */
    bg_search_tile_fn *search_tile;
    void (*decode_halves)(const void *halves, float *out, size_t n);
    void (*encode_halves)(const float *in, void *halves, size_t n);
    void (*encode_q8_0)(const float *in, void *blocks, size_t n);
    void (*row_moments)(const float *w, const float *mean, const float *variance, size_t n,
                        float *m, float *v);
} bg_coder;

#define BG_CODER(name)                                                                 \
    bg_search_tile_fn bg_search_tile_##name;                                           \
    void bg_decode_halves_##name(const void *halves, float *out, size_t n);            \
    void bg_encode_halves_##name(const float *in, void *halves, size_t n);             \
    void bg_encode_q8_0_##name(const float *in, void *blocks, size_t n);               \
    void bg_row_moments_##name(const float *w, const float *mean, const float *variance, \
                               size_t n, float *m, float *v);
BG_CODER(any)
BG_CODER(avx2)
BG_CODER(avx512)
#undef BG_CODER

/* The i-th, slowest first; NULL past the end. */
const bg_coder *bg_coder_at(size_t i);
/* The one that codes: the first until bg_coder_use says otherwise. Who calls that has tried that
 * the CPU runs what it advertises. */
const bg_coder *bg_coder_now(void);
void bg_coder_use(const bg_coder *c);

#endif
