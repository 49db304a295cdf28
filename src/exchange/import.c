/* Files of other programs, entry by entry. */
#include "exchange/exchange.h"

#include "base/file.h"
#include "results/store.h"

#include <math.h>
#include <string.h>

enum { MAX_ENTRIES = 5000 };

bg_status bg_entry_fail(bg_error *err, const bg_entry *e, const char *format, ...)
{
    bg_status s;
    va_list ap;
    va_start(ap, format);
    s = bg_fail_at(err, BG_ERR_INPUT, e->name, "line", e->line, format, ap);
    va_end(ap);
    return s;
}

/* Null and "" are as good as nothing. */
static const json_t *get(const bg_entry *e, const char *key)
{
    const json_t *value = json_object_get(e->object, key);
    if (json_is_null(value)) return NULL;
    return json_is_string(value) && json_string_length(value) == 0 ? NULL : value;
}

bg_status bg_entry_number(const bg_entry *e, const char *key, double *out, bg_error *err)
{
    const json_t *value = get(e, key);
    *out = NAN;
    if (!value) return BG_OK;
    if (json_is_number(value)) *out = json_number_value(value);
    else if (!json_is_string(value) || !bg_csv_get_number(json_string_value(value), out))
        return bg_entry_fail(err, e, "has a %s that is no number", key);
    return BG_OK;
}

bg_status bg_entry_count(const bg_entry *e, const char *key, double max, double *out, bg_error *err)
{
    BG_TRY(bg_entry_number(e, key, out, err));
    if (isnan(*out) || (*out >= 0 && *out <= max && *out == floor(*out))) return BG_OK;
    return bg_entry_fail(err, e, "has the %s %.9g, which is no count up to %.9g", key, *out, max);
}

bg_status bg_entry_text(const bg_entry *e, const char *key, size_t max, const char **out,
                        bg_error *err)
{
    const json_t *value = get(e, key);
    *out = NULL;
    if (!value) return BG_OK;
    if (!json_is_string(value)) return bg_entry_fail(err, e, "has a %s that is no text", key);
    if (json_string_length(value) > max ||
        strlen(json_string_value(value)) != json_string_length(value))
        return bg_entry_fail(err, e, "has a %s of over %zu bytes, or with a zero byte", key, max);
    *out = json_string_value(value);
    return BG_OK;
}

bg_status bg_import_keep(char **kept, const char *text, const char *what, const bg_entry *e,
                         bg_error *err)
{
    if (!text || !*text) return BG_OK;
    if (*kept && strcmp(*kept, text) != 0)
        return bg_entry_fail(err, e, "has the %s '%.80s' where entries before have '%.80s': import "
                             "them into folders of their own", what, text, *kept);
    if (!*kept && !(*kept = bg_strdup(text))) return bg_fail_nomem(err, what, strlen(text));
    if (*kept) bg_text_clean(*kept);
    return BG_OK;
}

bg_row *bg_import_find(bg_import *i, const bg_row *like)
{
    for (size_t k = 0; k < i->results->n_rows; k++)
        if (bg_row_same_cell(i->results->rows[k], like)) return i->results->rows[k];
    return NULL;
}

bg_status bg_import_row(bg_import *i, bg_row **row, const bg_entry *e, bg_error *err)
{
    const bg_row *there = bg_import_find(i, *row);
    char name[BG_CELL_NAME];
    bg_cell_name(name, sizeof name, *row);
    if (there)
        return bg_entry_fail(err, e, "is the same cell as an earlier entry (%.200s): import what "
                             "differs in other settings into folders of their own", name);
    if (i->results->n_rows >= MAX_ENTRIES)
        return bg_entry_fail(err, e, "is past the limit of %d cells", MAX_ENTRIES);
    if (!bg_row_set_text(*row, BG_COL_SOURCE, "imported") ||
        !bg_row_set_text(*row, BG_COL_STATUS, "ok"))
        return bg_fail_nomem(err, e->name, sizeof name);
    return bg_results_add(i->results, row, err);
}

