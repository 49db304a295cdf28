#ifdef __AVX512BW__

#include "isa/avx512/vector.h"

#include "isa/avx512/avx512.h"

#define BG_SET(op, name) bg_avx512_##op##_##name
#include "isa/template/small_formats.h"

#endif
