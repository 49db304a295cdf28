/* Second-order rounding against closed forms, and what it does to a whole model. */
#include "test.h"

#include "base/base.h"
#include "base/team.h"
#include "bitgauge/search.h"
#include "formats/search.h"
#include "search/second_order.h"
#include "unit/model/tiny.h"

#include <math.h>
#include <stdlib.h>

static bg_error err;
static bg_isa isa;

static int setup(void **state)
{
    (void)state;
    return bg_isa_parse("native", &isa, &err) == BG_OK ? 0 : -1;
}

static float *normals(size_t n, uint64_t seed)
{
    float *x = bg_alloc(n, sizeof *x);
    bg_rng rng;
    assert_non_null(x);
    bg_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) x[i] = (float)bg_rng_normal(&rng);
    return x;
}

/* Inputs whose columns go together: each is mostly the one before. */
static float *alike(size_t n, size_t k, uint64_t seed)
{
    float *x = normals(n * k, seed);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 1; j < k; j++) x[i * k + j] = 0.8f * x[i * k + j - 1] + 0.6f * x[i * k + j];
    return x;
}

/* (w - q) H (w - q)' of all rows, straight from the inputs. */
static double output_error(const float *w, const float *q, const float *x, size_t rows, size_t k,
                           size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < rows; r++) {
            double y = 0;
            for (size_t j = 0; j < k; j++)
                y += (double)(w[r * k + j] - q[r * k + j]) * (double)x[i * k + j];
            sum += y * y;
        }
    return sum;
}

static const bg_format_info *f32(void) { return bg_format_get(BG_FORMAT_F32); }

static void decode_rows(const bg_format_info *f, const void *blocks, float *out, size_t rows,
                        size_t k)
{
    for (size_t r = 0; r < rows; r++)
        bg_format_decode(f, (const uint8_t *)blocks + r * bg_format_row_bytes(f, k), out + r * k,
                         k);
}

static double distance(const bg_format_info *f, const void *blocks, const float *w, size_t rows,
                       size_t k)
{
    float *q = bg_alloc(rows * k, sizeof *q);
    double sum = 0;
    decode_rows(f, blocks, q, rows, k);
    for (size_t i = 0; i < rows * k; i++) sum += pow((double)(w[i] - q[i]), 2);
    bg_free(q);
    return sum;
}

/* Where all columns count alike and go apart, an error asks nothing of others: what the plain
 * encoder makes, byte by byte; refitted scales then do no worse. */
static void unit_moments(void **state)
{
    enum { K = 512, ROWS = 19 };
    float *w = normals((size_t)ROWS * K, 1), *ones = bg_alloc(K, sizeof *ones);
    bg_second_order s;
    (void)state;
    for (size_t i = 0; i < K; i++) ones[i] = 1;
    assert_ok(bg_second_open(&s, K, 0, isa, NULL, &err), &err);
    for (size_t i = 0; i < K; i++) s.h[i * K + i] = 4;
    assert_ok(bg_second_factor(&s, 0.01, &err), &err);
    for (size_t i = 0; bg_format_at(i); i++) {
        const bg_format_info *f = bg_format_at(i);
        size_t bytes = bg_format_row_bytes(f, K);
        uint8_t *plain, *rounded;
        if (!bg_codec_of(f->format)) continue;
        plain = bg_alloc(ROWS, bytes);
        rounded = bg_alloc(ROWS, bytes);
        for (size_t r = 0; r < ROWS; r++)
            bg_format_encode(f, w + r * K, ones, plain + r * bytes, K);
        s.passes = 0;
        assert_ok(bg_second_round(&s, 1, f32(), w, f, rounded, ROWS, &err), &err);
        assert_memory_equal(plain, rounded, ROWS * bytes);
        s.passes = 5;
        assert_ok(bg_second_round(&s, 1, f32(), w, f, rounded, ROWS, &err), &err);
        assert_true(distance(f, rounded, w, ROWS, K) <=
                    distance(f, plain, w, ROWS, K) * (1 + 1e-6));
        bg_free(plain);
        bg_free(rounded);
    }
    bg_second_close(&s);
    bg_free(w);
    bg_free(ones);
}

