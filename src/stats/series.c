/* Samples in the order they were taken: what one says about the next. */
#include "stats/stats.h"

#include <math.h>

/* Ranks less their mean, in the order of the values; NULL when all are equal or memory is out. */
static double *centred_ranks(const double *values, size_t n)
{
    bg_ranked *all = bg_alloc(n, sizeof *all);
    double *ranks = bg_alloc(n, sizeof *ranks), total = 0;
    for (size_t i = 0; all && i < n; i++) all[i] = (bg_ranked){.value = values[i], .at = i};
    if (all && ranks) {
        bg_stats_give_ranks(all, n);
        for (size_t i = 0; i < n; i++) {
            ranks[all[i].at] = all[i].rank - (double)(n + 1) / 2;
            total += fabs(ranks[all[i].at]);
        }
    }
    bg_free(all);
    if (total > 0) return ranks;
    bg_free(ranks);
    return NULL;
}

static double covariance(const double *x, size_t n, size_t lag)
{
    double sum = 0;
    for (size_t i = 0; i + lag < n; i++) sum += x[i] * x[i + lag];
    return sum / (double)n;
}

double bg_stats_correlation_time(const double *values, size_t n)
{
    double *x = n >= 4 ? centred_ranks(values, n) : NULL, tau = -1, last = INFINITY, variance;
    if (!x) return 1;
    variance = covariance(x, n, 0);
    for (size_t lag = 0; lag + 1 <= n / 2; lag += 2) {
        double pair = (covariance(x, n, lag) + covariance(x, n, lag + 1)) / variance;
        if (pair <= 0) break;
        last = BG_MIN(last, pair);
        tau += 2 * last;
    }
    bg_free(x);
    tau = BG_MAX(tau, 1);
    tau /= BG_MAX(1 - tau / (double)n, 0.2);
    return BG_MIN(tau, (double)n / 2);
}

double bg_stats_likely_time(const double *values, size_t n, double usual)
{
    enum { PRIOR = 20, FEWEST = 3 };
    double measured = bg_stats_correlation_time(values, n);
    double both = ((double)n * measured + PRIOR * usual) / (double)(n + PRIOR);
    return BG_MIN(both, BG_MAX(measured, (double)n / FEWEST));
}

/* P(|T| < t) of Student's law with whole degrees of freedom: Abramowitz and Stegun, 26.7.3-4. */
static double student_within(double t, unsigned df)
{
    double angle = atan(t / sqrt(df)), c = cos(angle), term, sum = 0;
    if (df % 2) {
        term = c;
        for (unsigned k = 1; k + 2 <= df; k += 2) {
            sum += term;
            term *= c * c * (double)(k + 1) / (double)(k + 2);
        }
        return 2 / acos(-1) * (angle + sin(angle) * sum);
    }
    term = 1;
    for (unsigned k = 0; k + 2 <= df; k += 2) {
        sum += term;
        term *= c * c * (double)(k + 1) / (double)(k + 2);
    }
    return sin(angle) * sum;
}

/* P(|T| < t); beyond 1000 degrees of freedom the normal law. */
static double within(double t, double df)
{
    if (!(df <= 1000)) return erf(t / sqrt(2));
    return student_within(t, df >= 1 ? (unsigned)df : 1);
}

double bg_stats_t(double level, double df)
{
    double low = 0, high = 1e6;
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        if (within(middle, df) < level) low = middle;
        else high = middle;
    }
    return low;
}

double bg_stats_deflate(double p, double tau, double freedom)
{
    double low = 0, high = 40;
    if (!(p > 0 && p < 1)) return p;
    for (int i = 0; i < 100; i++) { /* the z of p: erfc falls */
        double middle = (low + high) / 2;
        if (erfc(middle / sqrt(2)) > p) low = middle;
        else high = middle;
    }
    return 1 - within(low / sqrt(tau), freedom);
}
