/* grad_any.c: the loops of the differentiable model for any CPU of the target. */
#define BG_GRAD_OPS bg_grad_ops_any
#include "search/grad_lanes.h"
