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

/* The list of reasons is "column,column=reason; column=reason". */
typedef struct entry { const char *names, *equals, *end; } entry;

static bool next_entry(const char **list, entry *e)
{
    if (!*list || !**list) return false;
    e->names = *list;
    e->end = strstr(*list, "; ");
    if (!e->end) e->end = *list + strlen(*list);
    e->equals = memchr(e->names, '=', (size_t)(e->end - e->names));
    if (!e->equals) e->equals = e->end;
    *list = *e->end ? e->end + 2 : e->end;
    return true;
}

static bool entry_names(const entry *e, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = e->names; p < e->equals;) {
        size_t length = strcspn(p, ",=;");
        if (length == n && memcmp(p, name, n) == 0) return true;
        p += length + 1;
    }
    return false;
}

static bool find_absent(const bg_row *r, bg_column column, entry *e)
{
    const char *list = r->text[BG_COL_ABSENT];
    while (next_entry(&list, e))
        if (entry_names(e, bg_column_get(column)->name)) return true;
    return false;
}

bool bg_row_set_absent(bg_row *r, bg_column column, const char *reason)
{
    const char *name = bg_column_get(column)->name, *list = r->text[BG_COL_ABSENT];
    char *clean = bg_strdup(reason);
    bg_text t = {0};
    bool joined = false, done = false;
    entry e;
    if (!clean) return false;
    for (char *p = clean; *p; p++)
        if (*p == ';') *p = ','; /* ";" separates the entries */
    bg_text_clean(clean);
    if (find_absent(r, column, &e)) {
        bg_free(clean);
        return true;
    }
    while (next_entry(&list, &e)) {
        size_t n = strlen(clean), has = (size_t)(e.end - e.equals);
        bg_text_printf(&t, "%s%.*s", t.length ? "; " : "", (int)(e.equals - e.names), e.names);
        if (!joined && has == n + 1 && memcmp(e.equals + 1, clean, n) == 0) {
            bg_text_printf(&t, ",%s", name);
            joined = true;
        }
        bg_text_append(&t, e.equals, has);
    }
    if (!joined) bg_text_printf(&t, "%s%s=%s", t.length ? "; " : "", name, clean);
    if (!t.failed) done = bg_row_set_text(r, BG_COL_ABSENT, t.data);
    bg_text_fini(&t);
    bg_free(clean);
    return done;
}

bool bg_row_absent_reason(const bg_row *r, bg_column column, char *buffer, size_t size)
{
    entry e;
    if (!find_absent(r, column, &e) || e.equals == e.end) return false;
    snprintf(buffer, size, "%.*s", (int)(e.end - e.equals - 1), e.equals + 1);
    return true;
}
