#ifdef __AVX2__

#include "isa/avx2/vector.h"

#include "isa/avx2/avx2.h"

#define BG_SET(op, name) bg_avx2_##op##_##name
#include "isa/template/small_formats.h"

#endif
