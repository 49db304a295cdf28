/* ref.h: the portable code, and what the check asks of it. Internal. */
#ifndef BG_REF_H
#define BG_REF_H

#include "isa/isa.h"

/* What a matmul of the reference adds up for each product of a weight and an activation. */
typedef enum bg_ref_sum {
    BG_REF_VALUES,
    /* Its size (of scale q x and min x, each times its d's): however a kernel groups and orders its
     * additions, its error is some roundings of this. */
    BG_REF_MAGNITUDES,
    /* The size of what it loses when the weight is rounded to bf16; for activations in BF16. */
    BG_REF_ROUNDINGS
} bg_ref_sum;

/* The matmul of a weight format with columns of an activation format that some kernel of it
 * takes. */
void bg_ref_matmul(bg_format format, bg_format activation, bg_ref_sum sum, const bg_matmul *args);

bg_encode_fn bg_ref_encode_q8_0, bg_ref_encode_q8_k, bg_ref_encode_bf16;
bg_attend_fn bg_ref_attend;

#endif
