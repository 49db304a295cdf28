/* plot_bars.c: one bar a scheme: speeds, memory, counters. */
#include "report/report.h"

#include <math.h>
#include <string.h>

enum { ROW = 20 }; /* pixels of height a scheme */

static void put_name(FILE *f, const report *r, const bg_candidate *c)
{
    bool pick = c == bg_advice_pick(r->advice);
    fprintf(f, "\"%s", pick ? "▶ " : "");
    for (const char *s = c->scheme; *s && s - c->scheme < 32; s++) {
        bool fine = (*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') ||
                    (*s >= '0' && *s <= '9') || strchr("_.+-", *s);
        fputc(fine ? *s : '?', f);
    }
    fputc('"', f);
}

static void put_number(FILE *f, double v) { fprintf(f, isnan(v) ? " NaN" : " %.9g", v); }

static double column(const bg_row *row, bg_column c) { return row ? bg_row_number(row, c) : NAN; }

/* rank "name" level pick "", then decode: tps low high roof, prefill: the same. The empty name is
 * for panels whose neighbour has the names. */
bool bg_plot_speed(const report *r, bg_gnuplot *g)
{
    FILE *f = bg_gnuplot_data(g, "bars.dat");
    double top[2] = {0, 0};
    if (!f) return false;
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        const bg_row *rows[2] = {c->tg, c->pp};
        fprintf(f, "%zu ", i);
        put_name(f, r, c);
        fprintf(f, " %d %d \"\"", bg_report_level(c), c == bg_advice_pick(r->advice));
        for (size_t k = 0; k < 2; k++) {
            double tps = column(rows[k], BG_COL_TPS), low = column(rows[k], BG_COL_TPS_LOW),
                   high = column(rows[k], BG_COL_TPS_HIGH);
            put_number(f, tps);
            put_number(f, isnan(low) ? tps : low);
            put_number(f, isnan(high) ? tps : high);
            put_number(f, column(rows[k], BG_COL_ROOF_VALUE));
            if (tps > top[k]) top[k] = tps;
        }
        fputc('\n', f);
    }
    bg_gnuplot_number(g, "N", (double)r->n_schemes);
    bg_gnuplot_number(g, "HEIGHT", (double)(ROW * r->n_schemes + 130));
    bg_gnuplot_number(g, "TGMAX", top[0]);
    bg_gnuplot_number(g, "PPMAX", top[1]);
    return bg_gnuplot_end(g, f) && top[0] > 0 && top[1] > 0;
}

/* rank "name" level pick weights kv scratch, in MB or GB */
bool bg_plot_memory(const report *r, bg_gnuplot *g)
{
    FILE *f = bg_gnuplot_data(g, "bars.dat");
    double top = 0, unit;
    if (!f) return false;
    for (size_t i = 0; i < r->n_schemes; i++)
        if (r->schemes[i]->memory_bytes > top) top = r->schemes[i]->memory_bytes;
    unit = top > 2e9 ? 1e9 : 1e6;
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        double scratch = isnan(c->scratch_bytes) ? 0 : c->scratch_bytes;
        if (isnan(c->weight_bytes)) continue;
        fprintf(f, "%zu ", i);
        put_name(f, r, c);
        fprintf(f, " %d %d %.9g %.9g %.9g\n", bg_report_level(c),
                c == bg_advice_pick(r->advice), c->weight_bytes / unit,
                isnan(c->kv_bytes) ? 0 : c->kv_bytes / unit, scratch / unit);
    }
    bg_gnuplot_number(g, "N", (double)r->n_schemes);
    bg_gnuplot_number(g, "HEIGHT", (double)(ROW * r->n_schemes + 130));
    bg_gnuplot_number(g, "UNIT", unit);
    bg_gnuplot_number(g, "TOP", top / unit);
    return bg_gnuplot_end(g, f) && top > 0;
}

/* Counters of the machine, per token of decoding; the clock and what the kernel accounts are in
 * the tables. */
static const struct { bg_column column; const char *title; } counters[] = {
    {BG_COL_COUNTER_CYCLES, "cycles"},
    {BG_COL_COUNTER_INSTRUCTIONS, "instructions"},
    {BG_COL_COUNTER_L1D_MISSES, "L1 data misses"},
    {BG_COL_COUNTER_L2_MISSES, "L2 misses"},
    {BG_COL_COUNTER_L3_MISSES, "L3 misses"},
    {BG_COL_COUNTER_DTLB_MISSES, "data TLB misses"},
    {BG_COL_COUNTER_BRANCH_MISSES, "branch misses"},
    {BG_COL_J_TOKEN, "energy (J)"},
};

bool bg_plot_counters(const report *r, bg_gnuplot *g)
{
    FILE *titles = bg_gnuplot_data(g, "titles.dat"), *f = bg_gnuplot_data(g, "bars.dat");
    size_t present[BG_COUNT(counters)], n = 0;
    bool written = titles && f;
    for (size_t k = 0; written && k < BG_COUNT(counters); k++) {
        bool any = false;
        for (size_t i = 0; i < r->n_schemes; i++)
            any |= !isnan(column(r->schemes[i]->tg, counters[k].column));
        if (!any) continue;
        present[n++] = k;
        fprintf(titles, "\"%s\"\n", counters[k].title);
    }
    for (size_t i = 0; written && n && i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        fprintf(f, "%zu ", i);
        put_name(f, r, c);
        fprintf(f, " %d %d \"\"", bg_report_level(c), c == bg_advice_pick(r->advice));
        for (size_t k = 0; k < n; k++) put_number(f, column(c->tg, counters[present[k]].column));
        fputc('\n', f);
    }
    written &= bg_gnuplot_end(g, titles);
    written &= bg_gnuplot_end(g, f);
    if (n) {
        bg_gnuplot_number(g, "N", (double)r->n_schemes);
        bg_gnuplot_number(g, "PANELS", (double)n);
        bg_gnuplot_number(g, "PANEL_HEIGHT", (double)(ROW * r->n_schemes + 90));
    }
    return written && n;
}
