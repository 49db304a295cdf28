/* plot_compare.c: drawings of several folders: speed-ups, fronts, and speeds over threads. One
 * colour and marker a folder. */
#include "report/axis.h"
#include "report/compare.h"
#include "report/place.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 860, NAME = 40, LEGEND_LINE = 22, COLUMNS = 2, MOST_PANELS = 6, MOST_POINTS = 256 };

/* Round numbers from low to high, of the finest steps that give no more than `most` of them. */
static void write_ticks(FILE *f, double low, double high, int most)
{
    static const double sets[][10] = {
        {1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1.5, 2, 3, 5, 7}, {1, 2, 5}, {1, 3}, {1},
    };
    if (high < 4 * low) {
        static const double steps[] = {1, 2, 5};
        double step = 0;
        for (int e = -9; e < 18 && step == 0; e++)
            for (size_t i = 0; i < BG_COUNT(steps) && step == 0; i++)
                if ((high - low) / (steps[i] * pow(10, e)) <= most) step = steps[i] * pow(10, e);
        for (double k = ceil(low / step); step > 0 && k * step <= high; k++)
            fprintf(f, "%.9g \"%.6g\"\n", k * step, k * step);
        return;
    }
    for (size_t set = 0; set < BG_COUNT(sets); set++) {
        int n = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int e = -9; e < 18; e++)
                for (size_t i = 0; i < BG_COUNT(sets[set]) && sets[set][i] > 0; i++) {
                    double v = sets[set][i] * pow(10, e);
                    if (v < low || v > high) continue;
                    if (pass) fprintf(f, "%.9g \"%.6g\"\n", v, v);
                    else n++;
                }
            if (n > most && set + 1 < BG_COUNT(sets)) break;
        }
        if (n <= most || set + 1 == BG_COUNT(sets)) return;
    }
}

static FILE *open_data(bg_gnuplot *g, const char *format, size_t a, size_t b)
{
    char name[64];
    snprintf(name, sizeof name, format, a, b);
    return bg_gnuplot_data(g, name);
}

/* Pixels of the legend of these sides. */
static double legend_height(const cmp *c, size_t from)
{
    double width = 0;
    for (size_t s = from; s < c->n; s++)
        width = BG_MAX(width, 8 * (double)BG_MIN(strlen(c->sides[s].name), (size_t)NAME) + 60);
    return LEGEND_LINE * ceil((double)(c->n - from) / floor((WIDTH - 60) / width));
}

/* Names, and the legend of those from `from` on. */
static void write_sides(const cmp *c, bg_gnuplot *g, size_t from)
{
    FILE *f = bg_gnuplot_data(g, "sides.dat");
    char plain[NAME + 1];
    for (size_t s = 0; f && s < c->n; s++) {
        bg_report_plain(plain, sizeof plain, c->sides[s].name);
        fprintf(f, "\"%s\"\n", plain);
    }
    bg_gnuplot_end(g, f);
    bg_gnuplot_number(g, "LEGEND", legend_height(c, from));
    bg_gnuplot_number(g, "LEGEND_ROWS", legend_height(c, from) / LEGEND_LINE);
    bg_gnuplot_number(g, "SIDES", (double)c->n);
    bg_gnuplot_number(g, "WIDTH", WIDTH);
}

/* "Decode (tg64)" */
static void write_title(FILE *f, const char *test)
{
    const char *kind = bg_cmp_kind(test);
    char plain[32];
    bg_report_plain(plain, sizeof plain, test);
    if (kind) fprintf(f, "\"%s, %s\"", kind, plain);
    else fprintf(f, "\"%s\"", plain);
}

/* The tests that have pairs, which become panels. */
static size_t choose_tests(const cmp *c, const char *out[MOST_PANELS])
{
    size_t n = 0;
    for (size_t t = 0; t < c->tests.n && n < MOST_PANELS; t++)
        if (bg_cmp_shared(c, c->tests.list[t])) out[n++] = c->tests.list[t];
    return n;
}

/* Speed-ups. */

static bool has_pair(const cmp *c, const char *scheme)
{
    for (size_t i = 0; i < c->n_pairs; i++)
        if (strcmp(c->pairs[i].scheme, scheme) == 0) return true;
    return false;
}

typedef struct range { double low, high, floor; } range;

