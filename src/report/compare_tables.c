/* compare_tables.c: the numbers behind the conclusions. A row that nobody could fill is left
 * out. */
#include "report/compare.h"

#include <math.h>
#include <string.h>

/* One row of facts; none when no side knows. */
typedef void fact_fn(const cmp_side *s, bg_text *t);

static void put_fact(const cmp *c, doc *d, const char *title, fact_fn *fact)
{
    bg_text t[BG_REPORT_SIDES];
    bool known = false;
    memset(t, 0, sizeof t);
    for (size_t s = 0; s < c->n; s++) {
        fact(&c->sides[s], &t[s]);
        known |= t[s].length > 0;
    }
    if (known) {
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", title);
        for (size_t s = 0; s < c->n; s++) bg_doc_cell(d, "%s", t[s].length ? t[s].data : "unknown");
    }
    for (size_t s = 0; s < c->n; s++) {
        d->failed |= t[s].failed;
        bg_text_fini(&t[s]);
    }
}

static void put_known(bg_text *t, const char *text) { if (text) bg_text_puts(t, text); }

static void fact_engine(const cmp_side *s, bg_text *t)
{
    bg_text_printf(t, "%s%s%s", s->origin.engine, s->origin.version[0] ? " " : "",
                   s->origin.version);
}

static void fact_created(const cmp_side *s, bg_text *t) { bg_text_puts(t, s->origin.created); }

static void fact_cpu(const cmp_side *s, bg_text *t) { bg_text_puts(t, s->origin.cpu); }

static void fact_cores(const cmp_side *s, bg_text *t)
{
    if (!isnan(s->origin.cores)) bg_text_printf(t, "%g", s->origin.cores);
}

static void fact_memory(const cmp_side *s, bg_text *t)
{
    double total = bg_report_json_number(json_object_get(s->machine, "memory"), "total");
    char size[32];
    if (total > 0) bg_text_puts(t, bg_format_size(size, sizeof size, total));
}

static void fact_caches(const cmp_side *s, bg_text *t)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(s->machine, "cpu"), "caches"), i, one) {
        const char *type = bg_report_json_text(one, "type");
        double kib = bg_report_json_number(one, "bytes") / 1024;
        if (!type || strcmp(type, "instruction") == 0) continue;
        bg_text_printf(t, "%sL%g %g × %g %s", t->length ? ", " : "",
                       bg_report_json_number(one, "level"), bg_report_json_number(one, "count"),
                       kib < 1024 ? kib : kib / 1024, kib < 1024 ? "KiB" : "MiB");
    }
}

static void fact_isas(const cmp_side *s, bg_text *t)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(s->machine, "isas"), i, one)
        if (json_is_true(json_object_get(one, "usable")) && bg_report_json_text(one, "name"))
            bg_text_printf(t, "%s%s", t->length ? ", " : "", bg_report_json_text(one, "name"));
}

static void fact_kernel(const cmp_side *s, bg_text *t)
{
    put_known(t, bg_report_json_text(json_object_get(s->machine, "os"), "release"));
}

void bg_cmp_put_machines(const cmp *c, doc *d)
{
    static const struct { const char *title; fact_fn *fact; } facts[] = {
        {"Engine", fact_engine}, {"Processor", fact_cpu}, {"Cores to use", fact_cores},
        {"Memory", fact_memory}, {"Caches", fact_caches}, {"Instruction sets", fact_isas},
        {"Kernel", fact_kernel}, {"Measured", fact_created},
    };
    bg_doc_heading(d, 2, "Machines and engines");
    bg_doc_table(d, "");
    bg_doc_column(d, "", "", true);
    for (size_t s = 0; s < c->n; s++) bg_doc_column(d, c->sides[s].name, "", true);
    for (size_t i = 0; i < BG_COUNT(facts); i++) put_fact(c, d, facts[i].title, facts[i].fact);
}

/* Roofs. */

static const char *place_of(const json_t *roof)
{
    const char *level = bg_report_json_text(roof, "level");
    return level ? level : bg_report_json_text(roof, "isa");
}

static double roof_of(const cmp_side *s, const char *kind, const char *at, int threads)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(s->machine, "roofs"), i, one)
        if (bg_cmp_same(bg_report_json_text(one, "kind"), kind) && bg_cmp_same(place_of(one), at) &&
            json_integer_value(json_object_get(one, "threads")) == threads)
            return bg_report_json_number(one, "value");
    return NAN;
}

