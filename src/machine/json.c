/* machine.json. profiles/machine-schema.md describes what is written here. */
#include "machine/machine.h"

#include "base/sysfs.h"

#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

static json_t *text_or_null(const char *s) { return s && *s ? json_string(s) : json_null(); }
static json_t *real_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *count_or_null(double x)
{
    return isfinite(x) ? json_integer((json_int_t)x) : json_null();
}

static json_t *bytes_or_null(uint64_t bytes)
{
    return bytes == UINT64_MAX ? json_null() : json_integer((json_int_t)bytes);
}

/* Adds a cache to the entry of those that are alike. */
static void count_cache(json_t *array, const bg_cache *c)
{
    static const char *const types[] = {
        [BG_CACHE_UNIFIED] = "unified", [BG_CACHE_DATA] = "data",
        [BG_CACHE_INSTRUCTION] = "instruction",
    };
    json_t *one = json_pack("{s:i, s:s, s:I, s:i, s:i}", "level", c->level, "type", types[c->type],
                            "bytes", (json_int_t)c->bytes, "line", c->line, "shared_by",
                            c->shared_by), *seen;
    size_t i;
    json_array_foreach(array, i, seen) {
        json_t *count = json_object_get(seen, "count");
        json_object_set(one, "count", count);
        if (!json_equal(seen, one)) continue;
        json_integer_set(count, json_integer_value(count) + 1);
        json_decref(one);
        return;
    }
    json_object_set_new(one, "count", json_integer(1));
    json_array_append_new(array, one);
}

/* Data and unified caches by level, then those of instructions. */
static json_t *caches_json(const bg_topology *t)
{
    json_t *array = json_array();
    for (int pass = 0; pass < 2; pass++)
        for (int level = 1; level <= BG_CACHE_LEVELS; level++)
            for (int i = 0; i < t->n_caches; i++)
                if (t->caches[i].level == level &&
                    (t->caches[i].type == BG_CACHE_INSTRUCTION) == (pass == 1))
                    count_cache(array, &t->caches[i]);
    return array;
}

static json_t *megahertz(int mhz) { return mhz ? json_integer(mhz) : json_null(); }

static json_t *core_kinds_json(const bg_machine *m)
{
    const bg_topology *t = &m->topology;
    json_t *array = json_array();
    for (int k = 0; k < t->n_kinds; k++) {
        const bg_cpu_kind *kind = &t->kinds[k];
        int cores = 0, cpus = 0;
        for (int i = 0; i < m->n_cores; i++) cores += m->cores[i].kind == k;
        for (int i = 0; i < t->n_cpus; i++) cpus += t->cpus[i].kind == k;
        json_array_append_new(array, json_pack("{s:o, s:o, s:i, s:i, s:o, s:o}",
            "type", text_or_null(kind->type), "efficiency",
            kind->efficiency >= 0 ? json_integer(kind->efficiency) : json_null(), "cores", cores,
            "cpus", cpus, "max_mhz", megahertz(kind->max_mhz), "base_mhz",
            megahertz(kind->base_mhz)));
    }
    return array;
}

static json_t *cpu_json(const bg_machine *m)
{
    const bg_topology *t = &m->topology;
    const char *arch = t->arch;
    struct utsname name;
    if (!*arch && uname(&name) == 0) arch = name.machine;
    return json_pack("{s:o, s:o, s:o, s:i, s:i, s:i, s:i, s:o, s:o}",
                     "model", text_or_null(m->model), "vendor", text_or_null(m->vendor),
                     "arch", text_or_null(arch), "cores", t->n_cores, "threads", t->n_cpus,
                     "packages", t->n_packages, "numa_nodes", t->n_nodes, "caches",
                     caches_json(t), "core_kinds", core_kinds_json(m));
}

static json_t *isas_json(const bg_machine *m)
{
    json_t *array = json_array();
    for (size_t i = 0; bg_isa_probes[i].name; i++)
        json_array_append_new(array, json_pack("{s:s, s:b, s:o}", "name", bg_isa_probes[i].name,
                                               "usable", m->isas[i].usable, "reason",
                                               text_or_null(m->isas[i].reason)));
    return array;
}

static json_t *limits_json(const bg_machine *m)
{
    bg_limits limits;
    bg_machine_limits(m, &limits);
    return json_pack("{s:o, s:o, s:i, s:i, s:i}", "cpu_quota", real_or_null(limits.cpu_quota),
                     "memory_limit", bytes_or_null(limits.memory_limit), "affinity", m->n_cpus,
                     "cores", m->n_cores, "default_threads", bg_machine_default_threads(m));
}

