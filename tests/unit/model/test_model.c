#include "tiny.h"

#include "base/team.h"
#include "bitgauge/scheme.h"

/* The value of a key in the file's bytes. */
static char *value_of(const bg_text *file, const char *key)
{
    char *at = memmem(file->data, file->length, key, strlen(key));
    assert_non_null(at);
    return at + strlen(key) + 4;
}

/* What opening says of the default tiny model once its bytes are changed. */
static void refuse(const bg_text *file, bg_status status, const char *word)
{
    bg_error err = {.status = BG_OK};
    bg_gguf *g;
    bg_model *m;
    assert_ok(bg_gguf_open_memory(&g, file->data, file->length, "tiny.gguf", &err), &err);
    assert_fails(bg_model_open_gguf(&m, g, &err), status, word, &err);
    assert_null(m);
    assert_non_null(strstr(err.where, "tiny.gguf"));
}

static void hostile_numbers(void **state)
{
    static const struct { const char *key; uint32_t value; const char *word; } cases[] = {
        {"llama.block_count", 0, "block_count is 0"},
        {"llama.block_count", 1, "blk.1"},               /* the second layer is left over */
        {"llama.block_count", 3, "blk.2.attn_norm.weight"},
        {"llama.block_count", 4096, "4096 layers"},
        {"llama.block_count", UINT32_MAX, "block_count is 4294967295"},
        {"llama.embedding_length", 0, "embedding_length is 0"},
        {"llama.embedding_length", 128, "shape is 64 x 48"},
        {"llama.embedding_length", 1u << 31, "embedding_length is 2147483648"},
        {"llama.feed_forward_length", 95, "ffn_gate.weight"},
        {"llama.feed_forward_length", 0, "feed_forward_length is 0"},
        {"llama.context_length", 0, "context_length is 0"},
        {"llama.attention.head_count", 0, "head_count is 0"},
        {"llama.attention.head_count", 3, "3 query heads"},
        {"llama.attention.head_count", 6, "attn_q.weight"},
        {"llama.attention.head_count_kv", 0, "head_count_kv is 0"},
        {"llama.attention.head_count_kv", 3, "4 query heads"},
        {"llama.attention.head_count_kv", 4, "attn_k.weight"},
        {"llama.attention.key_length", 0, "key_length is 0"},
        {"llama.attention.key_length", 32, "shape is 64 x 64"},
        {"llama.attention.key_length", 1u << 20, "key_length is 1048576"},
        {"llama.rope.dimension_count", 18, "rope.dimension_count is 18"},
        {"llama.rope.dimension_count", 7, "rope.dimension_count is 7"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_text file = tiny_file(&tiny_default);
        /* "head_count" begins "head_count_kv" too, and comes first. */
        memcpy(value_of(&file, cases[i].key), &cases[i].value, 4);
        refuse(&file, cases[i].value == 1 ? BG_ERR_UNSUPPORTED : BG_ERR_INPUT, cases[i].word);
        bg_text_fini(&file);
    }
}

static void replace(bg_text *file, const char *from, const char *to)
{
    char *at = memmem(file->data, file->length, from, strlen(from));
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));
}

