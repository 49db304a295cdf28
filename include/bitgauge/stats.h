/* bitgauge/stats.h: summaries of repeated measurements. */
#ifndef BITGAUGE_STATS_H
#define BITGAUGE_STATS_H

#include "bitgauge/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_summary {
    size_t n, outliers;          /* outliers: outside Tukey's fences (1.5 IQR); still counted */
    double median, mean, min, max;
    double sd;                   /* with n - 1; NaN for n < 2 */
    double mad;                  /* median absolute deviation, times 1.4826 (normal-consistent) */
    double ci_low, ci_high;      /* bootstrap 95 % interval of the median; NaN for n < 3 */
} bg_summary;

/* Percentile bootstrap with `resamples` (0: 2000) draws from the seed: same input, same output.
 * Values are finite. With few values the interval is at most [min, max], which covers the median
 * with probability 1 - 2^(1-n): 75 % for 3 values, 94 % for 5. All NaN when n is 0 or memory is
 * out. */
void bg_summarise(const double *values, size_t n, uint64_t seed, uint32_t resamples,
                  bg_summary *out);
/* Quantile by linear interpolation (type 7 of Hyndman and Fan, 1996). q in [0, 1]; NaN for n 0. */
double bg_quantile(const double *values, size_t n, double q);
/* Half the interval over the median; infinity when unknown. For "repeat until narrow". */
double bg_summary_precision(const bg_summary *s);

#ifdef __cplusplus
}
#endif
#endif
