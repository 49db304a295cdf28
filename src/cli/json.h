/* json.h: answers for machines. Internal. */
#ifndef BG_CLI_JSON_H
#define BG_CLI_JSON_H

#include "cli/cli.h"

#include <jansson.h>

/* Prints the value on standard output, indented, keys in their order, and drops it. Returns the
 * exit status: 0, or misuse with a message when there was no memory for it (NULL or not whole). */
int bg_cli_print_json(json_t *root);

/* A string of any bytes: what is no UTF-8 becomes '?'. */
json_t *bg_cli_json_text(const char *s, size_t n);

/* This process's peak RSS so far, bytes; null: unknown. */
json_t *bg_cli_json_peak(void);

#endif
