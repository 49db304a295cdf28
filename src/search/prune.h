/* prune.h: which channels and layers a model could lose, and what makes up for them. Internal to the
 * search room.
 *
 * Feed-forward channels go in units that keep blocks whole. Of a layer, those go first whose products
 * with the columns of ffn_down are smallest on calibration text; what the kept ones can say about the
 * lost ones goes into their columns, by least squares. */
#ifndef BG_SEARCH_PRUNE_H
#define BG_SEARCH_PRUNE_H

#include "base/base.h"
#include "base/team.h"
#include "bitgauge/search.h"

typedef struct bg_pruner bg_pruner;

/* Level 0 of a layer is all of it; each further one has a unit of channels less. */
enum { BG_LAYER_DROPPED = 255 };

/* NULL in *p: a model that cannot be pruned. Runs the model over the first windows of the text. */
bg_status bg_pruner_open(bg_pruner **p, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                         bg_isa isa, bg_team *team, bg_error *err);
void bg_pruner_close(bg_pruner **p);
uint32_t bg_pruner_levels(const bg_pruner *p);       /* with level 0 */
/* Marks the layers of a recipe as these levels have them. */
bg_status bg_pruner_shape(const bg_pruner *p, const uint8_t *levels, bg_recipe *r, bg_error *err);
/* Whether a tensor is another one when its layer is at this level. */
bool bg_pruner_affects(const bg_pruner *p, size_t tensor, uint8_t level);
/* What is left at a level of a tensor of so many bytes. */
uint64_t bg_pruner_bytes(const bg_pruner *p, size_t tensor, uint8_t level, uint64_t bytes);
/* The tensor at a level as floats: what is kept comes first, in its order, and the rest of the source's
 * rows and columns is zero. ffn_down is compensated. Free with bg_free_large(*rows, *bytes).
 * importance: of the source's columns, becomes that of the kept ones; NULL: none. */
bg_status bg_pruner_rows(bg_pruner *p, size_t tensor, uint32_t level, float **rows, size_t *bytes,
                         float *importance, bg_error *err);
/* Puts the compensated tensors into an image of a recipe of these levels. */
bg_status bg_pruner_finish(bg_pruner *p, const uint8_t *levels, const bg_importance *importance,
                           bg_image *image, bg_error *err);

#endif
