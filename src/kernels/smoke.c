#include "kernels/kernels.h"

#include "base/base.h"
#include "formats/pack.h"
#include "isa/ref/ref.h"

#include <math.h>
#include <string.h>

/* One super-block, a panel and a bit of rows, and an odd number of columns. */
enum { K = 256, ROWS = 19, PANELS = 2, COLS = 3, ROW_BYTES = K * 4, COL_BYTES = K * 4 + 192 };

/* Quants are any bytes, but the halves that are scales must be sane numbers: a format's block is
 * filled with bytes whose every 16-bit word, aligned or not, is a small finite half. */
static void fill(bg_rng *rng, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bytes = bg_rng_u64(rng) & 0x3f3f3f3f3f3f3f3f;
        memcpy(p + i, &bytes, BG_MIN(n - i, (size_t)8));
    }
}

static bool right(const bg_kernel *kernel, bg_matmul *a)
{
    float got[ROWS * COLS], want[ROWS * COLS], largest = 0;
    float bound = kernel->activation == BG_FORMAT_BF16 ? 0x1p-6f : 1e-4f;
    size_t n;
    a->cols = kernel->op == BG_OP_GEMV ? 1 : COLS;
    n = ROWS * a->cols;
    a->y = want;
    bg_ref_matmul(kernel->format, kernel->activation, BG_REF_VALUES, a);
    a->y = got;
    kernel->run(a);
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= bound * largest)) return false;
    return true;
}

/* Enough queries for tiles, more positions than a block of them, and an odd part of the last
 * panel. */
enum { TOKENS = 4, HEADS = 8, DIM = 64, POSITIONS = 176, BEFORE = 165, QUERIES = TOKENS * HEADS };

static bool attends(bg_attend_fn *attend, bg_rng *rng, float bound)
{
    static uint16_t keys[POSITIONS * DIM], values[POSITIONS * DIM];
    static _Alignas(64) uint8_t scratch[1 << 18];
    static float q[QUERIES * DIM], out[2][QUERIES * (DIM + 2)];
    if (sizeof scratch < bg_attend_scratch(DIM)) return false;
    for (size_t i = 0; i < BG_COUNT(q); i++) q[i] = (float)bg_rng_unit(rng) - 0.5f;
    for (size_t i = 0; i < BG_COUNT(keys); i++) {
        keys[i] = bg_f32_to_f16((float)bg_rng_unit(rng) - 0.5f);
        values[i] = bg_f32_to_f16((float)bg_rng_unit(rng) - 0.5f);
    }
    for (int i = 0; i < 2; i++) {
        bg_attend a = {.q = q, .q_stride = HEADS * DIM, .tokens = TOKENS, .heads = HEADS,
                       .dim = DIM, .value_width = DIM, .keys = keys, .values = values,
                       .pos = BEFORE, .end = BEFORE + TOKENS, .scale = 0.25f, .out = out[i],
                       .base = out[i] + QUERIES * DIM, .sum = out[i] + QUERIES * (DIM + 1),
                       .scratch = scratch};
        (i ? attend : bg_ref_attend)(&a);
        for (size_t r = 0; r < QUERIES; r++)
            for (size_t d = 0; d < DIM; d++) out[i][r * DIM + d] /= a.sum[r];
    }
    for (size_t i = 0; i < QUERIES * DIM; i++)
        if (!(fabsf(out[1][i] - out[0][i]) <= bound)) return false;
    return true;
}

bool bg_isa_smoke(const void *user)
{
    static uint8_t rows[PANELS * BG_PANEL_ROWS * ROW_BYTES];
    static _Alignas(64) uint8_t w[sizeof rows];
    static _Alignas(64) uint8_t x[COLS * COL_BYTES], expected[COL_BYTES];
    const bg_isa_code *code = user;
    float in[COLS * K];
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (size_t i = 0; i < COLS * K; i++) in[i] = (float)bg_rng_unit(&rng) - 0.5f;
    for (size_t i = 0; i < code->n_kernels; i++) {
        const bg_kernel *kernel = &code->kernels[i];
        const bg_format_info *f = bg_format_get(kernel->format);
        size_t row_bytes = bg_format_row_bytes(f, K);
        bg_matmul a = {.w = w, .panel_bytes = bg_panel_bytes(f, K), .x = x,
                       .x_stride = bg_activation_bytes(kernel->activation, K), .y_stride = ROWS,
                       .k = K, .rows = ROWS};
        fill(&rng, rows, PANELS * BG_PANEL_ROWS * row_bytes);
        for (size_t p = 0; p < PANELS; p++)
            bg_pack_panel(f, rows + p * BG_PANEL_ROWS * row_bytes, row_bytes, BG_PANEL_ROWS, K,
                          rows, w + p * a.panel_bytes);
        for (size_t c = 0; c < COLS; c++) {
            bg_activation_encode(kernel->activation, kernel->isa, in + c * K, x + c * a.x_stride,
                                 K);
            bg_activation_encode(kernel->activation, BG_ISA_REF, in + c * K, expected, K);
            if (memcmp(x + c * a.x_stride, expected,
                       bg_format_row_bytes(bg_format_get(kernel->activation), K)) != 0)
                return false;
        }
        if (!right(kernel, &a)) return false;
    }
    return !code->attend || attends(code->attend, &rng, 0x1p-9f);
}
