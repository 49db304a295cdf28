/* second_order.h: rounding a matrix to the grid of its format so that its outputs, not its
 * weights, change least. Internal to the search room.
 *
 * With H = sum of x x' over the inputs x of a matrix, a row w that becomes q changes what it gives
 * by (w - q) H (w - q)'. With H = R R', R upper triangular, u = R / diag R by columns and D =
 * (diag R)^2 that is
 *
 *     sum over j of D[j] (t[j] - q[j])^2,   t[j] = w[j] + sum over i < j of (w[i] - q[i]) u[i][j]
 *
 * so columns are rounded one after another, each to what is nearest to t[j], and what later
 * columns can make good of an error is not counted against it (GPTQ, arXiv 2210.17323; in this
 * form LDLQ, arXiv 2307.13304). Scales of a block are those that a search finds best for t with
 * weights D, where t knows of the blocks before it.
 *
 * What is meant may differ from what w gives: inputs were o before other matrices were rounded, or
 * to its outputs something, v, has to be added. The weights that come nearest to that are
 *
 *     w + w C H^-1,  C = sum of (o - x) x',   or   w + V H^-1,  V = sum of v x'
 *
 * and they are what is rounded. Passes over all columns follow that put each where it is best with
 * the others as they are, later ones too, and refit the scales of each sub-block to its levels. */
#ifndef BG_SEARCH_SECOND_ORDER_H
#define BG_SEARCH_SECOND_ORDER_H

#include "base/team.h"
#include "bitgauge/format.h"
#include "search/grad_ops.h"

typedef struct bg_second_order {
    const bg_grad_ops *ops;
    bg_team *team;
    size_t k, outputs;
    int passes;      /* of improving; 0: none */
    float *h;        /* [k][k] the upper triangle: H, after bg_second_factor u */
    float *d;        /* [k] D */
    float *c;        /* [k][k] C; NULL: there is V */
    float *whole;    /* [k][k] H with the damping, after bg_second_factor */
    float *v;        /* [outputs][k] V; NULL: there is none */
} bg_second_order;

/* outputs: of v, 0 for none; there is C or V. */
bg_status bg_second_open(bg_second_order *s, size_t k, size_t outputs, bg_isa isa, bg_team *team,
                         bg_error *err);
void bg_second_close(bg_second_order *s);
/* Adds n inputs: x[n][k], and difference[n][k], which is o - x (NULL: nothing), or v[n][outputs]. */
void bg_second_add(bg_second_order *s, const float *x, const float *difference, const float *v,
                   size_t n);
/* From H to u and D. `damping` times the mean of H's diagonal is added to it first: what was not
 * seen on the calibration text still counts a little. BG_ERR_INPUT: H is not finite. */
bg_status bg_second_factor(bg_second_order *s, double damping, bg_error *err);
/* Rounds rows of `from` into blocks of `to`, which has a grid (formats/search.h). `share` of the
 * difference to what is meant is made good. */
bg_status bg_second_round(const bg_second_order *s, float share, const bg_format_info *from,
                          const void *src, const bg_format_info *to, void *dst, size_t rows,
                          bg_error *err);

#endif
