#include "naive.h"

#include "base/team.h"

#include "fixtures/model/logits.inc"

enum { TOKENS = 37 };

static bg_isa native(void)
{
    bg_error err;
    bg_isa isa;
    assert_ok(bg_isa_parse("native", &isa, &err), &err);
    return isa;
}

static void some_tokens(int32_t *tokens, size_t n, uint32_t n_vocab, uint64_t seed)
{
    bg_rng rng;
    bg_rng_seed(&rng, seed);
    for (size_t i = 0; i < n; i++) tokens[i] = (int32_t)bg_rng_below(&rng, n_vocab);
}

static bg_session *open_session(const bg_model *m, bg_isa isa, uint32_t n_seq, bg_team *team)
{
    bg_error err;
    bg_session *s;
    bg_session_options o = {.n_ctx = 300, .n_batch = 300, .n_seq = n_seq, .isa = isa, .team = team};
    assert_ok(bg_session_open(&s, m, &o, &err), &err);
    return s;
}

/* Logits of all n tokens, given in pieces of `step`. Free with bg_free. */
static float *all_logits(const bg_model *m, bg_isa isa, bg_team *team, const int32_t *tokens,
                         size_t n, size_t step)
{
    size_t n_vocab = bg_model_hparams(m)->n_vocab;
    bg_session *s = open_session(m, isa, 1, team);
    float *logits = bg_alloc(n * n_vocab, sizeof *logits);
    uint8_t *want = bg_alloc(n, 1);
    bg_error err;
    memset(want, 1, n);
    for (size_t i = 0; i < n; i += step) {
        bg_batch b = {.n = BG_MIN(step, n - i), .tokens = tokens + i, .want = want};
        assert_ok(bg_session_eval(s, &b, logits + i * n_vocab, &err), &err);
    }
    bg_free(want);
    bg_session_close(&s);
    return logits;
}

/* Root mean square of the difference over that of the truth. */
static double distance(const double *truth, const float *got, size_t n)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double d = truth[i] - (double)got[i];
        difference += d * d;
        size += truth[i] * truth[i];
    }
    return sqrt(difference / size);
}

static void check_naive(const char *what, const tiny *t, size_t n, double limit)
{
    bg_text file = tiny_file(t);
    bg_model *m = tiny_open(&file);
    int32_t tokens[300];
    bg_isa isas[] = {BG_ISA_REF, native()};
    double *truth, d;
    some_tokens(tokens, n, t->n_vocab, 3);
    truth = naive_logits(t, m, tokens, n);
    for (size_t i = 0; i < BG_COUNT(isas); i++)
        for (size_t step = 1; step <= n; step += n - 1) {
            float *logits = all_logits(m, isas[i], NULL, tokens, n, step);
            d = distance(truth, logits, n * t->n_vocab);
            if (!(d < limit))
                fail_msg("%s, %s, by %zu: off by %g", what, bg_isa_name(isas[i]), step, d);
            bg_free(logits);
        }
    bg_free(truth);
    bg_model_close(&m);
    bg_text_fini(&file);
}

static void matches_naive_loops(void **state)
{
    tiny t = tiny_default;
    (void)state;
    check_naive("plain", &t, TOKENS, 1e-4);
    t.tied = t.rope_factors = true;
    t.linear = 2.5f;
    check_naive("tied, scaled", &t, TOKENS, 1e-4);
    t = (tiny){.n_layer = 1, .n_embd = 96, .n_ff = 40, .n_head = 5, .n_head_kv = 1, .head_dim = 22,
               .rope_dim = 12, .n_vocab = 33, .format = BG_FORMAT_F16, .value = BG_FORMAT_BF16};
    check_naive("odd sizes", &t, TOKENS, 1e-4);
    t = (tiny){.n_layer = 1, .n_embd = 64, .n_ff = 40, .n_head = 60, .n_head_kv = 2, .head_dim = 2,
               .rope_dim = 2, .n_vocab = 33, .format = BG_FORMAT_F32, .value = BG_FORMAT_NONE};
    check_naive("more heads on a key than fit an item", &t, TOKENS, 1e-4);
    t = tiny_default;
    t.n_layer = 1;
    check_naive("several blocks of positions", &t, 290, 1e-4);
}

/* Activations are rounded to 8 bits beside quantized weights: 1 in 254 of a block's largest. */
static void matches_naive_loops_quantized(void **state)
{
    static const bg_format small[] = {BG_FORMAT_Q4_0, BG_FORMAT_Q4_1, BG_FORMAT_Q5_0,
                                      BG_FORMAT_Q5_1, BG_FORMAT_Q8_0, BG_FORMAT_IQ4_NL};
    static const bg_format large[] = {BG_FORMAT_Q2_K, BG_FORMAT_Q3_K, BG_FORMAT_Q4_K,
                                      BG_FORMAT_Q5_K, BG_FORMAT_Q6_K, BG_FORMAT_IQ4_XS,
                                      BG_FORMAT_TQ1_0, BG_FORMAT_TQ2_0};
    tiny t = tiny_default;
    (void)state;
    t.n_layer = 1;
    t.n_embd = 96;
    t.n_head = 6;
    for (size_t i = 0; i < BG_COUNT(small); i++) {
        t.format = small[i];
        check_naive(bg_format_get(small[i])->name, &t, 9, 0.03);
    }
    t.n_embd = t.n_ff = 256;
    t.n_head = 16;
    for (size_t i = 0; i < BG_COUNT(large); i++) {
        t.format = large[i];
        t.value = i % 2 ? BG_FORMAT_Q8_0 : BG_FORMAT_F16; /* several activation formats at once */
        check_naive(bg_format_get(large[i])->name, &t, 9, 0.03);
    }
}

