#include "exchange/records.h"

#include <math.h>
#include <string.h>

json_t *bg_json_real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *bg_json_count(double value)
{
    return fabs(value) < 0x1p63 ? json_integer((json_int_t)llround(value)) : json_null();
}

json_t *bg_json_text(const char *s)
{
    json_t *text = s ? json_string(s) : json_null();
    char *copy;
    if (text || !(copy = bg_strdup(s))) return text;
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p >= 0x80) *p = '?';
    text = json_string(copy);
    bg_free(copy);
    return text;
}

static void nothing(FILE *f) { (void)f; }

static bool dump(FILE *f, const json_t *record, size_t flags, int digits)
{
    return json_dumpf(record, f, flags | JSON_REAL_PRECISION((size_t)digits)) == 0;
}

static void json_begin(FILE *f) { fputs("[", f); }
static void json_end(FILE *f) { fputs("\n]\n", f); }

static bool json_put(FILE *f, const json_t *record, size_t index, int digits)
{
    fputs(index ? ",\n" : "\n", f);
    return dump(f, record, JSON_INDENT(2), digits);
}

static bool jsonl_put(FILE *f, const json_t *record, size_t index, int digits)
{
    (void)index;
    return dump(f, record, 0, digits) && fputc('\n', f) != EOF;
}

/* Between quotes, with those inside doubled. */
static void put_quoted(FILE *f, const json_t *value, char quote, int digits)
{
    const char *text = json_string_value(value);
    fputc(quote, f);
    if (json_is_integer(value)) fprintf(f, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) fprintf(f, "%.*g", digits, json_real_value(value));
    else if (json_is_boolean(value)) fprintf(f, "%d", json_is_true(value));
    for (; text && *text; text++) {
        if (*text == quote) fputc(quote, f);
        fputc(*text, f);
    }
    fputc(quote, f);
}

#define FOREACH_COLUMN(record, name, value)                           \
    json_object_foreach((json_t *)(uintptr_t)(record), name, value)   \
        if (!json_is_array(value))

static void put_names(FILE *f, const json_t *record, const char *separator)
{
    const char *name, *before = "";
    json_t *value;
    FOREACH_COLUMN(record, name, value) {
        fprintf(f, "%s%s", before, name);
        before = separator;
    }
}

static bool csv_put(FILE *f, const json_t *record, size_t index, int digits)
{
    const char *name, *before = "";
    json_t *value;
    if (index == 0) {
        put_names(f, record, ",");
        fputc('\n', f);
    }
    FOREACH_COLUMN(record, name, value) {
        fputs(before, f);
        put_quoted(f, value, '"', digits);
        before = ",";
    }
    return fputc('\n', f) != EOF;
}

/* The type of a column, which a value that is unknown does not tell. */
static const char *sql_type(const char *name, const json_t *value)
{
    static const struct { const char *name, *type; } unknown[] = {
        {"model_size", "INTEGER"}, {"model_n_params", "INTEGER"}, {"avg_ns", "INTEGER"},
        {"stddev_ns", "INTEGER"}, {"scheme", "TEXT"}, {"isa", "TEXT"}, {"tier", "TEXT"},
        {"roof", "TEXT"}, {"source", "TEXT"}, {"layers_timed", "INTEGER"}, {"peak_rss", "INTEGER"},
    };
    if (json_is_string(value)) return "TEXT";
    if (json_is_integer(value) || json_is_boolean(value)) return "INTEGER";
    for (size_t i = 0; i < BG_COUNT(unknown); i++)
        if (strcmp(unknown[i].name, name) == 0) return unknown[i].type;
    return "REAL";
}

/* Values in quotes, as llama-bench writes them: SQLite turns them into the column's type. */
static bool sql_put(FILE *f, const json_t *record, size_t index, int digits)
{
    const char *name, *before = "";
    json_t *value;
    if (index == 0) {
        fputs("CREATE TABLE IF NOT EXISTS llama_bench (", f);
        FOREACH_COLUMN(record, name, value) {
            fprintf(f, "%s\n  %s %s", before, name, sql_type(name, value));
            before = ",";
        }
        fputs("\n);\n\n", f);
    }
    fputs("INSERT INTO llama_bench (", f);
    put_names(f, record, ", ");
    before = ") VALUES (";
    FOREACH_COLUMN(record, name, value) {
        fputs(before, f);
        if (json_is_null(value)) fputs("NULL", f);
        else put_quoted(f, value, '\'', digits);
        before = ", ";
    }
    return fputs(");\n", f) != EOF;
}

const bg_records *bg_records_find(const char *name)
{
    static const bg_records formats[] = {
        {"json", json_begin, json_put, json_end},
        {"jsonl", nothing, jsonl_put, nothing},
        {"csv", nothing, csv_put, nothing},
        {"sql", nothing, sql_put, nothing},
    };
    for (size_t i = 0; i < BG_COUNT(formats); i++)
        if (strcmp(formats[i].name, name) == 0) return &formats[i];
    return NULL;
}
