#ifdef __AVXVNNI__

#include "isa/avx2/vector.h"

#include "isa/avxvnni/avxvnni.h"

#define BG_SET(op, name) bg_avxvnni_##op##_##name
#include "isa/template/small_formats.h"

#endif
