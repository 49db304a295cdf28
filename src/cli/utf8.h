/* utf8.h: tokens end in the middle of characters; this holds back what is not yet whole. */
#ifndef BG_CLI_UTF8_H
#define BG_CLI_UTF8_H

#include "base/base.h"

/* Zero-initialise. */
typedef struct bg_cli_utf8 { unsigned char held[4]; size_t n; } bg_cli_utf8;

/* Appends n bytes' whole characters to `out`; what can be none becomes U+FFFD. n 0 ends the text:
 * what is still held back becomes U+FFFD too. */
void bg_cli_utf8_add(bg_cli_utf8 *u, const char *bytes, size_t n, bg_text *out);

#endif
