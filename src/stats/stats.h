/* stats.h: what the files of the stats room share. Internal. */
#ifndef BG_STATS_INTERNAL_H
#define BG_STATS_INTERNAL_H

#include "bitgauge/stats.h"

#include "base/base.h"

int bg_stats_order(const void *a, const void *b);    /* of doubles, for qsort */
/* A sorted copy; bg_free it. NULL when n is 0 or memory is out. */
double *bg_stats_sorted(const double *values, size_t n);
/* Type 7 of Hyndman and Fan; n > 0. */
double bg_stats_sorted_quantile(const double *sorted, size_t n, double q);
/* Medians of `resamples` samples of n drawn with replacement; false: no memory. */
bool bg_stats_resample(const double *sorted, size_t n, bg_rng *rng, uint32_t resamples,
                       double *medians);

/* What the autocorrelation time of few samples likely is: theirs and one that is usual, as if the
 * latter came from 20, but what is not theirs leaves three effective ones. All that was calibrated
 * by simulation on recorded noise of a shared machine, for intervals that cover: few samples show
 * too little of it. */
double bg_stats_likely_time(const double *values, size_t n, double usual);

typedef struct bg_ranked { double value, rank; size_t at; } bg_ranked;
/* Sorts by value and gives ranks from 1; ties share the middle of theirs. Returns the sum of
 * t^3 - t over groups of t ties. */
double bg_stats_give_ranks(bg_ranked *all, size_t n);

#endif
