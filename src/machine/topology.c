#include "machine/machine.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The mask the process began with: later opens may run on a thread that was bound to a core. */
static cpu_set_t start_mask;
static int start_mask_status;

static void save_start_mask(void)
{
    start_mask_status = sched_getaffinity(0, sizeof start_mask, &start_mask);
}

static bool may_use(const bg_machine *m, const bg_cpu *cpu)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (m->recorded) return true;
    pthread_once(&once, save_start_mask);
    /* More than CPU_SETSIZE CPUs: no mask to honour. */
    return start_mask_status != 0 ||
           (cpu->os < CPU_SETSIZE && CPU_ISSET((size_t)cpu->os, &start_mask));
}

/* Higher is faster. */
static int speed_of(const bg_machine *m, const bg_core *core)
{
    return core->kind < 0 ? -1 : m->topology.kinds[core->kind].efficiency;
}

static int faster_first(const void *a, const void *b, void *user)
{
    const bg_core *x = a, *y = b;
    int by_speed = speed_of(user, y) - speed_of(user, x);
    return by_speed ? by_speed : x->cpus[0]->core - y->cpus[0]->core;
}

static bg_status find_cores(bg_machine *m, bg_error *err)
{
    const bg_topology *t = &m->topology;
    bg_core *all = bg_alloc((size_t)BG_MAX(t->n_cores, 1), sizeof *all);
    m->cores = all;
    if (!all) return bg_fail_nomem(err, "topology", (size_t)t->n_cores * sizeof *all);
    for (int i = 0; i < t->n_cpus; i++) {
        bg_core *core = &all[t->cpus[i].core];
        t->cpus[i].usable = may_use(m, &t->cpus[i]) && core->n < BG_SMT_MAX;
        if (!t->cpus[i].usable) continue;
        core->cpus[core->n++] = &t->cpus[i];
        core->kind = t->cpus[i].kind;
    }
    for (int i = 0; i < t->n_cores; i++) {
        if (!all[i].n) continue;
        m->n_cpus += all[i].n;
        all[m->n_cores++] = all[i];
    }
    if (m->n_cores == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "there is no CPU that this process may use");
    qsort_r(all, (size_t)m->n_cores, sizeof *all, faster_first, m);
    return BG_OK;
}

bg_status bg_machine_topology_open(bg_machine *m, const char *xml, bg_error *err)
{
    m->recorded = xml != NULL;
    if (xml || bg_have_hwloc) BG_TRY(bg_topology_read_hwloc(&m->topology, xml, err));
    else BG_TRY(bg_topology_read_sysfs(&m->topology, m->sysfs, err));
    return find_cores(m, err);
}

void bg_topology_close(bg_topology *t)
{
    bg_topology_free_hwloc(t);
    bg_free(t->cpus);
    bg_free(t->caches);
}

void bg_machine_topology_close(bg_machine *m)
{
    bg_topology_close(&m->topology);
    bg_free(m->cores);
}

void bg_machine_bind(void *user, int member)
{
    const bg_machine *m = user;
    const bg_core *core = &m->cores[member % m->n_cores];
    /* More members than cores: the next round takes each core's next logical CPU. */
    int cpu = core->cpus[member / m->n_cores % core->n]->os;
    cpu_set_t set;
    if (m->recorded) return;
    CPU_ZERO(&set);
    if (cpu < CPU_SETSIZE) CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        bg_log(BG_LOG_DEBUG, "thread %d could not be bound to CPU %d", member, cpu);
}

/* The cache of a level above a member's core: an index, or -1. */
static int cache_above(const bg_machine *m, int member, int level)
{
    const bg_core *core = &m->cores[member % m->n_cores];
    return level >= 1 && level <= BG_CACHE_LEVELS ? core->cpus[0]->cache[level] : -1;
}

size_t bg_machine_cache_bytes(const bg_machine *m, int level)
{
    int cache = cache_above(m, 0, level);
    return cache >= 0 ? (size_t)m->topology.caches[cache].bytes : 0;
}

int bg_machine_cache_sharers(const bg_machine *m, int level, int member, int threads,
                             size_t *bytes)
{
    int cache = cache_above(m, member, level), sharers = 0;
    *bytes = cache >= 0 ? (size_t)m->topology.caches[cache].bytes : 0;
    for (int i = 0; i < threads; i++)
        if (cache >= 0 && cache_above(m, i, level) == cache) sharers++;
    return sharers;
}

size_t bg_machine_last_level_bytes(const bg_machine *m)
{
    const bg_topology *t = &m->topology;
    size_t bytes = 0;
    int last = 0;
    for (int i = 0; i < t->n_caches; i++)
        if (t->caches[i].type != BG_CACHE_INSTRUCTION) last = BG_MAX(last, t->caches[i].level);
    for (int i = 0; i < t->n_caches; i++)
        if (t->caches[i].type != BG_CACHE_INSTRUCTION && t->caches[i].level == last)
            bytes += (size_t)t->caches[i].bytes;
    return bytes;
}
