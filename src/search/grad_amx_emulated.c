/* The same on emulated tiles, for tests on CPUs without: nothing else refers to it. */
#define BG_TILES_EMULATED
#define BG_GRAD_OPS bg_grad_ops_amx_emulated
#include "search/grad_amx.c"
