/* shape.h: shapes, as the model room makes models of them. Internal. */
#ifndef BG_SHAPE_INTERNAL_H
#define BG_SHAPE_INTERNAL_H

#include "bitgauge/shape.h"

#include "base/base.h"

/* Another bg_shape_gguf, for the caller to close. */
bg_status bg_shape_describe(const bg_shape *s, bg_gguf **g, bg_error *err);

#endif
