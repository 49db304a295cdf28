/* svg.c: puts a drawing of gnuplot's into a page that holds several. */
#include "report/doc.h"

#include <string.h>

/* Attributes that name an identifier: it gets the drawing's own prefix, since pages share one
 * name space and gnuplot calls its things the same in every drawing. */
static const char *const references[] = {"id=\"", "id='", "href=\"#", "href='#", "url(#", NULL};

static size_t reference_at(const char *p, const char *start)
{
    for (size_t i = 0; references[i]; i++) {
        size_t n = strlen(references[i]);
        bool word = p > start && (p[-1] == ' ' || p[-1] == '\n' || p[-1] == ':' || p[-1] == '(' ||
                                  p[-1] == '"' || p[-1] == '\'');
        if (word && strncmp(p, references[i], n) == 0) return n;
    }
    return 0;
}

static const char *skip_element(const char *p, const char *open, const char *close)
{
    const char *end;
    if (strncmp(p, open, strlen(open)) != 0) return NULL;
    end = strstr(p, close);
    return end ? end + strlen(close) : NULL;
}

/* The svg tag: its size is left to the page, the shape comes from viewBox. */
static const char *put_tag(const char *svg, const char *name, const char *alt, bg_text *out)
{
    const char *end = strchr(svg, '>'), *box = strstr(svg, "viewBox=\""), *box_end;
    if (!end) return NULL;
    box_end = box && box < end ? strchr(box + 9, '"') : NULL;
    bg_text_puts(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" "
                      "xmlns:xlink=\"http://www.w3.org/1999/xlink\" role=\"img\" ");
    bg_text_printf(out, "aria-labelledby=\"%s-title\" ", name);
    if (box_end) bg_text_append(out, box, (size_t)(box_end + 1 - box));
    bg_text_printf(out, ">\n<title id=\"%s-title\">", name);
    bg_html_escape(out, alt);
    bg_text_puts(out, "</title>");
    return end + 1;
}

void bg_svg_inline(const char *svg, const char *name, const char *alt, bg_text *out)
{
    const char *start = strstr(svg, "<svg"), *p = start ? put_tag(start, name, alt, out) : NULL;
    const char *from = p;
    while (p && *p) {
        const char *skip = skip_element(p, "<title>", "</title>");
        size_t n = reference_at(p, start);
        if (!skip) skip = skip_element(p, "<desc>", "</desc>");
        if (!skip && !n) {
            p++;
            continue;
        }
        bg_text_append(out, from, (size_t)((skip ? p : p + n) - from));
        if (!skip) bg_text_printf(out, "%s-", name);
        p = from = skip ? skip : p + n;
    }
    if (p) bg_text_append(out, from, (size_t)(p - from));
}
