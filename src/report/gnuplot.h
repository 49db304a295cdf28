/* gnuplot.h: draws with gnuplot: constant scripts of reports/templates, numbers as definitions,
 * everything else in data files. No shell. Internal; gnuplot sits behind this file. */
#ifndef BG_REPORT_GNUPLOT_H
#define BG_REPORT_GNUPLOT_H

#include "base/base.h"

typedef struct bg_gnuplot bg_gnuplot;

/* A workplace inside `plots`, where the drawings will go. */
bg_status bg_gnuplot_open(bg_gnuplot **g, const char *plots, bg_error *err);
void bg_gnuplot_close(bg_gnuplot **g);               /* removes the workplace */

/* A data file that the script knows by this name; bg_gnuplot_end it. NULL: cannot be made. */
FILE *bg_gnuplot_data(bg_gnuplot *g, const char *name);
bool bg_gnuplot_end(bg_gnuplot *g, FILE *f);         /* false: f is NULL or was not written */
/* BG_ERR_IO when a data file could not be made or written. */
bg_status bg_gnuplot_check(const bg_gnuplot *g, bg_error *err);
void bg_gnuplot_number(bg_gnuplot *g, const char *name, double value);

/* Runs templates/<script>.gp for SVG and PNG, and moves both to plots/<name>.*. Forgets the
 * numbers. BG_ERR_UNSUPPORTED: gnuplot is not installed, or failed; its words are in err.
 * BG_ERR_IO: files cannot be written, a full disk for one. */
bg_status bg_gnuplot_run(bg_gnuplot *g, const char *script, const char *name, bg_error *err);

#endif