/* The most threads that roofs were measured with; 0: none were. */
static int most_threads(const cmp_side *s)
{
    const json_t *one;
    int most = 0;
    size_t i;
    json_array_foreach(json_object_get(s->machine, "roofs"), i, one)
        most = BG_MAX(most, (int)json_integer_value(json_object_get(one, "threads")));
    return most;
}

static void put_ratio(doc *d, double ratio)
{
    if (isfinite(ratio)) bg_doc_cell(d, "%.*f", ratio < 9.995 ? 2 : 1, ratio);
    else bg_doc_cell(d, "%s", "");
}

static void put_roof(const cmp *c, doc *d, const json_t *roof, bool all)
{
    static const struct { const char *kind, *title; } titles[] = {
        {"read", "read"}, {"flop", "float"}, {"int8op", "int8"},
    };
    const char *kind = bg_report_json_text(roof, "kind"), *at = place_of(roof);
    const char *unit = bg_report_json_text(roof, "unit"), *title = kind;
    double first = roof_of(&c->sides[0], kind, at, all ? most_threads(&c->sides[0]) : 1);
    char number[32];
    bool known = false;
    for (size_t s = 0; s < c->n; s++)
        known |= !isnan(roof_of(&c->sides[s], kind, at, all ? most_threads(&c->sides[s]) : 1));
    if (!known) return;
    for (size_t i = 0; i < BG_COUNT(titles); i++)
        if (strcmp(titles[i].kind, kind) == 0) title = titles[i].title;
    bg_doc_row(d, false);
    bg_doc_cell(d, "%s %s%s%s", title, at, unit ? ", " : "", unit ? unit : "");
    for (size_t s = 0; s < c->n; s++) {
        double value = roof_of(&c->sides[s], kind, at, all ? most_threads(&c->sides[s]) : 1);
        bg_doc_cell(d, "%s", bg_report_number(number, sizeof number, value));
        if (s > 0) put_ratio(d, value / first);
    }
}

/* A row a roof: those of the first side, then those that only later ones have. */
static void put_roof_table(const cmp *c, doc *d, bool all)
{
    bg_doc_table(d, all ? "With the most threads of each." : "With one thread.");
    bg_doc_column(d, "Roof", "", true);
    for (size_t s = 0; s < c->n; s++) {
        char threads[32] = "";
        if (all) snprintf(threads, sizeof threads, "%d threads", most_threads(&c->sides[s]));
        bg_doc_column(d, c->sides[s].name, most_threads(&c->sides[s]) ? threads : "", false);
        if (s > 0) bg_doc_column(d, "Ratio", "", false);
    }
    for (size_t s = 0; s < c->n; s++) {
        const json_t *one;
        size_t i;
        json_array_foreach(json_object_get(c->sides[s].machine, "roofs"), i, one) {
            const char *kind = bg_report_json_text(one, "kind"), *at = place_of(one);
            bool seen = false;
            if (!kind || !at || json_integer_value(json_object_get(one, "threads")) != 1) continue;
            for (size_t k = 0; k < s; k++)
                seen |= !isnan(roof_of(&c->sides[k], kind, at, 1));
            if (!seen) put_roof(c, d, one, all);
        }
    }
}

void bg_cmp_put_roofs(const cmp *c, doc *d)
{
    size_t measured = 0;
    bool several = false;
    for (size_t s = 0; s < c->n; s++) {
        measured += most_threads(&c->sides[s]) > 0;
        several |= most_threads(&c->sides[s]) > 1;
    }
    bg_doc_heading(d, 2, "Roofs: what each can read and compute at most");
    if (measured < 2) {
        bg_doc_text(d, "Roofs were not measured on two of them.");
        return;
    }
    put_roof_table(c, d, false);
    if (several) put_roof_table(c, d, true);
}

/* Speeds. */

/* What a table's columns are made for: a test, and one count of threads or the fastest. */
typedef struct speeds {
    const char *test;
    int threads;              /* 0: the fastest of each */
    bool sets;                /* a row an instruction set, not a scheme */
    bool with[BG_REPORT_SIDES], roof[BG_REPORT_SIDES];  /* columns that a side needs */
    bool begun;
} speeds;

