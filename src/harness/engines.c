/* The table of engines. */
#include "harness/harness.h"

#include <string.h>

static const bg_engine *const engines[BG_ENGINES] = {&bg_engine_builtin, &bg_engine_llama};

bg_status bg_engines_parse(const char *list, const bg_engine *out[BG_ENGINES], size_t *n,
                           bg_error *err)
{
    bool wanted[BG_ENGINES] = {false};
    char word[32];
    *n = 0;
    if (!list) list = engines[0]->word;
    while (bg_next_word(&list, word, sizeof word)) {
        size_t i = 0;
        while (i < BG_ENGINES && strcmp(word, engines[i]->word) != 0 &&
               strcmp(word, engines[i]->name) != 0)
            i++;
        if (i == BG_ENGINES)
            return bg_fail(err, BG_ERR_INPUT, "--engine", "'%s' is none of builtin, llama.cpp",
                           word);
        wanted[i] = true;
    }
    for (size_t i = 0; i < BG_ENGINES; i++)
        if (wanted[i]) out[(*n)++] = engines[i];
    return *n ? BG_OK : bg_fail(err, BG_ERR_INPUT, "--engine", "the list is empty");
}
