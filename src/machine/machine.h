/* machine.h: what the files of this room share. Internal. */
#ifndef BG_MACHINE_INTERNAL_H
#define BG_MACHINE_INTERNAL_H

#include "bitgauge/machine.h"

#include "base/base.h"

#include <hwloc.h>

struct bg_machine {
    char *sysfs, *procfs;        /* roots */
    bg_machine_options options;  /* progress; its strings are not kept */
    hwloc_topology_t topology;
    bool recorded;               /* the topology is a file's: nothing can be bound to it */
    hwloc_obj_t *cores;          /* cores this process may use, fastest kind first */
    int n_cores, n_cpus;         /* n_cpus: logical CPUs this process may use */
    hwloc_bitmap_t usable;       /* those CPUs */
    char model[128], vendor[64], governor[32];
};

/* Limits of the cgroups that hold this process, of every level of the hierarchy. */
typedef struct bg_limits {
    double cpu_quota;            /* CPUs; NaN: none */
    uint64_t memory_limit;       /* bytes; UINT64_MAX: none */
    uint64_t memory_room;        /* what the tightest group still has; UINT64_MAX: no limit */
    uint64_t throttled;          /* periods in which the quota stopped it, all levels */
} bg_limits;
void bg_machine_limits(const bg_machine *m, bg_limits *out);

/* Fills topology, cores and usable. */
bg_status bg_machine_topology_open(bg_machine *m, const char *xml, bg_error *err);
void bg_machine_topology_close(bg_machine *m);

#endif
