#ifdef __ARM_FEATURE_DOTPROD

#include "isa/neon/vector.h"

#include "isa/dotprod/dotprod.h"

#define BG_SET(op, name) bg_dotprod_##op##_##name
#include "isa/template/small_formats.h"

#endif
