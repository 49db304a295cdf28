#include "isa/isa.h"

static bool present(void)
{
#if defined(__x86_64__)
    /* The compiler's run-time asks CPUID and, for the registers that the operating system must
     * save, XGETBV. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
#else
    return false;
#endif
}

const bg_isa_code bg_isa_code_avx2 = {
    .present = present,
#if defined(__x86_64__)
    .vec = &bg_vecops_avx2,
#endif
};
