#include "cli/utf8.h"

/* Bytes of a character by its first one; 0: no character begins so. */
static size_t expected(unsigned char first)
{
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first < 0xe0) return 2;
    if (first >= 0xe0 && first < 0xf0) return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* Whether `next` may follow the n bytes held: continuation bytes, no overlong forms, no surrogates,
 * nothing over U+10FFFF. */
static bool fits(const bg_cli_utf8 *u, unsigned char next)
{
    unsigned char low = 0x80, high = 0xbf;
    if (u->n == 0) return expected(next) > 0;
    if (u->n == 1 && u->held[0] == 0xe0) low = 0xa0;
    if (u->n == 1 && u->held[0] == 0xed) high = 0x9f;
    if (u->n == 1 && u->held[0] == 0xf0) low = 0x90;
    if (u->n == 1 && u->held[0] == 0xf4) high = 0x8f;
    return next >= low && next <= high;
}

static void replace(bg_cli_utf8 *u, bg_text *out)
{
    bg_text_puts(out, "\xef\xbf\xbd");
    u->n = 0;
}

void bg_cli_utf8_add(bg_cli_utf8 *u, const char *bytes, size_t n, bg_text *out)
{
    if (n == 0 && u->n) replace(u, out);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (u->n && !fits(u, c)) replace(u, out);
        if (!fits(u, c)) {
            replace(u, out);
            continue;
        }
        u->held[u->n++] = c;
        if (u->n == expected(u->held[0])) {
            bg_text_append(out, (const char *)u->held, u->n);
            u->n = 0;
        }
    }
}
