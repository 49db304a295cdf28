/* search_any.c: the search for any CPU of the target. */
#define BG_SEARCH_TILE bg_search_tile_any
#include "formats/search_lanes.h"