/* "avx512vnni, 16 threads", without places to break it. */
static void put_setting(char *out, size_t size, const bg_row *row)
{
    const char *isa = bg_row_text(row, BG_COL_ISA);
    double threads = bg_row_number(row, BG_COL_THREADS);
    int n = snprintf(out, size, "%s", isa ? isa : "");
    if (isnan(threads) || n < 0 || (size_t)n >= size) return;
    snprintf(out + n, size - (size_t)n, "%s%.0f\u00a0thread%s", isa ? ",\u00a0" : "", threads,
             threads == 1 ? "" : "s");
}

static size_t find_rows(const cmp *c, const speeds *t, const char *scheme, const char *isa,
                        const bg_row *rows[BG_REPORT_SIDES])
{
    size_t has = 0;
    for (size_t s = 0; s < c->n; s++) {
        rows[s] = bg_cmp_fastest(&c->sides[s], scheme, t->test, isa, t->threads);
        has += rows[s] != NULL;
    }
    return has;
}

/* Which columns are needed: settings that are the same in all rows are said above the table. */
static void plan_columns(const cmp *c, speeds *t, bg_text *caption)
{
    for (size_t s = 0; s < c->n; s++) {
        const bg_row *rows[BG_REPORT_SIDES];
        char first[64] = "", one[64];
        for (size_t k = 0; k < c->schemes.n; k++) {
            if (find_rows(c, t, c->schemes.list[k], NULL, rows) < 2 || !rows[s]) continue;
            put_setting(one, sizeof one, rows[s]);
            if (!first[0]) snprintf(first, sizeof first, "%s", one);
            t->with[s] |= strcmp(first, one) != 0;
            t->roof[s] |= bg_row_has(rows[s], BG_COL_ROOF_PCT);
        }
        if (t->sets) t->with[s] = false;
        else if (!t->with[s] && first[0])
            bg_text_printf(caption, " %s: %s.", c->sides[s].name, first);
    }
}

static void begin_speeds(const cmp *c, doc *d, speeds *t)
{
    bg_text caption = {0};
    if (t->sets) bg_text_puts(&caption, "By instruction set, the fastest threads of each.");
    else if (t->threads)
        bg_text_printf(&caption, "With %d thread%s on each.", t->threads,
                       t->threads == 1 ? "" : "s");
    else
        bg_text_printf(&caption, "The fastest threads and instruction set of each; ratios to %s. A "
                       "question mark: chance or the noise floor could have made it. No interval: "
                       "too few repetitions.", c->sides[0].name);
    plan_columns(c, t, &caption);
    bg_doc_table(d, caption.data ? caption.data : "");
    d->failed |= caption.failed;
    bg_text_fini(&caption);
    bg_doc_column(d, "Scheme", "", true);
    if (t->sets) bg_doc_column(d, "Set", "", true);
    for (size_t s = 0; s < c->n; s++) {
        bg_doc_column(d, c->sides[s].name, "tokens/s", false);
        if (t->with[s]) bg_doc_column(d, "with", "", true);
        if (t->roof[s]) bg_doc_column(d, "of roof", "%", false);
        if (s > 0) bg_doc_column(d, "ratio", t->threads || t->sets ? "" : "95 % interval", false);
    }
    t->begun = true;
}

static void put_speed(doc *d, const speeds *t, size_t side, const bg_row *row)
{
    char text[64] = "";
    bg_doc_cell(d, "%s", bg_report_number(text, sizeof text,
                                          row ? bg_row_number(row, BG_COL_TPS) : NAN));
    text[0] = 0;
    if (row) put_setting(text, sizeof text, row);
    if (t->with[side]) bg_doc_cell(d, "%s", text);
    if (t->roof[side])
        bg_doc_cell(d, "%s", bg_report_fixed(text, sizeof text,
                                             row ? bg_row_number(row, BG_COL_ROOF_PCT) : NAN, 0));
}

/* The ratio of two rows; in the table of the fastest, which the pairs are of, with its interval. */
static void put_speedup(const cmp *c, doc *d, const speeds *t, size_t side, const char *scheme,
                        const bg_row *base, const bg_row *row)
{
    const cmp_pair *p = t->threads || t->sets ? NULL : bg_cmp_find(c, side, scheme, t->test);
    if (!p || isnan(p->low))
        put_ratio(d, base && row ? bg_row_number(row, BG_COL_TPS) / bg_row_number(base, BG_COL_TPS)
                                 : NAN);
    else bg_doc_cell(d, "%.2f (%.2f–%.2f)%s", p->ratio, p->low, p->high, p->told ? "" : " ?");
}

