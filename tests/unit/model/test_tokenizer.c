/* Scored vocabularies. The token ids of the embedded one come from the sentencepiece library (0.2)
 * and are llama.cpp's too; where they differ (spaces around user-defined tokens), llama.cpp's are
 * the truth. Ids of invalid UTF-8 come from the definition: byte b is token 3 + b of the embedded
 * model. */
#include "test.h"

#include "base/base.h"
#include "base/file.h"
#include "bitgauge/model.h"

#include <stdlib.h>

#define EMBEDDED BG_SOURCE "/bench/models/codelet/"

/* small: user-defined pieces, space prefix, no bytes. runs: user-defined runs of white space,
 * special tokens that strip, bytes. */
static bg_gguf *embedded_gguf, *small_gguf, *runs_gguf;
static bg_tokenizer *embedded, *small, *runs;
static bg_error err;

static int setup(void **state)
{
    (void)state;
    if (bg_gguf_open(&embedded_gguf, EMBEDDED "codelet-8m-f16.gguf", &err) != BG_OK ||
        bg_tokenizer_open(&embedded, embedded_gguf, &err) != BG_OK ||
        bg_gguf_open(&small_gguf, BG_FIXTURES "/tokenizer/user-defined.gguf", &err) != BG_OK ||
        bg_tokenizer_open(&small, small_gguf, &err) != BG_OK ||
        bg_gguf_open(&runs_gguf, BG_FIXTURES "/tokenizer/runs.gguf", &err) != BG_OK ||
        bg_tokenizer_open(&runs, runs_gguf, &err) != BG_OK) {
        print_error("%s: %s\n", err.where, err.message);
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bg_tokenizer_close(&embedded);
    bg_tokenizer_close(&small);
    bg_tokenizer_close(&runs);
    bg_gguf_close(&embedded_gguf);
    bg_gguf_close(&small_gguf);
    bg_gguf_close(&runs_gguf);
    return 0;
}

/* Token ids as text: "1 2 3". */
static void assert_tokens(const bg_tokenizer *t, const char *text, size_t n, bool add_special,
                          bool parse_special, const char *expected)
{
    bg_text got = {0};
    int32_t *tokens;
    size_t count;
    assert_ok(bg_tokenize(t, text, n, add_special, parse_special, &tokens, &count, &err), &err);
    bg_text_puts(&got, "");
    for (size_t i = 0; i < count; i++) bg_text_printf(&got, i ? " %d" : "%d", tokens[i]);
    assert_string_equal(got.data, expected);
    bg_text_fini(&got);
    bg_tokens_free(tokens);
}

typedef struct example { const char *text, *tokens; } example;

static void test_embedded_vocabulary(void **state)
{
    static const example examples[] = {
        {"", ""},
        {"hello world", "3021 316 2935"},
        {" a", "274"},
        {"a  b   c    d", "3779 259 3798 259 283 260 3784"},
        {"        return err\n", "261 365 379 13"},
        {"\tif x != nil {\n\t\treturn nil\n\t}\n",
         "12 307 535 478 454 275 13 12 12 365 454 13 12 3803 13"},
        {"0123456789 3.14159e-10",
         "3812 3813 3823 3836 3838 3851 3839 3857 3846 3856 3773 3836 3788 3813 3838 3813 3851 "
         "3856 3774 3815 3813 3812"},
        {"fn main() -> Result<(), Box<dyn Error>> {",
         "447 1285 287 426 1977 3831 548 1784 3831 1919 2386 681 275"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "3058 3058 3058 3058 3779"},
        {"na\xc3\xafve caf\xc3\xa9 \xce\xb1\xce\xb2\xce\xb3 \xe4\xbd\xa0\xe5\xa5\xbd",
         "3778 3779 3947 391 1509 3785 3872 3773 3892 3921 209 182 3773 231 192 163 232 168 192"},
        {"\xf0\x9f\x98\x80\xf0\x9f\x99\x8a\xf0\x9f\xa7\x80", "243 162 155 131 4094 4095"},
        {"e\xcc\x81 \xef\xbb\xbf\xe2\x80\x8b\xc2\xa0",
         "3774 207 132 3773 4081 229 131 142 3927"},
        {"<s> </s> <unk> <0x41>",
         "3831 3777 3820 537 3793 3777 3820 537 1268 3820 537 3812 3802 3838 3813 3820"},
        {"\xe2\x96\x81under\xe2\x96\x81 \xe2\x96\x81", "2388 3033"},
        {"\x0d\n\x0d\n\x7f", "16 13 16 13 130"},
        {"==========", "1660 650"},
        {"\"quoted \\\"string\\\"\"", "3800 432 2975 1602 3800 598 3850 524"},
        {"self.assertEqual(len(self.items), 0)  # comment\n",
         "291 3788 692 3790 467 3790 291 3788 1988 358 3773 3812 3789 259 3834 2057 13"},
        {"unsafe{ptr::copy_nonoverlapping(a,b,n)}",
         "1003 3804 742 292 1877 3794 1632 2340 3782 2044 3790 3779 3792 3798 3792 3778 3789 "
         "3803"},
        {"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80",
         "247 146 194 194 240 162 194 241 131 131"},
        {"__init__ __name__ == '__main__':", "483 844 483 961 429 483 451 3349 1269 483 1074"},
    };
    (void)state;
    assert_int_equal(bg_tokenizer_size(embedded), 4096);
    assert_int_equal(bg_tokenizer_bos(embedded), 1);
    assert_int_equal(bg_tokenizer_eos(embedded), 2);
    assert_true(bg_tokenizer_adds_bos(embedded));
    for (size_t i = 0; i < BG_COUNT(examples); i++)
        assert_tokens(embedded, examples[i].text, strlen(examples[i].text), false, false,
                      examples[i].tokens);
}

static void test_small_vocabulary(void **state)
{
    static const example examples[] = {
        {"", ""},
        {"hello", "164 25 174 47"},
        {"a<sep>b", "16 3 37"},
        {"<sep>s<sep>", "4 3"}, /* "<sep>s" is longer than "<sep>" */
        {"x====y", "164 197 5 5 164 191"},
        {"a === b", "16 164 5 17 37"},
        {" <sep>", "164 164 3"},
        {"\xe2\x98\x83x", "164 0 197"}, /* no byte tokens: unknown */
        {"<s>a</s>", "164 227 169 218 170 227 182 169 218"},
        {"if (a == b) return <sep>s;", "27 180 83 170 164 5 164 37 184 65 125 164 4 164 209"},
        {"\xe4\xbd\xa0", "164 0"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(examples); i++)
        assert_tokens(small, examples[i].text, strlen(examples[i].text), false, false,
                      examples[i].tokens);
}

/* The longest special token first, wherever it stands; white space after some goes with them. */
static void test_cutting(void **state)
{
    static const struct { const char *text; bool add, parse; const char *tokens; } examples[] = {
        {"the   and  the    on       \n", false, false,
         "288 264 295 263 288 264 291 265"},
        {"\n\n\n\n\n\n\n\n\na", false, false,
         "269 276"},
        {"           t", false, false,
         "265 275"},
        {"abcd abab bcdab", false, false,
         "276 271 270 270 271 270"},
        {"\xe6\x97\xa5\xe6\x9c\xac \xc3\xa9 the\xe2\x96\x81\xe2\x96\x81the \xc3\xbc", false, false,
         "297 273 284 289 273 289 273 202 195"},
        {"</s> <|tool|>  the<|end|>", false, false,
         "67 54 122 69 273 6 288 272 274 278 281 131 69"},
        {"<|user|>\n the<|end|> \t\nthe</s>  a<|tool|>  <s> <unk> <|endoftext|> ", false, true,
         "5 288 4 288 2 276 6 1 273 0 273 3 273"},
        {"the", true, false,
         "1 288 2"},
    };
    (void)state;
    for (size_t i = 0; i < BG_COUNT(examples); i++)
        assert_tokens(runs, examples[i].text, strlen(examples[i].text), examples[i].add,
                      examples[i].parse, examples[i].tokens);
}

static void test_special_tokens(void **state)
{
    (void)state;
    assert_tokens(embedded, "hello world", 11, true, false, "1 3021 316 2935");
    assert_tokens(embedded, "<s>hello world</s>", 18, false, true, "1 3021 316 2935 2");
    assert_tokens(embedded, "<s></s><s", 9, true, true, "1 1 2 3831 3777");
    assert_tokens(embedded, "", 0, true, false, "1");
    /* Text after a special token gets the space prefix again. */
    assert_tokens(small, "<s>a<s>a<sep>b</s>", 18, false, true, "1 16 1 16 3 37 2");
    assert_tokens(small, "<unk>a", 6, false, true, "0 16");
}

static void test_invalid_utf8_goes_by_bytes(void **state)
{
    (void)state;
    assert_tokens(embedded, "\xff\xfe", 2, false, false, "258 257");
    assert_tokens(embedded, "\xe4\xbd", 2, false, false, "231 192");             /* cut short */
    assert_tokens(embedded, "\xc0\xaf", 2, false, false, "195 178");             /* overlong */
    assert_tokens(embedded, "\xed\xa0\x80", 3, false, false, "240 163 131");     /* surrogate */
    assert_tokens(embedded, "\xf4\x90\x80\x80", 4, false, false, "247 147 131 131");
    assert_tokens(embedded, "\0a\0", 3, false, false, "3 3779 3");
    assert_tokens(embedded, "\xe4return\x80", 8, false, false, "231 365 131");
}

static void test_whole_text(void **state)
{
    char *text;
    int32_t *tokens;
    size_t n, count;
    uint64_t h = BG_HASH_INIT;
    (void)state;
    assert_ok(bg_file_read(&text, &n, EMBEDDED "codelet-eval.txt", 1 << 20, &err), &err);
    assert_ok(bg_tokenize(embedded, text, n, true, false, &tokens, &count, &err), &err);
    assert_int_equal(count, 166343);
    assert_int_equal(count / 512, 324);
    for (size_t i = 0; i < count; i++)
        for (int byte = 0; byte < 32; byte += 8)
            h = bg_hash(h, &(uint8_t){(uint8_t)((uint32_t)tokens[i] >> byte)}, 1);
    assert_true(h == 0xa4aa87f0abc1e3e2u);
    bg_tokens_free(tokens);
    bg_free(text);
}

/* What the tokens say, against the text. A literal U+2581 comes back as the space it stands for. */
static void assert_round_trip(const bg_tokenizer *t, const char *text, size_t n)
{
    bg_text got = {0}, want = {0};
    int32_t *tokens;
    size_t count;
    char piece[256];
    for (size_t i = 0; i < n; i++) {
        bool mark = n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        bg_text_append(&want, mark ? " " : text + i, 1);
        if (mark) i += 2;
    }
    assert_ok(bg_tokenize(t, text, n, true, false, &tokens, &count, &err), &err);
    for (size_t i = 0; i < count; i++)
        bg_text_append(&got, piece, bg_token_bytes(t, tokens[i], piece, sizeof piece));
    assert_int_equal(got.length, want.length);
    if (n) assert_memory_equal(got.data, want.data, want.length);
    bg_text_fini(&got);
    bg_text_fini(&want);
    bg_tokens_free(tokens);
}

/* The vocabulary with runs of white space, under a name that strips none of it. */
static bg_tokenizer *open_without_strips(char **data, bg_gguf **g)
{
    bg_tokenizer *t;
    char *name;
    size_t n;
    assert_ok(bg_file_read(data, &n, BG_FIXTURES "/tokenizer/runs.gguf", 1u << 20, &err), &err);
    name = memmem(*data, n, "Phi-3", 5);
    assert_non_null(name);
    memcpy(name, "Other", 5);
    assert_ok(bg_gguf_open_memory(g, *data, n, "other.gguf", &err), &err);
    assert_ok(bg_tokenizer_open(&t, *g, &err), &err);
    return t;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) return out[0] = (char)c, 1;
    if (c < 0x800) return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 63)), 2;
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 63));
        out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63));
    out[3] = (char)(0x80 | (c & 63));
    return 4;
}

