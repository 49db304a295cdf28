/* RAPL through powercap: /sys/class/powercap/intel-rapl:N (AMD uses the same names).
 *
 *   intel-rapl:0   package-0      counted
 *   intel-rapl:0:0   core         a part of the package: not counted
 *   intel-rapl:0:1   uncore       a part of the package: not counted
 *   intel-rapl:0:2   dram         beside the package: its own counter
 *   intel-rapl:1   psys           the whole platform, packages included: not counted
 *   intel-rapl-mmio:0             package-0 once more, used only when the first are not there
 *
 * energy_uj counts microjoules up to max_energy_range_uj and begins again at 0. */
#include "counters/backend.h"

#include "base/sysfs.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { MAX_ZONES = 64 };
static const double update_period = 1e-3;  /* the hardware's, about */
static const double most_watts = 500;      /* of a zone: beyond it, a wrap could go unseen */

typedef struct zone {
    char dir[64], name[32];
    bg_counter id;
    uint64_t range, before;
    bool ok;
} zone;

typedef struct powercap {
    const char *sysfs;
    zone zones[MAX_ZONES];
    size_t n;
    uint64_t start_ns;
} powercap;

static bool read_energy(const powercap *p, const zone *z, uint64_t *uj)
{
    return bg_sysfs_u64(uj, p->sysfs, "class/powercap/%s/energy_uj", z->dir);
}

static void find_zones(powercap *p, const char *prefix)
{
    char **names;
    size_t n = bg_sysfs_list(&names, p->sysfs, "class/powercap", prefix);
    for (size_t i = 0; i < n && p->n < MAX_ZONES; i++) {
        zone z = {.ok = true};
        snprintf(z.dir, sizeof z.dir, "%s", names[i]);
        if (!bg_sysfs_text(z.name, sizeof z.name, p->sysfs, "class/powercap/%s/name", z.dir))
            continue;
        if (strncmp(z.name, "package", 7) == 0) z.id = BG_COUNTER_ENERGY_PACKAGE;
        else if (strcmp(z.name, "dram") == 0) z.id = BG_COUNTER_ENERGY_DRAM;
        else continue;
        bg_sysfs_u64(&z.range, p->sysfs, "class/powercap/%s/max_energy_range_uj", z.dir);
        p->zones[p->n++] = z;
    }
    bg_free(names);
}

/* All zones of a counter or none: a part of them would be a wrong sum. */
static void settle(bg_counters *c, powercap *p, bg_counter id)
{
    char detail[128] = "";
    size_t found = 0;
    for (size_t i = 0; i < p->n; i++) {
        const zone *z = &p->zones[i];
        uint64_t uj;
        size_t used = strlen(detail);
        if (z->id != id) continue;
        if (!read_energy(p, z, &uj)) {
            if (errno == EACCES || errno == EPERM)
                bg_counters_decline(c, id, "permission denied: run as root, or `sudo chmod a+r "
                                           "/sys/class/powercap/*/energy_uj`");
            else
                bg_counters_decline(c, id, "%s/energy_uj cannot be read (%s)", z->dir,
                                    errno ? strerror(errno) : "no number in it");
            return;
        }
        snprintf(detail + used, sizeof detail - used, "%s%s", used ? ", " : "", z->name);
        found++;
    }
    if (found) {
        bg_counters_claim(c, id, detail);
        bg_counters_set_period(c, update_period);
    } else if (p->n) {
        bg_counters_decline(c, id, "this CPU's RAPL has no such zone");
    } else {
        bg_counters_decline(c, id, "no RAPL zones in /sys/class/powercap (a virtual machine, an "
                                   "older CPU, or `sudo modprobe intel_rapl_msr`)");
    }
}

static bg_status powercap_open(bg_counters *c, void **state, bg_error *err)
{
    powercap *p = *state = bg_alloc(1, sizeof *p);
    if (!p) return bg_fail_nomem(err, "counters", sizeof *p);
    p->sysfs = bg_counters_sysfs(c);
    find_zones(p, "intel-rapl:");
    if (!p->n) find_zones(p, "intel-rapl-mmio:");
    settle(c, p, BG_COUNTER_ENERGY_PACKAGE);
    settle(c, p, BG_COUNTER_ENERGY_DRAM);
    return BG_OK;
}

static void powercap_start(void *state)
{
    powercap *p = state;
    for (size_t i = 0; i < p->n; i++) {
        zone *z = &p->zones[i];
        z->ok = read_energy(p, z, &z->before);
    }
    p->start_ns = bg_clock_ns();
}

/* Joules since start; NaN when they are not known. */
static double zone_joules(const powercap *p, const zone *z, double seconds)
{
    uint64_t now;
    if (!z->ok || !read_energy(p, z, &now)) return NAN;
    if (z->range && seconds * most_watts * 1e6 > (double)z->range) return NAN;
    if (now >= z->before) return 1e-6 * (double)(now - z->before);
    if (z->range < z->before) return NAN; /* wrapped, but where is not known */
    return 1e-6 * ((double)(z->range - z->before) + (double)now);
}

static void powercap_stop(void *state, double *values)
{
    powercap *p = state;
    double seconds = 1e-9 * (double)(bg_clock_ns() - p->start_ns);
    double sums[BG_COUNTER_COUNT] = {0};
    for (size_t i = 0; i < p->n; i++)
        sums[p->zones[i].id] += zone_joules(p, &p->zones[i], seconds);
    /* No joule at all: the region was shorter than the meter's period. */
    if (sums[BG_COUNTER_ENERGY_PACKAGE] > 0)
        values[BG_COUNTER_ENERGY_PACKAGE] = sums[BG_COUNTER_ENERGY_PACKAGE];
    if (sums[BG_COUNTER_ENERGY_DRAM] > 0)
        values[BG_COUNTER_ENERGY_DRAM] = sums[BG_COUNTER_ENERGY_DRAM];
}

const bg_backend bg_backend_powercap = {powercap_open, powercap_start, powercap_stop, bg_free};
