#include "history/history.h"

#include "base/file.h"
#include "results/store.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What all rows of a run share. */
typedef struct run {
    const bg_results *r;
    bg_origin origin;
    json_t *machine;
    const char *commit, *branch;
    char date[32], id[BG_HISTORY_ID];
} run;

/* "2026-01-31T12:00:00Z", or with a zone, "2026-01-31T13:00:00+01:00", becomes the same in UTC. */
static bool to_utc(const char *text, char out[32])
{
    struct tm t = {.tm_isdst = 0};
    int zone_h = 0, zone_m = 0, end = 0;
    char sign = 'Z';
    time_t at;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
               &t.tm_min, &t.tm_sec, &end) != 6)
        return false;
    if (text[end] == '.') end += 1 + (int)strspn(text + end + 1, "0123456789");
    sign = text[end];
    if (sign == '+' || sign == '-') {
        int used = 0;
        if (sscanf(text + end + 1, "%2d:%2d%n", &zone_h, &zone_m, &used) != 2) return false;
        if (text[end + 1 + used]) return false;
    } else if (sign != 'Z' || text[end + 1]) {
        return false;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    at = timegm(&t) - (sign == '-' ? -60 : 60) * (60 * (time_t)zone_h + zone_m);
    return gmtime_r(&at, &t) && t.tm_year >= 70 && t.tm_year < 8000 &&
           strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &t) > 0;
}

static double floor_of(const run *u, const bg_row *row)
{
    const json_t *all = json_object_get(u->machine, "noise_floors"), *one;
    const char *test = bg_row_text(row, BG_COL_TEST), *kind;
    size_t i, n = strcspn(test, "0123456789");
    json_array_foreach(all, i, one) {
        kind = json_string_value(json_object_get(one, "kind"));
        if (kind && strlen(kind) == n && strncmp(kind, test, n) == 0 &&
            json_number_value(json_object_get(one, "threads")) ==
                bg_row_number(row, BG_COL_THREADS))
            return json_number_value(json_object_get(one, "floor"));
    }
    return NAN;
}

static const char *or_empty(const char *text) { return text ? text : ""; }

static void write_measure(const run *u, const bg_row *row, const bg_measure *m, FILE *f)
{
    const bg_column_info *column = bg_column_get(m->column);
    double threads = bg_row_number(row, BG_COL_THREADS);
    const char *engine = bg_row_text(row, BG_COL_ENGINE);
    char count[16] = "";
    bg_history_row h = {
        .run = u->id, .commit = u->commit, .branch = u->branch, .date = u->date,
        .measured = u->origin.created, .machine = u->origin.machine, .cpu = u->origin.cpu,
        .engine = engine ? engine : u->origin.engine,
        .version = engine ? or_empty(bg_row_text(row, BG_COL_ENGINE_VER)) : u->origin.version,
        .model = or_empty(bg_row_text(row, BG_COL_MODEL)),
        .scheme = bg_row_text(row, BG_COL_SCHEME), .test = bg_row_text(row, BG_COL_TEST),
        .isa = or_empty(bg_row_text(row, BG_COL_ISA)), .threads = count, .metric = column->name,
        .unit = column->unit, .better = column->better, .value = m->value, .low = m->low,
        .high = m->high, .n = m->n,
        .floor = m->column == BG_COL_TPS ? floor_of(u, row) : (double)NAN,
    };
    if (!isnan(threads)) snprintf(count, sizeof count, "%.0f", threads);
    for (size_t c = 0; c < BG_HISTORY_COLUMNS; c++) {
        if (c) fputc(',', f);
        if (bg_history_columns[c].text) {
            char text[BG_HISTORY_MAX_TEXT + 1];
            snprintf(text, sizeof text, "%s", bg_history_text(&h, c));
            bg_text_clean(text);
            bg_csv_put_text(f, text);
        } else {
            bg_csv_put_number(f, bg_history_number(&h, c));
        }
    }
    fputc('\n', f);
}

static size_t write_rows(const run *u, FILE *f)
{
    size_t n = 0;
    for (size_t c = 0; c < BG_HISTORY_COLUMNS; c++)
        fprintf(f, "%s%s", c ? "," : "", bg_history_columns[c].name);
    fputc('\n', f);
    for (size_t i = 0; i < bg_results_row_count(u->r); i++) {
        const bg_row *row = bg_results_row(u->r, i);
        bg_measure m[BG_MEASURES];
        size_t count = bg_row_measures(row, m);
        for (size_t k = 0; k < count && n < BG_HISTORY_MAX_ROWS; k++, n++)
            write_measure(u, row, &m[k], f);
    }
    return n;
}

/* Of what was measured where and when, not of what is said about it. */
static bg_status name_run(run *u, bg_error *err)
{
    char *text = NULL, stamp[20], hash[17];
    size_t n = 0, rows;
    FILE *f = open_memstream(&text, &n);
    run bare = *u;
    if (!f) return bg_fail_nomem(err, "a run", 0);
    bare.id[0] = bare.date[0] = 0;
    bare.commit = bare.branch = "";
    rows = write_rows(&bare, f);
    fclose(f);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)bg_hash(BG_HASH_INIT, text, n));
    free(text);
    if (rows == 0)
        return bg_fail(err, BG_ERR_INPUT, bg_results_dir(u->r), "holds no number to keep");
    n = 0;
    for (const char *p = u->date; *p && n + 1 < sizeof stamp; p++)
        if (*p != '-' && *p != ':') stamp[n++] = *p;
    stamp[n] = 0;
    snprintf(u->id, sizeof u->id, "%s-%.12s-%s", stamp, *u->commit ? u->commit : "unknown", hash);
    return BG_OK;
}

