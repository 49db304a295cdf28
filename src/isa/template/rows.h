/* rows.h: the rows of the registry that a set of template kernels makes, for its detect.c.
 * Internal.
 *
 * The including file says which set it is (BG_SET_ISA) and what its kernels are called
 * (BG_SET(op, name)), and names with BG_PAIR the templates of kernels.def that it has. */
#ifndef BG_TEMPLATE_ROWS_H
#define BG_TEMPLATE_ROWS_H

#include "isa/isa.h"

#define BG_ROW(NAME, OP, ACTIVATION, run) \
    {BG_FORMAT_##NAME, BG_OP_##OP, BG_SET_ISA, BG_TIER_TMPL, BG_FORMAT_##ACTIVATION, run},
/* One column and several. */
#define BG_PAIR(NAME, ACTIVATION, name)                \
    BG_ROW(NAME, GEMV, ACTIVATION, BG_SET(gemv, name)) \
    BG_ROW(NAME, GEMM, ACTIVATION, BG_SET(gemm, name))

#endif
