/* plot_roofline.c: every cell in the plane of arithmetic intensity and speed, under the roofs. */
#include "report/axis.h"
#include "report/report.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 860, HEIGHT = 620, LEFT = 76, RIGHT = 20, TOP = 84, BOTTOM = 66, MAX_ROOFS = 48 };

typedef struct roof { bool read; char name[48]; double value; int threads; } roof;

/* The roofs at the most threads that were measured. */
static size_t find_roofs(const report *r, roof *roofs)
{
    json_t *one;
    size_t i, n = 0;
    int threads = 0;
    json_array_foreach(json_object_get(r->machine, "roofs"), i, one) {
        int t = (int)json_integer_value(json_object_get(one, "threads"));
        threads = BG_MAX(threads, t);
    }
    json_array_foreach(json_object_get(r->machine, "roofs"), i, one) {
        const char *kind = json_string_value(json_object_get(one, "kind"));
        const char *level = json_string_value(json_object_get(one, "level"));
        const char *isa = json_string_value(json_object_get(one, "isa"));
        double value = json_number_value(json_object_get(one, "value"));
        bool read = kind && strcmp(kind, "read") == 0;
        if (n == MAX_ROOFS || !kind || !(value > 0) || (read ? !level : !isa) ||
            json_integer_value(json_object_get(one, "threads")) != threads)
            continue;
        roofs[n].read = read;
        roofs[n].value = value;
        roofs[n].threads = threads;
        snprintf(roofs[n].name, sizeof roofs[n].name, "%.16s%s", read ? level : isa,
                 read ? "" : strcmp(kind, "int8op") == 0 ? " int8" : " float");
        n++;
    }
    return n;
}

/* Ceilings are drawn for the instruction sets that were swept: others would only fill the page. */
static bool swept(const report *r, const char *name)
{
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const char *isa = bg_row_text(bg_results_row(r->results, i), BG_COL_ISA);
        size_t n = isa ? strlen(isa) : 0;
        if (isa && strncmp(name, isa, n) == 0 && name[n] == ' ') return true;
    }
    return false;
}

typedef struct axes { bg_axis x, y; } axes;

/* intensity speed level decode? best?; one row a cell. Levels of the best are in colour. */
static size_t write_cells(const report *r, FILE *f, axes *a, unsigned *levels)
{
    size_t count = 0;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        const char *test = bg_row_text(row, BG_COL_TEST);
        double gbps = bg_row_number(row, BG_COL_GBPS), gflops = bg_row_number(row, BG_COL_GFLOPS);
        double level = bg_row_number(row, BG_COL_LEVEL);
        bool decode = test && strncmp(test, "tg", 2) == 0, best = false;
        if (!(gbps > 0) || !(gflops > 0) || !test) continue;
        for (size_t k = 0; k < r->n_schemes; k++) {
            if (r->schemes[k]->tg != row && r->schemes[k]->pp != row) continue;
            best = true;
            *levels |= bg_report_level_bit(r->schemes[k]);
        }
        fprintf(f, "%.9g %.9g %d %d %d\n", gflops / gbps, gflops, isnan(level) ? 0 : (int)level,
                decode, best);
        bg_axis_widen(&a->x, gflops / gbps);
        bg_axis_widen(&a->y, gflops);
        count++;
    }
    return count;
}

static double ceiling(const report *r, const roof *roofs, size_t n)
{
    double top = 0;
    for (size_t i = 0; i < n; i++)
        if (!roofs[i].read && swept(r, roofs[i].name)) top = BG_MAX(top, roofs[i].value);
    return top;
}

