/* html.c: the document as one page that needs nothing but itself. */
#include "base/file.h"
#include "report/doc.h"

#include <string.h>

enum { SVG_LIMIT = 8 << 20, LONG_TEXT = 32 };

void bg_html_escape(bg_text *out, const char *s)
{
    for (; *s; s++) {
        switch (*s) {
        case '&': bg_text_puts(out, "&amp;"); break;
        case '<': bg_text_puts(out, "&lt;"); break;
        case '>': bg_text_puts(out, "&gt;"); break;
        case '"': bg_text_puts(out, "&quot;"); break;
        case '\'': bg_text_puts(out, "&#39;"); break;
        default: bg_text_append(out, s, 1);
        }
    }
}

/* Escaped text, with what stands between backticks as code. */
static void put(bg_text *out, const char *s)
{
    char *copy = bg_strdup(s), *rest = copy, *part;
    for (bool code = false; (part = strsep(&rest, "`")); code = !code) {
        bool is_code = code && rest; /* an odd backtick is a backtick */
        if (code && !is_code) bg_text_puts(out, "`");
        bg_text_puts(out, is_code ? "<code>" : "");
        bg_html_escape(out, part);
        bg_text_puts(out, is_code ? "</code>" : "");
    }
    if (!copy) out->failed = true;
    bg_free(copy);
}

static void put_element(bg_text *out, const char *open, const char *s, const char *close)
{
    bg_text_puts(out, open);
    put(out, s);
    bg_text_puts(out, close);
}

/* Text of a sentence gets room. */
static const char *cell_tag(const doc_column *column, size_t c, const char *text)
{
    if (c == 0) return "<th scope=\"row\" class=\"t\">";
    if (!column->text) return "<td>";
    return strlen(text) > LONG_TEXT ? "<td class=\"t long\">" : "<td class=\"t\">";
}

static void put_table(bg_text *out, const doc_node *t)
{
    /* Outside of what scrolls, so that a narrow page does not cut it off. */
    if (t->text[0]) put_element(out, "<p class=\"note\">", t->text, "</p>\n");
    bg_text_puts(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"table\">"
                      "<table>\n");
    bg_text_puts(out, "<thead><tr>");
    for (size_t c = 0; c < t->n_columns; c++) {
        put_element(out,
                    t->columns[c].text ? "<th scope=\"col\" class=\"t\">" : "<th scope=\"col\">",
                    t->columns[c].title, "");
        if (t->columns[c].unit[0]) put_element(out, "<small>", t->columns[c].unit, "</small>");
        bg_text_puts(out, "</th>");
    }
    bg_text_puts(out, "</tr></thead>\n<tbody>\n");
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t c = i % t->n_columns;
        if (c == 0) bg_text_puts(out, t->marked[i / t->n_columns] ? "<tr class=\"pick\">" : "<tr>");
        bg_text_puts(out, cell_tag(&t->columns[c], c, t->cells[i]));
        put(out, t->cells[i]);
        bg_text_puts(out, c == 0 ? "</th>" : "</td>");
        if (c + 1 == t->n_columns) bg_text_puts(out, "</tr>\n");
    }
    bg_text_puts(out, "</tbody></table></div>\n");
}

static void put_figure(bg_text *out, const doc_node *n, const char *plots)
{
    char file[256], *path, *svg = NULL;
    snprintf(file, sizeof file, "%s.svg", n->name);
    path = bg_path_join(plots, file);
    if (path && bg_file_read(&svg, NULL, path, SVG_LIMIT, NULL) == BG_OK) {
        bg_text_puts(out, "<figure><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
                          "aria-label=\"figure\">\n");
        bg_svg_inline(svg, n->name, n->alt, out);
        put_element(out, "</div><figcaption>", n->text, "</figcaption></figure>\n");
    }
    bg_free(svg);
    bg_free(path);
}

static void put_node(bg_text *out, const doc_node *n, const char *plots)
{
    switch (n->kind) {
    case DOC_HEADING:
        bg_text_printf(out, "<h%d>", n->level);
        put(out, n->text);
        bg_text_printf(out, "</h%d>\n", n->level);
        break;
    case DOC_LEAD: put_element(out, "<p class=\"lead\">", n->text, "</p>\n"); break;
    case DOC_TEXT: put_element(out, "<p>", n->text, "</p>\n"); break;
    case DOC_ITEM: put_element(out, "<li>", n->text, "</li>\n"); break;
    case DOC_TABLE: put_table(out, n); break;
    case DOC_FIGURE: put_figure(out, n, plots); break;
    }
}

static void put_style(bg_text *out)
{
    char *path = bg_data_path("templates/report.css"), *css = NULL;
    bg_text_puts(out, "<style>\n");
    if (path && bg_file_read(&css, NULL, path, 1 << 20, NULL) == BG_OK) bg_text_puts(out, css);
    bg_text_puts(out, "</style>\n");
    bg_free(css);
    bg_free(path);
}

void bg_doc_html(const doc *d, const char *title, const char *plots, bg_text *out)
{
    bool list = false;
    bg_text_puts(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    put_element(out, "<title>", title, "</title>\n");
    put_style(out);
    bg_text_puts(out, "</head>\n<body>\n<main>\n");
    for (size_t i = 0; i < d->n; i++) {
        bool item = d->nodes[i].kind == DOC_ITEM;
        if (item != list) bg_text_puts(out, item ? "<ul>\n" : "</ul>\n");
        list = item;
        put_node(out, &d->nodes[i], plots);
    }
    bg_text_puts(out, list ? "</ul>\n</main>\n</body>\n</html>\n" : "</main>\n</body>\n</html>\n");
}
