/* floats.h: the words of src/isa/avx2/floats.h, which says what they mean, for NEON. Internal. */
#ifndef BG_NEON_FLOATS_H
#define BG_NEON_FLOATS_H

#include "isa/inline.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>

enum { FLOATS = 4 };
typedef float32x4_t vfloats;

BG_INLINE vfloats f_all(float x) { return vdupq_n_f32(x); }
BG_INLINE vfloats f_load(const float *p) { return vld1q_f32(p); }
BG_INLINE void f_store(float *p, vfloats a) { vst1q_f32(p, a); }
BG_INLINE vfloats f_add(vfloats a, vfloats b) { return vaddq_f32(a, b); }
BG_INLINE vfloats f_sub(vfloats a, vfloats b) { return vsubq_f32(a, b); }
BG_INLINE vfloats f_mul(vfloats a, vfloats b) { return vmulq_f32(a, b); }
BG_INLINE vfloats f_fma(vfloats a, vfloats b, vfloats c) { return vfmaq_f32(c, a, b); }
BG_INLINE vfloats f_max(vfloats a, vfloats b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
BG_INLINE float f_sum(vfloats a) { return vaddvq_f32(a); }
BG_INLINE bool f_any_above(vfloats a, float b)
{
    return vmaxvq_u32(vcgtq_f32(a, f_all(b))) != 0;
}
BG_INLINE vfloats f_keep(vfloats a, size_t n, vfloats b)
{
    const uint32x4_t lane = {0, 1, 2, 3};
    return vbslq_f32(vcltq_u32(lane, vdupq_n_u32((uint32_t)n)), a, b);
}
BG_INLINE vfloats f_scale2(vfloats p, vfloats n)
{
    uint32x4_t power = vshlq_n_u32(vreinterpretq_u32_f32(n), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), power));
}

#endif
