/* shape.h: shapes, as the model room makes models of them. Internal. */
#ifndef BG_SHAPE_INTERNAL_H
#define BG_SHAPE_INTERNAL_H

#include "bitgauge/shape.h"

#include "base/base.h"

/* The model that runs here: one of the llama architecture with the same matrices. */
bg_status bg_shape_runnable(const bg_shape *s, bg_gguf **g, bg_error *err);
/* The tensor of the shape's file that a tensor of the runnable model is part of decides its format:
 * "blk.3.attn_q.weight" -> "blk.3.attn_qkv.weight" where those are one matrix. */
const char *bg_shape_scheme_name(const bg_shape *s, const char *tensor, char *buffer, size_t n);

#endif
