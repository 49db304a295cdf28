/* Rank tests, and the correction for many of them. */
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

/* Counting arrangements takes N * n * (sum of ranks) steps; above this the normal law is near. */
enum { EXACT_MOST = 40 };

static int by_value(const void *a, const void *b)
{
    const bg_ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

double bg_stats_give_ranks(bg_ranked *all, size_t n)
{
    double ties = 0;
    qsort(all, n, sizeof *all, by_value);
    for (size_t i = 0, end; i < n; i = end) {
        double t;
        for (end = i + 1; end < n && all[end].value == all[i].value;) end++;
        t = (double)(end - i);
        ties += t * t * t - t;
        for (size_t k = i; k < end; k++) all[k].rank = (double)(i + end + 1) / 2;
    }
    return ties;
}

/* Share of all choices of `n` from the ranks whose sum is as far from its mean as `sum` is. The
 * shift algorithm of Streitberg and Röhmel (1986): ways[k][s] counts choices of k ranks with sum s,
 * in halves of ranks, because ties have such. */
static double exact_p(const bg_ranked *all, size_t total, size_t n, double sum)
{
    size_t width = total * (total + 1) + 1;
    double *ways = bg_alloc((n + 1) * width, sizeof *ways), far = 0, count = 0;
    double middle = (double)(n * (total + 1)), distance = fabs(2 * sum - middle);
    if (!ways) return NAN;
    ways[0] = 1;
    for (size_t i = 0; i < total; i++) {
        size_t w = (size_t)(2 * all[i].rank + 0.5);
        for (size_t k = BG_MIN(i + 1, n); k > 0; k--)
            for (size_t s = width; s-- > w;) ways[k * width + s] += ways[(k - 1) * width + s - w];
    }
    for (size_t s = 0; s < width; s++) {
        count += ways[n * width + s];
        if (fabs((double)s - middle) >= distance - 0.5) far += ways[n * width + s];
    }
    bg_free(ways);
    return far / count;
}

void bg_stats_rank(const double *a, size_t na, const double *b, size_t nb, bg_rank_test *out)
{
    size_t total = na + nb;
    bg_ranked *all = na && nb ? bg_alloc(total, sizeof *all) : NULL;
    double sum = 0, ties, m = (double)na, n = (double)nb, variance, gap;
    *out = (bg_rank_test){.u = NAN, .p = NAN};
    if (!all) return;
    for (size_t i = 0; i < total; i++)
        all[i] = (bg_ranked){.value = i < na ? a[i] : b[i - na], .at = i};
    ties = bg_stats_give_ranks(all, total);
    for (size_t i = 0; i < total; i++) sum += all[i].at < na ? all[i].rank : 0;
    out->u = sum - m * (m + 1) / 2;
    out->exact = total <= EXACT_MOST;
    if (out->exact) {
        if (na > nb) sum = (double)total * (double)(total + 1) / 2 - sum;
        out->p = exact_p(all, total, BG_MIN(na, nb), sum);
    } else {
        variance = m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)));
        gap = BG_MAX(fabs(out->u - m * n / 2) - 0.5, 0);
        out->p = variance > 0 ? erfc(gap / sqrt(2 * variance)) : 1;
    }
    bg_free(all);
}

typedef struct ordered { double p; size_t at; } ordered;

static int by_p(const void *a, const void *b)
{
    const ordered *x = a, *y = b;
    return (x->p > y->p) - (x->p < y->p);
}

bool bg_stats_adjust(const double *p, size_t n, double *q)
{
    ordered *list = bg_alloc(BG_MAX(n, 1), sizeof *list);
    size_t known = 0;
    double least = 1;
    if (!list) return false;
    for (size_t i = 0; i < n; i++) {
        q[i] = NAN;
        if (!isnan(p[i])) list[known++] = (ordered){p[i], i};
    }
    qsort(list, known, sizeof *list, by_p);
    for (size_t k = known; k-- > 0;) {
        least = BG_MIN(least, list[k].p * (double)known / (double)(k + 1));
        q[list[k].at] = least;
    }
    bg_free(list);
    return true;
}
