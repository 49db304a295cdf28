#include "isa/neon/neon.h"

#include "base/base.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

static bool present(void) { return getauxval(AT_HWCAP) >> 1 & 1; /* asimd */ }

#define ROW(NAME, OP, ACTIVATION, run) \
    {BG_FORMAT_##NAME, BG_OP_##OP, BG_ISA_NEON, BG_TIER_TMPL, BG_FORMAT_##ACTIVATION, run},
#define BG_FLOAT(NAME, name) \
    ROW(NAME, GEMV, F32, bg_neon_gemv_##name) ROW(NAME, GEMM, F32, bg_neon_gemm_##name)
#define BG_SMALL(NAME, name) \
    ROW(NAME, GEMV, Q8_0, bg_neon_gemv_##name) ROW(NAME, GEMM, Q8_0, bg_neon_gemm_##name)
#define BG_SUPER(NAME, name) \
    ROW(NAME, GEMV, Q8_K, bg_neon_gemv_##name) ROW(NAME, GEMM, Q8_K, bg_neon_gemm_##name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_neon = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .encode_q8_0 = bg_neon_encode_q8_0,
    .encode_q8_k = bg_neon_encode_q8_k,
    .attend = bg_neon_attend,
    .vec = &bg_vecops_neon,
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_neon = {.present = absent};

#endif
