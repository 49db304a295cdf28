#include "isa/avx512vnni/avx512vnni.h"

#include "base/base.h"
#include "isa/template/rows.h"

#if defined(__x86_64__)

static bool present(void)
{
    return bg_isa_code_avx512.present() && __builtin_cpu_supports("avx512vnni");
}

#define BG_SET_ISA BG_ISA_AVX512VNNI
#define BG_SET(op, name) bg_avx512vnni_##op##_##name
#define BG_SMALL(NAME, name) BG_PAIR(NAME, Q8_0, name)
#define BG_SUPER(NAME, name) BG_PAIR(NAME, Q8_K, name)
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

const bg_isa_code bg_isa_code_avx512vnni = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_avx512vnni = {.present = absent};

#endif
