#include "isa/neon/neon.h"

#include "base/base.h"
#include "isa/template/rows.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

static bool present(void) { return getauxval(AT_HWCAP) >> 1 & 1; /* asimd */ }

#define BG_SET_ISA BG_ISA_NEON
#define BG_SET(op, name) bg_neon_##op##_##name
#define BG_FLOAT(NAME, name) BG_PAIR(NAME, F32, name)
#define BG_SMALL(NAME, name) BG_PAIR(NAME, Q8_0, name)
#define BG_SUPER(NAME, name) BG_PAIR(NAME, Q8_K, name)
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
