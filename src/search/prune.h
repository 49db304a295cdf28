/* prune.h: which channels, heads and layers a model could lose, and what makes up for them.
 * Internal to the search room.
 *
 * Feed-forward channels go in steps that keep blocks whole, key-value heads with the query heads
 * that share them. Of a layer, those go first whose products with the columns of ffn_down and
 * attn_output are smallest on calibration text; what the kept ones can say about the lost ones goes
 * into their columns, by least squares. */
#ifndef BG_SEARCH_PRUNE_H
#define BG_SEARCH_PRUNE_H

#include "base/base.h"
#include "bitgauge/search.h"

typedef struct bg_pruner bg_pruner;

/* Level 0 of a layer is all of it. The low four bits count steps of channels that are gone, the
 * high ones steps of key-value heads. */
enum { BG_LAYER_DROPPED = 255, BG_PRUNER_STEPS = 2 };

/* NULL in *p: a model that cannot be pruned. Runs the model, a layer at a time, over windows of
 * the text. Of the options isa, team and progress count. */
bg_status bg_pruner_open(bg_pruner **p, const bg_model *m, const int32_t *tokens, size_t n_tokens,
                         const bg_feedback_options *o, bg_error *err);
void bg_pruner_close(bg_pruner **p);
/* The levels that come after one, the whole layer's apart: one step more of each.
 * Returns how many. */
size_t bg_pruner_steps(const bg_pruner *p, uint8_t level, uint8_t steps[BG_PRUNER_STEPS]);
/* Those that come before one: one step less of each, or all of a dropped layer. */
size_t bg_pruner_steps_back(const bg_pruner *p, uint8_t level, uint8_t steps[BG_PRUNER_STEPS]);
/* Marks the layers of a recipe as these levels have them. */
bg_status bg_pruner_shape(const bg_pruner *p, const uint8_t *levels, bg_recipe *r, bg_error *err);
/* What of its layer's level makes a tensor another one; 0: nothing. */
uint8_t bg_pruner_level(const bg_pruner *p, size_t tensor, uint8_t level);
/* The share of a tensor that is left, and its bytes in a format; false:
 * its rows do not fit that. */
double bg_pruner_left(const bg_pruner *p, size_t tensor, uint8_t level);
bool bg_pruner_bytes(const bg_pruner *p, size_t tensor, uint8_t level, bg_format f,
                     uint64_t *bytes);
/* The tensor at a level as floats: what is kept comes first, in its order, and the rest of the
 * source's rows and columns is zero. ffn_down and attn_output are compensated. Free with
 * bg_free_large(*rows, *bytes).
 * importance: of the source's columns, becomes that of the kept ones; NULL: none. */
bg_status bg_pruner_rows(bg_pruner *p, size_t tensor, uint8_t level, float **rows, size_t *bytes,
                         float *importance, bg_error *err);
/* What a recipe keeps of a tensor of the source, in the same way but with nothing beside it: NULL
 * in *rows where nothing is cut. p NULL: the model cannot be pruned with what makes up for it. */
bg_status bg_pruner_kept(bg_pruner *p, const bg_recipe *r, const bg_tensor *t, float **rows,
                         size_t *bytes, float *importance, bg_error *err);
/* Puts the compensated tensors into the image that a recipe made. */
bg_status bg_pruner_finish(bg_pruner *p, const bg_recipe *r, const bg_importance *importance,
                           bg_image *image, bg_error *err);
/* bg_feedback of an image that a recipe and then bg_pruner_finish made (p NULL: then nothing),
 * towards the whole source. */
bg_status bg_pruner_feedback(bg_pruner *p, const bg_recipe *r, bg_image *image,
                             const bg_model *source, const int32_t *tokens, size_t n_tokens,
                             const bg_feedback_options *o, bg_error *err);

#endif
