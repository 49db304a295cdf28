/* energy.h: windows of energy meters. Internal. */
#ifndef BG_HARNESS_ENERGY_H
#define BG_HARNESS_ENERGY_H

#include "harness/harness.h"

/* Seconds that a window takes: one, or ten periods of a slower meter. NaN: there is no meter, or
 * one that would take over ten seconds. */
double bg_energy_window(const bg_counters *c);
/* A window in which this process sleeps. */
void bg_energy_idle(bg_counters *c, bg_energy *out);
/* Repeats the test in a window, on a warm session; of it session, sizes, tokens and logits count.
 * run is bg_time_test, or a fake one. */
typedef bg_status bg_timed_fn(const bg_timed *t, double *seconds, bg_error *err);
bg_status bg_energy_test(bg_counters *c, const bg_timed *test, bg_timed_fn *run, bg_energy *out,
                         bg_error *err);
/* Gross energy per token and power; net of idle power where both come from the same source. Leaves
 * the row alone when nothing was metered. */
void bg_energy_fill(bg_row *row, const bg_energy *e, const bg_energy *idle);

#endif
