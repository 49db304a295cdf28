/* The topology as Linux shows it below /sys/devices, for builds without hwloc. */
#include "machine/topology.h"

#include "base/sysfs.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const char cpu_folder[] = "devices/system/cpu";
enum { CPUS_MAX = 1 << 16 };

/* "0-3,8-11" as flags by number. Returns how many are set; anything that is no such list sets
 * none. */
static int parse_list(const char *text, bool *flags, int max)
{
    int n = 0;
    while (*text) {
        char *end;
        long first = strtol(text, &end, 10), last = first;
        if (end == text) return 0;
        if (*end == '-') last = strtol(end + 1, &end, 10);
        if (first < 0 || last < first || last >= max || (*end && *end != ',')) return 0;
        for (long i = first; i <= last; i++) {
            n += !flags[i];
            flags[i] = true;
        }
        text = *end ? end + 1 : end;
    }
    return n;
}

/* The first number of a list: it names the group of CPUs that share something. `otherwise` when the
 * file is not there. */
static int first_of(const char *sysfs, int cpu, const char *file, int otherwise)
{
    uint64_t first;
    return bg_sysfs_u64(&first, sysfs, "%s/cpu%d/%s", cpu_folder, cpu, file) && first < CPUS_MAX
               ? (int)first : otherwise;
}

static bool is_online(bool *online, const char *sysfs)
{
    char list[4096];
    cpu_set_t mask;
    int n = 0;
    if (bg_sysfs_text(list, sizeof list, sysfs, "%s/online", cpu_folder) &&
        parse_list(list, online, CPUS_MAX) > 0)
        return true;
    if (strcmp(sysfs, "/sys") != 0 || sched_getaffinity(0, sizeof mask, &mask) != 0) return false;
    for (size_t i = 0; i < CPU_SETSIZE; i++) n += online[i] = CPU_ISSET(i, &mask);
    return n > 0;
}

/* Makes numbers from 0 of the keys in one field of every CPU. Returns how many there are. */
static int number_groups(bg_topology *t, const int *keys, size_t field)
{
    int n = 0;
    for (int i = 0; i < t->n_cpus; i++) {
        int *to = (int *)(void *)((char *)&t->cpus[i] + field), seen = 0;
        while (keys[seen] != keys[i]) seen++;
        *to = seen < i ? *(int *)(void *)((char *)&t->cpus[seen] + field) : n++;
    }
    return n;
}

static void number_all(bg_topology *t, const char *sysfs, int *keys)
{
    for (int i = 0; i < t->n_cpus; i++)
        keys[i] = first_of(sysfs, t->cpus[i].os, "topology/core_cpus_list",
                           first_of(sysfs, t->cpus[i].os, "topology/thread_siblings_list",
                                    t->cpus[i].os));
    t->n_cores = number_groups(t, keys, offsetof(bg_cpu, core));
    for (int i = 0; i < t->n_cpus; i++)
        keys[i] = first_of(sysfs, t->cpus[i].os, "topology/physical_package_id", 0);
    t->n_packages = number_groups(t, keys, offsetof(bg_cpu, package));
}

/* Reads one index folder of a CPU. *first names the cache among those of its level and type. */
static bool read_cache(const char *sysfs, int cpu, const char *index, bg_cache *cache, int *first)
{
    static const struct { const char *name; bg_cache_type type; } types[] = {
        {"Unified", BG_CACHE_UNIFIED}, {"Data", BG_CACHE_DATA},
        {"Instruction", BG_CACHE_INSTRUCTION},
    };
    char folder[128], text[64], *unit;
    uint64_t level, line = 0;
    size_t k = 0;
    snprintf(folder, sizeof folder, "%s/cpu%d/cache/%s", cpu_folder, cpu, index);
    if (!bg_sysfs_u64(&level, sysfs, "%s/level", folder) || level < 1 || level > BG_CACHE_LEVELS ||
        !bg_sysfs_text(text, sizeof text, sysfs, "%s/type", folder))
        return false;
    while (k < BG_COUNT(types) && strcmp(types[k].name, text) != 0) k++;
    if (k == BG_COUNT(types) || !bg_sysfs_text(text, sizeof text, sysfs, "%s/size", folder))
        return false;
    *cache = (bg_cache){.level = (int)level, .type = types[k].type};
    cache->bytes = strtoull(text, &unit, 10);
    if (cache->bytes >> 40) return false;
    cache->bytes <<= *unit == 'K' ? 10 : *unit == 'M' ? 20 : 0;
    if (bg_sysfs_u64(&line, sysfs, "%s/coherency_line_size", folder) && line < 1 << 16)
        cache->line = (int)line;
    snprintf(folder, sizeof folder, "cache/%s/shared_cpu_list", index);
    *first = first_of(sysfs, cpu, folder, cpu);
    return cache->bytes > 0;
}

