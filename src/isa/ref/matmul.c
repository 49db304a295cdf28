/* The definition of every kernel: exact integer sums over each block, scaled and added in double
 * precision, so that the result is right to the last bit of a float for any sane row length. */
#include "isa/isa.h"
#include "isa/ref/ref.h"
#include "isa/ref/unpack.h"

#include "base/base.h"
#include "formats/pack.h"

#include <math.h>
#include <stdlib.h>

enum { COLS = 16 }; /* columns that share one unpacking */

typedef struct shape {
    bg_format format;
    bg_ref_unpack_fn *unpack;
    size_t block;            /* weights of a block */
    int sub;                 /* weights that share a scale */
} shape;

/* One block of activations as integers. */
typedef struct column { const int8_t *q; float d; } column;

static column column_q8_0(const uint8_t *x, size_t block)
{
    const bg_block_q8_0 *b = (const bg_block_q8_0 *)x + block;
    return (column){b->qs, bg_f16_to_f32(bg_load_u16(b->d))};
}

static column column_q8_k(const uint8_t *x, size_t block)
{
    const bg_block_q8_k *b = (const bg_block_q8_k *)x + block;
    return (column){b->qs, bg_load_f32(b->d)};
}

/* What dot adds up, without signs: no order of adding can be off by more than a rounding error of
 * this a step. */
static double dot_magnitude(const shape *s, const bg_ref_block *w, column x)
{
    int64_t scaled = 0, shifted = 0;
    for (size_t i = 0; i < s->block; i++) {
        size_t n = i / (size_t)s->sub;
        scaled += labs((long)w->scale[n] * w->q[i] * x.q[i]);
        shifted += labs((long)w->min[n] * x.q[i]);
    }
    return fabs((double)x.d) * (fabs((double)w->d) * (double)scaled +
                                fabs((double)w->dmin) * (double)shifted);
}

static double dot(const shape *s, const bg_ref_block *w, column x)
{
    int64_t scaled = 0, shifted = 0;
    for (size_t i = 0, n = 0; i < s->block; i += (size_t)s->sub, n++) {
        int product = 0, sum = 0;
        for (int j = 0; j < s->sub; j++) {
            product += w->q[i + (size_t)j] * x.q[i + (size_t)j];
            sum += x.q[i + (size_t)j];
        }
        scaled += (int64_t)w->scale[n] * product;
        shifted += (int64_t)w->min[n] * sum;
    }
    return (double)x.d * ((double)w->d * (double)scaled - (double)w->dmin * (double)shifted);
}

typedef double dot_fn(const shape *s, const bg_ref_block *w, column x);

/* Block b of row r, from its panel. */
static void load_block(const bg_matmul *a, const bg_format_info *f, size_t r, size_t b, void *out)
{
    const uint8_t *panel = (const uint8_t *)a->w + r / BG_PANEL_ROWS * a->panel_bytes;
    bg_unpack_block(f, panel + b * bg_packed_block_bytes(f) * BG_PANEL_ROWS, r % BG_PANEL_ROWS,
                    out);
}

static void matmul(const bg_matmul *a, const shape *s, dot_fn *product)
{
    const bg_format_info *f = bg_format_get(s->format);
    for (size_t r = 0; r < a->rows; r++) {
        for (size_t c0 = 0; c0 < a->cols; c0 += COLS) {
            size_t cols = BG_MIN(a->cols - c0, (size_t)COLS);
            double y[COLS] = {0};
            for (size_t b = 0; b < a->k / s->block; b++) {
                uint8_t block[BG_FORMAT_MAX_BYTES];
                bg_ref_block w = {.dmin = 0};
                for (int i = 0; i < 16; i++) w.scale[i] = 1;
                load_block(a, f, r, b, block);
                s->unpack(block, &w);
                for (size_t c = 0; c < cols; c++) {
                    const uint8_t *x = (const uint8_t *)a->x + (c0 + c) * a->x_stride;
                    column q = s->block == 32 ? column_q8_0(x, b) : column_q8_k(x, b);
                    y[c] += product(s, &w, q);
                }
            }
            for (size_t c = 0; c < cols; c++) a->y[(c0 + c) * a->y_stride + r] = (float)y[c];
        }
    }
}

