/* vector.h: the words of src/isa/avx2/vector.h, which says what they mean, for NEON, dotprod and
 * i8mm. Internal.
 *
 * A vector has 4 rows of the packed layout; VECTORS of them are a panel's row of units. Weights
 * that are unsigned stay below 128, so that they are right as signed bytes, too. */
#ifndef BG_NEON_VECTOR_H
#define BG_NEON_VECTOR_H

#include "isa/blocks.h"
#include "isa/inline.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>

typedef int32x4_t vint;
typedef float32x4_t vflt;
typedef struct vpair { int16x4_t first, second; } vpair;
/* Without an instruction that adds up four products, they are added as they are in 16 bits; with
 * BG_WHOLE_SUMS, where too few would fit, with twice the work in 32. */
#if defined(__ARM_FEATURE_DOTPROD) || defined(BG_WHOLE_SUMS)
typedef int32x4_t vsum;
enum { LANES = 4, VECTORS = 4, REGISTERS = 32, SUMS = 1, LARGEST = 127, FITS = INT32_MAX };
#else
typedef struct vsum { int16x8_t low, high; } vsum;
enum { LANES = 4, VECTORS = 4, REGISTERS = 32, SUMS = 4, LARGEST = 127, FITS = INT16_MAX };
#endif

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
BG_INLINE void v_prefetch_far(const void *p)
{
    __asm__ volatile("prfm pldl2keep, %a0" : : "p"(p));
}

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
BG_INLINE vint v_shift(vint a, int n) /* an operator takes a constant where an intrinsic would
                                       * not */
{
    return v_of_u8(n < 0 ? v_u8(a) >> -n : v_u8(a) << n);
}
BG_INLINE vint v_field(vint a, int at, int n)
{
    vint moved = at ? v_shift(a, -at) : a;
    return at + n == 8 ? moved : v_and(moved, v_all8((1 << n) - 1));
}
BG_INLINE vint v_load_same(const void *p) { return v_load(p); }
BG_INLINE vint v_look_up(vint table, vint i) { return v_of_u8(vqtbl1q_u8(v_u8(table), v_u8(i))); }
BG_INLINE vint v_above(vint a, int b)
{
    return v_of_u8(vshrq_n_u8(vcgtq_u8(v_u8(a), vdupq_n_u8((uint8_t)b)), 7));
}

BG_INLINE vsum v_dot(vsum acc, vint w, vint x)
{
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(acc, v_s8(w), v_s8(x));
#elif defined(BG_WHOLE_SUMS)
    int16x8_t low = vmull_s8(vget_low_s8(v_s8(w)), vget_low_s8(v_s8(x)));
    return vpadalq_s16(acc, vpaddq_s16(low, vmull_high_s8(v_s8(w), v_s8(x))));
#else
    acc.low = vmlal_s8(acc.low, vget_low_s8(v_s8(w)), vget_low_s8(v_s8(x)));
    acc.high = vmlal_high_s8(acc.high, v_s8(w), v_s8(x));
    return acc;
#endif
}
BG_INLINE vsum v_dot_signed(vsum acc, vint w, vint x) { return v_dot(acc, w, x); }
#if defined(__ARM_FEATURE_DOTPROD) || defined(BG_WHOLE_SUMS)
BG_INLINE vsum v_none(void) { return v_zero(); }
BG_INLINE vint v_sum_32(vsum sums) { return sums; }
#else
BG_INLINE vsum v_none(void) { return (vsum){vdupq_n_s16(0), vdupq_n_s16(0)}; }
BG_INLINE vint v_sum_32(vsum sums)
{
    return vpaddq_s32(vpaddlq_s16(sums.low), vpaddlq_s16(sums.high));
}
#endif

/* The parts of 16 bytes that belong to vector v, widened. */
BG_INLINE int16x4_t v_widen(int8x16_t a, int v)
{
    int16x8_t wide = v / 2 ? vmovl_high_s8(a) : vmovl_s8(vget_low_s8(a));
    return v % 2 ? vget_high_s16(wide) : vget_low_s16(wide);
}
BG_INLINE vint v_bytes(const void *p, int v) { return vmovl_s16(v_widen(vld1q_s8(p), v)); }
BG_INLINE vpair v_byte_pairs(const void *p, int v)
{
    return (vpair){v_widen(vld1q_s8(p), v), v_widen(vld1q_s8((const int8_t *)p + 16), v)};
}
BG_INLINE vint v_dot_16(vint acc, vint a, vint b)
{
    int32x4_t low = vmull_s16(vget_low_s16(v_s16(a)), vget_low_s16(v_s16(b)));
    return vaddq_s32(acc, vpaddq_s32(low, vmull_high_s16(v_s16(a), v_s16(b))));
}
BG_INLINE vint v_dot_pairs(vint acc, vpair pair, const int16_t *two)
{
    return vmlal_n_s16(vmlal_n_s16(acc, pair.first, two[0]), pair.second, two[1]);
}
BG_INLINE vint v_factor(const void *p, int v) { return v_bytes(p, v); }
BG_INLINE vint v_scaled(vint acc, vsum sums, vint factor)
{
    return vmlaq_s32(acc, v_sum_32(sums), factor);
}
BG_INLINE vflt v_halves(const void *p, int v)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t *)p + 8 * v)));
}

BG_INLINE vflt v_bfloats(const void *p, int v)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16((const uint16_t *)p + LANES * v), 16));
}

BG_INLINE vflt v_bits(vint a) { return vreinterpretq_f32_s32(a); }
BG_INLINE vflt v_float(vint a) { return vcvtq_f32_s32(a); }
BG_INLINE vflt v_all(float x) { return vdupq_n_f32(x); }
BG_INLINE vflt v_load_floats(const float *p) { return vld1q_f32(p); }
BG_INLINE vflt v_spread_pair(const float p[2])
{
    return vcombine_f32(vld1_f32(p), vld1_f32(p));
}
BG_INLINE void v_store_floats(float *p, vflt a) { vst1q_f32(p, a); }
BG_INLINE vflt v_mul(vflt a, vflt b) { return vmulq_f32(a, b); }
BG_INLINE vflt v_add(vflt a, vflt b) { return vaddq_f32(a, b); }
BG_INLINE vflt v_sub(vflt a, vflt b) { return vsubq_f32(a, b); }
BG_INLINE vflt v_fma(vflt a, vflt b, vflt c) { return vfmaq_f32(c, a, b); }
BG_INLINE vflt v_fnma(vflt a, vflt b, vflt c) { return vfmsq_f32(c, a, b); }

BG_INLINE void v_interleave(vflt a, vflt b, vflt out[2])
{
    out[0] = vzip1q_f32(a, b);
    out[1] = vzip2q_f32(a, b);
}
BG_INLINE vflt v_add_pairs(vflt a, vflt b) { return vpaddq_f32(a, b); }

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

BG_INLINE int v_sum_16(const uint8_t *bsums)
{
    return vaddlvq_s16(v_s16(v_load(bsums))) + vaddlvq_s16(v_s16(v_load(bsums + 16)));
}

#endif
