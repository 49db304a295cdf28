/* vecops.h: the float arithmetic of a forward pass between its matrix products. Internal.
 *
 * One table an instruction set. Results of one element never depend on how many others are done
 * with it, so that splitting work differently gives the same bits. */
#ifndef BG_VECOPS_H
#define BG_VECOPS_H

#include "bitgauge/kernel.h"

typedef struct bg_vecops {
    void (*add)(float *x, const float *y, size_t n);                 /* x += y */
    void (*scale)(float *x, float factor, size_t n);                 /* x *= factor */
    float (*max)(const float *x, size_t n);                          /* n >= 1 */
    /* x = exp(x - max); returns the sum. */
    float (*exp_sum)(float *x, float max, size_t n);
    /* out = x * weight / sqrt(mean(x^2) + eps) */
    void (*rmsnorm)(const float *x, const float *weight, float *out, float eps, size_t n);
    /* out = gate / (1 + exp(-gate)) * up; out may be gate */
    void (*silu_mul)(const float *gate, const float *up, float *out, size_t n);
    /* out = gate * P(gate) * up with the normal distribution P in its tanh form,
     * P(x) = (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2; out may be gate */
    void (*gelu_mul)(const float *gate, const float *up, float *out, size_t n);
    void (*soft_cap)(float *x, float cap, size_t n);                 /* x = cap * tanh(x / cap) */
    /* Rotates the pairs (x[2i], x[2i+1]) by the angle whose cosine and sine are turn[2i] and
     * turn[2i+1]; n is even. */
    void (*rope)(float *x, const float *turn, size_t n);
    /* The same of the pairs (x[i], x[i + n/2]), with turn[i] and turn[i + n/2]. */
    void (*rope_halves)(float *x, const float *turn, size_t n);
    void (*to_f16)(const float *in, uint16_t *out, size_t n);
} bg_vecops;

/* (1 + tanh(u)) / 2 = 1 / (1 + exp(-2u)), so gelu(x) = x / (1 + exp(-x (A + B x^2))). */
#define BG_GELU_A 1.5957691216f
#define BG_GELU_B 0.0713548163f

extern const bg_vecops bg_vecops_ref, bg_vecops_avx2, bg_vecops_avx512, bg_vecops_neon;

#endif
