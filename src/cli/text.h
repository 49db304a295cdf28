/* text.h: the text that a command works on. Internal. */
#ifndef BG_CLI_TEXT_H
#define BG_CLI_TEXT_H

#include "bitgauge/quality.h"
#include "cli/cli.h"

typedef struct bg_cli_text {
    const char *path;        /* a file; "self": the model writes it; NULL: what came with it */
    char *installed;         /* that, or NULL: the model writes it. Freed by whoever set it */
    size_t n_docs, doc_tokens; /* of what it writes */
    size_t fewest;           /* tokens that a file must have */
    uint64_t seed;
    bg_isa isa;
    bg_team *team;
    bg_cli_progress *progress;
} bg_cli_text;

/* Tokens of a file; bg_tokens_free them. */
bg_status bg_cli_read_text(const char *path, const bg_model *m, int32_t **tokens, size_t *n,
                           bg_error *err);
bg_status bg_cli_get_text(const bg_cli_text *t, const bg_model *m, int32_t **tokens, size_t *n,
                          bg_error *err);

/* For what counts steps: shows them, and stops when the user does. `user`: bg_cli_progress. */
bool bg_cli_show_steps(void *user, uint64_t done, uint64_t total);

#endif