static void hostile_names(void **state)
{
    static const struct { const char *from, *to; bg_status status; const char *word; } cases[] = {
        {"llama", "gpt-2", BG_ERR_UNSUPPORTED, "architecture 'gpt-2'"},
        {"llama", "\x01\x02\n\xff]", BG_ERR_UNSUPPORTED, "architecture '???"},
        {"general.arch", "general.arcx", BG_ERR_INPUT, "general.architecture is missing"},
        {"llama.block_count", "llama.clock_count", BG_ERR_INPUT, "llama.block_count is missing"},
        {"blk.1.ffn_up.weight", "blk.1.ffn_xx.weight", BG_ERR_INPUT, "blk.1.ffn_up.weight"},
        {"token_embd.weight", "token_xmbd.weight", BG_ERR_INPUT, "token_embd.weight"},
        {"output.weight", "output.veight", BG_ERR_UNSUPPORTED, "output.veight"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_text file = tiny_file(&tiny_default);
        replace(&file, cases[i].from, cases[i].to);
        refuse(&file, cases[i].status, cases[i].word);
        bg_text_fini(&file);
    }
}

static void variants_are_named(void **state)
{
    static const struct {
        const char *text_key, *text, *number_key;
        uint32_t number;
        const char *word;
    } cases[] = {
        {"llama.rope.scaling.type", "dynamic", NULL, 0, "rope.scaling.type"},
        {NULL, NULL, "llama.expert_count", 8, "mixtures of experts"},
        {NULL, NULL, "llama.attention.value_length", 8, "values of width 8"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        tiny t = tiny_default;
        bg_text file;
        t.text_key = cases[i].text_key;
        t.text = cases[i].text;
        t.number_key = cases[i].number_key;
        t.number = cases[i].number;
        file = tiny_file(&t);
        refuse(&file, BG_ERR_UNSUPPORTED, cases[i].word);
        bg_text_fini(&file);
    }
}

static void hostile_rope(void **state)
{
    static const float factors[] = {-1, INFINITY, NAN}; /* 0 is none */
    (void)state;
    for (size_t i = 0; i < BG_COUNT(factors); i++) {
        tiny t = tiny_default;
        bg_text file;
        t.linear = 2;
        file = tiny_file(&t);
        memcpy(value_of(&file, "llama.rope.scaling.factor"), &factors[i], 4);
        refuse(&file, BG_ERR_INPUT, "rope.scaling.factor");
        bg_text_fini(&file);
    }
}

/* The type id of a tensor: after its name, number of dimensions and two dimensions. */
static void unknown_formats(void **state)
{
    static const uint32_t types[] = {15, 16};
    static const char *const words[] = {"Q8_K", "IQ2_XXS"};
    (void)state;
    for (size_t i = 0; i < BG_COUNT(types); i++) {
        tiny t = tiny_default;
        bg_text file;
        char *at;
        t.n_ff = 256;
        file = tiny_file(&t);
        at = memmem(file.data, file.length, "blk.0.ffn_down.weight", 21);
        memcpy(at + 21 + 4 + 16, &types[i], 4);
        refuse(&file, BG_ERR_UNSUPPORTED, words[i]);
        bg_text_fini(&file);
    }
}

static void counts(void **state)
{
    tiny t = tiny_default;
    bg_text file = tiny_file(&t);
    bg_model *m = tiny_open(&file);
    const bg_hparams *h = bg_model_hparams(m);
    /* By hand: a layer has two norms, q and output of 64 x 64, k and v of 32, three of 96. */
    uint64_t layer = 2 * 64 + 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96;
    uint64_t matrices = 2 * (layer - 128) + 48 * 64;
    int32_t *tokens;
    size_t count;
    bg_error err;
    (void)state;
    assert_int_equal(h->n_params, 2 * layer + 64 + 2 * 48 * 64);
    assert_int_equal(bg_model_weight_bytes(m), 4 * h->n_params);
    assert_true(bg_model_bpw(m) == 32);
    assert_int_equal(bg_model_bytes_per_token(m), 4 * (2 * layer + 64 + 48 * 64 + 64));
    /* Scores and sums of values: 2 layers, 64 wide, 10 + 1 positions. */
    assert_true(bg_model_flops_per_token(m, 10) == 2.0 * (double)matrices + 2 * 4.0 * 64 * 11);
    assert_int_equal(h->n_vocab, 48);
    assert_false(h->tied_embeddings);
    assert_string_equal(h->name, "tiny.gguf");
    assert_null(bg_model_tokenizer(m));
    assert_fails(bg_tokenize(NULL, "a", 1, true, true, &tokens, &count, &err), BG_ERR_INPUT,
                 "no tokenizer", &err);
    assert_true(bg_tokenizer_size(NULL) == 0 && !bg_tokenizer_adds_bos(NULL));
    assert_true(bg_tokenizer_bos(NULL) == -1 && bg_tokenizer_eos(NULL) == -1);
    assert_int_equal(bg_token_bytes(NULL, 0, NULL, 0), 0);
    assert_true(bg_tokenizer_equal(NULL, NULL));
    assert_null(bg_model_tensor_at(m, bg_model_tensor_count(m)));
    bg_model_close(&m);
    assert_null(m);
    bg_text_fini(&file);
}

static void hear(void *user, double fraction)
{
    double *last = user;
    assert_true(fraction > *last && fraction <= 1);
    *last = fraction;
}

static void quantizes_in_memory(void **state)
{
    tiny t = {.n_layer = 2, .n_embd = 256, .n_ff = 96, .n_head = 16, .n_head_kv = 2, .head_dim = 16,
              .rope_dim = 16, .n_vocab = 40, .format = BG_FORMAT_F16, .value = BG_FORMAT_NONE};
    bg_text file = tiny_file(&t);
    bg_model *m = tiny_open(&file), *alone, *together;
    const bg_scheme *scheme = bg_scheme_find("Q4_K_M");
    bg_scheme_model facts = bg_model_scheme_facts(m);
    bg_team *team;
    bg_error err;
    double heard = 0;
    size_t bytes = 0;
    (void)state;
    assert_ok(bg_team_open(&team, 3, NULL, NULL, &err), &err);
    assert_ok(bg_model_quantize(&alone, m, scheme, NULL, NULL, hear, &heard, &err), &err);
    assert_ok(bg_model_quantize(&together, m, scheme, NULL, team, NULL, NULL, &err), &err);
    assert_true(heard == 1);
    for (size_t i = 0; i < bg_model_tensor_count(m); i++) {
        const bg_tensor *from = bg_model_tensor_at(m, i), *to = bg_model_tensor_at(alone, i);
        assert_string_equal(from->name, to->name);
        assert_int_equal(to->format, bg_scheme_tensor_format(scheme, &facts, from->name,
                                                             from->n_dims, from->ne, NULL));
        if (from->format == to->format) assert_ptr_equal(from->data, to->data);
        assert_int_equal(to->type_id, to->format);
        assert_memory_equal(to->data, bg_model_tensor_at(together, i)->data, to->bytes);
        bytes += to->bytes;
    }
    assert_int_equal(bg_model_tensor_find(alone, "blk.0.ffn_down.weight")->format, BG_FORMAT_Q5_0);
    assert_int_equal(bg_model_weight_bytes(alone), bytes);
    assert_int_equal(bg_model_hparams(alone)->n_params, bg_model_hparams(m)->n_params);
    bg_model_close(&together);
    bg_model_close(&alone);
    bg_model_close(&m);
    bg_team_close(&team);
    bg_text_fini(&file);
}

static void refuses_weights_that_are_not_numbers(void **state)
{
    bg_text file = tiny_file(&tiny_default);
    bg_model *m = tiny_open(&file), *q;
    const bg_tensor *t = bg_model_tensor_find(m, "blk.1.ffn_up.weight");
    float nan = NAN;
    bg_error err;
    (void)state;
    memcpy(file.data + ((const char *)t->data - file.data) + 64 * 4 * 5, &nan, 4);
    assert_fails(bg_model_quantize(&q, m, bg_scheme_find("Q8_0"), NULL, NULL, NULL, NULL, &err),
                 BG_ERR_INPUT, "blk.1.ffn_up.weight", &err);
    assert_null(q);
    bg_model_close(&m);
    bg_text_fini(&file);
}

static void samples_follow_the_distribution(void **state)
{
    float logits[100];
    double p[100], sum = 0, chi = 0;
    int counted[100] = {0};
    enum { DRAWS = 50000 };
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 1);
    for (int i = 0; i < 100; i++) logits[i] = (float)(2 * bg_rng_normal(&rng));
    for (int i = 0; i < 100; i++) sum += p[i] = exp((double)logits[i] / 1.5);
    for (int i = 0; i < DRAWS; i++) counted[bg_sample_token(logits, 100, 1.5, &rng)]++;
    for (int i = 0; i < 100; i++) {
        double expected = DRAWS * p[i] / sum;
        chi += (counted[i] - expected) * (counted[i] - expected) / expected;
    }
    assert_true(chi < 160); /* 99 degrees of freedom: mean 99, and 160 is past 1 in 5000 */
    logits[63] = 50;
    assert_int_equal(bg_sample_token(logits, 100, 0, &rng), 63);
    assert_int_equal(bg_sample_token(logits, 100, 0.01, &rng), 63);
    assert_int_equal(bg_sample_token(logits, 1, 1, &rng), 0);
    for (int i = 0; i < 100; i++) logits[i] = i % 2 ? NAN : -INFINITY;
    for (int i = 0; i < 20; i++) {
        int32_t token = bg_sample_token(logits, 100, 1, &rng);
        assert_true(token >= 0 && token < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_numbers), cmocka_unit_test(hostile_names),
        cmocka_unit_test(variants_are_named), cmocka_unit_test(hostile_rope),
        cmocka_unit_test(unknown_formats), cmocka_unit_test(counts),
        cmocka_unit_test(quantizes_in_memory),
        cmocka_unit_test(refuses_weights_that_are_not_numbers),
        cmocka_unit_test(samples_follow_the_distribution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
