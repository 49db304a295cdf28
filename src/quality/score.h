/* score.h: what one prediction scores, and the summary of many. Internal. */
#ifndef BG_SCORE_H
#define BG_SCORE_H

#include "base/base.h"
#include "bitgauge/quality.h"

/* One scored token: the model's prediction against the token, and against the base's. */
typedef struct bg_token_score {
    double nll;       /* -log p(token) */
    double base_nll;  /* the rest: 0 without a base */
    double kld;       /* KL(base || model), natural logarithm */
    bool same_top;    /* both find the same token likeliest; the first of equals */
} bg_token_score;

/* Scores one row of n_vocab logits. base may be NULL. Equal rows have a divergence of exactly 0. */
bg_token_score bg_score_logits(const float *logits, const float *base, size_t n_vocab,
                               int32_t token);

/* Fills the statistics of q from n scores. `scratch` holds n doubles. */
void bg_score_summary(const bg_token_score *scores, size_t n, bool has_base, double *scratch,
                      bg_quality *q);

#endif
