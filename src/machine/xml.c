/* machine.xml: hwloc's own export, of which only what describes the hardware is kept. */
#include "machine/machine.h"

#include "base/file.h"

#include <string.h>

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

bg_status bg_machine_write_xml(const bg_machine *m, const char *path, bg_error *err)
{
    bg_text out = {0};
    char *xml;
    int n;
    bg_status s;
    if (hwloc_topology_export_xmlbuffer(m->topology, &xml, &n, 0) != 0)
        return bg_fail(err, BG_ERR_IO, path, "hwloc cannot export the topology");
    scrub(xml, &out);
    hwloc_free_xmlbuffer(m->topology, xml);
    s = out.failed ? bg_fail_nomem(err, path, (size_t)n)
                   : bg_file_write(path, out.data, out.length, err);
    bg_text_fini(&out);
    return s;
}
