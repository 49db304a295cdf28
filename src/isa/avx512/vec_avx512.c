/* AVX-512: 16 lanes; the last ones of a row are masked. */
#include "isa/vecops.h"

#ifdef __AVX512F__

#include "isa/inline.h"

#include <immintrin.h>
#include <math.h>

enum { LANES = 16 };

/* The lanes that n more floats fill. */
BG_INLINE __mmask16 lanes(size_t n)
{
    return (__mmask16)(n < LANES ? (1u << n) - 1 : 0xffff);
}

BG_INLINE __m512 load(const float *p, __mmask16 some) { return _mm512_maskz_loadu_ps(some, p); }

/* exp(x) = 2^n * exp(r) with |r| <= ln(2) / 2, the latter by Taylor's series to r^7, whose rest is
 * below 1e-8. Under -87.3 it is 0, over 88.3 the value there; not a number stays that. */
BG_INLINE __m512 exp16(__m512 x)
{
    const __m512 low = _mm512_set1_ps(-87.3f), high = _mm512_set1_ps(88.3f);
    const __m512 ln2_head = _mm512_set1_ps(0.693359375f);
    const __m512 ln2_rest = _mm512_set1_ps(-2.12194440e-4f);
    __mmask16 small = _mm512_cmp_ps_mask(x, low, _CMP_LT_OQ);
    __m512 n, r, p = _mm512_set1_ps(1.0f / 5040);
    x = _mm512_min_ps(high, _mm512_max_ps(low, x));
    n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                             _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    r = _mm512_fnmadd_ps(n, ln2_rest, _mm512_fnmadd_ps(n, ln2_head, x));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_mask_mov_ps(_mm512_scalef_ps(p, n), small, _mm512_setzero_ps());
}

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        _mm512_mask_storeu_ps(x + i, some, _mm512_add_ps(load(x + i, some), load(y + i, some)));
    }
}

static void scale(float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        _mm512_mask_storeu_ps(x + i, some,
                              _mm512_mul_ps(load(x + i, some), _mm512_set1_ps(factor)));
    }
}

static float max(const float *x, size_t n)
{
    __m512 m = _mm512_set1_ps(x[0]);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        m = _mm512_mask_max_ps(m, some, m, load(x + i, some));
    }
    return _mm512_reduce_max_ps(m);
}

static float exp_sum(float *x, float m, size_t n)
{
    const __m512 top = _mm512_set1_ps(m);
    __m512 sum = _mm512_setzero_ps();
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        __m512 e = exp16(_mm512_sub_ps(load(x + i, some), top));
        _mm512_mask_storeu_ps(x + i, some, e);
        sum = _mm512_mask_add_ps(sum, some, sum, e);
    }
    return _mm512_reduce_add_ps(sum);
}

static void rmsnorm(const float *x, const float *weight, float *out, float eps, size_t n)
{
    __m512 a = _mm512_setzero_ps(), b = a, v;
    float factor;
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        v = _mm512_loadu_ps(x + i);
        a = _mm512_fmadd_ps(v, v, a);
        v = _mm512_loadu_ps(x + i + LANES);
        b = _mm512_fmadd_ps(v, v, b);
    }
    for (; i < n; i += LANES) {
        v = load(x + i, lanes(n - i));
        a = _mm512_fmadd_ps(v, v, a);
    }
    factor = 1.0f / sqrtf(_mm512_reduce_add_ps(_mm512_add_ps(a, b)) / (float)n + eps);
    for (i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        v = _mm512_mul_ps(load(x + i, some), _mm512_set1_ps(factor));
        _mm512_mask_storeu_ps(out + i, some, _mm512_mul_ps(v, load(weight + i, some)));
    }
}

/* x / (1 + exp(-y)) */
BG_INLINE __m512 sigmoid16(__m512 x, __m512 y)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    return _mm512_div_ps(x, _mm512_add_ps(one, exp16(_mm512_sub_ps(_mm512_setzero_ps(), y))));
}

static void silu_mul(const float *gate, const float *up, float *out, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        __m512 x = load(gate + i, some);
        _mm512_mask_storeu_ps(out + i, some, _mm512_mul_ps(sigmoid16(x, x), load(up + i, some)));
    }
}

static void gelu_mul(const float *gate, const float *up, float *out, size_t n)
{
    const __m512 a = _mm512_set1_ps(BG_GELU_A), b = _mm512_set1_ps(BG_GELU_B);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        __m512 x = load(gate + i, some);
        __m512 y = _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_mul_ps(b, x), x, a));
        _mm512_mask_storeu_ps(out + i, some, _mm512_mul_ps(sigmoid16(x, y), load(up + i, some)));
    }
}

/* tanh(x) = 2 / (1 + exp(-2x)) - 1 */
static void soft_cap(float *x, float cap, size_t n)
{
    const __m512 slope = _mm512_set1_ps(2.0f / cap), height = _mm512_set1_ps(cap);
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        __m512 y = sigmoid16(_mm512_set1_ps(2.0f), _mm512_mul_ps(load(x + i, some), slope));
        _mm512_mask_storeu_ps(x + i, some, _mm512_fmsub_ps(y, height, height));
    }
}

static void rope(float *x, const float *turn, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        __m512 v = load(x + i, some), t = load(turn + i, some);
        __m512 other = _mm512_mul_ps(_mm512_permute_ps(v, 0xb1), _mm512_movehdup_ps(t));
        v = _mm512_fmaddsub_ps(v, _mm512_moveldup_ps(t), other);
        _mm512_mask_storeu_ps(x + i, some, v);
    }
}

static void rope_halves(float *x, const float *turn, size_t n)
{
    size_t half = n / 2;
    for (size_t i = 0; i < half; i += LANES) {
        __mmask16 some = lanes(half - i);
        __m512 a = load(x + i, some), b = load(x + half + i, some);
        __m512 c = load(turn + i, some), s = load(turn + half + i, some);
        _mm512_mask_storeu_ps(x + i, some, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(x + half + i, some, _mm512_fmadd_ps(a, s, _mm512_mul_ps(b, c)));
    }
}

static void to_f16(const float *in, uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 some = lanes(n - i);
        _mm256_mask_storeu_epi16(out + i, some,
                                 _mm512_cvtps_ph(load(in + i, some), _MM_FROUND_TO_NEAREST_INT));
    }
}

const bg_vecops bg_vecops_avx512 = {
    .add = add, .scale = scale, .max = max, .exp_sum = exp_sum, .rmsnorm = rmsnorm,
    .silu_mul = silu_mul, .gelu_mul = gelu_mul, .soft_cap = soft_cap, .rope = rope,
    .rope_halves = rope_halves, .to_f16 = to_f16,
};

#endif
