/* panel.h: what the loops over panels share. Internal. */
#ifndef BG_TEMPLATE_PANEL_H
#define BG_TEMPLATE_PANEL_H

#include "base/base.h"
#include "isa/isa.h"

/* Results of a column of a panel, of which the first `rows` are wanted; added to y if `add`. */
BG_INLINE void panel_store(float *y, const vflt result[VECTORS], size_t rows, bool add)
{
    float part[BG_PANEL_ROWS] = {0}, *to = rows < BG_PANEL_ROWS ? part : y;
    if (add && rows < BG_PANEL_ROWS) memcpy(part, y, rows * sizeof *y);
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        vflt all = add ? v_add(v_load_floats(to + v * LANES), result[v]) : result[v];
        v_store_floats(to + v * LANES, all);
    }
    if (rows < BG_PANEL_ROWS) memcpy(y, part, rows * sizeof *y);
}

#endif
