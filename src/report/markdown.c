/* markdown.c: the document as GitHub-flavoured Markdown. */
#include "report/doc.h"

#include <ctype.h>
#include <string.h>

/* Text with what Markdown would read as markup escaped; code in backticks is left alone. A line
 * break would end a table's row, and is a blank. */
static void put(bg_text *out, const char *s)
{
    bool code = false;
    for (char before = ' '; *s; before = *s++) {
        bool inside_word = isalnum((unsigned char)before) && isalnum((unsigned char)s[1]);
        if (*s == '`') code = !code;
        if (*s == '|' || (!code && strchr("\\*[]<>~#", *s)) || (!code && *s == '_' && !inside_word))
            bg_text_puts(out, "\\");
        bg_text_append(out, *s == '\n' || *s == '\r' ? " " : s, 1);
    }
}

static void put_table(bg_text *out, const doc_node *t)
{
    if (t->text[0]) {
        put(out, t->text);
        bg_text_puts(out, "\n\n");
    }
    for (size_t c = 0; c < t->n_columns; c++) {
        bg_text_puts(out, "| ");
        put(out, t->columns[c].title);
        if (t->columns[c].unit[0]) {
            bg_text_puts(out, " (");
            put(out, t->columns[c].unit);
            bg_text_puts(out, ")");
        }
        bg_text_puts(out, " ");
    }
    bg_text_puts(out, "|\n");
    for (size_t c = 0; c < t->n_columns; c++)
        bg_text_puts(out, t->columns[c].text ? "|---" : "|---:");
    bg_text_puts(out, "|\n");
    for (size_t i = 0; i < t->n_cells; i++) {
        bool strong = t->marked[i / t->n_columns] && t->cells[i][0];
        bg_text_puts(out, strong ? "| **" : "| ");
        put(out, t->cells[i]);
        bg_text_puts(out, strong ? "** " : " ");
        if ((i + 1) % t->n_columns == 0) bg_text_puts(out, "|\n");
    }
}

void bg_doc_markdown(const doc *d, bg_text *out)
{
    for (size_t i = 0; i < d->n; i++) {
        const doc_node *n = &d->nodes[i];
        bool list_goes_on = n->kind == DOC_ITEM && i + 1 < d->n && d->nodes[i + 1].kind == DOC_ITEM;
        switch (n->kind) {
        case DOC_HEADING: bg_text_printf(out, "%.*s ", n->level, "######"); break;
        case DOC_LEAD: bg_text_puts(out, "> **"); break;
        case DOC_ITEM: bg_text_puts(out, "- "); break;
        default: break;
        }
        if (n->kind == DOC_TABLE) {
            put_table(out, n);
        } else if (n->kind == DOC_FIGURE) {
            bg_text_puts(out, "![");
            put(out, n->alt);
            bg_text_printf(out, "](plots/%s.svg)\n\n", n->name);
            put(out, n->text);
        } else {
            put(out, n->text);
        }
        if (n->kind == DOC_LEAD) bg_text_puts(out, "**");
        bg_text_puts(out, n->kind == DOC_TABLE || list_goes_on ? "\n" : "\n\n");
    }
    /* One line end at the end. */
    while (out->length > 1 && out->data[out->length - 2] == '\n') out->data[--out->length] = 0;
}
