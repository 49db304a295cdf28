/* The kernels on emulated tiles, for tests: nothing else refers to them. */
#define BG_TILES_EMULATED
#include "isa/amx/gemm.c"