/* Solves a x = b by elimination, in place: x in b. */
static void eliminate(double *a, double *b, size_t n)
{
    for (size_t c = 0; c < n; c++)
        for (size_t r = c + 1; r < n; r++) {
            double share = a[r * n + c] / a[c * n + c];
            for (size_t j = c; j < n; j++) a[r * n + j] -= share * a[c * n + j];
            b[r] -= share * b[c];
        }
    for (size_t r = n; r-- > 0;) {
        for (size_t j = r + 1; j < n; j++) b[r] -= a[r * n + j] * b[j];
        b[r] /= a[r * n + r];
    }
}

/* Inputs of one row of Q4_0, and H with its damping. */
enum { SMALL = 64, SEEN = 200 };
typedef struct small { float *x, *w; double h[SMALL][SMALL]; bg_second_order s; } small;

static void small_open(small *a)
{
    float *zeros = bg_alloc((size_t)SEEN * SMALL, sizeof *zeros);
    double mean = 0;
    a->x = alike(SEEN, SMALL, 3);
    a->w = normals(SMALL, 4);
    assert_ok(bg_second_open(&a->s, SMALL, 0, isa, NULL, &err), &err);
    bg_second_add(&a->s, a->x, zeros, NULL, SEEN);
    for (size_t i = 0; i < SMALL; i++)
        for (size_t j = 0; j < SMALL; j++) {
            a->h[i][j] = 0;
            for (size_t n = 0; n < SEEN; n++)
                a->h[i][j] += (double)a->x[n * SMALL + i] * (double)a->x[n * SMALL + j];
            if (j >= i) assert_true(fabs(a->h[i][j] - (double)a->s.h[i * SMALL + j]) < 1e-3);
        }
    for (size_t i = 0; i < SMALL; i++) mean += a->h[i][i] / SMALL;
    for (size_t i = 0; i < SMALL; i++) a->h[i][i] += 0.05 * mean;
    assert_ok(bg_second_factor(&a->s, 0.05, &err), &err);
    bg_free(zeros);
}

static void small_close(small *a)
{
    bg_second_close(&a->s);
    bg_free(a->x);
    bg_free(a->w);
}

/* Rounds the row; the step of its levels in each block. */
static void small_round(small *a, int passes, float q[SMALL], double step[SMALL / 32])
{
    const bg_format_info *f = bg_format_get(BG_FORMAT_Q4_0);
    uint8_t blocks[SMALL];
    a->s.passes = passes;
    assert_ok(bg_second_round(&a->s, 1, f32(), a->w, f, blocks, 1, &err), &err);
    bg_format_decode(f, blocks, q, SMALL);
    for (size_t b = 0; b < SMALL / 32; b++)
        step[b] = fabs((double)bg_f16_to_f32((uint16_t)(blocks[18 * b] | blocks[18 * b + 1] << 8)));
}

/* The nearest level, but for what is beyond them. */
static void assert_nearest(float q, double best, double step)
{
    if (fabs(best) > 7 * step) return;
    if (!(fabs((double)q - best) <= 0.501 * step))
        fail_msg("%g is not %g, step %g", (double)q, best, step);
}

/* Each column becomes the level that is nearest to where it were best, given those before it, if
 * those after it could be anything: that is found here by solving for all of these. */
static void nearest_to_the_best(void **state)
{
    static double m[SMALL * SMALL], b[SMALL];
    static small a;
    double step[SMALL / 32];
    float q[SMALL];
    (void)state;
    small_open(&a);
    small_round(&a, 0, q, step);
    for (size_t j = 0; j < SMALL; j++) {
        size_t rest = SMALL - j;
        for (size_t r = 0; r < rest; r++) {
            b[r] = 0;
            for (size_t c = 0; c < rest; c++) m[r * rest + c] = a.h[j + r][j + c];
            for (size_t i = 0; i < j; i++) b[r] += a.h[j + r][i] * (double)(a.w[i] - q[i]);
        }
        eliminate(m, b, rest);
        assert_nearest(q[j], (double)a.w[j] + b[0], step[j / 32]);
    }
    small_close(&a);
}

/* After many passes no column alone can do better. */
static void no_column_alone(void **state)
{
    static small a;
    double step[SMALL / 32], first, last;
    float q[SMALL];
    (void)state;
    small_open(&a);
    small_round(&a, 0, q, step);
    first = output_error(a.w, q, a.x, 1, SMALL, SEEN);
    small_round(&a, 50, q, step);
    last = output_error(a.w, q, a.x, 1, SMALL, SEEN);
    assert_true(last < first);
    for (size_t j = 0; j < SMALL; j++) {
        double slope = 0;
        for (size_t i = 0; i < SMALL; i++) slope += a.h[j][i] * (double)(a.w[i] - q[i]);
        assert_nearest(q[j], (double)q[j] + slope / a.h[j][j], step[j / 32]);
    }
    small_close(&a);
}

