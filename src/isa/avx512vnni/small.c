#ifdef __AVX512VNNI__

#include "isa/avx512/vector.h"

#include "isa/avx512vnni/avx512vnni.h"

#define BG_SET(op, name) bg_avx512vnni_##op##_##name
#include "isa/template/small_formats.h"

#endif
