/* Attention for AVX2: keys and values are widened from halves as they are used. */
#include "isa/avx2/avx2.h"

#ifdef __AVX2__

#include "isa/avx2/floats.h"

enum { ATT_TILE = 6, ATT_BITE = 1, ATT_COLUMN = 2, ATT_GRAIN = 1, ATT_TERMS = 1 };

typedef vfloats att_columns, att_bite;

BG_INLINE att_columns att_load(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)p));
}
BG_INLINE att_bite att_spread(const char *p)
{
    return _mm256_broadcast_ss((const float *)(const void *)p);
}
BG_INLINE vfloats att_dot(att_bite x, att_columns w, vfloats sum) { return f_fma(x, w, sum); }

#include "isa/template/attend_product.h"
#define att_product att_vector_product
#define att_set_up att_no_set_up
#include "isa/template/attend_half.h"
#include "isa/template/attend.h"

void bg_avx2_attend(const bg_attend *a) { att_run(a); }

#endif
