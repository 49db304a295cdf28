/* ahead.h: how kernels ask for weights that come from memory before they use them. Internal.
 *
 * What a CPU's own prefetchers leave to be done differs by vendor: bench/kernels-log.md has what
 * was measured. Reading past the end of a matrix is harmless here. */
#ifndef BG_ISA_AHEAD_H
#define BG_ISA_AHEAD_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes ahead; 0: not asked for. Far is into the second cache, near into the first. */
typedef struct bg_ahead {
    const char *vendor;      /* as CPUID spells it; NULL: any other */
    size_t super_far;        /* formats of 256 weights: */
    bool super_spread;       /* a bit before each group of a block, or the whole block at once */
    size_t small_far, small_near;
    size_t float_far, float_near;
} bg_ahead;

extern const bg_ahead *bg_ahead_here;
/* Chooses for this CPU. Before any kernel runs. */
void bg_ahead_choose(void);

#endif
