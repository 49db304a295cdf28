#ifdef __aarch64__

#include "isa/neon/vector.h"

#include "isa/neon/neon.h"

#define BG_SET(op, name) bg_neon_##op##_##name
#include "isa/template/float_formats.h"

#endif
