/* grad_avx2.c: the loops of the differentiable model for AVX2. */
#ifdef __x86_64__
#define BG_GRAD_OPS bg_grad_ops_avx2
#include "search/grad_lanes.h"
#endif