static range range_of(const cmp *c, const char *test)
{
    range r = {.low = 1, .high = 1, .floor = 0};
    double pad;
    for (size_t i = 0; i < c->n_pairs; i++) {
        const cmp_pair *p = &c->pairs[i];
        if (strcmp(p->test, test) != 0) continue;
        r.low = BG_MIN(r.low, isnan(p->low) ? p->ratio : p->low);
        r.high = BG_MAX(r.high, isnan(p->high) ? p->ratio : p->high);
        r.floor = BG_MAX(r.floor, p->floor);
    }
    /* Room for the numbers behind the bars. */
    pad = pow(BG_MAX(r.high / r.low, 1.1), 0.25);
    r.high *= pad;
    r.low /= r.low < 1 ? pad : pow(pad, 0.15);
    return r;
}

/* place ratio low high told side "number" text-place left */
static void write_bar(FILE *f, const cmp_pair *p, double y, double gap)
{
    bool left = p->ratio < 1;
    double low = isnan(p->low) ? p->ratio : p->low, high = isnan(p->high) ? p->ratio : p->high;
    fprintf(f, "%.6g %.9g %.9g %.9g %d %zu \"%.*f×\" %.9g %d\n", y, p->ratio, low, high, p->told,
            p->side, p->ratio < 9.95 ? 2 : 1, p->ratio,
            left ? BG_MIN(low, 1) / gap : BG_MAX(high, 1) * gap, left);
}

static void write_panel(const cmp *c, bg_gnuplot *g, size_t panel, const char *test)
{
    size_t others = c->n - 1, line = 0;
    range r = range_of(c, test);
    FILE *f = open_data(g, "bars%zu.dat", panel, 0);
    for (size_t k = 0; f && k < c->schemes.n; k++) {
        if (!has_pair(c, c->schemes.list[k])) continue;
        for (size_t s = 1; s < c->n; s++) {
            const cmp_pair *p = bg_cmp_find(c, s, c->schemes.list[k], test);
            double y = (double)line + ((double)s - 0.5) / (double)others * 0.84 - 0.42;
            if (p) write_bar(f, p, y, pow(r.high / r.low, 0.015));
        }
        line++;
    }
    /* Outside: gnuplot 5.4 crashes on labels of less than two lines. */
    if (f) fputs("-9 1 1 1 0 0 \"-\" 1 0\n-9 1 1 1 0 0 \"-\" 1 0\n-9 1 1 1 0 0 \"-\" 1 1\n"
                 "-9 1 1 1 0 0 \"-\" 1 1\n", f);
    bg_gnuplot_end(g, f);
    f = open_data(g, "ticks%zu.dat", panel, 0);
    if (f) write_ticks(f, r.low, r.high, 6);
    bg_gnuplot_end(g, f);
}

static bool plot_speedup(const cmp *c, bg_gnuplot *g)
{
    const char *tests[MOST_PANELS];
    size_t n = choose_tests(c, tests), lines = 0, columns = BG_MIN(n, (size_t)COLUMNS);
    double line = c->n == 2 ? 22 : 13 * (double)(c->n - 1) + 6, panel;
    char plain[32];
    FILE *f = bg_gnuplot_data(g, "names.dat");
    for (size_t k = 0; f && k < c->schemes.n; k++) {
        if (!has_pair(c, c->schemes.list[k])) continue;
        bg_report_plain(plain, sizeof plain, c->schemes.list[k]);
        fprintf(f, "%zu \"%s\" \"\"\n", lines++, plain);
    }
    bg_gnuplot_end(g, f);
    f = bg_gnuplot_data(g, "panels.dat");
    for (size_t i = 0; f && i < n; i++) {
        range r = range_of(c, tests[i]);
        write_title(f, tests[i]);
        fprintf(f, " %.9g %.9g %.9g\n", r.low, r.high, r.floor);
    }
    bg_gnuplot_end(g, f);
    for (size_t i = 0; i < n; i++) write_panel(c, g, i, tests[i]);
    write_sides(c, g, 1);
    panel = 70 + BG_MAX(line * (double)lines, 40);
    bg_gnuplot_number(g, "PANELS", (double)n);
    bg_gnuplot_number(g, "COLUMNS", (double)columns);
    bg_gnuplot_number(g, "PANEL", panel);
    bg_gnuplot_number(g, "N", (double)lines);
    bg_gnuplot_number(g, "HALF", 0.4 / (double)BG_MAX(c->n - 1, 1));
    bg_gnuplot_number(g, "HEIGHT",
                      44 + (c->n > 2 ? legend_height(c, 1) : 0) +
                          panel * (double)((n + COLUMNS - 1) / COLUMNS));
    return n > 0 && lines > 0;
}

