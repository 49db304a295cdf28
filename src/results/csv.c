/* libcsv sits behind this file: it splits fields; counting them and naming rows is done here. */
#include "results/store.h"

#include <csv.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FIELDS = 512, CHUNK = 1 << 16 };

typedef struct parse {
    const bg_csv_reader *reader;
    bg_error *err;
    bg_status status;
    bg_text text;                     /* the fields of this row, each with its NUL */
    size_t start[MAX_FIELDS], n_fields;
    int column[MAX_FIELDS];           /* of each field; -1: left out */
    size_t header_fields, row;        /* rows complete so far, the header included */
    const char **fields;              /* by column */
} parse;

static bg_status complain(bg_error *err, const char *name, size_t row, const char *remedy,
                          const char *format, va_list ap)
{
    char where[256], message[400];
    vsnprintf(message, sizeof message, format, ap);
    snprintf(where, sizeof where, "%s: row %zu", name, row);
    return bg_fail(err, BG_ERR_INPUT, where, "%s: %s", message,
                   remedy ? remedy : "restore the file, or run the sweep again into a new folder");
}

bg_status bg_csv_fail(bg_error *err, const char *name, size_t row, const char *format, ...)
{
    bg_status status;
    va_list ap;
    va_start(ap, format);
    status = complain(err, name, row, NULL, format, ap);
    va_end(ap);
    return status;
}

/* Of the row that is being read. */
__attribute__((format(printf, 2, 3)))
static bg_status fail_row(const parse *p, const char *format, ...)
{
    bg_status status;
    va_list ap;
    va_start(ap, format);
    status = complain(p->err, p->reader->name, p->row + 1, p->reader->remedy, format, ap);
    va_end(ap);
    return status;
}

static void on_field(void *data, size_t length, void *user)
{
    parse *p = user;
    if (p->status != BG_OK) return;
    if (p->n_fields == MAX_FIELDS)
        p->status = fail_row(p, "has over %d fields",
                                MAX_FIELDS);
    else if (length > BG_CSV_MAX_FIELD)
        p->status = fail_row(p,
                                "field %zu is over %d bytes long", p->n_fields + 1,
                                BG_CSV_MAX_FIELD);
    else if (length && memchr(data, 0, length))
        p->status = fail_row(p, "field %zu holds a zero byte",
                                p->n_fields + 1);
    if (p->status != BG_OK) return;
    p->start[p->n_fields++] = p->text.length;
    if (length) bg_text_append(&p->text, data, length);
    bg_text_append(&p->text, "", 1);
    if (p->text.failed) p->status = bg_fail_nomem(p->err, p->reader->name, length);
}

static bg_status take_header(parse *p)
{
    const bg_csv_reader *r = p->reader;
    for (size_t i = 0; i < p->n_fields; i++) {
        const char *name = p->text.data + p->start[i];
        p->column[i] = r->find(name);
        if (p->column[i] < 0) {
            if (!r->others)
                bg_log(BG_LOG_WARN, "%s: column '%.64s' is unknown and left out", r->name, name);
            continue;
        }
        for (size_t k = 0; k < i; k++)
            if (p->column[k] == p->column[i])
                return fail_row(p, "has the column '%.64s' twice", name);
    }
    p->header_fields = p->n_fields;
    return BG_OK;
}

static bg_status take_row(parse *p)
{
    const bg_csv_reader *r = p->reader;
    if (p->n_fields != p->header_fields)
        return fail_row(p, "has %zu fields where the header has %zu",
                           p->n_fields, p->header_fields);
    if (p->row > r->max_rows)
        return fail_row(p, "is past the limit of %zu rows",
                           r->max_rows);
    for (size_t i = 0; i < p->n_fields; i++) {
        char *field = p->text.data + p->start[i];
        if (p->column[i] >= 0) p->fields[p->column[i]] = *field ? field : NULL;
    }
    return r->row(r->user, p->fields, p->row + 1, r->name, p->err);
}

static void on_row(int terminator, void *user)
{
    parse *p = user;
    (void)terminator;
    if (p->status != BG_OK) return;
    p->status = p->row == 0 ? take_header(p) : take_row(p);
    p->row++;
    p->n_fields = 0;
    p->text.length = 0;
}

static void parse_all(parse *p, struct csv_parser *csv, const char *data, size_t n)
{
    for (size_t at = 0; at < n && p->status == BG_OK; at += CHUNK) {
        size_t part = BG_MIN((size_t)CHUNK, n - at);
        if (csv_parse(csv, data + at, part, on_field, on_row, p) == part) continue;
        if (p->status == BG_OK) /* what was delivered before may have failed first */
            p->status = fail_row(p, "is not CSV (%s)",
                                    csv_strerror(csv_error(csv)));
    }
    if (csv_fini(csv, on_field, on_row, p) != 0 && p->status == BG_OK)
        p->status = fail_row(p,
                                "ends inside a quoted field");
    if (p->status == BG_OK && p->row == 0)
        p->status = fail_row(p, "is missing: the file is empty");
}

bg_status bg_csv_read(const bg_csv_reader *reader, const void *data, size_t n, bg_error *err)
{
    static const char bom[] = "\xef\xbb\xbf";
    struct csv_parser csv;
    parse *p = bg_alloc(1, sizeof *p);
    const char **fields = bg_alloc(reader->n_columns, sizeof *fields), *text = data;
    bg_status status;
    if (!p || !fields || csv_init(&csv, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        bg_free(p);
        bg_free(fields);
        return bg_fail_nomem(err, reader->name, sizeof *p);
    }
    p->reader = reader;
    p->err = err;
    p->fields = fields;
    if (n >= 3 && memcmp(text, bom, 3) == 0) { /* spreadsheets put it there */
        text += 3;
        n -= 3;
    }
    parse_all(p, &csv, text, n);
    csv_free(&csv);
    status = p->status;
    bg_text_fini(&p->text);
    bg_free(p);
    bg_free(fields);
    return status;
}

void bg_csv_put_text(FILE *f, const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n == 0) return;
    /* The parser strips blanks at the ends of bare fields. */
    if (strpbrk(text, ",\"\r\n") || strchr(" \t", text[0]) || strchr(" \t", text[n - 1]))
        csv_fwrite(f, text, n);
    else
        fputs(text, f);
}

void bg_csv_put_number(FILE *f, double value)
{
    static const int precisions[] = {6, 9, 12, 15};
    char text[40];
    if (isnan(value)) return;
    for (size_t i = 0; i < BG_COUNT(precisions); i++) {
        snprintf(text, sizeof text, "%.*g", precisions[i], value);
        if (strtod(text, NULL) == value) break;
        snprintf(text, sizeof text, "%.17g", value);
    }
    fputs(text, f);
}

bool bg_csv_get_number(const char *text, double *value)
{
    char *end;
    if (!*text || text[strspn(text, "0123456789+-.eE")]) return false; /* no hex, inf, nan */
    *value = strtod(text, &end);
    return end != text && !*end && isfinite(*value);
}
