/* The same cells in several engines: speeds, their ratios, and quality. */
#include "report/report.h"

#include "bitgauge/stats.h"

#include <math.h>
#include <string.h>

enum { MOST_ENGINES = 4, MOST_PAIRS = 256 };

/* A cell in the first engine and in another; of each the fastest instruction set. */
typedef struct pair {
    const bg_row *first, *other;
    bg_ratio ratio;                    /* first to other */
} pair;

typedef struct comparison {
    const char *names[MOST_ENGINES], *versions[MOST_ENGINES];
    size_t n_names;
    pair pairs[MOST_PAIRS];            /* in the order of the rows */
    size_t n;
} comparison;

static const char *text_of(const bg_row *row, bg_column c)
{
    const char *text = bg_row_text(row, c);
    return text ? text : "";
}

static bool same(const bg_row *a, const bg_row *b, bg_column c)
{
    return strcmp(text_of(a, c), text_of(b, c)) == 0;
}

static void find_engines(const report *r, comparison *c)
{
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        const char *name = text_of(row, BG_COL_ENGINE), *version = text_of(row, BG_COL_ENGINE_VER);
        size_t k = 0;
        while (k < c->n_names && strcmp(c->names[k], name) != 0) k++;
        if (k == MOST_ENGINES) continue;
        if (k == c->n_names) c->names[c->n_names++] = name;
        if (*version) c->versions[k] = version;
    }
}

static double *take_speeds(const report *r, const bg_row *row, size_t *n)
{
    size_t all = bg_results_sample_count(r->results);
    double *speeds = bg_alloc(BG_MAX(all, (size_t)1), sizeof *speeds);
    *n = 0;
    for (size_t i = 0; speeds && i < all; i++) {
        const bg_sample *s = bg_results_sample(r->results, i);
        if (s->seconds > 0 && s->tokens > 0 && bg_sample_is_of(s, row))
            speeds[(*n)++] = s->tokens / s->seconds;
    }
    return speeds;
}

static void find_ratio(const report *r, pair *p)
{
    size_t n_first, n_other;
    double *first = take_speeds(r, p->first, &n_first), *other = take_speeds(r, p->other, &n_other);
    if (!first || !other || !n_first || !n_other ||
        !bg_stats_ratio(other, n_other, first, n_first, 0.95, 1, 0, &p->ratio))
        p->ratio = (bg_ratio){.ratio = bg_row_number(p->first, BG_COL_TPS) /
                                       bg_row_number(p->other, BG_COL_TPS),
                              .low = NAN, .high = NAN};
    bg_free(first);
    bg_free(other);
}

/* The fastest row of the first engine that is the other's cell but for engine and set. */
static const bg_row *find_first(const report *r, const comparison *c, const bg_row *other)
{
    const bg_row *best = NULL;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        if (strcmp(text_of(row, BG_COL_ENGINE), c->names[0]) != 0 || !bg_row_has(row, BG_COL_TPS) ||
            !same(row, other, BG_COL_SCHEME) || !same(row, other, BG_COL_TEST) ||
            bg_row_number(row, BG_COL_THREADS) != bg_row_number(other, BG_COL_THREADS))
            continue;
        if (!best || bg_row_number(row, BG_COL_TPS) > bg_row_number(best, BG_COL_TPS)) best = row;
    }
    return best;
}

/* NULL: there is nothing to compare, or no memory. */
static comparison *compare(const report *r)
{
    comparison *c = bg_alloc(1, sizeof *c);
    if (!c) return NULL;
    find_engines(r, c);
    for (size_t i = 0; i < bg_results_row_count(r->results) && c->n < MOST_PAIRS; i++) {
        pair p = {.other = bg_results_row(r->results, i)};
        if (strcmp(text_of(p.other, BG_COL_ENGINE), c->names[0]) == 0 ||
            !(bg_row_number(p.other, BG_COL_TPS) > 0))
            continue;
        p.first = find_first(r, c, p.other);
        if (!p.first) continue;
        find_ratio(r, &p);
        c->pairs[c->n++] = p;
    }
    if (c->n_names > 1) return c;
    bg_free(c);
    return NULL;
}

static const struct { const char *test, *verb, *title; } kinds[] = {
    {"tg", "decodes", "Decode"}, {"pp", "prefills", "Prefill"}};

