/* The AMX kernels on emulated tiles: every format's unpacking, the blocking and the tails, on any
 * machine with AVX-512. */
#include "test.h"

#include "isa/amx/amx.h"
#include "isa/ref/ref.h"
#include "kernels/kernels.h"

#include "base/base.h"

#if defined(__x86_64__)

#define ROW(NAME, name)                                                                 \
    {BG_FORMAT_##NAME, BG_OP_GEMM, BG_ISA_AMX, BG_TIER_TMPL, BG_FORMAT_BF16,            \
     bg_amx_emulated_gemm_##name},
#define BG_FLOAT ROW
#define BG_SMALL ROW
#define BG_SUPER ROW
static const bg_kernel kernels[] = {
#include "isa/template/kernels.def"
};

static bool can_emulate(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bf16");
}

static void test_emulated(void **state)
{
    bg_error err = {0};
    (void)state;
    if (!can_emulate()) skip();
    for (size_t i = 0; i < BG_COUNT(kernels); i++) {
        bg_kernel_check result = {0, 0};
        assert_ok(bg_kernel_check_one(&kernels[i], 0, stderr, &result, &err), &err);
        assert_int_equal(result.failed, 0);
        assert_true(result.passed > 100);
    }
}

/* Weights cut off rather than rounded are caught. */
static void cut_off(const bg_matmul *a)
{
    bg_matmul part = *a;
    float *w = bg_alloc(BG_PANEL_ROWS, a->k * sizeof(float));
    assert_non_null(w);
    for (size_t r = 0; r < a->rows; r += BG_PANEL_ROWS) {
        memcpy(w, (const uint8_t *)a->w + r / BG_PANEL_ROWS * a->panel_bytes, a->panel_bytes);
        for (size_t i = 0; i < BG_PANEL_ROWS * a->k; i++) {
            uint32_t bits;
            memcpy(&bits, &w[i], sizeof bits);
            bits &= 0xffff0000;
            memcpy(&w[i], &bits, sizeof bits);
        }
        part.w = w;
        part.y = a->y + r;
        part.rows = BG_MIN(a->rows - r, (size_t)BG_PANEL_ROWS);
        bg_amx_emulated_gemm_f32(&part);
    }
    bg_free(w);
}

static void test_wrong(void **state)
{
    const bg_kernel kernel = {BG_FORMAT_F32, BG_OP_GEMM, BG_ISA_AMX, BG_TIER_TMPL, BG_FORMAT_BF16,
                              cut_off};
    bg_kernel_check result = {0, 0};
    bg_error err = {0};
    (void)state;
    if (!can_emulate()) skip();
    assert_ok(bg_kernel_check_one(&kernel, 0, NULL, &result, &err), &err);
    assert_true(result.failed > 0);
}

/* Rows and columns of several blocks, at the edges of which nothing may be lost. */
static void test_blocks(void **state)
{
    enum { ROWS = 16 * 17 + 3, COLS = 512 + 33, K = 600 };
    size_t stride = bg_activation_bytes(BG_FORMAT_BF16, K);
    float *w = bg_alloc((ROWS + BG_PANEL_ROWS) * K, sizeof *w);
    float *got = bg_alloc(ROWS * COLS, sizeof *got), *want = bg_alloc(ROWS * COLS, sizeof *want);
    uint8_t *x = bg_alloc(COLS, stride);
    bg_matmul a = {.w = w, .panel_bytes = BG_PANEL_ROWS * K * sizeof *w, .x = x, .x_stride = stride,
                   .y_stride = ROWS, .k = K, .rows = ROWS, .cols = COLS};
    bg_rng rng;
    (void)state;
    if (!can_emulate()) skip();
    assert_true(w && got && want && x);
    bg_rng_seed(&rng, 1);
    for (size_t i = 0; i < ROWS * K; i++) w[i] = (float)bg_rng_below(&rng, 17) - 8;
    for (size_t i = 0; i < COLS; i++)
        bg_input_column(BG_FORMAT_BF16, BG_INPUT_EXACT, &rng, x + i * stride, K);
    a.y = want;
    bg_ref_matmul(BG_FORMAT_F32, BG_FORMAT_BF16, BG_REF_VALUES, &a);
    a.y = got;
    bg_amx_emulated_gemm_f32(&a);
    assert_memory_equal(got, want, ROWS * COLS * sizeof *got);
    bg_free(w);
    bg_free(got);
    bg_free(want);
    bg_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emulated),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) { return 0; }

#endif
