/* topology.h: cores, caches and what shares them, whoever found them out. Internal. */
#ifndef BG_TOPOLOGY_H
#define BG_TOPOLOGY_H

#include "base/base.h"

enum { BG_CACHE_LEVELS = 5, BG_CPU_KINDS_MAX = 8 };

typedef enum bg_cache_type { BG_CACHE_UNIFIED, BG_CACHE_DATA, BG_CACHE_INSTRUCTION } bg_cache_type;
typedef struct bg_cache {
    int level;
    bg_cache_type type;
    uint64_t bytes;
    int line, shared_by;               /* shared_by: logical CPUs below it */
} bg_cache;

/* A logical CPU. Cores and packages are numbered from 0. */
typedef struct bg_cpu {
    int os;                            /* Linux's number of it */
    int core, package, kind;           /* kind: -1 where all CPUs are alike */
    int cache[BG_CACHE_LEVELS + 1];    /* by level, its data or unified cache; -1: none */
    bool usable;                       /* by this process: whoever reads leaves it false */
} bg_cpu;

typedef struct bg_cpu_kind {
    char type[32];                     /* "" when unnamed */
    int efficiency;                    /* greater is faster; -1: unknown */
    int max_mhz, base_mhz;             /* 0: unknown */
} bg_cpu_kind;

typedef struct bg_topology {
    bg_cpu *cpus;
    bg_cache *caches;
    int n_cpus, n_caches, n_cores, n_packages, n_nodes;
    bg_cpu_kind kinds[BG_CPU_KINDS_MAX]; /* slowest first; none when all CPUs are alike */
    int n_kinds;
    char model[128], vendor[64], arch[32]; /* "" when it does not say */
    uint64_t memory;                   /* bytes; 0 when it does not say */
    void *hwloc;                       /* what it was read from, or NULL */
} bg_topology;

/* Two readers. hwloc's knows more (recorded machines, memory, kinds of cores everywhere); the other
 * reads what Linux shows in /sys and needs nothing. bg_have_hwloc: the build has the first. */
extern const bool bg_have_hwloc;
bg_status bg_topology_read_hwloc(bg_topology *t, const char *xml, bg_error *err);
bg_status bg_topology_read_sysfs(bg_topology *t, const char *sysfs, bg_error *err);
void bg_topology_close(bg_topology *t);

/* The export of what bg_topology_read_hwloc read, scrubbed. */
bg_status bg_topology_write_xml(const bg_topology *t, const char *path, bg_error *err);
void bg_topology_free_hwloc(bg_topology *t);

#endif