static void same_bits_with_any_team(void **state)
{
    tiny t = tiny_default;
    int32_t tokens[290];
    bg_error err;
    (void)state;
    t.n_embd = t.n_ff = 256;
    t.n_head = 16;
    t.n_layer = 1;
    t.n_vocab = 300;
    t.value = BG_FORMAT_F16;
    /* Many at once, then one whose positions are split. */
    some_tokens(tokens, 290, t.n_vocab, 4);
    for (int quantized = 0; quantized < 2; quantized++) {
        bg_text file;
        bg_model *m;
        float *alone;
        t.format = quantized ? BG_FORMAT_Q4_K : BG_FORMAT_F32;
        file = tiny_file(&t);
        m = tiny_open(&file);
        alone = all_logits(m, native(), NULL, tokens, 290, 289);
        for (int size = 2; size <= 5; size++) {
            bg_team *team;
            float *together;
            assert_ok(bg_team_open(&team, size, NULL, NULL, &err), &err);
            together = all_logits(m, native(), team, tokens, 290, 289);
            assert_memory_equal(alone, together, 290 * t.n_vocab * sizeof(float));
            bg_free(together);
            bg_team_close(&team);
        }
        bg_free(alone);
        bg_model_close(&m);
        bg_text_fini(&file);
    }
}

/* Tokens of three sequences, mixed into common batches, give what each gives alone. */
static void sequences_do_not_mix(void **state)
{
    tiny t = tiny_default;
    bg_text file = tiny_file(&t);
    bg_model *m = tiny_open(&file);
    bg_session *s = open_session(m, native(), 3, NULL);
    int32_t tokens[3][TOKENS], mixed[3 * TOKENS];
    uint32_t seq[3 * TOKENS], taken[3] = {0};
    uint8_t want[3 * TOKENS];
    float *alone[3], *logits = bg_alloc(3 * TOKENS * t.n_vocab, sizeof *logits);
    size_t n = 0;
    bg_rng rng;
    bg_error err;
    (void)state;
    bg_rng_seed(&rng, 9);
    for (uint32_t i = 0; i < 3; i++) {
        some_tokens(tokens[i], TOKENS, t.n_vocab, i);
        alone[i] = all_logits(m, native(), NULL, tokens[i], TOKENS, TOKENS);
    }
    while (n < 3 * TOKENS) {
        uint32_t i = (uint32_t)bg_rng_below(&rng, 3);
        for (uint64_t run = 1 + bg_rng_below(&rng, 4); run > 0 && taken[i] < TOKENS; run--, n++) {
            mixed[n] = tokens[i][taken[i]++];
            seq[n] = i;
            want[n] = 1;
        }
    }
    memset(taken, 0, sizeof taken);
    for (size_t i = 0; i < n; i += 20) {
        bg_batch b = {BG_MIN((size_t)20, n - i), mixed + i, seq + i, want + i};
        assert_ok(bg_session_eval(s, &b, logits + i * t.n_vocab, &err), &err);
    }
    for (size_t i = 0; i < n; i++) {
        const float *a = alone[seq[i]] + taken[seq[i]]++ * t.n_vocab, *b = logits + i * t.n_vocab;
        for (size_t j = 0; j < t.n_vocab; j++) assert_true(fabsf(a[j] - b[j]) < 1e-3f);
    }
    for (int i = 0; i < 3; i++) bg_free(alone[i]);
    bg_free(logits);
    bg_session_close(&s);
    bg_model_close(&m);
    bg_text_fini(&file);
}

