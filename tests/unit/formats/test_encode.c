#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/format.h"
#include "formats/coder.h"

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

/* ---- how near to the best ------------------------------------------------------------------ */

static double square_error(const float *x, const float *y, size_t n)
{
    double e = 0;
    for (size_t i = 0; i < n; i++) e += (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
    return e;
}

/* Blocks that llama.cpp made of real weights, without importance: ours are nearer to them. */
static void nearer_than_llama_cpp(void **state)
{
    static const struct { const char *name; double most; } cases[] = {
        {"Q2_K", 0.82}, {"Q3_K", 0.92}, {"Q4_K", 0.97}, {"Q5_K", 0.93}, {"Q6_K", 0.93},
        {"Q4_0", 0.92},
    };
    enum { N = 12 * 256 };
    static float x[N], y[N], ones[N];
    static uint8_t b[N * 4];
    bg_error err;
    (void)state;
    for (int i = 0; i < N; i++) ones[i] = 1;
    for (size_t k = 0; k < BG_COUNT(cases); k++) {
        const bg_format_info *f = bg_format_find(cases[k].name);
        size_t bytes = bg_format_row_bytes(f, N);
        char path[512];
        bg_map map;
        snprintf(path, sizeof path, "%s/formats/%s.peer.bin", BG_FIXTURES, f->name);
        assert_ok(bg_map_open(&map, path, &err), &err);
        assert_int_equal(map.size, 12 + bytes + N * 2);
        bg_format_decode(bg_format_get(BG_FORMAT_F16), map.data + 12 + bytes, x, N);
        bg_format_decode(f, map.data + 12, y, N);
        double theirs = square_error(x, y, N);
        bg_format_encode(f, x, ones, b, N);
        bg_format_decode(f, b, y, N);
        double ratio = square_error(x, y, N) / theirs;
        if (ratio > cases[k].most) fail_msg("%s: %.4f of llama.cpp's error", f->name, ratio);
        bg_map_close(&map);
    }
}

/* The least error of any scale (and min) whatever, for levels low..high, by trying many. */
static double least_error(const float *x, int n, int low, int high, bool affine)
{
    float from = x[0], to = x[0], most = 0;
    double best = 1e30;
    for (int i = 0; i < n; i++) {
        from = fminf(from, x[i]);
        to = fmaxf(to, x[i]);
        most = fmaxf(most, fabsf(x[i]));
    }
    for (int k = 0; k < 400; k++)
        for (int z = 0; z < (affine ? 60 : 2); z++) {
            float scale = affine ? (to - from) / (float)(high - low) * (0.6f + 0.0015f * (float)k)
                                 : most / (float)-low * (0.2f + 0.0025f * (float)k) * (z ? -1 : 1);
            float min = affine ? -from - scale * 0.03f * (float)(z - 10) : 0;
            double e = 0;
            for (int i = 0; i < n; i++) {
                float q = rintf((x[i] + min) / scale);
                q = fminf(fmaxf(q, (float)low), (float)high);
                e += (double)(x[i] + min - scale * q) * (double)(x[i] + min - scale * q);
            }
            if (e < best) best = e;
        }
    return best;
}

/* Against an exhaustive search that may use any scale: what is lost to halves and to integer
 * sub-scales is small. */
static void near_the_best(void **state)
{
    static const struct {
        const char *name;
        int sub, low, high;
        bool affine;
        double most;
    } cases[] = {
        {"Q4_0", 32, -8, 7, false, 1.003}, {"Q5_0", 32, -16, 15, false, 1.004},
        {"Q4_1", 32, 0, 15, true, 1.02},   {"Q5_1", 32, 0, 31, true, 1.06},
        {"TQ2_0", 256, -1, 2, false, 1.002}, {"TQ1_0", 256, -1, 1, false, 1.002},
        {"Q2_K", 16, 0, 3, true, 1.04},    {"Q3_K", 16, -4, 3, false, 1.015},
        {"Q4_K", 32, 0, 15, true, 1.04},   {"Q5_K", 32, 0, 31, true, 1.085},
        {"Q6_K", 16, -32, 31, false, 1.07},
    };
    enum { N = 1024 };
    float x[N], y[N], ones[N];
    uint8_t b[N * 4];
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 13);
    for (int i = 0; i < N; i++) {
        x[i] = (float)bg_rng_normal(&rng);
        ones[i] = 1;
    }
    for (size_t k = 0; k < BG_COUNT(cases); k++) {
        const bg_format_info *f = bg_format_find(cases[k].name);
        double best = 0;
        for (int i = 0; i < N; i += cases[k].sub)
            best += least_error(x + i, cases[k].sub, cases[k].low, cases[k].high, cases[k].affine);
        bg_format_encode(f, x, ones, b, N);
        bg_format_decode(f, b, y, N);
        double ratio = square_error(x, y, N) / best;
        if (ratio > cases[k].most) fail_msg("%s: %.4f of the least error", f->name, ratio);
    }
}