static bool is_pair(const comparison *c, const pair *p, size_t engine, size_t kind)
{
    return strcmp(text_of(p->other, BG_COL_ENGINE), c->names[engine]) == 0 &&
           strncmp(text_of(p->other, BG_COL_TEST), kinds[kind].test, strlen(kinds[kind].test)) == 0;
}

/* The geometric mean of the ratios; NaN when there is none. */
static double mean_ratio(const comparison *c, size_t engine, size_t kind, size_t *n)
{
    double sum = 0;
    *n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!is_pair(c, &c->pairs[i], engine, kind)) continue;
        sum += log(c->pairs[i].ratio.ratio);
        ++*n;
    }
    return *n ? exp(sum / (double)*n) : (double)NAN;
}

static void put_name(const comparison *c, size_t engine, bg_text *t)
{
    bg_text_printf(t, "%s%s%s", c->names[engine], c->versions[engine] ? " " : "",
                   c->versions[engine] ? c->versions[engine] : "");
}

static void say_ratios(const comparison *c, bg_text *t)
{
    for (size_t e = 1; e < c->n_names; e++) {
        size_t n, most = 0;
        for (size_t k = 0; k < BG_COUNT(kinds); k++) {
            double ratio = mean_ratio(c, e, k, &n);
            char number[32];
            if (isnan(ratio)) continue;
            if (!most) put_name(c, 0, t);
            bg_text_printf(t, "%s %s %s", most ? " and" : "", kinds[k].verb,
                           bg_report_fixed(number, sizeof number, ratio, ratio < 9.95 ? 2 : 1));
            most = BG_MAX(most, n);
        }
        if (!most) continue;
        bg_text_puts(t, " times as fast as ");
        put_name(c, e, t);
        if (most > 1) bg_text_printf(t, " (geometric mean of %zu cells)", most);
        bg_text_puts(t, ". ");
    }
}

void bg_report_engines(const report *r, bg_text *t)
{
    comparison *c = compare(r);
    if (c) say_ratios(c, t);
    bg_free(c);
}

static void put_speed(doc *d, const bg_row *row)
{
    char buffer[64];
    bg_doc_cell(d, "%s", bg_report_interval(buffer, sizeof buffer, bg_row_number(row, BG_COL_TPS),
                                            bg_row_number(row, BG_COL_TPS_LOW),
                                            bg_row_number(row, BG_COL_TPS_HIGH)));
}

static void put_ratio(doc *d, const bg_ratio *ratio)
{
    int digits = ratio->ratio < 9.95 ? 2 : 1;
    if (isnan(ratio->low)) bg_doc_cell(d, "%.*f", digits, ratio->ratio);
    else bg_doc_cell(d, "%.*f (%.*f to %.*f)", digits, ratio->ratio, digits, ratio->low,
                     ratio->high < 99.95 ? digits : 0, ratio->high);
}

static void put_share(doc *d, const bg_row *row)
{
    char buffer[32];
    double share = bg_row_number(row, BG_COL_ROOF_PCT);
    bg_doc_cell(d, "%s", bg_report_fixed(buffer, sizeof buffer, share, 0));
}

static bool several_threads(const comparison *c)
{
    for (size_t i = 1; i < c->n; i++)
        if (bg_row_number(c->pairs[i].other, BG_COL_THREADS) !=
            bg_row_number(c->pairs[0].other, BG_COL_THREADS))
            return true;
    return false;
}

static void put_speeds(const comparison *c, size_t engine, size_t kind, doc *d)
{
    bool threads = several_threads(c), intervals = false;
    size_t n;
    for (size_t i = 0; i < c->n; i++)
        intervals |= is_pair(c, &c->pairs[i], engine, kind) && !isnan(c->pairs[i].ratio.low);
    if (isnan(mean_ratio(c, engine, kind, &n))) return;
    bg_doc_heading(d, 3, "%s: %s and %s", kinds[kind].title, c->names[0], c->names[engine]);
    bg_doc_table(d, intervals ? "Ratios are of medians, with their 95 % interval. Roofs are those "
                                "of the machine."
                              : "Ratios are of medians of too few repetitions for an interval. "
                                "Roofs are those of the machine.");
    bg_doc_column(d, "Scheme", "", true);
    bg_doc_column(d, "Test", "", true);
    if (threads) bg_doc_column(d, "Threads", "", false);
    bg_doc_column(d, c->names[0], "tokens/s", false);
    bg_doc_column(d, c->names[engine], "tokens/s", false);
    bg_doc_column(d, "Ratio", "", false);
    bg_doc_column(d, c->names[0], "% of roof", false);
    bg_doc_column(d, c->names[engine], "% of roof", false);
    for (size_t i = 0; i < c->n; i++) {
        const pair *p = &c->pairs[i];
        if (!is_pair(c, p, engine, kind)) continue;
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", text_of(p->other, BG_COL_SCHEME));
        bg_doc_cell(d, "%s", text_of(p->other, BG_COL_TEST));
        if (threads) bg_doc_cell(d, "%.0f", bg_row_number(p->other, BG_COL_THREADS));
        put_speed(d, p->first);
        put_speed(d, p->other);
        put_ratio(d, &p->ratio);
        put_share(d, p->first);
        put_share(d, p->other);
    }
}

