/* factor.h: H = u D u' of a positive definite matrix, u upper triangular with ones on its
 * diagonal: what least squares and rounding by second moments work with. Internal to the search
 * room. */
#ifndef BG_SEARCH_FACTOR_H
#define BG_SEARCH_FACTOR_H

#include "base/base.h"
#include "base/team.h"
#include "search/grad_ops.h"

/* h[k][k]: the upper triangle becomes u, what is below is not read and is spoilt; d[k] becomes D.
 * BG_ERR_INPUT: H is not positive definite, or not finite. */
bg_status bg_factor(const bg_grad_ops *ops, bg_team *team, float *h, float *d, size_t k, bg_error *err);
/* z with z H = b, in the place of b. */
void bg_factor_solve(const bg_grad_ops *ops, const float *u, const float *d, size_t k, float *b);

#endif
