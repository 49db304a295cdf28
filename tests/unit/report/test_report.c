/* The document, its two renderers, the placing of names, and a report of hostile results. */
#include "test.h"

#include "bitgauge/report.h"
#include "report/doc.h"
#include "report/place.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static doc sample(void)
{
    doc d = {0};
    bg_doc_heading(&d, 2, "A <b> & *c*");
    bg_doc_text(&d, "code `--x_y|z` and file_name_1 and _x_");
    bg_doc_item(&d, "one");
    bg_doc_item(&d, "two");
    bg_doc_table(&d, "Caption");
    bg_doc_column(&d, "Name", "", true);
    bg_doc_column(&d, "Speed", "tokens/s", false);
    bg_doc_row(&d, true);
    bg_doc_cell(&d, "a|b");
    bg_doc_cell(&d, "%d", 5);
    bg_doc_figure(&d, "pic", "A \"picture\"", "What it shows");
    assert_false(d.failed);
    return d;
}

static void renders_markdown(void **state)
{
    doc d = sample();
    bg_text t = {0};
    (void)state;
    bg_doc_markdown(&d, &t);
    assert_string_equal(t.data,
        "## A \\<b\\> & \\*c\\*\n\n"
        "code `--x_y\\|z` and file_name_1 and \\_x\\_\n\n"
        "- one\n- two\n\n"
        "Caption\n\n| Name | Speed (tokens/s) |\n|---|---:|\n| **a\\|b** | **5** |\n\n"
        "![A \"picture\"](plots/pic.svg)\n\nWhat it shows\n");
    bg_text_fini(&t);
    bg_doc_fini(&d);
}

static void renders_html(void **state)
{
    doc d = sample();
    bg_text t = {0};
    (void)state;
    bg_doc_table(&d, "");
    bg_doc_column(&d, "Name", "", true);
    bg_doc_column(&d, "What", "", true);
    bg_doc_row(&d, false);
    bg_doc_cell(&d, "a");
    bg_doc_cell(&d, "short");
    bg_doc_row(&d, false);
    bg_doc_cell(&d, "b");
    bg_doc_cell(&d, "a sentence of more than thirty-two letters");
    bg_doc_html(&d, "T & <script>", "/nonexistent", &t);
    assert_non_null(strstr(t.data, "<title>T &amp; &lt;script&gt;</title>"));
    assert_non_null(strstr(t.data, "<h2>A &lt;b&gt; &amp; *c*</h2>"));
    assert_non_null(strstr(t.data, "<code>--x_y|z</code>"));
    assert_non_null(strstr(t.data, "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"));
    assert_non_null(
        strstr(t.data, "<tr class=\"pick\"><th scope=\"row\" class=\"t\">a|b</th><td>5</td>"));
    assert_non_null(strstr(t.data, "<td class=\"t\">short</td>"));
    assert_non_null(strstr(t.data, "<td class=\"t long\">a sentence of more than"));
    assert_null(strstr(t.data, "<figure>")); /* a drawing that is not there is left out */
    bg_text_fini(&t);
    bg_doc_fini(&d);
}

static void inlines_svg(void **state)
{
    static const char svg[] =
        "<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<svg width=\"8\" height=\"9\" viewBox=\"0 0 8 "
        "9\">"
        "<title>Gnuplot</title><desc>by it</desc><g id=\"a\"><use xlink:href='#b'/>"
        "<path style=\"fill:url(#c)\" width=\"1\"/><text>id=x</text></g></svg>";
    bg_text t = {0};
    (void)state;
    bg_svg_inline(svg, "p", "x < y", &t);
    assert_string_equal(t.data,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" "
        "role=\"img\" aria-labelledby=\"p-title\" viewBox=\"0 0 8 9\">\n"
        "<title id=\"p-title\">x &lt; y</title>"
        "<g id=\"p-a\"><use xlink:href='#p-b'/>"
        "<path style=\"fill:url(#p-c)\" width=\"1\"/><text>id=x</text></g></svg>");
    bg_text_fini(&t);
    bg_svg_inline("not a drawing", "p", "", &t);
    bg_svg_inline("<svg", "p", "", &t);
    assert_int_equal(t.length, 0);
    bg_text_fini(&t);
}

