/* doc.h: the report as headings, paragraphs, lists, tables and figures. Sections write it once;
 * Markdown and HTML are rendered from it. Internal.
 *
 * All text is plain, but for `backticks` around code; renderers escape it. Running out of memory
 * sets `failed`, and everything after does nothing. */
#ifndef BG_REPORT_DOC_H
#define BG_REPORT_DOC_H

#include "base/base.h"

typedef enum doc_kind {
    DOC_HEADING, DOC_LEAD, DOC_TEXT, DOC_ITEM, DOC_TABLE, DOC_FIGURE
} doc_kind;

typedef struct doc_column { char *title, *unit; bool text; } doc_column; /* text: left-aligned */

typedef struct doc_node {
    doc_kind kind;
    int level;                 /* headings: 1 to 3 */
    char *text;                /* of the node; a table's or figure's caption */
    char *name, *alt;          /* figures: plots/<name>.svg */
    doc_column *columns;
    size_t n_columns;
    char **cells;              /* row-major */
    size_t n_cells;
    bool *marked;              /* rows to be seen first */
    size_t n_rows;
} doc_node;

typedef struct doc {
    doc_node *nodes;
    size_t n, capacity;
    bool failed;
} doc;

#define DOC_PRINTF(at) __attribute__((format(printf, at, at + 1)))

void bg_doc_fini(doc *d);
void bg_doc_heading(doc *d, int level, const char *format, ...) DOC_PRINTF(3);
void bg_doc_lead(doc *d, const char *format, ...) DOC_PRINTF(2);   /* the answer, set apart */
void bg_doc_text(doc *d, const char *format, ...) DOC_PRINTF(2);
void bg_doc_item(doc *d, const char *format, ...) DOC_PRINTF(2);   /* neighbours form a list */
void bg_doc_figure(doc *d, const char *name, const char *alt, const char *caption);
/* A table: its columns, then rows of exactly that many cells. */
void bg_doc_table(doc *d, const char *caption);
void bg_doc_column(doc *d, const char *title, const char *unit, bool text);
void bg_doc_row(doc *d, bool marked);
void bg_doc_cell(doc *d, const char *format, ...) DOC_PRINTF(2);

/* `plots` is the folder of the figures: Markdown links to plots/NAME.svg, HTML takes the SVG in. */
void bg_doc_markdown(const doc *d, bg_text *out);
void bg_doc_html(const doc *d, const char *title, const char *plots, bg_text *out);
/* The SVG file as part of a page: no prolog, its own identifiers, named for readers. */
void bg_svg_inline(const char *svg, const char *name, const char *alt, bg_text *out);
/* Appends s with & < > " ' escaped. */
void bg_html_escape(bg_text *out, const char *s);

#endif
