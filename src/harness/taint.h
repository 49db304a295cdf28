/* taint.h: what disturbed a repetition, as far as this machine lets it be seen. Internal. */
#ifndef BG_HARNESS_TAINT_H
#define BG_HARNESS_TAINT_H

#include "bitgauge/counters.h"
#include "bitgauge/machine.h"
#include "bitgauge/results.h"

#include "base/base.h"
#include "base/team.h"

typedef struct bg_taints bg_taints;

/* All three outlive it. Finds out which causes can be watched. */
bg_status bg_taints_open(bg_taints **t, const bg_machine *m, bg_team *team,
                         const bg_counters *counters, bg_error *err);
void bg_taints_close(bg_taints **t);

/* Around a repetition, on the thread that owns the team. end wants the sample's seconds and
 * counters, and sets steal_ratio and tainted. */
void bg_taints_begin(bg_taints *t);
void bg_taints_end(bg_taints *t, bg_sample *s);

/* JSON array of {cause, rule, watched, reason}, for bg_machine_json; NULL: no memory. Free with
 * bg_free_text. */
char *bg_taints_json(const bg_taints *t);

#endif
