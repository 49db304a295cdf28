/* isa.h: the instruction sets of this room: which work, and loops that reach their peaks. Internal.
 *
 * The names are those of isas.def where it has them; there are a few more, because people want to
 * know what else the machine offers. */
#ifndef BG_MACHINE_ISA_H
#define BG_MACHINE_ISA_H

#include "base/base.h"

/* Runs n rounds of `ops` operations each (a multiply-add is two) in registers, and returns the sum
 * of all accumulators: n * sum when the CPU computes right, for n up to BG_PEAK_TRIAL. */
typedef struct bg_peak {
    double (*run)(uint64_t n);
    double ops, sum;
} bg_peak;
enum { BG_PEAK_TRIAL = 500 };

enum { BG_EAX, BG_EBX, BG_ECX, BG_EDX };
/* A bit of CPUID, or on aarch64 of the word of the auxiliary vector whose key is `leaf`. */
typedef struct bg_cpu_bit {
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
    const char *name; /* NULL ends a list */
} bg_cpu_bit;

typedef struct bg_isa_probe {
    const char *name, *parent; /* parent: whose peaks it has where it has no own; NULL: none */
    bg_cpu_bit needs[6];
    uint64_t xcr0;        /* register state that the kernel must have enabled */
    bool amx;             /* which must be asked for, too */
    bg_peak flop, int8;   /* run is NULL where the set adds nothing to the one before it */
} bg_isa_probe;

/* Weakest first; a NULL name ends it. Only the first exists everywhere. */
extern const bg_isa_probe bg_isa_probes[];
enum { BG_ISA_PROBES_MAX = 8 };

/* True when it works: present, and its loops ran in a child process and were right. A CPU that
 * lies kills the child only. Else the reason is written. */
bool bg_isa_try(const bg_isa_probe *isa, char *reason, size_t n);

/* Reads n bytes (a multiple of BG_READ_GRAIN, 64-byte aligned) and returns something that depends
 * on all. */
enum { BG_READ_GRAIN = 4096 };
typedef struct bg_read_loop {
    const char *isa; /* the set it needs; NULL ends the list */
    uint64_t (*run)(const void *p, size_t n);
    bool wide;       /* never slower than those that are not */
    bool far;        /* several streams, or fetches into a cache below: for beyond the second
                      * level */
} bg_read_loop;
extern const bg_read_loop bg_read_loops[];

#endif
