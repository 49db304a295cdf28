/* table.c: the summary for a terminal. */
#include "report/report.h"

#include <string.h>

enum { MAX_COLUMNS = 16, GAP = 2 };

/* Columns of a terminal that UTF-8 text takes; every character here is one wide. */
static size_t text_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void put_cell(bg_text *t, const char *s, size_t width, bool left, bool last)
{
    size_t pad = width - BG_MIN(width, text_width(s));
    if (!left) bg_text_printf(t, "%*s", (int)pad, "");
    bg_text_puts(t, s);
    if (last) return;
    bg_text_printf(t, "%*s", (int)((left ? pad : 0) + GAP), "");
}

static void measure(const report *r, size_t *widths)
{
    for (size_t k = 0; k < bg_summary_count; k++) {
        widths[k] = BG_MAX(text_width(bg_summary_columns[k].title),
                           text_width(bg_summary_columns[k].unit));
        for (size_t i = 0; i < r->n_schemes; i++) {
            char cell[64];
            bg_summary_columns[k].print(r, r->schemes[i], cell, sizeof cell);
            widths[k] = BG_MAX(widths[k], text_width(cell));
        }
    }
}

/* Drops the least important columns until the rest fits. */
static void choose(const size_t *widths, size_t limit, bool *shown)
{
    for (size_t k = 0; k < bg_summary_count; k++) shown[k] = true;
    for (;;) {
        size_t total = 0, worst = 0;
        for (size_t k = 0; k < bg_summary_count; k++) {
            if (!shown[k]) continue;
            total += widths[k] + (total ? GAP : 0);
            if (bg_summary_columns[k].keep > bg_summary_columns[worst].keep || !shown[worst])
                worst = k;
        }
        if (total <= limit || bg_summary_columns[worst].keep == 0) return;
        shown[worst] = false;
    }
}

static void put_line(const report *r, const bg_candidate *c, int heading, const size_t *widths,
                     const bool *shown, bg_text *t)
{
    size_t last = 0;
    for (size_t k = 0; k < bg_summary_count; k++)
        if (shown[k]) last = k;
    for (size_t k = 0; k <= last; k++) {
        char cell[64];
        if (!shown[k]) continue;
        if (c) bg_summary_columns[k].print(r, c, cell, sizeof cell);
        else snprintf(cell, sizeof cell, "%s",
                      heading ? bg_summary_columns[k].unit : bg_summary_columns[k].title);
        put_cell(t, cell, widths[k], bg_summary_columns[k].text, k == last);
    }
    while (t->length && t->data[t->length - 1] == ' ') t->data[--t->length] = 0;
    bg_text_puts(t, "\n");
}

/* Below the table, broken into lines. */
static void put_sources(const report *r, size_t width, bg_text *t)
{
    bg_text sources = {0};
    const char *p;
    size_t column = 0;
    bg_report_sources(r, &sources);
    if (sources.length) bg_text_puts(t, "\n");
    for (p = sources.length ? sources.data : ""; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        if (column && column + 1 + n > width) column = 0, bg_text_puts(t, "\n");
        if (column) column++, bg_text_puts(t, " ");
        bg_text_append(t, p, n);
        column += n;
        p += n;
    }
    if (sources.length) bg_text_puts(t, "\n");
    t->failed |= sources.failed;
    bg_text_fini(&sources);
}

bg_status bg_report_table(const bg_results *results, int width, char **text, bg_error *err)
{
    const bg_advise_options plain = {.memory = 0};
    size_t widths[MAX_COLUMNS];
    bool shown[MAX_COLUMNS];
    report r = {.options = NULL};
    bg_text t = {0};
    bg_advice *advice;
    bg_status status = bg_advise(&advice, results, &plain, err);
    *text = NULL;
    if (!advice) return status;
    status = bg_report_prepare(&r, results, advice, err);
    if (status == BG_OK) {
        measure(&r, widths);
        choose(widths, width > 0 ? (size_t)width : 80, shown);
        put_line(&r, NULL, 0, widths, shown, &t);
        put_line(&r, NULL, 1, widths, shown, &t);
        for (size_t i = 0; i < r.n_schemes; i++) put_line(&r, r.schemes[i], 0, widths, shown, &t);
        put_sources(&r, width > 0 ? (size_t)width : 80, &t);
        if (t.failed) status = bg_fail_nomem(err, "the table", t.length);
    }
    bg_report_fini(&r);
    bg_advice_close(&advice);
    if (status == BG_OK) *text = t.data;
    else bg_text_fini(&t);
    return status;
}
