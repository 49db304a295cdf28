/* isa.h: what the folder of an instruction set hands to the registry. Internal.
 *
 * src/isa/<name>/ holds one set. Its detect.c defines `bg_isa_code_<name>` and is compiled for any
 * CPU; the other files are compiled with the flags that <name>/flags.cmake sets and must not be
 * called unless present() said yes. Together with a line in isas.def that is all a set needs. */
#ifndef BG_ISA_H
#define BG_ISA_H

#include "isa/attend.h"
#include "isa/vecops.h"

/* One column of k floats into BF16 (nearest even), Q8_0 or Q8_K blocks. Every set's code gives the
 * same bytes:
 *   scale d = max|x| / 127 (Q8_0 stores it as f16), q = x * (127 / max|x|) rounded to nearest even;
 *   a block whose max|x| is below BG_ENCODE_TINY is all zero, d too;
 *   a block with a value that is not finite has d = NaN and q = 0, so that the result shows it. */
typedef void bg_encode_fn(const float *in, void *out, size_t k);
#define BG_ENCODE_TINY 0x1p-100f

typedef struct bg_isa_code {
    bool (*present)(void);          /* this CPU and this operating system have it */
    const bg_kernel *kernels;       /* its registry rows */
    size_t n_kernels;
    bg_encode_fn *encode_q8_0;      /* NULL: the parent's */
    bg_encode_fn *encode_q8_k;
    bg_encode_fn *encode_bf16;
    bg_attend_fn *attend;
    const bg_vecops *vec;           /* NULL: the parent's */
} bg_isa_code;

#define BG_ISA(NAME, name, PARENT, title) extern const bg_isa_code bg_isa_code_##name;
#include "bitgauge/isas.def"

#endif
