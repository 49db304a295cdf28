/* Sums of products, what is kept of them, and least squares by them. */
#include "test.h"

#include "base/base.h"
#include "search/moments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 150, K = 700, KEPT = 100, ROWS = 37 };

static bg_team *team;
static bg_isa isa;
static bg_error err;

static int setup(void **state)
{
    (void)state;
    if (bg_isa_parse("native", &isa, &err) != BG_OK) return -1;
    return bg_team_open(&team, 3, NULL, NULL, &err) == BG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    bg_team_close(&team);
    return 0;
}

/* x[K][N]: columns of very different sizes that have much to do with each other. */
static float *make_inputs(void)
{
    float *x = calloc(K * N, sizeof *x);
    bg_rng rng;
    bg_rng_seed(&rng, 7);
    for (size_t k = 0; k < K; k++) {
        double common = bg_rng_normal(&rng);
        for (size_t i = 0; i < N; i++)
            x[k * N + i] = (float)((common + bg_rng_normal(&rng)) * (i % 10 == 3 ? 20 : 1 + (double)i / N));
    }
    return x;
}

static float *add_sums(const float *x, bg_isa by)
{
    float *sums = calloc(N * N, sizeof *sums);
    for (size_t k = 0; k < K; k += K / 7)
        bg_moments_add(bg_grad_ops_get(by), team, sums, N, x + k * N, K / 7);
    return sums;
}

static void test_sums(void **state)
{
    float *x = make_inputs();
    (void)state;
    for (int best = 0; best < 2; best++) {
        float *sums = add_sums(x, best ? isa : BG_ISA_REF);
        bg_moments m;
        assert_ok(bg_moments_keep(&m, sums, N, &err), &err);
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) {
                double sum = 0, scale = 0;
                for (size_t k = 0; k < K; k++) {
                    sum += (double)x[k * N + i] * (double)x[k * N + j];
                    scale += fabs((double)x[k * N + i] * (double)x[k * N + j]);
                }
                assert_true(fabs(sum - (double)sums[i * N + j]) <= 1e-5 * scale);
            }
        bg_moments_free(&m);
        free(sums);
    }
    free(x);
}

/* What rows lose of what they say of the inputs, squared. */
static double loss(const float *x, const float *rows, const float *made, const uint32_t *at)
{
    double sum = 0;
    for (size_t k = 0; k < K; k++)
        for (size_t r = 0; r < ROWS; r++) {
            double d = 0;
            for (size_t i = 0; i < N; i++) d += (double)rows[r * N + i] * (double)x[k * N + i];
            for (size_t i = 0; i < KEPT; i++)
                d -= (double)made[r * N + i] * (double)x[k * N + at[i]];
            sum += d * d;
        }
    return sum;
}

/* No step of any weight makes what is fitted better by more than what damping and coarse
 * correlations account for; and most of what is lost can be said by the others. */
static void test_fit(void **state)
{
    float *x = make_inputs(), *sums = add_sums(x, isa);
    float *rows = calloc(ROWS * N, sizeof *rows), *made = calloc(ROWS * N, sizeof *made);
    float *cut = calloc(ROWS * N, sizeof *cut);
    uint32_t at[KEPT], n = 0;
    bg_moments m;
    bg_rng rng;
    double best, plain;
    (void)state;
    bg_rng_seed(&rng, 3);
    for (size_t i = 0; i < ROWS * N; i++) rows[i] = (float)bg_rng_normal(&rng);
    for (uint32_t i = 0; i < N && n < KEPT; i++)
        if (i % 3 != 1) at[n++] = i;
    assert_int_equal(n, KEPT);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < KEPT; i++) cut[r * N + i] = rows[r * N + at[i]];
    memcpy(made, rows, ROWS * N * sizeof *made);
    assert_ok(bg_moments_keep(&m, sums, N, &err), &err);
    assert_ok(bg_moments_fit(&m, at, KEPT, made, ROWS, bg_grad_ops_get(isa), team, &err), &err);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = KEPT; i < N; i++) assert_true(made[r * N + i] == 0);
    plain = loss(x, rows, cut, at);
    best = loss(x, rows, made, at);
    if (!(best < 0.5 * plain)) fail_msg("%g, and %g without", best, plain);
    for (size_t i = 0; i < KEPT; i += 11)
        for (int up = 0; up < 2; up++) {
            double then;
            memcpy(cut, made, ROWS * N * sizeof *cut);
            for (size_t r = 0; r < ROWS; r++)
                cut[r * N + i] += (up ? 1.0f : -1.0f) / (1 + m.root[at[i]] / 100);
            then = loss(x, rows, cut, at);
            if (!(then > 0.999 * best)) fail_msg("column %u: %g, not %g", at[i], then, best);
        }
    bg_moments_free(&m);
    free(x);
    free(sums);
    free(rows);
    free(made);
    free(cut);
}

/* Columns that are alike, or always zero, leave numbers; what is not finite an error. */
static void test_singular(void **state)
{
    enum { n = 8 };
    float sums[n * n], rows[2 * n];
    const uint32_t at[] = {0, 2, 5};
    const bg_grad_ops *ops = bg_grad_ops_get(isa);
    bg_moments m;
    (void)state;
    for (int zero = 0; zero < 2; zero++) {
        for (size_t i = 0; i < n * n; i++) sums[i] = zero ? 0 : 3;
        for (size_t i = 0; i < 2 * n; i++) rows[i] = (float)i;
        assert_ok(bg_moments_keep(&m, sums, n, &err), &err);
        assert_ok(bg_moments_fit(&m, at, 3, rows, 2, ops, team, &err), &err);
        /* Alike: one is as good as all, so that the sum of weights stays, but for damping. */
        if (zero) assert_true(rows[0] == 0 && rows[1] == 2 && rows[2] == 5 && rows[n] == 8);
        else assert_true(fabsf(rows[0] + rows[1] + rows[2] - 28) < 0.3f && rows[3] == 0);
        bg_moments_free(&m);
    }
    sums[3 * n + 3] = sums[2 * n + 2] = INFINITY;
    assert_ok(bg_moments_keep(&m, sums, n, &err), &err);
    assert_int_equal(bg_moments_fit(&m, at, 3, rows, 2, ops, team, &err), BG_ERR_INPUT);
    bg_moments_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_singular),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
