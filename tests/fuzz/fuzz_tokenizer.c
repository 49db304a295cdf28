/* Any bytes as text for the embedded vocabulary must come back from their tokens; a GGUF file as
 * input is a vocabulary that must be refused or usable. */
#include "base/base.h"
#include "base/file.h"
#include "bitgauge/model.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
    if (!condition) abort();
}

/* The tokens' bytes, where U+2581 in the text reads as a space. */
static void check_round_trip(const bg_tokenizer *t, const char *text, size_t n)
{
    int32_t *tokens;
    size_t count, at = 0;
    check(bg_tokenize(t, text, n, false, false, &tokens, &count, NULL) == BG_OK);
    for (size_t i = 0; i < count; i++) {
        char piece[256];
        size_t length = bg_token_bytes(t, tokens[i], piece, sizeof piece);
        for (size_t j = 0; j < length; j++) {
            bool mark = n - at >= 3 && memcmp(text + at, "\xe2\x96\x81", 3) == 0;
            check(at < n && (piece[j] == text[at] || (mark && piece[j] == ' ')));
            at += mark ? 3 : 1;
        }
    }
    check(at == n);
    bg_tokens_free(tokens);
    check(bg_tokenize(t, text, n, true, true, &tokens, &count, NULL) == BG_OK);
    bg_tokens_free(tokens);
}

static void try_vocabulary(const uint8_t *data, size_t size)
{
    static const char text[] = "<s> the quick\tbrown\n\xf0\x9f\x99\x8a\xff <sep>==</s>";
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bg_gguf *embedded_gguf;
    static bg_tokenizer *embedded;
    if (!embedded) {
        check(bg_gguf_open(&embedded_gguf, BG_SOURCE "/bench/models/codelet/codelet-8m-f16.gguf",
                           NULL) == BG_OK);
        check(bg_tokenizer_open(&embedded, embedded_gguf, NULL) == BG_OK);
    }
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) try_vocabulary(data, size);
    else check_round_trip(embedded, (const char *)data, size);
    return 0;
}
