/* iq4.h: the sixteen levels of the IQ4 formats, denser around zero as weights are. Internal. */
#ifndef BG_FORMATS_IQ4_H
#define BG_FORMATS_IQ4_H

#include <stdint.h>

static const float bg_iq4_values[16] __attribute__((aligned(64))) = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
};

#endif
