#include "test.h"

#include "base/base.h"
#include "base/team.h"
#include "bitgauge/model.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define CODELET BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf"
#define MATRIX BG_FIXTURES "/imatrix/codelet.gguf"

/* A model of one layer whose numbers are chosen so that every moment has a closed form: the rows of
 * token_embd are plus and minus a[], so that columns have mean 0 and variance a^2; matrices are
 * diagonal. Two query heads share one of values. */
enum { N = 32, HIDDEN = 64 };

typedef struct kind {
    const char *architecture;
    bool fused, no_ffn, infinite;
    float hot;                  /* what row 5 of ffn_up is multiplied with */
    float output;               /* on the diagonal of attn_output and ffn_down */
} kind;

static const kind plain = {.architecture = "llama", .hot = 1};
static bg_error err;
static char path[] = "/tmp/bgestimateXXXXXX";

static float a_of(int j) { return 0.02f * (1 + 0.3f * sinf((float)j)); }
static float gain_of(int j) { return expf(1.5f * sinf(2.7f * (float)j)); }
static float value_of(int j) { return 1 + 0.05f * (float)j; }

static void add(bg_gguf_writer *w, float *all[], size_t *bytes, size_t *n, const char *name,
                uint64_t k, uint64_t rows)
{
    bg_tensor t = {.name = name, .type_id = 0, .n_dims = rows > 1 ? 2 : 1, .ne = {k, rows, 1, 1}};
    assert_ok(bg_gguf_writer_tensor(w, &t, &err), &err);
    bytes[*n] = (size_t)(k * rows) * sizeof(float);
    all[*n] = calloc((size_t)(k * rows), sizeof(float));
    assert_non_null(all[*n]);
    ++*n;
}

static void write_keys(bg_gguf_writer *w, const char *architecture)
{
    const struct { const char *key; uint32_t value; } keys[] = {
        {"block_count", 1}, {"attention.head_count", 2}, {"attention.head_count_kv", 1},
    };
    assert_ok(bg_gguf_writer_string(w, "general.architecture", architecture, &err), &err);
    for (size_t i = 0; i < BG_COUNT(keys); i++) {
        char key[64];
        snprintf(key, sizeof key, "%s.%s", architecture, keys[i].key);
        assert_ok(bg_gguf_writer_u32(w, key, keys[i].value, &err), &err);
    }
}

static void fill_ffn(const kind *m, float *gate, float *up, float *down)
{
    for (int i = 0; i < HIDDEN; i++) {
        gate[i * N + i % N] = 2;
        up[i * N + (i + 7) % N] = (i == 5 ? m->hot : 1) * (i < N ? 1 : 0.5f);
    }
    for (int i = 0; i < N; i++) down[i * HIDDEN + i] = m->output;
}

static void write_model(const kind *m)
{
    float *t[16];
    size_t bytes[16], n = 0;
    bg_gguf_writer *w;
    assert_ok(bg_gguf_writer_open(&w, path, &err), &err);
    write_keys(w, m->architecture);
    add(w, t, bytes, &n, "token_embd.weight", N, 8);
    add(w, t, bytes, &n, "blk.0.attn_norm.weight", N, 1);
    add(w, t, bytes, &n, "blk.0.ffn_norm.weight", N, 1);
    add(w, t, bytes, &n, "output_norm.weight", N, 1);
    add(w, t, bytes, &n, "blk.0.attn_output.weight", N, N);
    add(w, t, bytes, &n, "blk.0.ffn_down.weight", HIDDEN, N);
    add(w, t, bytes, &n, m->fused ? "blk.0.attn_qkv.weight" : "blk.0.attn_v.weight", N,
        m->fused ? N + N : N / 2);
    if (!m->no_ffn)
        add(w, t, bytes, &n, "blk.0.ffn_up.weight", N, m->fused ? 2 * HIDDEN : HIDDEN);
    if (!m->fused) add(w, t, bytes, &n, "blk.0.ffn_gate.weight", N, HIDDEN);
    for (int j = 0; j < N; j++) {
        for (int r = 0; r < 8; r++) t[0][r * N + j] = r % 2 ? -a_of(j) : a_of(j);
        t[1][j] = t[2][j] = t[3][j] = gain_of(j);
        t[4][j * N + j] = m->output;
        if (j < N / 2) t[6][((m->fused ? 3 * N / 2 : 0) + j) * N + j] = value_of(j);
    }
    if (m->infinite) t[6][3] = INFINITY;
    if (m->fused) fill_ffn(m, t[7], t[7] + HIDDEN * N, t[5]);
    else if (!m->no_ffn) fill_ffn(m, t[8], t[7], t[5]);
    for (size_t i = 0; i < n; i++) {
        assert_ok(bg_gguf_writer_data(w, t[i], bytes[i], &err), &err);
        free(t[i]);
    }
    assert_ok(bg_gguf_writer_finish(&w, &err), &err);
}

