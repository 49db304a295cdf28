#ifdef __aarch64__

#include "isa/neon/neon.h"

#include "base/base.h"
#include "isa/blocks.h"

#include <arm_neon.h>
#include <math.h>

/* 127 over the largest magnitude of n floats; *d is the block's scale. 0 where all q are 0. */
static inline float block_factor(const float *in, int n, float *d)
{
    float32x4_t largest = vdupq_n_f32(0);
    uint32x4_t finite = vdupq_n_u32(~0u);
    float m;
    for (int i = 0; i < n; i += 4) {
        float32x4_t x = vabsq_f32(vld1q_f32(in + i));
        largest = vmaxq_f32(largest, x);
        finite = vandq_u32(finite, vcltq_f32(x, vdupq_n_f32(INFINITY)));
    }
    *d = NAN;
    if (vminvq_u32(finite) == 0) return 0;
    m = vmaxvq_f32(largest);
    *d = 0;
    if (m < BG_ENCODE_TINY) return 0;
    *d = m / 127.0f;
    return 127.0f / m;
}

/* 16 floats to bytes. A factor of 0 comes with values that may not be finite. */
static inline int8x16_t quantize(const float *in, float factor)
{
    int16x8_t half[2];
    if (factor == 0) return vdupq_n_s8(0);
    for (int i = 0; i < 2; i++) {
        int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(in + 8 * i), factor));
        int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(in + 8 * i + 4), factor));
        half[i] = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
    }
    return vcombine_s8(vmovn_s16(half[0]), vmovn_s16(half[1]));
}

void bg_neon_encode_q8_0(const float *in, void *out, size_t k)
{
    bg_block_q8_0 *b = out;
    for (size_t i = 0; i < k / 32; i++, in += 32) {
        float d, factor = block_factor(in, 32, &d);
        float16x4_t half = vcvt_f16_f32(vdupq_n_f32(d));
        memcpy(b[i].d, &half, 2);
        vst1q_s8(b[i].qs, quantize(in, factor));
        vst1q_s8(b[i].qs + 16, quantize(in + 16, factor));
    }
}

void bg_neon_encode_q8_k(const float *in, void *out, size_t k)
{
    bg_block_q8_k *b = out;
    for (size_t i = 0; i < k / 256; i++) {
        float d, factor = block_factor(in, 256, &d);
        memcpy(b[i].d, &d, 4);
        for (int s = 0; s < 16; s++, in += 16) {
            int8x16_t q = quantize(in, factor);
            int16_t sum = vaddlvq_s8(q);
            vst1q_s8(b[i].qs + 16 * s, q);
            memcpy(b[i].bsums + 2 * s, &sum, 2);
        }
    }
}

#endif
