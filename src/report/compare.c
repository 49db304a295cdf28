/* Two results folders side by side: the machines, their roofs, and the speeds under them. */
#include "report/report.h"

#include "base/file.h"

#include <libgen.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDES = 2 };

typedef struct side {
    const bg_results *results;
    json_t *machine;          /* NULL when there is none */
    char name[64];            /* of the folder */
} side;

typedef struct pair { side sides[SIDES]; } pair;

static void open_side(side *s, const bg_results *r)
{
    const char *machine = bg_results_machine(r);
    char *dir = realpath(bg_results_dir(r), NULL);
    s->results = r;
    s->machine = machine ? json_loads(machine, 0, NULL) : NULL;
    snprintf(s->name, sizeof s->name, "%s", dir ? basename(dir) : bg_results_dir(r));
    free(dir);
}

static void put_sides(const pair *p, doc *d, const char *format)
{
    for (int i = 0; i < SIDES; i++) {
        char title[96];
        snprintf(title, sizeof title, format, p->sides[i].name);
        bg_doc_column(d, title, "", false);
    }
}

/* One row of facts; "?" where a machine does not say. */
static void fact(const pair *p, doc *d, const char *title, const char *object, const char *key,
                 bool bytes)
{
    bg_doc_row(d, false);
    bg_doc_cell(d, "%s", title);
    for (int i = 0; i < SIDES; i++) {
        const json_t *o = json_object_get(p->sides[i].machine, object);
        const char *text = bg_report_json_text(o, key);
        double value = bg_report_json_number(o, key);
        char size[32];
        if (text) bg_doc_cell(d, "%s", text);
        else if (isnan(value)) bg_doc_cell(d, "?");
        else if (bytes) bg_doc_cell(d, "%s", bg_format_size(size, sizeof size, value));
        else bg_doc_cell(d, "%g", value);
    }
}

static void put_isas(const pair *p, doc *d)
{
    bg_doc_row(d, false);
    bg_doc_cell(d, "Instruction sets");
    for (int i = 0; i < SIDES; i++) {
        const json_t *one;
        bg_text names = {0};
        size_t k;
        json_array_foreach(json_object_get(p->sides[i].machine, "isas"), k, one)
            if (json_is_true(json_object_get(one, "usable")) && bg_report_json_text(one, "name"))
                bg_text_printf(&names, "%s%s", names.length ? ", " : "",
                               bg_report_json_text(one, "name"));
        bg_doc_cell(d, "%s", names.data ? names.data : "?");
        bg_text_fini(&names);
    }
}

static void put_caches(const pair *p, doc *d)
{
    bg_doc_row(d, false);
    bg_doc_cell(d, "Caches");
    for (int i = 0; i < SIDES; i++) {
        const json_t *cpu = json_object_get(p->sides[i].machine, "cpu"), *one;
        bg_text list = {0};
        size_t k;
        json_array_foreach(json_object_get(cpu, "caches"), k, one) {
            const char *type = bg_report_json_text(one, "type");
            double kib = bg_report_json_number(one, "bytes") / 1024;
            if (!type || strcmp(type, "instruction") == 0) continue;
            bg_text_printf(&list, "%sL%g %g × %g %s", list.length ? ", " : "",
                           bg_report_json_number(one, "level"),
                           bg_report_json_number(one, "count"), kib < 1024 ? kib : kib / 1024,
                           kib < 1024 ? "KiB" : "MiB");
        }
        bg_doc_cell(d, "%s", list.data ? list.data : "?");
        bg_text_fini(&list);
    }
}

static void put_machines(const pair *p, doc *d)
{
    bg_doc_heading(d, 2, "The machines");
    bg_doc_table(d, "");
    bg_doc_column(d, "", "", true);
    put_sides(p, d, "%s");
    fact(p, d, "Processor", "cpu", "model", false);
    fact(p, d, "Cores this process may use", "limits", "cores", false);
    fact(p, d, "Memory", "memory", "total", true);
    put_caches(p, d);
    put_isas(p, d);
    fact(p, d, "Kernel", "os", "release", false);
}

