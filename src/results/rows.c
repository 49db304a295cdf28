/* results.csv: a row a cell. */
#include "results/store.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int find_column(const char *name)
{
    for (int c = 0; c < BG_COL_COUNT; c++)
        if (strcmp(bg_column_get((bg_column)c)->name, name) == 0) return c;
    return -1;
}

/* Counts of bytes and weights may be large; the rest must fit an int. */
static bool int_in_range(const bg_column_info *info, double value)
{
    bool large = strcmp(info->unit, "B") == 0 || strcmp(info->unit, "weights") == 0;
    return value >= 0 && value <= (large ? 0x1p53 : INT_MAX) && value == floor(value);
}

static bg_status set_field(bg_row *r, bg_column c, const char *text, size_t line,
                           const char *name, bg_error *err)
{
    const bg_column_info *info = bg_column_get(c);
    double value;
    if (info->type == BG_TYPE_TEXT)
        return bg_row_set_text(r, c, text) ? BG_OK : bg_fail_nomem(err, name, strlen(text));
    if (!bg_csv_get_number(text, &value))
        return bg_csv_fail(err, name, line, "'%.40s' in column %s is not a number", text,
                           info->name);
    if (info->type == BG_TYPE_INT && !int_in_range(info, value))
        return bg_csv_fail(err, name, line, "'%.40s' in column %s is not a count", text,
                           info->name);
    bg_row_set_number(r, c, value);
    return BG_OK;
}

static bg_status append_row(bg_results *r, bg_row **row, bg_error *err)
{
    if (r->n_rows == r->rows_capacity) {
        size_t capacity = BG_MAX(64, r->rows_capacity * 2);
        bg_row **rows = bg_grow(r->rows, capacity, sizeof *rows);
        if (!rows) return bg_fail_nomem(err, "results", capacity * sizeof *rows);
        r->rows = rows;
        r->rows_capacity = capacity;
    }
    r->rows[r->n_rows++] = *row;
    *row = NULL;
    return BG_OK;
}

static bg_status parse_row(void *user, const char *const *fields, size_t line, const char *name,
                           bg_error *err)
{
    bg_row *row = bg_row_new();
    bg_status status = BG_OK;
    if (!row) return bg_fail_nomem(err, name, sizeof *row);
    row->line = line;
    for (int c = 0; c < BG_COL_COUNT && status == BG_OK; c++)
        if (fields[c]) status = set_field(row, (bg_column)c, fields[c], line, name, err);
    if (status == BG_OK && !(fields[BG_COL_SCHEME] && fields[BG_COL_TEST]))
        status = bg_csv_fail(err, name, line, "has no %s",
                             fields[BG_COL_SCHEME] ? "test" : "scheme");
    if (status == BG_OK) status = append_row(user, &row, err);
    bg_row_free(&row);
    return status;
}

static int compare_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "");
}

/* Orders rows by what makes a cell. */
static int compare_cells(const bg_row *a, const bg_row *b)
{
    static const bg_column words[] = {BG_COL_SCHEME, BG_COL_TEST, BG_COL_ENGINE, BG_COL_ISA};
    double ta = a->number[BG_COL_THREADS], tb = b->number[BG_COL_THREADS];
    for (size_t i = 0; i < BG_COUNT(words); i++) {
        int order = compare_text(a->text[words[i]], b->text[words[i]]);
        if (order) return order;
    }
    ta = isnan(ta) ? -1 : ta;
    tb = isnan(tb) ? -1 : tb;
    return (ta > tb) - (ta < tb);
}

bool bg_row_same_cell(const bg_row *a, const bg_row *b) { return compare_cells(a, b) == 0; }

bool bg_sample_is_of(const bg_sample *s, const bg_row *row)
{
    double threads = row->number[BG_COL_THREADS];
    return (isnan(threads) ? 0 : threads) == s->threads &&
           compare_text(row->text[BG_COL_TEST], s->test) == 0 &&
           compare_text(row->text[BG_COL_ISA], s->isa) == 0 &&
           compare_text(row->text[BG_COL_ENGINE], s->engine) == 0 &&
           compare_text(row->text[BG_COL_SCHEME], s->scheme) == 0;
}

