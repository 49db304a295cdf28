/* plot_trend.c: a series over runs a panel, with its levels and changes. */
#include "report/report.h"

#include "base/file.h"

#include <math.h>
#include <string.h>

enum { COLUMNS = 2, PANEL_WIDTH = 560, PANEL_HEIGHT = 200, MOST_PANELS = 32, TICS = 6 };

/* Letters that gnuplot's strings take. */
static void put_plain(char *out, size_t size, const char *text)
{
    bg_report_letters(out, size, text, "_.+-@/%", '-');
}

/* run value low high "tic": commits name the runs, as many as have room. */
static void write_points(FILE *f, const bg_history_series *s)
{
    size_t every = (s->n + TICS - 1) / TICS;
    for (size_t i = 0; i < s->n; i++) {
        const bg_history_row *r = s->rows[i];
        char tic[16] = "";
        if (i % every == 0) put_plain(tic, 9, *r->commit ? r->commit : r->date);
        fprintf(f, "%zu %.9g %.9g %.9g \"%s\"\n", i, s->values[i],
                isnan(r->low) ? s->values[i] : r->low, isnan(r->high) ? s->values[i] : r->high,
                tic);
    }
}

/* panel first last median */
static void write_levels(FILE *f, size_t panel, const bg_history_series *s)
{
    for (size_t i = 0; i <= s->n_changes; i++) {
        size_t from = i ? s->changes[i - 1].at : 0, to = i < s->n_changes ? s->changes[i].at : s->n;
        fprintf(f, "%zu %zu %zu %.9g\n", panel, from, to - 1,
                bg_quantile(s->values + from, to - from, 0.5));
    }
}

/* panel place worse "label"; places lie between runs. */
static void write_changes(FILE *f, size_t panel, const bg_history_series *s)
{
    for (size_t i = 0; i < s->n_changes; i++) {
        const bg_change *c = &s->changes[i];
        double change = c->after / c->before - 1;
        fprintf(f, "%zu %.1f %d \"%s%.1f %%\"\n", panel, (double)c->at - 0.5,
                change * s->rows[0]->better < 0, change < 0 ? "−" : "+", 100 * fabs(change));
    }
}

/* "scheme" low high last: the range holds all, and is never narrower than the noise. */
static void write_panel(FILE *f, const bg_history_series *s)
{
    char scheme[32];
    double low = INFINITY, high = 0, margin;
    for (size_t i = 0; i < s->n; i++) {
        const bg_history_row *r = s->rows[i];
        low = fmin(low, isnan(r->low) ? s->values[i] : fmin(r->low, s->values[i]));
        high = fmax(high, isnan(r->high) ? s->values[i] : fmax(r->high, s->values[i]));
    }
    margin = fmax((high - low) * 0.12, (high + low) / 2 * s->floor);
    put_plain(scheme, sizeof scheme, s->rows[0]->scheme);
    fprintf(f, "\"%s\" %.9g %.9g %zu %.4g\n", scheme, fmax(low - margin, 0), high + margin * 1.8,
            s->n - 1, 100 * s->floor);
}

static void write_title(FILE *f, const bg_history_row *r)
{
    const char *const texts[] = {r->test, r->metric, r->model, *r->machine ? r->machine : "unknown",
                                 r->unit};
    char words[5][64];
    for (size_t i = 0; i < 5; i++) put_plain(words[i], i == 3 ? 9 : sizeof words[i], texts[i]);
    fprintf(f, "\"%s %s of %s on machine %s\" \"%s\"\n", words[0], words[1], words[2], words[3],
            words[4]);
}

/* Files that could not be written are seen by bg_gnuplot_check. */
static void write_data(bg_gnuplot *g, const bg_history_series *s, size_t n)
{
    typedef void write_fn(FILE *f, size_t panel, const bg_history_series *s);
    static const struct { const char *name; write_fn *write; } files[] = {
        {"levels.dat", write_levels}, {"changes.dat", write_changes}};
    FILE *f = bg_gnuplot_data(g, "title.dat");
    if (f) write_title(f, s[0].rows[0]);
    bg_gnuplot_end(g, f);
    f = bg_gnuplot_data(g, "panels.dat");
    for (size_t i = 0; f && i < n; i++) write_panel(f, &s[i]);
    bg_gnuplot_end(g, f);
    for (size_t k = 0; k < BG_COUNT(files); k++) {
        f = bg_gnuplot_data(g, files[k].name);
        /* Of no panel: gnuplot 5.4 crashes on labels of less than two lines. */
        if (f) fputs("-1 0 0 \"-\"\n-1 0 0 \"-\"\n", f);
        for (size_t i = 0; f && i < n; i++) files[k].write(f, i, &s[i]);
        bg_gnuplot_end(g, f);
    }
    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "points%zu.dat", i);
        f = bg_gnuplot_data(g, name);
        if (f) write_points(f, &s[i]);
        bg_gnuplot_end(g, f);
    }
    bg_gnuplot_number(g, "N", (double)n);
    bg_gnuplot_number(g, "COLUMNS", n > 1 ? COLUMNS : 1);
    bg_gnuplot_number(g, "WIDTH", PANEL_WIDTH * (n > 1 ? COLUMNS : 1));
    bg_gnuplot_number(g, "HEIGHT", (double)(PANEL_HEIGHT * ((n + COLUMNS - 1) / COLUMNS) + 70));
}

static void name_drawing(char *name, size_t size, const bg_history_row *r, const char *out)
{
    char all[256], plain[112], file[160];
    snprintf(all, sizeof all, "trend-%.8s-%.40s-%.24s-%.20s-%.12s-t%.4s",
             *r->machine ? r->machine : "unknown", r->model, r->test, r->metric, r->isa,
             r->threads);
    bg_report_letters(plain, sizeof plain, all, "_.+-@", '-');
    snprintf(name, size, "%s", plain);
    for (int i = 2; i < 1000; i++) {
        char *path;
        bool there;
        snprintf(file, sizeof file, "%s.svg", name);
        path = bg_path_join(out, file);
        there = path && bg_file_exists(path);
        bg_free(path);
        if (!there) return;
        snprintf(name, size, "%s-%d", plain, i);
    }
}

bg_status bg_report_trend(const bg_history_trend *t, const char *out, bg_error *err)
{
    bg_gnuplot *g = NULL;
    bg_status status;
    BG_TRY(bg_dir_create(out, err));
    status = bg_gnuplot_open(&g, out, err);
    for (size_t from = 0, to; from < t->n && status == BG_OK; from = to) {
        char name[128];
        for (to = from + 1; to < t->n && to - from < MOST_PANELS &&
                            bg_history_neighbours(&t->series[from], &t->series[to]);) to++;
        name_drawing(name, sizeof name, t->series[from].rows[0], out);
        write_data(g, &t->series[from], to - from);
        status = bg_gnuplot_check(g, err);
        if (status == BG_OK) status = bg_gnuplot_run(g, "trend", name, err);
    }
    bg_gnuplot_close(&g);
    return status;
}