/* Fronts. */

enum { HEIGHT = 620, LEFT = 84, RIGHT = 24, BOTTOM = 66 };
static const double lossless = 1e-4;     /* losses below are drawn there */

typedef struct point { double x, y; size_t side; const char *scheme; bool front, named; } point;

typedef struct fronts {
    point points[MOST_POINTS];
    bg_label labels[MOST_POINTS];
    size_t n;
    bool quality;                        /* loss over speed, else speed over size */
    bg_axis x, y;
    double unit, top;
} fronts;

/* All sides judge quality by the same measure, which is no estimate. */
static bool same_quality(const cmp *c)
{
    for (size_t s = 0; s < c->n; s++) {
        const bg_advice *a = c->sides[s].advice;
        if (!a || bg_advice_basis(a) == BG_LOSS_BPW ||
            bg_advice_basis(a) != bg_advice_basis(c->sides[0].advice))
            return false;
    }
    return true;
}

/* At least as good on both, and better on one. */
static bool beats(const fronts *f, const point *a, const point *b)
{
    double x = f->quality ? a->x - b->x : b->x - a->x, y = f->quality ? b->y - a->y : a->y - b->y;
    return x >= 0 && y >= 0 && (x > 0 || y > 0);
}

static void add_points(const cmp *c, fronts *f, const char *test)
{
    for (size_t s = 0; s < c->n; s++)
        for (size_t k = 0; k < c->schemes.n && f->n < MOST_POINTS; k++) {
            const char *scheme = c->schemes.list[k];
            const bg_row *row = bg_cmp_fastest(&c->sides[s], scheme, test, NULL, 0);
            const bg_candidate *a = bg_cmp_candidate(&c->sides[s], scheme);
            double bytes = row ? bg_row_number(row, BG_COL_WEIGHT_BYTES) : NAN;
            double tps = row ? bg_row_number(row, BG_COL_TPS) : NAN;
            double loss = a ? a->loss : NAN;
            point p = {.side = s, .scheme = scheme, .x = f->quality ? tps : bytes / f->unit,
                       .y = f->quality ? BG_MAX(loss, lossless) : tps};
            if (!(p.x > 0) || !(p.y > 0) || (f->quality && !(loss <= BG_ADVISE_USELESS_KLD)))
                continue;
            f->points[f->n++] = p;
        }
    for (size_t i = 0; i < f->n; i++) {
        f->points[i].front = true;
        for (size_t k = 0; k < f->n; k++)
            if (f->points[k].side == f->points[i].side && beats(f, &f->points[k], &f->points[i]))
                f->points[i].front = false;
    }
}

static void find_axes(fronts *f)
{
    f->x = f->y = bg_axis_of(false);
    for (size_t i = 0; i < f->n; i++) {
        bg_axis_widen(&f->x, f->points[i].x);
        bg_axis_widen(&f->y, f->points[i].y);
    }
    bg_axis_pad(&f->x, 1.3, 0.08);
    bg_axis_pad(&f->y, 1.3, 0.08);
}

static double pixel_x(const fronts *f, double x)
{
    return (WIDTH - LEFT - RIGHT) * bg_axis_along(&f->x, x);
}

static double pixel_y(const fronts *f, double y)
{
    return (HEIGHT - f->top - BOTTOM) * bg_axis_along(&f->y, y);
}

/* Dots along the fronts' lines, a few pixels apart; points are by side and x. */
static size_t trace_fronts(const fronts *f, bg_obstacle *dots, size_t max)
{
    const point *last = NULL;
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++) {
        const point *p = &f->points[i];
        if (!p->front) continue;
        if (last && last->side == p->side) {
            double x = pixel_x(f, last->x), y = pixel_y(f, last->y);
            double dx = pixel_x(f, p->x) - x, dy = pixel_y(f, p->y) - y, length = hypot(dx, dy);
            for (double t = 4; t < length && n < max; t += 5, n++)
                dots[n] = (bg_obstacle){x + dx * t / length, y + dy * t / length};
        }
        last = p;
    }
    return n;
}