static bg_status read_caches(bg_topology *t, const char *sysfs, bg_error *err)
{
    int most = 2 * BG_CACHE_LEVELS * t->n_cpus;
    int *firsts = bg_alloc((size_t)most, sizeof *firsts);
    t->caches = bg_alloc((size_t)most, sizeof *t->caches);
    if (!firsts || !t->caches) {
        bg_free(firsts);
        return bg_fail_nomem(err, "topology", (size_t)most * sizeof *t->caches);
    }
    for (int i = 0; i < t->n_cpus; i++) {
        char folder[64], **names;
        size_t n;
        snprintf(folder, sizeof folder, "%s/cpu%d/cache", cpu_folder, t->cpus[i].os);
        n = bg_sysfs_list(&names, sysfs, folder, "index");
        for (size_t k = 0; k < n; k++) {
            bg_cache cache;
            int first, at = 0;
            if (!read_cache(sysfs, t->cpus[i].os, names[k], &cache, &first)) continue;
            while (at < t->n_caches && (firsts[at] != first || t->caches[at].level != cache.level ||
                                        t->caches[at].type != cache.type))
                at++;
            if (at == most) break;
            if (at == t->n_caches) {
                firsts[at] = first;
                t->caches[t->n_caches++] = cache;
            }
            t->caches[at].shared_by++;
            if (cache.type != BG_CACHE_INSTRUCTION) t->cpus[i].cache[cache.level] = at;
        }
        bg_free(names);
    }
    bg_free(firsts);
    return BG_OK;
}

/* Hybrid Intel CPUs name their kinds; elsewhere a capacity may tell them apart. */
static void read_kinds(bg_topology *t, const char *sysfs, bool *flags, int *keys)
{
    static const struct { const char *file, *type; } named[] = {
        {"devices/cpu_atom/cpus", "IntelAtom"}, {"devices/cpu_core/cpus", "IntelCore"},
    };
    const char *types[BG_CPU_KINDS_MAX] = {0};
    int capacities[BG_CPU_KINDS_MAX], n = 0;
    char list[4096];
    for (int i = 0; i < t->n_cpus; i++)
        keys[i] = first_of(sysfs, t->cpus[i].os, "cpu_capacity", 0);
    for (int k = 0; k < (int)BG_COUNT(named); k++) {
        memset(flags, 0, CPUS_MAX * sizeof *flags);
        if (!bg_sysfs_text(list, sizeof list, sysfs, "%s", named[k].file)) continue;
        parse_list(list, flags, CPUS_MAX);
        for (int i = 0; i < t->n_cpus; i++)
            if (flags[t->cpus[i].os]) keys[i] = -(int)BG_COUNT(named) + k;
    }
    for (int i = 0; i < t->n_cpus; i++) { /* the different keys, in order */
        int at = n, k;
        for (k = 0; k < n && capacities[k] != keys[i]; k++) {}
        if (k < n) continue;
        if (n == BG_CPU_KINDS_MAX) return;
        for (; at > 0 && capacities[at - 1] > keys[i]; at--) capacities[at] = capacities[at - 1];
        capacities[at] = keys[i];
        n++;
    }
    if (n < 2) return;
    for (int k = 0; k < n; k++) {
        if (capacities[k] < 0) types[k] = named[capacities[k] + (int)BG_COUNT(named)].type;
        snprintf(t->kinds[k].type, sizeof t->kinds[k].type, "%s", types[k] ? types[k] : "");
        t->kinds[k].efficiency = k;
        for (int i = t->n_cpus - 1; i >= 0; i--) {
            uint64_t khz;
            if (keys[i] != capacities[k]) continue;
            t->cpus[i].kind = k;
            if (bg_sysfs_u64(&khz, sysfs, "%s/cpu%d/cpufreq/cpuinfo_max_freq", cpu_folder,
                             t->cpus[i].os))
                t->kinds[k].max_mhz = (int)(khz / 1000);
            if (bg_sysfs_u64(&khz, sysfs, "%s/cpu%d/cpufreq/base_frequency", cpu_folder,
                             t->cpus[i].os))
                t->kinds[k].base_mhz = (int)(khz / 1000);
        }
    }
    t->n_kinds = n;
}

static int count_nodes(const char *sysfs)
{
    char **names;
    size_t n = bg_sysfs_list(&names, sysfs, "devices/system/node", "node");
    bg_free(names);
    return BG_MAX((int)n, 1);
}

bg_status bg_topology_read_sysfs(bg_topology *t, const char *sysfs, bg_error *err)
{
    bool *online = bg_alloc(CPUS_MAX, sizeof *online);
    int *keys = NULL;
    bg_status s;
    if (!online) return bg_fail_nomem(err, "topology", CPUS_MAX);
    if (!is_online(online, sysfs)) {
        bg_free(online);
        return bg_fail(err, BG_ERR_IO, sysfs, "does not list the CPUs (%s/online)", cpu_folder);
    }
    for (int i = 0; i < CPUS_MAX; i++) t->n_cpus += online[i];
    t->cpus = bg_alloc((size_t)t->n_cpus, sizeof *t->cpus);
    keys = bg_alloc((size_t)t->n_cpus, sizeof *keys);
    s = t->cpus && keys ? BG_OK : bg_fail_nomem(err, "topology", 0);
    for (int i = 0, n = 0; i < CPUS_MAX && s == BG_OK; i++) {
        if (!online[i]) continue;
        t->cpus[n] = (bg_cpu){.os = i, .kind = -1};
        for (int level = 0; level <= BG_CACHE_LEVELS; level++) t->cpus[n].cache[level] = -1;
        n++;
    }
    if (s == BG_OK) {
        number_all(t, sysfs, keys);
        read_kinds(t, sysfs, online, keys);
        t->n_nodes = count_nodes(sysfs);
        s = read_caches(t, sysfs, err);
    }
    bg_free(keys);
    bg_free(online);
    return s;
}