static double roof_of(const side *s, const char *kind, const char *at, int threads)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(s->machine, "roofs"), i, one) {
        const char *k = bg_report_json_text(one, "kind"), *level = bg_report_json_text(one, "level");
        const char *isa = bg_report_json_text(one, "isa");
        if (k && strcmp(k, kind) == 0 && (level || isa) && strcmp(level ? level : isa, at) == 0 &&
            json_integer_value(json_object_get(one, "threads")) == threads)
            return bg_report_json_number(one, "value");
    }
    return NAN;
}

/* The most threads that roofs were measured with; 0: none were. */
static int most_threads(const side *s)
{
    const json_t *one;
    int most = 0;
    size_t i;
    json_array_foreach(json_object_get(s->machine, "roofs"), i, one)
        most = BG_MAX(most, (int)json_integer_value(json_object_get(one, "threads")));
    return most;
}

static void put_numbers(doc *d, const double values[SIDES])
{
    char text[32];
    for (int i = 0; i < SIDES; i++)
        bg_doc_cell(d, "%s", bg_report_number(text, sizeof text, values[i]));
}

static void put_ratio(doc *d, const double values[SIDES])
{
    double ratio = values[1] / values[0];
    if (isfinite(ratio)) bg_doc_cell(d, "%.2f", ratio);
    else bg_doc_cell(d, "%s", "");
}

static void put_roof(const pair *p, doc *d, const char *kind, const char *at, const char *unit)
{
    static const struct { const char *kind, *title; } titles[] = {
        {"read", "read"}, {"flop", "float"}, {"int8op", "int8"},
    };
    double one[SIDES], all[SIDES];
    size_t t = 0;
    while (t + 1 < BG_COUNT(titles) && strcmp(titles[t].kind, kind) != 0) t++;
    for (int i = 0; i < SIDES; i++) {
        one[i] = roof_of(&p->sides[i], kind, at, 1);
        all[i] = roof_of(&p->sides[i], kind, at, most_threads(&p->sides[i]));
    }
    bg_doc_row(d, false);
    bg_doc_cell(d, "%s %s", titles[t].title, at);
    put_numbers(d, one);
    put_ratio(d, one);
    put_numbers(d, all);
    put_ratio(d, all);
    bg_doc_cell(d, "%s", unit);
}

/* Every roof of the first machine, then those that only the second has. */
static void put_roofs(const pair *p, doc *d)
{
    const json_t *one;
    size_t k;
    bg_doc_heading(d, 2, "Their roofs");
    if (!most_threads(&p->sides[0]) || !most_threads(&p->sides[1])) {
        bg_doc_text(d, "Roofs were not measured on both.");
        return;
    }
    bg_doc_table(d, "What each was seen to read and to compute, at most.");
    bg_doc_column(d, "Roof", "", true);
    put_sides(p, d, "%s, 1 thread");
    bg_doc_column(d, "Ratio", "", false);
    for (int i = 0; i < SIDES; i++) {
        char title[96];
        snprintf(title, sizeof title, "%s, %d threads", p->sides[i].name,
                 most_threads(&p->sides[i]));
        bg_doc_column(d, title, "", false);
    }
    bg_doc_column(d, "Ratio", "", false);
    bg_doc_column(d, "Unit", "", true);
    for (int i = 0; i < SIDES; i++)
        json_array_foreach(json_object_get(p->sides[i].machine, "roofs"), k, one) {
            const char *kind = bg_report_json_text(one, "kind");
            const char *at = bg_report_json_text(one, "level");
            const char *unit = bg_report_json_text(one, "unit");
            if (!at) at = bg_report_json_text(one, "isa");
            if (!kind || !at || json_integer_value(json_object_get(one, "threads")) != 1) continue;
            if (i == 1 && !isnan(roof_of(&p->sides[0], kind, at, 1))) continue;
            put_roof(p, d, kind, at, unit ? unit : "");
        }
}

