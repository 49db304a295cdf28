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

static void find_usable(bg_machine *m)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    hwloc_bitmap_copy(m->usable, hwloc_topology_get_allowed_cpuset(m->topology));
    if (m->recorded) return;
    pthread_once(&once, save_start_mask);
    if (start_mask_status != 0) return; /* more than CPU_SETSIZE CPUs: no mask to honour */
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (!CPU_ISSET(i, &start_mask)) hwloc_bitmap_clr(m->usable, i);
}

/* Higher is faster; hwloc orders kinds by efficiency where it knows it. */
static int speed_of(const bg_machine *m, hwloc_obj_t core)
{
    int efficiency = -1, kind = hwloc_cpukinds_get_by_cpuset(m->topology, core->cpuset, 0);
    if (kind >= 0)
        hwloc_cpukinds_get_info(m->topology, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0);
    return efficiency;
}

static bg_status find_cores(bg_machine *m, bg_error *err)
{
    hwloc_obj_type_t type = HWLOC_OBJ_CORE;
    int n = hwloc_get_nbobjs_by_type(m->topology, type);
    if (n <= 0) {
        type = HWLOC_OBJ_PU;
        n = hwloc_get_nbobjs_by_type(m->topology, type);
    }
    m->cores = bg_alloc((size_t)BG_MAX(n, 1), sizeof *m->cores);
    if (!m->cores) return bg_fail_nomem(err, "topology", (size_t)n * sizeof *m->cores);
    for (int i = 0; i < n; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(m->topology, type, (unsigned)i);
        int at;
        if (!hwloc_bitmap_intersects(core->cpuset, m->usable)) continue;
        for (at = m->n_cores++; at > 0 && speed_of(m, m->cores[at - 1]) < speed_of(m, core); at--)
            m->cores[at] = m->cores[at - 1];
        m->cores[at] = core;
    }
    m->n_cpus = hwloc_bitmap_weight(m->usable);
    if (m->n_cores == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "there is no CPU that this process may use");
    return BG_OK;
}

bg_status bg_machine_topology_open(bg_machine *m, const char *xml, bg_error *err)
{
    m->recorded = xml != NULL;
    m->usable = hwloc_bitmap_alloc();
    if (!m->usable || hwloc_topology_init(&m->topology) != 0)
        return bg_fail_nomem(err, "topology", 0);
    if (xml && hwloc_topology_set_xml(m->topology, xml) != 0)
        return bg_fail(err, BG_ERR_INPUT, xml, "cannot be read: give a file that hwloc exported");
    if (hwloc_topology_load(m->topology) != 0)
        return xml ? bg_fail(err, BG_ERR_INPUT, xml, "is not a topology: give a file that hwloc "
                                                     "exported")
                   : bg_fail(err, BG_ERR_IO, NULL, "hwloc cannot detect the topology");
    find_usable(m);
    return find_cores(m, err);
}

void bg_machine_topology_close(bg_machine *m)
{
    if (m->topology) hwloc_topology_destroy(m->topology);
    hwloc_bitmap_free(m->usable);
    bg_free(m->cores);
}

void bg_machine_bind(void *user, int member)
{
    const bg_machine *m = user;
    hwloc_bitmap_t set;
    unsigned turn, cpu;
    if (m->recorded) return;
    set = hwloc_bitmap_alloc();
    if (!set) return;
    /* More members than cores: the next round takes each core's next logical CPU. */
    hwloc_bitmap_and(set, m->cores[member % m->n_cores]->cpuset, m->usable);
    turn = (unsigned)(member / m->n_cores) % (unsigned)hwloc_bitmap_weight(set);
    cpu = (unsigned)hwloc_bitmap_first(set);
    while (turn-- > 0) cpu = (unsigned)hwloc_bitmap_next(set, (int)cpu);
    hwloc_bitmap_only(set, cpu);
    if (hwloc_set_cpubind(m->topology, set, HWLOC_CPUBIND_THREAD) != 0)
        bg_log(BG_LOG_DEBUG, "thread %d could not be bound to CPU %u", member, cpu);
    hwloc_bitmap_free(set);
}

static hwloc_obj_t cache_above(hwloc_obj_t core, int level)
{
    for (hwloc_obj_t o = core; o; o = o->parent)
        if (hwloc_obj_type_is_dcache(o->type) && (int)o->attr->cache.depth == level) return o;
    return NULL;
}

size_t bg_machine_cache_bytes(const bg_machine *m, int level)
{
    hwloc_obj_t cache = cache_above(m->cores[0], level);
    return cache ? (size_t)cache->attr->cache.size : 0;
}

int bg_machine_cache_sharers(const bg_machine *m, int level, int member, int threads,
                             size_t *bytes)
{
    hwloc_obj_t cache = cache_above(m->cores[member % m->n_cores], level);
    int sharers = 0;
    *bytes = cache ? (size_t)cache->attr->cache.size : 0;
    for (int i = 0; i < threads; i++)
        if (cache && cache_above(m->cores[i % m->n_cores], level) == cache) sharers++;
    return sharers;
}

size_t bg_machine_last_level_bytes(const bg_machine *m)
{
    for (hwloc_obj_type_t type = HWLOC_OBJ_L5CACHE; type >= HWLOC_OBJ_L1CACHE; type--) {
        hwloc_obj_t cache = NULL;
        size_t bytes = 0;
        while ((cache = hwloc_get_next_obj_by_type(m->topology, type, cache)) != NULL)
            bytes += (size_t)cache->attr->cache.size;
        if (bytes) return bytes;
    }
    return 0;
}
