#include "results/store.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static void take(char *out, size_t size, const json_t *text)
{
    snprintf(out, size, "%s", json_is_string(text) ? json_string_value(text) : "");
}

/* What a comparison asks to be the same too. */
static void fingerprint(bg_origin *o, const json_t *machine)
{
    const json_t *cores = json_object_get(json_object_get(machine, "limits"), "cores");
    char arch[64], all[256];
    int n;
    take(arch, sizeof arch, json_object_get(json_object_get(machine, "cpu"), "arch"));
    if (json_is_integer(cores)) o->cores = json_number_value(cores);
    n = snprintf(all, sizeof all, "%s, %s, %.0f", o->cpu, arch, isnan(o->cores) ? 0 : o->cores);
    snprintf(o->machine, sizeof o->machine, "%016llx",
             (unsigned long long)bg_hash(BG_HASH_INIT, all, (size_t)n));
}

bg_status bg_results_origin(const bg_results *r, bg_origin *o, bg_error *err)
{
    json_t *plan = json_loads(r->plan, 0, NULL);
    json_t *machine = r->machine ? json_loads(r->machine, 0, NULL) : NULL;
    const json_t *model = json_object_get(json_object_get(plan, "settings"), "model");
    bool whole = plan && (machine || !r->machine);
    memset(o, 0, sizeof *o);
    o->cores = NAN;
    take(o->engine, sizeof o->engine, json_object_get(plan, "engine"));
    if (!o->engine[0]) snprintf(o->engine, sizeof o->engine, "bitgauge");
    take(o->version, sizeof o->version,
         json_object_get(plan, json_object_get(plan, "engine") ? "engine_version" : "bitgauge"));
    take(o->created, sizeof o->created, json_object_get(plan, "created"));
    take(o->model_file, sizeof o->model_file, json_object_get(model, "file"));
    take(o->cpu, sizeof o->cpu, json_object_get(json_object_get(machine, "cpu"), "model"));
    if (machine) fingerprint(o, machine);
    json_decref(plan);
    json_decref(machine);
    return whole ? BG_OK : bg_fail_nomem(err, r->dir, strlen(r->plan));
}

bg_status bg_results_name_engine(bg_results *r, bg_error *err)
{
    bg_origin o;
    bool whole = true;
    BG_TRY(bg_results_origin(r, &o, err));
    for (size_t i = 0; i < r->n_rows; i++) {
        bg_row *row = r->rows[i];
        if (bg_row_has(row, BG_COL_ENGINE)) continue;
        whole &= bg_row_set_text(row, BG_COL_ENGINE, o.engine);
        if (!bg_row_has(row, BG_COL_ENGINE_VER) && o.version[0])
            whole &= bg_row_set_text(row, BG_COL_ENGINE_VER, o.version);
    }
    for (size_t i = 0; i < r->n_samples; i++)
        if (!r->samples[i].engine[0])
            snprintf(r->samples[i].engine, sizeof r->samples[i].engine, "%s", o.engine);
    return whole ? BG_OK : bg_fail_nomem(err, r->dir, sizeof o);
}
