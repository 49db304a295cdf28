#include "cli/json.h"

#include "bitgauge/counters.h"

#include <string.h>

int bg_cli_print_json(json_t *root)
{
    bool failed = !root || json_dumpf(root, stdout, JSON_INDENT(2)) != 0;
    json_decref(root);
    if (failed) {
        fprintf(stderr,
                "bitgauge: cannot write the JSON: not enough memory, or the disk is full\n");
        return BG_EXIT_MISUSE;
    }
    putchar('\n');
    return BG_EXIT_OK;
}

json_t *bg_cli_json_text(const char *s, size_t n)
{
    json_t *text = json_stringn(s, n);
    char *copy;
    if (text || !(copy = bg_grow(NULL, n, 1))) return text;
    for (size_t i = 0; i < n; i++) copy[i] = (unsigned char)s[i] < 0x80 ? s[i] : '?';
    text = json_stringn(copy, n);
    bg_free(copy);
    return text;
}

json_t *bg_cli_json_peak(void)
{
    uint64_t peak = bg_peak_rss();
    return peak ? json_integer((json_int_t)peak) : json_null();
}
