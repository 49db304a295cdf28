/* unpack.h: a block of weights as plain integers. Internal.
 *
 *   weight i = d * scale[i / sub] * q[i] - dmin * min[i / sub]
 *
 * with sub = n for formats that have one scale a block. */
#ifndef BG_REF_UNPACK_H
#define BG_REF_UNPACK_H

#include "isa/blocks.h"

typedef struct bg_ref_block {
    int q[256];
    int scale[16], min[16];
    float d, dmin;
} bg_ref_block;

/* b's scale and min come in as 1 and 0, dmin as 0: one-scale formats leave them. */
typedef void bg_ref_unpack_fn(const void *block, bg_ref_block *b);

bg_ref_unpack_fn bg_ref_q4_0, bg_ref_q4_1, bg_ref_q5_0, bg_ref_q5_1, bg_ref_q8_0, bg_ref_q2_k,
    bg_ref_q3_k, bg_ref_q4_k, bg_ref_q5_k, bg_ref_q6_k, bg_ref_iq4_nl, bg_ref_iq4_xs, bg_ref_tq1_0,
    bg_ref_tq2_0;

#endif
