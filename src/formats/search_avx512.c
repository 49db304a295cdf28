/* search_avx512.c: the search for AVX-512 (F, BW, DQ, VL). */
#ifdef __x86_64__
#define BG_SEARCH_TILE bg_search_tile_avx512
#include "formats/search_lanes.h"
#endif
