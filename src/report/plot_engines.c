/* plot_engines.c: the speeds of two engines, scheme by scheme. */
#include "report/report.h"

#include <math.h>
#include <string.h>

enum { ROW = 34 }; /* pixels of height a scheme */

static bool says(const bg_row *row, bg_column c, const char *text)
{
    const char *has = bg_row_text(row, c);
    return has && strcmp(has, text) == 0;
}

/* The fastest of a scheme's rows in an engine at a test. */
static const bg_row *fastest(const report *r, const char *scheme, const char *test,
                             const char *engine)
{
    const bg_row *best = NULL;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        if (!bg_row_has(row, BG_COL_TPS) || !says(row, BG_COL_SCHEME, scheme) ||
            !says(row, BG_COL_TEST, test) || !says(row, BG_COL_ENGINE, engine))
            continue;
        if (!best || bg_row_number(row, BG_COL_TPS) > bg_row_number(best, BG_COL_TPS)) best = row;
    }
    return best;
}

/* The first that is not `but`; NULL: there is none. */
static const char *find_engine(const report *r, const char *but)
{
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const char *engine = bg_row_text(bg_results_row(r->results, i), BG_COL_ENGINE);
        if (engine && strcmp(engine, but) != 0) return engine;
    }
    return NULL;
}

static void put_speed(FILE *f, const bg_row *row, double *top)
{
    static const bg_column columns[] = {BG_COL_TPS, BG_COL_TPS_LOW, BG_COL_TPS_HIGH};
    double tps = row ? bg_row_number(row, BG_COL_TPS) : NAN;
    for (size_t i = 0; i < BG_COUNT(columns); i++) {
        double v = row ? bg_row_number(row, columns[i]) : NAN;
        if (isnan(v)) v = tps;
        if (isnan(v)) fputs(" NaN", f);
        else fprintf(f, " %.9g", v);
    }
    if (tps > *top) *top = tps;
}

/* rank "name" "", then of decode and of prefill, of each engine: tps low high */
bool bg_plot_engines(const report *r, bg_gnuplot *g)
{
    const bg_candidate *pick = bg_advice_pick(r->advice);
    const char *engines[2] = {pick->engine, find_engine(r, pick->engine)};
    const char *tests[2] = {pick->tg ? bg_row_text(pick->tg, BG_COL_TEST) : NULL,
                            pick->pp ? bg_row_text(pick->pp, BG_COL_TEST) : NULL};
    double top[2] = {0, 0};
    char name[32];
    FILE *f, *names;
    if (!engines[1] || !tests[0] || !tests[1]) return false;
    f = bg_gnuplot_data(g, "bars.dat");
    names = bg_gnuplot_data(g, "sides.dat");
    for (size_t i = 0; f && i < r->n_schemes; i++) {
        bg_report_plain(name, sizeof name, r->schemes[i]->scheme);
        fprintf(f, "%zu \"%s\" \"\"", i, name);
        for (size_t k = 0; k < 2; k++)
            for (size_t e = 0; e < 2; e++)
                put_speed(f, fastest(r, r->schemes[i]->scheme, tests[k], engines[e]), &top[k]);
        fputc('\n', f);
    }
    for (size_t e = 0; names && e < 2; e++) {
        bg_report_plain(name, sizeof name, engines[e]);
        fprintf(names, "\"%s\"\n", name);
    }
    bg_gnuplot_number(g, "SIDES", 2);
    bg_gnuplot_number(g, "N", (double)r->n_schemes);
    bg_gnuplot_number(g, "HEIGHT", (double)(ROW * r->n_schemes + 150));
    bg_gnuplot_number(g, "TGMAX", top[0]);
    bg_gnuplot_number(g, "PPMAX", top[1]);
    return (int)bg_gnuplot_end(g, f) & (int)bg_gnuplot_end(g, names) && top[0] > 0 && top[1] > 0;
}
