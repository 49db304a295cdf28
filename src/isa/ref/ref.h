/* ref.h: portable C shared inside this folder. Internal. */
#ifndef BG_REF_H
#define BG_REF_H

#include "isa/isa.h"

bg_encode_fn bg_ref_encode_q8_0, bg_ref_encode_q8_k;

#endif
