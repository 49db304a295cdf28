#include "isa/neon/neon.h"

#include "base/base.h"

#if defined(__aarch64__)

#include <sys/auxv.h>

static bool present(void) { return getauxval(AT_HWCAP) >> 1 & 1; /* asimd */ }

const bg_isa_code bg_isa_code_neon = {
    .present = present,
    .encode_q8_0 = bg_neon_encode_q8_0,
    .encode_q8_k = bg_neon_encode_q8_k,
    .attend = bg_neon_attend,
    .vec = &bg_vecops_neon,
};

#else

static bool absent(void) { return false; }

const bg_isa_code bg_isa_code_neon = {.present = absent};

#endif
