/* variants.h: quantized matrices of a model, made when first needed and kept packed as long as memory
 * allows; then those go that were used longest ago. Internal to the search room. */
#ifndef BG_SEARCH_VARIANTS_H
#define BG_SEARCH_VARIANTS_H

#include "bitgauge/model.h"

typedef struct bg_variants bg_variants;

bg_status bg_variants_open(bg_variants **v, const bg_model *m, const bg_importance *importance,
                           size_t memory, struct bg_team *team, bg_error *err);
void bg_variants_close(bg_variants **v);
/* Tensor i in format f, packed. It stays until bg_variants_drop(v, i). */
bg_status bg_variants_get(bg_variants *v, size_t i, bg_format f, const void **packed, bg_error *err);
void bg_variants_drop(bg_variants *v, size_t i);

#endif
