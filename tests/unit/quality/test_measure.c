/* Whole measurements with the embedded model. The perplexities come from a forward pass in double
 * precision, written in NumPy straight from the equations. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"
#include "bitgauge/quality.h"
#include "quality/windows.h"
#include "unit/model/embedded.h"
#include "unit/model/tiny.h"

#include <math.h>


static bg_model *model;
static bg_isa isa;
static int32_t *text;
static size_t n_text;
static bg_error err;

static int setup(void **state)
{
    (void)state;
    return embedded_open(&model, &isa, "codelet-eval.txt", 4000, &text, &n_text);
}

static int teardown(void **state)
{
    (void)state;
    bg_tokens_free(text);
    bg_model_close(&model);
    return 0;
}

static bg_quality measure(const bg_model *base, const bg_quality_options *o)
{
    bg_reference *r;
    bg_quality q;
    assert_ok(bg_reference_open(&r, base, text, n_text, o, &err), &err);
    assert_ok(bg_quality_measure(r, model, o, &q, &err), &err);
    bg_reference_close(&r);
    return q;
}

static void assert_close(double got, double want, double ratio)
{
    if (!(fabs(got / want - 1) <= ratio)) fail_msg("%.9g, not %.9g", got, want);
}

static void test_perplexity(void **state)
{
    bg_quality q;
    (void)state;
    q = measure(NULL, &(bg_quality_options){.n_ctx = 64, .max_windows = 2, .isa = isa});
    assert_int_equal(q.windows, 2);
    assert_int_equal(q.tokens, 62); /* the second half, but for its first token, twice */
    assert_close(q.ppl, 6.359024, 1e-3);
    assert_close(q.ppl_se, 2.108141, 1e-3);
    assert_false(q.has_base);
    /* A window of an odd length that is no multiple of anything. */
    q = measure(NULL, &(bg_quality_options){.n_ctx = 37, .max_windows = 5, .isa = isa});
    assert_int_equal(q.tokens, 90);
    assert_close(q.ppl, 7.539948, 1e-3);
}

/* Two windows spread over a text of five are its first and its third. */
static void test_spread(void **state)
{
    bg_quality_options o = {.n_ctx = 32, .max_windows = 2, .spread = true, .isa = isa};
    int32_t *all = text, pair[64];
    size_t n = n_text;
    bg_quality spread, joined;
    (void)state;
    n_text = 5 * 32 + 7;
    spread = measure(NULL, &o);
    memcpy(pair, text, 32 * sizeof *text);
    memcpy(pair + 32, text + 64, 32 * sizeof *text);
    text = pair;
    n_text = 64;
    joined = measure(NULL, &o);
    text = all;
    n_text = n;
    assert_true(spread.ppl == joined.ppl && spread.windows == 2);
}

static void test_base_is_model(void **state)
{
    bg_quality_options o = {.n_ctx = 32, .max_windows = 3, .isa = isa, .cache_bytes = 1};
    bg_quality beside = measure(model, &o), cached, none;
    (void)state;
    assert_true(beside.has_base);
    assert_true(beside.kld_mean == 0 && beside.kld_max == 0 && beside.rms_dp_pct == 0);
    assert_true(beside.same_top_pct == 100);
    assert_true(beside.base_ppl == beside.ppl);
    o.cache_bytes = 1 << 30;
    cached = measure(model, &o);
    assert_true(cached.kld_max == 0 && cached.ppl == beside.ppl);
    none = measure(NULL, &o);
    assert_true(none.ppl == beside.ppl && none.ppl_se == beside.ppl_se);
}

/* However few logits are in memory at once; products of fewer columns may round otherwise. */
static void test_pieces_change_little(void **state)
{
    static const uint32_t lengths[] = {4, 48, 514}; /* 514: a step of one token */
    (void)state;
    for (size_t i = 0; i < BG_COUNT(lengths); i++) {
        bg_quality_options o = {.n_ctx = lengths[i], .max_windows = lengths[i] < 512 ? 2 : 1,
                                .isa = isa};
        bg_quality whole = measure(model, &o), pieces;
        o.logits_bytes = 1;
        pieces = measure(model, &o);
        assert_close(pieces.ppl, whole.ppl, 1e-5);
        assert_true(pieces.kld_max == 0 && pieces.base_ppl == pieces.ppl);
    }
}