static bg_status take_entry(bg_import *i, const bg_entry *e, bg_error *err)
{
    /* The key that gives each format away. */
    static const struct { const char *key; bg_import_fn *take; } formats[] = {
        {"n_prompt", bg_import_llama_bench}, {"value", bg_import_action_benchmark}};
    for (size_t k = 0; k < BG_COUNT(formats); k++)
        if (json_object_get(e->object, formats[k].key)) return formats[k].take(i, e, err);
    return bg_entry_fail(err, e, "is neither a test of llama-bench nor an entry of "
                         "github-action-benchmark: see `bitgauge import --help`");
}

/* JSON values, one after another or in arrays, with the line of each. */
typedef struct text_place { const char *p, *end; size_t line; } text_place;

static void skip(text_place *t, const char *which)
{
    for (; t->p < t->end && *t->p && strchr(which, *t->p); t->p++) t->line += *t->p == '\n';
}

static bg_status take_json(bg_import *i, const char *name, text_place t, bg_error *err)
{
    bool array = *t.p == '[';
    t.p += array;
    for (skip(&t, " \t\r\n"); t.p < t.end; skip(&t, array ? " \t\r\n," : " \t\r\n")) {
        bg_entry e = {.name = name, .line = t.line};
        bg_status status;
        json_error_t why;
        json_t *value;
        if (array && *t.p == ']') {
            t.p++;
            skip(&t, " \t\r\n");
            e.line = t.line;
            return t.p == t.end ? BG_OK : bg_entry_fail(err, &e, "goes on after its array");
        }
        value = json_loadb(t.p, (size_t)(t.end - t.p), JSON_DISABLE_EOF_CHECK |
                           JSON_REJECT_DUPLICATES, &why);
        if (!value) {
            e.line += why.line > 0 ? (size_t)why.line - 1 : 0;
            return bg_entry_fail(err, &e, "is not JSON (%.120s)", why.text);
        }
        e.object = value;
        status = json_is_object(value) ? take_entry(i, &e, err)
                                       : bg_entry_fail(err, &e, "is not a JSON object");
        json_decref(value);
        if (status != BG_OK) return status;
        for (const char *end = t.p + why.position; t.p < end; t.p++) t.line += *t.p == '\n';
    }
    return array ? bg_entry_fail(err, &(bg_entry){.name = name, .line = t.line},
                                 "ends inside its array: is the file whole?") : BG_OK;
}

/* What llama-bench's CSV has and a row can hold. */
static const char *const csv_columns[] = {
    "build_commit", "build_number", "cpu_info", "model_filename", "model_type", "model_size",
    "model_n_params", "n_threads", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ts",
    "scheme", "isa", "tier", "roof", "roof_ts", "roof_share", "roof_condition", "layers_timed",
    "load_s",
};

static int find_csv_column(const char *name)
{
    for (int c = 0; c < (int)BG_COUNT(csv_columns); c++)
        if (strcmp(csv_columns[c], name) == 0) return c;
    return -1;
}

static bg_status take_csv_row(void *user, const char *const *fields, size_t row, const char *name,
                              bg_error *err)
{
    json_t *o = json_object();
    bg_entry e = {.object = o, .name = name, .line = row};
    bool whole = o != NULL;
    bg_status status;
    for (size_t c = 0; c < BG_COUNT(csv_columns) && whole; c++)
        whole = !fields[c] || json_object_set_new(o, csv_columns[c], bg_json_text(fields[c])) == 0;
    status = !whole ? bg_fail_nomem(err, name, 0)
             : json_object_get(o, "n_prompt") ? bg_import_llama_bench(user, &e, err)
                                : bg_entry_fail(err, &e, "has no n_prompt: is it llama-bench's?");
    json_decref(o);
    return status;
}