/* The row of quality of a scheme in an engine. */
static const bg_row *find_quality(const report *r, const char *scheme, const char *engine)
{
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        if (bg_row_has(row, BG_COL_PPL) && strcmp(text_of(row, BG_COL_TEST), "quality") == 0 &&
            strcmp(text_of(row, BG_COL_SCHEME), scheme) == 0 &&
            strcmp(text_of(row, BG_COL_ENGINE), engine) == 0)
            return row;
    }
    return NULL;
}

static const struct { bg_column column; const char *title, *unit; int decimals; } qualities[] = {
    {BG_COL_PPL, "ppl", "", 3}, {BG_COL_KLD, "KLD", "nats", -1},
    {BG_COL_SAME_TOP, "same top", "%", 1}};

static void put_qualities(const report *r, const comparison *c, size_t engine, doc *d)
{
    bool any = false;
    for (size_t i = 0; i < r->n_schemes; i++) {
        const char *scheme = r->schemes[i]->scheme;
        const bg_row *rows[2] = {find_quality(r, scheme, c->names[0]),
                                 find_quality(r, scheme, c->names[engine])};
        if (!rows[0] || !rows[1]) continue;
        if (!any) {
            bg_doc_heading(d, 3, "Quality: %s and %s", c->names[0], c->names[engine]);
            bg_doc_table(d, "Each engine's against its own run of the source model, on the same "
                            "text. The weights are the same, so what differs is arithmetic.");
            bg_doc_column(d, "Scheme", "", true);
            for (size_t q = 0; q < BG_COUNT(qualities); q++)
                for (size_t k = 0; k < 2; k++) {
                    char title[64];
                    snprintf(title, sizeof title, "%s %s", c->names[k ? engine : 0],
                             qualities[q].title);
                    bg_doc_column(d, title, qualities[q].unit, false);
                }
            any = true;
        }
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", scheme);
        for (size_t q = 0; q < BG_COUNT(qualities); q++)
            for (size_t k = 0; k < 2; k++) {
                double value = bg_row_number(rows[k], qualities[q].column);
                char b[32];
                bg_doc_cell(d, "%s", qualities[q].decimals < 0
                                         ? bg_report_number(b, sizeof b, value)
                                         : bg_report_fixed(b, sizeof b, value,
                                                           qualities[q].decimals));
            }
    }
    if (!any)
        bg_doc_text(d, "The quality of %s was not measured beside that of %s: where one of them "
                       "has none the other's stands for it, for the weights are the same.",
                    c->names[engine], c->names[0]);
}

void bg_section_engines(const report *r, doc *d)
{
    comparison *c = compare(r);
    bg_text t = {0};
    if (!c) return;
    say_ratios(c, &t);
    bg_doc_heading(d, 2, "Engines");
    if (t.length) bg_doc_text(d, "%s", t.data);
    d->failed |= t.failed;
    bg_text_fini(&t);
    bg_doc_text(d, "All ran the same weights with as many threads, and repetitions of all cells "
                   "took turns. llama.cpp loads and warms up anew for each of its own, before it "
                   "is timed, and its memory is the most that its process held, with the program. "
                   "The other sections are of %s where they do not say otherwise.",
                bg_advice_pick(r->advice)->engine);
    bg_report_figure(r, d, BG_PLOT_ENGINES, "Bars of decode and prefill speed by scheme, one an "
                     "engine, with 95 % intervals", "The speeds side by side: of each scheme the "
                     "best instruction set and number of threads of each engine.");
    for (size_t e = 1; e < c->n_names; e++) {
        for (size_t k = 0; k < BG_COUNT(kinds); k++) put_speeds(c, e, k, d);
        put_qualities(r, c, e, d);
    }
    bg_free(c);
}
