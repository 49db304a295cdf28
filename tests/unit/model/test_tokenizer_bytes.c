/* Byte-level vocabularies. Token ids and words are llama.cpp's for the same vocabulary and text;
 * see tests/fixtures/tokenizer/README.md. */
#include "test.h"

#include "model/tokenizer.h"

#include <stdlib.h>

static bg_gguf *gguf;
static bg_tokenizer *smol; /* NULL: built without PCRE2 */
static bg_error err;

static int setup(void **state)
{
    bg_status status;
    (void)state;
    if (bg_gguf_open(&gguf, BG_FIXTURES "/tokenizer/smollm2-1000.gguf", &err) != BG_OK) return -1;
    status = bg_tokenizer_open(&smol, gguf, &err);
    if (status == BG_ERR_UNSUPPORTED && strstr(err.message, "PCRE2")) return 0;
    return status == BG_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    bg_tokenizer_close(&smol);
    bg_gguf_close(&gguf);
    return 0;
}

static void need_pcre2(void)
{
    if (!smol) skip();
}

static void assert_tokens(const char *text, size_t n, bool parse_special, const char *expected)
{
    bg_text got = {0};
    int32_t *tokens;
    size_t count;
    assert_ok(bg_tokenize(smol, text, n, false, parse_special, &tokens, &count, &err), &err);
    bg_text_puts(&got, "");
    for (size_t i = 0; i < count; i++) bg_text_printf(&got, i ? " %d" : "%d", tokens[i]);
    assert_string_equal(got.data, expected);
    bg_text_fini(&got);
    bg_tokens_free(tokens);
}

static void test_token_ids(void **state)
{
    static const struct { const char *text, *tokens; } examples[] = {
        {"",
         ""},
        {"hello world",
         "255 764 95 905"},
        {" the quick  brown   fox\n",
         "260 613 901 216 278 720 94 256 275 95 104 198"},
        {"It's the users' we'LL they're 'tis",
         "57 100 506 260 468 366 23 392 23 60 60 502 23 257 637 100 271"},
        {"x = 1234567 * 0.5e-10;\n",
         "104 446 216 33 34 35 36 37 38 39 216 26 216 32 30 37 85 29 33 32 43 198"},
        {"\tif (a == b) {\n\t\treturn;\n\t}\n\n\n",
         "197 342 365 81 446 45 278 25 216 107 198 197 197 257 100 667 43 198 197 109 1116 "
         "198"},
        {"na\xc3\xafve caf\xc3\xa9 \xc3\xb1 \xc3\x9f \xe2\x85\xa7\xc2\xbd\xc2\xb2",
         "94 81 142 124 307 1020 86 142 119 216 142 126 216 142 249 216 173 223 117 141 138 "
         "141 127"},
        {"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\xae\xe3\x83\x86\xe3\x82\xad\xe3\x82\xb9\xe3\x83\x88"
         " \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4 \xe0\xa4\xb9\xe0\xa4\xbf\xe0\xa4\xa8\xe0\xa5\x8d\xe0\xa4\xa6\xe0\xa5\x80",
         "177 241 115 177 246 122 179 120 248 174 219 123 174 221 224 174 220 251 174 220 134 "
         "174 221 226 216 184 239 246 181 130 251 183 240 129 216 171 114 134 171 114 140 171 "
         "114 118 171 115 231 171 114 116 171 115 218"},
        {"\xf0\x9f\x99\x82\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d"
         "\xf0\x9f\x91\xa7 e\xcc\x81",
         "187 249 243 220 187 249 235 119 321 231 187 249 235 119 321 231 187 249 235 117 297 "
         "151 219"},
        {"a\xc2\xa0" "b\xe2\x80\x83 c\xe3\x80\x80\xe1\xa0\x8e" "d",
         "81 141 250 82 321 221 265 174 218 218 172 250 232 84"},
        {"\xef\xbb\xbf\xe2\x80\x8b\xc2\x85x\x01\x7f",
         "186 136 140 321 229 141 223 104 191 217"},
        {"<|im_start|>user\nhi<|im_end|>",
         "44 108 306 79 302 434 108 46 376 259 198 88 89 44 108 306 79 486 108 46"},
        {"trailing  ",
         "100 317 301 274 256"},
        {"   ",
         "333"},
        {"a\r\n\r\nb",
         "81 201 198 201 198 82"},
        {"http://example.com/?q=1&r=%20#x",
         "88 1231 96 42 31 31 888 332 695 30 824 31 47 97 45 33 22 98 45 21 34 32 19 104"},
        {"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80",
         "189 233 140 140 184 249 140 185 218 218"},
    };
    (void)state;
    need_pcre2();
    for (size_t i = 0; i < BG_COUNT(examples); i++)
        assert_tokens(examples[i].text, strlen(examples[i].text), false, examples[i].tokens);
    assert_tokens("x\0\x01", 3, false, "104 190 191");
}

