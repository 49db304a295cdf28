/* Shares of made-up texts whose common parts are known. */
#include "test.h"

#include "base/base.h"

#include "bitgauge/quality.h"

enum { N = 3200 };

static void test_shares(void **state)
{
    int32_t *a = bg_alloc(N, sizeof *a), *b = bg_alloc(N, sizeof *b);
    (void)state;
    for (int i = 0; i < N; i++) {
        a[i] = i;
        b[i] = N + i;
    }
    assert_float_equal(bg_tokens_overlap(a, N, a, N), 1, 0);
    assert_float_equal(bg_tokens_overlap(a, N, b, N), 0, 0);
    /* A quarter of b, found at another place of a, where no block begins. */
    for (int i = 0; i < N / 4; i++) b[i] = a[777 + i];
    assert_float_equal(bg_tokens_overlap(a, N, b, N), 0.25, 0);
    /* Runs of 16 that are shared are none. */
    for (int i = 0; i < N; i++) b[i] = i % 32 < 16 ? a[i] : -i;
    assert_float_equal(bg_tokens_overlap(a, N, b, N), 0, 0);
    /* Whole runs count, of texts long enough to have one. */
    assert_float_equal(bg_tokens_overlap(a, N, a + 5, 63), 1, 0);
    assert_float_equal(bg_tokens_overlap(a, N, a, 31), 0, 0);
    assert_float_equal(bg_tokens_overlap(a, 31, a, N), 0, 0);
    assert_float_equal(bg_tokens_overlap(NULL, 0, NULL, 0), 0, 0);
    bg_free(a);
    bg_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
