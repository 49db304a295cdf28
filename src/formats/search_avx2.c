/* search_avx2.c: the search for AVX2. */
#ifdef __x86_64__
#define BG_SEARCH_TILE bg_search_tile_avx2
#include "formats/search_lanes.h"
#endif
