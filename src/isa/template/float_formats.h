/* float_formats.h: what float.h wants to know of each format, and its kernels. Internal. */
#ifndef BG_TEMPLATE_FLOAT_FORMATS_H
#define BG_TEMPLATE_FLOAT_FORMATS_H

#include "isa/template/float.h"

/* A vector of 16 halves or bfloat16 is LANES / 2 rows of pairs. */
BG_INLINE void f16_widen(const uint8_t *w, vflt out[FLOAT_PAIRS])
{
    BG_UNROLL
    for (int v = 0; v < FLOAT_PAIRS; v++) out[v] = v_halves(w, v);
}

BG_INLINE void bf16_widen(const uint8_t *w, vflt out[FLOAT_PAIRS])
{
    BG_UNROLL
    for (int v = 0; v < FLOAT_PAIRS; v++) out[v] = v_bfloats(w, v);
}

/* Whole floats lie row beside row, the second of a pair behind the first of all 16. */
BG_INLINE void f32_widen(const uint8_t *w, vflt out[FLOAT_PAIRS])
{
    const float *first = (const float *)(const void *)w;
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++)
        v_interleave(v_load_floats(first + v * LANES),
                     v_load_floats(first + BG_PANEL_ROWS + v * LANES), &out[2 * v]);
}

#define FLOAT_KERNELS(name, bytes, odd)                                                     \
    static const float_format name = {2 * bytes * BG_PANEL_ROWS, name##_widen, odd};     \
    void BG_SET(gemv, name)(const bg_matmul *a) { float_matmul(a, 1, name); }           \
    void BG_SET(gemm, name)(const bg_matmul *a) { float_matmul(a, FLOAT_FEW, name); }
FLOAT_KERNELS(f32, 4, true)
FLOAT_KERNELS(f16, 2, false)
FLOAT_KERNELS(bf16, 2, false)

#endif
