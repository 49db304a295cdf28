#include "isa/avxvnni/avxvnni.h"

#include "base/base.h"

#if defined(__x86_64__)

#include <cpuid.h>

static bool present(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) &&
           __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

#define ROW(NAME, OP, ACTIVATION, run) \
    {BG_FORMAT_##NAME, BG_OP_##OP, BG_ISA_AVXVNNI, BG_TIER_TMPL, BG_FORMAT_##ACTIVATION, run},
#define BG_SMALL(NAME, name) \
    ROW(NAME, GEMV, Q8_0, bg_avxvnni_gemv_##name) ROW(NAME, GEMM, Q8_0, bg_avxvnni_gemm_##name)
#define BG_SUPER(NAME, name) \
    ROW(NAME, GEMV, Q8_K, bg_avxvnni_gemv_##name) ROW(NAME, GEMM, Q8_K, bg_avxvnni_gemm_##name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_avxvnni = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_avxvnni = {.present = absent};

#endif
