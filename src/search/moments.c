#include "search/moments.h"

#include "search/factor.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { STRIP = 96, GROUP = 16, STEPS = INT16_MAX };

/* Of the mean of the diagonal, what is added to it; and what it grows to, at most, where that is
 * too little for how coarse correlations are. */
static const double DAMPING = 0.01, MOST_DAMPING = 1;

/* ---- sums --------------------------------------------------------------------------------- */

typedef struct adding {
    const bg_grad_ops *ops;
    float *sums;
    const float *x;
    size_t n, k;
    _Atomic size_t next;
} adding;

static void add_strips(void *user, int member, int size)
{
    adding *a = user;
    size_t n = a->n, i;
    (void)member;
    (void)size;
    while ((i = atomic_fetch_add(&a->next, 1) * STRIP) < n)
        a->ops->multiply(&(bg_product){
            .m = BG_MIN((size_t)STRIP, n - i), .n = n - i, .k = a->k, .a = a->x + i, .a_m = 1,
            .a_k = n, .b = a->x + i, .b_k = n, .c = a->sums + i * n + i, .c_m = n, .add = true});
}

void bg_moments_add(const bg_grad_ops *ops, bg_team *team, float *sums, size_t n, const float *x,
                    size_t k)
{
    adding a = {.ops = ops, .sums = sums, .x = x, .n = n, .k = k};
    bg_team_run(team, add_strips, &a);
}

/* ---- keeping ------------------------------------------------------------------------------ */

bg_status bg_moments_keep(bg_moments *m, float *sums, size_t n, bg_error *err)
{
    int16_t *to;
    *m = (bg_moments){n, bg_alloc(n, sizeof *m->root),
                      bg_alloc(BG_MAX(n * (n - 1) / 2, (size_t)1), sizeof *m->above)};
    if (!m->root || !m->above) {
        bg_moments_free(m);
        return bg_fail_nomem(err, "least squares", n * n);
    }
    for (size_t i = 0; i < n; i++) m->root[i] = sqrtf(sums[i * n + i]);
    to = m->above;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            float sum = sums[i * n + j], share = sum / (m->root[i] * m->root[j]);
            if (!isfinite(share)) share = 0; /* of zeros; else the diagonal tells */
            *to++ = (int16_t)lrintf(STEPS * bg_clamp(share, -1, 1));
            sums[j * n + i] = sum;
        }
    }
    return BG_OK;
}

void bg_moments_free(bg_moments *m)
{
    bg_free(m->root);
    bg_free(m->above);
    *m = (bg_moments){.n = 0};
}

/* Of columns i and j, neither the same. */
static float sum_of(const bg_moments *m, size_t i, size_t j)
{
    size_t low = BG_MIN(i, j), high = BG_MAX(i, j);
    int16_t steps = m->above[low * (2 * m->n - low - 1) / 2 + high - low - 1];
    return m->root[i] * m->root[j] * (float)steps / STEPS;
}

/* ---- least squares ------------------------------------------------------------------------ */

typedef struct fitting {
    const bg_grad_ops *ops;
    const bg_moments *m;
    size_t n_kept, n_lost;
    const uint32_t *kept;
    uint32_t *lost;          /* [n_lost] */
    float *h, *d;            /* of the kept ones, factored */
    float *cross;            /* [n_lost][n_kept] */
    float *rows;
    size_t n_rows;
    float *benches;          /* of each member [GROUP][n_lost + n_kept] */
    _Atomic size_t next;
} fitting;

/* A row w loses some columns d; (G_kk)^-1 G_kd w_d on top of the kept ones w_k says the most of
 * what they said. */