static void test_pieces(void **state)
{
    enum { BYTES = 32 << 20 };
    static const size_t vocabularies[] = {10, 4096, 49152, 262144, 5000000};
    (void)state;
    for (size_t v = 0; v < BG_COUNT(vocabularies); v++)
        for (size_t rows = 0; rows < 520; rows++) {
            size_t pieces = bg_pieces(rows, vocabularies[v], BYTES), end = 0;
            for (size_t i = 0; i < pieces; i++) {
                size_t begin = bg_piece_begin(rows, pieces, i), n;
                assert_int_equal(begin, end);
                end = bg_piece_begin(rows, pieces, i + 1);
                n = end - begin;
                assert_true(n >= 2 || rows == 1);
                assert_true(n <= 4 || n * vocabularies[v] * sizeof(float) <= BYTES);
                assert_true(n <= (rows + pieces - 1) / pieces);
            }
            assert_int_equal(end, rows);
        }
}

static void test_threads_change_nothing(void **state)
{
    bg_quality_options o = {.n_ctx = 48, .max_windows = 2, .isa = isa};
    bg_quality alone = measure(NULL, &o), together;
    bg_team *team;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    o.team = team;
    together = measure(NULL, &o);
    bg_team_close(&team);
    assert_true(alone.ppl == together.ppl && alone.ppl_se == together.ppl_se);
}

/* Every scored row is visited once, in order, whatever the window's length. */
static void test_steps(void **state)
{
    static const uint32_t lengths[] = {4, 5, 37, 256, 511, 512, 513, 1000, 1025, 4096};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(lengths); i++) {
        uint32_t n_ctx = lengths[i];
        bg_windows w = {.count = 7, .n_ctx = n_ctx, .scored = n_ctx - 1 - n_ctx / 2};
        bg_step step = {0};
        uint64_t rows = 0, tokens = 0;
        while (bg_windows_next(&w, &step)) {
            assert_int_equal(step.first_row, rows);
            assert_true(step.rows <= bg_windows_step_rows(&w));
            assert_true(step.windows >= 1 && step.window + step.windows <= w.count);
            rows += step.rows;
            tokens += (uint64_t)step.windows * (step.end - step.begin);
        }
        assert_int_equal(rows, 7 * (uint64_t)w.scored);
        assert_int_equal(tokens, 7 * (uint64_t)(n_ctx - 1));
    }
}

static bool stop(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    return done == total;
}

static void test_refusals(void **state)
{
    bg_quality_options o = {.n_ctx = 1000, .isa = isa};
    bg_reference *r = NULL;
    bg_quality q;
    int32_t strange[16] = {0, 1, 2, 4096};
    (void)state;
    assert_fails(bg_reference_open(&r, NULL, text, 700, &o, &err), BG_ERR_INPUT,
                 "has 700 tokens, but a window needs 1000", &err);
    o.n_ctx = 3;
    assert_fails(bg_reference_open(&r, NULL, text, 700, &o, &err), BG_ERR_INPUT, "too short", &err);
    assert_null(r);
    o.n_ctx = 16;
    assert_ok(bg_reference_open(&r, NULL, strange, 16, &o, &err), &err);
    assert_fails(bg_quality_measure(r, model, &o, &q, &err), BG_ERR_INPUT, "token 4096", &err);
    bg_reference_close(&r);
    o.n_ctx = 257;
    o.progress = stop;
    o.max_windows = 2;
    assert_fails(bg_reference_open(&r, model, text, n_text, &o, &err), BG_ERR_INTERRUPTED,
                 "stopped", &err);
}

/* A model without a tokenizer is measured as it is; one whose logits are no numbers is refused, and
 * the result left alone. */
