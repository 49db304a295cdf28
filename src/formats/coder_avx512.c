/* coder_avx512.c: the heavy loops for AVX-512. */
#ifdef __x86_64__
#define BG_SEARCH_TILE bg_search_tile_avx512
#define BG_DECODE_HALVES bg_decode_halves_avx512
#include "formats/half_lanes.h"
#include "formats/search_lanes.h"
#endif
