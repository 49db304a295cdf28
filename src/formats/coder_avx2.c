/* coder_avx2.c: the heavy loops for AVX2. */
#ifdef __x86_64__
#define BG_SEARCH_TILE bg_search_tile_avx2
#define BG_DECODE_HALVES bg_decode_halves_avx2
#include "formats/half_lanes.h"
#include "formats/search_lanes.h"
#endif
