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
    /* Rotates the pairs (x[2i], x[2i+1]) by the angle whose cosine and sine are turn[2i] and
     * turn[2i+1]; n is even. */
    void (*rope)(float *x, const float *turn, size_t n);
    void (*to_f16)(const float *in, uint16_t *out, size_t n);
} bg_vecops;

extern const bg_vecops bg_vecops_ref, bg_vecops_avx2, bg_vecops_avx512, bg_vecops_neon;

#endif
