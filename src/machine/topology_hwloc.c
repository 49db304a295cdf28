/* All that needs hwloc: reading a topology and exporting it. A build without it reads /sys. */
#include "machine/topology.h"

#include "base/file.h"

#if BG_HAVE_HWLOC
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

const bool bg_have_hwloc = true;

static const char *info_of(const struct hwloc_info_s *infos, unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        if (strcmp(infos[i].name, name) == 0) return infos[i].value;
    return "";
}

static void read_names(bg_topology *t)
{
    hwloc_obj_t root = hwloc_get_root_obj(t->hwloc);
    hwloc_obj_t package = hwloc_get_obj_by_type(t->hwloc, HWLOC_OBJ_PACKAGE, 0);
    t->memory = root->total_memory;
    snprintf(t->arch, sizeof t->arch, "%s",
             info_of(root->infos, root->infos_count, "Architecture"));
    if (!package) return;
    snprintf(t->model, sizeof t->model, "%s",
             info_of(package->infos, package->infos_count, "CPUModel"));
    snprintf(t->vendor, sizeof t->vendor, "%s",
             info_of(package->infos, package->infos_count, "CPUVendor"));
}

static int index_above(hwloc_topology_t h, hwloc_obj_t cpu, hwloc_obj_type_t type)
{
    hwloc_obj_t o = hwloc_get_ancestor_obj_by_type(h, type, cpu);
    return o ? (int)o->logical_index : -1;
}

static void read_caches(bg_topology *t)
{
    static const bg_cache_type types[] = {
        [HWLOC_OBJ_CACHE_UNIFIED] = BG_CACHE_UNIFIED,
        [HWLOC_OBJ_CACHE_DATA] = BG_CACHE_DATA,
        [HWLOC_OBJ_CACHE_INSTRUCTION] = BG_CACHE_INSTRUCTION,
    };
    for (hwloc_obj_type_t type = HWLOC_OBJ_L1CACHE; type <= HWLOC_OBJ_L3ICACHE; type++) {
        hwloc_obj_t o = NULL;
        while ((o = hwloc_get_next_obj_by_type(t->hwloc, type, o)) != NULL) {
            const struct hwloc_cache_attr_s *a = &o->attr->cache;
            if (a->depth > BG_CACHE_LEVELS) continue;
            t->caches[t->n_caches] = (bg_cache){(int)a->depth, types[a->type], a->size,
                                                (int)a->linesize, hwloc_bitmap_weight(o->cpuset)};
            for (int i = 0; i < t->n_cpus && a->type != HWLOC_OBJ_CACHE_INSTRUCTION; i++)
                if (hwloc_bitmap_isset(o->cpuset, (unsigned)t->cpus[i].os))
                    t->cpus[i].cache[a->depth] = t->n_caches;
            t->n_caches++;
        }
    }
}

/* Only where cores differ: a single kind says nothing. */
static void read_kinds(bg_topology *t)
{
    int n = hwloc_cpukinds_get_nr(t->hwloc, 0);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    for (unsigned k = 0; set && n > 1 && k < (unsigned)BG_MIN(n, (int)BG_CPU_KINDS_MAX); k++) {
        bg_cpu_kind *kind = &t->kinds[t->n_kinds];
        struct hwloc_info_s *infos;
        unsigned n_infos;
        if (hwloc_cpukinds_get_info(t->hwloc, k, set, &kind->efficiency, &n_infos, &infos, 0) != 0)
            continue;
        snprintf(kind->type, sizeof kind->type, "%s", info_of(infos, n_infos, "CoreType"));
        kind->max_mhz = atoi(info_of(infos, n_infos, "FrequencyMaxMHz"));
        kind->base_mhz = atoi(info_of(infos, n_infos, "FrequencyBaseMHz"));
        for (int i = 0; i < t->n_cpus; i++)
            if (hwloc_bitmap_isset(set, (unsigned)t->cpus[i].os)) t->cpus[i].kind = t->n_kinds;
        t->n_kinds++;
    }
    hwloc_bitmap_free(set);
}

static int count_caches(hwloc_topology_t h)
{
    int n = 0;
    for (hwloc_obj_type_t type = HWLOC_OBJ_L1CACHE; type <= HWLOC_OBJ_L3ICACHE; type++)
        n += BG_MAX(hwloc_get_nbobjs_by_type(h, type), 0);
    return n;
}

