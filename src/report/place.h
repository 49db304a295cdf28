/* place.h: puts the names of points beside them so that no two overlap. Internal. */
#ifndef BG_REPORT_PLACE_H
#define BG_REPORT_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Pixels, origin at the lower left of the drawing's inner frame. */
typedef struct bg_label {
    double x, y, radius;      /* the point */
    double width, height;     /* of the text */
    double text_x, text_y;    /* out: centre of the text */
    bool leader;              /* out: so far away that a line should join them */
} bg_label;

/* What else is drawn: dots along lines, that names had better not lie on. */
typedef struct bg_obstacle { double x, y; } bg_obstacle;

/* Greedy, deterministic: the most crowded points choose first. */
void bg_place_labels(bg_label *labels, size_t n, const bg_obstacle *obstacles, size_t n_obstacles,
                     double frame_width, double frame_height);

#endif
