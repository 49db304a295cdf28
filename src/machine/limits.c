#include "machine/machine.h"

#include "base/sysfs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void lower(uint64_t *value, uint64_t candidate)
{
    if (candidate < *value) *value = candidate;
}

/* v2 "50000 100000" or "max 100000"; v1 has the two numbers in files and -1 for none. */
static double read_quota(const bg_machine *m, const char *group)
{
    char text[64], period_text[64];
    double quota, period = 0;
    char *end;
    if (bg_sysfs_text(text, sizeof text, m->sysfs, "%s/cpu.max", group)) {
        quota = strtod(text, &end);
        if (end != text) period = strtod(end, NULL);
    } else if (bg_sysfs_text(text, sizeof text, m->sysfs, "%s/cpu.cfs_quota_us", group) &&
               bg_sysfs_text(period_text, sizeof period_text, m->sysfs, "%s/cpu.cfs_period_us",
                             group)) {
        quota = strtod(text, NULL);
        period = strtod(period_text, NULL);
    } else {
        return NAN;
    }
    return quota > 0 && period > 0 ? quota / period : NAN;
}

static void read_memory(const bg_machine *m, const char *group, bg_limits *out)
{
    static const struct { const char *limit, *usage, *reclaimable; } versions[] = {
        {"memory.max", "memory.current", "inactive_file"},
        {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
    };
    for (size_t i = 0; i < BG_COUNT(versions); i++) {
        uint64_t limit, usage = 0, cache = 0;
        char stat[8192];
        if (!bg_sysfs_u64(&limit, m->sysfs, "%s/%s", group, versions[i].limit)) continue;
        if (limit >= UINT64_C(1) << 60) continue; /* how v1 writes "none" */
        bg_sysfs_u64(&usage, m->sysfs, "%s/%s", group, versions[i].usage);
        if (bg_sysfs_text(stat, sizeof stat, m->sysfs, "%s/memory.stat", group))
            bg_sysfs_field(stat, versions[i].reclaimable, &cache);
        usage -= BG_MIN(cache, usage); /* file cache gives way */
        lower(&out->memory_limit, limit);
        lower(&out->memory_room, limit > usage ? limit - usage : 0);
    }
}

static void read_group(const bg_machine *m, const char *group, bg_limits *out)
{
    double quota = read_quota(m, group);
    uint64_t throttled;
    char stat[4096];
    if (isnan(out->cpu_quota) || quota < out->cpu_quota) out->cpu_quota = quota;
    read_memory(m, group, out);
    if (bg_sysfs_text(stat, sizeof stat, m->sysfs, "%s/cpu.stat", group) &&
        bg_sysfs_field(stat, "nr_throttled", &throttled)) {
        out->throttled += throttled;
        out->accounted = true;
    }
}

/* Every level counts: a parent's limit binds its children. In a container the path may be the
 * host's, of which only the end of the walk (the mount itself) can be seen. */
static void walk(const bg_machine *m, const char *mount, const char *path, bg_limits *out)
{
    char group[2048];
    size_t base;
    snprintf(group, sizeof group, "fs/cgroup%s", mount);
    base = strlen(group);
    if (!strstr(path, "/..")) snprintf(group + base, sizeof group - base, "%s", path);
    for (;;) {
        size_t n = strlen(group);
        while (n > base && group[n - 1] == '/') group[--n] = 0;
        read_group(m, group, out);
        if (n <= base) return;
        *strrchr(group, '/') = 0;
    }
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)) != NULL; p += n)
        if ((p == list || p[-1] == ',') && (p[n] == 0 || p[n] == ',')) return true;
    return false;
}

void bg_machine_limits(const bg_machine *m, bg_limits *out)
{
    char text[8192], *line, *next = text;
    *out = (bg_limits){NAN, UINT64_MAX, UINT64_MAX, 0, false};
    if (!bg_sysfs_text(text, sizeof text, m->procfs, "self/cgroup")) return;
    while ((line = strsep(&next, "\n")) != NULL) { /* "4:memory:/a/b", v2 "0::/a/b" */
        char *id = strsep(&line, ":"), *controllers = strsep(&line, ":"), mount[256];
        if (!id || !controllers || !line) continue;
        if (!*controllers) {
            walk(m, "", line, out);
            walk(m, "/unified", line, out); /* where v1 and v2 are mounted side by side */
        } else if (has_word(controllers, "cpu") || has_word(controllers, "memory")) {
            snprintf(mount, sizeof mount, "/%s", controllers);
            walk(m, mount, line, out);
        }
    }
}