static bg_importance *estimate_file(const char *file, bg_team *team)
{
    bg_importance *i;
    bg_gguf *g;
    assert_ok(bg_gguf_open(&g, file, &err), &err);
    assert_ok(bg_importance_estimate(&i, g, team, &err), &err);
    bg_gguf_close(&g);
    return i;
}

static bg_importance *estimate(const kind *m)
{
    write_model(m);
    return estimate_file(path, NULL);
}

static const float *find(const bg_importance *i, const char *tensor, size_t n)
{
    const float *v = bg_importance_find(i, tensor, n);
    assert_non_null(v);
    return v;
}

/* The variance behind the norm, the residual stream being the embedding's. */
static double normed(int j)
{
    double mean = 1e-5;
    for (int i = 0; i < N; i++) mean += (double)(a_of(i) * a_of(i)) / N;
    return (double)(gain_of(j) * gain_of(j) * a_of(j) * a_of(j)) / mean;
}

/* Only ratios matter. */
static void assert_ratios(const float *got, const double *expected, int n)
{
    for (int j = 1; j < n; j++)
        assert_true(fabs(log((double)(got[j] / got[0])) - log(expected[j] / expected[0]))
                    < 1e-3);
}

/* The mean of silu(g)^2 over a normal g, by a fine sum. */
static double silu_square(double sigma)
{
    double sum = 0, all = 0;
    for (int k = -6000; k <= 6000; k++) {
        double z = k / 1000.0, p = exp(-z * z / 2), g = sigma * z, y = g / (1 + exp(-g));
        sum += p * y * y;
        all += p;
    }
    return sum / all;
}

