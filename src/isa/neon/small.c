#ifdef __aarch64__

#define BG_WHOLE_SUMS
#include "isa/neon/vector.h"

#include "isa/neon/neon.h"

#define BG_SET(op, name) bg_neon_##op##_##name
#include "isa/template/small_formats.h"

#endif
