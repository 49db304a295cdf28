/* recipe.h: how pruning cuts tensors. Internal to the search room. */
#ifndef BG_SEARCH_RECIPE_H
#define BG_SEARCH_RECIPE_H

#include "base/base.h"
#include "bitgauge/search.h"

typedef enum bg_cut_axis { BG_CUT_NONE, BG_CUT_ROWS, BG_CUT_COLUMNS } bg_cut_axis;

/* Of a tensor that pruning may cut: units of so many rows or columns, and which of them stay. */
typedef struct bg_cut {
    bg_cut_axis axis;
    bool heads;              /* units are key-value heads, else feed-forward channels */
    uint32_t layer, units, unit;
    const bg_kept *kept;
} bg_cut;

/* The layer in "blk.12.attn_v.weight", and what comes after it ("attn_v.weight"); false: none. */
bool bg_recipe_layer_of(const char *name, uint32_t *layer, const char **rest);
/* axis NONE: no pruning of this tensor, but for its whole layer. */
bg_cut bg_recipe_cut(const bg_recipe *r, const char *name);
/* bg_recipe_read's text, which ends with a zero byte and is changed; `path` is for messages. */
bg_status bg_recipe_parse(bg_recipe **r, const bg_gguf *g, char *text, size_t size,
                          const char *path, bg_error *err);
/* Where layer l of the source is now. */
uint32_t bg_recipe_moved(const bg_recipe *r, uint32_t l);
/* Declares the file that the recipe makes. */
bg_status bg_recipe_declare(const bg_recipe *r, const bg_gguf *g, const bg_importance *importance,
                            bg_gguf_writer *w, bg_quantize_plan *plan, bg_error *err);

#endif