/* Twenty points in a small crowd: every name finds a place of its own inside the frame. */
static void places_names(void **state)
{
    bg_label l[20];
    (void)state;
    for (int i = 0; i < 20; i++)
        l[i] = (bg_label){.x = 200 + 30 * (i % 5) + 3 * i, .y = 150 + 30 * (i / 5), .radius = 7,
                          .width = 45, .height = 13};
    bg_place_labels(l, 20, NULL, 0, 600, 400);
    for (int i = 0; i < 20; i++) {
        assert_true(l[i].text_x > 22 && l[i].text_x < 578 && l[i].text_y > 6 && l[i].text_y < 394);
        for (int j = 0; j < i; j++)
            assert_true(fabs(l[i].text_x - l[j].text_x) >= 44 ||
                        fabs(l[i].text_y - l[j].text_y) >= 12);
    }
}

static void add(bg_results *r, const char *scheme, const char *test, double tps, double kld)
{
    bg_row *row = bg_row_new();
    bg_error err;
    bg_row_set_text(row, BG_COL_SCHEME, scheme);
    bg_row_set_text(row, BG_COL_TEST, test);
    bg_row_set_text(row, BG_COL_STATUS, "ok");
    bg_row_set_number(row, BG_COL_WEIGHT_BYTES, 1e6);
    bg_row_set_number(row, BG_COL_BPW, 4);
    bg_row_set_number(row, BG_COL_TPS, tps);
    bg_row_set_number(row, BG_COL_KLD, kld);
    assert_ok(bg_results_add(r, &row, &err), &err);
}

static char *read_file(const char *dir, const char *name)
{
    char *path = bg_path_join(dir, name), *text;
    bg_error err;
    assert_ok(bg_file_read(&text, NULL, path, 1 << 24, &err), &err);
    bg_free(path);
    return text;
}

static void escapes_what_files_say(void **state)
{
    char dir[] = "/tmp/bitgauge-report-XXXXXX", command[64], *html, *markdown;
    bg_results *r;
    bg_error err;
    bg_report_options o = {.out = dir};
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_ok(bg_results_new(
                  &r, dir, "{\"settings\": {\"model\": {\"name\": \"<script>x</script>\"}}}", &err),
              &err);
    add(r, "<img src=x>", "tg1", 10, .1);
    add(r, "`|'\"; system('id')", "tg1", 20, .2);
    assert_ok(bg_report_write(r, &o, &err), &err);
    html = read_file(dir, "report.html");
    markdown = read_file(dir, "report.md");
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "<img"));
    assert_non_null(strstr(html, "&lt;script&gt;x"));
    assert_null(strstr(markdown, "<script>"));
    bg_free(html);
    bg_free(markdown);
    bg_results_close(&r);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void table_fits(void **state)
{
    bg_results *r;
    bg_error err;
    (void)state;
    assert_ok(bg_results_open(&r, BG_FIXTURES "/results/codelet", &err), &err);
    for (int width = 30; width <= 140; width += 10) {
        char *text, *line, *rest;
        assert_ok(bg_report_table(r, width, &text, &err), &err);
        assert_non_null(strstr(text, "Q5_K_M"));
        for (rest = text; (line = strsep(&rest, "\n"));) {
            size_t n = 0;
            for (const char *p = line; *p; p++) n += ((unsigned char)*p & 0xc0) != 0x80;
            assert_true(n <= (size_t)(width < 40 ? 44 : width));
        }
        bg_free_text(text);
    }
    bg_results_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_markdown),
        cmocka_unit_test(renders_html),
        cmocka_unit_test(inlines_svg),
        cmocka_unit_test(places_names),
        cmocka_unit_test(escapes_what_files_say),
        cmocka_unit_test(table_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
