/* The check passes for every kernel there is, and catches kernels that are wrong in the ways
 * kernels go wrong. */
#include "test.h"

#include "formats/pack.h"
#include "kernels/kernels.h"

static void test_all(void **state)
{
    bg_kernel_check result = {0, 0};
    bg_error err = {0};
    (void)state;
    assert_ok(bg_kernel_check_all(BG_FORMAT_NONE, -1, 0, stderr, &result, &err), &err);
    assert_int_equal(result.failed, 0);
    assert_true(result.passed > 1000);
}

static void test_filters(void **state)
{
    bg_kernel_check all = {0, 0}, one = {0, 0};
    bg_error err = {0};
    (void)state;
    assert_ok(bg_kernel_check_all(BG_FORMAT_TQ2_0, BG_ISA_REF, 0, stderr, &all, &err), &err);
    assert_ok(bg_kernel_check_all(BG_FORMAT_TQ2_0, BG_ISA_REF, 4, stderr, &one, &err), &err);
    assert_true(one.passed > 0 && one.passed < all.passed);
    assert_fails(bg_kernel_check_all(BG_FORMAT_TQ2_0, BG_ISA_REF, 5000, NULL, &one, &err),
                 BG_ERR_INPUT, "5000", &err);
}

static bg_matmul_fn *right(bg_format format)
{
    return bg_kernel_find(format, BG_OP_GEMM, BG_ISA_REF)->run;
}

/* Off by one in a single weight of the last block. */
static void last_weight(const bg_matmul *a)
{
    right(BG_FORMAT_Q4_0)(a);
    for (size_t c = 0; c < a->cols; c++) {
        const uint8_t *x = (const uint8_t *)a->x + c * a->x_stride + a->k / 32 * 34 - 34;
        const uint8_t *w = (const uint8_t *)a->w + (a->k / 32 * 18 - 18) * BG_PANEL_ROWS;
        float d = bg_f16_to_f32((uint16_t)(w[0] | w[1] << 8));
        float dx = bg_f16_to_f32((uint16_t)(x[0] | x[1] << 8));
        a->y[c * a->y_stride] += d * dx * (float)(int8_t)x[33];
    }
}

static void odd_row_left_out(const bg_matmul *a)
{
    bg_matmul even = *a;
    even.rows = a->rows & ~(size_t)1;
    if (even.rows) right(BG_FORMAT_Q4_0)(&even);
}

static void writes_behind(const bg_matmul *a)
{
    right(BG_FORMAT_Q4_0)(a);
    if (a->cols > 1 && a->y_stride > a->rows) a->y[a->rows] = 0;
}

static volatile uint8_t sink;

static void reads_behind(const bg_matmul *a)
{
    size_t panels = (a->rows + BG_PANEL_ROWS - 1) / BG_PANEL_ROWS;
    right(BG_FORMAT_Q4_0)(a);
    sink = ((const volatile uint8_t *)a->w)[panels * a->panel_bytes];
}

/* Sums of two products kept in 16 bits, saturated, as an instruction with unsigned weights does
 * it. */
static void saturates(const bg_matmul *a)
{
    for (size_t r = 0; r < a->rows; r++) {
        for (size_t c = 0; c < a->cols; c++) {
            const uint8_t *x = (const uint8_t *)a->x + c * a->x_stride;
            double y = 0;
            for (size_t b = 0; b < a->k / 32; b++, x += 34) {
                uint8_t w[34];
                int sum = 0, bias = 0;
                bg_unpack_block(bg_format_get(BG_FORMAT_Q8_0),
                                (const uint8_t *)a->w + r / BG_PANEL_ROWS * a->panel_bytes +
                                    b * 34 * BG_PANEL_ROWS, r % BG_PANEL_ROWS, w);
                for (int i = 2; i < 34; i += 2) {
                    int pair = ((int8_t)w[i] + 128) * (int8_t)x[i] +
                               ((int8_t)w[i + 1] + 128) * (int8_t)x[i + 1];
                    sum += pair > 32767 ? 32767 : pair < -32768 ? -32768 : pair;
                    bias += 128 * ((int8_t)x[i] + (int8_t)x[i + 1]);
                }
                y += (double)bg_f16_to_f32((uint16_t)(w[0] | w[1] << 8)) *
                     (double)bg_f16_to_f32((uint16_t)(x[0] | x[1] << 8)) * (sum - bias);
            }
            a->y[c * a->y_stride + r] = (float)y;
        }
    }
}

/* Rounds a scale to fewer bits than it has. */
static void coarse_scale(const bg_matmul *a)
{
    right(BG_FORMAT_Q4_0)(a);
    for (size_t c = 0; c < a->cols; c++) a->y[c * a->y_stride] *= 1.00001f;
}

static void traps(const bg_matmul *a)
{
    (void)a;
    __builtin_trap();
}

static size_t failures(bg_format format, bg_matmul_fn *run, char *text, size_t size)
{
    const bg_kernel kernel = {format, BG_OP_GEMM, BG_ISA_AVX2, BG_TIER_HAND,
                              bg_format_get(format)->activation, run};
    bg_kernel_check result = {0, 0};
    bg_error err = {0};
    FILE *out = fmemopen(text, size, "w");
    assert_ok(bg_kernel_check_one(&kernel, 0, out, &result, &err), &err);
    fclose(out);
    return result.failed;
}

static void test_catches(void **state)
{
    static const struct { bg_format format; bg_matmul_fn *run; const char *word; } wrong[] = {
        {BG_FORMAT_Q4_0, last_weight, "Q4_0 gemm avx2, random inputs, k 32, 1 rows"},
        {BG_FORMAT_Q4_0, odd_row_left_out, "row 0 of column 0 is -12345"},
        {BG_FORMAT_Q4_0, writes_behind, "overwritten"},
        {BG_FORMAT_Q4_0, coarse_scale, "random inputs"},
        {BG_FORMAT_Q8_0, saturates, "Q8_0 gemm avx2"},
        {BG_FORMAT_Q4_0, reads_behind, "faulted (SIG"},
        {BG_FORMAT_Q4_0, traps, "faulted (SIG"},
    };
    char text[8192];
    (void)state;
    assert_int_equal(failures(BG_FORMAT_Q4_0, right(BG_FORMAT_Q4_0), text, sizeof text), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memset(text, 0, sizeof text);
        assert_true(failures(wrong[i].format, wrong[i].run, text, sizeof text) > 0);
        if (!strstr(text, wrong[i].word)) fail_msg("'%s' is not in: %s", wrong[i].word, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_catches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
