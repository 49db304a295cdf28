/* NEON: 4 lanes. */
#include "isa/vecops.h"

#ifdef __aarch64__

#include "base/base.h"

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 4 };

/* exp(x) = 2^n * exp(r) with |r| <= ln(2) / 2, the latter by Taylor's series to r^7, whose rest is
 * below 1e-8. Under -87.3 it is 0, over 88.3 the value there; not a number stays that. */
INLINE float32x4_t exp4(float32x4_t x)
{
    static const float series[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    const float32x4_t low = vdupq_n_f32(-87.3f), high = vdupq_n_f32(88.3f);
    uint32x4_t small = vcltq_f32(x, low);
    float32x4_t n, r, p = vdupq_n_f32(1.0f / 5040);
    int32x4_t power;
    x = vminq_f32(high, vmaxq_f32(low, x));
    n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    for (size_t i = 0; i < BG_COUNT(series); i++) p = vfmaq_f32(vdupq_n_f32(series[i]), p, r);
    power = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);
    p = vmulq_f32(p, vreinterpretq_f32_s32(power));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), small));
}

/* The last n <= LANES floats, and zeros behind them. */
INLINE float32x4_t load_some(const float *p, size_t n)
{
    float some[LANES] = {0};
    memcpy(some, p, n * sizeof *p);
    return vld1q_f32(some);
}

INLINE void store_some(float *p, float32x4_t x, size_t n)
{
    float some[LANES];
    vst1q_f32(some, x);
    memcpy(p, some, n * sizeof *p);
}

static void add(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(x + i, vaddq_f32(vld1q_f32(x + i), vld1q_f32(y + i)));
    for (; i < n; i++) x[i] += y[i];
}

static void scale(float *x, float factor, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vst1q_f32(x + i, vmulq_n_f32(vld1q_f32(x + i), factor));
    for (; i < n; i++) x[i] *= factor;
}

static float max(const float *x, size_t n)
{
    float32x4_t m = vdupq_n_f32(x[0]);
    float result;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) m = vmaxq_f32(m, vld1q_f32(x + i));
    result = vmaxvq_f32(m);
    for (; i < n; i++)
        if (x[i] > result) result = x[i];
    return result;
}

static float exp_sum(float *x, float m, size_t n)
{
    const float32x4_t top = vdupq_n_f32(m);
    float32x4_t sum = vdupq_n_f32(0), e;
    float rest[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        e = exp4(vsubq_f32(vld1q_f32(x + i), top));
        vst1q_f32(x + i, e);
        sum = vaddq_f32(sum, e);
    }
    store_some(rest, exp4(vsubq_f32(load_some(x + i, n - i), top)), n - i);
    memcpy(x + i, rest, (n - i) * sizeof *x);
    return vaddvq_f32(vaddq_f32(sum, vld1q_f32(rest)));
}

static void rmsnorm(const float *x, const float *weight, float *out, float eps, size_t n)
{
    float32x4_t sum[4], v;
    float factor, rest = 0;
    size_t i = 0;
    for (size_t j = 0; j < 4; j++) sum[j] = vdupq_n_f32(0);
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        for (size_t j = 0; j < 4; j++) {
            v = vld1q_f32(x + i + j * LANES);
            sum[j] = vfmaq_f32(sum[j], v, v);
        }
    }
    for (; i < n; i++) rest += x[i] * x[i];
    sum[0] = vaddq_f32(vaddq_f32(sum[0], sum[1]), vaddq_f32(sum[2], sum[3]));
    factor = 1.0f / sqrtf((vaddvq_f32(sum[0]) + rest) / (float)n + eps);
    for (i = 0; i + LANES <= n; i += LANES)
        vst1q_f32(out + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), factor), vld1q_f32(weight + i)));
    for (; i < n; i++) out[i] = x[i] * factor * weight[i];
}

