/* speed.h: what formats cost in time, as read on this machine: the model decodes with all its
 * matrices in one format after the other. Internal to the search room.
 *
 * A token's time is taken as a sum over the matrices that it multiplies, each by its weights and
 * its format; what does not depend on formats is spread over all weights alike. */
#ifndef BG_SEARCH_SPEED_H
#define BG_SEARCH_SPEED_H

#include "base/base.h"
#include "base/team.h"
#include "bitgauge/search.h"
#include "model/model.h"

/* Seconds a weight; own: in the formats of the source. NaN: it was not measured. */
typedef struct bg_speeds { double own, per_weight[BG_FORMAT_IDS]; } bg_speeds;

/* Of the listed formats (n 0: of all that can be written) with random weights. `progress` may be
 * NULL; false stops: BG_ERR_INTERRUPTED. */
bg_status bg_speeds_measure(bg_speeds *s, const bg_model *m, const bg_format *formats, size_t n,
                            bg_isa isa, bg_team *team,
                            bool (*progress)(void *user, double fraction), void *user,
                            bg_error *err);
/* Weights of tensor i that a token multiplies. */
double bg_speeds_weights(const bg_model *m, size_t i);

#endif