/* Every format: outputs change less than with the diagonal alone, and a team changes nothing. */
static void outputs_change_less(void **state)
{
    enum { K = 512, ROWS = 16, N = 1000 };
    float *x = alike(N, K, 5), *w = normals((size_t)ROWS * K, 6);
    float *zeros = bg_alloc((size_t)N * K, sizeof *zeros),
          *q = bg_alloc((size_t)ROWS * K, sizeof *q);
    bg_second_order s[2];
    bg_team *team;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    for (size_t i = 0; i < 2; i++) {
        assert_ok(bg_second_open(&s[i], K, 0, isa, i ? team : NULL, &err), &err);
        bg_second_add(&s[i], x, zeros, NULL, N);
        assert_ok(bg_second_factor(&s[i], 0.01, &err), &err);
    }
    assert_memory_equal(s[0].h, s[1].h, K * K * sizeof *s[0].h);
    for (size_t i = 0; bg_format_at(i); i++) {
        const bg_format_info *f = bg_format_at(i);
        size_t bytes = bg_format_row_bytes(f, K);
        uint8_t *blocks[2];
        double plain;
        if (!bg_codec_of(f->format)) continue;
        for (size_t t = 0; t < 2; t++) blocks[t] = bg_alloc(ROWS, bytes);
        for (size_t r = 0; r < ROWS; r++)
            bg_format_encode(f, w + r * K, NULL, blocks[0] + r * bytes, K);
        decode_rows(f, blocks[0], q, ROWS, K);
        plain = output_error(w, q, x, ROWS, K, 100);
        for (size_t t = 0; t < 2; t++)
            assert_ok(bg_second_round(&s[t], 1, f32(), w, f, blocks[t], ROWS, &err), &err);
        assert_memory_equal(blocks[0], blocks[1], ROWS * bytes);
        decode_rows(f, blocks[0], q, ROWS, K);
        if (!(output_error(w, q, x, ROWS, K, 100) < 0.7 * plain))
            fail_msg("%s: %g, not less than %g", f->name, output_error(w, q, x, ROWS, K, 100),
                     plain);
        for (size_t t = 0; t < 2; t++) bg_free(blocks[t]);
    }
    for (size_t i = 0; i < 2; i++) bg_second_close(&s[i]);
    bg_team_close(&team);
    bg_free(x);
    bg_free(w);
    bg_free(zeros);
    bg_free(q);
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* Inputs were o, or v is to be added, such that what is meant, w o or w x + v, is true_w x: then
 * the fit is exact, and a fine format comes near to it. By inputs one row can be had so. */
static void makes_good_what_came_before(void **state)
{
    enum { K = 256, ROWS = 3, N = 700 };
    float *x = alike(N, K, 7), *difference = bg_alloc((size_t)N * K, sizeof *difference);
    float *w = normals((size_t)ROWS * K, 9);
    float *v = bg_alloc((size_t)N * ROWS, sizeof *v), *q = bg_alloc((size_t)ROWS * K, sizeof *q);
    float *true_w = normals((size_t)ROWS * K, 10);
    const bg_format_info *f = bg_format_get(BG_FORMAT_Q6_K);
    uint8_t *blocks = bg_alloc(ROWS, bg_format_row_bytes(f, K));
    (void)state;
    for (size_t n = 0; n < N; n++) {
        for (size_t r = 0; r < ROWS; r++)
            v[n * ROWS + r] = (float)(dot(true_w + r * K, x + n * K, K) - dot(w + r * K, x + n * K, K));
        for (size_t j = 0; j < K; j++)
            difference[n * K + j] = (float)((double)w[j] * (double)v[n * ROWS] / dot(w, w, K));
    }
    for (size_t rows = 1; rows <= ROWS; rows += ROWS - 1) {
        bg_second_order s;
        double worst = 0;
        assert_ok(bg_second_open(&s, K, rows == 1 ? 0 : rows, isa, NULL, &err), &err);
        bg_second_add(&s, x, difference, v, N);
        assert_ok(bg_second_factor(&s, 1e-5, &err), &err);
        assert_ok(bg_second_round(&s, 1, f32(), w, f, blocks, rows, &err), &err);
        decode_rows(f, blocks, q, rows, K);
        for (size_t i = 0; i < rows * K; i++) worst = fmax(worst, fabs((double)(q[i] - true_w[i])));
        if (!(worst < 0.2)) fail_msg("%zu rows: %g", rows, worst); /* of about 1, in steps of about 0.08 */
        bg_second_close(&s);
    }
    bg_free(x);
    bg_free(difference);
    bg_free(w);
    bg_free(v);
    bg_free(q);
    bg_free(true_w);
    bg_free(blocks);
}

static void not_finite(void **state)
{
    bg_second_order s;
    (void)state;
    assert_ok(bg_second_open(&s, 32, 0, isa, NULL, &err), &err);
    s.h[3] = NAN;
    s.h[0] = INFINITY;
    assert_fails(bg_second_factor(&s, 0.01, &err), BG_ERR_INPUT, "not finite", &err);
    bg_second_close(&s);
}

/* ---- a whole model ------------------------------------------------------------------------ */

enum { TOKENS = 40 * 64 };

static double divergence(const bg_model *base, const bg_image *image, const int32_t *tokens)
{
    bg_quality_options o = {.n_ctx = 64, .max_windows = 8, .isa = isa};
    bg_reference *r;
    bg_quality q;
    bg_model *m;
    assert_ok(bg_model_open_memory(&m, image->data, image->bytes, "image", &err), &err);
    assert_ok(bg_reference_open(&r, base, tokens, 8 * 64, &o, &err), &err);
    assert_ok(bg_quality_measure(r, m, &o, &q, &err), &err);
    bg_reference_close(&r);
    bg_model_close(&m);
    return q.kld_mean;
}

static bg_image *plain(const bg_model *m, const char *scheme)
{
    bg_recipe *r;
    bg_image *image;
    assert_ok(bg_recipe_of_scheme(&r, bg_model_gguf(m), bg_scheme_find(scheme), &err), &err);
    assert_ok(bg_recipe_apply(&image, r, bg_model_gguf(m), NULL, NULL, NULL, NULL, &err), &err);
    bg_recipe_free(&r);
    return image;
}

static bool stop_soon(void *user, double fraction)
{
    (void)user;
    return fraction < 0.3;
}

static void whole_model(void **state)
{
    tiny t = tiny_default;
    bg_feedback_options o = {.n_ctx = 64, .max_windows = 32, .isa = isa};
    int32_t tokens[TOKENS];
    bg_text file;
    bg_model *m;
    bg_image *image, *other;
    bg_team *team;
    bg_rng rng;
    double before, after;
    (void)state;
    t.n_embd = 256;
    t.n_ff = 256;
    t.n_layer = 2;
    file = tiny_file(&t);
    m = tiny_open(&file);
    bg_rng_seed(&rng, 5);
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)bg_rng_below(&rng, t.n_vocab);
    image = plain(m, "Q2_K");
    other = plain(m, "Q2_K");
    before = divergence(m, image, tokens);
    /* Evaluated on the first eight windows, calibrated on the others. */
    assert_ok(bg_feedback(image, m, tokens + 8 * 64, TOKENS - 8 * 64, &o, &err), &err);
    after = divergence(m, image, tokens);
    if (!(after < 0.9 * before)) fail_msg("divergence %g, was %g", after, before);
    /* The embedding stays; a team does the same. */
    const bg_tensor *embedding = bg_gguf_tensor_find(image->g, "token_embd.weight");
    const bg_tensor *was = bg_gguf_tensor_find(other->g, "token_embd.weight");
    assert_memory_equal(embedding->data, was->data, was->bytes);
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    o.team = team;
    assert_ok(bg_feedback(other, m, tokens + 8 * 64, TOKENS - 8 * 64, &o, &err), &err);
    assert_memory_equal(image->data, other->data, image->bytes);
    bg_image_free(&other);
    bg_team_close(&team);
    /* Stopped: whole, partly as it was. */
    o.team = NULL;
    o.progress = stop_soon;
    other = plain(m, "Q2_K");
    assert_fails(bg_feedback(other, m, tokens, TOKENS, &o, &err), BG_ERR_INTERRUPTED, "stopped",
                 &err);
    assert_true(divergence(m, other, tokens) < 2 * before);
    assert_fails(bg_feedback(other, m, tokens, 10, &o, &err), BG_ERR_INPUT, "longer text", &err);
    bg_image_free(&other);
    bg_image_free(&image);
    /* Nothing to round: nothing changes. */
    o.progress = NULL;
    image = plain(m, "Q8_0");
    other = plain(m, "Q8_0");
    assert_ok(bg_feedback(image, m, tokens, TOKENS, &o, &err), &err);
    assert_memory_equal(image->data, other->data, image->bytes);
    bg_image_free(&image);
    bg_image_free(&other);
    bg_model_close(&m);
    bg_text_fini(&file);
}

