/* profiles/quality: published tables. */
#include "bitgauge/published.h"

#include "base/file.h"
#include "results/store.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 2000, MAX_BYTES = 1 << 20 };

enum { MODEL, FAMILY, PARAMS, TEXT, SOURCE, SCHEME, IMATRIX, PPL, KLD, COLUMNS };
static const char *const columns[COLUMNS] = {"model",  "family",  "params", "text", "source",
                                             "scheme", "imatrix", "ppl",    "kld"};

struct bg_published { bg_published_row *rows; size_t n, capacity; };

static int find_column(const char *name)
{
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(name, columns[i]) == 0) return i;
    return -1;
}

static void free_row(bg_published_row *r)
{
    bg_free(r->model);
    bg_free(r->family);
    bg_free(r->text);
    bg_free(r->source);
    bg_free(r->scheme);
    bg_free(r->imatrix);
}

/* A positive number; kld alone may be missing. */
static bg_status take_number(double *value, const char *const *fields, int c, size_t line,
                             const char *name, bg_error *err)
{
    *value = NAN;
    if (!fields[c] && c == KLD) return BG_OK;
    if (!fields[c] || !bg_csv_get_number(fields[c], value) || !(*value > 0))
        return bg_csv_fail(err, name, line, "has no positive number in column %s", columns[c]);
    return BG_OK;
}

static bg_status take_text(char **text, const char *const *fields, int c, size_t line,
                           const char *name, bg_error *err)
{
    if (!fields[c]) return bg_csv_fail(err, name, line, "has no %s", columns[c]);
    *text = bg_strdup(fields[c]);
    return *text ? BG_OK : bg_fail_nomem(err, name, strlen(fields[c]));
}

static bool same(const bg_published_row *a, const bg_published_row *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->scheme, b->scheme) == 0 &&
           strcmp(a->imatrix, b->imatrix) == 0;
}

static bg_status fill_row(bg_published_row *r, const char *const *fields, size_t line,
                          const char *name, bg_error *err)
{
    const struct { char **text; int column; } texts[] = {
        {&r->model, MODEL},   {&r->family, FAMILY}, {&r->text, TEXT},
        {&r->source, SOURCE}, {&r->scheme, SCHEME}, {&r->imatrix, IMATRIX},
    };
    const struct { double *value; int column; } numbers[] = {
        {&r->params, PARAMS}, {&r->ppl, PPL}, {&r->kld, KLD},
    };
    for (size_t i = 0; i < BG_COUNT(texts); i++)
        BG_TRY(take_text(texts[i].text, fields, texts[i].column, line, name, err));
    for (size_t i = 0; i < BG_COUNT(numbers); i++)
        BG_TRY(take_number(numbers[i].value, fields, numbers[i].column, line, name, err));
    return BG_OK;
}

static bg_status take_row(void *user, const char *const *fields, size_t line, const char *name,
                          bg_error *err)
{
    bg_published *p = user;
    bg_published_row r = {0}, *grown;
    bg_status status = fill_row(&r, fields, line, name, err);
    for (size_t i = 0; status == BG_OK && i < p->n; i++)
        if (same(&p->rows[i], &r))
            status = bg_csv_fail(err, name, line, "repeats scheme %.32s of %.64s", r.scheme,
                                 r.model);
    if (status == BG_OK && p->n == p->capacity) {
        grown = bg_grow(p->rows, BG_MAX(64, 2 * p->capacity), sizeof *grown);
        if (grown) p->rows = grown, p->capacity = BG_MAX(64, 2 * p->capacity);
        else status = bg_fail_nomem(err, name, sizeof *grown);
    }
    if (status == BG_OK) p->rows[p->n++] = r;
    else free_row(&r);
    return status;
}

static bg_status read_file(bg_published *p, const char *path, bg_error *err)
{
    bg_csv_reader reader = {.name = path, .n_columns = COLUMNS, .max_rows = MAX_ROWS,
                            .find = find_column, .row = take_row, .user = p};
    char *text;
    size_t n;
    bg_status status;
    BG_TRY(bg_file_read(&text, &n, path, MAX_BYTES, err));
    status = bg_csv_read(&reader, text, n, err);
    bg_free(text);
    return status;
}

static int is_table(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 4 && strcmp(e->d_name + n - 4, ".csv") == 0;
}

static bg_status read_folder(bg_published *p, const char *dir, bg_error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_table, alphasort);
    bg_status status = n < 0 ? bg_fail(err, BG_ERR_IO, dir, "cannot be read") : BG_OK;
    for (int i = 0; i < n; i++) {
        char *path = bg_path_join(dir, entries[i]->d_name);
        if (status == BG_OK)
            status = path ? read_file(p, path, err) : bg_fail_nomem(err, dir, 0);
        bg_free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* What the others are compared with has to be there. */
static bg_status check_models(const bg_published *p, const char *dir, bg_error *err)
{
    for (size_t i = 0; i < p->n; i++)
        if (!bg_published_scheme(p, &p->rows[i], "F16"))
            return bg_fail(err, BG_ERR_INPUT, dir, "has no F16 row for %.64s", p->rows[i].model);
    return BG_OK;
}

bg_status bg_published_open(bg_published **out, const char *dir, bg_error *err)
{
    char *found = dir ? bg_strdup(dir) : bg_data_path("profiles/quality");
    bg_published *p;
    bg_status status;
    *out = NULL;
    if (!found)
        return bg_fail(err, BG_ERR_IO, "profiles/quality", "is not installed: set BITGAUGE_DATA to "
                       "the folder that holds profiles/");
    p = bg_alloc(1, sizeof *p);
    status = p ? read_folder(p, found, err) : bg_fail_nomem(err, found, sizeof *p);
    if (status == BG_OK) status = check_models(p, found, err);
    bg_free(found);
    if (status == BG_OK) *out = p;
    else bg_published_close(&p);
    return status;
}

void bg_published_close(bg_published **published)
{
    bg_published *p = published ? *published : NULL;
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) free_row(&p->rows[i]);
    bg_free(p->rows);
    bg_free(p);
    *published = NULL;
}

size_t bg_published_count(const bg_published *p) { return p->n; }
const bg_published_row *bg_published_at(const bg_published *p, size_t i) { return &p->rows[i]; }

const bg_published_row *bg_published_scheme(const bg_published *p, const bg_published_row *model,
                                            const char *scheme)
{
    for (size_t i = 0; i < p->n; i++) {
        const bg_published_row *r = &p->rows[i];
        if (strcmp(r->model, model->model) == 0 && strcmp(r->scheme, scheme) == 0 &&
            strcmp(r->imatrix, "none") == 0)
            return r;
    }
    return NULL;
}

const bg_published_row *bg_published_nearest(const bg_published *p, const char *family,
                                             double params)
{
    const bg_published_row *best = NULL;
    double least = INFINITY;
    for (size_t i = 0; i < p->n; i++) {
        const bg_published_row *r = &p->rows[i];
        double distance = fabs(log(r->params / params)) + (strcmp(r->family, family) != 0);
        if (strcmp(r->scheme, "F16") != 0 || !(distance < least)) continue;
        best = r;
        least = distance;
    }
    return best;
}
