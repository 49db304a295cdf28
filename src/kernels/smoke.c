#include "kernels/kernels.h"

#include "base/base.h"

#include <math.h>
#include <string.h>

/* One super-block, a panel and a bit of rows, and an odd number of columns. */
enum { K = 256, ROWS = 19, COLS = 3, ROW_BYTES = K * 4, COL_BYTES = K * 4 + 192 };

/* Quants are any bytes, but the halves that are scales must be sane numbers: a format's block is
 * filled with bytes whose every 16-bit word, aligned or not, is a small finite half. */
static void fill(bg_rng *rng, uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(bg_rng_u64(rng) & 0x3f);
}

static bool right(const bg_kernel *kernel, const bg_kernel *ref, bg_matmul *a)
{
    float got[ROWS * COLS], want[ROWS * COLS], largest = 0;
    size_t n;
    a->cols = kernel->op == BG_OP_GEMV ? 1 : COLS;
    n = ROWS * a->cols;
    a->y = want;
    ref->run(a);
    a->y = got;
    kernel->run(a);
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(got[i] - want[i]) <= 1e-4f * largest)) return false;
    return true;
}

bool bg_isa_smoke(const void *user)
{
    static uint8_t w[ROWS * ROW_BYTES];
    static _Alignas(64) uint8_t x[COLS * COL_BYTES], expected[COL_BYTES];
    const bg_isa_code *code = user;
    float in[COLS * K];
    bg_rng rng;
    bg_rng_seed(&rng, 1);
    for (size_t i = 0; i < COLS * K; i++) in[i] = (float)bg_rng_unit(&rng) - 0.5f;
    for (size_t i = 0; i < code->n_kernels; i++) {
        const bg_kernel *kernel = &code->kernels[i];
        const bg_format_info *f = bg_format_get(kernel->format);
        bg_matmul a = {.w = w, .w_stride = bg_format_row_bytes(f, K), .x = x,
                       .x_stride = bg_activation_bytes(f->format, K), .y_stride = ROWS, .k = K,
                       .rows = ROWS};
        fill(&rng, w, sizeof w);
        for (size_t c = 0; c < COLS; c++) {
            bg_activation_encode(f->format, kernel->isa, in + c * K, x + c * a.x_stride, K);
            bg_activation_encode(f->format, BG_ISA_REF, in + c * K, expected, K);
            if (memcmp(x + c * a.x_stride, expected,
                       bg_format_row_bytes(bg_format_get(f->activation), K)) != 0)
                return false;
        }
        if (!right(kernel, bg_kernel_find(f->format, kernel->op, BG_ISA_REF), &a)) return false;
    }
    return true;
}
