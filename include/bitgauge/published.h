/* bitgauge/published.h: quality of quantized models as others published it (profiles/quality).
 *
 * A shape has no quality of its own; what a scheme costs the nearest model that was published is
 * the best there is to go by. It is never that model's own measurement, and is labelled so.
 */
#ifndef BITGAUGE_PUBLISHED_H
#define BITGAUGE_PUBLISHED_H

#include "bitgauge/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_published bg_published;

/* One scheme of one model. Unknown numbers are NaN. */
typedef struct bg_published_row {
    char *model, *family, *text, *source, *scheme, *imatrix;
    double params, ppl, kld;
} bg_published_row;

/* Reads every .csv file of a folder (NULL: those that are installed). BG_ERR_INPUT names file and
 * row: a field that is missing or no number, a scheme twice, a model without its F16 row. */
bg_status bg_published_open(bg_published **p, const char *dir, bg_error *err);
void bg_published_close(bg_published **p);
size_t bg_published_count(const bg_published *p);
const bg_published_row *bg_published_at(const bg_published *p, size_t i);

/* The F16 row of the model nearest to one of this family and size: by the ratio of sizes, where
 * another family counts like a factor of e. NULL when there are no tables. */
const bg_published_row *bg_published_nearest(const bg_published *p, const char *family,
                                             double params);
/* A scheme of the same model, quantized without an importance matrix; NULL when it is not there. */
const bg_published_row *bg_published_scheme(const bg_published *p, const bg_published_row *model,
                                            const char *scheme);

#ifdef __cplusplus
}
#endif
#endif