static void test_round_trip(void **state)
{
    static const char *const words[] = {" ", "  ", "\n\t", "return", "\xe2\x96\x81", "\xe2\x96",
                                        "\xf0\x9f\x99\x8a", "<s>", "<0x0A>", "\xc3\xa9",
                                        "\n\n\n", "<|tool|>", "</s>", "abcd"};
    char text[800], *data;
    bg_gguf *g;
    bg_tokenizer *kept = open_without_strips(&data, &g);
    bg_rng rng;
    (void)state;
    bg_rng_seed(&rng, 1);
    for (int round = 0; round < 600; round++) {
        size_t n = 0, items = bg_rng_below(&rng, 100);
        for (size_t i = 0; i < items; i++) {
            const char *word = words[bg_rng_below(&rng, BG_COUNT(words))];
            switch (round % 3) {
            case 0: text[n++] = (char)bg_rng_below(&rng, 256); break;
            case 1: n += put_utf8(text + n, (uint32_t)bg_rng_below(&rng, 0xd800)); break;
            default: memcpy(text + n, word, strlen(word)); n += strlen(word);
            }
        }
        assert_round_trip(embedded, text, n);
        assert_round_trip(kept, text, n);
    }
    bg_tokenizer_close(&kept);
    bg_gguf_close(&g);
    bg_free(data);
}

