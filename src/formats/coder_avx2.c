/* coder_avx2.c: the heavy loops for AVX2. */
#ifdef __x86_64__
#define BG_CODER_NAME(function) function##_avx2
#include "formats/half_lanes.h"
#include "formats/search_lanes.h"
#endif
