/* Simulated activations: against vectors whose rounding is plain to see,
 * and against what Q8_0 holds. */
#include "test.h"

#include "base/base.h"
#include "bitgauge/kernel.h"

#include <math.h>

/* The largest of each block is `levels` steps, so that a step is `unit` and numbers are rounded to
 * whole ones. */
static void check_levels(bg_activations a, float levels, float unit)
{
    const float steps[] = {levels, -2.4f, 2.6f, 0.49f, -0.51f, 1, 0, -levels + 0.4f};
    const float want[] = {levels, -2, 3, 0, -1, 1, 0, -levels};
    float in[40], out[40];
    for (int i = 0; i < 40; i++) in[i] = steps[i % 8] * unit;
    bg_activations_round(a, in, out, 40);
    for (int i = 0; i < 40; i++) assert_true(out[i] == want[i % 8] * unit);
    bg_activations_round(a, in, in, 40);
    assert_memory_equal(in, out, sizeof in);
}

static void test_levels(void **state)
{
    (void)state;
    for (int e = -12; e < 8; e++) {
        check_levels(BG_ACTIVATIONS_Q4, 7, ldexpf(1, e));
        check_levels(BG_ACTIVATIONS_Q6, 31, ldexpf(1, e));
        check_levels(BG_ACTIVATIONS_Q8, 127, ldexpf(1, e));
    }
}

/* Each block has a scale of its own, nothing stays nothing,
 * and what is no number stays in its block. */
static void test_blocks(void **state)
{
    float in[96] = {0}, out[96];
    (void)state;
    in[0] = 7;
    in[1] = 0.4f;
    in[32] = 0.4f;
    in[64] = 3;
    in[65] = NAN;
    bg_activations_round(BG_ACTIVATIONS_Q4, in, out, 96);
    assert_true(out[0] == 7 && out[1] == 0 && out[2] == 0);
    assert_true(fabsf(out[32] - 0.4f) < 0.4f * 0x1p-10f && out[33] == 0);
    for (int i = 64; i < 96; i++) assert_true(isnan(out[i]));
}

static void test_as_stored(void **state)
{
    float in[256], out[256], want[256];
    uint8_t blocks[64 * 8];
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 1);
    for (int i = 0; i < 256; i++) in[i] = ldexpf((float)bg_rng_unit(&rng) - 0.5f, i / 32);
    assert_true(bg_activation_bytes(BG_FORMAT_Q8_0, 256) <= sizeof blocks);
    bg_activation_encode(BG_FORMAT_Q8_0, BG_ISA_REF, in, blocks, 256);
    bg_format_decode(bg_format_get(BG_FORMAT_Q8_0), blocks, want, 256);
    bg_activations_round(BG_ACTIVATIONS_Q8, in, out, 256);
    assert_memory_equal(out, want, sizeof out);
    bg_activations_round(BG_ACTIVATIONS_F16, in, out, 256);
    for (int i = 0; i < 256; i++) assert_true(out[i] == bg_f16_to_f32(bg_f32_to_f16(in[i])));
}

static void test_names(void **state)
{
    (void)state;
    for (int a = BG_ACTIVATIONS_OWN + 1; a < BG_ACTIVATIONS_COUNT; a++)
        assert_int_equal(bg_activations_find(bg_activations_name((bg_activations)a)), a);
    assert_int_equal(bg_activations_find("q5"), BG_ACTIVATIONS_OWN);
    for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
        bg_isa to = bg_activations_isa((bg_isa)isa);
        assert_int_equal(bg_kernel_find(BG_FORMAT_F16, BG_OP_GEMM, to)->activation, BG_FORMAT_F32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels), cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_as_stored), cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
