#include "results/store.h"

#include <assert.h>
#include <math.h>
#include <string.h>

bg_row *bg_row_new(void)
{
    bg_row *r = bg_alloc(1, sizeof *r);
    for (int c = 0; r && c < BG_COL_COUNT; c++) r->number[c] = NAN;
    return r;
}

void bg_row_free(bg_row **row)
{
    bg_row *r = row ? *row : NULL;
    if (!r) return;
    for (int c = 0; c < BG_COL_COUNT; c++) bg_free(r->text[c]);
    bg_free(r);
    *row = NULL;
}

/* Length of the UTF-8 sequence at s (Unicode 15, table 3-7); 0 when it is none. */
static size_t utf8_length(const unsigned char *s)
{
    static const struct { unsigned char first, last, low, high; size_t more; } forms[] = {
        {0x20, 0x7e, 0, 0, 0},       {'\t', '\n', 0, 0, 0},       {0xc2, 0xdf, 0x80, 0xbf, 1},
        {0xe0, 0xe0, 0xa0, 0xbf, 2}, {0xe1, 0xec, 0x80, 0xbf, 2}, {0xed, 0xed, 0x80, 0x9f, 2},
        {0xee, 0xef, 0x80, 0xbf, 2}, {0xf0, 0xf0, 0x90, 0xbf, 3}, {0xf1, 0xf3, 0x80, 0xbf, 3},
        {0xf4, 0xf4, 0x80, 0x8f, 3},
    };
    for (size_t i = 0; i < BG_COUNT(forms); i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last) continue;
        if (forms[i].more >= 1 && (s[1] < forms[i].low || s[1] > forms[i].high)) return 0;
        for (size_t k = 2; k <= forms[i].more; k++)
            if (s[k] < 0x80 || s[k] > 0xbf) return 0;
        return forms[i].more + 1;
    }
    return 0;
}

void bg_text_clean(char *text)
{
    while (*text) {
        size_t n = utf8_length((const unsigned char *)text);
        if (n == 0) *text = '?';
        text += n ? n : 1;
    }
}

bool bg_row_set_text(bg_row *r, bg_column c, const char *text)
{
    char *copy;
    assert(bg_column_get(c)->type == BG_TYPE_TEXT);
    if (!text || !*text) {
        bg_row_clear(r, c);
        return true;
    }
    copy = bg_strdup(text);
    if (!copy) return false;
    bg_text_clean(copy);
    bg_free(r->text[c]);
    r->text[c] = copy;
    return true;
}

void bg_row_set_number(bg_row *r, bg_column c, double value)
{
    assert(bg_column_get(c)->type != BG_TYPE_TEXT);
    if (!isfinite(value)) value = NAN;
    r->number[c] = bg_column_get(c)->type == BG_TYPE_INT ? round(value) : value;
}

void bg_row_clear(bg_row *r, bg_column c)
{
    bg_free(r->text[c]);
    r->text[c] = NULL;
    r->number[c] = NAN;
}

const char *bg_row_text(const bg_row *r, bg_column c) { return r->text[c]; }
double bg_row_number(const bg_row *r, bg_column c) { return r->number[c]; }
bool bg_row_has(const bg_row *r, bg_column c) { return r->text[c] || !isnan(r->number[c]); }

/* The text after "column=" in the list of reasons, or NULL. */
static const char *find_absent(const bg_row *r, bg_column column)
{
    const char *name = bg_column_get(column)->name, *p = r->text[BG_COL_ABSENT];
    size_t n = strlen(name);
    while (p) {
        if (strncmp(p, name, n) == 0 && p[n] == '=') return p + n + 1;
        p = strstr(p, "; ");
        if (p) p += 2;
    }
    return NULL;
}

bool bg_row_set_absent(bg_row *r, bg_column column, const char *reason)
{
    const char *old = r->text[BG_COL_ABSENT];
    bg_text t = {0};
    bool done = false;
    size_t start;
    if (find_absent(r, column)) return true;
    if (old) bg_text_printf(&t, "%s; ", old);
    bg_text_printf(&t, "%s=", bg_column_get(column)->name);
    start = t.length;
    bg_text_puts(&t, reason);
    if (!t.failed) {
        for (char *p = t.data + start; *p; p++)
            if (*p == ';') *p = ','; /* ";" separates the entries */
        done = bg_row_set_text(r, BG_COL_ABSENT, t.data);
    }
    bg_text_fini(&t);
    return done;
}

bool bg_row_absent_reason(const bg_row *r, bg_column column, char *buffer, size_t size)
{
    const char *reason = find_absent(r, column), *end;
    if (!reason) return false;
    end = strstr(reason, "; ");
    snprintf(buffer, size, "%.*s", end ? (int)(end - reason) : (int)strlen(reason), reason);
    return true;
}
