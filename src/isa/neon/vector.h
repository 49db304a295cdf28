/* vector.h: the words of src/isa/avx2/vector.h, which says what they mean, for NEON, dotprod and
 * i8mm. Internal.
 *
 * A vector has 4 rows of the packed layout; VECTORS of them are a panel's row of units. Weights that
 * are unsigned stay below 128, so that they are right as signed bytes, too. */
#ifndef BG_NEON_VECTOR_H
#define BG_NEON_VECTOR_H

#include "isa/blocks.h"
#include "isa/inline.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>

typedef int32x4_t vint;
typedef float32x4_t vflt;

BG_INLINE vint v_of_s8(int8x16_t a) { return vreinterpretq_s32_s8(a); }
BG_INLINE vint v_of_u8(uint8x16_t a) { return vreinterpretq_s32_u8(a); }
BG_INLINE vint v_of_s16(int16x8_t a) { return vreinterpretq_s32_s16(a); }
BG_INLINE int8x16_t v_s8(vint a) { return vreinterpretq_s8_s32(a); }
BG_INLINE uint8x16_t v_u8(vint a) { return vreinterpretq_u8_s32(a); }
BG_INLINE int16x8_t v_s16(vint a) { return vreinterpretq_s16_s32(a); }

BG_INLINE vint v_load(const void *p) { return v_of_u8(vld1q_u8(p)); }
BG_INLINE void v_store(void *p, vint a) { vst1q_u8(p, v_u8(a)); }
BG_INLINE vint v_spread(const void *p)
{
    int x;
    memcpy(&x, p, sizeof x);
    return vdupq_n_s32(x);
}
BG_INLINE void v_prefetch(const void *p) { __builtin_prefetch(p); }

BG_INLINE vint v_zero(void) { return vdupq_n_s32(0); }
BG_INLINE vint v_all8(int x) { return v_of_s8(vdupq_n_s8((int8_t)x)); }
BG_INLINE vint v_all16(int x) { return v_of_s16(vdupq_n_s16((int16_t)x)); }
BG_INLINE vint v_all32(int x) { return vdupq_n_s32(x); }
BG_INLINE vint v_and(vint a, vint b) { return vandq_s32(a, b); }
BG_INLINE vint v_or(vint a, vint b) { return vorrq_s32(a, b); }
BG_INLINE vint v_xor(vint a, vint b) { return veorq_s32(a, b); }
BG_INLINE vint v_add8(vint a, vint b) { return v_of_s8(vaddq_s8(v_s8(a), v_s8(b))); }
BG_INLINE vint v_sub8(vint a, vint b) { return v_of_s8(vsubq_s8(v_s8(a), v_s8(b))); }
BG_INLINE vint v_add16(vint a, vint b) { return v_of_s16(vaddq_s16(v_s16(a), v_s16(b))); }
BG_INLINE vint v_add32(vint a, vint b) { return vaddq_s32(a, b); }
BG_INLINE vint v_sub32(vint a, vint b) { return vsubq_s32(a, b); }
BG_INLINE vint v_mul32(vint a, vint b) { return vmulq_s32(a, b); }
BG_INLINE vint v_shift_left32(vint a, int n) { return a << n; }
BG_INLINE vint v_shift(vint a, int n) /* an operator takes a constant where an intrinsic would not */
{
    return v_of_u8(n < 0 ? v_u8(a) >> -n : v_u8(a) << n);
}
BG_INLINE vint v_look_up(const void *table, vint i)
{
    return v_of_u8(vqtbl1q_u8(vld1q_u8(table), v_u8(i)));
}
BG_INLINE vint v_above(vint a, int b)
{
    return v_of_u8(vshrq_n_u8(vcgtq_u8(v_u8(a), vdupq_n_u8((uint8_t)b)), 7));
}

/* The parts of 16 units that belong to vector v, widened. */
BG_INLINE int16x8_t v_widen_8(int8x16_t a, int high)
{
    return high ? vmovl_high_s8(a) : vmovl_s8(vget_low_s8(a));
}
BG_INLINE vint v_widen_16(int16x8_t a, int high)
{
    return high ? vmovl_high_s16(a) : vmovl_s16(vget_low_s16(a));
}
BG_INLINE vint v_bytes(const void *p, int v)
{
    return v_widen_16(v_widen_8(vld1q_s8(p), v / 2), v % 2);
}
BG_INLINE vint v_byte_pairs(const void *p, int v)
{
    int8x16_t a = vld1q_s8(p), b = vld1q_s8((const int8_t *)p + 16);
    return v_of_s16(v_widen_8(v / 2 ? vzip2q_s8(a, b) : vzip1q_s8(a, b), v % 2));
}
BG_INLINE vflt v_halves(const void *p, int v)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t *)p + 8 * v)));
}

BG_INLINE vflt v_float(vint a) { return vcvtq_f32_s32(a); }
BG_INLINE vflt v_all(float x) { return vdupq_n_f32(x); }
BG_INLINE vflt v_load_floats(const float *p) { return vld1q_f32(p); }
BG_INLINE void v_store_floats(float *p, vflt a) { vst1q_f32(p, a); }
BG_INLINE vflt v_mul(vflt a, vflt b) { return vmulq_f32(a, b); }
BG_INLINE vflt v_add(vflt a, vflt b) { return vaddq_f32(a, b); }
BG_INLINE vflt v_sub(vflt a, vflt b) { return vsubq_f32(a, b); }
BG_INLINE vflt v_fma(vflt a, vflt b, vflt c) { return vfmaq_f32(c, a, b); }
BG_INLINE vflt v_fnma(vflt a, vflt b, vflt c) { return vfmsq_f32(c, a, b); }

BG_INLINE float v_half(const uint8_t *p)
{
    return vgetq_lane_f32(vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(bg_load_u16(p)))), 0);
}
BG_INLINE int v_sum_s8(const void *p)
{
    return vaddlvq_s8(vld1q_s8(p)) + vaddlvq_s8(vld1q_s8((const int8_t *)p + 16));
}
BG_INLINE void v_sums_of_32(const uint8_t *bsums, int16_t out[8])
{
    vint a = v_load(bsums), b = v_load(bsums + 16);
    vst1q_s16(out, vpaddq_s16(v_s16(a), v_s16(b)));
}

#endif
