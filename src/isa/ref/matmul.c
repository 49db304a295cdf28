/* The definition of every kernel: exact integer sums over each block, scaled and added in double
 * precision, so that the result is right to the last bit of a float for any sane row length. */
#include "isa/isa.h"
#include "isa/ref/ref.h"
#include "isa/ref/unpack.h"

#include "base/base.h"

enum { COLS = 16, STRIP = 256 }; /* columns and floats that share one unpacking */

typedef struct shape {
    bg_ref_unpack_fn *unpack;
    size_t block, bytes;     /* weights and bytes of a weight block */
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

static void matmul(const bg_matmul *a, shape s)
{
    for (size_t r = 0; r < a->rows; r++) {
        for (size_t c0 = 0; c0 < a->cols; c0 += COLS) {
            size_t cols = BG_MIN(a->cols - c0, (size_t)COLS);
            double y[COLS] = {0};
            for (size_t b = 0; b < a->k / s.block; b++) {
                bg_ref_block w = {.dmin = 0};
                for (int i = 0; i < 16; i++) w.scale[i] = 1;
                s.unpack((const uint8_t *)a->w + r * a->w_stride + b * s.bytes, &w);
                for (size_t c = 0; c < cols; c++) {
                    const uint8_t *x = (const uint8_t *)a->x + (c0 + c) * a->x_stride;
                    y[c] += dot(&s, &w, s.block == 32 ? column_q8_0(x, b) : column_q8_k(x, b));
                }
            }
            for (size_t c = 0; c < cols; c++) a->y[(c0 + c) * a->y_stride + r] = (float)y[c];
        }
    }
}

#define KERNEL(name, type, block, sub)                                                  \
    static void run_##name(const bg_matmul *a)                                          \
    {                                                                                   \
        matmul(a, (shape){bg_ref_##name, block, sizeof(bg_block_##type), sub});         \
    }
KERNEL(q4_0, q4_0, 32, 32)
KERNEL(q4_1, q4_1, 32, 32)
KERNEL(q5_0, q5_0, 32, 32)
KERNEL(q5_1, q5_1, 32, 32)
KERNEL(q8_0, q8_0, 32, 32)
KERNEL(q2_k, q2_k, 256, 16)
KERNEL(q3_k, q3_k, 256, 16)
KERNEL(q4_k, q4_k, 256, 32)
KERNEL(q5_k, q5_k, 256, 32)
KERNEL(q6_k, q6_k, 256, 16)
KERNEL(iq4_nl, q4_0, 32, 32)
KERNEL(iq4_xs, iq4_xs, 256, 32)
KERNEL(tq1_0, tq1_0, 256, 256)
KERNEL(tq2_0, tq2_0, 256, 256)

typedef float widen_fn(const uint8_t *w);
static float widen_f32(const uint8_t *w) { return bg_load_f32(w); }
static float widen_f16(const uint8_t *w) { return bg_f16_to_f32(bg_load_u16(w)); }
static float widen_bf16(const uint8_t *w) { return bg_bf16_to_f32(bg_load_u16(w)); }

static void matmul_float(const bg_matmul *a, widen_fn *widen, size_t bytes)
{
    for (size_t r = 0; r < a->rows; r++) {
        const uint8_t *w = (const uint8_t *)a->w + r * a->w_stride;
        for (size_t c0 = 0; c0 < a->cols; c0 += COLS) {
            size_t cols = BG_MIN(a->cols - c0, (size_t)COLS);
            double y[COLS] = {0};
            for (size_t k0 = 0; k0 < a->k; k0 += STRIP) {
                size_t n = BG_MIN(a->k - k0, (size_t)STRIP);
                float strip[STRIP];
                for (size_t i = 0; i < n; i++) strip[i] = widen(w + (k0 + i) * bytes);
                for (size_t c = 0; c < cols; c++) {
                    const float *x = (const float *)((const uint8_t *)a->x + (c0 + c) * a->x_stride);
                    for (size_t i = 0; i < n; i++) y[c] += (double)strip[i] * (double)x[k0 + i];
                }
            }
            for (size_t c = 0; c < cols; c++) a->y[(c0 + c) * a->y_stride + r] = (float)y[c];
        }
    }
}

static void run_f32(const bg_matmul *a) { matmul_float(a, widen_f32, 4); }
static void run_f16(const bg_matmul *a) { matmul_float(a, widen_f16, 2); }
static void run_bf16(const bg_matmul *a) { matmul_float(a, widen_bf16, 2); }

#define ROWS(NAME, name)                                                                \
    {BG_FORMAT_##NAME, BG_OP_GEMV, BG_ISA_REF, BG_TIER_REF, run_##name},                \
    {BG_FORMAT_##NAME, BG_OP_GEMM, BG_ISA_REF, BG_TIER_REF, run_##name}
static const bg_kernel kernels[] = {
    ROWS(F32, f32), ROWS(F16, f16), ROWS(BF16, bf16),
    ROWS(Q4_0, q4_0), ROWS(Q4_1, q4_1), ROWS(Q5_0, q5_0), ROWS(Q5_1, q5_1), ROWS(Q8_0, q8_0),
    ROWS(Q2_K, q2_k), ROWS(Q3_K, q3_k), ROWS(Q4_K, q4_k), ROWS(Q5_K, q5_k), ROWS(Q6_K, q6_k),
    ROWS(IQ4_NL, iq4_nl), ROWS(IQ4_XS, iq4_xs), ROWS(TQ1_0, tq1_0), ROWS(TQ2_0, tq2_0),
};

static bool present(void) { return true; }

const bg_isa_code bg_isa_code_ref = {
    .present = present,
    .kernels = kernels,
    .n_kernels = BG_COUNT(kernels),
    .encode_q8_0 = bg_ref_encode_q8_0,
    .encode_q8_k = bg_ref_encode_q8_k,
    .vec = &bg_vecops_ref,
};
