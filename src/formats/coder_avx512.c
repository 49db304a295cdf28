/* coder_avx512.c: the heavy loops for AVX-512. */
#ifdef __x86_64__
#define BG_CODER_NAME(function) function##_avx512
#include "formats/half_lanes.h"
#include "formats/search_lanes.h"
#endif