/* A row when two sides or more have it; of a set, when any side has. */
static void put_row(const cmp *c, doc *d, speeds *t, const char *scheme, const char *isa)
{
    const bg_row *rows[BG_REPORT_SIDES];
    if (find_rows(c, t, scheme, isa, rows) < (isa ? 1 : 2)) return;
    if (!t->begun) begin_speeds(c, d, t);
    bg_doc_row(d, false);
    bg_doc_cell(d, "%s", scheme);
    if (isa) bg_doc_cell(d, "%s", isa);
    for (size_t s = 0; s < c->n; s++) {
        put_speed(d, t, s, rows[s]);
        if (s > 0) put_speedup(c, d, t, s, scheme, rows[0], rows[s]);
    }
}

/* Whether a table of these threads would say what that of the fastest does. */
static bool is_fastest(const cmp *c, const speeds *t)
{
    const speeds any = {.test = t->test};
    const bg_row *rows[BG_REPORT_SIDES], *fastest[BG_REPORT_SIDES];
    for (size_t k = 0; k < c->schemes.n; k++) {
        if (find_rows(c, t, c->schemes.list[k], NULL, rows) < 2) continue;
        find_rows(c, &any, c->schemes.list[k], NULL, fastest);
        if (memcmp(rows, fastest, c->n * sizeof *rows) != 0) return false;
    }
    return true;
}

static void put_table(const cmp *c, doc *d, const char *test, int threads)
{
    speeds t = {.test = test, .threads = threads};
    if (threads && is_fastest(c, &t)) return;
    for (size_t i = 0; i < c->schemes.n; i++) put_row(c, d, &t, c->schemes.list[i], NULL);
}

/* Whether some scheme of a side ran with several sets. */
static bool ran_sets(const cmp *c, const char *scheme, const char *test)
{
    for (size_t s = 0; s < c->n; s++) {
        size_t sets = 0;
        for (size_t k = 0; k < c->isas.n; k++)
            sets += bg_cmp_fastest(&c->sides[s], scheme, test, c->isas.list[k], 0) != NULL;
        if (sets > 1) return true;
    }
    return false;
}

static void put_sets(const cmp *c, doc *d, const char *test)
{
    speeds t = {.test = test, .sets = true};
    for (size_t i = 0; i < c->schemes.n; i++) {
        if (!ran_sets(c, c->schemes.list[i], test)) continue;
        for (size_t k = 0; k < c->isas.n; k++)
            put_row(c, d, &t, c->schemes.list[i], c->isas.list[k]);
    }
}

/* Counts of threads that all sides ran the test with. */
static size_t common_threads(const cmp *c, const char *test, int *out, size_t max)
{
    size_t n = bg_cmp_threads(&c->sides[0], NULL, test, out, max), kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t has = 0;
        for (size_t s = 0; s < c->n; s++) {
            int counts[64];
            size_t m = bg_cmp_threads(&c->sides[s], NULL, test, counts, BG_COUNT(counts));
            for (size_t k = 0; k < m; k++) has += counts[k] == out[i];
        }
        if (has == c->n) out[kept++] = out[i];
    }
    return kept;
}

void bg_cmp_put_speeds(const cmp *c, doc *d)
{
    int threads[64];
    if (c->n_pairs == 0) return;
    bg_doc_heading(d, 2, "Speeds");
    bg_doc_text(d, "Model: %s. The share is of the roof that bounds the test on that machine.",
                c->models.list[0]);
    for (size_t t = 0; t < c->tests.n; t++) {
        const char *test = c->tests.list[t], *kind = bg_cmp_kind(test);
        size_t n = common_threads(c, test, threads, BG_COUNT(threads));
        if (!bg_cmp_shared(c, test)) continue;
        if (kind) bg_doc_heading(d, 3, "%c%s, %s", kind[0] - 'a' + 'A', kind + 1, test);
        else bg_doc_heading(d, 3, "%s", test);
        put_table(c, d, test, 0);
        for (size_t i = 0; i < n; i++) put_table(c, d, test, threads[i]);
        put_sets(c, d, test);
    }
}
