/* github-action-benchmark's custom tools: an array of {name, unit, value, range, extra}. `name` is
 * the cell and the column, "model/Q4_K_M/tg64/avx2/t2/tps"; `extra` holds "key: value" lines. */
#include "exchange/exchange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A column without a unit has this: the field must be there. */
static const char *unit_of(bg_column c)
{
    return *bg_column_get(c)->unit ? bg_column_get(c)->unit : "1";
}

static void write_extra(bg_text *t, const bg_row *row, const bg_measure *m, const bg_origin *origin)
{
    const char *roof = bg_row_text(row, BG_COL_ROOF), *source = bg_row_text(row, BG_COL_SOURCE);
    bg_text_printf(t, "engine: %s %s", origin->engine, origin->version);
    if (origin->cpu[0]) bg_text_printf(t, "\ncpu: %s", origin->cpu);
    if (source) bg_text_printf(t, "\nsource: %s", source);
    if (!isnan(m->low) && !isnan(m->high))
        bg_text_printf(t, "\n95 %% interval: %.15g to %.15g", m->low, m->high);
    if (!isnan(m->n)) bg_text_printf(t, "\nn: %.0f", m->n);
    if (roof && m->column == BG_COL_TPS) bg_text_printf(t, "\nroof: %s", roof);
}

static json_t *make_entry(const bg_row *row, const bg_measure *m, const bg_origin *origin)
{
    char cell[BG_CELL_NAME], name[BG_CELL_NAME + 64], range[48];
    double half = (m->high - m->low) / 2;
    bg_text extra = {0};
    json_t *o = json_object();
    bool whole;
    bg_cell_name(cell, sizeof cell, row);
    snprintf(name, sizeof name, "%s/%s", cell, bg_column_get(m->column)->name);
    snprintf(range, sizeof range, "± %.6g", half);
    write_extra(&extra, row, m, origin);
    whole = o && !extra.failed && json_object_set_new(o, "name", bg_json_text(name)) == 0 &&
            json_object_set_new(o, "unit", json_string(unit_of(m->column))) == 0 &&
            json_object_set_new(o, "value", json_real(m->value)) == 0 &&
            (isnan(half) || json_object_set_new(o, "range", json_string(range)) == 0) &&
            json_object_set_new(o, "extra", bg_json_text(extra.data)) == 0;
    bg_text_fini(&extra);
    if (whole) return o;
    json_decref(o);
    return NULL;
}

static bg_status export_better(const bg_results *r, FILE *f, int better, bg_error *err)
{
    bg_origin origin;
    json_t *all;
    BG_TRY(bg_results_origin(r, &origin, err));
    all = json_array();
    for (size_t i = 0; i < bg_results_row_count(r) && all; i++) {
        const bg_row *row = bg_results_row(r, i);
        bg_measure measures[BG_MEASURES];
        size_t n = bg_row_measures(row, measures);
        for (size_t k = 0; k < n; k++) {
            if (bg_column_get(measures[k].column)->better != better) continue;
            if (json_array_append_new(all, make_entry(row, &measures[k], &origin)) == 0) continue;
            json_decref(all);
            return bg_export_failed(f, err);
        }
    }
    return bg_export_json(f, all, err);
}

bg_status bg_export_action_bigger(const bg_results *r, FILE *f, bg_error *err)
{
    return export_better(r, f, 1, err);
}

bg_status bg_export_action_smaller(const bg_results *r, FILE *f, bg_error *err)
{
    return export_better(r, f, -1, err);
}

/* Cuts the part behind the last slash off; NULL: there is none, or it is empty or too long. */
static char *last_part(char *name, size_t max)
{
    char *slash = strrchr(name, '/');
    if (!slash || !slash[1] || strlen(slash + 1) > max) return NULL;
    *slash = 0;
    return slash + 1;
}

static bool to_count(const char *text, double max, double *value)
{
    char *end;
    if (text[0] < '0' || text[0] > '9') return false;
    *value = strtod(text, &end);
    return *value <= max && *end == 0 && *value == floor(*value);
}

/* The number after a prefix, which is skipped with it; 0 when it is not there. */
static double counted(const char **p, const char *prefix)
{
    size_t n = strlen(prefix);
    double value;
    char *end;
    if (strncmp(*p, prefix, n) != 0 || (*p)[n] < '0' || (*p)[n] > '9') return 0;
    value = strtod(*p + n, &end);
    *p = end;
    return value;
}

/* "pp512", "tg64", "pp512+tg64", with "@d1024"; other names (quality) tell no counts. */
static void set_counts(bg_row *row, const char *test)
{
    const char *p = test;
    double prompt = counted(&p, "pp"), gen, depth;
    if (p != test && *p == '+') p++;
    gen = counted(&p, "tg");
    depth = counted(&p, "@d");
    if (*p || p == test || !(prompt < 0x1p31 && gen < 0x1p31 && depth < 0x1p31)) return;
    bg_row_set_number(row, BG_COL_N_PROMPT, prompt);
    bg_row_set_number(row, BG_COL_N_GEN, gen);
    bg_row_set_number(row, BG_COL_DEPTH, depth);
}

static bool find_column(const char *name, bg_column *column)
{
    for (int c = 0; c < BG_COL_COUNT; c++) {
        const bg_column_info *info = bg_column_get((bg_column)c);
        if (strcmp(info->name, name) != 0) continue;
        *column = (bg_column)c;
        return info->type != BG_TYPE_TEXT && info->better != 0;
    }
    return false;
}

