/* attend_matrix.h: what the products of attention multiply with. Internal. */
#ifndef BG_TEMPLATE_ATTEND_MATRIX_H
#define BG_TEMPLATE_ATTEND_MATRIX_H

#include "isa/attend.h"
#include "isa/inline.h"

#include "base/base.h"

/* Columns in panels of 16: `step` bytes from one bite of k to the next, `panel` from panel to
 * panel. What is read is asked for `ahead` bytes before. */
typedef struct att_matrix { const uint8_t *data; size_t step, panel, ahead; } att_matrix;

#endif
