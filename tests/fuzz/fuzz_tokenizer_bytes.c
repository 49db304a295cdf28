/* The same for byte-level vocabularies, and any bytes cut into words. */
#include "fuzz_tokenizer.h"

#include "model/tokenizer.h"

typedef struct walk { const char *at, *end; } walk;

static bool follow(void *user, const char *word, size_t n)
{
    walk *w = user;
    check(word == w->at && n > 0 && n <= (size_t)(w->end - w->at));
    w->at += n;
    return true;
}

/* Words leave nothing out. The first byte chooses the patterns. */
static void check_words(const char *text, size_t n)
{
    static const char *const names[] = {
        "default", "gpt-2", "smollm", "falcon", "llama-bpe", "qwen2", "qwen35", "minicpm5",
        "seed-coder", "bailingmoe", "gpt-4o", "tekken", "deepseek-coder", "deepseek-v3", "bloom",
    };
    static bg_splitter *splitters[BG_COUNT(names)];
    size_t i = n ? (uint8_t)*text % BG_COUNT(names) : 0;
    walk w = {text, text + n};
    if (!splitters[i])
        check(bg_splitter_open(&splitters[i], bg_pretokenizer_find(names[i], strlen(names[i])),
                               NULL) == BG_OK);
    check(bg_splitter_run(splitters[i], text, n, follow, &w, NULL) == BG_OK && w.at == w.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = BG_SOURCE "/tests/fixtures/tokenizer/smollm2-1000.gguf";
    const bg_tokenizer *t = known_vocabulary(path);
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        try_vocabulary(data, size);
    } else {
        check_round_trip(t, (const char *)data, size, false);
        check_words((const char *)data, size);
    }
    return 0;
}
