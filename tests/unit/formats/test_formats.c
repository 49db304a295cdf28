#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"
#include "bitgauge/format.h"
#include "formats/coder.h"

#include <math.h>
#include <stdlib.h>

static void registry(void **state)
{
    size_t count = 0;
    (void)state;
    for (const bg_format_info *f; (f = bg_format_at(count)); count++) {
        assert_ptr_equal(bg_format_get((int)f->format), f);
        assert_ptr_equal(bg_format_find(f->name), f);
        assert_true(f->block_weights <= BG_FORMAT_MAX_BLOCK);
        assert_true(f->block_bytes <= BG_FORMAT_MAX_BYTES);
        assert_int_equal(bg_format_row_bytes(f, 768), 768 / f->block_weights * f->block_bytes);
        if (f->block_weights > 1) assert_int_equal(bg_format_row_bytes(f, 769), 0);
    }
    assert_int_equal(count, 18);
    assert_null(bg_format_get(4));
    assert_null(bg_format_get(-1));
    assert_null(bg_format_find("Q4_K_M"));
    assert_ptr_equal(bg_format_find("iq4_xs"), bg_format_get(BG_FORMAT_IQ4_XS));
    assert_true(bg_format_bpw(bg_format_get(BG_FORMAT_Q6_K)) == 6.5625);
    assert_int_equal(bg_format_row_bytes(bg_format_find("F32"), SIZE_MAX / 2), 0);
}

/* It is the same in every run and for every coder. */
static void fingerprint(void **state)
{
    uint64_t first = bg_format_fingerprint();
    (void)state;
    for (size_t i = 0; bg_coder_at(i); i++) {
        if (!bg_coder_at(i)->present()) continue;
        bg_coder_use(bg_coder_at(i));
        assert_true(bg_format_fingerprint() == first);
    }
    bg_coder_use(bg_coder_at(0));
}

/* The exact value of a half, by definition rather than by shifting bits. */
static double half_value(unsigned h)
{
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double x = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -x : x;
}

static void halves(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x10000; h++) {
        float x = bg_f16_to_f32((uint16_t)h);
        if ((h & 0x7c00) == 0x7c00) {
            if (h & 0x3ff) assert_true(isnan(x) && isnan(bg_f16_to_f32(bg_f32_to_f16(x))));
            else assert_true(isinf(x) && bg_f32_to_f16(x) == h);
            continue;
        }
        assert_true((double)x == half_value(h));
        assert_int_equal(bg_f32_to_f16(x), h);
        if ((h & 0x7fff) == 0x7bff) continue;
        /* Between two halves: the nearer one, and the even one in the middle. */
        float next = bg_f16_to_f32((uint16_t)(h + 1)), middle = 0.5f * (x + next);
        assert_int_equal(bg_f32_to_f16(middle), h + (h & 1));
        assert_int_equal(bg_f32_to_f16(nextafterf(middle, x)), h);
        assert_int_equal(bg_f32_to_f16(nextafterf(middle, next)), h + 1);
    }
    assert_int_equal(bg_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(bg_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(bg_f32_to_f16(-1e30f), 0xfc00);
    assert_int_equal(bg_f32_to_f16(1e-30f), 0);
    assert_int_equal(bg_f32_to_f16(-0.0f), 0x8000);
}

/* Rows of halves, from any alignment, on every instruction set. */
static void rows_of_halves(void **state)
{
    enum { N = 0x10000 };
    uint8_t *h = malloc(2 * N + 1);
    float *x = malloc(N * sizeof *x);
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        h[1 + 2 * i] = (uint8_t)i;
        h[2 + 2 * i] = (uint8_t)(i >> 8);
    }
    for (size_t k = 0; bg_coder_at(k); k++) {
        if (!bg_coder_at(k)->present()) continue;
        memset(x, 1, N * sizeof *x);
        bg_coder_at(k)->decode_halves(h + 1, x, N - 3);
        for (unsigned i = 0; i < N; i++) {
            float expected = bg_f16_to_f32((uint16_t)i);
            if (i >= N - 3) memset(&expected, 1, sizeof expected);
            assert_memory_equal(&x[i], &expected, sizeof expected);
        }
    }
    free(x);
    free(h);
}

static void brain_floats(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x10000; h++) {
        float x = bg_bf16_to_f32((uint16_t)h);
        if (isnan(x)) {
            assert_true(isnan(bg_bf16_to_f32(bg_f32_to_bf16(x))));
            continue;
        }
        assert_int_equal(bg_f32_to_bf16(x), h);
    }
    assert_int_equal(bg_f32_to_bf16(0x1.01p0f), 0x3f80);      /* a tie goes to even */
    assert_int_equal(bg_f32_to_bf16(0x1.03p0f), 0x3f82);
    assert_int_equal(bg_f32_to_bf16(0x1.010002p0f), 0x3f81);
}

