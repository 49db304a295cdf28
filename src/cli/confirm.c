#include "cli/confirm.h"

#include "bitgauge/gguf.h"
#include "bitgauge/scheme.h"
#include "bitgauge/sweep.h"

#include <jansson.h>
#include <string.h>

enum { FEWEST = 30 };

static bool same(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

static bool flagged(const bg_compared *c)
{
    return !c->exact && c->n[1] &&
           (c->verdict == BG_VERDICT_WORSE || c->verdict == BG_VERDICT_INCONCLUSIVE);
}

/* Flagged, or one of those that a flagged cell is judged beside. */
static bool needed(const bg_comparison *c, const bg_compared *cell)
{
    const bg_row *row = cell->new_row;
    for (size_t i = 0; i < c->n_cells && cell->own.others; i++) {
        const bg_compared *other = &c->cells[i];
        if (flagged(other) && other->own.others &&
            same(bg_row_text(row, BG_COL_TEST), bg_row_text(other->new_row, BG_COL_TEST)) &&
            bg_row_number(row, BG_COL_THREADS) == bg_row_number(other->new_row, BG_COL_THREADS))
            return true;
    }
    return flagged(cell);
}

static bool wants(void *user, const char *scheme, const char *test, const char *engine,
                  const char *isa, int threads)
{
    const bg_comparison *c = user;
    for (size_t i = 0; i < c->n_cells; i++) {
        const bg_row *row = c->cells[i].new_row;
        const char *own_isa = bg_row_text(row, BG_COL_ISA); /* none where the engine chooses */
        if (needed(c, &c->cells[i]) && same(bg_row_text(row, BG_COL_SCHEME), scheme) &&
            same(bg_row_text(row, BG_COL_TEST), test) && same(own_isa ? own_isa : "", isa) &&
            same(bg_row_text(row, BG_COL_ENGINE), engine) &&
            bg_row_number(row, BG_COL_THREADS) == threads)
            return true;
    }
    return false;
}

/* Whether another sweep could have it; one that was searched for is no scheme. */
static bool is_scheme(const json_t *name)
{
    return bg_scheme_find(json_string_value(name)) != NULL;
}

/* ["a", "b"] or [1, 2] with commas between, of those that `takes` (may be NULL). */
static void join(const json_t *list, bool (*takes)(const json_t *one), bg_text *out)
{
    const json_t *one;
    size_t i;
    json_array_foreach(list, i, one) {
        if (takes && (!json_is_string(one) || !takes(one))) continue;
        if (out->length) bg_text_puts(out, ",");
        if (json_is_string(one)) bg_text_puts(out, json_string_value(one));
        else bg_text_printf(out, "%lld", (long long)json_integer_value(one));
    }
}

static int number(const json_t *settings, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(settings, key));
    return (int)BG_MIN(BG_MAX(value, 0), INT32_MAX);
}

static int repetitions(const bg_comparison *c)
{
    size_t most = FEWEST;
    for (size_t i = 0; i < c->n_cells; i++)
        if (flagged(&c->cells[i])) most = BG_MAX(most, 2 * c->cells[i].n[1]);
    return (int)BG_MIN(most, 100000);
}

/* The first of dir/confirm-1, dir/confirm-2, ... that is not there. Free with bg_free. */
static char *free_folder(const char *dir)
{
    char name[32], *path = NULL;
    for (int i = 1; i < 10000; i++) {
        bg_free(path);
        snprintf(name, sizeof name, "confirm-%d", i);
        path = bg_path_join(dir, name);
        if (!path || !bg_file_exists(path)) break;
    }
    return path;
}

static bool progress(void *user, const bg_sweep_progress *p)
{
    bg_cli_progress *line = user;
    line->what = p->what;
    bg_cli_progress_show(line, p->fraction);
    return !bg_cli_interrupted();
}

