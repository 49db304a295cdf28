#include "report/doc.h"

#include <string.h>

static char *format_text(doc *d, const char *format, va_list ap)
{
    char small[512];
    va_list again;
    char *text;
    int n;
    va_copy(again, ap);
    n = vsnprintf(small, sizeof small, format, ap);
    text = n >= 0 ? bg_grow(NULL, (size_t)n + 1, 1) : NULL;
    if (text) vsnprintf(text, (size_t)n + 1, format, again);
    else d->failed = true;
    va_end(again);
    return text;
}

static doc_node *add(doc *d, doc_kind kind)
{
    if (d->failed) return NULL;
    if (d->n == d->capacity) {
        size_t capacity = BG_MAX(32, d->capacity * 2);
        doc_node *nodes = bg_grow(d->nodes, capacity, sizeof *nodes);
        if (!nodes) {
            d->failed = true;
            return NULL;
        }
        d->nodes = nodes;
        d->capacity = capacity;
    }
    memset(&d->nodes[d->n], 0, sizeof *d->nodes);
    d->nodes[d->n].kind = kind;
    return &d->nodes[d->n++];
}

static char *copy(doc *d, const char *s)
{
    char *c = bg_strdup(s ? s : "");
    if (!c) d->failed = true;
    return c;
}

/* A node of one text. */
#define ADD_TEXT(d, kind_, level_, format)              \
    do {                                                \
        doc_node *node_ = add(d, kind_);                \
        va_list ap_;                                    \
        if (!node_) return;                             \
        va_start(ap_, format);                          \
        node_->level = level_;                          \
        node_->text = format_text(d, format, ap_);      \
        va_end(ap_);                                    \
    } while (0)

void bg_doc_heading(doc *d, int level, const char *format, ...)
{
    ADD_TEXT(d, DOC_HEADING, level, format);
}

void bg_doc_lead(doc *d, const char *format, ...) { ADD_TEXT(d, DOC_LEAD, 0, format); }
void bg_doc_text(doc *d, const char *format, ...) { ADD_TEXT(d, DOC_TEXT, 0, format); }
void bg_doc_item(doc *d, const char *format, ...) { ADD_TEXT(d, DOC_ITEM, 0, format); }

void bg_doc_figure(doc *d, const char *name, const char *alt, const char *caption)
{
    doc_node *node = add(d, DOC_FIGURE);
    if (!node) return;
    node->name = copy(d, name);
    node->alt = copy(d, alt);
    node->text = copy(d, caption);
}

void bg_doc_table(doc *d, const char *caption)
{
    doc_node *node = add(d, DOC_TABLE);
    if (node) node->text = copy(d, caption);
}

static doc_node *last_table(doc *d) { return d->failed || !d->n ? NULL : &d->nodes[d->n - 1]; }

void bg_doc_column(doc *d, const char *title, const char *unit, bool text)
{
    doc_node *t = last_table(d);
    doc_column *columns = t ? bg_grow(t->columns, t->n_columns + 1, sizeof *columns) : NULL;
    if (!columns) {
        d->failed = true;
        return;
    }
    t->columns = columns;
    columns[t->n_columns++] = (doc_column){copy(d, title), copy(d, unit), text};
}

void bg_doc_row(doc *d, bool marked)
{
    doc_node *t = last_table(d);
    bool *rows = t ? bg_grow(t->marked, t->n_rows + 1, sizeof *rows) : NULL;
    if (!rows) {
        d->failed = true;
        return;
    }
    t->marked = rows;
    rows[t->n_rows++] = marked;
}

void bg_doc_cell(doc *d, const char *format, ...)
{
    doc_node *t = last_table(d);
    char **cells = t ? bg_grow(t->cells, t->n_cells + 1, sizeof *cells) : NULL;
    va_list ap;
    if (!cells) {
        d->failed = true;
        return;
    }
    t->cells = cells;
    va_start(ap, format);
    cells[t->n_cells] = format_text(d, format, ap);
    va_end(ap);
    t->n_cells++;
}

void bg_doc_fini(doc *d)
{
    for (size_t i = 0; i < d->n; i++) {
        doc_node *node = &d->nodes[i];
        for (size_t c = 0; c < node->n_columns; c++) {
            bg_free(node->columns[c].title);
            bg_free(node->columns[c].unit);
        }
        for (size_t c = 0; c < node->n_cells; c++) bg_free(node->cells[c]);
        bg_free(node->text);
        bg_free(node->name);
        bg_free(node->alt);
        bg_free(node->columns);
        bg_free(node->cells);
        bg_free(node->marked);
    }
    bg_free(d->nodes);
    memset(d, 0, sizeof *d);
}