static void test_bare_and_damaged(void **state)
{
    static const int32_t tokens[8] = {3, 1, 4, 1, 5, 9, 2, 6};
    bg_quality_options o = {.n_ctx = 8, .isa = isa};
    (void)state;
    for (int damaged = 0; damaged < 2; damaged++) {
        tiny t = tiny_default;
        bg_quality q = {.windows = 77};
        bg_reference *r;
        bg_model *m;
        bg_text file;
        if (damaged) t.linear = 1e-44f; /* angles of positions are infinite */
        file = tiny_file(&t);
        m = tiny_open(&file);
        assert_ok(bg_reference_open(&r, NULL, tokens, 8, &o, &err), &err);
        if (damaged)
            assert_fails(bg_quality_measure(r, m, &o, &q, &err), BG_ERR_INPUT, "not finite", &err);
        else
            assert_ok(bg_quality_measure(r, m, &o, &q, &err), &err);
        assert_int_equal(q.windows, damaged ? 77 : 1);
        bg_reference_close(&r);
        bg_model_close(&m);
        bg_text_fini(&file);
    }
}

static void write_text(size_t docs, uint32_t parallel, uint64_t seed, bg_team *team, int32_t **out)
{
    bg_self_text_options o = {.n_docs = docs, .doc_tokens = 12, .parallel = parallel,
                              .temperature = 1, .seed = seed, .isa = isa, .team = team};
    size_t count;
    assert_ok(bg_self_text(model, &o, out, &count, &err), &err);
    assert_int_equal(count, docs * 12);
}

/* Simulated activations of 8 bits are those that Q8_0's own kernels read, but sums in another order
 * round some of them otherwise, and those others: it costs as much, in other places. Fewer bits
 * cost more. */
static void test_activations(void **state)
{
    bg_quality_options o = {.n_ctx = 64, .max_windows = 5, .isa = bg_activations_isa(isa)};
    bg_reference *r;
    bg_model *m;
    bg_quality own, q;
    double before = 0;
    (void)state;
    assert_ok(bg_reference_open(&r, model, text, n_text, &o, &err), &err);
    for (int a = BG_ACTIVATIONS_F16; a < BG_ACTIVATIONS_COUNT; a++) {
        o.activations = (bg_activations)a;
        assert_ok(bg_quality_measure(r, model, &o, &q, &err), &err);
        assert_true(q.kld_mean > 3 * before);
        before = q.kld_mean;
    }
    assert_true(before > 0.01 && before < 1);
    assert_ok(bg_model_quantize(&m, model, bg_scheme_find("Q8_0"), NULL, NULL, NULL, NULL, &err),
              &err);
    o.activations = BG_ACTIVATIONS_Q8;
    assert_ok(bg_quality_measure(r, m, &o, &q, &err), &err);
    o.activations = BG_ACTIVATIONS_OWN;
    assert_ok(bg_quality_measure(r, m, &o, &own, &err), &err);
    assert_close(q.ppl, own.ppl, 0.01);
    assert_close(q.kld_mean, own.kld_mean, 0.25);
    o.activations = BG_ACTIVATIONS_Q8; /* nothing is left to decode */
    assert_fails(bg_quality_measure(r, m, &o, &q, &err), BG_ERR_UNSUPPORTED, "packed already",
                 &err);
    bg_model_close(&m);
    bg_reference_close(&r);
}

static void test_self_text(void **state)
{
    int32_t *a, *b, *c;
    bg_team *team;
    (void)state;
    assert_ok(bg_team_open(&team, 2, NULL, NULL, &err), &err);
    write_text(5, 2, 1, NULL, &a);
    write_text(3, 16, 1, team, &b);
    write_text(3, 16, 2, NULL, &c);
    /* The same documents whatever runs beside them; others with another seed. */
    assert_memory_equal(a, b, 3 * 12 * sizeof *a);
    assert_memory_not_equal(b, c, 3 * 12 * sizeof *a);
    assert_memory_not_equal(a, a + 12, 12 * sizeof *a);
    for (int i = 0; i < 5 * 12; i++) {
        assert_in_range(a[i], 0, 4095);
        if (i % 12 == 0) assert_int_equal(a[i], 1); /* BOS */
    }
    bg_tokens_free(a);
    bg_tokens_free(b);
    bg_tokens_free(c);
    bg_team_close(&team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity), cmocka_unit_test(test_spread),
        cmocka_unit_test(test_base_is_model), cmocka_unit_test(test_pieces_change_little),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_threads_change_nothing), cmocka_unit_test(test_steps),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_bare_and_damaged),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_self_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
