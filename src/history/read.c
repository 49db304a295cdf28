#include "history/history.h"

#include "base/file.h"
#include "results/store.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RUNS = 100000, MAX_BYTES = 64 << 20 };

#define TEXT(name) {#name, true, offsetof(bg_history_row, name)}
#define NUMBER(name) {#name, false, offsetof(bg_history_row, name)}
const bg_history_column bg_history_columns[BG_HISTORY_COLUMNS] = {
    TEXT(run), TEXT(commit), TEXT(branch), TEXT(date), TEXT(measured), TEXT(machine), TEXT(cpu),
    TEXT(engine), TEXT(version), TEXT(model), TEXT(scheme), TEXT(test), TEXT(isa), TEXT(threads),
    TEXT(metric), TEXT(unit), NUMBER(better), NUMBER(value), NUMBER(low), NUMBER(high), NUMBER(n),
    NUMBER(floor),
};

static const char remedy[] = "restore the file from git: runs are never changed";

bool bg_history_is_commit(const char *text)
{
    size_t n = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-");
    return n > 0 && n <= 64 && text[n] == 0 && text[0] != '.' && text[0] != '-';
}

static int find_column(const char *name)
{
    for (int i = 0; i < BG_HISTORY_COLUMNS; i++)
        if (strcmp(bg_history_columns[i].name, name) == 0) return i;
    return -1;
}

static void free_row(bg_history_row *row)
{
    for (size_t c = 0; c < BG_HISTORY_COLUMNS; c++)
        if (bg_history_columns[c].text) bg_free((void *)(uintptr_t)bg_history_text(row, c));
}

/* A file that is being read: rows go to the history, and name its run. */
typedef struct reading { bg_history *h; char id[BG_HISTORY_ID]; } reading;

static bg_status set_field(bg_history_row *row, size_t c, const char *text, size_t line,
                           const char *name, bg_error *err)
{
    const bg_history_column *column = &bg_history_columns[c];
    char where[256];
    void *at = (char *)row + column->at;
    snprintf(where, sizeof where, "%s: row %zu", name, line);
    if (!column->text) {
        *(double *)at = NAN;
        if (!text || bg_csv_get_number(text, at)) return BG_OK;
        return bg_fail(err, BG_ERR_INPUT, where, "'%.40s' in column %s is not a number: %s", text,
                       column->name, remedy);
    }
    if (text && strlen(text) > BG_HISTORY_MAX_TEXT)
        return bg_fail(err, BG_ERR_INPUT, where, "column %s holds over %d bytes: %s", column->name,
                       BG_HISTORY_MAX_TEXT, remedy);
    *(char **)at = bg_strdup(text ? text : "");
    if (!*(char **)at) return bg_fail_nomem(err, name, BG_HISTORY_MAX_TEXT);
    bg_text_clean(*(char **)at);
    return BG_OK;
}

static bg_status take_row(void *user, const char *const *fields, size_t line, const char *name,
                          bg_error *err)
{
    reading *r = user;
    bg_history *h = r->h;
    bg_history_row row;
    bg_status status = BG_OK;
    char where[256];
    memset(&row, 0, sizeof row);
    snprintf(where, sizeof where, "%s: row %zu", name, line);
    if (h->n == h->capacity) {
        size_t capacity = BG_MAX(256, 2 * h->capacity);
        bg_history_row *rows = bg_grow(h->rows, capacity, sizeof *rows);
        if (!rows) return bg_fail_nomem(err, "the history", capacity * sizeof *rows);
        h->rows = rows;
        h->capacity = capacity;
    }
    for (size_t c = 0; c < BG_HISTORY_COLUMNS && status == BG_OK; c++)
        status = set_field(&row, c, fields[c], line, name, err);
    if (status == BG_OK && strcmp(row.run, r->id) != 0)
        status = bg_fail(err, BG_ERR_INPUT, where, "is of the run '%.80s', not of its file's: %s",
                         row.run, remedy);
    if (status == BG_OK && (!*row.metric || !*row.date || isnan(row.value)))
        status = bg_fail(err, BG_ERR_INPUT, where, "has no %s: %s",
                         !*row.metric ? "metric" : !*row.date ? "date" : "value", remedy);
    if (status == BG_OK) h->rows[h->n++] = row;
    else free_row(&row);
    return status;
}

static bg_status read_run(bg_history *h, const char *runs, const char *file, bg_error *err)
{
    reading r = {.h = h};
    char *path = bg_path_join(runs, file), *text = NULL;
    bg_csv_reader csv = {.name = path, .n_columns = BG_HISTORY_COLUMNS, .find = find_column,
                         .max_rows = BG_HISTORY_MAX_ROWS, .row = take_row, .user = &r,
                         .others = true, .remedy = remedy};
    size_t n;
    bg_status status = path ? bg_file_read(&text, &n, path, MAX_BYTES, err)
                            : bg_fail_nomem(err, runs, strlen(file));
    snprintf(r.id, sizeof r.id, "%.*s", (int)(strlen(file) - 4), file);
    if (status == BG_OK) status = bg_csv_read(&csv, text, n, err);
    bg_free(text);
    bg_free(path);
    return status;
}

static int is_run(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 4 && n - 4 < BG_HISTORY_ID &&
           strcmp(e->d_name + n - 4, ".csv") == 0;
}

/* In the order of names, which begin with the date. */
static bg_status read_runs(bg_history *h, const char *runs, bg_error *err)
{
    struct dirent **files = NULL;
    int n = scandir(runs, &files, is_run, alphasort);
    bg_status status = BG_OK;
    if (n < 0)
        return bg_fail(err, BG_ERR_INPUT, h->dir, "is no history (runs/: %s): make one with "
                       "`bitgauge history add DIR RESULTS`", strerror(errno));
    if (n > MAX_RUNS)
        status = bg_fail(err, BG_ERR_INPUT, runs, "holds over %d runs: begin a new history",
                         MAX_RUNS);
    for (int i = 0; i < n; i++) {
        if (status == BG_OK) status = read_run(h, runs, files[i]->d_name, err);
        free(files[i]);
    }
    free(files);
    return status;
}

bg_status bg_history_open(bg_history **out, const char *dir, bg_error *err)
{
    bg_history *h = bg_alloc(1, sizeof *h);
    char *runs = bg_path_join(dir, "runs");
    bg_status status = BG_OK;
    *out = NULL;
    if (h) h->dir = bg_strdup(dir);
    if (!h || !h->dir || !runs) status = bg_fail_nomem(err, "the history", sizeof *h);
    if (status == BG_OK) status = read_runs(h, runs, err);
    bg_free(runs);
    if (status == BG_OK) *out = h;
    else bg_history_close(&h);
    return status;
}

void bg_history_close(bg_history **history)
{
    bg_history *h = history ? *history : NULL;
    if (!h) return;
    for (size_t i = 0; i < h->n; i++) free_row(&h->rows[i]);
    bg_free(h->rows);
    bg_free(h->dir);
    bg_free(h);
    *history = NULL;
}

const char *bg_history_dir(const bg_history *h) { return h->dir; }
size_t bg_history_count(const bg_history *h) { return h->n; }
const bg_history_row *bg_history_at(const bg_history *h, size_t i) { return &h->rows[i]; }