static bg_status convert(bg_topology *t, bg_error *err)
{
    hwloc_topology_t h = t->hwloc;
    int cores = hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_CORE);
    t->n_cpus = hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_PU);
    t->n_cores = cores > 0 ? cores : t->n_cpus;
    t->n_packages = BG_MAX(hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_PACKAGE), 0);
    t->n_nodes = BG_MAX(hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_NUMANODE), 0);
    t->cpus = bg_alloc((size_t)t->n_cpus, sizeof *t->cpus);
    t->caches = bg_alloc((size_t)BG_MAX(count_caches(h), 1), sizeof *t->caches);
    if (!t->cpus || !t->caches) return bg_fail_nomem(err, "topology", 0);
    for (int i = 0; i < t->n_cpus; i++) {
        bg_cpu *cpu = &t->cpus[i];
        hwloc_obj_t o = hwloc_get_obj_by_type(h, HWLOC_OBJ_PU, (unsigned)i);
        *cpu = (bg_cpu){.os = (int)o->os_index, .kind = -1,
                        .core = cores > 0 ? index_above(h, o, HWLOC_OBJ_CORE) : i,
                        .package = index_above(h, o, HWLOC_OBJ_PACKAGE)};
        for (size_t level = 0; level < BG_COUNT(cpu->cache); level++) cpu->cache[level] = -1;
    }
    read_names(t);
    read_caches(t);
    read_kinds(t);
    return BG_OK;
}

bg_status bg_topology_read_hwloc(bg_topology *t, const char *xml, bg_error *err)
{
    hwloc_topology_t h;
    if (hwloc_topology_init(&h) != 0) return bg_fail_nomem(err, "topology", 0);
    t->hwloc = h;
    if (xml && hwloc_topology_set_xml(h, xml) != 0)
        return bg_fail(err, BG_ERR_INPUT, xml, "cannot be read: give a file that hwloc exported");
    if (hwloc_topology_load(h) != 0)
        return xml ? bg_fail(err, BG_ERR_INPUT, xml, "is not a topology: give a file that hwloc "
                                                     "exported")
                   : bg_fail(err, BG_ERR_IO, NULL, "hwloc cannot detect the topology");
    return convert(t, err);
}

void bg_topology_free_hwloc(bg_topology *t)
{
    if (t->hwloc) hwloc_topology_destroy(t->hwloc);
    t->hwloc = NULL;
}

/* Infos that pass. hwloc adds more with every version (host name, DMI serials, cgroup paths), so
 * what is not named here is dropped. */
static const char *const kept[] = {
    "Architecture", "Backend", "CPUFamilyNumber", "CPUModel", "CPUModelNumber", "CPUStepping",
    "CPUType", "CPUVendor", "CoreType", "FrequencyBaseMHz", "FrequencyMaxMHz", "Inclusive",
    "LinuxCapacity", "OSName", "OSRelease", "hwlocVersion",
};

static bool is_kept(const char *element, size_t n)
{
    static const char attribute[] = "name=\"";
    const char *name = memmem(element, n, attribute, sizeof attribute - 1), *end;
    if (!name) return false;
    name += sizeof attribute - 1;
    end = memchr(name, '"', n - (size_t)(name - element));
    for (size_t i = 0; end && i < BG_COUNT(kept); i++)
        if (strlen(kept[i]) == (size_t)(end - name) && strncmp(kept[i], name, strlen(kept[i])) == 0)
            return true;
    return false;
}

/* Copies the text without the <info .../> elements that are not kept, and their line. */
static void scrub(const char *xml, bg_text *out)
{
    const char *info;
    while ((info = strstr(xml, "<info ")) != NULL) {
        const char *end = strstr(info, "/>");
        if (!end) break;
        end += 2;
        bg_text_append(out, xml, (size_t)(info - xml));
        if (is_kept(info, (size_t)(end - info))) {
            bg_text_append(out, info, (size_t)(end - info));
        } else {
            while (out->length && out->data[out->length - 1] == ' ') out->length--;
            if (*end == '\n') end++;
        }
        xml = end;
    }
    bg_text_puts(out, xml);
}

bg_status bg_topology_write_xml(const bg_topology *t, const char *path, bg_error *err)
{
    bg_text out = {0};
    char *xml;
    int n;
    bg_status s;
    if (hwloc_topology_export_xmlbuffer(t->hwloc, &xml, &n, 0) != 0)
        return bg_fail(err, BG_ERR_IO, path, "hwloc cannot export the topology");
    scrub(xml, &out);
    hwloc_free_xmlbuffer(t->hwloc, xml);
    s = out.failed ? bg_fail_nomem(err, path, (size_t)n)
                   : bg_file_write(path, out.data, out.length, err);
    bg_text_fini(&out);
    return s;
}

#else

const bool bg_have_hwloc = false;

static bg_status no_hwloc(const char *path, bg_error *err)
{
    return bg_fail(err, BG_ERR_UNSUPPORTED, path, "this build has no hwloc: install libhwloc-dev "
                                                  "and build again");
}

bg_status bg_topology_read_hwloc(bg_topology *t, const char *xml, bg_error *err)
{
    (void)t;
    return no_hwloc(xml, err);
}

void bg_topology_free_hwloc(bg_topology *t) { (void)t; }

bg_status bg_topology_write_xml(const bg_topology *t, const char *path, bg_error *err)
{
    (void)t;
    return no_hwloc(path, err);
}
#endif
