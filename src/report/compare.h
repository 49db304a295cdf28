/* compare.h: what the parts of a comparing report share. Internal.
 *
 * A side is a results folder. All sides but the first are compared with the first. */
#ifndef BG_REPORT_COMPARE_H
#define BG_REPORT_COMPARE_H

#include "report/report.h"

typedef struct cmp_side {
    const bg_results *results;
    bg_origin origin;
    bg_advice *advice;         /* NULL: the folder holds nothing to advise on */
    json_t *machine;           /* NULL when there is none */
    char name[64];             /* of the folder; no two are the same */
} cmp_side;

/* A scheme in a test, with the fastest settings of the first side and of another one. */
typedef struct cmp_pair {
    const char *scheme, *test;
    size_t side;
    const bg_row *base, *row;
    double ratio, low, high;   /* of tokens/s, to the first side's; the 95 % interval or NaN */
    double p, q;               /* of the rank test, or from the width of the interval; q:
                                  corrected for many pairs */
    double floor;              /* how far identical work differs, relative; the larger of both */
    bool assumed;              /* the floor: that machine was not calibrated */
    bool told;                 /* the difference is one by bg_stats_is_change */
} cmp_pair;

/* Different texts of a column, in the order of the rows. Borrowed from them. */
typedef struct cmp_names { const char **list; size_t n; } cmp_names;

/* Drawings, plots/<name>.svg. */
typedef enum cmp_plot { CMP_PLOT_SPEEDUP, CMP_PLOT_FRONT, CMP_PLOT_THREADS, CMP_PLOTS } cmp_plot;

typedef struct cmp {
    cmp_side sides[BG_REPORT_SIDES];
    size_t n;
    cmp_names models, schemes, tests, isas;
    cmp_pair *pairs;           /* by side, test and scheme; none when the models differ */
    size_t n_pairs;
    bool drawn[CMP_PLOTS];
    char plot_problem[512];    /* why there are no drawings, or "" */
} cmp;

/* Identical work on a machine that was not calibrated is taken to differ by as much. */
#define CMP_UNKNOWN_FLOOR 0.3

/* Names, pairs and judgement from the sides, which are open. */
bg_status bg_cmp_prepare(cmp *c, bg_error *err);
void bg_cmp_fini(cmp *c);                  /* names and pairs */

/* The fastest row of a scheme and test; NULL: none. NULL isa, 0 threads: of any. */
const bg_row *bg_cmp_fastest(const cmp_side *s, const char *scheme, const char *test,
                             const char *isa, int threads);
const cmp_pair *bg_cmp_find(const cmp *c, size_t side, const char *scheme, const char *test);
/* Whether any two folders have the test, in one scheme. */
bool bg_cmp_shared(const cmp *c, const char *test);
/* How many counts of threads a side ran a scheme and test with, ascending, up to max of them. */
size_t bg_cmp_threads(const cmp_side *s, const char *scheme, const char *test, int *out,
                      size_t max);
bool bg_cmp_same(const char *a, const char *b);               /* false when one is NULL */
bool bg_cmp_same_place(const cmp_side *a, const cmp_side *b); /* one machine and one engine */
/* "prefill" of pp512, "decode" of tg64; NULL: another kind of test. */
const char *bg_cmp_kind(const char *test);
/* The candidate of a scheme, NULL. */
const bg_candidate *bg_cmp_candidate(const cmp_side *s, const char *scheme);

/* Parts of the page. */
void bg_cmp_conclude(const cmp *c, doc *d);
void bg_cmp_figures(const cmp *c, doc *d);
void bg_cmp_put_machines(const cmp *c, doc *d);
void bg_cmp_put_roofs(const cmp *c, doc *d);
void bg_cmp_put_speeds(const cmp *c, doc *d);

/* Draws into the folder. Without gnuplot c->plot_problem says so. */
bg_status bg_cmp_draw(cmp *c, const char *plots, bg_error *err);

#endif
