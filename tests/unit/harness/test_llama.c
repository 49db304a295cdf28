/* What llama-perplexity prints, whole and not. */
#include "test.h"

#include "harness/llama.h"

#include <math.h>
#include <string.h>

static const char whole[] =
    "perplexity: calculating perplexity over 3 chunks, n_ctx=512\n"
    "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence\n"
    "   1       5.1000 ±    0.4000       0.01000 ±    0.00200       0.01500 ±    0.00100\n"
    "\n"
    "====== Perplexity statistics ======\n"
    "Mean PPL(Q)                   :   5.250000 ±   0.125000\n"
    "Mean PPL(base)                :   5.000000 ±   0.100000\n"
    "Mean PPL(Q)/PPL(base)         :   1.050000 ±   0.010000\n"
    "====== KL divergence statistics ======\n"
    "Mean    KLD:   0.020000 ±   0.000500\n"
    "Maximum KLD:   0.500000\n"
    "99.9%   KLD:   0.400000\n"
    "99.0%   KLD:   0.300000\n"
    "Median  KLD:   0.010000\n"
    "Minimum KLD:  -0.000012\n"
    "RMS Δp    :  4.500 ± 0.100 %\n"
    "Same top p: 93.500 ± 0.300 %\n";

static void numbers_are_taken(void **state)
{
    bg_quality q;
    bg_error err;
    (void)state;
    assert_ok(bg_llama_parse_quality(whole, &q, &err), &err);
    assert_true(q.has_base && q.ppl == 5.25 && q.ppl_se == 0.125 && q.base_ppl == 5);
    assert_true(q.kld_mean == 0.02 && q.kld_se == 0.0005 && q.kld_max == 0.5 && q.kld_p999 == 0.4);
    assert_true(q.kld_p99 == 0.3 && q.kld_median == 0.01);
    assert_true(q.same_top_pct == 93.5 && q.rms_dp_pct == 4.5);
}

/* A part of it gives no number that is not there; a copy ends where sanitizers see it. */
static void cut_output_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n + 30 < sizeof whole; n++) {
        char *text = bg_alloc(n + 1, 1);
        bg_quality q;
        bg_error err;
        memcpy(text, whole, n);
        assert_int_equal(bg_llama_parse_quality(text, &q, &err), BG_ERR_UNSUPPORTED);
        bg_free(text);
    }
}

static void nonsense_is_refused(void **state)
{
    static const struct { const char *from, *to, *says; } cases[] = {
        {"5.250000", "-nan    ", "nan"}, {"0.020000", "inf     ", "prints inf for 'Mean    KLD'"},
        {"93.500", "193.50", "prints 193.5 for 'Same top p'"}, {"5.000000", "0.000000", "prints 0"},
        {"99.0%   KLD:   0.300000", "99.0%   KLD:           ", "does not print '99.0%   KLD'"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        char text[sizeof whole];
        bg_quality q;
        bg_error err;
        memcpy(text, whole, sizeof whole);
        memcpy(strstr(text, cases[i].from), cases[i].to, strlen(cases[i].from));
        assert_fails(bg_llama_parse_quality(text, &q, &err), BG_ERR_UNSUPPORTED, cases[i].says,
                     &err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_taken), cmocka_unit_test(cut_output_is_refused),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
