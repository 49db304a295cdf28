/* The reference kernels against an independent truth: blocks decoded by the formats room,
 * multiplied in double precision. */
#include "test.h"

#include "base/base.h"
#include "bitgauge/kernel.h"

#include <math.h>

enum { K = 512, ROWS = 5, COLS = 3 };

static void check_format(const bg_format_info *f, bg_rng *rng)
{
    static uint8_t w[ROWS * K * 4 + 1];
    static _Alignas(64) uint8_t packed[BG_PANEL_ROWS * K * 4];
    static _Alignas(64) uint8_t x[COLS * K * 5];
    static float in[K], wf[K], xf[K], y[2][ROWS * COLS];
    size_t stride = bg_format_row_bytes(f, K), x_stride = bg_activation_bytes(f->activation, K);
    bg_error err = {0};
    bg_matmul a = {.w = packed, .panel_bytes = bg_panel_bytes(f, K), .x = x, .x_stride = x_stride,
                   .y = y[0], .y_stride = ROWS, .k = K, .rows = ROWS, .cols = COLS};
    for (size_t i = 0; i < sizeof w; i++) w[i] = (uint8_t)(bg_rng_u64(rng) & 0x3f);
    assert_ok(bg_pack_matrix(f, w + 1, packed, ROWS, K, NULL, &err), &err);
    assert_int_equal(x_stride % 64, 0);
    for (size_t c = 0; c < COLS; c++) {
        for (size_t i = 0; i < K; i++) in[i] = (float)bg_rng_normal(rng);
        bg_activation_encode(f->activation, BG_ISA_REF, in, x + c * x_stride, K);
    }
    bg_kernel_find(f->format, BG_OP_GEMM, BG_ISA_REF)->run(&a);
    for (size_t c = 0; c < COLS; c++) {
        bg_matmul one = a;
        one.x = x + c * x_stride;
        one.y = y[1] + c * ROWS;
        one.cols = 1;
        bg_kernel_find(f->format, BG_OP_GEMV, BG_ISA_REF)->run(&one);
    }
    for (size_t r = 0; r < ROWS; r++) {
        bg_format_decode(f, w + 1 + r * stride, wf, K);
        for (size_t c = 0; c < COLS; c++) {
            double sum = 0, terms = 0;
            bg_format_decode(bg_format_get(f->activation), x + c * x_stride, xf, K);
            for (size_t i = 0; i < K; i++) {
                sum += (double)wf[i] * (double)xf[i];
                terms += fabs((double)wf[i] * (double)xf[i]);
            }
            if (!(fabs(y[0][c * ROWS + r] - sum) <= 1e-6 * terms))
                fail_msg("%s row %zu column %zu: %g, not %g", f->name, r, c,
                         (double)y[0][c * ROWS + r], sum);
            assert_true(y[0][c * ROWS + r] == y[1][c * ROWS + r]);
        }
    }
}

static void test_reference(void **state)
{
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 7);
    for (size_t i = 0; bg_format_at(i); i++)
        if (bg_format_at(i)->level > 0) check_format(bg_format_at(i), &rng);
}

static void test_registry(void **state)
{
    (void)state;
    for (size_t i = 0; bg_format_at(i); i++) {
        bg_format format = bg_format_at(i)->format;
        for (int op = 0; op < BG_OP_COUNT; op++) {
            for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
                const bg_kernel *kernel = bg_kernel_find(format, (bg_op)op, (bg_isa)isa);
                if (bg_format_at(i)->level == 0) {
                    assert_null(kernel);
                    continue;
                }
                assert_non_null(kernel);
                assert_int_equal(kernel->format, format);
                assert_int_equal(kernel->op, op);
                assert_true((int)kernel->isa <= isa);
            }
        }
    }
    assert_null(bg_kernel_find(BG_FORMAT_NONE, BG_OP_GEMV, BG_ISA_REF));
    assert_null(bg_kernel_find((bg_format)1000, BG_OP_GEMV, BG_ISA_REF));
}

/* Rounding, limits and non-finite values of encoded activations. */
static void test_activations(void **state)
{
    float in[256] = {0}, back[256];
    _Alignas(64) uint8_t out[320];
    int16_t sum;
    (void)state;
    for (int i = 0; i < 256; i++) in[i] = (float)(i - 127);
    in[255] = -254; /* d = 2: odd values are ties and go to even */
    bg_activation_encode(BG_FORMAT_Q8_K, BG_ISA_REF, in, out, 256);
    bg_format_decode(bg_format_get(BG_FORMAT_Q8_K), out, back, 256);
    assert_true(back[127 + 1] == 0 && back[127 + 3] == 4 && back[127 - 5] == -4);
    assert_true(back[255] == -254);
    memcpy(&sum, out + 4 + 256, 2);
    for (int i = 0; i < 16; i++) sum = (int16_t)(sum - (int8_t)out[4 + i]);
    assert_int_equal(sum, 0);

    in[3] = INFINITY;
    in[40] = NAN;
    bg_activation_encode(BG_FORMAT_Q8_0, BG_ISA_REF, in, out, 64);
    bg_format_decode(bg_format_get(BG_FORMAT_Q8_0), out, back, 64);
    assert_true(isnan(back[0]) && isnan(back[63]));

    for (int i = 0; i < 256; i++) in[i] = i % 2 ? 1e-42f : -1e-44f;
    bg_activation_encode(BG_FORMAT_Q8_K, BG_ISA_REF, in, out, 256);
    bg_format_decode(bg_format_get(BG_FORMAT_Q8_K), out, back, 256);
    for (int i = 0; i < 256; i++) assert_true(back[i] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_activations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
