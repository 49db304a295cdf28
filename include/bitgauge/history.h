/* bitgauge/history.h: results over time, as files that git keeps and merges.
 *
 * A store is a folder. runs/ID.csv holds one run, a row a number: nothing is ever written into a
 * file that is there, so stores that grew apart on two branches merge without a conflict. ID is
 * DATE-COMMIT-HASH, "20260131T120000Z-1a2b3c4d5e6f-0011223344556677"; the hash is of the numbers,
 * so the same results go in once. samples/ID/ may hold the results folder itself, to compare with.
 */
#ifndef BITGAUGE_HISTORY_H
#define BITGAUGE_HISTORY_H

#include "bitgauge/results.h"
#include "bitgauge/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BG_HISTORY_ID = 80 };

/* One number of one run: a line of runs/ID.csv. Text is never NULL; "" and NaN are unknown. */
typedef struct bg_history_row {
    const char *run, *commit, *branch;
    const char *date, *measured;        /* of the commit, else of the run: "2026-01-31T12:00:00Z" */
    const char *machine, *cpu;          /* fingerprint, as in bg_origin */
    const char *engine, *version, *model, *scheme, *test, *isa, *threads;
    const char *metric, *unit;          /* a column of results.csv */
    double better;                      /* -1, 1 or 0, as in columns.def */
    double value, low, high, n;
    double floor;                       /* noise floor of that machine and test, relative */
} bg_history_row;

typedef struct bg_history bg_history;
/* Reads all runs. BG_ERR_INPUT: not a store, or a file that is no run, with its row. */
bg_status bg_history_open(bg_history **h, const char *dir, bg_error *err);
void bg_history_close(bg_history **h);
const char *bg_history_dir(const bg_history *h);
/* By date, then by run; the rows of a run in the order of its file. */
size_t bg_history_count(const bg_history *h);
const bg_history_row *bg_history_at(const bg_history *h, size_t i);

typedef struct bg_history_add_options {
    const char *commit;        /* letters, digits and "._-", up to 64; NULL: unknown */
    const char *branch, *date; /* NULL: unknown; when the results were measured */
    bool samples;              /* keep the results folder too */
} bg_history_add_options;
/* Adds a run, as whole files; creates the store where there is none. `run` gets its ID.
 * BG_ERR_INPUT: these results are there already, or hold no number. */
bg_status bg_history_add(const char *dir, const bg_results *r, const bg_history_add_options *o,
                         char run[BG_HISTORY_ID], bg_error *err);
/* The newest run of the same machine, engine and model whose samples were kept, on `branch` (NULL:
 * any): *path is its results folder (bg_free_text it). BG_ERR_INFEASIBLE: there is none. */
bg_status bg_history_baseline(const bg_history *h, const bg_results *r, const char *branch,
                              char **path, bg_error *err);

/* What to follow. NULL: all. */
typedef struct bg_history_filter {
    const char *metric;        /* NULL: tps */
    const char *scheme, *test, *isa, *machine, *branch;
} bg_history_filter;

/* One cell and metric on one machine, in time: the newest 500 values. Machines, engines and models
 * are never joined. */
typedef struct bg_history_series {
    const bg_history_row **rows;
    double *values;
    size_t n;
    bg_change *changes;
    size_t n_changes;
    double floor;              /* a smaller change is none */
} bg_history_series;

typedef struct bg_history_trend {
    bg_history_series *series; /* by machine, engine, model, metric, isa, threads, test;
                                * schemes as they first appear */
    size_t n;
} bg_history_trend;
/* alpha: of each series, 0: 0.01. floor: used where no machine of the series told its own; 0: 0.02.
 * The rows stay the history's. */
bg_status bg_history_follow(bg_history_trend **t, const bg_history *h, const bg_history_filter *f,
                            double alpha, double floor, bg_error *err);
void bg_history_trend_close(bg_history_trend **t);
/* A line a series with its course in eight heights, and one for each change; free with
 * bg_free_text. */
bg_status bg_history_trend_text(const bg_history_trend *t, char **text, bg_error *err);
/* Both are drawn in one picture: they differ in nothing but scheme. */
bool bg_history_neighbours(const bg_history_series *a, const bg_history_series *b);

#ifdef __cplusplus
}
#endif
#endif
