#include "machine/machine.h"

#include "base/sysfs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* user nice system idle iowait irq softirq steal guest guest_nice; user contains guest. */
enum { STEAL = 7, TICK_KINDS = 8, GUEST_KINDS = 10 };

static bool read_ticks(const bg_machine *m, bg_noise *out)
{
    char text[256], *p = text;
    if (!bg_sysfs_text(text, sizeof text, m->procfs, "stat") || strncmp(p, "cpu ", 4) != 0)
        return false;
    p += 4;
    for (int i = 0; i < GUEST_KINDS; i++) {
        char *end;
        uint64_t ticks = strtoull(p, &end, 10);
        if (end == p) return i >= TICK_KINDS;
        if (i < TICK_KINDS) out->total_ticks += ticks;
        else out->guest_ticks += ticks;
        if (i == STEAL) out->steal_ticks = ticks;
        out->has_guest = i == GUEST_KINDS - 1;
        p = end;
    }
    return true;
}

/* Counters of the CPUs this process may use; a package's is repeated by each of its CPUs, so the
 * sum says that there was throttling, not how often. */
static double thermal_events(const bg_machine *m)
{
    static const char format[] = "devices/system/cpu/cpu%d/thermal_throttle/%s_throttle_count";
    double sum = NAN;
    uint64_t count;
    for (int i = 0; i < m->topology.n_cpus; i++) {
        int cpu = m->topology.cpus[i].os;
        if (!m->topology.cpus[i].usable) continue;
        if (!bg_sysfs_u64(&count, m->sysfs, format, cpu, "core")) break; /* not on this machine */
        sum = (isnan(sum) ? 0 : sum) + (double)count;
        if (bg_sysfs_u64(&count, m->sysfs, format, cpu, "package")) sum += (double)count;
    }
    return sum;
}

void bg_machine_noise(const bg_machine *m, bg_noise *now)
{
    char text[64], *end;
    bg_limits limits;
    *now = (bg_noise){.steal_ratio = NAN, .load1 = NAN};
    if (read_ticks(m, now) && now->total_ticks)
        now->steal_ratio = (double)now->steal_ticks / (double)now->total_ticks;
    if (bg_sysfs_text(text, sizeof text, m->procfs, "loadavg")) {
        double load = strtod(text, &end);
        if (end != text) now->load1 = load;
    }
    bg_machine_limits(m, &limits);
    now->thermal_events = thermal_events(m);
    now->quota_events = limits.accounted ? (double)limits.throttled : (double)NAN;
    now->governor = m->governor[0] ? m->governor : NULL;
}

double bg_machine_clock_hz(const bg_machine *m, int cpu)
{
    uint64_t khz;
    static const char format[] = "devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq";
    if (cpu < 0 || !bg_sysfs_u64(&khz, m->sysfs, format, cpu))
        return NAN;
    return 1e3 * (double)khz;
}

/* schedstat: nanoseconds that it ran, nanoseconds that it waited, turns. */
double bg_thread_waited_ns(const bg_machine *m)
{
    char text[96], *end;
    double waited;
    if (!bg_sysfs_text(text, sizeof text, m->procfs, "thread-self/schedstat")) return NAN;
    strtod(text, &end);
    waited = strtod(end, &end);
    return *end == ' ' ? waited : (double)NAN;
}

double bg_noise_steal(const bg_noise *before, const bg_noise *after)
{
    if (isnan(before->steal_ratio) || isnan(after->steal_ratio) ||
        after->total_ticks <= before->total_ticks)
        return NAN;
    return (double)(after->steal_ticks - before->steal_ticks) /
           (double)(after->total_ticks - before->total_ticks);
}
