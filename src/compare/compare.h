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
typedef struct bg_series { double *values; size_t n, tainted; } bg_series;
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
bg_status bg_floors_add(bg_floors *f, const bg_compared *c, const bg_series *s, bg_error *err);
void bg_floors_apply(const bg_floors *f, bg_compared *c);

/* The verdict of a cell whose numbers are all there. */
void bg_judge(bg_compared *c, double threshold, double alpha, double least);

/* 0.0123 -> "+1.2 %"; "" when unknown. Returns out. */
const char *bg_percent(char *out, size_t size, double change);

bool bg_same_text(const char *a, const char *b);       /* NULL is "" */

#endif