static bg_status sweep(const bg_comparison *c, const json_t *plan, const char *model,
                       const char *llama_bench, const char *out, bg_error *err)
{
    const json_t *settings = json_object_get(plan, "settings");
    const json_t *source = json_object_get(settings, "model");
    bg_text schemes = {0}, isas = {0}, threads = {0}, engines = {0};
    bg_cli_progress line = {0};
    bg_sweep_options o;
    bg_status status = BG_OK;
    join(json_object_get(settings, "schemes"), is_scheme, &schemes);
    join(json_object_get(settings, "isa"), NULL, &isas);
    join(json_object_get(settings, "threads"), NULL, &threads);
    join(json_object_get(settings, "engines"), NULL, &engines);
    bg_sweep_options_init(&o);
    o.model = model;
    o.shape = model ? NULL : json_string_value(json_object_get(source, "shape"));
    o.layers = o.shape ? number(source, "layers") : 0;
    o.out = out;
    o.profile = json_string_value(json_object_get(plan, "profile"));
    o.schemes = schemes.data;
    o.isas = isas.data;
    o.threads = threads.data;
    o.engines = engines.data;
    o.llama_bench = llama_bench;
    o.n_prompt = number(settings, "n_prompt");
    o.n_gen = number(settings, "n_gen");
    o.depth = number(settings, "depth");
    o.reps = repetitions(c);
    o.quality = BG_QUALITY_OFF;
    o.time_limit = 0;
    o.seed = (uint64_t)number(settings, "seed") + 1;
    o.progress = progress;
    o.user = &line;
    o.wants = wants;
    o.wants_user = (void *)(uintptr_t)c;
    if (schemes.failed || isas.failed || threads.failed || engines.failed)
        status = bg_fail_nomem(err, out, schemes.length);
    else if (!schemes.data || !isas.data || !threads.data)
        status = bg_fail(err, BG_ERR_INPUT, c->dir[1], "its plan.json does not say how it was "
                         "swept: it cannot be confirmed");
    bg_cli_catch_interrupt();
    if (status == BG_OK) status = bg_sweep_run(&o, err);
    bg_cli_progress_end(&line);
    bg_text_fini(&schemes);
    bg_text_fini(&isas);
    bg_text_fini(&threads);
    bg_text_fini(&engines);
    return status;
}

/* Is it the file that was swept? Name and size must do. A shape has no file. */
static bg_status check_model(const json_t *plan, const char *dir, const char *model, bg_error *err)
{
    const json_t *was = json_object_get(json_object_get(plan, "settings"), "model");
    const char *file = json_string_value(json_object_get(was, "file")), *slash;
    bg_gguf *g = NULL;
    bg_status status;
    char *path;
    bool equal;
    if (!file && !model) return BG_OK;
    BG_TRY(bg_cli_model_path(model, &path, err));
    slash = strrchr(path, '/');
    status = bg_gguf_open(&g, path, err);
    equal = status == BG_OK && same(file, slash ? slash + 1 : path) &&
            (json_int_t)bg_gguf_file_bytes(g) == json_integer_value(json_object_get(was, "bytes"));
    bg_gguf_close(&g);
    bg_free(path);
    BG_TRY(status);
    if (equal) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, dir, "was swept with %s: give that file with -m",
                   file ? file : "a shape");
}

/* Were other engines run, and the builds that they stand for? */
static bg_status check_versions(const bg_results *confirmed, const bg_results *r, bg_error *err)
{
    for (size_t i = 0; i < bg_results_row_count(confirmed); i++) {
        const bg_row *row = bg_results_row(confirmed, i);
        const char *engine = bg_row_text(row, BG_COL_ENGINE), *version, *reason;
        if (same(engine, "bitgauge")) continue;
        version = bg_row_text(row, BG_COL_ENGINE_VER);
        reason = bg_row_text(row, BG_COL_REASON);
        if (same(bg_row_text(row, BG_COL_STATUS), "failed"))
            return bg_fail(err, BG_ERR_INPUT, bg_results_dir(confirmed), "%s %s of %s could not be "
                           "measured again (--llama-bench): %s", bg_row_text(row, BG_COL_SCHEME),
                           bg_row_text(row, BG_COL_TEST), engine, reason ? reason : "");
        for (size_t j = 0; j < bg_results_row_count(r); j++) {
            const bg_row *was = bg_results_row(r, j);
            const char *old = bg_row_text(was, BG_COL_ENGINE_VER);
            if (bg_row_same_cell(row, was) && version && old && !same(version, old))
                return bg_fail(err, BG_ERR_INPUT, bg_results_dir(confirmed),
                               "was measured with %s %s, and %s with %s: give that build with "
                               "--llama-bench", engine, version, bg_results_dir(r), old);
        }
    }
    return BG_OK;
}

bg_status bg_cli_confirm(bg_results **confirmed, const bg_comparison *c, const bg_results *r,
                         const char *model, const char *llama_bench, bg_error *err)
{
    json_t *plan = json_loads(bg_results_plan(r), 0, NULL);
    char *out = free_folder(bg_results_dir(r));
    bool any = false;
    bg_status status = BG_OK;
    *confirmed = NULL;
    for (size_t i = 0; i < c->n_cells; i++) any = any || flagged(&c->cells[i]);
    if (!plan || !out) status = bg_fail_nomem(err, bg_results_dir(r), 0);
    else status = check_model(plan, bg_results_dir(r), model, err);
    if (status == BG_OK && any) status = sweep(c, plan, model, llama_bench, out, err);
    if (status == BG_OK && any) status = bg_results_open(confirmed, out, err);
    if (status == BG_OK && any) status = check_versions(*confirmed, r, err);
    json_decref(plan);
    bg_free(out);
    return status;
}
