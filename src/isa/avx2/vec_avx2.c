/* AVX2 with FMA and F16C: 8 lanes. */
#include "isa/vecops.h"

#ifdef __AVX2__

#include <immintrin.h>
#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

INLINE float sum8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* All ones in the first n lanes. */
INLINE __m256i first_lanes(size_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lane);
}

/* exp(x) = 2^n * exp(r) with |r| <= ln(2) / 2, the latter by Taylor's series to r^7, whose rest is
 * below 1e-8. Under -87.3 it is 0, over 88.3 the value there; not a number stays that. */
INLINE __m256 exp8(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.3f), high = _mm256_set1_ps(88.3f);
    const __m256 ln2_head = _mm256_set1_ps(0.693359375f);
    const __m256 ln2_rest = _mm256_set1_ps(-2.12194440e-4f);
    __m256 small = _mm256_cmp_ps(x, low, _CMP_LT_OQ), n, r, p, power;
    x = _mm256_min_ps(high, _mm256_max_ps(low, x));
    n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    r = _mm256_fnmadd_ps(n, ln2_rest, _mm256_fnmadd_ps(n, ln2_head, x));
    p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    power = _mm256_castsi256_ps(_mm256_slli_epi32(
        _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
    return _mm256_andnot_ps(small, _mm256_mul_ps(p, power));
}

static void add(float *x, const float *y, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++) x[i] += y[i];
}

static void scale(float *x, float factor, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(factor)));
    for (; i < n; i++) x[i] *= factor;
}

static float max(const float *x, size_t n)
{
    __m256 m = _mm256_set1_ps(x[0]);
    __m128 h;
    float result;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) m = _mm256_max_ps(m, _mm256_loadu_ps(x + i));
    h = _mm_max_ps(_mm256_castps256_ps128(m), _mm256_extractf128_ps(m, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    result = _mm_cvtss_f32(_mm_max_ss(h, _mm_movehdup_ps(h)));
    for (; i < n; i++)
        if (x[i] > result) result = x[i];
    return result;
}

static float exp_sum(float *x, float m, size_t n)
{
    const __m256 top = _mm256_set1_ps(m);
    __m256 sum = _mm256_setzero_ps(), e;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        e = exp8(_mm256_sub_ps(_mm256_loadu_ps(x + i), top));
        _mm256_storeu_ps(x + i, e);
        sum = _mm256_add_ps(sum, e);
    }
    if (i < n) {
        __m256i some = first_lanes(n - i);
        e = exp8(_mm256_sub_ps(_mm256_maskload_ps(x + i, some), top));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(some));
        _mm256_maskstore_ps(x + i, some, e);
        sum = _mm256_add_ps(sum, e);
    }
    return sum8(sum);
}

static void rmsnorm(const float *x, const float *weight, float *out, float eps, size_t n)
{
    __m256 a = _mm256_setzero_ps(), b = a, v;
    float factor, rest = 0;
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        v = _mm256_loadu_ps(x + i);
        a = _mm256_fmadd_ps(v, v, a);
        v = _mm256_loadu_ps(x + i + LANES);
        b = _mm256_fmadd_ps(v, v, b);
    }
    for (; i < n; i++) rest += x[i] * x[i];
    factor = 1.0f / sqrtf((sum8(_mm256_add_ps(a, b)) + rest) / (float)n + eps);
    for (i = 0; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i),
                                                              _mm256_set1_ps(factor)),
                                                _mm256_loadu_ps(weight + i)));
    for (; i < n; i++) out[i] = x[i] * factor * weight[i];
}

/* x / (1 + exp(-y)) */
INLINE __m256 sigmoid8(__m256 x, __m256 y)
{
    const __m256 one = _mm256_set1_ps(1.0f), sign = _mm256_set1_ps(-0.0f);
    return _mm256_div_ps(x, _mm256_add_ps(one, exp8(_mm256_xor_ps(y, sign))));
}

