#include "search/factor.h"

#include <math.h>
#include <stdatomic.h>

enum { STRIP = 96, PANEL = 64 };

/* First H = R R', R upper triangular, from the last panel of columns to the first. */
typedef struct job {
    const bg_grad_ops *ops;
    float *h;
    size_t k;
    _Atomic size_t next;
    size_t first, end;       /* the panel that is being factored */
    float *turned;           /* [k - end][PANEL] its rows to the right, negative and turned */
} job;

/* Takes off the panel's columns what the columns right of it account for. */
static void subtract(void *user, int member, int size)
{
    job *j = user;
    size_t k = j->k, i;
    (void)member;
    (void)size;
    while ((i = atomic_fetch_add(&j->next, 1) * STRIP) < j->end)
        j->ops->multiply(&(bg_product){
            .m = BG_MIN(j->end - i, (size_t)STRIP), .n = j->end - j->first, .k = k - j->end,
            .a = j->h + i * k + j->end, .a_m = k, .a_k = 1, .b = j->turned, .b_k = PANEL,
            .c = j->h + i * k + j->first, .c_m = k, .add = true});
}

/* One row of the panel's columns: those right of it are done. */
static void solve_row(const job *j, float *row)
{
    for (size_t c = j->end; c-- > j->first;) {
        double sum = (double)row[c];
        for (size_t l = c + 1; l < j->end; l++) sum -= (double)row[l] * (double)j->h[c * j->k + l];
        row[c] = (float)(sum / (double)j->h[c * j->k + c]);
    }
}

static void solve(void *user, int member, int size)
{
    job *j = user;
    size_t begin, end;
    bg_team_share(j->first, 1, member, size, &begin, &end);
    for (size_t i = begin; i < end; i++) solve_row(j, j->h + i * j->k);
}

/* The square where the panel's rows meet its columns. */
static bool factor_square(const job *j)
{
    size_t k = j->k;
    for (size_t c = j->end; c-- > j->first;) {
        float *right = j->h + c * k;
        double sum = (double)right[c];
        for (size_t l = c + 1; l < j->end; l++) sum -= (double)right[l] * (double)right[l];
        if (!(sum > 0) || !isfinite(sum)) return false;
        right[c] = (float)sqrt(sum);
        for (size_t i = j->first; i < c; i++) {
            float *row = j->h + i * k;
            sum = (double)row[c];
            for (size_t l = c + 1; l < j->end; l++) sum -= (double)row[l] * (double)right[l];
            row[c] = (float)(sum / (double)right[c]);
        }
    }
    return true;
}

static void turn(job *j)
{
    for (size_t c = j->first; c < j->end; c++)
        for (size_t l = j->end; l < j->k; l++)
            j->turned[(l - j->end) * PANEL + c - j->first] = -j->h[c * j->k + l];
}

static bool find_root(job *j, bg_team *team)
{
    for (j->end = j->k; j->end > 0; j->end = j->first) {
        j->first = j->end > PANEL ? j->end - PANEL : 0;
        turn(j);
        atomic_store(&j->next, 0);
        if (j->end < j->k) bg_team_run(team, subtract, j);
        if (!factor_square(j)) return false;
        bg_team_run(team, solve, j);
    }
    return true;
}

bg_status bg_factor(const bg_grad_ops *ops, bg_team *team, float *h, float *d, size_t k, bg_error *err)
{
    job j = {.ops = ops, .h = h, .k = k, .turned = bg_alloc(k * PANEL, sizeof(float))};
    bool fine;
    if (!j.turned) return bg_fail_nomem(err, "second moments", k * PANEL * sizeof(float));
    fine = find_root(&j, team);
    bg_free(j.turned);
    if (!fine)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the inputs of a matrix are not finite, or more "
                       "alike than rounding lets one see: use more calibration text");
    for (size_t i = 0; i < k; i++) d[i] = h[i * k + i];
    for (size_t i = 0; i < k; i++) {
        for (size_t c = i + 1; c < k; c++) h[i * k + c] /= d[c];
        h[i * k + i] = 1;
    }
    for (size_t i = 0; i < k; i++) d[i] *= d[i];
    return BG_OK;
}

void bg_factor_solve(const bg_grad_ops *ops, const float *u, const float *d, size_t k, float *b)
{
    for (size_t j = k; j-- > 0;)
        b[j] -= (float)ops->dot(u + j * k + j + 1, b + j + 1, k - j - 1);
    for (size_t j = 0; j < k; j++) b[j] /= d[j];
    for (size_t j = 0; j < k; j++) {
        const float *row = u + j * k;
        for (size_t l = j + 1; l < k; l++) b[l] -= b[j] * row[l];
    }
}
