#include "stats/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_RESAMPLES = 2000 };
/* As bg_stats_likely_time says. A run that is short against the states of a machine sees one of
 * them, so its median is less sure than a ratio of two. */
static const double LEVEL = 0.95, USUAL_TIME = 8;

/* Makes the median absolute deviation an estimate of sigma for normal values: 1 / Phi^-1(3/4). */
static const double MAD_NORMAL = 1.482602218505602;

int bg_stats_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bg_stats_sorted_quantile(const double *sorted, size_t n, double q)
{
    double h = (double)(n - 1) * q, floor_h = floor(h);
    size_t i = (size_t)floor_h;
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (h - floor_h) * (sorted[i + 1] - sorted[i]);
}

double *bg_stats_sorted(const double *values, size_t n)
{
    double *sorted = n ? bg_alloc(n, sizeof *sorted) : NULL;
    if (!sorted) return NULL;
    memcpy(sorted, values, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, bg_stats_order);
    return sorted;
}

static bg_fences sorted_fences(const double *sorted, size_t n)
{
    double q1 = bg_stats_sorted_quantile(sorted, n, 0.25);
    double q3 = bg_stats_sorted_quantile(sorted, n, 0.75), far = 1.5 * (q3 - q1);
    return (bg_fences){q1 - far, q3 + far};
}

bg_fences bg_stats_fences(const double *values, size_t n)
{
    double *sorted = bg_stats_sorted(values, n);
    bg_fences fences = {NAN, NAN};
    if (sorted) fences = sorted_fences(sorted, n);
    bg_free(sorted);
    return fences;
}

/* The middle of a resample given as how often each sorted value was drawn. */
static double resample_median(const double *sorted, const uint32_t *drawn, size_t n)
{
    size_t low_rank = (n - 1) / 2, high_rank = n / 2, seen = 0, i = 0;
    double low;
    while (seen + drawn[i] <= low_rank) seen += drawn[i++];
    low = sorted[i];
    while (seen + drawn[i] <= high_rank) seen += drawn[i++];
    return low + (sorted[i] - low) / 2;
}

bool bg_stats_resample(const double *sorted, size_t n, bg_rng *rng, uint32_t resamples,
                       double *medians)
{
    uint32_t *drawn = bg_alloc(n, sizeof *drawn);
    if (!drawn) return false;
    for (uint32_t r = 0; r < resamples; r++) {
        memset(drawn, 0, n * sizeof *drawn);
        for (size_t i = 0; i < n; i++) drawn[bg_rng_below(rng, n)]++;
        medians[r] = resample_median(sorted, drawn, n);
    }
    bg_free(drawn);
    return true;
}

/* The end of an interval that is `wider` times as far from the middle; of positive values by
 * ratio. */
static double stretch(double middle, double end, double wider, bool positive)
{
    return positive ? middle * pow(end / middle, wider) : middle + wider * (end - middle);
}

/* The 2.5 % and 97.5 % quantiles of the medians of resamples, as far from the median as the
 * effective number of values makes them. */
static void bootstrap(const double *values, const double *sorted, size_t n, uint64_t seed,
                      uint32_t resamples, bg_summary *out)
{
    double *medians = bg_alloc(resamples, sizeof *medians), middle = out->median;
    double measured = bg_stats_correlation_time(values, n);
    double likely = bg_stats_likely_time(values, n, USUAL_TIME);
    bg_rng rng;
    bg_rng_seed(&rng, seed);
    if (medians && bg_stats_resample(sorted, n, &rng, resamples, medians)) {
        double t = bg_stats_t(LEVEL, INFINITY), wider, low, high;
        qsort(medians, resamples, sizeof *medians, bg_stats_order);
        low = bg_stats_sorted_quantile(medians, resamples, (1 - LEVEL) / 2);
        high = bg_stats_sorted_quantile(medians, resamples, (1 + LEVEL) / 2);
        wider = sqrt(measured) * bg_stats_t(LEVEL, (double)n / measured - 1) / t;
        out->half = wider * (high - low) / 2;
        wider = sqrt(likely) * bg_stats_t(LEVEL, (double)n / likely - 1) / t;
        if (n >= BG_SUMMARY_FEWEST) {
            out->ci_low = stretch(middle, low, wider, sorted[0] > 0);
            out->ci_high = stretch(middle, high, wider, sorted[0] > 0);
        }
    }
    bg_free(medians);
}

static void moments(const double *values, size_t n, bg_summary *out)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    out->mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = values[i] - out->mean;
        squares += d * d;
    }
    out->sd = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
}

void bg_summarise(const double *values, size_t n, uint64_t seed, uint32_t resamples,
                  bg_summary *out)
{
    double *sorted = bg_stats_sorted(values, n);
    bg_fences fences;
    *out = (bg_summary){.n = n, .median = NAN, .mean = NAN, .sd = NAN, .min = NAN, .max = NAN,
                        .mad = NAN, .half = NAN, .ci_low = NAN, .ci_high = NAN};
    if (!sorted) return;
    moments(sorted, n, out);
    out->min = sorted[0];
    out->max = sorted[n - 1];
    out->median = bg_stats_sorted_quantile(sorted, n, 0.5);
    fences = sorted_fences(sorted, n);
    for (size_t i = 0; i < n; i++)
        out->outliers += sorted[i] < fences.low || sorted[i] > fences.high;
    if (n >= 3)
        bootstrap(values, sorted, n, seed, resamples ? resamples : DEFAULT_RESAMPLES, out);
    for (size_t i = 0; i < n; i++) sorted[i] = fabs(sorted[i] - out->median);
    qsort(sorted, n, sizeof *sorted, bg_stats_order);
    out->mad = MAD_NORMAL * bg_stats_sorted_quantile(sorted, n, 0.5);
    bg_free(sorted);
}

double bg_quantile(const double *values, size_t n, double q)
{
    double *sorted = bg_stats_sorted(values, n), result;
    if (!sorted) return NAN;
    result = bg_stats_sorted_quantile(sorted, n, q);
    bg_free(sorted);
    return result;
}

double bg_summary_precision(const bg_summary *s)
{
    return s->half >= 0 && s->median > 0 ? s->half / s->median : INFINITY;
}
