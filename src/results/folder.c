/* The results folder as a whole. */
#include "results/store.h"

#include "base/file.h"

#include <jansson.h>
#include <string.h>

enum { JSON_LIMIT = 16 << 20 };

/* Reads a JSON object; *text keeps it as it is. */
static bg_status read_json(const char *path, char **text, json_t **json, bg_error *err)
{
    json_error_t e;
    size_t n;
    BG_TRY(bg_file_read(text, &n, path, JSON_LIMIT, err));
    *json = json_loadb(*text, n, JSON_REJECT_DUPLICATES, &e);
    if (*json && json_is_object(*json)) return BG_OK;
    if (*json) bg_fail(err, BG_ERR_INPUT, path, "is not a JSON object: run the sweep again into a "
                       "new folder");
    else bg_fail(err, BG_ERR_INPUT, path, "is not JSON (line %d: %s): restore it or run the sweep "
                 "again into a new folder", e.line, e.text);
    json_decref(*json);
    bg_free(*text);
    *json = NULL;
    *text = NULL;
    return BG_ERR_INPUT;
}

static bg_status check_version(const json_t *plan, const char *path, bg_error *err)
{
    const json_t *version = json_object_get(plan, "version");
    if (!json_is_integer(version) || json_integer_value(version) < 1)
        return bg_fail(err, BG_ERR_INPUT, path, "has no version: it was not written by bitgauge; "
                       "run `bitgauge sweep --out DIR`");
    if (json_integer_value(version) > BG_RESULTS_VERSION)
        return bg_fail(err, BG_ERR_INPUT, path, "is of version %lld, this program reads up to %d: "
                       "update bitgauge", (long long)json_integer_value(version),
                       BG_RESULTS_VERSION);
    return BG_OK;
}

static bg_status read_plan(bg_results *r, bg_error *err)
{
    char *path = bg_path_join(r->dir, "plan.json");
    json_t *plan = NULL;
    bg_status status;
    if (!path) return bg_fail_nomem(err, r->dir, strlen(r->dir));
    if (!bg_file_exists(r->dir))
        status = bg_fail(err, BG_ERR_INPUT, r->dir, "is not there: run `bitgauge sweep --out DIR` "
                         "to make results");
    else if (!bg_file_exists(path))
        status = bg_fail(err, BG_ERR_INPUT, r->dir, "is not a results folder (it has no "
                         "plan.json): run `bitgauge sweep --out DIR`");
    else
        status = read_json(path, &r->plan, &plan, err);
    if (status == BG_OK) status = check_version(plan, path, err);
    json_decref(plan);
    bg_free(path);
    return status;
}

static bg_status read_machine(bg_results *r, bg_error *err)
{
    char *path = bg_path_join(r->dir, "machine.json");
    json_t *machine = NULL;
    bg_status status = BG_OK;
    if (!path) return bg_fail_nomem(err, r->dir, strlen(r->dir));
    if (bg_file_exists(path)) status = read_json(path, &r->machine, &machine, err);
    json_decref(machine);
    bg_free(path);
    return status;
}

typedef bg_status parse_fn(bg_results *, const char *, const void *, size_t, bg_error *);

static bg_status read_table(bg_results *r, const char *name, parse_fn *parse, bg_error *err)
{
    char *path = bg_path_join(r->dir, name);
    bg_map map = {0};
    bg_status status;
    if (!path) return bg_fail_nomem(err, r->dir, strlen(r->dir));
    if (!bg_file_exists(path))
        status = bg_fail(err, BG_ERR_INPUT, path, "is missing: restore it or run the sweep again "
                         "into a new folder");
    else
        status = bg_map_open(&map, path, err);
    if (status == BG_OK) status = parse(r, path, map.data ? map.data : (const void *)"", map.size,
                                        err);
    bg_map_close(&map);
    bg_free(path);
    return status;
}

static bg_status new_results(bg_results **out, const char *dir, bg_error *err)
{
    bg_results *r = bg_alloc(1, sizeof *r);
    *out = NULL;
    if (!r || !(r->dir = bg_strdup(dir))) {
        bg_free(r);
        return bg_fail_nomem(err, "results", sizeof *r);
    }
    *out = r;
    return BG_OK;
}