static int compare_pointers(const void *a, const void *b)
{
    const bg_row *x = *(bg_row *const *)a, *y = *(bg_row *const *)b;
    int order = compare_cells(x, y);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static bg_status refuse_duplicates(const bg_results *r, const char *name, bg_error *err)
{
    bg_row **sorted = bg_alloc(r->n_rows, sizeof *sorted);
    bg_status status = BG_OK;
    if (!sorted) return bg_fail_nomem(err, name, r->n_rows * sizeof *sorted);
    if (r->n_rows) memcpy(sorted, r->rows, r->n_rows * sizeof *sorted);
    qsort(sorted, r->n_rows, sizeof *sorted, compare_pointers);
    for (size_t i = 1; i < r->n_rows && status == BG_OK; i++)
        if (compare_cells(sorted[i - 1], sorted[i]) == 0)
            status = bg_csv_fail(err, name, sorted[i]->line,
                                 "repeats row %zu (scheme %.32s, test %.32s)", sorted[i - 1]->line,
                                 sorted[i]->text[BG_COL_SCHEME], sorted[i]->text[BG_COL_TEST]);
    bg_free(sorted);
    return status;
}

bg_status bg_results_parse_rows(bg_results *r, const char *name, const void *data, size_t n,
                                bg_error *err)
{
    bg_csv_reader reader = {.name = name, .n_columns = BG_COL_COUNT, .find = find_column,
                            .max_rows = BG_RESULTS_MAX_ROWS, .row = parse_row, .user = r};
    BG_TRY(bg_csv_read(&reader, data, n, err));
    return refuse_duplicates(r, name, err);
}

void bg_results_write_rows(const bg_results *r, FILE *f)
{
    for (int c = 0; c < BG_COL_COUNT; c++)
        fprintf(f, "%s%s", c ? "," : "", bg_column_get((bg_column)c)->name);
    fputc('\n', f);
    for (size_t i = 0; i < r->n_rows; i++) {
        const bg_row *row = r->rows[i];
        for (int c = 0; c < BG_COL_COUNT; c++) {
            bg_column_type type = bg_column_get((bg_column)c)->type;
            if (c) fputc(',', f);
            if (type == BG_TYPE_TEXT) bg_csv_put_text(f, row->text[c]);
            else if (type == BG_TYPE_REAL) bg_csv_put_number(f, row->number[c]);
            else if (!isnan(row->number[c])) fprintf(f, "%.0f", row->number[c]);
        }
        fputc('\n', f);
    }
}

size_t bg_results_row_count(const bg_results *r) { return r->n_rows; }
const bg_row *bg_results_row(const bg_results *r, size_t i) { return r->rows[i]; }
bg_row *bg_results_row_mut(bg_results *r, size_t i) { return r->rows[i]; }

const bg_row *bg_results_find(const bg_results *r, const char *scheme, const char *test,
                              const char *isa, int threads)
{
    for (size_t i = 0; i < r->n_rows; i++) {
        const bg_row *row = r->rows[i];
        if (compare_text(row->text[BG_COL_SCHEME], scheme) != 0 ||
            compare_text(row->text[BG_COL_TEST], test) != 0 ||
            (isa && compare_text(row->text[BG_COL_ISA], isa) != 0) ||
            (threads && !(row->number[BG_COL_THREADS] == threads)))
            continue;
        return row;
    }
    return NULL;
}

bg_status bg_results_add(bg_results *r, bg_row **row, bg_error *err)
{
    for (size_t i = 0; i < r->n_rows; i++) {
        if (compare_cells(r->rows[i], *row) != 0) continue;
        bg_row_free(&r->rows[i]);
        r->rows[i] = *row;
        *row = NULL;
        return BG_OK;
    }
    return append_row(r, row, err);
}

void bg_results_sort(bg_results *r, size_t (*rank)(void *user, const bg_row *row), void *user)
{
    for (size_t i = 1; i < r->n_rows; i++) {
        bg_row *row = r->rows[i];
        size_t k = i, mine = rank(user, row);
        for (; k > 0 && rank(user, r->rows[k - 1]) > mine; k--) r->rows[k] = r->rows[k - 1];
        r->rows[k] = row;
    }
}