static void wants_and_limits(void **state)
{
    tiny t = tiny_default;
    bg_text file = tiny_file(&t);
    bg_model *m = tiny_open(&file);
    bg_session *s = open_session(m, native(), 2, NULL);
    int32_t tokens[300], bad = 48;
    uint32_t two[2] = {0, 2};
    uint8_t none[300] = {0};
    float *all, logits[48];
    bg_batch b = {.n = 300, .tokens = tokens};
    bg_error err;
    (void)state;
    some_tokens(tokens, 300, t.n_vocab, 6);
    all = all_logits(m, native(), NULL, tokens, 300, 300);
    b.n = 299; /* no logits at all, then the last token's */
    b.want = none;
    assert_ok(bg_session_eval(s, &b, NULL, &err), &err);
    b = (bg_batch){.n = 1, .tokens = tokens + 299};
    assert_ok(bg_session_eval(s, &b, logits, &err), &err);
    for (size_t j = 0; j < t.n_vocab; j++)
        assert_true(fabsf(logits[j] - all[299 * t.n_vocab + j]) < 1e-3f);
    assert_fails(bg_session_eval(s, &b, logits, &err), BG_ERR_INPUT, "--ctx", &err);
    b = (bg_batch){.n = 2, .tokens = tokens, .seq = two};
    assert_fails(bg_session_eval(s, &b, logits, &err), BG_ERR_INPUT, "sequence 2", &err);
    b = (bg_batch){.n = 1, .tokens = &bad};
    assert_fails(bg_session_eval(s, &b, logits, &err), BG_ERR_INPUT, "token 48", &err);
    b = (bg_batch){.n = 301, .tokens = tokens};
    assert_fails(bg_session_eval(s, &b, logits, &err), BG_ERR_INPUT, "301 tokens", &err);
    two[0] = two[1] = 1; /* a batch that does not fit leaves the sequence as it was */
    bg_session_reset(s, 0);
    b = (bg_batch){.n = 300, .tokens = tokens};
    assert_ok(bg_session_eval(s, &b, logits, &err), &err);
    for (size_t j = 0; j < t.n_vocab; j++)
        assert_true(fabsf(logits[j] - all[299 * t.n_vocab + j]) < 1e-3f);
    assert_int_equal(bg_session_kv_bytes(s), 2 * bg_model_kv_bytes(m, 300, 300));
    assert_int_equal(bg_model_kv_bytes(m, 304, 0), 2u * 2 * 304 * 32 * 2);
    bg_free(all);
    bg_session_close(&s);
    bg_model_close(&m);
    bg_text_fini(&file);
}

static void absurd_context_is_refused(void **state)
{
    tiny t = tiny_default;
    bg_text file = tiny_file(&t);
    bg_model *m = tiny_open(&file);
    bg_session *s;
    bg_error err;
    bg_session_options o = {.n_ctx = UINT32_MAX, .n_seq = UINT32_MAX, .isa = BG_ISA_REF};
    (void)state;
    assert_fails(bg_session_open(&s, m, &o, &err), BG_ERR_NOMEM, "--ctx", &err);
    assert_null(s);
    bg_model_close(&m);
    bg_text_fini(&file);
}

/* Each number within half a step of its binary place, but for those that are small beside the row's
 * largest; what is not finite is seen to be so. */
static void half_rows(void **state)
{
    enum { N = 300 };
    static const float sizes[] = {1e-30f, 1e-3f, 1, 1000, 1e20f};
    float x[N], back[N];
    uint16_t *row = bg_alloc(bg_half_row(N), sizeof *row);
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 1);
    for (size_t s = 0; s < BG_COUNT(sizes); s++) {
        for (size_t i = 0; i < N; i++) x[i] = sizes[s] * (float)bg_rng_normal(&rng);
        bg_half_row_put(x, N, row);
        bg_half_row_get(row, back, N);
        for (size_t i = 0; i < N; i++)
            assert_true(fabsf(back[i] - x[i]) <= 0x1p-11f * fabsf(x[i]) + 0x1p-20f * sizes[s]);
    }
    memset(x, 0, sizeof x);
    bg_half_row_put(x, N, row);
    bg_half_row_get(row, back, N);
    assert_memory_equal(x, back, sizeof x);
    x[7] = INFINITY;
    bg_half_row_put(x, N, row);
    bg_half_row_get(row, back, N);
    assert_true(isnan(back[7]) && isnan(back[8]));
    bg_free(row);
}

/* The embedded model against an independent implementation. */
static void matches_python(void **state)
{
    size_t n = BG_COUNT(reference_tokens), n_vocab;
    bg_isa isas[] = {BG_ISA_REF, native()};
    bg_model *m;
    bg_error err;
    double off = 0;
    (void)state;
    assert_ok(bg_model_open(&m, BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf", &err), &err);
    n_vocab = bg_model_hparams(m)->n_vocab;
    for (size_t i = 0; i < BG_COUNT(isas); i++) {
        float *logits = all_logits(m, isas[i], NULL, reference_tokens, n, n);
        for (size_t j = 0; j < BG_COUNT(reference_logits); j++) {
            size_t at = reference_logits[j].position * n_vocab + reference_logits[j].token;
            off = fmax(off, fabs((double)logits[at] - (double)reference_logits[j].logit));
        }
        bg_free(logits);
    }
    if (!(off < 1e-2)) fail_msg("off by %g", off); /* halves in the KV cache, logits of about 10 */
    bg_model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_naive_loops), cmocka_unit_test(matches_naive_loops_quantized),
        cmocka_unit_test(same_bits_with_any_team), cmocka_unit_test(sequences_do_not_mix),
        cmocka_unit_test(wants_and_limits), cmocka_unit_test(absurd_context_is_refused),
        cmocka_unit_test(half_rows), cmocka_unit_test(matches_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
