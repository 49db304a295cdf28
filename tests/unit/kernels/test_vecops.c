#include "test.h"

#include "kernels/kernels.h"

#include "base/base.h"

#include <math.h>

/* Runs a check on the vector operations of every instruction set that works here. */
static void each_set(void (*check)(const bg_vecops *))
{
    for (int isa = 0; isa < BG_ISA_COUNT; isa++)
        if (bg_isa_usable((bg_isa)isa, NULL)) check(bg_vecops_get((bg_isa)isa));
}

static void fill(float *x, size_t n, uint64_t seed, double size)
{
    bg_rng rng;
    bg_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = (float)(size * bg_rng_normal(&rng));
}

static void near_to(float got, double want, double tolerance)
{
    if (!(fabs((double)got - want) <= tolerance)) fail_msg("%.9g is not %.9g", (double)got, want);
}

/* Against libm in double precision, in units of the last place. */
static void check_exp(const bg_vecops *v)
{
    double worst = 0;
    for (double x = -87.2; x < 88.2; x += 0.00437) {
        float in = (float)x, one = in;
        double truth = exp((double)in), ulp = ldexp(1, ilogb(truth) - 23), sum;
        sum = (double)v->exp_sum(&one, 0, 1);
        worst = fmax(worst, fabs((double)one - truth) / ulp);
        assert_true(sum == (double)one);
    }
    if (!(worst < 2)) fail_msg("off by %g units in the last place", worst);
    for (size_t n = 1; n < 40; n++) {
        float x[41], e[41];
        double sum = 0;
        fill(x, 41, n, 5);
        memcpy(e, x, sizeof x);
        near_to(v->exp_sum(e, 3, n), 0, 1e30);
        for (size_t i = 0; i < n; i++) {
            near_to(e[i], exp((double)(x[i] - 3.0f)), 3e-7 * exp((double)x[i] - 3));
            sum += exp((double)(x[i] - 3.0f));
        }
        for (size_t i = n; i < 41; i++) assert_true(e[i] == x[i]); /* nothing past the end */
        memcpy(e, x, sizeof x);
        near_to(v->exp_sum(e, 3, n), sum, 1e-6 * sum);
    }
}

static void check_exp_extremes(const bg_vecops *v)
{
    float x[3] = {-1000, -INFINITY, 0}, nan = NAN;
    near_to(v->exp_sum(x, 0, 3), 1, 0);
    near_to(x[0], 0, 0);
    near_to(x[1], 0, 0);
    assert_true(isnan(v->exp_sum(&nan, 0, 1)));
}

static double gelu(float x, float up)
{
    double u = sqrt(2 / 3.14159265358979323846) * ((double)x + 0.044715 * pow((double)x, 3));
    return 0.5 * (double)x * (1 + tanh(u)) * (double)up;
}

static void check_simple(const bg_vecops *v)
{
    for (size_t n = 1; n < 70; n++) {
        float x[71], y[71], r[71];
        uint16_t half[71] = {0};
        double squares = 0, largest;
        fill(x, 71, n, 2);
        fill(y, 71, n + 100, 3);
        memcpy(r, x, sizeof x);
        v->add(r, y, n);
        for (size_t i = 0; i < 71; i++) near_to(r[i], (double)(i < n ? x[i] + y[i] : x[i]), 0);
        memcpy(r, x, sizeof x);
        v->scale(r, 0.7f, n);
        for (size_t i = 0; i < 71; i++) near_to(r[i], (double)(i < n ? x[i] * 0.7f : x[i]), 0);
        largest = (double)x[0];
        for (size_t i = 0; i < n; i++) largest = fmax(largest, (double)x[i]);
        near_to(v->max(x, n), largest, 0);
        memcpy(r, x, sizeof x);
        v->rmsnorm(x, y, r, 1e-5f, n);
        for (size_t i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
        for (size_t i = 0; i < 71; i++)
            near_to(r[i], i < n ? (double)x[i] / sqrt(squares / (double)n + 1e-5) * (double)y[i]
                                : (double)x[i], 1e-5);
        memcpy(r, x, sizeof x);
        v->silu_mul(r, y, r, n);
        for (size_t i = 0; i < 71; i++)
            near_to(r[i], i < n ? (double)x[i] / (1 + exp(-(double)x[i])) * (double)y[i]
                                : (double)x[i], 1e-5);
        memcpy(r, x, sizeof x);
        v->gelu_mul(r, y, r, n);
        for (size_t i = 0; i < 71; i++)
            near_to(r[i], i < n ? gelu(x[i], y[i]) : (double)x[i], 2e-5);
        memcpy(r, x, sizeof x);
        v->soft_cap(r, 1.5f, n);
        for (size_t i = 0; i < 71; i++)
            near_to(r[i], i < n ? 1.5 * tanh((double)x[i] / 1.5) : (double)x[i], 2e-6);
        v->to_f16(x, half, n);
        for (size_t i = 0; i < 71; i++)
            assert_int_equal(half[i], i < n ? bg_f32_to_f16(x[i]) : 0);
    }
}

static void check_silu_extremes(const bg_vecops *v)
{
    float gate[4] = {-200, 200, 0, -88}, up[4] = {1, 1, 1, 1};
    v->silu_mul(gate, up, gate, 4);
    near_to(gate[0], 0, 1e-30);
    near_to(gate[1], 200, 0);
    near_to(gate[2], 0, 0);
    near_to(gate[3], 0, 1e-30);
    gate[0] = -30, gate[1] = 30, gate[3] = -9;
    v->gelu_mul(gate, up, gate, 4);
    near_to(gate[0], 0, 1e-30);
    near_to(gate[1], 30, 0);
    near_to(gate[2], 0, 0);
    near_to(gate[3], 0, 1e-10);
    gate[0] = -3e30f, gate[1] = 3e30f, gate[3] = 1000;
    v->soft_cap(gate, 30, 4);
    near_to(gate[0], -30, 0);
    near_to(gate[1], 30, 0);
    near_to(gate[2], 0, 1e-5);
    near_to(gate[3], 30, 0);
}

static void check_rope(const bg_vecops *v)
{
    for (size_t n = 2; n < 40; n += 2) {
        float x[41], turn[41], r[41];
        fill(x, 41, n, 2);
        fill(turn, 41, n + 9, 1);
        memcpy(r, x, sizeof x);
        v->rope(r, turn, n);
        for (size_t i = 0; i < n; i += 2) {
            double a = (double)x[i], b = (double)x[i + 1];
            double cosine = (double)turn[i], sine = (double)turn[i + 1];
            near_to(r[i], a * cosine - b * sine, 1e-5);
            near_to(r[i + 1], a * sine + b * cosine, 1e-5);
        }
        for (size_t i = n; i < 41; i++) assert_true(r[i] == x[i]);
        memcpy(r, x, sizeof x);
        v->rope_halves(r, turn, n);
        for (size_t i = 0; i < n / 2; i++) {
            double a = (double)x[i], b = (double)x[i + n / 2];
            double cosine = (double)turn[i], sine = (double)turn[i + n / 2];
            near_to(r[i], a * cosine - b * sine, 1e-5);
            near_to(r[i + n / 2], a * sine + b * cosine, 1e-5);
        }
        for (size_t i = n; i < 41; i++) assert_true(r[i] == x[i]);
    }
}

static void exponentials(void **state)
{
    (void)state;
    each_set(check_exp);
    each_set(check_exp_extremes);
}

static void rows(void **state)
{
    (void)state;
    each_set(check_simple);
    each_set(check_silu_extremes);
    each_set(check_rope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials), cmocka_unit_test(rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
