/* bitgauge/report.h: report.md, report.html and plots from a results folder. */
#ifndef BITGAUGE_REPORT_H
#define BITGAUGE_REPORT_H

#include "bitgauge/advise.h"
#include "bitgauge/history.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_report_options {
    const char *out;           /* folder; NULL: the results folder itself */
    bg_advise_options advise;
} bg_report_options;

/* Writes report.md, report.html (self-contained: inline SVG and style, no network), plots/NAME.svg
 * and plots/NAME.png. Without gnuplot the tables come out and the report says what is missing. */
bg_status bg_report_write(const bg_results *r, const bg_report_options *o, bg_error *err);

/* Two or more folders side by side: machines, engines or versions. Conclusions, speed-ups with
 * their intervals, Pareto fronts, and the tables behind them, as Markdown (free with bg_free_text).
 * The first folder is what the others are compared with. Unless out is NULL, also written to
 * out/compare.md and out/compare.html, with drawings in out/plots; without gnuplot the page says
 * what is missing. BG_ERR_INPUT: under two folders, or over BG_REPORT_SIDES. */
enum { BG_REPORT_SIDES = 8 };
bg_status bg_report_compare(const bg_results *const *results, size_t n, const char *out,
                            char **text, bg_error *err);

/* Draws trends into the folder: trend-MACHINE-MODEL-TEST-METRIC-ISA-tTHREADS.svg and .png, a panel
 * a scheme, with intervals, levels and changes; names that are taken get a number behind them.
 * BG_ERR_UNSUPPORTED: no gnuplot. */
bg_status bg_report_trend(const bg_history_trend *t, const char *out, bg_error *err);

/* The summary table for a terminal, one line a scheme; free with bg_free_text. */
bg_status bg_report_table(const bg_results *r, int width, char **text, bg_error *err);

/* The counts of a simulated processor, a line a test; NULL when there are none. */
bg_status bg_report_simulated(const bg_results *r, char **text, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
