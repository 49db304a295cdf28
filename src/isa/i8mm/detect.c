#include "isa/i8mm/i8mm.h"

#include "base/base.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

static bool present(void)
{
    return (getauxval(AT_HWCAP) >> 20 & 1) && (getauxval(AT_HWCAP2) >> 13 & 1); /* asimddp, i8mm */
}

#define ROW(NAME, ACTIVATION, run) \
    {BG_FORMAT_##NAME, BG_OP_GEMM, BG_ISA_I8MM, BG_TIER_TMPL, BG_FORMAT_##ACTIVATION, run},
#define BG_SMALL(NAME, name) ROW(NAME, Q8_0, bg_i8mm_gemm_##name)
#define BG_SUPER(NAME, name) ROW(NAME, Q8_K, bg_i8mm_gemm_##name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_i8mm = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_i8mm = {.present = absent};

#endif
