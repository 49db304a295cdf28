/* bitgauge/stats.h: summaries of repeated measurements, and comparisons of two.
 *
 * Samples are in the order they were taken, because on a shared machine one resembles the next, and
 * n of them say less than n independent ones would. */
#ifndef BITGAUGE_STATS_H
#define BITGAUGE_STATS_H

#include "bitgauge/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_summary {
    size_t n, outliers;          /* outliers: outside Tukey's fences (1.5 IQR); still counted */
    double median, mean, min, max;
    double sd;                   /* with n - 1; NaN for n < 2 */
    double mad;                  /* median absolute deviation, times 1.4826 (normal-consistent) */
    double half;                 /* half of the interval by their own autocorrelation; NaN for n <
                                  * 3 */
    double ci_low, ci_high;      /* bootstrap 95 % interval of the median; NaN for
                                  * n < BG_SUMMARY_FEWEST */
} bg_summary;
enum { BG_SUMMARY_FEWEST = 8 };

/* Percentile bootstrap with `resamples` (0: 2000) draws from the seed: same input, same output. Its
 * deviations from the median are stretched by the square root of the autocorrelation time, and from
 * the normal law to Student's, as bg_stats_ratio does. Few samples show too little of how long they
 * resemble each other; the interval takes what is usual on shared machines for as much as 20
 * samples say, and covers the median in 93 to 97 % of runs on noise recorded there, in more of
 * independent samples. Below BG_SUMMARY_FEWEST it would not. Values are finite. All NaN when n is 0
 * or memory is out. */
void bg_summarise(const double *values, size_t n, uint64_t seed, uint32_t resamples,
                  bg_summary *out);
/* Quantile by linear interpolation (type 7 of Hyndman and Fan, 1996). q in [0, 1]; NaN for n 0. */
double bg_quantile(const double *values, size_t n, double q);
/* `half` over the median; infinity when unknown. For "repeat until narrow". */
double bg_summary_precision(const bg_summary *s);

/* Tukey's fences: quartiles, and 1.5 times the distance between them beyond. NaN for n 0. Outliers
 * are labelled with them, never dropped. */
typedef struct bg_fences { double low, high; } bg_fences;
bg_fences bg_stats_fences(const double *values, size_t n);

/* Integrated autocorrelation time of the ranks, 1 to n / 2: as many samples in a row say what one
 * independent sample would. Pairs of autocorrelations are summed while they are positive, and not
 * let rise (Geyer, 1992, "Practical Markov Chain Monte Carlo", initial monotone sequence); the bias
 * from the unknown mean is taken out to first order. 1 when n < 4 or all values are equal. */
double bg_stats_correlation_time(const double *values, size_t n);

/* Quantile t of Student's law with P(|T| < t) = level; df is rounded down, to no less than 1. Above
 * 1000 degrees of freedom the normal law. */
double bg_stats_t(double level, double df);

/* median(b) / median(a). The interval of level `level` is a percentile bootstrap of the logarithm,
 * the deviations of each side stretched by the square root of its autocorrelation time (theirs and
 * what is usual, as in bg_summarise, but half as long), and all of them from the normal law to
 * Student's with the effective numbers of samples. Values are positive. NaN: the interval when a
 * side has under 3 values, all when one has none. */
typedef struct bg_ratio {
    double ratio, low, high;
    double effective_a, effective_b;   /* n over the autocorrelation time */
    double freedom;                    /* of Student's law, by Welch and Satterthwaite */
    double tau;                        /* of both, weighted as in the variance of a difference */
} bg_ratio;
/* resamples 0: 2000. Same seed, same output. false: no memory. */
bool bg_stats_ratio(const double *a, size_t na, const double *b, size_t nb, double level,
                    uint64_t seed, uint32_t resamples, bg_ratio *out);

/* Wilcoxon's rank sum test as Mann and Whitney (1947) count it, two-sided. u: pairs in which a is
 * larger, ties half. Exact over all arrangements, ties included, for up to 40 values together;
 * above, the normal law with the variance of ties and continuity correction. p is NaN when a side
 * is empty or memory is out. */
typedef struct bg_rank_test { double u, p; bool exact; } bg_rank_test;
void bg_stats_rank(const double *a, size_t na, const double *b, size_t nb, bg_rank_test *out);
/* The two-sided p when the variance under the null hypothesis is tau times what p was made with,
 * and is known with so many degrees of freedom: z / sqrt(tau) under Student's law. */
double bg_stats_deflate(double p, double tau, double freedom);

/* The p of a and b being alike, for r = bg_stats_ratio of them: the rank test, with the variance of
 * as many effective samples as r has, times `wider` (1: no more). */
double bg_stats_differ(const double *a, size_t na, const double *b, size_t nb, const bg_ratio *r,
                       double wider);

/* What every comparison calls a change: the ratio is beyond chance (q < alpha, and 1 is outside its
 * interval), off 1 by more than the threshold, and beyond the noise floor, which is what the larger
 * of two alike is above the smaller (NaN: unknown). All of it relative: 0.05 for 5 %. */
bool bg_stats_is_change(const bg_ratio *r, double q, double alpha, double threshold, double floor);
#define BG_STATS_ALPHA 0.01 /* what alpha is where nobody says */

/* p-values adjusted for the false discovery rate (Benjamini and Hochberg, 1995): q[i] < alpha is
 * what their procedure rejects at alpha. NaN are not counted and stay NaN. false: no memory. */
bool bg_stats_adjust(const double *p, size_t n, double *q);

/* A place in a series from which on values are others. */
typedef struct bg_change {
    size_t at;                   /* first value of the new level */
    double before, after;        /* medians of the levels to its left and right */
    double p;                    /* of the rank test between the two levels */
} bg_change;
/* Circular binary segmentation (Olshen and others, 2004) on ranks, so that an outlier is no change:
 * the stretch whose ranks differ most from the rest, in standard deviations, stands out when no
 * more than a share alpha of 999 random orders of the same values has one that differs as much;
 * then its parts are searched likewise. Levels have at least 3 values. What is left are changes
 * where the two levels differ in a rank test (p <= alpha) and their medians by more than `floor`,
 * relative. Values are positive; time grows with the square of n. Same seed, same output. *changes
 * is freed with bg_stats_free_changes. false: no memory. */
bool bg_stats_changes(const double *values, size_t n, double alpha, double floor, uint64_t seed,
                      bg_change **changes, size_t *n_changes);
void bg_stats_free_changes(bg_change *changes);

#ifdef __cplusplus
}
#endif
#endif
