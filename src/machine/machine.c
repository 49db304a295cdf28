#include "machine/machine.h"

#include "base/sysfs.h"

#include <math.h>
#include <string.h>

/* "model name	: AMD EPYC" of /proc/cpuinfo. */
bool bg_machine_cpuinfo(const bg_machine *m, const char *key, char *out, size_t size)
{
    char text[8192];
    size_t n = strlen(key);
    if (!bg_sysfs_text(text, sizeof text, m->procfs, "cpuinfo")) return false;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (strncmp(line, key, n) != 0 || !strchr(" \t:", line[n])) continue;
        line = strchr(line, ':');
        if (!line) return false;
        line += 1 + strspn(line + 1, " \t");
        snprintf(out, size, "%s", line);
        return *out != 0;
    }
    return false;
}

static void find_cpu(bg_machine *m)
{
    const bg_topology *t = &m->topology;
    if (t->model[0]) snprintf(m->model, sizeof m->model, "%s", t->model);
    else if (!bg_machine_cpuinfo(m, "model name", m->model, sizeof m->model))
        bg_machine_cpuinfo(m, "Model", m->model, sizeof m->model);
    if (t->vendor[0]) snprintf(m->vendor, sizeof m->vendor, "%s", t->vendor);
    else if (!bg_machine_cpuinfo(m, "vendor_id", m->vendor, sizeof m->vendor))
        bg_machine_cpuinfo(m, "CPU implementer", m->vendor, sizeof m->vendor);
}

/* The hypervisor bit of CPUID, as Linux shows it; other architectures have none. */
static int find_virtualised(const bg_machine *m)
{
    char flags[4096];
    if (!bg_machine_cpuinfo(m, "flags", flags, sizeof flags)) return -1;
    return strstr(flags, " hypervisor") != NULL;
}

static void try_isas(bg_machine *m)
{
    for (size_t i = 0; bg_isa_probes[i].name; i++) {
        bg_isa_state *s = &m->isas[i];
        if (m->recorded) snprintf(s->reason, sizeof s->reason, "a recorded machine");
        else s->usable = bg_isa_try(&bg_isa_probes[i], s->reason, sizeof s->reason);
    }
}

bg_status bg_machine_open(bg_machine **out, const bg_machine_options *o, bg_error *err)
{
    static const bg_machine_options defaults;
    bg_machine *m = bg_alloc(1, sizeof *m);
    bg_status s;
    *out = NULL;
    if (!m) return bg_fail_nomem(err, "machine", sizeof *m);
    if (!o) o = &defaults;
    m->options = *o;
    m->sysfs = bg_strdup(o->sysfs_root ? o->sysfs_root : "/sys");
    m->procfs = bg_strdup(o->procfs_root ? o->procfs_root : "/proc");
    s = m->sysfs && m->procfs ? bg_machine_topology_open(m, o->topology_xml, err)
                              : bg_fail_nomem(err, "machine", sizeof *m);
    if (s != BG_OK) {
        bg_machine_close(&m);
        return s;
    }
    find_cpu(m);
    m->virtualised = find_virtualised(m);
    bg_sysfs_text(m->governor, sizeof m->governor, m->sysfs,
                  "devices/system/cpu/cpu%d/cpufreq/scaling_governor",
                  m->cores[0].cpus[0]->os);
    try_isas(m);
    *out = m;
    return BG_OK;
}

void bg_machine_close(bg_machine **machine)
{
    bg_machine *m = *machine;
    if (!m) return;
    bg_machine_topology_close(m);
    bg_free(m->sysfs);
    bg_free(m->procfs);
    bg_free(m);
    *machine = NULL;
}

const char *bg_machine_cpu_model(const bg_machine *m) { return m->model[0] ? m->model : NULL; }

bool bg_machine_has_xml(const bg_machine *m) { return m->topology.hwloc != NULL; }

bg_status bg_machine_write_xml(const bg_machine *m, const char *path, bg_error *err)
{
    return bg_topology_write_xml(&m->topology, path, err);
}

int bg_machine_cores(const bg_machine *m) { return m->n_cores; }

int bg_machine_default_threads(const bg_machine *m)
{
    bg_limits limits;
    int threads = m->n_cores;
    bg_machine_limits(m, &limits);
    if (limits.cpu_quota < threads) threads = (int)floor(limits.cpu_quota);
    return BG_MAX(threads, 1);
}

static bool meminfo(const bg_machine *m, const char *key, uint64_t *bytes)
{
    char text[4096];
    uint64_t kib;
    if (!bg_sysfs_text(text, sizeof text, m->procfs, "meminfo") ||
        !bg_sysfs_field(text, key, &kib) || kib > UINT64_MAX >> 10)
        return false;
    *bytes = kib << 10;
    return true;
}

uint64_t bg_machine_memory_total(const bg_machine *m)
{
    uint64_t bytes;
    if (meminfo(m, "MemTotal", &bytes)) return bytes;
    return m->topology.memory;
}

uint64_t bg_machine_memory_available(const bg_machine *m)
{
    bg_limits limits;
    uint64_t bytes;
    if (!meminfo(m, "MemAvailable", &bytes) && !meminfo(m, "MemFree", &bytes))
        bytes = bg_machine_memory_total(m);
    bg_machine_limits(m, &limits);
    return BG_MIN(bytes, limits.memory_room);
}