/* Errors move to where they do not matter. */
static void importance_counts(void **state)
{
    enum { N = 2048 };
    float x[N], importance[N];
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 14);
    for (int i = 0; i < N; i++) {
        x[i] = (float)bg_rng_normal(&rng);
        importance[i] = expf(2 * (float)bg_rng_normal(&rng));
    }
    for (size_t k = 0; bg_format_at(k); k++) {
        const bg_format_info *f = bg_format_at(k);
        float y[N];
        uint8_t b[N * 4];
        double blind = 0;
        if (f->level == 0 || f->level >= 8) continue;
        bg_format_encode(f, x, NULL, b, N);
        bg_format_decode(f, b, y, N);
        for (int i = 0; i < N; i++)
            blind += (double)importance[i] * (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
        double ratio = error_of(f, x, importance, N) / blind;
        if (ratio > (f->level > 2 ? 0.9 : 0.96))
            fail_msg("%s: importance leaves %.3f of the error", f->name, ratio);
    }
}

/* Weights of all kinds: smooth, with heavy tails, of one sign, tiny, huge, and zeros. */
static void fill_kinds(bg_rng *rng, float *x, float *importance, int n)
{
    for (int i = 0; i < n; i++) {
        double z = bg_rng_normal(rng), size = 0.02;
        int kind = i / 96 % 8;
        if (kind == 1 && bg_rng_below(rng, 40) == 0) z *= 30;
        if (kind == 2) z = fabs(z);
        if (kind == 3) z = -fabs(z) - 1;
        if (kind == 4) size = 1e-6;
        if (kind == 5) size = 1e6;
        if (kind == 6) size = bg_rng_below(rng, 4) ? 0 : 1e12;
        x[i] = (float)(size * z);
        importance[i] = kind == 7 ? 0 : (float)exp(2 * bg_rng_normal(rng));
    }
}

/* Every instruction set gives the same blocks, also where a row ends within a tile. */
static void same_bits(void **state)
{
    enum { N = 256 * 37 };
    static float x[N], importance[N];
    static uint8_t expected[N * 4], got[N * 4];
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 15);
    fill_kinds(&rng, x, importance, N);
    for (size_t k = 0; bg_format_at(k); k++)
        for (int with = 0; with < 2; with++) {
            const bg_format_info *f = bg_format_at(k);
            const bg_coder *s;
            size_t n = N - (f->block_weights == 32 ? 96 : 0);
            bg_coder_use(bg_coder_at(0));
            bg_format_encode(f, x, with ? importance : NULL, expected, n);
            for (size_t i = 1; (s = bg_coder_at(i)); i++) {
                if (!s->present()) continue;
                bg_coder_use(s);
                bg_format_encode(f, x, with ? importance : NULL, got, n);
                if (memcmp(expected, got, bg_format_row_bytes(f, n)) != 0)
                    fail_msg("%s: %s gives other blocks", f->name, s->name);
            }
            bg_coder_use(bg_coder_at(0));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_weights), cmocka_unit_test(edges), cmocka_unit_test(again),
        cmocka_unit_test(nearer_than_llama_cpp), cmocka_unit_test(near_the_best),
        cmocka_unit_test(importance_counts), cmocka_unit_test(same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
