/* pack.h: pieces of the packed layout, for kernels' checks and the reference. Internal. */
#ifndef BG_FORMATS_PACK_H
#define BG_FORMATS_PACK_H

#include "bitgauge/format.h"

/* One panel of up to 16 rows, `stride` bytes apart. zeros is a row that stands in for those that
 * are missing. */
void bg_pack_panel(const bg_format_info *f, const void *src, size_t stride, size_t rows, size_t k,
                   const void *zeros, void *dst);

/* Bytes a row and weights of a packed block: the format's own, but for halves, which go in pairs.
 * A panel's block takes 16 times the bytes. */
size_t bg_packed_block_bytes(const bg_format_info *f);
size_t bg_packed_block_weights(const bg_format_info *f);
/* Row 0..15 of one block of a panel, back as a GGUF block. */
void bg_unpack_block(const bg_format_info *f, const void *block, size_t row, void *out);

#endif
