/* bitgauge/kernel.h: the registry of compute kernels and their run-time dispatch.
 *
 * A kernel multiplies rows of a quantized matrix with columns of activations:
 *     y[c][r] = sum over k of W[r][k] * x[c][k]
 * A registry row is (format, op, instruction set, tier). REF is the scalar definition; every
 * other row is checked against it before it may be timed.
 */
#ifndef BITGAUGE_KERNEL_H
#define BITGAUGE_KERNEL_H

#include "bitgauge/format.h"

#include <stdbool.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lines of isas.def, in order of preference. */
typedef enum bg_isa {
#define BG_ISA(NAME, name, PARENT, title) BG_ISA_##NAME,
#include "bitgauge/isas.def"
    BG_ISA_COUNT
} bg_isa;

typedef enum bg_tier { BG_TIER_REF, BG_TIER_GENERIC, BG_TIER_TMPL, BG_TIER_HAND } bg_tier;
typedef enum bg_op { BG_OP_GEMV, BG_OP_GEMM, BG_OP_COUNT } bg_op; /* one column; several */

typedef struct bg_matmul {
    const void *w;       /* the packed panel (format.h) that row 0 opens, 32-byte aligned */
    size_t panel_bytes;  /* from panel to panel */
    const void *x;       /* column 0, encoded in the kernel's activation format */
    size_t x_stride;     /* bytes from column to column; columns are 64-byte aligned */
    float *y;            /* result of row 0, column 0 */
    size_t y_stride;     /* floats from column to column */
    size_t k;            /* row length, a multiple of the format's block */
    size_t rows, cols;   /* any number >= 1; no row of y is written but these */
} bg_matmul;

typedef void bg_matmul_fn(const bg_matmul *args);

typedef struct bg_kernel {
    bg_format format;
    bg_op op;            /* a GEMV kernel ignores cols (it is 1) */
    bg_isa isa;
    bg_tier tier;
    bg_format activation; /* of its columns: Q8_0, Q8_K, F32 or BF16 */
    bg_matmul_fn *run;
} bg_kernel;

const char *bg_isa_name(bg_isa isa);                  /* "avx2" */
const char *bg_tier_name(bg_tier tier);               /* "tmpl" */
const char *bg_op_name(bg_op op);                     /* "gemv" */

/* Instruction sets that this CPU has and that passed a small checked kernel in a child process
 * (tried once, cached). *reason (may be NULL) says why a set is out: "not in this CPU", "faulted",
 * "gave a wrong result". */
bool bg_isa_usable(bg_isa isa, const char **reason);

/* Makes bg_format_encode use the widest instruction set that works here; each is tried first, in a
 * child. The blocks are the same without, but take several times as long. */
void bg_encoders_choose(void);

/* "native" is the best usable set; else a name from isas.def. A set that is not usable is an
 * input error that says why. */
bg_status bg_isa_parse(const char *name, bg_isa *isa, bg_error *err);

/* The registry, in order; NULL past the end. */
const bg_kernel *bg_kernel_at(size_t i);
/* The set whose kernels a set falls back on: avx2's is ref. ref's is ref. */
bg_isa bg_isa_parent(bg_isa isa);
/* The best kernel of a format and op among `isa` and its ancestors. Never NULL for a weight
 * format. */
const bg_kernel *bg_kernel_find(bg_format format, bg_op op, bg_isa isa);

/* Encodes one column of k floats as a kernel's activation format asks, with the fastest code of
 * isa. The result is bg_activation_bytes(activation, k) bytes. Identical for every isa, bit for
 * bit. */
void bg_activation_encode(bg_format activation, bg_isa isa, const float *in, void *out, size_t k);
/* A multiple of 64, for BF16 an odd one, so that neighbouring columns fall into other cache
 * sets. */
size_t bg_activation_bytes(bg_format activation, size_t k);

/* Precision of what matrices read: what the kernels of their formats take, or a simulated one, for
 * engines that multiply in fewer bits. F16: each number a half. Q8, Q6, Q4: as whole numbers up to
 * 127, 31, 7 times a scale, a half, for each 32 of them; Q8 is what Q8_0 holds. Kernels of floats
 * then multiply them, so nothing follows for the speed of an engine that did. */
typedef enum bg_activations {
    BG_ACTIVATIONS_OWN, BG_ACTIVATIONS_F16, BG_ACTIVATIONS_Q8, BG_ACTIVATIONS_Q6,
    BG_ACTIVATIONS_Q4, BG_ACTIVATIONS_COUNT
} bg_activations;
const char *bg_activations_name(bg_activations a);           /* "q4"; NULL of OWN */
bg_activations bg_activations_find(const char *name);        /* OWN: there is none of that name */
/* Any but OWN. `in` and `out` may be the same; a block with a number that is not finite becomes
 * NaN. */
void bg_activations_round(bg_activations a, const float *in, float *out, size_t n);
/* The best of isa and its ancestors whose kernels of float formats read floats. */
bg_isa bg_activations_isa(bg_isa isa);

/* Checks kernels against REF on random, extreme and denormal inputs, for `cols` columns
 * (0: many counts from 1 to 512), formats and isas matching the filters (BG_FORMAT_NONE, -1:
 * all). Prints one line a failure to `out` (may be NULL). */
typedef struct bg_kernel_check { size_t passed, failed; } bg_kernel_check;
bg_status bg_kernel_check_all(bg_format format, int isa, size_t cols, FILE *out,
                              bg_kernel_check *result, bg_error *err);

/* Times a kernel on random inputs on the calling thread: the median of 5 to 1000 runs, no more than
 * it takes to fill `seconds`. The matrix is repeated until it fills `footprint` bytes and each run
 * takes the next copy, so that a footprint of a few times the last cache reads from memory; 0 keeps
 * one copy, which stays in cache if it fits. GEMV takes one column whatever cols says. */
typedef struct bg_kernel_timing {
    double seconds;          /* of one run */
    double weight_gbs;       /* 1e9 bytes of weights read a second */
    double gflops;           /* 1e9 multiplications and additions a second */
    size_t runs;
} bg_kernel_timing;
bg_status bg_kernel_time(const bg_kernel *kernel, size_t rows, size_t k, size_t cols,
                         size_t footprint, double seconds, bg_kernel_timing *timing, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
