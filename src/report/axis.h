/* axis.h: what an axis of a drawing spans. Internal. */
#ifndef BG_REPORT_AXIS_H
#define BG_REPORT_AXIS_H

#include "base/base.h"

#include <math.h>

/* Logarithmic, unless its steps are equal. */
typedef struct bg_axis { double low, high; bool equal; } bg_axis;

/* Before any value. */
static inline bg_axis bg_axis_of(bool equal)
{
    return (bg_axis){INFINITY, 0, equal};
}

static inline void bg_axis_widen(bg_axis *a, double value)
{
    a->low = BG_MIN(a->low, value);
    a->high = BG_MAX(a->high, value);
}

/* Room at both ends: this share of what it spans, or of `least` (a ratio, or where steps are equal
 * a share of the high end) if that is more. */
static inline void bg_axis_pad(bg_axis *a, double least, double share)
{
    double pad = a->equal ? BG_MAX(a->high - a->low, a->high * least) * share
                          : pow(BG_MAX(a->high / a->low, least), share);
    a->low = a->equal ? BG_MAX(0, a->low - pad) : a->low / pad;
    a->high = a->equal ? a->high + pad : a->high * pad;
}

/* 0 at the low end, 1 at the high one; and back. */
static inline double bg_axis_along(const bg_axis *a, double value)
{
    return a->equal ? (value - a->low) / (a->high - a->low)
                    : log(value / a->low) / log(a->high / a->low);
}

static inline double bg_axis_at(const bg_axis *a, double share)
{
    return a->equal ? a->low + share * (a->high - a->low) : a->low * pow(a->high / a->low, share);
}

#endif