/* The hash at the end of an ID tells the same results, whatever commit they are said to be of. */
static bg_status refuse_twice(const char *dir, const char *id, bg_error *err)
{
    const char *hash = strrchr(id, '-');
    char *runs = bg_path_join(dir, "runs");
    bg_history *h = NULL;
    bg_status status = BG_OK;
    if (!runs) return bg_fail_nomem(err, dir, strlen(dir));
    if (bg_file_exists(runs)) status = bg_history_open(&h, dir, err);
    for (size_t i = 0; h && i < h->n && status == BG_OK; i++) {
        const char *other = strrchr(h->rows[i].run, '-');
        if (other && strcmp(other, hash) == 0)
            status = bg_fail(err, BG_ERR_INPUT, dir, "holds these results already, as the run %s",
                             h->rows[i].run);
    }
    bg_history_close(&h);
    bg_free(runs);
    return status;
}

/* samples/ID/, the plan last: what is in the way of an earlier failure is written over. */
static bg_status keep_samples(const char *dir, const run *u, bg_error *err)
{
    static const char *const files[] = {"machine.json", "results.csv", "samples.csv", "plan.json"};
    char *samples = bg_path_join(dir, "samples");
    char *to = samples ? bg_path_join(samples, u->id) : NULL;
    bg_status status = to ? bg_dir_create(to, err) : bg_fail_nomem(err, dir, strlen(dir));
    for (size_t i = 0; i < BG_COUNT(files) && status == BG_OK; i++) {
        char *source = bg_path_join(bg_results_dir(u->r), files[i]);
        char *path = bg_path_join(to, files[i]);
        char *text = NULL;
        size_t n;
        if (!source || !path) status = bg_fail_nomem(err, dir, strlen(dir));
        else if (bg_file_exists(source)) {
            status = bg_file_read(&text, &n, source, (size_t)1 << 30, err);
            if (status == BG_OK) status = bg_file_write(path, text, n, err);
        }
        bg_free(text);
        bg_free(source);
        bg_free(path);
    }
    bg_free(to);
    bg_free(samples);
    return status;
}

static bg_status write_run(const char *dir, const run *u, bg_error *err)
{
    char *runs = bg_path_join(dir, "runs"), name[BG_HISTORY_ID + 8];
    char *path = NULL;
    bg_outfile *f;
    bg_status status;
    snprintf(name, sizeof name, "%s.csv", u->id);
    if (runs) path = bg_path_join(runs, name);
    status = path ? bg_dir_create(runs, err) : bg_fail_nomem(err, dir, strlen(dir));
    if (status == BG_OK) status = bg_outfile_open(&f, path, err);
    if (status == BG_OK) {
        write_rows(u, bg_outfile_stream(f));
        status = bg_outfile_commit(&f, err);
    }
    bg_free(path);
    bg_free(runs);
    return status;
}

bg_status bg_history_add(const char *dir, const bg_results *r, const bg_history_add_options *o,
                         char id[BG_HISTORY_ID], bg_error *err)
{
    run u = {.r = r, .commit = or_empty(o->commit), .branch = or_empty(o->branch)};
    const char *machine = bg_results_machine(r), *date;
    bg_status status;
    if (*u.commit && !bg_history_is_commit(u.commit))
        return bg_fail(err, BG_ERR_INPUT, "the commit", "'%.80s' is none: letters, digits and ._-, "
                       "up to 64", u.commit);
    BG_TRY(bg_results_origin(r, &u.origin, err));
    date = o->date ? o->date : u.origin.created;
    if (!to_utc(date, u.date))
        return bg_fail(err, BG_ERR_INPUT, "the date", "'%.40s' is not of the form "
                       "2026-01-31T12:00:00Z: give one with --date", date);
    u.machine = machine ? json_loads(machine, 0, NULL) : NULL;
    status = name_run(&u, err);
    if (status == BG_OK) status = refuse_twice(dir, u.id, err);
    if (status == BG_OK && o->samples) status = keep_samples(dir, &u, err);
    if (status == BG_OK) status = write_run(dir, &u, err);
    if (status == BG_OK) snprintf(id, BG_HISTORY_ID, "%s", u.id);
    json_decref(u.machine);
    return status;
}

static char *samples_of(const bg_history *h, const bg_history_row *row)
{
    char *samples = bg_path_join(h->dir, "samples"), *path = NULL, *plan = NULL;
    if (samples) path = bg_path_join(samples, row->run);
    if (path) plan = bg_path_join(path, "plan.json");
    if (!plan || !bg_file_exists(plan)) {
        bg_free(path);
        path = NULL;
    }
    bg_free(plan);
    bg_free(samples);
    return path;
}

bg_status bg_history_baseline(const bg_history *h, const bg_results *r, const char *branch,
                              char **path, bg_error *err)
{
    bg_origin o;
    const char *model =
        bg_results_row_count(r) ? bg_row_text(bg_results_row(r, 0), BG_COL_MODEL) : NULL;
    *path = NULL;
    BG_TRY(bg_results_origin(r, &o, err));
    for (size_t i = h->n; i-- > 0;) {
        const bg_history_row *row = &h->rows[i];
        if (strcmp(row->machine, o.machine) != 0 || strcmp(row->engine, o.engine) != 0 ||
            strcmp(row->model, or_empty(model)) != 0 ||
            (branch && strcmp(row->branch, branch) != 0))
            continue;
        *path = samples_of(h, row);
        if (*path) return BG_OK;
    }
    return bg_fail(err, BG_ERR_INFEASIBLE, h->dir, "has no run of this machine (%s), engine and "
                   "model%s%s with its samples: add one with --samples",
                   o.cpu[0] ? o.cpu : "unknown", branch ? " on " : "", branch ? branch : "");
}
