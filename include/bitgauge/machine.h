/* bitgauge/machine.h: what this machine is and what it can reach.
 *
 * Nothing is believed that was not tried. What could not be found out is absent with a reason:
 * numbers are NaN, strings NULL. The roots of /sys and /proc can be moved, and hwloc can be given
 * a recorded machine, so that other machines are test fixtures. A build without hwloc reads the
 * topology from /sys: it does all but recorded machines and machine.xml.
 */
#ifndef BITGAUGE_MACHINE_H
#define BITGAUGE_MACHINE_H

#include "bitgauge/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_machine bg_machine;
struct bg_team;

typedef struct bg_machine_options {
    const char *sysfs_root;      /* NULL: "/sys" */
    const char *procfs_root;     /* NULL: "/proc" */
    const char *topology_xml;    /* an hwloc XML file instead of this machine; NULL */
    bool (*progress)(void *user, uint64_t done, uint64_t total); /* while measuring roofs */
    void *user;
} bg_machine_options;

/* Detects topology, limits and noise sources; measures nothing yet. options may be NULL. */
bg_status bg_machine_open(bg_machine **m, const bg_machine_options *o, bg_error *err);
void bg_machine_close(bg_machine **m);

/* Measures the roofs (two or three seconds): read bandwidth per memory level at 1 thread and at
 * `threads` (0: the default), arithmetic peaks per instruction set that works. What was measured
 * before is kept. BG_ERR_INTERRUPTED when progress returned false. */
bg_status bg_machine_measure(bg_machine *m, int threads, bg_error *err);

typedef enum bg_roof_kind {
    BG_ROOF_READ, BG_ROOF_FLOP, BG_ROOF_INT8, BG_ROOF_KINDS
} bg_roof_kind;
/* GB/s, GFLOP/s or Gop/s; NaN when it was not measured. level is "L1", "L2", "L3" or "memory" for
 * BG_ROOF_READ, else NULL; isa is a name of isas.def for the others, else NULL. A set that adds no
 * arithmetic of a kind has the roof of its parent. */
double bg_machine_roof(const bg_machine *m, bg_roof_kind kind, const char *level, const char *isa,
                       int threads);

/* Follows one roof while a test runs: what the other guests of a host leave of it changes by the
 * second. The team is that of the test, so that the same threads on the same cores read; the gauge
 * holds a buffer for reading levels, beyond the caches for memory. Kind, level and isa are those of
 * bg_machine_roof, which was measured for as many threads (BG_ERR_UNSUPPORTED: it was not).
 * BG_ERR_NOMEM when the buffer would take over a quarter of what is free. Both must outlive it. */
typedef struct bg_gauge bg_gauge;
bg_status bg_gauge_open(bg_gauge **g, const bg_machine *m, struct bg_team *team, bg_roof_kind kind,
                        const char *level, const char *isa, bg_error *err);
void bg_gauge_close(bg_gauge **g);
/* A reading of about `seconds` (from 0.002 on makes sense), the middle one of three parts, over the
 * roof as it was measured. The roof is the best of many readings, so this is mostly below 1. */
double bg_gauge_read(bg_gauge *g, double seconds);
size_t bg_gauge_bytes(const bg_gauge *g);           /* of its buffers, all resident; NULL: 0 */

/* Bytes of a cache level (1, 2, 3) that one core can use; 0 when there is none. */
size_t bg_machine_cache_bytes(const bg_machine *m, int level);
/* Memory a new process may still take: the lesser of free memory and the cgroup's room. */
uint64_t bg_machine_memory_available(const bg_machine *m);
uint64_t bg_machine_memory_total(const bg_machine *m);
const char *bg_machine_cpu_model(const bg_machine *m);
int bg_machine_cores(const bg_machine *m);          /* physical cores this process may use */
/* Threads that make sense: one a core, never more than the cgroup's CPU quota. */
int bg_machine_default_threads(const bg_machine *m);
/* bg_team_bind_fn: binds member i to the i-th core. user is the bg_machine. */
void bg_machine_bind(void *user, int member);

