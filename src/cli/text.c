#include "cli/text.h"

#include <string.h>

#define TEXT_LIMIT ((size_t)500 << 20)

bg_status bg_cli_read_text(const char *path, const bg_model *m, int32_t **tokens, size_t *n,
                           bg_error *err)
{
    char *text;
    size_t bytes;
    bg_status s;
    BG_TRY(bg_file_read(&text, &bytes, path, TEXT_LIMIT, err));
    if (!bytes || memchr(text, 0, bytes))
        s = bg_fail(err, BG_ERR_INPUT, path, "is %s: give a text of some thousand words",
                    bytes ? "no text" : "empty");
    else
        s = bg_tokenize(bg_model_tokenizer(m), text, bytes, true, false, tokens, n, err);
    bg_free(text);
    return s;
}

bg_status bg_cli_get_text(const bg_cli_text *t, const bg_model *m, int32_t **tokens, size_t *n,
                          bg_error *err)
{
    bool self = t->path && strcmp(t->path, "self") == 0;
    const char *path = t->path ? t->path : t->installed;
    bg_self_text_options o = {.n_docs = t->n_docs, .doc_tokens = t->doc_tokens, .temperature = 1,
                              .seed = t->seed, .isa = t->isa, .team = t->team,
                              .progress = bg_cli_show_steps, .user = t->progress};
    bg_status s;
    if (path && !self) {
        BG_TRY(bg_cli_read_text(path, m, tokens, n, err));
        if (*n >= t->fewest) return BG_OK;
        bg_tokens_free(*tokens);
        *tokens = NULL;
        return bg_fail(err, BG_ERR_INPUT, path, "has %zu tokens, but %zu are the fewest that are "
                       "of use: give a longer text", *n, t->fewest);
    }
    bg_cli_progress_end(t->progress);
    *t->progress = (bg_cli_progress){.what = "writing text"};
    s = bg_self_text(m, &o, tokens, n, err);
    bg_cli_progress_end(t->progress);
    return s;
}

bool bg_cli_show_steps(void *user, uint64_t done, uint64_t total)
{
    bg_cli_progress_show(user, (double)done / (double)total);
    return !bg_cli_interrupted();
}
