/* iq4.h: the sixteen levels of the IQ4 formats, denser around zero as weights are. */
#ifndef BG_FORMATS_IQ4_H
#define BG_FORMATS_IQ4_H

#include <stdint.h>

static const int8_t bg_iq4_levels[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

#endif