/* A bias adds to the stream, too: no weight is to say it again. At six bits that would be all
 * there is. */
static void knows_biases(void **state)
{
    bg_feedback_options o = {.n_ctx = 64, .max_windows = 32, .isa = isa};
    tiny t = tiny_default;
    int32_t tokens[TOKENS];
    bg_text file;
    bg_model *m;
    bg_image *image;
    bg_rng rng;
    double before, after;
    (void)state;
    t.n_embd = 256;
    t.n_ff = 256;
    t.bias = true;
    file = tiny_file(&t);
    m = tiny_open(&file);
    bg_rng_seed(&rng, 5);
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)bg_rng_below(&rng, t.n_vocab);
    image = plain(m, "Q6_K");
    before = divergence(m, image, tokens);
    assert_ok(bg_feedback(image, m, tokens + 8 * 64, TOKENS - 8 * 64, &o, &err), &err);
    after = divergence(m, image, tokens);
    if (!(after < 0.8 * before)) fail_msg("divergence %g, was %g", after, before);
    bg_image_free(&image);
    bg_model_close(&m);
    bg_text_fini(&file);
}

static bg_image *pruned(const bg_model *m, const bg_recipe *r, const int32_t *tokens, bool feed_back)
{
    const bg_feedback_options o = {.n_ctx = 64, .max_windows = 32, .isa = isa};
    bg_image *image;
    assert_ok(bg_recipe_apply(&image, r, bg_model_gguf(m), NULL, NULL, NULL, NULL, &err), &err);
    assert_ok(bg_recipe_finish(image, r, m, tokens, TOKENS - 8 * 64, NULL, feed_back, &o, &err), &err);
    return image;
}

