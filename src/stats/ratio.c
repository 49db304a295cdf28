/* The ratio of two medians, and how sure it is. */
#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>

enum { DEFAULT_RESAMPLES = 2000 };
static const double USUAL_TIME = 4; /* as bg_stats_likely_time says */

typedef struct side {
    double *logs;             /* sorted */
    double median, tau, variance;
    double *medians;          /* of the resamples, less the median, times sqrt(tau) */
    size_t n;
} side;

static bool open_side(side *s, const double *values, size_t n, bg_rng *rng, uint32_t resamples)
{
    s->n = n;
    s->tau = bg_stats_likely_time(values, n, USUAL_TIME);
    s->logs = bg_stats_sorted(values, n);
    s->medians = bg_alloc(resamples, sizeof *s->medians);
    if (!s->logs || !s->medians) return false;
    for (size_t i = 0; i < n; i++) s->logs[i] = log(s->logs[i]);
    s->median = bg_stats_sorted_quantile(s->logs, n, 0.5);
    if (!bg_stats_resample(s->logs, n, rng, resamples, s->medians)) return false;
    for (uint32_t r = 0; r < resamples; r++) {
        s->medians[r] = (s->medians[r] - s->median) * sqrt(s->tau);
        s->variance += s->medians[r] * s->medians[r] / resamples;
    }
    return true;
}

static void close_side(side *s)
{
    bg_free(s->logs);
    bg_free(s->medians);
}

/* Welch and Satterthwaite, with effective numbers of samples. */
static double freedom(const side *a, const side *b)
{
    double na = BG_MAX((double)a->n / a->tau - 1, 1), nb = BG_MAX((double)b->n / b->tau - 1, 1);
    double sum = a->variance + b->variance;
    double parts = a->variance * a->variance / na + b->variance * b->variance / nb;
    return parts > 0 ? sum * sum / parts : na + nb;
}

static void conclude(side *a, side *b, double level, uint32_t resamples, bg_ratio *out)
{
    double wider, *d = b->medians, centre = b->median - a->median;
    for (uint32_t r = 0; r < resamples; r++) d[r] -= a->medians[r];
    qsort(d, resamples, sizeof *d, bg_stats_order);
    out->freedom = freedom(a, b);
    wider = bg_stats_t(level, out->freedom) / bg_stats_t(level, INFINITY);
    out->ratio = exp(centre);
    out->low = exp(centre + wider * bg_stats_sorted_quantile(d, resamples, (1 - level) / 2));
    out->high = exp(centre + wider * bg_stats_sorted_quantile(d, resamples, (1 + level) / 2));
    out->effective_a = (double)a->n / a->tau;
    out->effective_b = (double)b->n / b->tau;
    out->tau = (a->tau / (double)a->n + b->tau / (double)b->n) /
               (1 / (double)a->n + 1 / (double)b->n);
}

bool bg_stats_ratio(const double *a, size_t na, const double *b, size_t nb, double level,
                    uint64_t seed, uint32_t resamples, bg_ratio *out)
{
    side sides[2] = {{0}, {0}};
    bg_rng rng;
    bool done;
    *out = (bg_ratio){.ratio = NAN, .low = NAN, .high = NAN, .freedom = NAN, .tau = NAN};
    if (na == 0 || nb == 0) return true;
    if (resamples == 0) resamples = DEFAULT_RESAMPLES;
    bg_rng_seed(&rng, seed);
    done = open_side(&sides[0], a, na, &rng, resamples) &&
           open_side(&sides[1], b, nb, &rng, resamples);
    if (done) conclude(&sides[0], &sides[1], level, resamples, out);
    if (na < 3 || nb < 3) out->low = out->high = NAN;
    close_side(&sides[0]);
    close_side(&sides[1]);
    return done;
}

double bg_stats_differ(const double *a, size_t na, const double *b, size_t nb, const bg_ratio *r,
                       double wider)
{
    bg_rank_test rank;
    bg_stats_rank(a, na, b, nb, &rank);
    return bg_stats_deflate(rank.p, r->tau * wider, r->freedom);
}

bool bg_stats_is_change(const bg_ratio *r, double q, double alpha, double threshold, double floor)
{
    return q < alpha && (r->low > 1 || r->high < 1) && fabs(r->ratio - 1) > threshold &&
           !(fabs(log(r->ratio)) <= log1p(floor));
}