static int by_value(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void closed_form(void **state)
{
    bg_importance *i = estimate(&plain);
    double x[N], values[N], hidden[HIDDEN];
    (void)state;
    assert_int_equal(bg_importance_count(i), 6);
    for (int j = 0; j < N; j++) {
        x[j] = normed(j);
        values[j] = normed(j % (N / 2)) * pow((double)value_of(j % (N / 2)), 2);
    }
    for (int j = 0; j < HIDDEN; j++)
        hidden[j] = silu_square(2 * sqrt(x[j % N])) * x[(j + 7) % N] * (j < N ? 1 : 0.25);
    assert_ratios(find(i, "blk.0.attn_v.weight", N), x, N);
    assert_ratios(find(i, "blk.0.attn_output.weight", N), values, N);
    assert_ratios(find(i, "blk.0.ffn_gate.weight", N), x, N);
    assert_ratios(find(i, "blk.0.ffn_up.weight", N), x, N);
    assert_ratios(find(i, "token_embd.weight", N), x, N); /* also the output */
    {
        const float *got = find(i, "blk.0.ffn_down.weight", HIDDEN);
        float sorted[HIDDEN];
        double most;
        for (int j = 0; j < HIDDEN; j++) sorted[j] = (float)hidden[j];
        qsort(sorted, HIDDEN, sizeof *sorted, by_value);
        most = 10 * (double)sorted[HIDDEN / 2];
        for (int j = 0; j < HIDDEN; j++) /* by quadrature of nine nodes */
            assert_true(fabs(log((double)got[j]) - log(fmin(hidden[j], most))) < 0.02);
    }
    bg_importance_close(&i);
}

/* Errors go where the model does not look: quantized with it, they matter less. */
static void weighted_error(void **state)
{
    enum { ROWS = 64 };
    const bg_format_info *f = bg_format_get(BG_FORMAT_Q4_0), *f32 = bg_format_get(BG_FORMAT_F32);
    bg_importance *i = estimate(&plain);
    float *w = calloc(ROWS * N, sizeof *w), *y = calloc(ROWS * N, sizeof *y);
    uint8_t *blocks = calloc(ROWS, 32);
    double error[2] = {0, 0};
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 5);
    for (int k = 0; k < ROWS * N; k++) w[k] = (float)bg_rng_normal(&rng);
    for (int with = 0; with < 2; with++) {
        const float *importance = with ? find(i, "blk.0.attn_v.weight", N) : NULL;
        assert_ok(bg_quantize_rows(f32, w, f, blocks, importance, ROWS, N, NULL, &err), &err);
        bg_format_decode(f, blocks, y, ROWS * N);
        for (int k = 0; k < ROWS * N; k++)
            error[with] += normed(k % N) * pow((double)(w[k] - y[k]), 2);
    }
    if (error[1] > 0.9 * error[0]) fail_msg("%.3f of the error", error[1] / error[0]);
    bg_importance_close(&i);
    free(w);
    free(y);
    free(blocks);
}

static void same_values(const bg_importance *a, const char *x, const bg_importance *b,
                        const char *y, size_t n)
{
    assert_memory_equal(find(a, x, n), find(b, y, n), n * sizeof(float));
}

static void other_forms(void **state)
{
    const kind fused = {.architecture = "phi3", .fused = true, .hot = 1, .output = 0.1f};
    const kind split = {.architecture = "qwen2", .hot = 1, .output = 0.1f};
    bg_importance *a = estimate(&split), *b = estimate(&fused);
    (void)state;
    same_values(a, "blk.0.attn_v.weight", b, "blk.0.attn_qkv.weight", N);
    same_values(a, "blk.0.attn_output.weight", b, "blk.0.attn_output.weight", N);
    same_values(a, "blk.0.ffn_gate.weight", b, "blk.0.ffn_up.weight", N);
    same_values(a, "blk.0.ffn_down.weight", b, "blk.0.ffn_down.weight", HIDDEN);
    same_values(a, "token_embd.weight", b, "token_embd.weight", N);
    bg_importance_close(&a);
    bg_importance_close(&b);
}

/* A neuron that answers a thousand times as strongly counts ten times the median. */
static void outliers(void **state)
{
    const kind hot = {.architecture = "llama", .hot = 1000, .output = 0.1f};
    bg_importance *i = estimate(&hot);
    float sorted[HIDDEN], hottest = find(i, "blk.0.ffn_down.weight", HIDDEN)[5];
    (void)state;
    memcpy(sorted, find(i, "blk.0.ffn_down.weight", HIDDEN), sizeof sorted);
    qsort(sorted, HIDDEN, sizeof *sorted, by_value);
    assert_true(hottest == sorted[HIDDEN - 1]);
    assert_true(fabsf(hottest / sorted[HIDDEN / 2] - 10) < 1e-2f);
    bg_importance_close(&i);
}

