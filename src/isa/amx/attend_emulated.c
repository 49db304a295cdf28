/* Attention on emulated tiles, for tests: nothing else refers to it. */
#define BG_TILES_EMULATED
#include "isa/amx/attend.c"
