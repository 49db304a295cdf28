/* Loops that do nothing but read. Which is fastest depends on the level and the CPU: with or
 * without software prefetch, and how many streams the prefetchers follow. A roof is the best of
 * them. */
#include "machine/isa.h"

#include <string.h>

#if defined(__x86_64__)
#define TARGET(isa) __attribute__((target(isa)))
#else
#define TARGET(isa)
#endif

/* Fetches the line-th cache line of the 8 * BYTES that a step reads. */
#define FETCH(line, BYTES, AHEAD, NEAR) \
    if (AHEAD && 64 * line < 8 * BYTES) __builtin_prefetch(p + AHEAD + 64 * line, 0, NEAR);

/* Each of STREAMS equal parts is read at once, a step of eight vectors of each in turn. AHEAD:
 * bytes to prefetch ahead, 0 for none; NEAR: 3 into the first level, 2 into the second. Sanitizers
 * would measure themselves, so they are kept out. */
#define READ_LOOP(NAME, ISA, BYTES, STREAMS, AHEAD, NEAR)                                     \
    TARGET(ISA) __attribute__((no_sanitize_address, no_sanitize_thread))                      \
    static uint64_t NAME(const void *from, size_t n)                                          \
    {                                                                                         \
        typedef uint64_t vec __attribute__((vector_size(BYTES), may_alias));                  \
        const char *first = from, *end = first + n / STREAMS;                                 \
        vec a = {0}, b = a, c = a, d = a, e = a, f = a, g = a, h = a;                         \
        uint64_t lanes[BYTES / 8], total = 0;                                                 \
        for (; first < end; first += 8 * BYTES) {                                             \
            const char *p = first;                                                            \
            for (int stream = 0; stream < STREAMS; stream++, p += n / STREAMS) {              \
                const vec *v = (const vec *)p;                                                \
                FETCH(0, BYTES, AHEAD, NEAR) FETCH(1, BYTES, AHEAD, NEAR)                     \
                FETCH(2, BYTES, AHEAD, NEAR) FETCH(3, BYTES, AHEAD, NEAR)                     \
                FETCH(4, BYTES, AHEAD, NEAR) FETCH(5, BYTES, AHEAD, NEAR)                     \
                FETCH(6, BYTES, AHEAD, NEAR) FETCH(7, BYTES, AHEAD, NEAR)                     \
                a ^= v[0]; b ^= v[1]; c ^= v[2]; d ^= v[3];                                   \
                e ^= v[4]; f ^= v[5]; g ^= v[6]; h ^= v[7];                                   \
            }                                                                                 \
        }                                                                                     \
        a ^= b ^ c ^ d ^ e ^ f ^ g ^ h;                                                       \
        memcpy(lanes, &a, sizeof lanes);                                                      \
        for (size_t i = 0; i < BYTES / 8; i++) total ^= lanes[i];                             \
        return total;                                                                         \
    }

#define READ_LOOPS(BYTES, ISA)                             \
    READ_LOOP(read_##BYTES, ISA, BYTES, 1, 0, 3)           \
    READ_LOOP(read_##BYTES##_ahead, ISA, BYTES, 1, 4096, 3) \
    READ_LOOP(read_##BYTES##_ahead2, ISA, BYTES, 1, 4096, 2) \
    READ_LOOP(read_##BYTES##_two, ISA, BYTES, 2, 0, 3)     \
    READ_LOOP(read_##BYTES##_four, ISA, BYTES, 4, 0, 3)    \
    READ_LOOP(read_##BYTES##_four_ahead2, ISA, BYTES, 4, 4096, 2)

#define LISTED(BYTES, isa, wide)                  \
    {isa, read_##BYTES, wide, false},             \
    {isa, read_##BYTES##_ahead, wide, false},     \
    {isa, read_##BYTES##_ahead2, wide, true},     \
    {isa, read_##BYTES##_two, wide, true},        \
    {isa, read_##BYTES##_four, wide, true},       \
    {isa, read_##BYTES##_four_ahead2, wide, true},

READ_LOOPS(16, "sse2")
#if defined(__x86_64__)
READ_LOOPS(32, "avx2")
READ_LOOPS(64, "avx512f")
#endif

const bg_read_loop bg_read_loops[] = {
    LISTED(16, "ref", false)
#if defined(__x86_64__)
    LISTED(32, "avx2", true)
    LISTED(64, "avx512", true)
#endif
    {0},
};