/* JSON that other rooms have to say of a machine, as text; NULL: nothing. */
typedef struct bg_machine_notes {
    char *counters, *energy;     /* arrays, of bg_counters_json */
    char *disturbances;          /* array: which can be seen; see profiles/machine-schema.md */
    char *idle;                  /* object: power without load */
} bg_machine_notes;
void bg_machine_notes_fini(bg_machine_notes *notes);      /* with bg_free_text */

/* machine.json as text that ends with a newline (bg_free_text it), with sorted keys, as documented
 * in profiles/machine-schema.md. */
bg_status bg_machine_json(const bg_machine *m, const bg_machine_notes *notes, char **text,
                          bg_error *err);
/* machine.xml: hwloc's export with host name, serials and paths scrubbed. BG_ERR_UNSUPPORTED in a
 * build without hwloc: bg_machine_has_xml is false then. */
bool bg_machine_has_xml(const bg_machine *m);
bg_status bg_machine_write_xml(const bg_machine *m, const char *path, bg_error *err);

/* Noise while something ran: take one before and one after. */
typedef struct bg_noise {
    double steal_ratio;        /* of all CPU time since boot; NaN when unknown */
    uint64_t steal_ticks, total_ticks;
    bool has_guest;            /* whether guest_ticks, of guests that this machine runs, is known */
    uint64_t guest_ticks;
    double load1;              /* load average; NaN when unknown */
    double thermal_events;     /* of thermal_throttle counters; NaN when there are none */
    double quota_events;       /* periods in which a cgroup's quota stopped it; NaN when unknown */
    const char *governor;      /* or NULL */
} bg_noise;
void bg_machine_noise(const bg_machine *m, bg_noise *now);
/* scaling_cur_freq of a logical CPU; NaN when it is not shown. */
double bg_machine_clock_hz(const bg_machine *m, int cpu);
/* Nanoseconds that the calling thread was ready and waited for a CPU, ever; NaN when unknown. */
double bg_thread_waited_ns(const bg_machine *m);
/* Share of all CPU time that was stolen between the two; NaN when unknown or too close. */
double bg_noise_steal(const bg_noise *before, const bg_noise *after);

/* How far two measurements of identical work differ on this machine. machine.json keeps them as the
 * array "noise_floors": [{"kind", "threads", "floor", "pairs", "seconds", "measured",
 * "estimated"}]. */
typedef struct bg_noise_floor {
    char kind[16];             /* of test, its name up to the first digit: "pp", "tg", "read", ...;
                                  "pp/own": of the part beside others */
    int threads;
    double floor;              /* 99 % quantile of |median A / median B - 1|, estimated; 0.03:
                                * 3 % */
    uint32_t pairs;            /* of halves that it comes from */
    double seconds;            /* from the first half's begin to the last one's end */
    char measured[32];         /* when: UTC, "2026-01-31T12:00:00Z" */
} bg_noise_floor;
/* Replaces that of the same kind and threads; machine.json gets all of them. */
void bg_machine_set_floor(bg_machine *m, const bg_noise_floor *floor);
const bg_noise_floor *bg_machine_floor(const bg_machine *m, size_t i);    /* NULL after the last */
/* Sets those of a machine.json. BG_ERR_INPUT: it has none, or they are of another CPU. */
bg_status bg_machine_read_floors(bg_machine *m, const char *path, bg_error *err);
/* Where the last calibration of a machine like this one is kept for sweeps:
 * $XDG_CACHE_HOME/bitgauge/noise-<hash of CPU model, architecture, cores, default threads>.json,
 * else below ~/.cache. NULL: there is no such place. Free with bg_free_text. */
char *bg_machine_floors_path(const bg_machine *m);

#ifdef __cplusplus
}
#endif
#endif
