/* Loops that do nothing but read. With and without software prefetch: which is faster depends on
 * the level and the CPU, and a roof is the best of them. */
#include "machine/isa.h"

#include <string.h>

#if defined(__x86_64__)
#define TARGET(isa) __attribute__((target(isa)))
#else
#define TARGET(isa)
#endif

/* The line-th cache line of the 8 * BYTES that a step reads. */
#define FETCH(line, BYTES, AHEAD) \
    if (AHEAD && 64 * line < 8 * BYTES) __builtin_prefetch(p + AHEAD + 64 * line);

/* Eight accumulators; a step reads eight vectors. AHEAD: bytes to prefetch ahead, 0 for none.
 * Sanitizers would measure themselves, so they are kept out. */
#define READ_LOOP(NAME, ISA, BYTES, AHEAD)                                                    \
    TARGET(ISA) __attribute__((no_sanitize_address, no_sanitize_thread))                      \
    static uint64_t NAME(const void *from, size_t n)                                          \
    {                                                                                         \
        typedef uint64_t vec __attribute__((vector_size(BYTES), may_alias));                  \
        const char *p = from, *end = p + n;                                                   \
        vec a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a;                         \
        uint64_t lanes[BYTES / 8], total = 0;                                                 \
        for (; p < end; p += 8 * BYTES) {                                                     \
            const vec *v = (const vec *)p;                                                    \
            FETCH(0, BYTES, AHEAD) FETCH(1, BYTES, AHEAD) FETCH(2, BYTES, AHEAD)              \
            FETCH(3, BYTES, AHEAD) FETCH(4, BYTES, AHEAD) FETCH(5, BYTES, AHEAD)              \
            FETCH(6, BYTES, AHEAD) FETCH(7, BYTES, AHEAD)                                     \
            a ^= v[0]; b ^= v[1]; c ^= v[2]; d ^= v[3];                                       \
            e ^= v[4]; f ^= v[5]; g ^= v[6]; h ^= v[7];                                       \
        }                                                                                     \
        a ^= b ^ c ^ d ^ e ^ f ^ g ^ h;                                                       \
        memcpy(lanes, &a, sizeof lanes);                                                      \
        for (size_t i = 0; i < BYTES / 8; i++) total ^= lanes[i];                             \
        return total;                                                                         \
    }

READ_LOOP(read_16, "sse2", 16, 0)
READ_LOOP(read_16_ahead, "sse2", 16, 4096)
#if defined(__x86_64__)
READ_LOOP(read_32, "avx2", 32, 0)
READ_LOOP(read_32_ahead, "avx2", 32, 4096)
READ_LOOP(read_64, "avx512f", 64, 0)
READ_LOOP(read_64_ahead, "avx512f", 64, 4096)
#endif

const bg_read_loop bg_read_loops[] = {
    {"ref", read_16, false},
    {"ref", read_16_ahead, false},
#if defined(__x86_64__)
    {"avx2", read_32, true},
    {"avx2", read_32_ahead, true},
    {"avx512", read_64, true},
    {"avx512", read_64_ahead, true},
#endif
    {0},
};
