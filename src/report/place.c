#include "report/place.h"

#include "base/base.h"

#include <math.h>

enum { DIRECTIONS = 16, MAX_LABELS = 256 };

static const double distances[] = {3, 9, 17, 27, 39, 53, 71};

/* Area that two rectangles share; each by centre and size. */
static double overlap(double ax, double ay, double aw, double ah, double bx, double by, double bw,
                      double bh)
{
    double w = BG_MIN(ax + aw / 2, bx + bw / 2) - BG_MAX(ax - aw / 2, bx - bw / 2);
    double h = BG_MIN(ay + ah / 2, by + bh / 2) - BG_MAX(ay - ah / 2, by - bh / 2);
    return w > 0 && h > 0 ? w * h : 0;
}

/* Everything that one placing is judged by. */
typedef struct scene {
    bg_label *labels;
    size_t n, n_obstacles;
    const bg_obstacle *obstacles;
    double width, height;
    bool placed[MAX_LABELS];
} scene;

/* What it costs to put label k here: lying on points, lines and texts, leaving the frame,
 * distance. */
static double cost(const scene *s, size_t k, double x, double y, double distance)
{
    const bg_label *labels = s->labels, *l = &labels[k];
    size_t n = s->n;
    double sum = distance * 4;
    if (x - l->width / 2 < 2 || x + l->width / 2 > s->width - 2) sum += 5000;
    if (y - l->height / 2 < 2 || y + l->height / 2 > s->height - 2) sum += 5000;
    for (size_t i = 0; i < n; i++) {
        sum += 12 * overlap(x, y, l->width, l->height, labels[i].x, labels[i].y,
                            2 * labels[i].radius, 2 * labels[i].radius);
        /* A name nearer to another point than to its own misleads. */
        if (i != k &&
            hypot(x - labels[i].x, (y - labels[i].y) * 2) < distance + l->radius + l->width / 2)
            sum += 25;
        if (s->placed[i])
            sum += 20 * overlap(x, y, l->width + 4, l->height + 1, labels[i].text_x,
                                labels[i].text_y, labels[i].width, labels[i].height);
    }
    for (size_t i = 0; i < s->n_obstacles; i++)
        sum += 6 * overlap(x, y, l->width, l->height, s->obstacles[i].x, s->obstacles[i].y, 3, 3);
    /* The line to it should not run through other points. */
    for (size_t i = 0; i < n && distance > 13; i++) {
        double dx = x - l->x, dy = y - l->y, px = labels[i].x - l->x, py = labels[i].y - l->y;
        double t = (px * dx + py * dy) / (dx * dx + dy * dy);
        if (i == k || t <= 0 || t >= 1) continue;
        if (hypot(px - t * dx, py - t * dy) < labels[i].radius) sum += 150;
    }
    return sum;
}

static void place(scene *s, size_t k)
{
    bg_label *l = &s->labels[k];
    double best = INFINITY;
    for (size_t r = 0; r < BG_COUNT(distances); r++) {
        for (int d = 0; d < DIRECTIONS; d++) {
            double reach = distances[r] + l->radius;
            double angle = 2 * acos(-1.0) * d / DIRECTIONS;
            double x = l->x + cos(angle) * (reach + l->width / 2);
            double y = l->y + sin(angle) * (reach + l->height / 2);
            double c = cost(s, k, x, y, distances[r]);
            if (c >= best) continue;
            best = c;
            l->text_x = x;
            l->text_y = y;
            l->leader = distances[r] > 13;
        }
    }
}

void bg_place_labels(bg_label *labels, size_t n, const bg_obstacle *obstacles, size_t n_obstacles,
                     double frame_width, double frame_height)
{
    scene s = {.labels = labels, .n = BG_MIN(n, (size_t)MAX_LABELS), .obstacles = obstacles,
               .n_obstacles = n_obstacles, .width = frame_width, .height = frame_height};
    double crowd[MAX_LABELS];
    for (size_t i = 0; i < s.n; i++) {
        crowd[i] = 0;
        for (size_t j = 0; j < s.n; j++)
            crowd[i] += j == i ? 0 : 1 / (20 + hypot(labels[i].x - labels[j].x,
                                                     labels[i].y - labels[j].y));
    }
    for (size_t round = 0; round < s.n; round++) {
        size_t next = s.n;
        for (size_t i = 0; i < s.n; i++)
            if (!s.placed[i] && (next == s.n || crowd[i] > crowd[next])) next = i;
        place(&s, next);
        s.placed[next] = true;
    }
    /* A second look, now that all others stand. */
    for (size_t i = 0; i < s.n; i++) {
        s.placed[i] = false;
        place(&s, i);
        s.placed[i] = true;
    }
}
