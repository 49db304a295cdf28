/* bitgauge/counters.h: what can be read while something runs.
 *
 * Counters are lines of counters.def. Each is filled by the first backend that can really read
 * it: it is added, started and read once when opened, and the reason is kept when that fails.
 */
#ifndef BITGAUGE_COUNTERS_H
#define BITGAUGE_COUNTERS_H

#include "bitgauge/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bg_counter {
#define BG_COUNTER(NAME, name, unit, per, better, width, title) BG_COUNTER_##NAME,
#include "bitgauge/counters.def"
    BG_COUNTER_COUNT
} bg_counter;

typedef struct bg_counter_info {
    const char *name, *unit, *title;
    bool per_token;
    int better;
} bg_counter_info;
const bg_counter_info *bg_counter_get(bg_counter c);

typedef struct bg_counters bg_counters;
struct bg_team;

typedef struct bg_counters_options {
    const char *sysfs_root, *procfs_root; /* NULL: "/sys", "/proc" */
    struct bg_team *team;                 /* threads to count on; outlives this. NULL: this one */
} bg_counters_options;

bg_status bg_counters_open(bg_counters **c, const bg_counters_options *o, bg_error *err);
void bg_counters_close(bg_counters **c);

/* Around the timed region, on the thread that owns the team. stop writes BG_COUNTER_COUNT values:
 * sums over the team's threads for the region (kernel accounting and energy: over the process and
 * the machine), NaN where a counter is not available. A single value may be NaN, too: a region too
 * short for an energy meter to move, or events that take turns because the PMU cannot count all at
 * once (the sources' detail in bg_counters_json says so). */
void bg_counters_start(bg_counters *c);
void bg_counters_stop(bg_counters *c, double values[BG_COUNTER_COUNT]);

/* "papi", "powercap", ...: who fills the counter, or would (NULL: nobody). The reason is NULL when
 * it is available. */
const char *bg_counters_backend(const bg_counters *c, bg_counter id);
const char *bg_counters_reason(const bg_counters *c, bg_counter id);
/* Seconds between updates of the energy meter in use; a window should be much longer. NaN: none. */
double bg_counters_energy_period(const bg_counters *c);

/* JSON arrays of {name, backend, status: "ok"|"unavailable", reason, detail}, as text for
 * bg_machine_json: events, and energy sources. Free with bg_free_text. */
bg_status bg_counters_json(const bg_counters *c, char **counters, char **energy, bg_error *err);

/* Peak and current resident set of this process in bytes; 0 when unknown. */
uint64_t bg_peak_rss(void);
/* Lets the peak begin anew from what is resident now. false: this system cannot. */
bool bg_peak_rss_reset(void);
uint64_t bg_current_rss(void);

#ifdef __cplusplus
}
#endif
#endif
