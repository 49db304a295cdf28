/* coder_any.c: the heavy loops for any CPU of the target. */
#define BG_SEARCH_TILE bg_search_tile_any
#define BG_DECODE_HALVES bg_decode_halves_any
#include "formats/half_lanes.h"
#include "formats/search_lanes.h"
