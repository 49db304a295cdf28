/* kernels.h: what the files of this room share, and what its tests reach into. Internal. */
#ifndef BG_KERNELS_H
#define BG_KERNELS_H

#include "isa/isa.h"

/* What each folder of src/isa handed in, by bg_isa. */
extern const bg_isa_code *const bg_isa_codes[BG_ISA_COUNT];

/* The vector operations of the best set among `isa` and what it implies. */
const bg_vecops *bg_vecops_get(bg_isa isa);

/* Runs `trial` in a child process. True when it returned true there; otherwise *reason says what
 * happened, in static memory. */
bool bg_isa_trial(bool (*trial)(const void *user), const void *user, const char **reason);

/* Runs every kernel and encoder of a set on a small problem and compares with REF. Allocates
 * nothing, so it may run in a forked child. user is a bg_isa_code. */
bool bg_isa_smoke(const void *user);

#endif
