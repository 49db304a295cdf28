/* coder_any.c: the heavy loops for any CPU of the target. */
#define BG_CODER_NAME(function) function##_any
#include "formats/half_lanes.h"
#include "formats/search_lanes.h"