bg_status bg_results_open(bg_results **out, const char *dir, bg_error *err)
{
    bg_results *r;
    bg_status status = new_results(&r, dir, err);
    *out = NULL;
    if (status == BG_OK) status = read_plan(r, err);
    if (status == BG_OK) status = read_machine(r, err);
    if (status == BG_OK) status = read_table(r, "results.csv", bg_results_parse_rows, err);
    if (status == BG_OK) status = read_table(r, "samples.csv", bg_results_parse_samples, err);
    if (status == BG_OK) status = bg_results_name_engine(r, err);
    if (status == BG_OK) *out = r;
    else bg_results_close(&r);
    return status;
}

bg_status bg_results_describe(bg_results *r, const char *plan_json, const char *machine_json,
                              bg_error *err)
{
    json_t *plan = json_loads(plan_json, JSON_REJECT_DUPLICATES, NULL);
    char *text = NULL, *machine = machine_json ? bg_strdup(machine_json) : NULL;
    bg_status status = BG_OK;
    if (!json_is_object(plan))
        status = bg_fail(err, BG_ERR_INPUT, r->dir, "the plan is not a JSON object");
    if (status == BG_OK) {
        json_object_set_new(plan, "version", json_integer(BG_RESULTS_VERSION));
        text = json_dumps(plan, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
        if (!text || (machine_json && !machine))
            status = bg_fail_nomem(err, "the plan", strlen(plan_json));
    }
    json_decref(plan);
    if (status != BG_OK) {
        bg_free(text);
        bg_free(machine);
        return status;
    }
    bg_free(r->plan);
    r->plan = text;
    if (machine) {
        bg_free(r->machine);
        r->machine = machine;
    }
    return BG_OK;
}

bg_status bg_results_new(bg_results **out, const char *dir, const char *plan_json, bg_error *err)
{
    bg_results *r;
    bg_status status = new_results(&r, dir, err);
    *out = NULL;
    if (status == BG_OK) status = bg_results_describe(r, plan_json, NULL, err);
    if (status == BG_OK) *out = r;
    else bg_results_close(&r);
    return status;
}

void bg_results_close(bg_results **results)
{
    bg_results *r = results ? *results : NULL;
    if (!r) return;
    for (size_t i = 0; i < r->n_rows; i++) bg_row_free(&r->rows[i]);
    for (size_t i = 0; i < r->n_samples; i++)
        bg_free((void *)(uintptr_t)r->samples[i].itl_ms);
    bg_free(r->rows);
    bg_free(r->samples);
    bg_free(r->dir);
    bg_free(r->plan);
    bg_free(r->machine);
    bg_free(r);
    *results = NULL;
}

const char *bg_results_dir(const bg_results *r) { return r->dir; }
const char *bg_results_plan(const bg_results *r) { return r->plan; }
const char *bg_results_machine(const bg_results *r) { return r->machine; }

static void write_plan(const bg_results *r, FILE *f) { fprintf(f, "%s\n", r->plan); }

bg_status bg_results_save(const bg_results *r, bg_error *err)
{
    static const struct { const char *name; void (*write)(const bg_results *, FILE *); } files[] = {
        {"results.csv", bg_results_write_rows},
        {"samples.csv", bg_results_write_samples},
        {"plan.json", write_plan},
    };
    BG_TRY(bg_dir_create(r->dir, err));
    for (size_t i = 0; i < BG_COUNT(files); i++) {
        char *path = bg_path_join(r->dir, files[i].name);
        bg_outfile *f = NULL;
        bg_status status = path ? bg_outfile_open(&f, path, err)
                                : bg_fail_nomem(err, r->dir, strlen(r->dir));
        bg_free(path);
        if (status != BG_OK) return status;
        files[i].write(r, bg_outfile_stream(f));
        BG_TRY(bg_outfile_commit(&f, err));
    }
    return BG_OK;
}
