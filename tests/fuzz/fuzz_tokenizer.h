/* What the targets of both kinds of tokenizers share. */
#ifndef BG_FUZZ_TOKENIZER_H
#define BG_FUZZ_TOKENIZER_H

#include "base/base.h"
#include "bitgauge/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void check(bool condition)
{
    if (!condition) abort();
}

/* The tokens' bytes are the text's. With `marks`, U+2581 in the text reads as a space. */
static inline void check_round_trip(const bg_tokenizer *t, const char *text, size_t n, bool marks)
{
    int32_t *tokens;
    size_t count, at = 0;
    check(bg_tokenize(t, text, n, false, false, &tokens, &count, NULL) == BG_OK);
    for (size_t i = 0; i < count; i++) {
        char piece[256];
        size_t length = bg_token_bytes(t, tokens[i], piece, sizeof piece);
        check(length <= sizeof piece);
        for (size_t j = 0; j < length; j++) {
            bool mark = marks && n - at >= 3 && memcmp(text + at, "\xe2\x96\x81", 3) == 0;
            check(at < n && (piece[j] == text[at] || (mark && piece[j] == ' ')));
            at += mark ? 3 : 1;
        }
    }
    check(at == n);
    bg_tokens_free(tokens);
    check(bg_tokenize(t, text, n, true, true, &tokens, &count, NULL) == BG_OK);
    bg_tokens_free(tokens);
}

/* A vocabulary must be refused or usable. */
static inline void try_vocabulary(const uint8_t *data, size_t size)
{
    static const char text[] = "<s> the quick\tbrown\n\xf0\x9f\x99\x8a\xff <sep>==</s> abab 12";
    bg_gguf *g;
    bg_tokenizer *t;
    if (bg_gguf_open_memory(&g, data, size, "fuzz", NULL) != BG_OK) return;
    if (bg_tokenizer_open(&t, g, NULL) == BG_OK) {
        int32_t *tokens;
        size_t count;
        check(bg_tokenize(t, text, sizeof text - 1, true, true, &tokens, &count, NULL) == BG_OK);
        for (size_t i = 0; i < count; i++)
            check(tokens[i] >= 0 && (uint32_t)tokens[i] < bg_tokenizer_size(t));
        bg_tokens_free(tokens);
        bg_tokenizer_close(&t);
    }
    bg_gguf_close(&g);
}

/* The vocabulary that text is tried with, opened once. */
static inline const bg_tokenizer *known_vocabulary(const char *path)
{
    static bg_gguf *g;
    static bg_tokenizer *t;
    if (!g) check(bg_gguf_open(&g, path, NULL) == BG_OK);
    if (!t && bg_tokenizer_open(&t, g, NULL) == BG_ERR_UNSUPPORTED) exit(0); /* no PCRE2 */
    check(t != NULL);
    return t;
}

#endif
