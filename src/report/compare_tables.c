/* compare_tables.c: the numbers behind the conclusions. A row that nobody could fill is left out. */
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
    if (isfinite(ratio)) bg_doc_cell(d, "%.2f", ratio);
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

static void begin_speeds(const cmp *c, doc *d, const char *caption, bool sets)
{
    bg_doc_table(d, caption);
    bg_doc_column(d, "Scheme", "", true);
    if (sets) bg_doc_column(d, "Set", "", true);
    for (size_t s = 0; s < c->n; s++) {
        bg_doc_column(d, c->sides[s].name, "tokens/s", false);
        if (!sets) bg_doc_column(d, "with", "", true);
        bg_doc_column(d, "of roof", "%", false);
        if (s > 0) bg_doc_column(d, "ratio", "95 % interval", false);
    }
}

static void put_speed(doc *d, const bg_row *row, bool sets)
{
    const char *isa = row ? bg_row_text(row, BG_COL_ISA) : NULL;
    double threads = row ? bg_row_number(row, BG_COL_THREADS) : NAN;
    char number[32];
    bg_doc_cell(d, "%s", bg_report_number(number, sizeof number,
                                          row ? bg_row_number(row, BG_COL_TPS) : NAN));
    if (!sets && !isnan(threads))
        bg_doc_cell(d, "%s%s%.0f\u00a0thread%s", isa ? isa : "", isa ? ", " : "", threads,
                    threads == 1 ? "" : "s");
    else if (!sets) bg_doc_cell(d, "%s", isa ? isa : "");
    bg_doc_cell(d, "%s", bg_report_fixed(number, sizeof number,
                                         row ? bg_row_number(row, BG_COL_ROOF_PCT) : NAN, 0));
}

/* The ratio of two rows; with its interval where the pair is of just these. */
static void put_speedup(const cmp *c, doc *d, size_t side, const bg_row *base, const bg_row *row)
{
    const cmp_pair *p = NULL;
    for (size_t i = 0; i < c->n_pairs && !p; i++)
        if (c->pairs[i].side == side && c->pairs[i].base == base && c->pairs[i].row == row)
            p = &c->pairs[i];
    if (!p || isnan(p->low))
        put_ratio(d, base && row ? bg_row_number(row, BG_COL_TPS) / bg_row_number(base, BG_COL_TPS)
                                 : NAN);
    else bg_doc_cell(d, "%.2f (%.2f–%.2f)%s", p->ratio, p->low, p->high, p->told ? "" : " ?");
}

/* A row when two sides or more have it (sets: any of them). */
static bool put_row(const cmp *c, doc *d, const char *scheme, const char *test, const char *isa,
                    int threads, const char *caption)
{
    const bg_row *rows[BG_REPORT_SIDES];
    size_t has = 0;
    for (size_t s = 0; s < c->n; s++) {
        rows[s] = bg_cmp_fastest(&c->sides[s], scheme, test, isa, threads);
        has += rows[s] != NULL;
    }
    if (has < (isa ? 1 : 2)) return false;
    if (caption) begin_speeds(c, d, caption, isa != NULL);
    bg_doc_row(d, false);
    bg_doc_cell(d, "%s", scheme);
    if (isa) bg_doc_cell(d, "%s", isa);
    for (size_t s = 0; s < c->n; s++) {
        put_speed(d, rows[s], isa != NULL);
        if (s > 0) put_speedup(c, d, s, rows[0], rows[s]);
    }
    return true;
}

static void put_table(const cmp *c, doc *d, const char *test, int threads)
{
    char caption[256];
    bool begun = false;
    if (threads)
        snprintf(caption, sizeof caption, "With %d thread%s on each.", threads,
                 threads == 1 ? "" : "s");
    else
        snprintf(caption, sizeof caption, "The fastest threads and instruction set of each; ratios "
                 "to %s. A question mark: chance or the noise floor could have made it. No interval: too few repetitions.",
                 c->sides[0].name);
    for (size_t i = 0; i < c->schemes.n; i++)
        begun |= put_row(c, d, c->schemes.list[i], test, NULL, threads, begun ? NULL : caption);
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
    bool begun = false;
    for (size_t i = 0; i < c->schemes.n; i++) {
        if (!ran_sets(c, c->schemes.list[i], test)) continue;
        for (size_t k = 0; k < c->isas.n; k++)
            begun |= put_row(c, d, c->schemes.list[i], test, c->isas.list[k], 0,
                             begun ? NULL : "By instruction set, the fastest threads of each.");
    }
}

/* Counts of threads that all sides ran the test with, and not all fastest rows have already. */
static size_t common_threads(const cmp *c, const char *test, int *out, size_t max)
{
    size_t n = bg_cmp_threads(&c->sides[0], NULL, test, out, max), kept = 0;
    bool several = n > 1;
    for (size_t i = 0; i < n; i++) {
        size_t has = 0;
        for (size_t s = 0; s < c->n; s++) {
            int counts[64];
            size_t m = bg_cmp_threads(&c->sides[s], NULL, test, counts, BG_COUNT(counts));
            several |= m > 1;
            for (size_t k = 0; k < m; k++) has += counts[k] == out[i];
        }
        if (has == c->n) out[kept++] = out[i];
    }
    return several ? kept : 0;
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