static void test_special_tokens(void **state)
{
    int32_t *tokens;
    size_t count;
    (void)state;
    need_pcre2();
    assert_tokens("<|im_start|>user\nhi<|im_end|>", 29, true, "1 376 259 198 88 89 2");
    assert_tokens("<|im_start|><|im_end", 20, true, "1 44 108 306 79 486");
    assert_tokens("<|endoftext|>", 13, true, "0");
    /* This model puts nothing in front. */
    assert_int_equal(bg_tokenizer_bos(smol), 1);
    assert_int_equal(bg_tokenizer_eos(smol), 2);
    assert_false(bg_tokenizer_adds_bos(smol));
    assert_ok(bg_tokenize(smol, "", 0, true, true, &tokens, &count, &err), &err);
    assert_int_equal(count, 0);
    bg_tokens_free(tokens);
}

/* ---- words ------------------------------------------------------------------------------- */

static bool add_word(void *user, const char *word, size_t n)
{
    bg_text *t = user;
    if (t->length) bg_text_puts(t, "|");
    bg_text_append(t, word, n);
    return true;
}

static void test_words(void **state)
{
    static const struct { const char *pre, *words; } examples[] = {
#include "../../fixtures/tokenizer/pieces.inc"
    };
    (void)state;
    need_pcre2();
    for (size_t i = 0; i < BG_COUNT(examples); i++) {
        const bg_pretokenizer *p = bg_pretokenizer_find(examples[i].pre, strlen(examples[i].pre));
        bg_text text = {0}, got = {0};
        bg_splitter *s;
        for (const char *c = examples[i].words; *c; c++)
            if (*c != '|') bg_text_append(&text, c, 1);
        assert_non_null(p);
        assert_ok(bg_splitter_open(&s, p, &err), &err);
        assert_ok(bg_splitter_run(s, text.data, text.length, add_word, &got, &err), &err);
        bg_text_append(&got, "", 1);
        assert_string_equal(got.data, examples[i].words);
        bg_splitter_close(&s);
        bg_text_fini(&text);
        bg_text_fini(&got);
    }
    assert_null(bg_pretokenizer_find("llama", 5));
    assert_null(bg_pretokenizer_find("", 0));
    assert_non_null(bg_pretokenizer_find("phi-2", 5));
}

/* ---- any bytes come back ----------------------------------------------------------------- */

static void assert_round_trip(const char *text, size_t n)
{
    int32_t *tokens;
    size_t count, at = 0;
    char piece[64];
    assert_ok(bg_tokenize(smol, text, n, false, false, &tokens, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        size_t length = bg_token_bytes(smol, tokens[i], piece, sizeof piece);
        assert_in_range(length, 1, n - at);
        assert_memory_equal(text + at, piece, length);
        at += length;
    }
    assert_int_equal(at, n);
    bg_tokens_free(tokens);
}

static void test_round_trip(void **state)
{
    static const char *const words[] = {" ", "  ", "\n\t", "return", "\xe2\x96", "\xed\xa0\x80",
                                        "\xf0\x9f\x99\x8a", "<|im_end|>", "1", "\xc3\xa9",
                                        "\xf4\x90\x80\x80", "'s", "\xc0\xaf", "\xe3\x80\x80"};
    char text[800];
    bg_rng rng;
    (void)state;
    need_pcre2();
    bg_rng_seed(&rng, 1);
    for (int round = 0; round < 600; round++) {
        size_t n = 0, items = bg_rng_below(&rng, 100);
        for (size_t i = 0; i < items; i++) {
            const char *word = words[bg_rng_below(&rng, BG_COUNT(words))];
            if (round % 2) text[n++] = (char)bg_rng_below(&rng, 256);
            else memcpy(text + n, word, strlen(word)), n += strlen(word);
        }
        assert_round_trip(text, n);
    }
}

/* No word, however long, may take quadratic time or a deep stack. */
static void test_long_words(void **state)
{
    static const char *const units[] = {"a", " ", "\n", "=", "\xe3\x80\x80", "\xff", "1"};
    size_t n = 600000;
    char *text = malloc(n);
    (void)state;
    need_pcre2();
    for (size_t u = 0; u < BG_COUNT(units); u++) {
        size_t unit = strlen(units[u]);
        for (size_t i = 0; i < n; i++) text[i] = units[u][i % unit];
        assert_round_trip(text, n);
    }
    free(text);
}

/* ---- files that are wrong: a GGUF file written by hand ------------------------------------ */

static void put(bg_text *t, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) bg_text_append(t, &(char){(char)(value >> 8 * i)}, 1);
}