/* x / (1 + exp(-y)) */
INLINE float32x4_t sigmoid4(float32x4_t x, float32x4_t y)
{
    return vdivq_f32(x, vaddq_f32(vdupq_n_f32(1.0f), exp4(vnegq_f32(y))));
}

INLINE float32x4_t silu4(float32x4_t x) { return sigmoid4(x, x); }

INLINE float32x4_t gelu4(float32x4_t x)
{
    float32x4_t slope = vfmaq_f32(vdupq_n_f32(BG_GELU_A), vmulq_n_f32(x, BG_GELU_B), x);
    return sigmoid4(x, vmulq_f32(x, slope));
}

/* tanh(x) = 2 / (1 + exp(-2x)) - 1 */
INLINE float32x4_t cap4(float32x4_t x, float cap)
{
    x = sigmoid4(vdupq_n_f32(2.0f), vmulq_n_f32(x, 2.0f / cap));
    return vfmaq_n_f32(vdupq_n_f32(-cap), x, cap);
}

/* out = activate(gate) * up */
INLINE void gated(const float *gate, const float *up, float *out, size_t n,
                  float32x4_t activate(float32x4_t x))
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(out + i, vmulq_f32(activate(vld1q_f32(gate + i)), vld1q_f32(up + i)));
    store_some(out + i, vmulq_f32(activate(load_some(gate + i, n - i)), load_some(up + i, n - i)),
               n - i);
}

static void silu_mul(const float *gate, const float *up, float *out, size_t n)
{
    gated(gate, up, out, n, silu4);
}

static void gelu_mul(const float *gate, const float *up, float *out, size_t n)
{
    gated(gate, up, out, n, gelu4);
}

static void soft_cap(float *x, float cap, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vst1q_f32(x + i, cap4(vld1q_f32(x + i), cap));
    store_some(x + i, cap4(load_some(x + i, n - i), cap), n - i);
}

/* (a cos - b sin, b cos + a sin) of two pairs. */
INLINE float32x4_t rope4(float32x4_t x, float32x4_t turn)
{
    const float32x4_t sign = {-1, 1, -1, 1};
    float32x4_t other = vmulq_f32(vmulq_f32(vrev64q_f32(x), vtrn2q_f32(turn, turn)), sign);
    return vfmaq_f32(other, x, vtrn1q_f32(turn, turn));
}

static void rope(float *x, const float *turn, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vst1q_f32(x + i, rope4(vld1q_f32(x + i), vld1q_f32(turn + i)));
    store_some(x + i, rope4(load_some(x + i, n - i), load_some(turn + i, n - i)), n - i);
}

static void rope_halves(float *x, const float *turn, size_t n)
{
    size_t half = n / 2;
    for (size_t i = 0; i < half; i += LANES) {
        size_t some = BG_MIN(half - i, (size_t)LANES);
        float32x4_t a = load_some(x + i, some), b = load_some(x + half + i, some);
        float32x4_t c = load_some(turn + i, some), s = load_some(turn + half + i, some);
        store_some(x + i, vfmsq_f32(vmulq_f32(a, c), b, s), some);
        store_some(x + half + i, vfmaq_f32(vmulq_f32(a, s), b, c), some);
    }
}

static void to_f16(const float *in, uint16_t *out, size_t n)
{
    size_t i = 0;
    float16x4_t half;
    for (; i + LANES <= n; i += LANES) {
        half = vcvt_f16_f32(vld1q_f32(in + i));
        vst1_u16(out + i, vreinterpret_u16_f16(half));
    }
    half = vcvt_f16_f32(load_some(in + i, n - i));
    memcpy(out + i, &half, (n - i) * sizeof *out);
}

const bg_vecops bg_vecops_neon = {
    .add = add, .scale = scale, .max = max, .exp_sum = exp_sum, .rmsnorm = rmsnorm,
    .silu_mul = silu_mul, .gelu_mul = gelu_mul, .soft_cap = soft_cap, .rope = rope,
    .rope_halves = rope_halves, .to_f16 = to_f16,
};

#endif
