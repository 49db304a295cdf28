/* grad_avx512bf16.c: the loops of the differentiable model for AVX-512 that multiplies bfloat16. */
#ifdef __x86_64__
#define BG_GRAD_OPS bg_grad_ops_avx512bf16
#include "search/grad_lanes.h"
#endif
