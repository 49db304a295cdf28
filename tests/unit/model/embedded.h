/* The embedded model and tokens from the beginning of one of its texts. */
#ifndef BG_TEST_EMBEDDED_H
#define BG_TEST_EMBEDDED_H

#include "base/file.h"
#include "bitgauge/model.h"
#include "test.h"

#define EMBEDDED BG_SOURCE "/bench/models/codelet/"

/* For a group's setup: 0, or -1 after saying what is wrong. */
static inline int embedded_open(bg_model **model, bg_isa *isa, const char *text_name, size_t bytes,
                                int32_t **tokens, size_t *n)
{
    char *text, path[512];
    size_t size;
    bg_error err;
    bg_status s = bg_isa_parse("native", isa, &err);
    snprintf(path, sizeof path, "%s%s", EMBEDDED, text_name);
    if (s == BG_OK) s = bg_model_open(model, EMBEDDED "codelet-8m-f16.gguf", &err);
    if (s == BG_OK) s = bg_file_read(&text, &size, path, 1 << 20, &err);
    if (s == BG_OK) {
        s = bg_tokenize(bg_model_tokenizer(*model), text, BG_MIN(bytes, size), true, false, tokens,
                        n, &err);
        bg_free(text);
    }
    if (s == BG_OK) return 0;
    print_error("%s: %s\n", err.where, err.message);
    return -1;
}

#endif
