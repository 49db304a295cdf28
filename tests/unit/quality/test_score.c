/* Scores and their summary against closed forms. */
#include "test.h"

#include "quality/score.h"

#include <math.h>
#include <stdlib.h>

static void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.12g, not %.12g", got, want);
}

static void test_uniform(void **state)
{
    static const size_t sizes[] = {1, 2, 15, 16, 17, 4096, 128256};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(sizes); i++) {
        size_t n = sizes[i];
        float *logits = bg_alloc(n, sizeof *logits);
        double scratch[3];
        bg_token_score scores[3];
        bg_quality q = {0};
        for (size_t j = 0; j < n; j++) logits[j] = 7.25f;
        for (int j = 0; j < 3; j++) scores[j] = bg_score_logits(logits, NULL, n, (int32_t)n - 1);
        bg_score_summary(scores, 3, false, scratch, &q);
        assert_near(q.ppl / (double)n, 1, 1e-12); /* perplexity is the size of the vocabulary */
        assert_near(q.ppl_se, 0, 1e-9 * (double)n);
        assert_int_equal(q.tokens, 3);
        assert_false(q.has_base);
        assert_true(isnan(q.kld_mean) && isnan(q.same_top_pct) && isnan(q.base_ppl));
        bg_free(logits);
    }
}

static void test_exponential(void **state)
{
    (void)state;
    /* -log p of the second of two logits that lie x apart is log(1 + e^x). */
    for (double x = 0; x < 80; x += 0.37) {
        float logits[2] = {3.0f, 3.0f - (float)x};
        double gap = (double)logits[0] - (double)logits[1];
        assert_near(bg_score_logits(logits, NULL, 2, 1).nll, gap + log1p(exp(-gap)), 2e-7);
    }
    /* Far away from the others a token is certain, or impossible. */
    float logits[3] = {1e30f, -1e30f, 0};
    assert_near(bg_score_logits(logits, NULL, 3, 0).nll, 0, 1e-30);
    assert_true(bg_score_logits(logits, NULL, 3, 1).nll > 1e30);
    logits[2] = NAN;
    assert_true(isnan(bg_score_logits(logits, NULL, 3, 0).nll));
    logits[2] = INFINITY;
    assert_true(isnan(bg_score_logits(logits, NULL, 3, 0).nll));
}

static void test_known_divergence(void **state)
{
    const float uniform[4] = {5, 5, 5, 5};
    const float halves[4] = {logf(0.5f), logf(0.25f), logf(0.125f), logf(0.125f)};
    bg_token_score s;
    (void)state;
    /* KL(halves || uniform) = log 4 - 1.75 log 2 */
    s = bg_score_logits(uniform, halves, 4, 0);
    assert_near(s.kld, 0.25 * log(2), 1e-6);
    assert_near(s.nll, log(4), 1e-7);
    assert_near(s.base_nll, log(2), 1e-6);
    assert_true(s.same_top); /* the first of the equals */
    /* KL(uniform || halves) = (log 2 + log 4 + 2 log 8) / 4 - log 4 */
    s = bg_score_logits(halves, uniform, 4, 3);
    assert_near(s.kld, 0.25 * log(2), 1e-6);
    assert_near(s.nll, 3 * log(2), 1e-6);
    /* A shift of all logits changes nothing. */
    float shifted[4];
    for (int i = 0; i < 4; i++) shifted[i] = halves[i] + 16;
    assert_near(bg_score_logits(shifted, halves, 4, 0).kld, 0, 1e-6);
    assert_true(bg_score_logits(halves, halves, 4, 0).kld == 0);
    const float other[4] = {0, 0, 1, 0};
    assert_false(bg_score_logits(other, halves, 4, 0).same_top);
}

static void test_large_random_divergence(void **state)
{
    enum { N = 5000 };
    float *x = bg_alloc(N, sizeof *x), *y = bg_alloc(N, sizeof *y);
    double sx = 0, sy = 0, kld = 0;
    bg_rng rng;
    bg_token_score s;
    (void)state;
    bg_rng_seed(&rng, 7);
    for (size_t i = 0; i < N; i++) {
        x[i] = (float)(4 * bg_rng_normal(&rng));
        y[i] = x[i] + (float)(0.02 * bg_rng_normal(&rng));
        sx += exp((double)x[i]);
        sy += exp((double)y[i]);
    }
    for (size_t i = 0; i < N; i++) {
        double px = exp((double)x[i]) / sx, py = exp((double)y[i]) / sy;
        kld += px * (log(px) - log(py));
    }
    s = bg_score_logits(y, x, N, 42);
    assert_near(s.kld / kld, 1, 1e-3); /* kld is about 2e-4 */
    assert_near(s.nll, log(sy) - (double)y[42], 1e-6);
    bg_free(x);
    bg_free(y);
}

static void test_summary(void **state)
{
    enum { N = 1001 };
    bg_token_score two[2] = {{.nll = 1}, {.nll = 3}}, *s = bg_alloc(N, sizeof *s);
    double *scratch = bg_alloc(N, sizeof *scratch);
    bg_quality q = {0};
    (void)state;
    bg_score_summary(two, 2, false, scratch, &q);
    assert_near(q.ppl, exp(2), 1e-12);
    assert_near(q.ppl_se, exp(2), 1e-12); /* variance 1 over n - 1 = 1 */
    /* Divergences 0 to 1000 in a scrambled order; one p in four falls from 1 to 1/2. */
    for (int i = 0; i < N; i++)
        s[i] = (bg_token_score){.nll = i % 4 ? 0 : log(2), .kld = i * 8 % N,
                                .same_top = i % 10 == 0};
    bg_score_summary(s, N, true, scratch, &q);
    assert_true(q.has_base);
    assert_near(q.kld_mean, 500, 1e-9);
    assert_near(q.kld_se, sqrt((1001.0 * 1001 - 1) / 12 / 1000), 1e-9);
    assert_near(q.kld_median, 500, 1e-9);
    assert_near(q.kld_p99, 990, 1e-9);
    assert_near(q.kld_p999, 999, 1e-9);
    assert_near(q.kld_max, 1000, 1e-9);
    assert_near(q.same_top_pct, 100 * 101.0 / N, 1e-9);
    assert_near(q.rms_dp_pct, 100 * sqrt(0.25 * 251 / N), 1e-9);
    assert_near(q.base_ppl, 1, 1e-12);
    bg_score_summary(s, 1, true, scratch, &q);
    assert_true(isnan(q.ppl_se) && isnan(q.kld_se) && isfinite(q.kld_mean));
    bg_free(s);
    bg_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform), cmocka_unit_test(test_exponential),
        cmocka_unit_test(test_known_divergence), cmocka_unit_test(test_large_random_divergence),
        cmocka_unit_test(test_summary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