/* No run of the text, however long, may take quadratic time. */
static void test_long_run(void **state)
{
    size_t n = 2000000, count;
    char *text = malloc(n);
    int32_t *tokens;
    (void)state;
    memset(text, 'a', n);
    assert_ok(bg_tokenize(embedded, text, n, false, false, &tokens, &count, &err), &err);
    assert_int_equal(count, n / 8); /* "aaaaaaaa" is the longest such piece */
    assert_int_equal(tokens[0], 3058);
    bg_tokens_free(tokens);
    free(text);
}

static void test_token_bytes(void **state)
{
    char b[16] = "..........";
    (void)state;
    assert_int_equal(bg_token_bytes(embedded, 1, b, sizeof b), 0);      /* <s> */
    assert_int_equal(bg_token_bytes(embedded, 0, b, sizeof b), 0);      /* <unk> */
    assert_int_equal(bg_token_bytes(embedded, 13, b, sizeof b), 1);     /* <0x0A> */
    assert_int_equal(b[0], '\n');
    assert_int_equal(bg_token_bytes(embedded, 2388, b, 4), 6);          /* " under" */
    assert_memory_equal(b, " und.", 5);
    assert_int_equal(bg_token_bytes(embedded, -1, b, sizeof b), 0);
    assert_int_equal(bg_token_bytes(embedded, 4096, b, sizeof b), 0);
    assert_int_equal(bg_token_bytes(small, 3, b, sizeof b), 5);         /* <sep> */
}