static bool take_name(bg_row *row, char *name, bg_column *column)
{
    char *metric = last_part(name, 64), *threads = last_part(name, 8), *isa = last_part(name, 15);
    char *test = last_part(name, 31), *scheme = last_part(name, 31);
    double count = 0;
    if (!metric || !threads || !isa || !test || !scheme || !*name || threads[0] != 't' ||
        !find_column(metric, column))
        return false;
    if (strcmp(threads, "t-") != 0) {
        if (!to_count(threads + 1, 65536, &count)) return false;
        bg_row_set_number(row, BG_COL_THREADS, count);
    }
    set_counts(row, test);
    return (strcmp(isa, "-") == 0 || bg_row_set_text(row, BG_COL_ISA, isa)) &&
           bg_row_set_text(row, BG_COL_SCHEME, scheme) && bg_row_set_text(row, BG_COL_TEST, test) &&
           (strcmp(name, "-") == 0 || bg_row_set_text(row, BG_COL_MODEL, name));
}

/* The rest of the line that begins with `key`; false: there is none. */
static bool extra_line(const char *extra, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    for (const char *p = extra; p && *p; p += *p == '\n') {
        size_t line = strcspn(p, "\n");
        if (strncmp(p, key, n) == 0) {
            snprintf(out, size, "%.*s", (int)BG_MIN(line - n, size), p + n);
            return true;
        }
        p += line;
    }
    return false;
}

static void take_spread(bg_row *row, bg_column column, const char *extra)
{
    char line[96], *end;
    double low, high;
    if (column == BG_COL_TPS && extra_line(extra, "95 % interval: ", line, sizeof line)) {
        low = strtod(line, &end);
        high = strncmp(end, " to ", 4) == 0 ? strtod(end + 4, &end) : (double)NAN;
        if (low <= high && *end == 0) {
            bg_row_set_number(row, BG_COL_TPS_LOW, low);
            bg_row_set_number(row, BG_COL_TPS_HIGH, high);
        }
    }
    if (extra_line(extra, "n: ", line, sizeof line) && to_count(line, 1e6, &low))
        bg_row_set_number(row, strcmp(bg_row_text(row, BG_COL_TEST), "quality") == 0
                                   ? BG_COL_WINDOWS : BG_COL_REPS, low);
}

static bg_status take_origin(bg_import *i, const char *extra, const bg_entry *e, bg_error *err)
{
    char line[160], *space;
    if (extra_line(extra, "engine: ", line, sizeof line)) {
        if ((space = strchr(line, ' '))) *space++ = 0;
        BG_TRY(bg_import_keep(&i->engine, line, "engine", e, err));
        BG_TRY(bg_import_keep(&i->version, space, "version", e, err));
    }
    if (extra_line(extra, "cpu: ", line, sizeof line))
        BG_TRY(bg_import_keep(&i->cpu, line, "CPU", e, err));
    return BG_OK;
}

/* The number, into what other entries told of the same cell. */
static bg_status take_value(bg_import *i, bg_row **row, bg_column column, double value,
                            const char *extra, const bg_entry *e, bg_error *err)
{
    bg_row *there = bg_import_find(i, *row);
    const bg_column_info *info = bg_column_get(column);
    if (there && bg_row_has(there, column))
        return bg_entry_fail(err, e, "repeats the %s of an earlier entry: give each cell once",
                             info->name);
    if (value < 0 || (info->type == BG_TYPE_INT && !(value <= 0x1p53 && value == floor(value))) ||
        (column == BG_COL_TPS && value == 0))
        return bg_entry_fail(err, e, "has the impossible value %.9g of %s", value, info->name);
    bg_row_set_number(there ? there : *row, column, value);
    take_spread(there ? there : *row, column, extra);
    return there ? BG_OK : bg_import_row(i, row, e, err);
}

bg_status bg_import_action_benchmark(bg_import *i, const bg_entry *e, bg_error *err)
{
    const char *name, *unit, *extra;
    char *copy = NULL;
    double value;
    bg_column column = BG_COL_TPS;
    bg_row *row;
    bg_status status = BG_OK;
    BG_TRY(bg_entry_text(e, "name", BG_CELL_NAME + 64, &name, err));
    BG_TRY(bg_entry_text(e, "unit", 64, &unit, err));
    BG_TRY(bg_entry_text(e, "extra", 4096, &extra, err));
    BG_TRY(bg_entry_number(e, "value", &value, err));
    if (!name || !unit || isnan(value))
        return bg_entry_fail(err, e, "has no %s", !name ? "name" : !unit ? "unit" : "value");
    row = bg_row_new();
    copy = bg_strdup(name);
    if (!row || !copy) status = bg_fail_nomem(err, e->name, strlen(name));
    if (status == BG_OK && !take_name(row, copy, &column))
        status = bg_entry_fail(err, e, "has the name '%.80s', which is not of the form "
                               "MODEL/SCHEME/TEST/ISA/tTHREADS/METRIC", name);
    if (status == BG_OK && strcmp(unit, unit_of(column)) != 0)
        status = bg_entry_fail(err, e, "has the unit '%.40s' where %s has '%s'", unit,
                               bg_column_get(column)->name, unit_of(column));
    if (status == BG_OK) status = take_origin(i, extra, e, err);
    if (status == BG_OK) status = take_value(i, &row, column, value, extra, e, err);
    bg_free(copy);
    bg_row_free(&row);
    return status;
}
