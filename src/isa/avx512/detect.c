#include "isa/avx512/avx512.h"

#include "base/base.h"

#if defined(__x86_64__)

static bool present(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

#define ROW(NAME, OP, ACTIVATION, run) \
    {BG_FORMAT_##NAME, BG_OP_##OP, BG_ISA_AVX512, BG_TIER_TMPL, BG_FORMAT_##ACTIVATION, run},
#define BG_FLOAT(NAME, name) \
    ROW(NAME, GEMV, F32, bg_avx512_gemv_##name) ROW(NAME, GEMM, F32, bg_avx512_gemm_##name)
#define BG_SMALL(NAME, name) \
    ROW(NAME, GEMV, Q8_0, bg_avx512_gemv_##name) ROW(NAME, GEMM, Q8_0, bg_avx512_gemm_##name)
#define BG_SUPER(NAME, name) \
    ROW(NAME, GEMV, Q8_K, bg_avx512_gemv_##name) ROW(NAME, GEMM, Q8_K, bg_avx512_gemm_##name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_avx512 = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .encode_q8_0 = bg_avx512_encode_q8_0,
    .encode_q8_k = bg_avx512_encode_q8_k,
    .encode_bf16 = bg_avx512_encode_bf16,
    .vec = &bg_vecops_avx512,
    .attend = bg_avx512_attend,
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_avx512 = {.present = absent};

#endif