typedef float widen_fn(const uint8_t *w);
static float widen_f32(const uint8_t *w) { return bg_load_f32(w); }
static float widen_f16(const uint8_t *w) { return bg_f16_to_f32(bg_load_u16(w)); }
static float widen_bf16(const uint8_t *w) { return bg_bf16_to_f32(bg_load_u16(w)); }

static void matmul_float(const bg_matmul *a, bg_format format, widen_fn *widen, bool magnitude)
{
    const bg_format_info *f = bg_format_get(format);
    size_t step = bg_packed_block_weights(f);
    for (size_t r = 0; r < a->rows; r++) {
        for (size_t c0 = 0; c0 < a->cols; c0 += COLS) {
            size_t cols = BG_MIN(a->cols - c0, (size_t)COLS);
            double y[COLS] = {0};
            for (size_t k = 0; k < a->k; k++) {
                uint8_t block[4];
                double w;
                load_block(a, f, r, k / step, block);
                w = (double)widen(block + k % step * f->block_bytes);
                for (size_t c = 0; c < cols; c++) {
                    const uint8_t *at = (const uint8_t *)a->x + (c0 + c) * a->x_stride;
                    double product = w * (double)((const float *)(const void *)at)[k];
                    y[c] += magnitude ? fabs(product) : product;
                }
            }
            for (size_t c = 0; c < cols; c++) a->y[(c0 + c) * a->y_stride + r] = (float)y[c];
        }
    }
}

/* (NAME, name of the format; name of its block, weights, weights that share a scale) */
#define INTEGER_FORMATS(X)                                                              \
    X(Q4_0, q4_0, q4_0, 32, 32) X(Q4_1, q4_1, q4_1, 32, 32) X(Q5_0, q5_0, q5_0, 32, 32) \
    X(Q5_1, q5_1, q5_1, 32, 32) X(Q8_0, q8_0, q8_0, 32, 32)                             \
    X(IQ4_NL, iq4_nl, q4_0, 32, 32) X(Q2_K, q2_k, q2_k, 256, 16)                        \
    X(Q3_K, q3_k, q3_k, 256, 16) X(Q4_K, q4_k, q4_k, 256, 32)                           \
    X(Q5_K, q5_k, q5_k, 256, 32) X(Q6_K, q6_k, q6_k, 256, 16)                           \
    X(IQ4_XS, iq4_xs, iq4_xs, 256, 32) X(TQ1_0, tq1_0, tq1_0, 256, 256)                 \
    X(TQ2_0, tq2_0, tq2_0, 256, 256)
#define FLOAT_FORMATS(X) X(F32, f32) X(F16, f16) X(BF16, bf16)