static void put_string(bg_text *t, const char *s)
{
    put(t, strlen(s), 8);
    bg_text_puts(t, s);
}

/* Texts end with NULL. */
static void put_texts(bg_text *t, const char *key, const char *const *texts)
{
    uint64_t n = 0;
    while (texts[n]) n++;
    put_string(t, key);
    put(t, BG_GGUF_ARRAY, 4);
    put(t, BG_GGUF_STRING, 4);
    put(t, n, 8);
    for (uint64_t i = 0; i < n; i++) put_string(t, texts[i]);
}

static bg_status open_made(bg_tokenizer **out, const char *pre, const char *const *merges)
{
    static const char *const tokens[] = {"a", "b", "ab", "\xc4\xa0", "\xc4\xa0" "ab", "abab", NULL};
    bg_text t = {0};
    bg_gguf *g;
    bg_status status;
    bg_text_puts(&t, "GGUF");
    put(&t, 3, 4);
    put(&t, 0, 8);
    put(&t, merges ? 4 : 3, 8);
    put_string(&t, "tokenizer.ggml.model");
    put(&t, BG_GGUF_STRING, 4);
    put_string(&t, "gpt2");
    put_string(&t, "tokenizer.ggml.pre");
    put(&t, BG_GGUF_STRING, 4);
    put_string(&t, pre);
    put_texts(&t, "tokenizer.ggml.tokens", tokens);
    if (merges) put_texts(&t, "tokenizer.ggml.merges", merges);
    assert_ok(bg_gguf_open_memory(&g, t.data, t.length, "made.gguf", &err), &err);
    status = bg_tokenizer_open(out, g, &err);
    bg_gguf_close(&g);
    bg_text_fini(&t);
    return status;
}

/* Merges that are damaged or lead nowhere say nothing; the rest, and whole words, still work. */
static void test_made_vocabularies(void **state)
{
    static const char *const merges[] = {"a b", "", " ", "ab", "a ", " b", "x y", "\xc4\xa0 ab",
                                         "a b", "b \xff", "\xe2\x82\xac a", NULL};
    static const struct { const char *pre; size_t tokens; } cases[] = {
        {"gpt-2", 2}, {"llama-bpe", 1},
    };
    (void)state;
    need_pcre2();
    for (size_t i = 0; i < BG_COUNT(cases); i++) {
        bg_tokenizer *t;
        int32_t *tokens;
        size_t count;
        assert_ok(open_made(&t, cases[i].pre, merges), &err);
        assert_ok(bg_tokenize(t, "abab", 4, false, false, &tokens, &count, &err), &err);
        assert_int_equal(count, cases[i].tokens);
        assert_int_equal(tokens[0], cases[i].tokens == 1 ? 5 : 2);
        bg_tokens_free(tokens);
        assert_ok(bg_tokenize(t, " ab", 3, false, false, &tokens, &count, &err), &err);
        assert_int_equal(count, 1);
        assert_int_equal(tokens[0], 4);
        bg_tokens_free(tokens);
        bg_tokenizer_close(&t);
    }
}

static void test_wrong_vocabularies(void **state)
{
    static const char *const merges[] = {"a b", NULL};
    bg_tokenizer *t;
    (void)state;
    assert_fails(open_made(&t, "no-such", merges), BG_ERR_UNSUPPORTED, "no-such", &err);
    need_pcre2();
    assert_fails(open_made(&t, "gpt-2", NULL), BG_ERR_INPUT, "tokenizer.ggml.merges", &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_ids), cmocka_unit_test(test_special_tokens),
        cmocka_unit_test(test_words), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_words), cmocka_unit_test(test_made_vocabularies),
        cmocka_unit_test(test_wrong_vocabularies),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