/* Whether the same scheme of another folder is named close by. */
static bool is_named(const fronts *f, size_t i)
{
    static const double NEAR = 30;
    const point *p = &f->points[i];
    for (size_t k = 0; k < i; k++) {
        const point *q = &f->points[k];
        if (q->named && strcmp(q->scheme, p->scheme) == 0 &&
            hypot(pixel_x(f, q->x) - pixel_x(f, p->x), pixel_y(f, q->y) - pixel_y(f, p->y)) < NEAR)
            return true;
    }
    return false;
}

/* Names stand at the points of the fronts. Those of the others are in the tables, and here only
 * to be kept clear of. */
static void place_names(fronts *f)
{
    enum { DOTS = 2048 };
    bg_obstacle others[DOTS];
    size_t n = 0, obstacles = trace_fronts(f, others, DOTS - MOST_POINTS);
    for (size_t i = 0; i < f->n; i++) {
        point *p = &f->points[i];
        double x = pixel_x(f, p->x), y = pixel_y(f, p->y);
        p->named = p->front && !is_named(f, i);
        if (p->named)
            f->labels[n++] = (bg_label){.x = x, .y = y, .radius = 7, .height = 14,
                                        .width = 7.4 * (double)strlen(p->scheme)};
        else others[obstacles++] = (bg_obstacle){x, y};
    }
    bg_place_labels(f->labels, n, others, obstacles, WIDTH - LEFT - RIGHT,
                    HEIGHT - f->top - BOTTOM);
}

static int by_x(const void *a, const void *b)
{
    const point *p = a, *q = b;
    if (p->side != q->side) return (p->side > q->side) - (p->side < q->side);
    return (p->x > q->x) - (p->x < q->x);
}

static void write_points(const cmp *c, const fronts *f, bg_gnuplot *g)
{
    for (size_t s = 0; s < c->n; s++) {
        FILE *all = open_data(g, "points%zu.dat", s, 0);
        FILE *front = open_data(g, "front%zu.dat", s, 0);
        for (size_t i = 0; i < f->n && all && front; i++) {
            const point *p = &f->points[i];
            if (p->side != s) continue;
            fprintf(all, "%.9g %.9g\n", p->x, p->y);
            if (p->front) fprintf(front, "%.9g %.9g\n", p->x, p->y);
        }
        if (all) fputs("1e-30 1e-30\n", all);    /* never empty */
        if (front) fputs("\n1e-30 1e-30\n", front);
        bg_gnuplot_end(g, all);
        bg_gnuplot_end(g, front);
    }
}

/* x y text-x text-y leader "name" */
static void write_labels(const fronts *f, bg_gnuplot *g)
{
    FILE *to = bg_gnuplot_data(g, "labels.dat");
    char plain[32];
    for (size_t i = 0, k = 0; to && i < f->n; i++) {
        const point *p = &f->points[i];
        const bg_label *l;
        if (!p->named) continue;
        l = &f->labels[k++];
        bg_report_plain(plain, sizeof plain, p->scheme);
        fprintf(to, "%.9g %.9g %.9g %.9g %d \"%s\"\n", p->x, p->y,
                bg_axis_at(&f->x, l->text_x / (WIDTH - LEFT - RIGHT)),
                bg_axis_at(&f->y, l->text_y / (HEIGHT - f->top - BOTTOM)),
                l->leader, plain);
    }
    if (to) fputs("1e-30 1e-30 1e-30 1e-30 0 \"-\"\n1e-30 1e-30 1e-30 1e-30 0 \"-\"\n", to);
    bg_gnuplot_end(g, to);
}

static void write_axes(const fronts *f, bg_gnuplot *g, int basis)
{
    const struct { const char *name; double value; } numbers[] = {
        {"HEIGHT", HEIGHT}, {"LEFT", LEFT}, {"RIGHT", RIGHT}, {"TOP", f->top}, {"BOTTOM", BOTTOM},
        {"XMIN", f->x.low}, {"XMAX", f->x.high}, {"YMIN", f->y.low}, {"YMAX", f->y.high},
        {"QUALITY", f->quality}, {"BASIS", basis}, {"UNIT", f->unit},
    };
    FILE *x = bg_gnuplot_data(g, "xticks.dat"), *y = bg_gnuplot_data(g, "yticks.dat");
    if (x) write_ticks(x, f->x.low, f->x.high, 8);
    if (y) write_ticks(y, f->y.low, f->y.high, 9);
    bg_gnuplot_end(g, x);
    bg_gnuplot_end(g, y);
    for (size_t i = 0; i < BG_COUNT(numbers); i++)
        bg_gnuplot_number(g, numbers[i].name, numbers[i].value);
}

