/* iq4.h: the sixteen levels of the IQ4 formats, denser around zero as weights are. Internal. */
#ifndef BG_FORMATS_IQ4_H
#define BG_FORMATS_IQ4_H

#include <stdint.h>

static const int8_t bg_iq4_levels[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

/* The level nearest to (i - 256) / 2 and whatever follows up to the next i. */
static const float bg_iq4_nearest[512] = {
    [0 ... 24] = -127,   [25 ... 68] = -104,  [69 ... 107] = -83,  [108 ... 141] = -65,
    [142 ... 171] = -49, [172 ... 198] = -35, [199 ... 223] = -22, [224 ... 246] = -10,
    [247 ... 269] = 1,   [270 ... 293] = 13,  [294 ... 318] = 25,  [319 ... 346] = 38,
    [347 ... 377] = 53,  [378 ... 413] = 69,  [414 ... 457] = 89,  [458 ... 511] = 113,
};

/* The index of a level. */
static inline uint8_t bg_iq4_index(int level)
{
    uint8_t k = 0;
    while (bg_iq4_levels[k] < level) k++;
    return k;
}

#endif
