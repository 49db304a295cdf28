#include "isa/ahead.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const bg_ahead choices[] = {
    {"GenuineIntel", .super_far = 8192, .super_spread = true, .small_far = 8192, .small_near = 2048,
     .float_far = 8192, .float_near = 2048},
    {NULL, .super_far = 16384, .small_near = 4096, .float_near = 4096},
};
const bg_ahead *bg_ahead_here = &choices[sizeof choices / sizeof *choices - 1];

void bg_ahead_choose(void)
{
#if defined(__x86_64__)
    unsigned a, name[4] = {0};
    if (!__get_cpuid(0, &a, &name[0], &name[2], &name[1])) return;
    for (bg_ahead_here = choices; bg_ahead_here->vendor; bg_ahead_here++)
        if (memcmp(bg_ahead_here->vendor, name, 12) == 0) return;
#endif
}
