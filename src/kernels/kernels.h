/* kernels.h: what the files of this room share, and what its tests reach into. Internal. */
#ifndef BG_KERNELS_H
#define BG_KERNELS_H

#include "base/base.h"
#include "isa/isa.h"

/* What each folder of src/isa handed in, by bg_isa. */
extern const bg_isa_code *const bg_isa_codes[BG_ISA_COUNT];

/* The vector operations of the best set among `isa` and what it implies. */
const bg_vecops *bg_vecops_get(bg_isa isa);
/* And its attention. */
bg_attend_fn *bg_attend_get(bg_isa isa);

/* Runs `trial` in a child process. True when it returned true there; otherwise *reason says what
 * happened, in static memory. */
bool bg_isa_trial(bool (*trial)(const void *user), const void *user, const char **reason);

/* Runs every kernel and encoder of a set on a small problem and compares with REF. Allocates
 * nothing, so it may run in a forked child. user is a bg_isa_code. */
bool bg_isa_smoke(const void *user);

/* Inputs of checks. */
typedef enum bg_input {
    BG_INPUT_RANDOM,   /* any quants, ordinary scales */
    BG_INPUT_EXTREME,  /* all bits set, none, the lowest number; activations all of +-127 */
    BG_INPUT_SCALES,   /* scales that are denormal, the largest, negative, zero */
    BG_INPUT_EXACT,    /* sums that a float holds: every kernel must give the same bits */
    BG_INPUT_COUNT
} bg_input;

/* Fills a row of k weights (GGUF blocks), and a column of k encoded activations. */
void bg_input_weights(const bg_format_info *f, bg_input kind, bg_rng *rng, uint8_t *row, size_t k);
void bg_input_column(bg_format activation, bg_input kind, bg_rng *rng, uint8_t *x, size_t k);

/* Checks one kernel in a child process, so that a fault is a failed case; see
 * bg_kernel_check_all. */
bg_status bg_kernel_check_one(const bg_kernel *kernel, size_t cols, FILE *out,
                              bg_kernel_check *result, bg_error *err);

#endif
