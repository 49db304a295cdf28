/* Attention for NEON: keys and values are widened from halves as they are used. */
#include "isa/neon/neon.h"

#ifdef __aarch64__

#include "isa/neon/floats.h"

enum { ATT_TILE = 12, ATT_BITE = 1, ATT_COLUMN = 2, ATT_GRAIN = 1, ATT_TERMS = 1 };

typedef vfloats att_columns, att_bite;

BG_INLINE att_columns att_load(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}
BG_INLINE att_bite att_spread(const char *p)
{
    return vld1q_dup_f32((const float *)(const void *)p);
}
BG_INLINE vfloats att_dot(att_bite x, att_columns w, vfloats sum) { return f_fma(x, w, sum); }

#include "isa/template/attend_product.h"
#define att_product att_vector_product
#define att_set_up att_no_set_up
#include "isa/template/attend_half.h"
#include "isa/template/attend.h"

void bg_neon_attend(const bg_attend *a) { att_run(a); }

#endif
