/* plot_scatter.c: quality loss against size, and against decode speed. */
#include "report/axis.h"
#include "report/place.h"
#include "report/report.h"

#include <math.h>
#include <string.h>

/* The inner frame of the drawing in pixels; the script places it there. */
enum { WIDTH = 860, HEIGHT = 620, LEFT = 84, RIGHT = 20, TOP = 84, BOTTOM = 66 };

/* Losses below this are drawn on the lowest line: nobody could tell them apart. */
static const double lossless = 1e-4;

typedef struct point {
    const bg_candidate *c;
    double x, loss, y;             /* y: loss, or the lowest line */
    bool front;
    char name[48];
} point;

typedef struct scatter {
    point *points;
    bg_label *labels;
    size_t n;
    bg_axis x, y;
} scatter;

void bg_report_letters(char *out, size_t n, const char *text, const char *also, char other)
{
    size_t k = 0;
    for (; *text && k + 1 < n; text++) {
        bool fine = (*text >= 'A' && *text <= 'Z') || (*text >= 'a' && *text <= 'z') ||
                    (*text >= '0' && *text <= '9') || strchr(also, *text);
        out[k++] = fine ? *text : other;
    }
    out[k] = 0;
}

void bg_report_plain(char *out, size_t n, const char *name)
{
    bg_report_letters(out, n, name, "_.+-", '?');
}

static void add_point(scatter *s, const bg_candidate *c, double x)
{
    point *p = &s->points[s->n];
    char number[32];
    /* Useless schemes are far away from all others, and would squeeze them together. */
    if (!(x > 0) || isnan(c->loss) || c->loss > BG_ADVISE_USELESS_KLD) return;
    p->c = c;
    p->x = x;
    p->loss = c->loss;
    p->y = BG_MAX(c->loss, lossless);
    bg_report_plain(p->name, 32, c->scheme);
    if (c->loss < lossless) {
        size_t used = strlen(p->name);
        bg_report_number(number, sizeof number, c->loss);
        snprintf(p->name + used, sizeof p->name - used, " (%s)", number);
    }
    s->n++;
}

/* Nobody else is at least as good on both. */
static void find_size_front(scatter *s)
{
    for (size_t i = 0; i < s->n; i++) {
        point *p = &s->points[i];
        p->front = true;
        for (size_t j = 0; j < s->n; j++) {
            const point *q = &s->points[j];
            if (q->x <= p->x && q->loss <= p->loss && (q->x < p->x || q->loss < p->loss))
                p->front = false;
        }
    }
}

static void find_axes(scatter *s)
{
    for (size_t i = 0; i < s->n; i++) {
        bg_axis_widen(&s->x, s->points[i].x);
        bg_axis_widen(&s->y, s->points[i].y);
    }
    bg_axis_pad(&s->x, s->x.equal ? 0.1 : 1.2, 0.07);
    bg_axis_pad(&s->y, 1.5, 0.06);
}

/* The next point of the front to the right of x; NULL at the end. */
static const point *next_on_front(const scatter *s, double x)
{
    const point *next = NULL;
    for (size_t i = 0; i < s->n; i++)
        if (s->points[i].front && s->points[i].x > x && (!next || s->points[i].x < next->x))
            next = &s->points[i];
    return next;
}

static double pixel_x(const scatter *s, double x)
{
    return (WIDTH - LEFT - RIGHT) * bg_axis_along(&s->x, x);
}

static double pixel_y(const scatter *s, double y)
{
    return (HEIGHT - TOP - BOTTOM) * bg_axis_along(&s->y, y);
}

/* Dots along the front's line, a few pixels apart. */
static size_t trace_front(const scatter *s, bg_obstacle *dots, size_t max)
{
    const point *a = next_on_front(s, -INFINITY), *b;
    size_t n = 0;
    for (; a && (b = next_on_front(s, a->x)); a = b) {
        double x = pixel_x(s, a->x), y = pixel_y(s, a->y);
        double dx = pixel_x(s, b->x) - x, dy = pixel_y(s, b->y) - y, length = hypot(dx, dy);
        for (double t = 4; t < length && n < max; t += 4, n++)
            dots[n] = (bg_obstacle){x + dx * t / length, y + dy * t / length};
    }
    return n;
}