/* Lines, two points each and a blank line between; names at places where they stay apart. */
static void write_roofs(const report *r, const roof *roofs, size_t n, const axes *a,
                        FILE *lines, FILE *names)
{
    double top = ceiling(r, roofs, n), span = log(a->x.high / a->x.low);
    size_t reads = 0, ceilings = 0;
    for (size_t i = 0; i < n; i++) {
        const roof *f = &roofs[i];
        double end = a->x.high, begin, x, y;
        if (!f->read && !swept(r, f->name)) continue;
        if (f->read) {
            if (top > 0) end = BG_MIN(end, top / f->value);
            begin = BG_MAX(a->x.low, a->y.low / f->value);
            if (end <= begin) continue;
            x = begin * exp(span * (0.01 + 0.05 * (double)(reads++ % 3)));
            y = x * f->value;
            fprintf(lines, "%.9g %.9g\n%.9g %.9g\n\n", begin, begin * f->value, end,
                    end * f->value);
        } else {
            /* In the gap between decode on the left and prefill on the right. */
            x = a->x.high * exp(-span * (0.3 + 0.2 * (double)(ceilings++ % 2)));
            y = f->value;
            fprintf(lines, "%.9g %.9g\n%.9g %.9g\n\n", a->x.low, y, a->x.high, y);
        }
        fprintf(names, "%.9g %.9g %d \"%s %.3g %s\"\n", x, y, f->read, f->name, f->value,
                f->read ? "GB/s" : strstr(f->name, "int8") ? "Gop/s" : "GFLOP/s");
    }
}

static void choose_axes(const report *r, const roof *roofs, size_t n, axes *a)
{
    double top = ceiling(r, roofs, n);
    a->y.high = BG_MAX(a->y.high, top);
    /* As far left as it takes to see the steepest slope meet the ceiling. */
    for (size_t i = 0; i < n; i++)
        if (roofs[i].read && top > 0) a->x.low = BG_MIN(a->x.low, top / roofs[i].value / 2);
    a->x.low /= 1.8;
    a->x.high *= 1.5;
    a->y.low /= 1.8;
    a->y.high *= 1.7;
}

bool bg_plot_roofline(const report *r, bg_gnuplot *g)
{
    roof roofs[MAX_ROOFS];
    size_t n = find_roofs(r, roofs), cells = 0;
    unsigned levels = 0;
    axes a = {bg_axis_of(false), bg_axis_of(false)};
    FILE *points = bg_gnuplot_data(g, "cells.dat"), *lines = bg_gnuplot_data(g, "roofs.dat"),
         *names = bg_gnuplot_data(g, "names.dat");
    bool written = points && lines && names;
    if (written) cells = write_cells(r, points, &a, &levels);
    if (cells && n) {
        choose_axes(r, roofs, n, &a);
        write_roofs(r, roofs, n, &a, lines, names);
    }
    written &= bg_gnuplot_end(g, points);
    written &= bg_gnuplot_end(g, lines);
    written &= bg_gnuplot_end(g, names);
    if (!written || !cells || !n) return false;
    bg_gnuplot_number(g, "WIDTH", WIDTH);
    bg_gnuplot_number(g, "HEIGHT", HEIGHT);
    bg_gnuplot_number(g, "LEFT", LEFT);
    bg_gnuplot_number(g, "RIGHT", RIGHT);
    bg_gnuplot_number(g, "TOP", TOP);
    bg_gnuplot_number(g, "BOTTOM", BOTTOM);
    bg_gnuplot_number(g, "XMIN", a.x.low);
    bg_gnuplot_number(g, "XMAX", a.x.high);
    bg_gnuplot_number(g, "YMIN", a.y.low);
    bg_gnuplot_number(g, "YMAX", a.y.high);
    bg_gnuplot_number(g, "THREADS", roofs[0].threads);
    bg_gnuplot_number(g, "LEVEL_BITS", levels);
    /* Lines of constant bandwidth rise one decade a decade: their angle on paper. */
    bg_gnuplot_number(g, "ANGLE",
                      atan2((HEIGHT - TOP - BOTTOM) / log(a.y.high / a.y.low),
                            (WIDTH - LEFT - RIGHT) / log(a.x.high / a.x.low)) *
                          180 / acos(-1.0));
    return true;
}