bg_status bg_import_add(bg_import *i, const char *name, const void *data, size_t n, bg_error *err)
{
    static const char bom[] = "\xef\xbb\xbf";
    text_place t = {.p = data, .end = (const char *)data + n, .line = 1};
    bg_csv_reader csv = {.name = name, .n_columns = BG_COUNT(csv_columns), .find = find_csv_column,
                         .max_rows = MAX_ENTRIES, .row = take_csv_row, .user = i, .others = true,
                         .remedy = "is it a file of llama-bench?"};
    if (n >= 3 && memcmp(data, bom, 3) == 0) t.p += 3;
    skip(&t, " \t\r\n");
    if (t.p < t.end && (*t.p == '[' || *t.p == '{')) return take_json(i, name, t, err);
    return bg_csv_read(&csv, data, n, err);
}

bg_status bg_import_new(bg_import **out, const char *dir, const bg_import_options *o, bg_error *err)
{
    bg_import *i = bg_alloc(1, sizeof *i);
    bg_status status = i ? bg_results_new(&i->results, dir, "{}", err)
                         : bg_fail_nomem(err, "an import", sizeof *i);
    *out = NULL;
    if (status != BG_OK) {
        bg_free(i);
        return status;
    }
    if (o) i->options = *o;
    *out = i;
    return BG_OK;
}

void bg_import_close(bg_import **import)
{
    bg_import *i = import ? *import : NULL;
    if (!i) return;
    bg_results_close(&i->results);
    bg_free(i->engine);
    bg_free(i->version);
    bg_free(i->cpu);
    bg_free(i->model_file);
    bg_free(i);
    *import = NULL;
}

bg_status bg_import_results(bg_import *i, const bg_results **r, bg_error *err)
{
    json_t *plan = json_pack("{s:s, s:s, s:s*, s:s, s:{s:{s:s*}}}", "bitgauge", bg_version(),
                             "engine", i->engine ? i->engine : "unknown", "engine_version",
                             i->version, "created", i->created, "settings", "model", "file",
                             i->model_file);
    json_t *machine = json_pack("{s:s, s:{s:s*}}", "bitgauge", bg_version(), "cpu", "model",
                                i->cpu);
    char *plan_text = plan ? json_dumps(plan, 0) : NULL;
    char *machine_text = machine ? json_dumps(machine, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    bg_status status = plan_text && machine_text
        ? bg_results_describe(i->results, plan_text, i->cpu ? machine_text : NULL, err)
        : bg_fail_nomem(err, "an import", 0);
    json_decref(plan);
    json_decref(machine);
    bg_free(plan_text);
    bg_free(machine_text);
    if (status == BG_OK) status = bg_results_name_engine(i->results, err);
    if (status == BG_OK) *r = i->results;
    return status;
}

bg_status bg_import_save(bg_import *i, bg_error *err)
{
    const bg_results *r;
    const char *dir = bg_results_dir(i->results);
    char *plan = bg_path_join(dir, "plan.json"), *machine = bg_path_join(dir, "machine.json");
    bg_status status = plan && machine ? bg_import_results(i, &r, err)
                                       : bg_fail_nomem(err, dir, strlen(dir));
    if (status == BG_OK && bg_results_row_count(r) == 0)
        status = bg_fail(err, BG_ERR_INPUT, dir, "would be empty: nothing was found to import");
    if (status == BG_OK && bg_file_exists(plan))
        status = bg_fail(err, BG_ERR_INPUT, dir, "holds results already: choose another folder");
    if (status == BG_OK) status = bg_dir_create(dir, err);
    if (status == BG_OK && bg_results_machine(r))
        status = bg_file_write(machine, bg_results_machine(r), strlen(bg_results_machine(r)), err);
    if (status == BG_OK) status = bg_results_save(r, err);
    bg_free(plan);
    bg_free(machine);
    return status;
}