static bool plot_front(const cmp *c, bg_gnuplot *g)
{
    const char *tests[MOST_PANELS];
    bool drawn = false;
    fronts *f = bg_alloc(1, sizeof *f);
    if (f && choose_tests(c, tests) > 0) {
        f->quality = same_quality(c);
        f->top = 68 + legend_height(c, 0);
        f->unit = 1e6;
        for (size_t i = 0; i < c->n_pairs; i++)
            if (bg_row_number(c->pairs[i].base, BG_COL_WEIGHT_BYTES) > 2e9) f->unit = 1e9;
        add_points(c, f, tests[0]);
        drawn = f->n > 2;
    }
    if (drawn) {
        FILE *title = bg_gnuplot_data(g, "title.dat");
        qsort(f->points, f->n, sizeof *f->points, by_x);
        find_axes(f);
        place_names(f);
        write_sides(c, g, 0);
        write_points(c, f, g);
        write_labels(f, g);
        write_axes(f, g, f->quality ? (int)bg_advice_basis(c->sides[0].advice) : 0);
        if (title) write_title(title, tests[0]);
        bg_gnuplot_end(g, title);
    }
    bg_free(f);
    return drawn;
}

/* Speeds over threads. */

enum { MOST_COUNTS = 64 };

/* A scheme that all sides measured if there is one, and of these the first one's pick. */
static const char *scheme_of(const cmp *c)
{
    const char *best = NULL;
    int score = 0;
    for (size_t k = 0; k < c->schemes.n; k++) {
        const char *scheme = c->schemes.list[k];
        const bg_advice *a = c->sides[0].advice;
        int has = 0, several = 0, counts[MOST_COUNTS], one;
        for (size_t s = 0; s < c->n; s++)
            for (size_t t = 0; t < c->tests.n; t++) {
                size_t n = bg_cmp_threads(&c->sides[s], scheme, c->tests.list[t], counts,
                                          MOST_COUNTS);
                has += bg_cmp_shared(c, c->tests.list[t]) && n > 0;
                several |= bg_cmp_shared(c, c->tests.list[t]) && n > 1;
            }
        one = several * (2 * has + (a && bg_cmp_same(bg_advice_pick(a)->scheme, scheme)));
        if (one > score) best = scheme, score = one;
    }
    return best;
}

/* threads tps low high */
static void write_line(const cmp_side *s, FILE *f, const char *scheme, const char *test,
                       double ends[4])
{
    int counts[MOST_COUNTS];
    size_t n = bg_cmp_threads(s, scheme, test, counts, MOST_COUNTS);
    for (size_t i = 0; i < n; i++) {
        const bg_row *row = bg_cmp_fastest(s, scheme, test, NULL, counts[i]);
        double tps = bg_row_number(row, BG_COL_TPS), low = bg_row_number(row, BG_COL_TPS_LOW);
        double high = bg_row_number(row, BG_COL_TPS_HIGH);
        if (!(low > 0 && high > 0)) low = high = tps;
        fprintf(f, "%d %.9g %.9g %.9g\n", counts[i], tps, low, high);
        ends[0] = BG_MIN(ends[0], counts[i]);
        ends[1] = BG_MAX(ends[1], counts[i]);
        ends[2] = BG_MIN(ends[2], low);
        ends[3] = BG_MAX(ends[3], high);
    }
}

