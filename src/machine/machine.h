/* machine.h: what the files of this room share. Internal. */
#ifndef BG_MACHINE_INTERNAL_H
#define BG_MACHINE_INTERNAL_H

#include "bitgauge/machine.h"

#include "base/base.h"
#include "machine/isa.h"
#include "machine/topology.h"

/* One measured roof. */
typedef struct bg_roof {
    bg_roof_kind kind;
    const char *level, *isa;     /* as in bg_machine_roof; constant text */
    int threads;
    double value;                /* NaN: not measured */
    uint64_t bytes;              /* read roofs: what each thread walked through, at most */
    const char *reason;          /* why it was not measured; constant text */
    const bg_read_loop *loop;    /* that reached it, of a read roof that was measured */
    const bg_peak *peak;         /* of the other kinds */
} bg_roof;
enum { BG_ROOFS_MAX = 512 };

typedef struct bg_isa_state { bool usable; char reason[96]; } bg_isa_state;

/* A core, and its logical CPUs that this process may use. */
enum { BG_SMT_MAX = 8 };
typedef struct bg_core { int kind, n; const bg_cpu *cpus[BG_SMT_MAX]; } bg_core;

struct bg_machine {
    char *sysfs, *procfs;        /* roots */
    bg_machine_options options;  /* progress; its strings are not kept */
    bg_topology topology;
    bool recorded;               /* the topology is a file's: nothing can be bound to it */
    bg_core *cores;              /* cores this process may use, fastest kind first */
    int n_cores, n_cpus;         /* n_cpus: logical CPUs this process may use */
    char model[128], vendor[64], governor[32];
    int virtualised;             /* 1, 0, or -1 when unknown */
    bg_isa_state isas[BG_ISA_PROBES_MAX]; /* in the order of bg_isa_probes */
    bg_roof roofs[BG_ROOFS_MAX];
    size_t n_roofs;
    bg_noise_floor floors[64];
    size_t n_floors;
};

struct json_t *bg_machine_floors_json(const bg_machine *m); /* a new array */

/* The roof that bg_machine_roof gives; NULL when there is none. */
const bg_roof *bg_machine_find_roof(const bg_machine *m, bg_roof_kind kind, const char *level,
                                    const char *isa, int threads);

/* The value of a key of /proc/cpuinfo's first CPU. */
bool bg_machine_cpuinfo(const bg_machine *m, const char *key, char *out, size_t size);

/* Limits of the cgroups that hold this process, of every level of the hierarchy. */
typedef struct bg_limits {
    double cpu_quota;            /* CPUs; NaN: none */
    uint64_t memory_limit;       /* bytes; UINT64_MAX: none */
    uint64_t memory_room;        /* what the tightest group still has; UINT64_MAX: no limit */
    uint64_t throttled;          /* periods in which the quota stopped it, all levels */
    bool accounted;              /* some level told */
} bg_limits;
void bg_machine_limits(const bg_machine *m, bg_limits *out);

/* Fills topology and cores. */
bg_status bg_machine_topology_open(bg_machine *m, const char *xml, bg_error *err);
void bg_machine_topology_close(bg_machine *m);
/* Of the first `threads` members of a team, those whose core shares this cache level with
 * member's. *bytes is its size; 0 when there is none. */
int bg_machine_cache_sharers(const bg_machine *m, int level, int member, int threads,
                             size_t *bytes);
/* Bytes of all caches of the last level. */
size_t bg_machine_last_level_bytes(const bg_machine *m);

#endif
