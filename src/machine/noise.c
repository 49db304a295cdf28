#include "machine/machine.h"

#include "base/sysfs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEAL = 7, TICK_KINDS = 8 }; /* user nice system idle iowait irq softirq steal */

static bool read_ticks(const bg_machine *m, uint64_t *steal, uint64_t *total)
{
    char text[256], *p = text;
    *steal = *total = 0;
    if (!bg_sysfs_text(text, sizeof text, m->procfs, "stat") || strncmp(p, "cpu ", 4) != 0)
        return false;
    p += 4;
    for (int i = 0; i < TICK_KINDS; i++) {
        char *end;
        uint64_t ticks = strtoull(p, &end, 10);
        if (end == p) return false;
        *total += ticks;
        if (i == STEAL) *steal = ticks;
        p = end;
    }
    return true;
}

/* Counters of the CPUs this process may use; a package's is repeated by each of its CPUs, so the
 * sum says that there was throttling, not how often. */
static uint64_t thermal_events(const bg_machine *m)
{
    static const char format[] = "devices/system/cpu/cpu%d/thermal_throttle/%s_throttle_count";
    uint64_t sum = 0, count;
    for (int i = 0; i < m->topology.n_cpus; i++) {
        int cpu = m->topology.cpus[i].os;
        if (!m->topology.cpus[i].usable) continue;
        if (!bg_sysfs_u64(&count, m->sysfs, format, cpu, "core")) break; /* not on this machine */
        sum += count;
        if (bg_sysfs_u64(&count, m->sysfs, format, cpu, "package")) sum += count;
    }
    return sum;
}

void bg_machine_noise(const bg_machine *m, bg_noise *now)
{
    char text[64], *end;
    bg_limits limits;
    *now = (bg_noise){.steal_ratio = NAN, .load1 = NAN};
    if (read_ticks(m, &now->steal_ticks, &now->total_ticks) && now->total_ticks)
        now->steal_ratio = (double)now->steal_ticks / (double)now->total_ticks;
    if (bg_sysfs_text(text, sizeof text, m->procfs, "loadavg")) {
        double load = strtod(text, &end);
        if (end != text) now->load1 = load;
    }
    bg_machine_limits(m, &limits);
    now->throttle_events = thermal_events(m) + limits.throttled;
    now->governor = m->governor[0] ? m->governor : NULL;
}

double bg_noise_steal(const bg_noise *before, const bg_noise *after)
{
    if (isnan(before->steal_ratio) || isnan(after->steal_ratio) ||
        after->total_ticks <= before->total_ticks)
        return NAN;
    return (double)(after->steal_ticks - before->steal_ticks) /
           (double)(after->total_ticks - before->total_ticks);
}