#define INTEGER(NAME, name, type, block, sub)                                           \
    static const shape name = {BG_FORMAT_##NAME, bg_ref_##name, block, sub};            \
    static void run_##name(const bg_matmul *a) { matmul(a, &name, dot); }               \
    static void magnitude_##name(const bg_matmul *a) { matmul(a, &name, dot_magnitude); }
INTEGER_FORMATS(INTEGER)

#define FLOAT(NAME, name)                                                               \
    static void run_##name(const bg_matmul *a)                                          \
    {                                                                                   \
        matmul_float(a, BG_FORMAT_##NAME, widen_##name, false);                         \
    }                                                                                   \
    static void magnitude_##name(const bg_matmul *a)                                    \
    {                                                                                   \
        matmul_float(a, BG_FORMAT_##NAME, widen_##name, true);                          \
    }
FLOAT_FORMATS(FLOAT)

#define ROWS(NAME, name, activation)                                                               \
    {BG_FORMAT_##NAME, BG_OP_GEMV, BG_ISA_REF, BG_TIER_REF, BG_FORMAT_##activation, run_##name},   \
    {BG_FORMAT_##NAME, BG_OP_GEMM, BG_ISA_REF, BG_TIER_REF, BG_FORMAT_##activation, run_##name},
#define FLOAT_ROWS(NAME, name) ROWS(NAME, name, F32)
#define INTEGER_ROWS(NAME, name, type, block, sub) INTEGER_ROWS_##block(NAME, name)
#define INTEGER_ROWS_32(NAME, name) ROWS(NAME, name, Q8_0)
#define INTEGER_ROWS_256(NAME, name) ROWS(NAME, name, Q8_K)
static const bg_kernel kernels[] = {FLOAT_FORMATS(FLOAT_ROWS) INTEGER_FORMATS(INTEGER_ROWS)};

/* What is multiplied with an activation, or with its size. */
static double factor_of(float w, bg_ref_sum sum)
{
    switch (sum) {
    case BG_REF_MAGNITUDES: return fabs((double)w);
    case BG_REF_ROUNDINGS: return fabs((double)w - (double)bg_bf16_to_f32(bg_f32_to_bf16(w)));
    default: return (double)w;
    }
}

/* Any weights as numbers, with activations in BF16. */
static void matmul_bf16(const bg_matmul *a, bg_format format, bg_ref_sum sum)
{
    const bg_format_info *f = bg_format_get(format);
    size_t step = bg_packed_block_weights(f);
    for (size_t r = 0; r < a->rows; r++) {
        for (size_t c0 = 0; c0 < a->cols; c0 += COLS) {
            size_t cols = BG_MIN(a->cols - c0, (size_t)COLS);
            double y[COLS] = {0};
            for (size_t k0 = 0; k0 < a->k; k0 += step) {
                uint8_t block[BG_FORMAT_MAX_BYTES];
                float w[BG_FORMAT_MAX_BLOCK];
                double factor[BG_FORMAT_MAX_BLOCK];
                load_block(a, f, r, k0 / step, block);
                bg_format_decode(f, block, w, step);
                for (size_t i = 0; i < step; i++) factor[i] = factor_of(w[i], sum);
                for (size_t c = 0; c < cols; c++) {
                    const uint8_t *x = (const uint8_t *)a->x + (c0 + c) * a->x_stride + 2 * k0;
                    for (size_t i = 0; i < BG_MIN(step, a->k - k0); i++) {
                        double value = (double)widen_bf16(x + 2 * i);
                        y[c] += factor[i] * (sum == BG_REF_VALUES ? value : fabs(value));
                    }
                }
            }
            for (size_t c = 0; c < cols; c++) a->y[(c0 + c) * a->y_stride + r] = (float)y[c];
        }
    }
}

void bg_ref_matmul(bg_format format, bg_format activation, bg_ref_sum sum, const bg_matmul *args)
{
#define BOTH(NAME, name, ...) {BG_FORMAT_##NAME, {run_##name, magnitude_##name}},
    static const struct { bg_format format; bg_matmul_fn *run[2]; } table[] = {
        FLOAT_FORMATS(BOTH) INTEGER_FORMATS(BOTH)};
    if (activation == BG_FORMAT_BF16) {
        matmul_bf16(args, format, sum);
        return;
    }
    for (size_t i = 0; i < BG_COUNT(table); i++)
        if (table[i].format == format) table[i].run[sum](args);
}

static bool present(void) { return true; }

const bg_isa_code bg_isa_code_ref = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .encode_q8_0 = bg_ref_encode_q8_0,
    .encode_q8_k = bg_ref_encode_q8_k,
    .encode_bf16 = bg_ref_encode_bf16,
    .attend = bg_ref_attend,
    .vec = &bg_vecops_ref,
};