static bool same(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

/* The fastest row of a scheme and test. NULL isa, 0 threads: of any. */
static const bg_row *fastest(const side *s, const char *scheme, const char *test, const char *isa,
                             int threads)
{
    const bg_row *best = NULL;
    for (size_t i = 0; i < bg_results_row_count(s->results); i++) {
        const bg_row *row = bg_results_row(s->results, i);
        double tps = bg_row_number(row, BG_COL_TPS);
        if (isnan(tps) || !same(bg_row_text(row, BG_COL_SCHEME), scheme) ||
            !same(bg_row_text(row, BG_COL_TEST), test) ||
            (isa && !same(bg_row_text(row, BG_COL_ISA), isa)) ||
            (threads && bg_row_number(row, BG_COL_THREADS) != threads))
            continue;
        if (!best || tps > bg_row_number(best, BG_COL_TPS)) best = row;
    }
    return best;
}

static void begin_speeds(const pair *p, doc *d, const char *title, const char *first)
{
    bg_doc_table(d, title);
    bg_doc_column(d, first, "", true);
    for (int i = 0; i < SIDES; i++) {
        bg_doc_column(d, p->sides[i].name, "tokens/s", false);
        bg_doc_column(d, "with", "", true);
        bg_doc_column(d, "of its roof", "%", false);
    }
    bg_doc_column(d, "Ratio", "", false);
}

static void put_speeds(doc *d, const char *first, const bg_row *const rows[SIDES])
{
    double speeds[SIDES];
    char number[32];
    bg_doc_row(d, false);
    bg_doc_cell(d, "%s", first);
    for (int i = 0; i < SIDES; i++) {
        const char *isa = rows[i] ? bg_row_text(rows[i], BG_COL_ISA) : NULL;
        speeds[i] = rows[i] ? bg_row_number(rows[i], BG_COL_TPS) : NAN;
        bg_doc_cell(d, "%s", bg_report_number(number, sizeof number, speeds[i]));
        if (isa) bg_doc_cell(d, "%s, %.0f", isa, bg_row_number(rows[i], BG_COL_THREADS));
        else bg_doc_cell(d, "%s", "");
        bg_doc_cell(d, "%s", bg_report_fixed(number, sizeof number, rows[i] ?
                                             bg_row_number(rows[i], BG_COL_ROOF_PCT) : NAN, 0));
    }
    put_ratio(d, speeds);
}

/* Different values of a column in either folder, in the order of their rows. */
enum { MOST_NAMES = 64 };
typedef struct names { const char *list[MOST_NAMES]; size_t n; } names;

static names collect(const pair *p, bg_column column)
{
    names all = {.n = 0};
    for (int s = 0; s < SIDES; s++)
        for (size_t i = 0; i < bg_results_row_count(p->sides[s].results); i++) {
            const bg_row *row = bg_results_row(p->sides[s].results, i);
            const char *name = bg_row_text(row, column);
            size_t k = 0;
            if (!bg_row_has(row, BG_COL_TPS)) continue;
            while (k < all.n && !same(all.list[k], name)) k++;
            if (name && k == all.n && k < MOST_NAMES) all.list[all.n++] = name;
        }
    return all;
}

/* Fills rows with the fastest of each side; whether both have one. */
static bool find_both(const pair *p, const char *scheme, const char *test, const char *isa,
                      int threads, const bg_row *rows[SIDES])
{
    for (int s = 0; s < SIDES; s++) rows[s] = fastest(&p->sides[s], scheme, test, isa, threads);
    return rows[0] && rows[1];
}

/* A row a scheme that both measured. threads 0: the best of each. */
static void put_test(const pair *p, doc *d, const char *test, int threads)
{
    names schemes = collect(p, BG_COL_SCHEME);
    const bg_row *rows[SIDES];
    bool begun = false;
    for (size_t i = 0; i < schemes.n; i++) {
        char title[96];
        if (!find_both(p, schemes.list[i], test, NULL, threads, rows)) continue;
        if (threads)
            snprintf(title, sizeof title, "%s with %d thread%s on both", test, threads,
                     threads == 1 ? "" : "s");
        else
            snprintf(title, sizeof title, "%s, the fastest threads and instruction set of each",
                     test);
        if (!begun) begin_speeds(p, d, title, "Scheme");
        begun = true;
        put_speeds(d, schemes.list[i], rows);
    }
}

/* A row an instruction set, for every scheme that ran with several; the best threads of each. */
static void put_sets(const pair *p, doc *d, const char *test)
{
    names schemes = collect(p, BG_COL_SCHEME), isas = collect(p, BG_COL_ISA);
    const bg_row *rows[SIDES];
    for (size_t i = 0; i < schemes.n; i++) {
        size_t used = 0;
        char title[96];
        for (size_t k = 0; k < isas.n; k++) {
            find_both(p, schemes.list[i], test, isas.list[k], 0, rows);
            used += rows[0] || rows[1];
        }
        if (used < 2) continue;
        snprintf(title, sizeof title, "%s of %s by instruction set, the fastest threads of each",
                 test, schemes.list[i]);
        begin_speeds(p, d, title, "Instruction set");
        for (size_t k = 0; k < isas.n; k++) {
            find_both(p, schemes.list[i], test, isas.list[k], 0, rows);
            if (rows[0] || rows[1]) put_speeds(d, isas.list[k], rows);
        }
    }
}

/* Counts of threads that both ran with, ascending. */
static size_t common_threads(const pair *p, int *out, size_t max)
{
    size_t n = 0;
    for (int threads = 1; threads <= 1024 && n < max; threads++) {
        bool has[SIDES] = {false, false};
        for (int s = 0; s < SIDES; s++)
            for (size_t i = 0; i < bg_results_row_count(p->sides[s].results) && !has[s]; i++)
                has[s] = bg_row_number(bg_results_row(p->sides[s].results, i), BG_COL_THREADS) ==
                         threads;
        if (has[0] && has[1]) out[n++] = threads;
    }
    return n;
}

static void put_all_speeds(const pair *p, doc *d)
{
    names tests = collect(p, BG_COL_TEST), models = collect(p, BG_COL_MODEL);
    int threads[16];
    size_t n = common_threads(p, threads, BG_COUNT(threads));
    bg_doc_heading(d, 2, "Speeds");
    if (models.n > 1) {
        bg_doc_text(d, "The folders hold different models (%s, %s): their speeds say nothing of "
                       "the machines, and are left out.", models.list[0], models.list[1]);
        return;
    }
    bg_doc_text(d, "Model: %s. Ratios are of %s to %s. The share is of the roof that bounds the "
                   "test on that machine.", models.n ? models.list[0] : "unknown", p->sides[1].name,
                p->sides[0].name);
    for (size_t t = 0; t < tests.n; t++) {
        bg_doc_heading(d, 3, "%s", tests.list[t]);
        for (size_t i = 0; i < n; i++) put_test(p, d, tests.list[t], threads[i]);
        put_test(p, d, tests.list[t], 0);
        put_sets(p, d, tests.list[t]);
    }
}

static bg_status write_pages(const doc *d, const char *dir, const bg_text *markdown, bg_error *err)
{
    char *md = bg_path_join(dir, "compare.md"), *page = bg_path_join(dir, "compare.html");
    bg_text html = {0};
    bg_status status = bg_dir_create(dir, err);
    bg_doc_html(d, d->nodes[0].text, dir, &html);
    if (status == BG_OK && (!md || !page || html.failed))
        status = bg_fail_nomem(err, "the comparison", html.length);
    if (status == BG_OK) status = bg_file_write(page, html.data, html.length, err);
    if (status == BG_OK) status = bg_file_write(md, markdown->data, markdown->length, err);
    bg_text_fini(&html);
    bg_free(md);
    bg_free(page);
    return status;
}

bg_status bg_report_compare(const bg_results *first, const bg_results *second, const char *out,
                            char **text, bg_error *err)
{
    pair p;
    doc d = {0};
    bg_text markdown = {0};
    bg_status status = BG_OK;
    *text = NULL;
    open_side(&p.sides[0], first);
    open_side(&p.sides[1], second);
    bg_doc_heading(&d, 1, "%s and %s", p.sides[0].name, p.sides[1].name);
    put_machines(&p, &d);
    put_roofs(&p, &d);
    put_all_speeds(&p, &d);
    if (!d.failed) bg_doc_markdown(&d, &markdown);
    if (d.failed || markdown.failed)
        status = bg_fail_nomem(err, "the comparison", d.n * sizeof *d.nodes);
    if (status == BG_OK && out) status = write_pages(&d, out, &markdown, err);
    if (status == BG_OK) *text = markdown.data;
    else bg_text_fini(&markdown);
    for (int i = 0; i < SIDES; i++) json_decref(p.sides[i].machine);
    bg_doc_fini(&d);
    return status;
}