static void place_names(const report *r, scatter *s)
{
    bg_obstacle dots[512];
    for (size_t i = 0; i < s->n; i++) {
        s->labels[i].x = pixel_x(s, s->points[i].x);
        s->labels[i].y = pixel_y(s, s->points[i].y);
        s->labels[i].radius = s->points[i].c == bg_advice_pick(r->advice) ? 15 : 7;
        s->labels[i].width = 7.4 * (double)strlen(s->points[i].name);
        s->labels[i].height = 14;
    }
    bg_place_labels(s->labels, s->n, dots, trace_front(s, dots, BG_COUNT(dots)),
                    WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
}

/* x y level pick text-x text-y leader "name" low high: the last two are the interval of x as far as
 * the drawing shows it, or x twice. */
static bool write_points(const report *r, const scatter *s, bg_gnuplot *g)
{
    double w = WIDTH - LEFT - RIGHT, h = HEIGHT - TOP - BOTTOM;
    unsigned levels = 0;
    FILE *f = bg_gnuplot_data(g, "points.dat");
    if (!f) return false;
    for (size_t i = 0; i < s->n; i++) {
        const point *p = &s->points[i];
        const bg_label *l = &s->labels[i];
        bool sure = !s->x.equal || isnan(p->c->tg_low) || isnan(p->c->tg_high);
        double low = sure ? p->x : BG_MAX(p->c->tg_low, s->x.low);
        double high = sure ? p->x : BG_MIN(p->c->tg_high, s->x.high);
        fprintf(f, "%.9g %.9g %d %d %.9g %.9g %d \"%s\" %.9g %.9g\n", p->x, p->y,
                bg_report_level(p->c), p->c == bg_advice_pick(r->advice),
                bg_axis_at(&s->x, l->text_x / w),
                bg_axis_at(&s->y, l->text_y / h), l->leader, p->name, low, high);
        levels |= bg_report_level_bit(p->c);
    }
    bg_gnuplot_number(g, "LEVEL_BITS", levels);
    return bg_gnuplot_end(g, f);
}

static bool write_front(const scatter *s, bg_gnuplot *g)
{
    FILE *f = bg_gnuplot_data(g, "front.dat");
    const point *p = next_on_front(s, -INFINITY);
    if (!f) return false;
    for (; p; p = next_on_front(s, p->x)) fprintf(f, "%.9g %.9g\n", p->x, p->y);
    return bg_gnuplot_end(g, f);
}

/* A round number, 1, 2 or 5 times a power of ten, not above x. */
static double round_step(double x)
{
    double decade = pow(10, floor(log10(x)));
    return decade * (x >= 5 * decade ? 5 : x >= 2 * decade ? 2 : 1);
}

/* Round numbers for the logarithmic axis of sizes: by steps of their own over about a decade, by
 * equal ones over little. */
static bool write_ticks(const scatter *s, bg_gnuplot *g)
{
    static const double steps[] = {1, 1.5, 2, 3, 4, 5, 6, 8};
    double equal = round_step((s->x.high - s->x.low) / 3);
    FILE *f = bg_gnuplot_data(g, "ticks.dat");
    if (!f) return false;
    if (s->x.high < 2.5 * s->x.low)
        for (double v = ceil(s->x.low / equal) * equal; v <= s->x.high; v += equal)
            fprintf(f, "%.9g \"%g\"\n", v, v);
    else
        for (int e = -3; e < 9; e++)
            for (size_t i = 0; i < BG_COUNT(steps); i++) {
                double v = steps[i] * pow(10, e);
                if (v >= s->x.low && v <= s->x.high) fprintf(f, "%.9g \"%g\"\n", v, v);
            }
    return bg_gnuplot_end(g, f);
}

static bool draw(const report *r, bg_gnuplot *g, scatter *s)
{
    static const struct { const char *name; double value; } frame[] = {
        {"WIDTH", WIDTH}, {"HEIGHT", HEIGHT}, {"LEFT", LEFT}, {"RIGHT", RIGHT}, {"TOP", TOP},
        {"BOTTOM", BOTTOM},
    };
    if (s->n < 2) return false;
    find_axes(s);
    place_names(r, s);
    for (size_t i = 0; i < BG_COUNT(frame); i++)
        bg_gnuplot_number(g, frame[i].name, frame[i].value);
    bg_gnuplot_number(g, "XMIN", s->x.low);
    bg_gnuplot_number(g, "XMAX", s->x.high);
    bg_gnuplot_number(g, "YMIN", s->y.low);
    bg_gnuplot_number(g, "YMAX", s->y.high);
    bg_gnuplot_number(g, "BASIS", bg_advice_basis(r->advice));
    bg_gnuplot_number(g, "FLOOR", lossless);
    return write_points(r, s, g) && write_front(s, g) && write_ticks(s, g);
}

static bool scatter_plot(const report *r, bg_gnuplot *g, bool by_size)
{
    double unit = 1e6;
    scatter s = {.x = bg_axis_of(!by_size), .y = bg_axis_of(false)};
    bool drawn = false;
    s.points = bg_alloc(r->n_schemes, sizeof *s.points);
    s.labels = bg_alloc(r->n_schemes, sizeof *s.labels);
    for (size_t i = 0; i < r->n_schemes; i++)
        if (r->schemes[i]->weight_bytes > 2e9) unit = 1e9;
    for (size_t i = 0; s.points && s.labels && i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        add_point(&s, c, by_size ? c->weight_bytes / unit : c->tg_tps);
    }
    if (s.points && s.labels) {
        if (by_size) find_size_front(&s);
        for (size_t i = 0; i < s.n && !by_size; i++) s.points[i].front = s.points[i].c->on_front;
        bg_gnuplot_number(g, "UNIT", unit);
        drawn = draw(r, g, &s);
    }
    bg_free(s.points);
    bg_free(s.labels);
    return drawn;
}

bool bg_plot_size(const report *r, bg_gnuplot *g) { return scatter_plot(r, g, true); }
bool bg_plot_trade(const report *r, bg_gnuplot *g) { return scatter_plot(r, g, false); }
