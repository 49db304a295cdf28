/* grad_amx.c: the loops of the differentiable model for AVX-512 with AMX's tiles. */
#ifdef __x86_64__
#ifndef BG_GRAD_OPS
#define BG_GRAD_OPS bg_grad_ops_amx
#endif
#define BG_GRAD_TILES
#include "search/grad_lanes.h"
#endif