/* Half of the channels of the first layer are gone, and the second layer: what is left is rounded
 * to six bits, which costs next to nothing, towards the whole model. */
static void heals_pruning(void **state)
{
    tiny t = tiny_default;
    int32_t tokens[TOKENS];
    uint8_t flags[512];
    bg_text file;
    bg_model *m;
    bg_recipe *r;
    bg_image *plain_image, *image;
    bg_rng rng;
    double before, after;
    (void)state;
    t.n_embd = 256;
    t.n_ff = 512;
    t.n_layer = 3;
    file = tiny_file(&t);
    m = tiny_open(&file);
    bg_rng_seed(&rng, 6);
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)bg_rng_below(&rng, t.n_vocab);
    assert_ok(bg_recipe_of_scheme(&r, bg_model_gguf(m), bg_scheme_find("Q6_K"), &err), &err);
    for (size_t i = 0; i < 512; i++) flags[i] = i % 2;
    assert_ok(bg_kept_set(&r->layers[0].ff, flags, 512, &err), &err);
    r->layers[1].dropped = true;
    plain_image = pruned(m, r, tokens + 8 * 64, false);
    image = pruned(m, r, tokens + 8 * 64, true);
    before = divergence(m, plain_image, tokens);
    after = divergence(m, image, tokens);
    if (!(after < 0.8 * before)) fail_msg("divergence %g, was %g", after, before);
    bg_image_free(&plain_image);
    bg_image_free(&image);
    bg_recipe_free(&r);
    bg_model_close(&m);
    bg_text_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unit_moments),        cmocka_unit_test(nearest_to_the_best),
        cmocka_unit_test(no_column_alone),
        cmocka_unit_test(outputs_change_less), cmocka_unit_test(makes_good_what_came_before),
        cmocka_unit_test(not_finite),          cmocka_unit_test(whole_model),
        cmocka_unit_test(knows_biases),
        cmocka_unit_test(heals_pruning),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
