#include "isa/avxvnni/avxvnni.h"

#include "base/base.h"
#include "isa/template/rows.h"

#if defined(__x86_64__)

#include <cpuid.h>

static bool present(void)
{
    unsigned a, b, c, d;
    return bg_isa_code_avx2.present() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

#define BG_SET_ISA BG_ISA_AVXVNNI
#define BG_SET(op, name) bg_avxvnni_##op##_##name
#define BG_SMALL(NAME, name) BG_PAIR(NAME, Q8_0, name)
#define BG_SUPER(NAME, name) BG_PAIR(NAME, Q8_K, name)
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
