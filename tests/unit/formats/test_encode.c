#include "test.h"

#include "base/base.h"
#include "bitgauge/format.h"

#include <math.h>
#include <stdlib.h>

/* Relative RMS error that a format must stay under on normal weights: what its bits allow. */
static const struct { const char *name; double bound; } bounds[] = {
    {"F32", 0},       {"F16", 3e-4},    {"BF16", 2e-3},  {"Q4_0", 0.10},  {"Q4_1", 0.09},
    {"Q5_0", 0.05},   {"Q5_1", 0.045},  {"Q8_0", 0.007}, {"Q2_K", 0.29},  {"Q3_K", 0.15},
    {"Q4_K", 0.085},  {"Q5_K", 0.045},  {"Q6_K", 0.025}, {"Q8_K", 0.009}, {"IQ4_NL", 0.09},
    {"IQ4_XS", 0.09}, {"TQ1_0", 0.52},  {"TQ2_0", 0.52},
};

static double error_of(const bg_format_info *f, const float *x, const float *importance, size_t n)
{
    uint8_t *b = malloc(bg_format_row_bytes(f, n) + 1);
    float *y = malloc(n * sizeof *y);
    double e = 0;
    bg_format_encode(f, x, importance, b + 1, n); /* odd addresses are fine */
    bg_format_decode(f, b + 1, y, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(y[i]));
        e += (importance ? importance[i] : 1) * (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
    }
    free(y);
    free(b);
    return e;
}

static void normal_weights(void **state)
{
    enum { N = 256 * 64 };
    float *x = malloc(N * sizeof *x);
    double energy = 0;
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 11);
    for (int i = 0; i < N; i++) x[i] = 0.03f * (float)bg_rng_normal(&rng);
    for (int i = 0; i < N; i++) energy += (double)x[i] * (double)x[i];
    for (size_t k = 0; k < BG_COUNT(bounds); k++) {
        double r = sqrt(error_of(bg_format_find(bounds[k].name), x, NULL, N) / energy);
        assert_true(r <= bounds[k].bound);
    }
    free(x);
}

/* Inputs at the edges: no block may hold an infinity, and what can be exact is. */
static void edges(void **state)
{
    enum { N = 512 };
    static const float constants[] = {0, -0.0f, 1, -1, 0.37f, 1e-7f, 1e-20f, 1e-45f, 70000, 1e9f,
                                      3e38f, -3e38f};
    float x[N], none[N] = {0};
    (void)state;
    for (size_t k = 0; bg_format_at(k); k++) {
        const bg_format_info *f = bg_format_at(k);
        for (size_t c = 0; c < BG_COUNT(constants); c++) {
            for (int i = 0; i < N; i++) x[i] = constants[c];
            double e = error_of(f, x, NULL, N), v = fabs((double)constants[c]);
            if (v == 0) assert_true(e == 0);
            else if (v > 1e-3 && v < 2 && sqrt(e / N) > 0.04 * v)
                fail_msg("%s: constant %g has error %g", f->name, v, sqrt(e / N));
            error_of(f, x, none, N);
        }
        for (int i = 0; i < N; i++) x[i] = 0;
        x[300] = -2.5f; /* a spike alone */
        assert_true(sqrt(error_of(f, x, NULL, N)) <= 2.5 * 0.06);
    }
}

/* Encoding what was decoded is stable. */
static void again(void **state)
{
    enum { N = 2048 };
    float x[N], y[N], z[N];
    uint8_t b[N * 4];
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 12);
    for (int i = 0; i < N; i++) x[i] = (float)bg_rng_normal(&rng);
    for (size_t k = 0; bg_format_at(k); k++) {
        const bg_format_info *f = bg_format_at(k);
        double first = 0, second = 0;
        bg_format_encode(f, x, NULL, b, N);
        bg_format_decode(f, b, y, N);
        bg_format_encode(f, y, NULL, b, N);
        bg_format_decode(f, b, z, N);
        for (int i = 0; i < N; i++) {
            first += (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
            second += (double)(y[i] - z[i]) * (double)(y[i] - z[i]);
        }
        if (second > first) fail_msg("%s: %g, again %g", f->name, first, second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_weights), cmocka_unit_test(edges), cmocka_unit_test(again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
