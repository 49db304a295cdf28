/* Puts a sweep together: folder, plan, machine, text, groups; the loop does the rest. */
#include "harness/rig.h"

#include "base/file.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char embedded_model[] = "models/codelet/codelet-8m-f16.gguf";

/* Shares of the time limit and of free memory that are planned with. */
static const double QUALITY_SHARE = 0.3, MEMORY_SHARE = 0.6;

enum { SELF_WINDOWS_FULL = 128 };

void bg_sweep_options_init(bg_sweep_options *o)
{
    *o = (bg_sweep_options){.n_prompt = -1, .n_gen = -1, .depth = -1, .quality = -1,
                            .time_limit = -1, .search_minutes = -1, .seed = 1};
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static json_t *file_identity(const char *path)
{
    struct stat st;
    if (!path) return json_null();
    return json_pack("{s:s, s:I}", "file", base_name(path), "bytes",
                     stat(path, &st) == 0 ? (json_int_t)st.st_size : (json_int_t)0);
}

static json_t *model_identity(const bg_gguf *g)
{
    json_t *o = json_pack("{s:s, s:I}", "file", base_name(bg_gguf_path(g)), "bytes",
                          (json_int_t)bg_gguf_file_bytes(g));
    if (bg_gguf_file_count(g) > 1)
        json_object_set_new(o, "files", json_integer((json_int_t)bg_gguf_file_count(g)));
    return o;
}

/* Rows of one folder are all made by the same quantizers. */
static json_t *quantizers_identity(void)
{
    char text[40];
    snprintf(text, sizeof text, "%016llx.%d", (unsigned long long)bg_format_fingerprint(),
             BG_ESTIMATE_VERSION);
    return json_string(text);
}

static json_t *shape_identity(const bg_rig *rig)
{
    return json_pack("{s:s, s:s, s:I}", "shape", bg_shape_name(rig->shape), "family",
                     bg_shape_family(rig->shape), "layers", (json_int_t)rig->plan->layers);
}

/* What has to be the same when a folder is resumed. Only base names: folders get published. */
static json_t *make_identity(const bg_rig *rig, const char *text)
{
    const bg_hparams *h = bg_model_hparams(rig->source);
    json_t *model = rig->shape ? shape_identity(rig)
                               : model_identity(bg_model_gguf(rig->source));
    json_t *identity = bg_plan_settings(rig->plan);
    char name[sizeof h->name];
    snprintf(name, sizeof name, "%s", h->name);
    for (char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e) *p = '?';
    json_object_set_new(model, "name", json_string(name));
    json_object_set_new(model, "params", json_integer((json_int_t)h->n_params));
    json_object_set_new(identity, "model", model);
    json_object_set_new(identity, "quantizers", quantizers_identity());
    json_object_set_new(identity, "text", text        ? file_identity(text)
                                          : rig->shape ? json_string("random")
                                                       : json_string("self"));
    json_object_set_new(identity, "imatrix", file_identity(rig->options->imatrix));
    if (rig->options->search)
        json_object_set_new(identity, "calib", file_identity(rig->options->calib));
    if (rig->callgrind) {
        char *settings = bg_callgrind_settings(rig->callgrind);
        json_object_set_new(identity, "callgrind", json_loads(settings ? settings : "", 0, NULL));
        bg_free_text(settings);
    }
    return identity;
}

/* The text to use: NULL means the model's own. Free with bg_free. */
static char *find_text(const bg_rig *rig)
{
    const char *text = rig->options->text;
    if (text && strcmp(text, "self") == 0) return NULL;
    return text ? bg_strdup(text) : bg_quality_text(rig->source);
}

/* A run that was killed while it wrote its first files leaves a heading and no plan: nothing that
 * could be lost. */
static bool holds_rows(const char *path)
{
    char *text;
    const char *first = bg_column_get((bg_column)0)->name, *end;
    bool heading;
    bg_error why;
    if (!bg_file_exists(path)) return false;
    if (bg_file_read(&text, NULL, path, 1 << 16, &why) != BG_OK) return true;
    end = strchr(text, '\n');
    heading = end && end[1] == 0 && strncmp(text, first, strlen(first)) == 0;
    bg_free(text);
    return !heading;
}

/* Refuses a folder, with the first setting that differs. */
static bg_status check_same(json_t *was, json_t *identity, const char *dir, bg_error *err)
{
    json_t *both[] = {identity, was}, *value;
    const char *key;
    for (size_t i = 0; i < BG_COUNT(both); i++)
        json_object_foreach(both[i], key, value)
            if (!json_equal(value, json_object_get(both[1 - i], key)))
                return bg_fail(err, BG_ERR_INPUT, dir, "holds the results of another plan ('%s' in "
                               "its plan.json%s): choose another --out, or the same options to go "
                               "on", key,
                               strcmp(key, "quantizers") == 0
                                   ? ": it was begun by a bitgauge that rounds otherwise" : "");
    return BG_OK;
}

/* Takes up a folder of an earlier run: *r stays NULL when there is none. */
static bg_status resume(bg_rig *rig, json_t *identity, bg_results **r, bg_error *err)
{
    const char *dir = rig->options->out;
    char *plan_path = bg_path_join(dir, "plan.json"), *rows = bg_path_join(dir, "results.csv");
    bool has_plan = plan_path && bg_file_exists(plan_path), has_rows = rows && holds_rows(rows);
    json_t *plan, *windows, *groups, *name;
    size_t g, i;
    bg_free(plan_path);
    bg_free(rows);
    *r = NULL;
    if (!has_plan && has_rows)
        return bg_fail(err, BG_ERR_INPUT, dir, "holds a results.csv without its plan.json: choose "
                       "another --out");
    if (!has_plan) {
        bg_dir_clean(dir);
        return BG_OK;
    }
    BG_TRY(bg_results_open(r, dir, err));
    bg_dir_clean(dir);
    plan = json_loads(bg_results_plan(*r), 0, NULL);
    if (check_same(json_object_get(plan, "settings"), identity, dir, err) != BG_OK) {
        json_decref(plan);
        bg_results_close(r);
        return BG_ERR_INPUT;
    }
    windows = json_object_get(plan, "windows");
    groups = json_object_get(plan, "groups");
    rig->windows = (uint32_t)BG_MAX(json_integer_value(windows), 0);
    rig->plan->n_groups = BG_MAX(BG_MIN(json_array_size(groups), rig->plan->n_schemes), 1);
    json_array_foreach(groups, g, windows)
        json_array_foreach(windows, i, name)
            for (size_t s = 0; s < rig->plan->n_schemes && g < rig->plan->n_groups; s++)
                if (json_is_string(name) && strcmp(json_string_value(name),
                                                   bg_plan_name(rig->plan, s)) == 0)
                    rig->plan->group[s] = g;
    json_decref(plan);
    return BG_OK;
}

/* Seconds of a batch, and bytes of a session, of the source model. */
static bg_status try_source(bg_rig *rig, double *seconds, uint64_t *session, bg_error *err)
{
    bg_plan *p = rig->plan;
    int32_t zeros[BG_BATCH] = {0};
    bg_tokens probe = {zeros, BG_BATCH};
    bg_timed t = {.tokens = &probe, .logits = rig->logits, .batch = BG_BATCH};
    bg_session *s;
    bg_status status = BG_OK;
    BG_TRY(bg_rig_session(rig, rig->source, p->isas[p->n_isas - 1], p->n_threads - 1, &s, err));
    t.session = s;
    t.n_prompt = BG_MIN((uint32_t)BG_BATCH, p->depth + BG_MAX(p->n_prompt, p->n_gen + 1));
    for (int i = 0; i < 2 && status == BG_OK; i++) status = bg_time_test(&t, seconds, err);
    *seconds *= (double)BG_WINDOW / t.n_prompt;
    *session = bg_session_kv_bytes(s) + bg_session_scratch_bytes(s);
    bg_session_close(&s);
    return status;
}

/* A shape's source cannot run; this is no less than a session takes. */
static uint64_t guess_session(const bg_rig *rig)
{
    const bg_hparams *h = bg_model_hparams(rig->source);
    const bg_plan *p = rig->plan;
    uint64_t floats = 4ull * h->n_embd + 3ull * h->n_ff + 4ull * h->n_head * h->head_dim;
    return floats * BG_BATCH * sizeof(float) +
           bg_model_kv_bytes(rig->source, p->depth + BG_MAX(p->n_prompt, p->n_gen + 1), BG_BATCH);
}

/* Sizes what the plan left open: how many windows of quality fit the time limit, and which schemes
 * fit into memory together. */
static bg_status calibrate(bg_rig *rig, bg_error *err)
{
    bg_plan *p = rig->plan;
    uint64_t bytes[BG_PLAN_MAX_SCHEMES], available = bg_machine_memory_available(rig->machine);
    uint64_t session, budget = (uint64_t)(MEMORY_SHARE * (double)available);
    double seconds = 0, fit;
    if (rig->shape) session = guess_session(rig);
    else BG_TRY(try_source(rig, &seconds, &session, err));
    p->window_seconds = seconds;
    for (size_t i = 0; i < p->n_schemes; i++) {
        /* One that does not fit is a row with the reason, later. */
        if (bg_rig_plan_bytes(rig, i, &bytes[i], NULL) != BG_OK)
            bytes[i] = 0;
        bytes[i] = p->n_engines * bytes[i] + p->n_isas * p->n_threads * session;
    }
    for (size_t i = 0; i < p->n_engines; i++)
        if (rig->runners[i].room)
            budget = BG_MIN(budget, rig->runners[i].room(rig->runners[i].user));
    bg_plan_group(p, bytes, budget);
    rig->windows = p->quality == BG_QUALITY_QUICK ? p->quick_windows : 0;
    fit = QUALITY_SHARE * p->time_limit / (double)(p->n_schemes + 1) / seconds;
    if (rig->windows && p->time_limit > 0 && fit < rig->windows)
        rig->windows = (uint32_t)BG_MAX(fit, 1);
    return BG_OK;
}

static bg_status read_tokens(bg_rig *rig, const char *text, bg_error *err)
{
    bg_sweep_progress p = {.what = "writing a text", .fraction = 0};
    bg_self_text_options o = {.seed = rig->options->seed,
                              .isa = rig->plan->isas[rig->plan->n_isas - 1],
                              .team = rig->teams[rig->plan->n_threads - 1],
                              .progress = bg_rig_alive, .user = rig};
    /* A simulated test draws its own. */
    if (!bg_plan_timed(rig->plan) && rig->plan->quality == BG_QUALITY_OFF) return BG_OK;
    if (rig->shape)
        return bg_tokens_draw(&rig->tokens, bg_model_hparams(rig->source)->n_vocab, err);
    if (text) {
        BG_TRY(bg_tokens_read(&rig->tokens, rig->source, text, err));
        if (rig->plan->quality == BG_QUALITY_OFF || rig->tokens.count >= BG_WINDOW) return BG_OK;
        return bg_fail(err, BG_ERR_INPUT, text, "has %zu tokens and quality needs %d: give a "
                       "longer text, or --text self, or --quality off", rig->tokens.count,
                       BG_WINDOW);
    }
    bg_rig_progress(rig, &p);
    return bg_tokens_self(&rig->tokens, rig->source, rig->options->out,
                          rig->windows ? rig->windows : SELF_WINDOWS_FULL, &o, err);
}

static bg_status new_folder(bg_rig *rig, json_t *identity, bg_results **r, bg_error *err)
{
    time_t now = time(NULL);
    struct tm utc;
    char created[32] = "", *text;
    json_t *plan;
    bg_status status;
    if (gmtime_r(&now, &utc)) strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
    plan = json_pack("{s:O, s:s, s:s, s:s, s:I, s:o, s:f}", "settings", identity, "bitgauge",
                     bg_version(), "created", created, "profile", rig->plan->profile, "windows",
                     (json_int_t)rig->windows, "groups", bg_plan_groups(rig->plan), "time_limit",
                     rig->plan->time_limit);
    text = plan ? json_dumps(plan, 0) : NULL;
    json_decref(plan);
    if (!text) return bg_fail_nomem(err, "the plan", 0);
    status = bg_results_new(r, rig->options->out, text, err);
    bg_free(text);
    return status == BG_OK ? bg_results_save(*r, err) : status;
}

/* NULL: it was not metered. */
static char *idle_json(const bg_energy *idle)
{
    json_t *o;
    char *text;
    if (!(idle->joules > 0)) return NULL;
    o = json_pack("{s:f, s:f, s:s}", "watts", idle->joules / idle->seconds, "seconds",
                  idle->seconds, "source", idle->source);
    text = o ? json_dumps(o, JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    return text;
}

static bg_status write_machine(bg_rig *rig, bg_error *err)
{
    bg_machine_notes notes = {0};
    char *text = NULL;
    char *json = bg_path_join(rig->options->out, "machine.json");
    char *xml = bg_path_join(rig->options->out, "machine.xml");
    bg_status status = json && xml ? BG_OK : bg_fail_nomem(err, "machine.json", 0);
    if (status == BG_OK)
        status = bg_counters_json(rig->counters[0], &notes.counters, &notes.energy, err);
    if (status == BG_OK) notes.idle = idle_json(&rig->idle);
    if (status == BG_OK) notes.disturbances = bg_taints_json(rig->taints[0]);
    if (status == BG_OK) status = bg_machine_json(rig->machine, &notes, &text, err);
    if (status == BG_OK) status = bg_file_write(json, text, strlen(text), err);
    if (status == BG_OK && bg_machine_has_xml(rig->machine))
        status = bg_machine_write_xml(rig->machine, xml, err);
    bg_machine_notes_fini(&notes);
    bg_free_text(text);
    bg_free(json);
    bg_free(xml);
    return status;
}

/* Floors that are not there cost a comparison only its certainty. */
static bg_status take_floors(bg_rig *rig, bg_error *err)
{
    bg_error why;
    char *path;
    if (rig->options->noise_from)
        return bg_machine_read_floors(rig->machine, rig->options->noise_from, err);
    path = bg_machine_floors_path(rig->machine);
    if (path && bg_file_exists(path) &&
        bg_machine_read_floors(rig->machine, path, &why) != BG_OK)
        bg_log(BG_LOG_WARN, "noise floors are left out: %s: %s", why.where, why.message);
    bg_free_text(path);
    return BG_OK;
}

static bg_status measure_machine(bg_rig *rig, bg_error *err)
{
    bg_sweep_progress p = {.what = "measuring the machine", .fraction = 0};
    bg_rig_progress(rig, &p);
    bg_energy_idle(rig->counters[0], &rig->idle);
    for (size_t i = 0; i < rig->plan->n_threads && !rig->options->no_roofs &&
                       bg_plan_timed(rig->plan); i++)
        BG_TRY(bg_machine_measure(rig->machine, rig->plan->threads[i], err));
    return write_machine(rig, err);
}

/* Everything between the plan and the loop. */
static bg_status prepare(bg_rig *rig, const char *text, bg_results **r, size_t *left,
                         bg_error *err)
{
    json_t *identity = make_identity(rig, text);
    bg_status status = identity ? resume(rig, identity, r, err) : bg_fail_nomem(err, "the plan", 0);
    bool resumed = *r != NULL, existed = bg_file_exists(rig->options->out);
    rig->before = *r;
    rig->text = text;
    *left = resumed ? bg_loop_restore(rig->plan, *r) : rig->plan->n_cells;
    if (status == BG_OK) status = bg_dir_create(rig->options->out, err);
    if (status == BG_OK && *left) status = bg_rig_open(rig, err);
    if (status == BG_OK && *left && !resumed) status = calibrate(rig, err);
    if (status == BG_OK && *left) status = read_tokens(rig, text, err);
    rig->plan->windows = rig->windows ? rig->windows : (uint32_t)(rig->tokens.count / BG_WINDOW);
    if (status == BG_OK && !resumed) status = new_folder(rig, identity, r, err);
    if (status != BG_OK && !existed) rmdir(rig->options->out); /* goes when it is empty */
    if (status == BG_OK && *left) status = measure_machine(rig, err);
    json_decref(identity);
    return status;
}

static bg_status open_shape(bg_rig *rig, bg_error *err)
{
    bg_shape_sample sample = bg_bench_sample(rig->machine, rig->plan->layers, MEMORY_SHARE);
    BG_TRY(bg_shape_open(&rig->shape, rig->options->shape, err));
    return bg_model_open_shape(&rig->source, rig->shape, &sample, err);
}

static bg_status open_model(bg_rig *rig, char **text, bg_error *err)
{
    const bg_sweep_options *o = rig->options;
    char *path = o->model ? bg_strdup(o->model) : bg_data_path(embedded_model);
    bg_status status;
    if (!path)
        return bg_fail(err, BG_ERR_IO, embedded_model, "the embedded model is not installed: give "
                       "--model, or set BITGAUGE_DATA");
    status = bg_model_open(&rig->source, path, err);
    bg_free(path);
    if (status == BG_OK && o->imatrix)
        status = bg_importance_open(&rig->importance, o->imatrix, err);
    if (status == BG_OK && o->imatrix)
        status = bg_importance_check(rig->importance, bg_model_gguf(rig->source), err);
    if (status == BG_OK) *text = find_text(rig);
    return status;
}

bg_status bg_sweep_run(const bg_sweep_options *o, bg_error *err)
{
    bg_plan plan = {0};
    bg_rig *rig = bg_alloc(1, sizeof *rig);
    bg_machine_options machine = {.progress = bg_rig_alive, .user = rig};
    bg_results *results = NULL;
    double started = (double)bg_clock_ns() * 1e-9, searching;
    size_t left = 0;
    char *text = NULL;
    bg_status status;
    if (!rig) return bg_fail_nomem(err, "the sweep", sizeof *rig);
    rig->options = o;
    rig->plan = &plan;
    status = o->model && o->shape
             ? bg_fail(err, BG_ERR_INPUT, NULL, "--model and --shape: give one of them")
             : bg_machine_open(&rig->machine, &machine, err);
    if (status == BG_OK) status = take_floors(rig, err);
    if (status == BG_OK)
        status = bg_plan_make(&plan, o, bg_machine_default_threads(rig->machine), err);
    if (status == BG_OK)
        status = o->shape ? open_shape(rig, err) : open_model(rig, &text, err);
    if (status == BG_OK && plan.simulate) status = bg_callgrind_open(&rig->callgrind, err);
    if (status == BG_OK)
        rig->cache_bytes = (size_t)BG_MIN((uint64_t)512 << 20,
                                          bg_machine_memory_available(rig->machine) / 8);
    if (status == BG_OK) status = prepare(rig, text, &results, &left, err);
    searching = (double)bg_clock_ns() * 1e-9;
    if (status == BG_OK && left) status = bg_rig_search(rig, err);
    started += (double)bg_clock_ns() * 1e-9 - searching; /* it has a limit of its own */
    if (status == BG_OK && left)
        status = bg_loop_run(&plan, rig->runners, results, bg_rig_progress, rig, started, err);
    bg_results_close(&results);
    bg_rig_close(rig);
    bg_plan_fini(&plan);
    bg_free(rig);
    bg_free(text);
    return status;
}
