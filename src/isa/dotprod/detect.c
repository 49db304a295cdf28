#include "isa/dotprod/dotprod.h"

#include "base/base.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

static bool present(void) { return getauxval(AT_HWCAP) >> 20 & 1; /* asimddp */ }

#define ROW(NAME, OP, ACTIVATION, run) \
    {BG_FORMAT_##NAME, BG_OP_##OP, BG_ISA_DOTPROD, BG_TIER_TMPL, BG_FORMAT_##ACTIVATION, run},
#define BG_SMALL(NAME, name) \
    ROW(NAME, GEMV, Q8_0, bg_dotprod_gemv_##name) ROW(NAME, GEMM, Q8_0, bg_dotprod_gemm_##name)
#define BG_SUPER(NAME, name) \
    ROW(NAME, GEMV, Q8_K, bg_dotprod_gemv_##name) ROW(NAME, GEMM, Q8_K, bg_dotprod_gemm_##name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_dotprod = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_dotprod = {.present = absent};

#endif