INLINE __m256 silu8(__m256 x) { return sigmoid8(x, x); }

INLINE __m256 gelu8(__m256 x)
{
    const __m256 a = _mm256_set1_ps(BG_GELU_A), b = _mm256_set1_ps(BG_GELU_B);
    return sigmoid8(x, _mm256_mul_ps(x, _mm256_fmadd_ps(_mm256_mul_ps(b, x), x, a)));
}

/* tanh(x) = 2 / (1 + exp(-2x)) - 1 */
INLINE __m256 cap8(__m256 x, float cap)
{
    const __m256 slope = _mm256_set1_ps(2.0f / cap), height = _mm256_set1_ps(cap);
    x = sigmoid8(_mm256_set1_ps(2.0f), _mm256_mul_ps(x, slope));
    return _mm256_fmsub_ps(x, height, height);
}

/* out = activate(gate) * up */
INLINE void gated(const float *gate, const float *up, float *out, size_t n,
                  __m256 activate(__m256 x))
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(activate(_mm256_loadu_ps(gate + i)),
                                                _mm256_loadu_ps(up + i)));
    if (i < n) {
        __m256i some = first_lanes(n - i);
        _mm256_maskstore_ps(out + i, some,
                            _mm256_mul_ps(activate(_mm256_maskload_ps(gate + i, some)),
                                          _mm256_maskload_ps(up + i, some)));
    }
}

static void silu_mul(const float *gate, const float *up, float *out, size_t n)
{
    gated(gate, up, out, n, silu8);
}

static void gelu_mul(const float *gate, const float *up, float *out, size_t n)
{
    gated(gate, up, out, n, gelu8);
}

static void soft_cap(float *x, float cap, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(x + i, cap8(_mm256_loadu_ps(x + i), cap));
    if (i < n) {
        __m256i some = first_lanes(n - i);
        _mm256_maskstore_ps(x + i, some, cap8(_mm256_maskload_ps(x + i, some), cap));
    }
}

INLINE __m256 rope8(__m256 x, __m256 turn)
{
    __m256 other = _mm256_mul_ps(_mm256_permute_ps(x, 0xb1), _mm256_movehdup_ps(turn));
    return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(turn), other);
}

static void rope(float *x, const float *turn, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_ps(x + i, rope8(_mm256_loadu_ps(x + i), _mm256_loadu_ps(turn + i)));
    if (i < n) {
        __m256i some = first_lanes(n - i);
        _mm256_maskstore_ps(x + i, some, rope8(_mm256_maskload_ps(x + i, some),
                                               _mm256_maskload_ps(turn + i, some)));
    }
}

static void rope_halves(float *x, const float *turn, size_t n)
{
    size_t half = n / 2;
    for (size_t i = 0; i < half; i += LANES) {
        __m256i some = first_lanes(half - i);
        __m256 a = _mm256_maskload_ps(x + i, some), b = _mm256_maskload_ps(x + half + i, some);
        __m256 c = _mm256_maskload_ps(turn + i, some);
        __m256 s = _mm256_maskload_ps(turn + half + i, some);
        _mm256_maskstore_ps(x + i, some, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
        _mm256_maskstore_ps(x + half + i, some, _mm256_fmadd_ps(a, s, _mm256_mul_ps(b, c)));
    }
}

static void to_f16(const float *in, uint16_t *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        _mm_storeu_si128((__m128i *)(void *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < n; i++) out[i] = _cvtss_sh(in[i], _MM_FROUND_TO_NEAREST_INT);
}

const bg_vecops bg_vecops_avx2 = {
    .add = add, .scale = scale, .max = max, .exp_sum = exp_sum, .rmsnorm = rmsnorm,
    .silu_mul = silu_mul, .gelu_mul = gelu_mul, .soft_cap = soft_cap, .rope = rope,
    .rope_halves = rope_halves, .to_f16 = to_f16,
};

#endif