static void falls_back(void **state)
{
    const kind unknown = {.architecture = "other", .hot = 1};
    const kind headless = {.architecture = "llama", .no_ffn = true, .hot = 1};
    const kind infinite = {.architecture = "llama", .infinite = true, .hot = 1};
    bg_importance *i = estimate(&unknown);
    bg_gguf *g;
    (void)state;
    assert_int_equal(bg_importance_count(i), 0);
    assert_ok(bg_gguf_open(&g, path, &err), &err);
    assert_ok(bg_importance_check(i, g, &err), &err); /* an empty one goes with any model */
    bg_gguf_close(&g);
    bg_importance_close(&i);
    i = estimate(&headless); /* attention is known, what lies behind is not */
    assert_int_equal(bg_importance_count(i), 2);
    bg_importance_close(&i);
    i = estimate(&infinite);
    assert_int_equal(bg_importance_count(i), 1);
    bg_importance_close(&i);
}

/* A residual stream of one number, and a matrix that looks like a vector. */
static void narrow(void **state)
{
    float *t[4];
    size_t bytes[4], n = 0;
    bg_importance *i;
    bg_gguf_writer *w;
    (void)state;
    assert_ok(bg_gguf_writer_open(&w, path, &err), &err);
    write_keys(w, "llama");
    add(w, t, bytes, &n, "token_embd.weight", 1, 8);
    add(w, t, bytes, &n, "blk.0.attn_norm.weight", 1, 1);
    add(w, t, bytes, &n, "blk.0.attn_v.weight", 1, 1);
    add(w, t, bytes, &n, "blk.0.attn_output.weight", 4096, 1);
    for (size_t k = 0; k < n; k++) {
        assert_ok(bg_gguf_writer_data(w, t[k], bytes[k], &err), &err);
        free(t[k]);
    }
    assert_ok(bg_gguf_writer_finish(&w, &err), &err);
    i = estimate_file(path, NULL);
    assert_int_equal(bg_importance_count(i), 2);
    bg_importance_close(&i);
}

static void same_bits(void **state)
{
    bg_importance *a = estimate_file(CODELET, NULL), *b;
    bg_team *team;
    bg_gguf *g;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    b = estimate_file(CODELET, team);
    assert_ok(bg_gguf_open(&g, CODELET, &err), &err);
    assert_int_equal(bg_importance_count(a), 57);
    for (size_t t = 0; t < bg_gguf_tensor_count(g); t++) {
        const bg_tensor *x = bg_gguf_tensor_at(g, t);
        if (x->n_dims > 1 && strcmp(x->name, "token_embd.weight") != 0)
            same_values(a, x->name, b, x->name, x->ne[0]);
    }
    bg_gguf_close(&g);
    bg_team_close(&team);
    bg_importance_close(&a);
    bg_importance_close(&b);
}

/* What llama.cpp measured on a text: the same columns stand out. */
static void like_measured(void **state)
{
    bg_importance *a = estimate_file(CODELET, NULL), *b;
    (void)state;
    assert_ok(bg_importance_open(&b, MATRIX, &err), &err);
    for (int l = 0; l < 8; l++) {
        double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
        char name[64];
        const float *x, *y;
        snprintf(name, sizeof name, "blk.%d.attn_q.weight", l);
        x = find(a, name, 256);
        y = find(b, name, 256);
        for (int j = 0; j < 256; j++) {
            double p = log((double)x[j]), q = log((double)y[j]);
            sx += p, sy += q, sxx += p * p, syy += q * q, sxy += p * q;
        }
        assert_true((sxy - sx * sy / 256) / sqrt((sxx - sx * sx / 256) * (syy - sy * sy / 256))
                    > 0.8);
    }
    bg_importance_close(&a);
    bg_importance_close(&b);
}

static int setup(void **state)
{
    int fd = mkstemp(path);
    (void)state;
    return fd < 0 || close(fd) != 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_form), cmocka_unit_test(weighted_error),
        cmocka_unit_test(other_forms), cmocka_unit_test(outliers), cmocka_unit_test(falls_back),
        cmocka_unit_test(narrow),
        cmocka_unit_test(same_bits), cmocka_unit_test(like_measured),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
