/* rows.h: lets a kernel of GGUF rows run on panels. Internal. */
#ifndef BG_TEMPLATE_ROWS_H
#define BG_TEMPLATE_ROWS_H

#include "base/base.h"
#include "formats/pack.h"
#include "isa/isa.h"

static inline void rows_run(const bg_matmul *a, bg_format format, bg_matmul_fn *run)
{
    const bg_format_info *f = bg_format_get(format);
    bg_matmul part = *a;
    size_t bytes = bg_format_row_bytes(f, a->k);
    uint8_t *rows = bg_alloc(BG_PANEL_ROWS, bytes);
    part.w = rows;
    part.panel_bytes = bytes;
    for (size_t r = 0; rows && r < a->rows; r += BG_PANEL_ROWS) {
        part.rows = BG_MIN(a->rows - r, (size_t)BG_PANEL_ROWS);
        part.y = a->y + r;
        for (size_t i = 0; i < part.rows; i++)
            bg_unpack_row(f, (const uint8_t *)a->w + r / BG_PANEL_ROWS * a->panel_bytes, i, a->k,
                          rows + i * bytes);
        run(&part);
    }
    bg_free(rows);
}

#endif
