#include "isa/dotprod/dotprod.h"

#include "base/base.h"
#include "isa/template/rows.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

static bool present(void) { return getauxval(AT_HWCAP) >> 20 & 1; /* asimddp */ }

#define BG_SET_ISA BG_ISA_DOTPROD
#define BG_SET(op, name) bg_dotprod_##op##_##name
#define BG_SMALL(NAME, name) BG_PAIR(NAME, Q8_0, name)
#define BG_SUPER(NAME, name) BG_PAIR(NAME, Q8_K, name)
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
