#include "isa/avx2/avx2.h"

#include "base/base.h"
#include "isa/template/rows.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* The compiler's run-time asks CPUID and, for the registers that the operating system must save,
 * XGETBV. Clang 14's does not know f16c. */
static bool present(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

#define BG_SET_ISA BG_ISA_AVX2
#define BG_SET(op, name) bg_avx2_##op##_##name
#define BG_FLOAT(NAME, name) BG_PAIR(NAME, F32, name)
#define BG_SMALL(NAME, name) BG_PAIR(NAME, Q8_0, name)
#define BG_SUPER(NAME, name) BG_PAIR(NAME, Q8_K, name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_avx2 = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .encode_q8_0 = bg_avx2_encode_q8_0,
    .encode_q8_k = bg_avx2_encode_q8_k,
    .attend = bg_avx2_attend,
    .vec = &bg_vecops_avx2,
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_avx2 = {.present = absent};

#endif
