/* ref.h: the portable code, and what the check asks of it. Internal. */
#ifndef BG_REF_H
#define BG_REF_H

#include "isa/isa.h"

/* The matmul of a format with every product replaced by its magnitude (of scale q x and min x, each
 * times its d's): however a kernel groups and orders its additions, its error is some roundings of
 * this. NULL if it is no format of weights. */
bg_matmul_fn *bg_ref_magnitude(bg_format format);

bg_encode_fn bg_ref_encode_q8_0, bg_ref_encode_q8_k;

#endif
