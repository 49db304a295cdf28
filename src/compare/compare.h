/* compare.h: what the files of the compare room share. Internal. */
#ifndef BG_COMPARE_INTERNAL_H
#define BG_COMPARE_INTERNAL_H

#include "bitgauge/compare.h"

#include "base/base.h"

struct json_t;

/* What can be compared: a column whose values are exact, or come from samples, or neither (timed
 * once). */
typedef struct bg_metric {
    bg_column column;
    bool exact;
    double least;                                /* exact: a smaller difference is none */
    double (*sample)(const bg_sample *s, int counter);   /* NULL: there are no samples of it */
    int counter;
} bg_metric;
/* Fills *out; false: the column cannot be compared. */
bool bg_metric_find(bg_column column, bg_metric *out);

/* Repetitions of a cell in the order they were taken. */
typedef struct bg_series { double *values; uint64_t *positions; size_t n, tainted; } bg_series;
/* Of the row's cell, those that have the metric, times `scale`. */
bg_status bg_series_take(bg_series *out, const bg_results *r, const bg_row *row,
                         const bg_metric *m, double scale, bg_error *err);
void bg_series_fini(bg_series *s);

/* Noise floors. Differences within the samples of all cells are collected first, then each cell is
 * given its floor. */
typedef struct bg_floors bg_floors;
bg_floors *bg_floors_new(void);
void bg_floors_free(bg_floors **f);
/* noise_floors of a machine.json; NULL is a machine without. */
bg_status bg_floors_read(bg_floors *f, const struct json_t *machine, bg_error *err);
/* Fewer repetitions of a cell are not judged. */
enum { BG_COMPARE_FEWEST = 8 };
/* Floors of the samples as they are, and of own parts, which machine.json calls "pp/own". */
typedef enum bg_floor_of { BG_FLOOR_OF_ALL, BG_FLOOR_OF_OWN } bg_floor_of;
bg_status bg_floors_add(bg_floors *f, bg_floor_of of, const bg_compared *c, const double *values,
                        size_t n, bg_error *err);
double bg_floors_get(const bg_floors *f, bg_floor_of of, const bg_compared *c,
                     bg_floor_source *source);

bool bg_compared_same_group(const bg_compared *a, const bg_compared *b);
/* Gives cells their own parts, and the comparison what they did together: fills own.others, ratio,
 * p and spread, and c->together but floors and verdicts. series[i] are those of cell i, base and
 * new, with n 0 where it has none. */
bg_status bg_compare_split(bg_comparison *c, bg_series (*series)[2], bg_floors *f, uint64_t seed,
                           uint32_t resamples, bg_error *err);

/* The verdict of a cell whose numbers are all there, without its own part. */
void bg_judge(bg_compared *c, double threshold, double alpha, double least);
/* Then, with it. worse_together: the cells together are worse. */
void bg_judge_own(bg_compared *c, double threshold, double alpha, bool worse_together);
/* The cell as if its own part were all of it. */
bg_compared bg_compared_own(const bg_compared *c);

/* 0.0123 -> "+1.2 %"; "" when unknown. Returns out. */
const char *bg_percent(char *out, size_t size, double change);

bool bg_same_text(const char *a, const char *b);       /* NULL is "" */

#endif