static json_t *roofs_json(const bg_machine *m)
{
    static const struct { const char *kind, *unit; } kinds[] = {
        [BG_ROOF_READ] = {"read", "GB/s"},
        [BG_ROOF_FLOP] = {"flop", "GFLOP/s"},
        [BG_ROOF_INT8] = {"int8op", "Gop/s"},
    };
    json_t *array = json_array();
    for (size_t i = 0; i < m->n_roofs; i++) {
        const bg_roof *r = &m->roofs[i];
        json_array_append_new(array, json_pack("{s:s, s:o, s:o, s:i, s:o, s:s, s:o, s:o}",
            "kind", kinds[r->kind].kind, "level", text_or_null(r->level), "isa",
            text_or_null(r->isa), "threads", r->threads, "value", real_or_null(r->value), "unit",
            kinds[r->kind].unit, "bytes", r->bytes ? bytes_or_null(r->bytes) : json_null(),
            "reason", text_or_null(r->reason)));
    }
    return array;
}

/* What the clock promises, the smallest step it was seen to make, and what a reading costs. */
static json_t *timer_json(void)
{
    enum { READINGS = 20000 };
    struct timespec resolution = {0, 0};
    uint64_t begin = bg_clock_ns(), last = begin, step = UINT64_MAX;
    for (int i = 0; i < READINGS; i++) {
        uint64_t now = bg_clock_ns();
        if (now != last) step = BG_MIN(step, now - last);
        last = now;
    }
    clock_getres(CLOCK_MONOTONIC, &resolution);
    return json_pack("{s:s, s:I, s:o, s:f}", "clock", "CLOCK_MONOTONIC", "resolution_ns",
                     (json_int_t)resolution.tv_sec * 1000000000 + resolution.tv_nsec,
                     "smallest_step_ns", bytes_or_null(step), "read_ns",
                     (double)(last - begin) / READINGS);
}

static json_t *noise_json(const bg_machine *m)
{
    bg_noise noise;
    bg_machine_noise(m, &noise);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "steal_ratio", real_or_null(noise.steal_ratio),
                     "load1", real_or_null(noise.load1), "thermal_events",
                     count_or_null(noise.thermal_events), "quota_events",
                     count_or_null(noise.quota_events), "governor", text_or_null(noise.governor));
}

static json_t *os_json(const bg_machine *m)
{
    char name[64] = "", release[128] = "";
    bg_sysfs_text(name, sizeof name, m->procfs, "sys/kernel/ostype");
    bg_sysfs_text(release, sizeof release, m->procfs, "sys/kernel/osrelease");
    return json_pack("{s:o, s:o}", "name", text_or_null(name), "release", text_or_null(release));
}

static json_t *parsed(const char *json, json_t *otherwise)
{
    json_t *value = json ? json_loads(json, 0, NULL) : NULL;
    if (!value) return otherwise;
    json_decref(otherwise);
    return value;
}

void bg_machine_notes_fini(bg_machine_notes *n)
{
    bg_free_text(n->counters);
    bg_free_text(n->energy);
    bg_free_text(n->disturbances);
    bg_free_text(n->idle);
    memset(n, 0, sizeof *n);
}

bg_status bg_machine_json(const bg_machine *m, const bg_machine_notes *notes, char **text,
                          bg_error *err)
{
    char stamp[32] = "", *dump;
    time_t now = time(NULL);
    struct tm utc;
    json_t *root;
    if (gmtime_r(&now, &utc)) strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
    root = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
                     "s:o, s:o}",
                     "bitgauge", bg_version(), "timestamp", stamp, "topology",
                     m->topology.hwloc ? "hwloc" : "sysfs", "cpu", cpu_json(m),
                     "isas", isas_json(m), "limits", limits_json(m),
                     "memory", json_pack("{s:o, s:o}", "total",
                                         bytes_or_null(bg_machine_memory_total(m)), "available",
                                         bytes_or_null(bg_machine_memory_available(m))),
                     "roofs", roofs_json(m), "timer", timer_json(), "noise", noise_json(m),
                     "virtual", m->virtualised < 0 ? json_null() : json_boolean(m->virtualised),
                     "os", os_json(m), "counters",
                     parsed(notes->counters, json_array()), "energy",
                     parsed(notes->energy, json_array()), "idle_power",
                     parsed(notes->idle, json_null()), "disturbances",
                     parsed(notes->disturbances, json_array()), "noise_floors",
                     bg_machine_floors_json(m));
    dump = root ? json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(root);
    *text = dump ? bg_grow(dump, strlen(dump) + 2, 1) : NULL;
    if (*text) strcat(*text, "\n");
    else bg_free(dump);
    return *text ? BG_OK : bg_fail_nomem(err, "machine.json", 0);
}
