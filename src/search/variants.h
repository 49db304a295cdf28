/* variants.h: quantized matrices of a model, made when first needed and kept packed as long as memory
 * allows; then those go that were used longest ago. Internal to the search room. */
#ifndef BG_SEARCH_VARIANTS_H
#define BG_SEARCH_VARIANTS_H

#include "search/prune.h"

typedef struct bg_variants bg_variants;

/* pruner may be NULL: then all levels are 0. */
bg_status bg_variants_open(bg_variants **v, const bg_model *m, bg_pruner *pruner,
                           const bg_importance *importance, size_t memory, struct bg_team *team,
                           bg_error *err);
void bg_variants_close(bg_variants **v);
/* Tensor i at a level of its layer in format f, packed. It stays until bg_variants_drop(v, i). */
bg_status bg_variants_get(bg_variants *v, size_t i, bg_format f, uint8_t level, const void **packed,
                          bg_error *err);
void bg_variants_drop(bg_variants *v, size_t i);

#endif
