/* The differentiable model: its logits against naive loops, its gradients against differences. */
#include "unit/model/naive.h"

#include "base/team.h"
#include "search/grad.h"

enum { CTX = 72, WINDOWS = 3, POSITIONS = CTX * WINDOWS, TENSORS = 40 };

/* All weights of a tiny model as floats, and the gradients that a pass gives. */
typedef struct weights {
    const bg_gguf *g;
    float *w[TENSORS], *dw[TENSORS];
    size_t given[TENSORS];              /* rows */
} weights;

static size_t size_of(const bg_tensor *t) { return t->ne[0] * t->ne[1]; }

static weights load(const bg_model *m)
{
    weights s = {.g = bg_model_gguf(m)};
    for (size_t i = 0; i < bg_gguf_tensor_count(s.g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(s.g, i);
        s.w[i] = naive_weights(m, t->name);
        s.dw[i] = bg_alloc(size_of(t), sizeof(float));
    }
    return s;
}

static void unload(weights *s)
{
    for (size_t i = 0; i < bg_gguf_tensor_count(s->g); i++) bg_free(s->w[i]), bg_free(s->dw[i]);
}

static void get_rows(void *user, size_t tensor, size_t first, size_t n, float *out)
{
    const weights *s = user;
    size_t k = bg_gguf_tensor_at(s->g, tensor)->ne[0];
    memcpy(out, s->w[tensor] + first * k, n * k * sizeof *out);
}

static void take_rows(void *user, size_t tensor, size_t first, size_t n, const float *dw)
{
    weights *s = user;
    size_t k = bg_gguf_tensor_at(s->g, tensor)->ne[0];
    memcpy(s->dw[tensor] + first * k, dw, n * k * sizeof *dw);
    __atomic_fetch_add(&s->given[tensor], n, __ATOMIC_RELAXED);
}

static bg_isa native(void)
{
    bg_error err;
    bg_isa isa;
    assert_ok(bg_isa_parse("native", &isa, &err), &err);
    return isa;
}

static void some_tokens(int32_t *tokens, uint32_t n_vocab)
{
    bg_rng rng;
    bg_rng_seed(&rng, 5);
    for (size_t i = 0; i < POSITIONS; i++) tokens[i] = (int32_t)bg_rng_below(&rng, n_vocab);
}

static bg_grad *open_grad(const bg_model *m, bool rough, bg_isa isa, bg_team *team)
{
    bg_error err;
    bg_grad *g;
    assert_ok(bg_grad_open(&g, bg_model_gguf(m), bg_model_hparams(m), CTX, WINDOWS, rough, isa,
                           team, &err),
              &err);
    return g;
}

static const tiny variants[] = {
    {.n_layer = 2, .n_embd = 64, .n_ff = 96, .n_head = 4, .n_head_kv = 2, .head_dim = 16,
     .rope_dim = 16, .n_vocab = 48, .format = BG_FORMAT_F32, .value = BG_FORMAT_NONE},
    {.n_layer = 1, .n_embd = 40, .n_ff = 52, .n_head = 5, .n_head_kv = 1, .head_dim = 6,
     .rope_dim = 4, .n_vocab = 37, .tied = true, .rope_factors = true, .format = BG_FORMAT_F32,
     .value = BG_FORMAT_NONE},
    {.n_layer = 2, .n_embd = 33, .n_ff = 21, .n_head = 3, .n_head_kv = 3, .head_dim = 11,
     .rope_dim = 10, .n_vocab = 50, .linear = 2, .format = BG_FORMAT_F16, .value = BG_FORMAT_F32},
};

static void test_logits(void **state)
{
    (void)state;
    for (size_t v = 0; v < BG_COUNT(variants); v++) {
        const tiny *t = &variants[v];
        bg_text file = tiny_file(t);
        bg_model *m = tiny_open(&file);
        weights s = load(m);
        bg_grad_weights w = {&s, get_rows, NULL};
        bg_isa isas[] = {BG_ISA_REF, native()};
        int32_t tokens[POSITIONS];
        float *logits = bg_alloc((size_t)POSITIONS * t->n_vocab, sizeof *logits);
        some_tokens(tokens, t->n_vocab);
        for (size_t i = 0; i < BG_COUNT(isas); i++) {
            bg_grad *g = open_grad(m, false, isas[i], NULL);
            bg_grad_logits(g, &w, tokens, WINDOWS, logits);
            for (size_t window = 0; window < WINDOWS; window++) {
                double *truth = naive_logits(t, m, tokens + window * CTX, CTX);
                const float *got = logits + window * CTX * t->n_vocab;
                double apart = 0, size = 0;
                for (size_t k = 0; k < (size_t)CTX * t->n_vocab; k++) {
                    apart += (truth[k] - (double)got[k]) * (truth[k] - (double)got[k]);
                    size += truth[k] * truth[k];
                }
                if (!(sqrt(apart / size) < 2e-3)) /* the truth has halves for keys and values */
                    fail_msg("variant %zu is off by %g", v, sqrt(apart / size));
                bg_free(truth);
            }
            bg_grad_close(&g);
        }
        bg_free(logits);
        unload(&s);
        bg_model_close(&m);
        bg_text_fini(&file);
    }
}

static size_t output_of(const bg_gguf *g)
{
    size_t i = 0;
    while (strcmp(bg_gguf_tensor_at(g, i)->name, bg_gguf_tensor_find(g, "output.weight")
                                                     ? "output.weight" : "token_embd.weight")) i++;
    return i;
}

/* A teacher whose last layer says something else. */
static uint16_t *other_hidden(size_t n)
{
    uint16_t *hidden = bg_alloc(n, sizeof *hidden);
    bg_rng rng;
    bg_rng_seed(&rng, 17);
    for (size_t i = 0; i < n; i++) hidden[i] = bg_f32_to_f16((float)bg_rng_normal(&rng));
    return hidden;
}

/* The change of the loss along a direction of one tensor, by the gradient and by taking steps. */
static void check_tensor(bg_grad *g, weights *s, const bg_grad_batch *batch, size_t tensor)
{
    size_t n = size_of(bg_gguf_tensor_at(s->g, tensor));
    float *direction = bg_alloc(n, sizeof *direction), *before = bg_alloc(n, sizeof *before);
    bg_grad_weights w = {s, get_rows, NULL};
    double expected = 0, loss[2], found, step, size = 0, slope = 0;
    bg_rng rng;
    bg_rng_seed(&rng, tensor);
    for (size_t i = 0; i < n; i++) {
        size += (double)s->w[tensor][i] * (double)s->w[tensor][i];
        slope += (double)s->dw[tensor][i] * (double)s->dw[tensor][i];
    }
    for (size_t i = 0; i < n; i++) { /* half along the gradient: the slope is not 0 by chance */
        direction[i] = (float)(bg_rng_normal(&rng) / sqrt((double)n)
                               + (double)s->dw[tensor][i] / sqrt(slope));
        expected += (double)direction[i] * (double)s->dw[tensor][i];
    }
    step = 4e-4 * sqrt(size);
    memcpy(before, s->w[tensor], n * sizeof *before);
    for (int side = 0; side < 2; side++) {
        double h = side ? step : -step;
        for (size_t i = 0; i < n; i++)
            s->w[tensor][i] = (float)((double)before[i] + h * (double)direction[i]);
        loss[side] = bg_grad_run(g, &w, batch);
    }
    memcpy(s->w[tensor], before, n * sizeof *before);
    found = (loss[1] - loss[0]) / (2 * step);
    if (!(fabs(found - expected) < 0.01 * fabs(expected) + 1e-5))
        fail_msg("%s: slope %g by steps, %g by the gradient",
                 bg_gguf_tensor_at(s->g, tensor)->name, found, expected);
    bg_free(direction);
    bg_free(before);
}

static void test_gradients(void **state)
{
    (void)state;
    for (size_t v = 0; v < BG_COUNT(variants); v++) {
        const tiny *t = &variants[v];
        bg_text file = tiny_file(t);
        bg_model *m = tiny_open(&file);
        weights s = load(m);
        bg_grad_weights w = {&s, get_rows, take_rows};
        bg_grad *g = open_grad(m, false, native(), NULL);
        int32_t tokens[POSITIONS];
        size_t bytes;
        float *output = bg_grad_output(g, &w, output_of(s.g), &bytes);
        uint16_t *hidden = other_hidden((size_t)POSITIONS * t->n_embd);
        bg_grad_batch batch = {tokens, WINDOWS, hidden, output, 0};
        some_tokens(tokens, t->n_vocab);
        bg_grad_run(g, &w, &batch);
        for (size_t i = 0; i < bg_gguf_tensor_count(s.g); i++) {
            const bg_tensor *tensor = bg_gguf_tensor_at(s.g, i);
            if (strcmp(tensor->name, "rope_freqs.weight") == 0) continue;
            if (i || t->tied) assert_int_equal(s.given[i], tensor->ne[1]);
            check_tensor(g, &s, &batch, i);
        }
        bg_free_large(output, bytes);
        bg_free(hidden);
        bg_grad_close(&g);
        unload(&s);
        bg_model_close(&m);
        bg_text_fini(&file);
    }
}

/* A model is no distance from itself, and then nothing pulls at it. */
static void test_itself(void **state)
{
    bg_text file = tiny_file(&variants[0]);
    bg_model *m = tiny_open(&file);
    weights s = load(m);
    bg_grad_weights w = {&s, get_rows, take_rows};
    bg_grad *g = open_grad(m, false, native(), NULL);
    int32_t tokens[POSITIONS];
    size_t bytes;
    float *output = bg_grad_output(g, &w, output_of(s.g), &bytes);
    uint16_t *hidden = other_hidden((size_t)POSITIONS * variants[0].n_embd);
    bg_grad_batch batch = {tokens, WINDOWS, hidden, output, 0};
    double loss, most = 0;
    (void)state;
    some_tokens(tokens, variants[0].n_vocab);
    bg_grad_hidden(g, &w, tokens, WINDOWS, hidden);
    loss = bg_grad_run(g, &w, &batch);
    assert_true(fabs(loss) < 1e-6);
    for (size_t i = 0; i < bg_gguf_tensor_count(s.g); i++)
        for (size_t k = 0; k < size_of(bg_gguf_tensor_at(s.g, i)); k++)
            most = fmax(most, fabs((double)s.dw[i][k]));
    assert_true(most < 1e-3);
    bg_free_large(output, bytes);
    bg_free(hidden);
    bg_grad_close(&g);
    unload(&s);
    bg_model_close(&m);
    bg_text_fini(&file);
}

/* Rounded to bfloat16, loss and gradients are about the same; drawn tokens leave the embedding's
 * gradient as the one that every error has gone through. */
static void test_rough(void **state)
{
    const tiny *t = &variants[0];
    bg_text file = tiny_file(t);
    bg_model *m = tiny_open(&file);
    weights s[2] = {load(m), load(m)};
    int32_t tokens[POSITIONS];
    uint16_t *hidden = other_hidden((size_t)POSITIONS * t->n_embd);
    double loss[2];
    (void)state;
    some_tokens(tokens, t->n_vocab);
    for (int i = 0; i < 2; i++) {
        bg_grad_weights w = {&s[i], get_rows, take_rows};
        bg_grad *g = open_grad(m, i == 1, native(), NULL);
        size_t bytes;
        float *output = bg_grad_output(g, &w, output_of(s[i].g), &bytes);
        bg_grad_batch batch = {tokens, WINDOWS, hidden, output, 0};
        loss[i] = bg_grad_run(g, &w, &batch);
        bg_free_large(output, bytes);
        bg_grad_close(&g);
    }
    assert_true(fabs(loss[1] / loss[0] - 1) < 0.01);
    for (size_t i = 0; i < bg_gguf_tensor_count(s[0].g); i++) {
        double xx = 0, xy = 0, yy = 0;
        for (size_t k = 0; k < size_of(bg_gguf_tensor_at(s[0].g, i)); k++) {
            double x = (double)s[0].dw[i][k], y = (double)s[1].dw[i][k];
            xx += x * x, xy += x * y, yy += y * y;
        }
        if (!(xy / sqrt(xx * yy) > 0.995 && fabs(yy / xx - 1) < 0.05))
            fail_msg("%s: cosine %g, size %g", bg_gguf_tensor_at(s[0].g, i)->name,
                     xy / sqrt(xx * yy), sqrt(yy / xx));
    }
    bg_free(hidden);
    unload(&s[0]);
    unload(&s[1]);
    bg_model_close(&m);
    bg_text_fini(&file);
}

static float narrow(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= 0xffff0000;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

/* One product: a in rows or in columns, on top of something or not, at strides of their own.
 * Numbers are bfloat16, so that pairs of them lose nothing. */
static void check_product(const bg_grad_ops *ops, size_t m, size_t n, size_t k, bool columns,
                          bool add)
{
    size_t pairs = k / 2, a_rows = columns ? pairs : m, a_stride = (columns ? m : pairs) + 3;
    size_t b_stride = n + 5, c_stride = n + 2;
    float *x = bg_alloc(m * k, 4), *y = bg_alloc(k * n, 4);
    float *a = bg_alloc(a_rows * a_stride, 4), *b = bg_alloc(pairs * b_stride, 4);
    float *c = bg_alloc(m * c_stride, 4);
    bg_rng rng;
    bg_rng_seed(&rng, m + 100 * n + 10000 * k);
    for (size_t i = 0; i < m * k; i++) x[i] = narrow((float)bg_rng_normal(&rng));
    for (size_t i = 0; i < k * n; i++) y[i] = narrow((float)bg_rng_normal(&rng));
    for (size_t i = 0; i < m * c_stride; i++) c[i] = 7;
    for (size_t l = 0; l < k; l += 2) {
        ops->pair_rows(y + l * n, y + (l + 1) * n, b + l / 2 * b_stride, n);
        for (size_t i = 0; i < m; i++)
            ops->pair_row(x + i * k + l, columns ? a + l / 2 * a_stride + i
                                                 : a + i * a_stride + l / 2, 2);
    }
    ops->multiply_pairs(&(bg_product){
        .m = m, .n = n, .k = pairs, .a = a, .a_m = columns ? 1 : a_stride,
        .a_k = columns ? a_stride : 1, .b = b, .b_k = b_stride, .c = c, .c_m = c_stride,
        .add = add});
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < c_stride; j++) {
            double truth = add || j >= n ? 7 : 0;
            for (size_t l = 0; l < k && j < n; l++)
                truth += (double)x[i * k + l] * (double)y[l * n + j];
            if (!(fabs((double)c[i * c_stride + j] - truth) < 1e-4 * sqrt((double)k)))
                fail_msg("%zu x %zu x %zu: row %zu, column %zu is %g, not %g", m, n, k, i, j,
                         (double)c[i * c_stride + j], truth);
        }
    bg_free(x);
    bg_free(y);
    bg_free(a);
    bg_free(b);
    bg_free(c);
}

/* Whole tiles and what is left of them. */
static void test_products(void **state)
{
    static const size_t sizes[][3] = {{32, 32, 32}, {1, 1, 2}, {33, 17, 34}, {17, 50, 70},
                                      {96, 256, 64}, {5, 31, 600}, {64, 15, 1100}, {40, 48, 30}};
    const bg_grad_ops *ops[] = {bg_grad_ops_get(native()), NULL};
    (void)state;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512bf16")) ops[1] = &bg_grad_ops_amx_emulated;
#endif
    for (size_t o = 0; o < BG_COUNT(ops); o++)
        for (size_t i = 0; ops[o] && ops[o]->multiply_pairs && i < BG_COUNT(sizes); i++)
            for (int kind = 0; kind < 4; kind++)
                check_product(ops[o], sizes[i][0], sizes[i][1], sizes[i][2], kind & 1, kind & 2);
}

/* The same bits whatever the team's size, drawn tokens too. */
static void test_teams(void **state)
{
    const tiny *t = &variants[0];
    bg_text file = tiny_file(t);
    bg_model *m = tiny_open(&file);
    weights s[2] = {load(m), load(m)};
    int32_t tokens[POSITIONS];
    double loss[2];
    bg_error err;
    (void)state;
    some_tokens(tokens, t->n_vocab);
    for (int i = 0; i < 2; i++) {
        bg_grad_weights w = {&s[i], get_rows, take_rows};
        bg_grad_batch batch = {tokens, WINDOWS, NULL, NULL, 9};
        bg_team *team;
        bg_grad *g;
        assert_ok(bg_team_open(&team, 1 + 2 * i, NULL, NULL, &err), &err);
        g = open_grad(m, true, native(), team);
        loss[i] = bg_grad_run(g, &w, &batch);
        bg_grad_close(&g);
        bg_team_close(&team);
    }
    assert_true(loss[0] == loss[1]);
    for (size_t i = 0; i < bg_gguf_tensor_count(s[0].g); i++)
        assert_memory_equal(s[0].dw[i], s[1].dw[i], size_of(bg_gguf_tensor_at(s[0].g, i)) * 4);
    unload(&s[0]);
    unload(&s[1]);
    bg_model_close(&m);
    bg_text_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_itself), cmocka_unit_test(test_rough),
        cmocka_unit_test(test_products), cmocka_unit_test(test_teams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