static void fit_rows(void *user, int member, int size)
{
    fitting *f = user;
    size_t n = f->m->n, k = f->n_kept, first;
    float *lost = f->benches + (size_t)member * GROUP * n, *made = lost + GROUP * f->n_lost;
    (void)size;
    while ((first = atomic_fetch_add(&f->next, 1) * GROUP) < f->n_rows) {
        size_t rows = BG_MIN(f->n_rows - first, (size_t)GROUP);
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < f->n_lost; i++)
                lost[r * f->n_lost + i] = f->rows[(first + r) * n + f->lost[i]];
        f->ops->multiply(&(bg_product){.m = rows, .n = k, .k = f->n_lost, .a = lost, .a_m = f->n_lost,
                                       .a_k = 1, .b = f->cross, .b_k = k, .c = made, .c_m = k});
        for (size_t r = 0; r < rows; r++) {
            float *w = f->rows + (first + r) * n, *z = made + r * k;
            bg_factor_solve(f->ops, f->h, f->d, k, z);
            for (size_t i = 0; i < k; i++) w[i] = w[f->kept[i]] + z[i]; /* kept[i] >= i */
            memset(w + k, 0, f->n_lost * sizeof *w);
        }
    }
}

static bg_status factor(fitting *f, bg_team *team, bg_error *err)
{
    const bg_moments *m = f->m;
    size_t k = f->n_kept;
    double mean = 0, damping = DAMPING;
    bg_status s;
    for (size_t i = 0; i < k; i++) {
        double root = (double)m->root[f->kept[i]];
        mean += root * root / (double)k;
    }
    do {
        for (size_t i = 0; i < k; i++) {
            float root = m->root[f->kept[i]];
            f->h[i * k + i] = root * root + (float)(damping * mean) + 1e-30f;
            for (size_t j = i + 1; j < k; j++)
                f->h[i * k + j] = sum_of(m, f->kept[i], f->kept[j]);
        }
        s = bg_factor(f->ops, team, f->h, f->d, k, err);
        damping *= 10;
    } while (s == BG_ERR_INPUT && damping <= MOST_DAMPING);
    return s;
}

static bg_status fit(fitting *f, bg_team *team, bg_error *err)
{
    size_t lost = 0;
    for (size_t i = 0, next = 0; i < f->m->n; i++)
        if (next < f->n_kept && f->kept[next] == i) next++;
        else f->lost[lost++] = (uint32_t)i;
    for (size_t i = 0; i < lost; i++)
        for (size_t j = 0; j < f->n_kept; j++)
            f->cross[i * f->n_kept + j] = sum_of(f->m, f->lost[i], f->kept[j]);
    BG_TRY(factor(f, team, err));
    bg_team_run(team, fit_rows, f);
    return BG_OK;
}

bg_status bg_moments_fit(const bg_moments *m, const uint32_t *at, size_t n_kept, float *rows,
                         size_t n_rows, const bg_grad_ops *ops, bg_team *team, bg_error *err)
{
    size_t lost = m->n - n_kept, members = (size_t)bg_team_size(team);
    fitting f = {.ops = ops, .m = m, .n_kept = n_kept, .n_lost = lost, .kept = at, .rows = rows,
                 .n_rows = n_rows};
    bg_status s;
    if (!lost || !n_kept) return BG_OK;
    for (size_t i = 0; i < m->n; i++)
        if (!isfinite(m->root[i])) return bg_fail(err, BG_ERR_INPUT, NULL, "sums are not finite");
    f.lost = bg_alloc(lost, sizeof *f.lost);
    f.h = bg_alloc(n_kept * n_kept, sizeof *f.h);
    f.d = bg_alloc(n_kept, sizeof *f.d);
    f.cross = bg_alloc(lost * n_kept, sizeof *f.cross);
    f.benches = bg_alloc(members * GROUP * m->n, sizeof *f.benches);
    if (f.lost && f.h && f.d && f.cross && f.benches) s = fit(&f, team, err);
    else s = bg_fail_nomem(err, "least squares", n_kept * m->n * sizeof(float));
    bg_free(f.lost);
    bg_free(f.h);
    bg_free(f.d);
    bg_free(f.cross);
    bg_free(f.benches);
    return s;
}
