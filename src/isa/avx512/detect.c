#include "isa/avx512/avx512.h"

#include "base/base.h"
#include "isa/template/rows.h"

#if defined(__x86_64__)

static bool present(void)
{
    return bg_isa_code_avx2.present() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

#define BG_SET_ISA BG_ISA_AVX512
#define BG_SET(op, name) bg_avx512_##op##_##name
#define BG_FLOAT(NAME, name) BG_PAIR(NAME, F32, name)
#define BG_SMALL(NAME, name) BG_PAIR(NAME, Q8_0, name)
#define BG_SUPER(NAME, name) BG_PAIR(NAME, Q8_K, name)
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
