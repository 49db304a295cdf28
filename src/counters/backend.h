/* backend.h: what a source of counters is, to the rest of the room. Internal.
 *
 * A backend is a line of backends.def and a file. Its open tries what it can read, claims those
 * counters, and declines the rest of its own with a reason a user can act on. */
#ifndef BG_BACKEND_H
#define BG_BACKEND_H

#include "bitgauge/counters.h"

#include "base/base.h"
#include "base/team.h"

typedef struct bg_backend {
    /* *state may be set even when nothing was claimed; close gets it back. Fails only for want of
     * memory. */
    bg_status (*open)(bg_counters *c, void **state, bg_error *err);
    void (*start)(void *state);
    /* Writes values[id] of what it claimed and could read; the others are left alone (NaN). */
    void (*stop)(void *state, double *values);
    void (*close)(void *state);
} bg_backend;

/* Whether a better backend has taken the counter already. */
bool bg_counters_taken(const bg_counters *c, bg_counter id);
/* The backend that is being opened fills this counter from now on; detail (may be NULL) says from
 * what: "package-0, package-1". */
void bg_counters_claim(bg_counters *c, bg_counter id, const char *detail);
/* It would, but cannot. The first reason given for a counter is kept, until somebody claims it. */
void bg_counters_decline(bg_counters *c, bg_counter id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void bg_counters_set_period(bg_counters *c, double seconds);

const char *bg_counters_sysfs(const bg_counters *c);
const char *bg_counters_procfs(const bg_counters *c);
bg_team *bg_counters_team(const bg_counters *c);

#endif
