/* ref.h: the portable code, and what the check asks of it. Internal. */
#ifndef BG_REF_H
#define BG_REF_H

#include "isa/isa.h"

/* The matmul of a weight format with columns of an activation format that some kernel of it takes.
 * With `magnitude` every product is replaced by its size (of scale q x and min x, each times its
 * d's): however a kernel groups and orders its additions, its error is some roundings of this. */
void bg_ref_matmul(bg_format format, bg_format activation, bool magnitude, const bg_matmul *args);

bg_encode_fn bg_ref_encode_q8_0, bg_ref_encode_q8_k, bg_ref_encode_bf16;
bg_attend_fn bg_ref_attend;

#endif
