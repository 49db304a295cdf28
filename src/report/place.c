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

/* What it costs to put label k here: lying on points and texts, leaving the frame, distance. */
static double cost(const bg_label *labels, const bool *placed, size_t n, size_t k, double x,
                   double y, double distance, double frame_width, double frame_height)
{
    const bg_label *l = &labels[k];
    double sum = distance * 4;
    if (x - l->width / 2 < 2 || x + l->width / 2 > frame_width - 2) sum += 5000;
    if (y - l->height / 2 < 2 || y + l->height / 2 > frame_height - 2) sum += 5000;
    for (size_t i = 0; i < n; i++) {
        sum += 12 * overlap(x, y, l->width, l->height, labels[i].x, labels[i].y, 2 * labels[i].radius,
                            2 * labels[i].radius);
        /* A name nearer to another point than to its own misleads. */
        if (i != k && hypot(x - labels[i].x, (y - labels[i].y) * 2) < distance + l->radius + l->width / 2)
            sum += 25;
        if (placed[i])
            sum += 20 * overlap(x, y, l->width + 4, l->height + 1, labels[i].text_x,
                                labels[i].text_y, labels[i].width, labels[i].height);
    }
    /* The line to it should not run through other points. */
    for (size_t i = 0; i < n && distance > 13; i++) {
        double dx = x - l->x, dy = y - l->y, px = labels[i].x - l->x, py = labels[i].y - l->y;
        double t = (px * dx + py * dy) / (dx * dx + dy * dy);
        if (i == k || t <= 0 || t >= 1) continue;
        if (hypot(px - t * dx, py - t * dy) < labels[i].radius) sum += 150;
    }
    return sum;
}

static void place(bg_label *labels, const bool *placed, size_t n, size_t k, double frame_width,
                  double frame_height)
{
    bg_label *l = &labels[k];
    double best = INFINITY;
    for (size_t r = 0; r < BG_COUNT(distances); r++) {
        for (int d = 0; d < DIRECTIONS; d++) {
            double reach = distances[r] + l->radius;
            double angle = 2 * acos(-1.0) * d / DIRECTIONS;
            double x = l->x + cos(angle) * (reach + l->width / 2);
            double y = l->y + sin(angle) * (reach + l->height / 2);
            double c = cost(labels, placed, n, k, x, y, distances[r], frame_width, frame_height);
            if (c >= best) continue;
            best = c;
            l->text_x = x;
            l->text_y = y;
            l->leader = distances[r] > 13;
        }
    }
}

void bg_place_labels(bg_label *labels, size_t n, double frame_width, double frame_height)
{
    bool placed[MAX_LABELS] = {false};
    double crowd[MAX_LABELS];
    n = BG_MIN(n, (size_t)MAX_LABELS);
    for (size_t i = 0; i < n; i++) {
        crowd[i] = 0;
        for (size_t j = 0; j < n; j++)
            crowd[i] += j == i ? 0 : 1 / (20 + hypot(labels[i].x - labels[j].x, labels[i].y - labels[j].y));
    }
    for (size_t round = 0; round < n; round++) {
        size_t next = n;
        for (size_t i = 0; i < n; i++)
            if (!placed[i] && (next == n || crowd[i] > crowd[next])) next = i;
        place(labels, placed, n, next, frame_width, frame_height);
        placed[next] = true;
    }
    /* A second look, now that all others stand. */
    for (size_t i = 0; i < n; i++) {
        placed[i] = false;
        place(labels, placed, n, i, frame_width, frame_height);
        placed[i] = true;
    }
}
