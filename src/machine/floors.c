/* Noise floors: set by a calibration, written with machine.json, kept for the next sweeps. */
#include "machine/machine.h"

#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = "noise_floors";

void bg_machine_set_floor(bg_machine *m, const bg_noise_floor *floor)
{
    size_t i = 0;
    while (i < m->n_floors && (m->floors[i].threads != floor->threads ||
                               strcmp(m->floors[i].kind, floor->kind) != 0))
        i++;
    if (i == BG_COUNT(m->floors)) return;
    m->floors[i] = *floor;
    m->n_floors = BG_MAX(m->n_floors, i + 1);
}

const bg_noise_floor *bg_machine_floor(const bg_machine *m, size_t i)
{
    return i < m->n_floors ? &m->floors[i] : NULL;
}

struct json_t *bg_machine_floors_json(const bg_machine *m)
{
    json_t *array = json_array();
    for (size_t i = 0; i < m->n_floors; i++) {
        const bg_noise_floor *f = &m->floors[i];
        json_array_append_new(array, json_pack("{s:s, s:i, s:f, s:I, s:f, s:b, s:s}", "kind",
                              f->kind, "threads", f->threads, "floor", f->floor, "pairs",
                              (json_int_t)f->pairs, "seconds", f->seconds, "estimated", 1,
                              "measured", f->measured));
    }
    return array;
}

static double number_of(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static void text_of(char *out, size_t size, const json_t *text)
{
    const char *s = json_string_value(text);
    snprintf(out, size, "%s", s ? s : "");
}

/* false: it is not one that a calibration wrote. */
static bool read_floor(bg_noise_floor *f, const json_t *one)
{
    double threads = number_of(one, "threads"), pairs = number_of(one, "pairs");
    memset(f, 0, sizeof *f);
    text_of(f->kind, sizeof f->kind, json_object_get(one, "kind"));
    text_of(f->measured, sizeof f->measured, json_object_get(one, "measured"));
    f->floor = number_of(one, "floor");
    f->seconds = number_of(one, "seconds");
    if (!f->kind[0] || !(threads >= 1 && threads <= 4096) || !(pairs >= 0 && pairs <= 1e9) ||
        !(f->floor > 0 && f->floor < 1e6) || !(f->seconds >= 0 && f->seconds < 1e9))
        return false;
    f->threads = (int)threads;
    f->pairs = (uint32_t)pairs;
    return true;
}

bg_status bg_machine_read_floors(bg_machine *m, const char *path, bg_error *err)
{
    json_error_t e;
    json_t *root, *one;
    const char *cpu, *here = bg_machine_cpu_model(m);
    bg_status s = BG_OK;
    size_t i, n;
    if (!bg_file_exists(path))
        return bg_fail(err, BG_ERR_INPUT, path, "is not there: `bitgauge probe --noise --out DIR` "
                       "writes DIR/machine.json");
    root = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    cpu = json_string_value(json_object_get(json_object_get(root, "cpu"), "model"));
    n = json_array_size(json_object_get(root, key));
    if (!root)
        s = bg_fail(err, BG_ERR_INPUT, path, "is not JSON (line %d: %s)", e.line, e.text);
    else if (strcmp(cpu ? cpu : "", here ? here : "") != 0)
        s = bg_fail(err, BG_ERR_INPUT, path, "describes another CPU (%s) than this one (%s)",
                    cpu ? cpu : "unknown", here ? here : "unknown");
    else if (n == 0)
        s = bg_fail(err, BG_ERR_INPUT, path, "has no noise floors: `bitgauge probe --noise --out "
                    "DIR` measures them");
    json_array_foreach(json_object_get(root, key), i, one) {
        bg_noise_floor f;
        if (s != BG_OK) break;
        if (read_floor(&f, one)) bg_machine_set_floor(m, &f);
        else
            s = bg_fail(err, BG_ERR_INPUT, path, "entry %zu of noise_floors cannot be read", i + 1);
    }
    json_decref(root);
    return s;
}

/* XDG Base Directory Specification: a relative path counts as none. */
char *bg_machine_floors_path(const bg_machine *m)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char name[48], all[256], *dir, *path;
    int n = snprintf(all, sizeof all, "%s, %s, %d, %d", m->model, m->topology.arch, m->n_cores,
                     bg_machine_default_threads(m));
    snprintf(name, sizeof name, "noise-%016llx.json",
             (unsigned long long)bg_hash(BG_HASH_INIT, all,
                                         (size_t)BG_MIN(n, (int)sizeof all - 1)));
    if (cache && *cache == '/') dir = bg_path_join(cache, "bitgauge");
    else dir = home && *home == '/' ? bg_path_join(home, ".cache/bitgauge") : NULL;
    path = dir ? bg_path_join(dir, name) : NULL;
    bg_free(dir);
    return path;
}
