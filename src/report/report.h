/* report.h: what plots and sections of the report draw from. Internal. */
#ifndef BG_REPORT_INTERNAL_H
#define BG_REPORT_INTERNAL_H

#include "bitgauge/report.h"
#include "report/doc.h"
#include "report/gnuplot.h"

#include <jansson.h>

/* Drawings are lines of plots.def. */
typedef enum bg_plot {
#define BG_PLOT(NAME, name, script) BG_PLOT_##NAME,
#include "report/plots.def"
    BG_PLOT_COUNT
} bg_plot;

typedef struct report {
    const bg_results *results;
    const bg_advice *advice;
    const bg_report_options *options;
    json_t *plan, *machine;                 /* NULL when there is none */
    const bg_candidate **schemes;           /* those measured, by bits per weight; of the engine of
                                               the pick where there are several */
    bool several;                           /* there are */
    size_t n_schemes;
    bool drawn[BG_PLOT_COUNT];
    char plot_problem[512];                 /* why there are no plots, or "" */
} report;

/* Data and numbers for one drawing; false: there is nothing to draw. */
typedef bool bg_plot_fn(const report *r, bg_gnuplot *g);
#define BG_PLOT(NAME, name, script) bg_plot_fn bg_plot_##name;
#include "report/plots.def"

/* Makes all drawings. Without gnuplot, or when it fails, r->plot_problem says so and the report
 * goes on; when files cannot be written no drawing stays. */
bg_status bg_report_draw(report *r, const char *plots, bg_error *err);

/* One section; a section that has nothing to say adds nothing. */
typedef void bg_section_fn(const report *r, doc *d);
#define BG_SECTION(name) bg_section_fn bg_section_##name;
#include "report/sections.def"

/* Adds the figure when it was drawn. */
void bg_report_figure(const report *r, doc *d, bg_plot plot, const char *alt, const char *caption);

/* Fields of a JSON object: NULL and NaN when they are not there or something else. */
const char *bg_report_json_text(const json_t *o, const char *key);
double bg_report_json_number(const json_t *o, const char *key);

/* Numbers for cells: "" when unknown. The buffer is returned. */
const char *bg_report_number(char *buffer, size_t n, double value);   /* three digits */
const char *bg_report_fixed(char *buffer, size_t n, double value, int decimals);
const char *bg_report_size(char *buffer, size_t n, double bytes);
const char *bg_report_interval(char *buffer, size_t n, double value, double low, double high);
/* All but letters, digits and those of `also` becomes `other`. */
void bg_report_letters(char *out, size_t n, const char *text, const char *also, char other);
/* Names reach gnuplot inside quotes: all but letters, digits and _.+- becomes "?". */
void bg_report_plain(char *out, size_t n, const char *name);
const char *bg_report_loss_name(const report *r);                     /* "KL divergence" */
int bg_report_level(const bg_candidate *c);                           /* nominal bits */
unsigned bg_report_level_bit(const bg_candidate *c);                  /* of LEVEL_BITS; 0: none */

/* Columns of the summary, for the page and for the terminal. */
typedef struct summary_column {
    const char *title, *unit;
    bool text;
    int keep;                 /* a narrow terminal drops the highest first; 0 is always there */
    void (*print)(const report *r, const bg_candidate *c, char *buffer, size_t n);
} summary_column;
extern const summary_column bg_summary_columns[];
extern const size_t bg_summary_count;

/* How the engines compare, in sentences; nothing where there is one. */
void bg_report_engines(const report *r, bg_text *t);
/* What in the summary was not measured, in sentences; "" when all was. */
void bg_report_sources(const report *r, bg_text *t);

bg_status bg_report_prepare(report *r, const bg_results *results, const bg_advice *advice,
                            bg_error *err);
void bg_report_fini(report *r);

#endif