static bool plot_threads(const cmp *c, bg_gnuplot *g)
{
    const char *tests[MOST_PANELS], *scheme = scheme_of(c);
    size_t n = BG_MIN(choose_tests(c, tests), (size_t)COLUMNS);
    char plain[32];
    FILE *panels, *f;
    if (!scheme || n == 0) return false;
    panels = bg_gnuplot_data(g, "panels.dat");
    for (size_t p = 0; p < n && panels; p++) {
        double ends[] = {INFINITY, 0, INFINITY, 0};
        for (size_t s = 0; s < c->n; s++) {
            f = open_data(g, "line%zu-%zu.dat", p, s);
            if (f) write_line(&c->sides[s], f, scheme, tests[p], ends);
            if (f) fputs("\n1e-30 1e-30 1e-30 1e-30\n", f);
            bg_gnuplot_end(g, f);
        }
        write_title(panels, tests[p]);
        fprintf(panels, " %.9g %.9g %.9g %.9g\n", ends[0] / 1.15, ends[1] * 1.15, ends[2] / 1.2,
                ends[3] * 1.2);
        f = open_data(g, "xticks%zu.dat", p, 0);
        for (int k = 1; f && k <= 1 << 20; k *= 2)
            if (k >= ends[0] && k <= ends[1]) fprintf(f, "%d \"%d\"\n", k, k);
        bg_gnuplot_end(g, f);
        f = open_data(g, "yticks%zu.dat", p, 0);
        if (f) write_ticks(f, ends[2] / 1.2, ends[3] * 1.2, 7);
        bg_gnuplot_end(g, f);
    }
    bg_gnuplot_end(g, panels);
    f = bg_gnuplot_data(g, "title.dat");
    bg_report_plain(plain, sizeof plain, scheme);
    if (f) fprintf(f, "\"%s\"\n", plain);
    bg_gnuplot_end(g, f);
    write_sides(c, g, 0);
    bg_gnuplot_number(g, "PANELS", (double)n);
    bg_gnuplot_number(g, "HEIGHT", 420 + legend_height(c, 0));
    return true;
}

/* All of them. */

static const struct {
    const char *name, *alt, *caption;
    bool (*data)(const cmp *c, bg_gnuplot *g);
} plots[CMP_PLOTS] = {
    {"compare-speedup", "Bars: the speed of each scheme relative to the first folder's",
     "Speed relative to the first folder, on a logarithmic axis, with 95 % intervals of the ratio. "
     "Grey: the (largest) noise floor around 1. Pale bars: differences that chance or the noise "
     "floor could have made, or that have no interval. The numbers are in the tables of speeds.",
     plot_speedup},
    {"compare-front", "Points: the schemes of each folder, its Pareto front as a line",
     "The Pareto front of each folder: names stand at the schemes that no other one of it beats in "
     "both. Losses below 0.0001 are drawn at 0.0001.", plot_front},
    {"compare-threads", "Lines: speed against the number of threads, one a folder",
     "Speed over threads, both axes logarithmic, with 95 % intervals. Dotted: twice the threads, "
     "twice the speed.", plot_threads},
};

static void remove_drawing(const char *dir, const char *name)
{
    static const char *const types[] = {"svg", "png"};
    for (size_t t = 0; t < BG_COUNT(types); t++) {
        char file[64], *path;
        snprintf(file, sizeof file, "%s.%s", name, types[t]);
        path = bg_path_join(dir, file);
        if (path) unlink(path);
        bg_free(path);
    }
}

bg_status bg_cmp_draw(cmp *c, const char *dir, bg_error *err)
{
    bg_gnuplot *g = NULL;
    bg_status status = BG_OK;
    for (size_t i = 0; i < CMP_PLOTS; i++) remove_drawing(dir, plots[i].name);
    for (size_t i = 0; i < CMP_PLOTS && status == BG_OK; i++) {
        bool has;
        status = bg_gnuplot_open(&g, dir, err);
        if (status != BG_OK) break;
        has = plots[i].data(c, g);
        status = bg_gnuplot_check(g, err);
        if (status == BG_OK && has) status = bg_gnuplot_run(g, plots[i].name, plots[i].name, err);
        c->drawn[i] = has && status == BG_OK;
        bg_gnuplot_close(&g);
    }
    if (status != BG_ERR_UNSUPPORTED) return status;
    snprintf(c->plot_problem, sizeof c->plot_problem, "%s %.440s", err->where, err->message);
    bg_log(BG_LOG_WARN, "the report lacks drawings: %s", c->plot_problem);
    return BG_OK;
}

void bg_cmp_figures(const cmp *c, doc *d)
{
    static const char *const headings[CMP_PLOTS] = {"Speed-ups", "Pareto fronts", "Threads"};
    if (c->plot_problem[0]) bg_doc_text(d, "There are no drawings: %s.", c->plot_problem);
    for (size_t i = 0; i < CMP_PLOTS; i++) {
        if (!c->drawn[i]) continue;
        bg_doc_heading(d, 2, "%s", headings[i]);
        bg_doc_figure(d, plots[i].name, plots[i].alt, plots[i].caption);
    }
}
