/* Portable C, the definition of every vector operation. */
#include "isa/vecops.h"

#include <math.h>

static void add(float *x, const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

static void scale(float *x, float factor, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static float max(const float *x, size_t n)
{
    float m = x[0];
    for (size_t i = 1; i < n; i++)
        if (x[i] > m) m = x[i];
    return m;
}

static float exp_sum(float *x, float m, size_t n)
{
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - m);
    return sum;
}

static void rmsnorm(const float *x, const float *weight, float *out, float eps, size_t n)
{
    double sum = 0;
    float factor;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    factor = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) out[i] = x[i] * factor * weight[i];
}

static void silu_mul(const float *gate, const float *up, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

static void gelu_mul(const float *gate, const float *up, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x = gate[i];
        out[i] = x / (1.0f + expf(-x * (BG_GELU_A + BG_GELU_B * x * x))) * up[i];
    }
}

static void soft_cap(float *x, float cap, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = cap * tanhf(x[i] / cap);
}

static void rope(float *x, const float *turn, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        float a = x[i], b = x[i + 1], c = turn[i], s = turn[i + 1];
        x[i] = a * c - b * s;
        x[i + 1] = a * s + b * c;
    }
}

static void rope_halves(float *x, const float *turn, size_t n)
{
    size_t half = n / 2;
    for (size_t i = 0; i < half; i++) {
        float a = x[i], b = x[i + half], c = turn[i], s = turn[i + half];
        x[i] = a * c - b * s;
        x[i + half] = a * s + b * c;
    }
}

static void to_f16(const float *in, uint16_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = bg_f32_to_f16(in[i]);
}

const bg_vecops bg_vecops_ref = {
    .add = add, .scale = scale, .max = max, .exp_sum = exp_sum, .rmsnorm = rmsnorm,
    .silu_mul = silu_mul, .gelu_mul = gelu_mul, .soft_cap = soft_cap, .rope = rope,
    .rope_halves = rope_halves, .to_f16 = to_f16,
};
