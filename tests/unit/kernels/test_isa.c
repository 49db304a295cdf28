/* Instruction sets are tried in a child: faults, wrong answers and hangs are told apart. */
#include "test.h"

#include "base/base.h"
#include "kernels/kernels.h"

#include <signal.h>

static bool good(const void *user) { return user != NULL; }

static bool faulty(const void *user)
{
    (void)user;
    raise(SIGILL);
    return true;
}

static bool crashing(const void *user)
{
    (void)user;
    raise(SIGSEGV);
    return true;
}

static void test_trial(void **state)
{
    const char *reason = "unset";
    (void)state;
    assert_true(bg_isa_trial(good, "x", &reason));
    assert_null(reason);
    assert_false(bg_isa_trial(good, NULL, &reason));
    assert_string_equal(reason, "gave a wrong result");
    assert_false(bg_isa_trial(faulty, NULL, &reason));
    assert_string_equal(reason, "faulted (SIGILL)");
    assert_false(bg_isa_trial(crashing, NULL, &reason));
    assert_string_equal(reason, "faulted (SIGSEGV)");
}

/* A host that ignores SIGCHLD has its children reaped before anyone can ask. */
static void test_trial_unwaited(void **state)
{
    const char *reason = "unset";
    void (*old)(int) = signal(SIGCHLD, SIG_IGN);
    (void)state;
    assert_true(bg_isa_trial(good, "x", &reason));
    assert_false(bg_isa_trial(faulty, NULL, &reason));
    assert_string_equal(reason, "faulted");
    signal(SIGCHLD, old);
}

static void wrong_matmul(const bg_matmul *a)
{
    for (size_t c = 0; c < a->cols; c++)
        for (size_t r = 0; r < a->rows; r++) a->y[c * a->y_stride + r] = 1;
}

static void test_smoke(void **state)
{
    static const bg_kernel wrong[] = {
        {BG_FORMAT_Q4_0, BG_OP_GEMM, BG_ISA_REF, BG_TIER_HAND, BG_FORMAT_Q8_0,
         wrong_matmul}};
    const bg_isa_code code = {.kernels = wrong, .n_kernels = 1};
    const char *reason = NULL;
    (void)state;
    assert_true(bg_isa_smoke(bg_isa_codes[BG_ISA_REF]));
    assert_false(bg_isa_smoke(&code));
    assert_false(bg_isa_trial(bg_isa_smoke, &code, &reason));
    assert_string_equal(reason, "gave a wrong result");
}

static void test_usable(void **state)
{
    const char *reason = "unset";
    (void)state;
    assert_true(bg_isa_usable(BG_ISA_REF, &reason));
    assert_null(reason);
    for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
        bool usable = bg_isa_usable((bg_isa)isa, &reason);
        assert_true(usable == (reason == NULL));
        if (!bg_isa_codes[isa]->present()) assert_string_equal(reason, "not in this CPU");
        if (bg_isa_codes[isa]->present()) assert_true(usable);
    }
}

static void test_parse(void **state)
{
    bg_error err = {0};
    bg_isa isa;
    (void)state;
    assert_ok(bg_isa_parse("REF", &isa, &err), &err);
    assert_int_equal(isa, BG_ISA_REF);
    assert_ok(bg_isa_parse("native", &isa, &err), &err);
    assert_true(bg_isa_usable(isa, NULL));
    assert_fails(bg_isa_parse("avx22", &isa, &err), BG_ERR_INPUT, "did you mean 'avx2'", &err);
    assert_fails(bg_isa_parse("", &isa, &err), BG_ERR_INPUT, "unknown", &err);
    assert_string_equal(bg_isa_name(BG_ISA_AVX2), "avx2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trial),  cmocka_unit_test(test_trial_unwaited),
        cmocka_unit_test(test_smoke),  cmocka_unit_test(test_usable),
        cmocka_unit_test(test_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
