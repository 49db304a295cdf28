/* neon.h: shared inside this folder. Internal. */
#ifndef BG_NEON_H
#define BG_NEON_H

#include "isa/isa.h"

bg_attend_fn bg_neon_attend;
bg_encode_fn bg_neon_encode_q8_0, bg_neon_encode_q8_k;

#endif