/* Decoding equals llama.cpp's to the last bit, from any alignment. */
static void golden(void **state)
{
    static const char *const names[] = {
        "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
        "Q6_K", "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0",
    };
    bg_error err;
    (void)state;
    for (size_t k = 0; k < BG_COUNT(names); k++) {
        const bg_format_info *f = bg_format_find(names[k]);
        char path[512];
        bg_map map;
        uint32_t count, bytes;
        snprintf(path, sizeof path, "%s/formats/%s.bin", BG_FIXTURES, names[k]);
        assert_ok(bg_map_open(&map, path, &err), &err);
        memcpy(&count, map.data + 4, 4);
        memcpy(&bytes, map.data + 8, 4);
        assert_int_equal(bytes, f->block_bytes);
        size_t n = (size_t)count * f->block_weights;
        assert_int_equal(map.size, 12 + (size_t)count * bytes + n * 4);
        uint8_t *blocks = malloc((size_t)count * bytes + 1);
        float *values = malloc(n * 4), *expected = malloc(n * 4);
        memcpy(blocks + 1, map.data + 12, (size_t)count * bytes);
        memcpy(expected, map.data + 12 + (size_t)count * bytes, n * 4);
        bg_format_decode(f, blocks + 1, values, n);
        for (size_t i = 0; i < n; i++)
            if (memcmp(&values[i], &expected[i], 4))
                fail_msg("%s: value %zu is %a, not %a", names[k], i, (double)values[i],
                         (double)expected[i]);
        free(expected);
        free(values);
        free(blocks);
        bg_map_close(&map);
    }
}

static void activations(void **state)
{
    float x[256], y[256];
    uint8_t b[292];
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 5);
    for (int i = 0; i < 256; i++) x[i] = (float)bg_rng_normal(&rng);
    x[77] = -9.0f;
    bg_format_encode(bg_format_get(BG_FORMAT_Q8_K), x, NULL, b, 256);
    bg_format_decode(bg_format_get(BG_FORMAT_Q8_K), b, y, 256);
    assert_int_equal((int8_t)b[4 + 77], -127);
    for (int g = 0; g < 16; g++) {
        int16_t sum, expected = 0;
        memcpy(&sum, b + 260 + 2 * g, 2);
        for (int j = 0; j < 16; j++) expected = (int16_t)(expected + (int8_t)b[4 + 16 * g + j]);
        assert_int_equal(sum, expected);
    }
    for (int i = 0; i < 256; i++) assert_true(fabsf(x[i] - y[i]) <= 9.0f / 127 * 0.5001f);
}

/* ---- rows ---------------------------------------------------------------------------------- */

static float *normal_rows(size_t n, uint64_t seed)
{
    float *x = malloc(n * sizeof *x);
    bg_rng rng;
    bg_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = 0.05f * (float)bg_rng_normal(&rng);
    return x;
}

static void rows_any_team(void **state)
{
    enum { ROWS = 37, N = 512 };
    float *x = normal_rows(ROWS * N, 3);
    bg_error err;
    bg_team *team;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    for (size_t k = 0; bg_format_at(k); k++) {
        const bg_format_info *f32 = bg_format_get(BG_FORMAT_F32), *f = bg_format_at(k);
        size_t bytes = ROWS * bg_format_row_bytes(f, N);
        uint8_t *one = malloc(bytes), *many = malloc(bytes), *again = malloc(bytes);
        assert_ok(bg_quantize_rows(f32, x, f, one, NULL, ROWS, N, NULL, &err), &err);
        assert_ok(bg_quantize_rows(f32, x, f, many, NULL, ROWS, N, team, &err), &err);
        assert_memory_equal(one, many, bytes);
        assert_ok(bg_quantize_rows(f, one, f, again, NULL, ROWS, N, team, &err), &err);
        assert_memory_equal(one, again, bytes);
        free(again);
        free(many);
        free(one);
    }
    bg_team_close(&team);
    free(x);
}

static void rows_refuse(void **state)
{
    enum { ROWS = 5, N = 256 };
    const bg_format_info *f32 = bg_format_get(BG_FORMAT_F32), *q4 = bg_format_find("Q4_K");
    float *x = normal_rows(ROWS * N, 4);
    uint8_t out[ROWS * 144];
    bg_error err;
    (void)state;
    x[3 * N + 17] = NAN;
    x[4 * N + 1] = INFINITY;
    assert_fails(bg_quantize_rows(f32, x, q4, out, NULL, ROWS, N, NULL, &err), BG_ERR_INPUT,
                 "row 3, column 17", &err);
    x[3 * N + 17] = 0;
    assert_fails(bg_quantize_rows(f32, x, q4, out, NULL, ROWS, N, NULL, &err), BG_ERR_INPUT,
                 "row 4, column 1", &err);
    assert_fails(bg_quantize_rows(f32, x, q4, out, NULL, 1, 128, NULL, &err), BG_ERR_INPUT,
                 "Q4_K", &err);
    assert_ok(bg_quantize_rows(f32, x, q4, out, NULL, 0, N, NULL, &err), &err);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registry), cmocka_unit_test(fingerprint), cmocka_unit_test(halves),
        cmocka_unit_test(rows_of_halves),
        cmocka_unit_test(brain_floats), cmocka_unit_test(golden), cmocka_unit_test(activations),
        cmocka_unit_test(rows_any_team), cmocka_unit_test(rows_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
