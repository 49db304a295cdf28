/* moments.h: sums of products of the columns that a matrix reads, kept in little memory, and the
 * least squares that they are for. Internal to the search room. */
#ifndef BG_SEARCH_MOMENTS_H
#define BG_SEARCH_MOMENTS_H

#include "base/base.h"
#include "base/team.h"
#include "search/grad_ops.h"

/* Half of a symmetric matrix: the roots of its diagonal and, row by row, the correlations right of
 * it in steps of 1 / 32767. A float for each of both halves would be four times as much. */
typedef struct bg_moments {
    size_t n;
    float *root;             /* [n] */
    int16_t *above;          /* [n (n - 1) / 2] */
} bg_moments;

/* sums[n][n], the diagonal and what is right of it, += x' x, of x[k][n]. */
void bg_moments_add(const bg_grad_ops *ops, bg_team *team, float *sums, size_t n, const float *x,
                    size_t k);
/* Keeps them, and fills their other half in. Free with bg_moments_free. */
bg_status bg_moments_keep(bg_moments *m, float *sums, size_t n, bg_error *err);
void bg_moments_free(bg_moments *m);

/* rows[n_rows][n] of a matrix that reads these columns: the columns at[0..n_kept), ascending, come
 * first and say what they can of the lost ones, by least squares; the rest becomes zero.
 * BG_ERR_INPUT: sums are not finite. */
bg_status bg_moments_fit(const bg_moments *m, const uint32_t *at, size_t n_kept, float *rows,
                         size_t n_rows, const bg_grad_ops *ops, bg_team *team, bg_error *err);

#endif