/* ---- damaged vocabularies: a GGUF file written by hand ------------------------------------ */

static void put(bg_text *t, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) bg_text_append(t, &(char){(char)(value >> 8 * i)}, 1);
}

static void put_string(bg_text *t, const char *s)
{
    put(t, strlen(s), 8);
    bg_text_puts(t, s);
}

/* What to spoil in a vocabulary of <unk>, <s>, "a". */
typedef struct spoil {
    const char *model;
    uint32_t n_scores, n_types, type, score_bits;
    uint32_t bos;
    const char *piece;
} spoil;

static const spoil sound = {"llama", 3, 3, 1, 0, 1, "a"};

static bg_status open_spoilt(const spoil *s)
{
    bg_text t = {0};
    bg_gguf *g;
    bg_tokenizer *tokenizer = NULL;
    bg_status status;
    bg_text_puts(&t, "GGUF");
    put(&t, 3, 4);
    put(&t, 0, 8);
    put(&t, 5, 8);
    put_string(&t, "tokenizer.ggml.model");
    put(&t, BG_GGUF_STRING, 4);
    put_string(&t, s->model);
    put_string(&t, "tokenizer.ggml.tokens");
    put(&t, BG_GGUF_ARRAY, 4);
    put(&t, BG_GGUF_STRING, 4);
    put(&t, 3, 8);
    put_string(&t, "<unk>");
    put_string(&t, "<s>");
    put_string(&t, s->piece);
    put_string(&t, "tokenizer.ggml.scores");
    put(&t, BG_GGUF_ARRAY, 4);
    put(&t, BG_GGUF_F32, 4);
    put(&t, s->n_scores, 8);
    for (uint32_t i = 0; i < s->n_scores; i++) put(&t, s->score_bits, 4);
    put_string(&t, "tokenizer.ggml.token_type");
    put(&t, BG_GGUF_ARRAY, 4);
    put(&t, BG_GGUF_I32, 4);
    put(&t, s->n_types, 8);
    for (uint32_t i = 0; i < s->n_types; i++) put(&t, i == 0 ? 2 : i == 1 ? 3 : s->type, 4);
    put_string(&t, "tokenizer.ggml.bos_token_id");
    put(&t, BG_GGUF_U32, 4);
    put(&t, s->bos, 4);
    assert_ok(bg_gguf_open_memory(&g, t.data, t.length, "spoilt.gguf", &err), &err);
    status = bg_tokenizer_open(&tokenizer, g, &err);
    assert_true((status == BG_OK) == (tokenizer != NULL));
    bg_tokenizer_close(&tokenizer);
    bg_gguf_close(&g);
    bg_text_fini(&t);
    return status;
}

static void test_damaged_vocabulary(void **state)
{
    spoil s = sound;
    (void)state;
    assert_ok(open_spoilt(&s), &err);
    s.model = "bert";
    assert_fails(open_spoilt(&s), BG_ERR_UNSUPPORTED, "bert", &err);
    s = sound;
    s.n_scores = 2;
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "do not fit together", &err);
    s = sound;
    s.n_types = 4;
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "do not fit together", &err);
    s = sound;
    s.type = 7;
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "token 2 has a bad score or type", &err);
    s = sound;
    s.score_bits = 0x7fc00000; /* NaN */
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "token 0 has a bad score or type", &err);
    s = sound;
    s.type = 6;
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "not of the form <0x0A>", &err);
    s.piece = "<0x4g>";
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "not of the form <0x0A>", &err);
    s.piece = "<0x41>";
    assert_ok(open_spoilt(&s), &err);
    s = sound;
    s.bos = 3;
    assert_fails(open_spoilt(&s), BG_ERR_INPUT, "there are 3 tokens", &err);
    s = sound;
    s.piece = "";
    assert_ok(open_spoilt(&s), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_embedded_vocabulary), cmocka_unit_test(test_small_vocabulary),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_special_tokens), cmocka_unit_test(test_invalid_utf8_goes_by_bytes),
        cmocka_unit_test(test_whole_text), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_long_run), cmocka_unit_test(test_token_bytes),
        cmocka_unit_test(test_damaged_vocabulary),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
