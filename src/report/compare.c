/* Results folders side by side: opened, drawn, and written as one page. */
#include "report/compare.h"

#include "base/file.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>

/* The folder's last part; with what comes before it when another folder has the same. */
static void name_sides(cmp *c)
{
    char *paths[BG_REPORT_SIDES];
    for (size_t s = 0; s < c->n; s++) {
        const char *dir = bg_results_dir(c->sides[s].results);
        paths[s] = realpath(dir, NULL);
        if (!paths[s]) paths[s] = strdup(dir);
    }
    for (size_t s = 0; s < c->n; s++) {
        const char *path = paths[s] ? paths[s] : "folder";
        const char *last = strrchr(path, '/'), *from = last && last[1] ? last + 1 : path;
        size_t same = 0;
        for (size_t k = 0; k < c->n && last; k++) {
            const char *other = paths[k] ? strrchr(paths[k], '/') : NULL;
            same += other && strcmp(other, last) == 0;
        }
        if (same > 1)
            for (from = last; from > path && from[-1] != '/';) from--;
        snprintf(c->sides[s].name, sizeof c->sides[s].name, "%s", from);
    }
    for (size_t s = 1; s < c->n; s++)
        for (size_t k = 0; k < s; k++)
            if (strcmp(c->sides[s].name, c->sides[k].name) == 0)
                snprintf(c->sides[s].name, sizeof c->sides[s].name, "%.50s (%zu)",
                         c->sides[k].name, s + 1);
    for (size_t s = 0; s < c->n; s++) free(paths[s]);
}

/* A folder with several engines stands for its first: the page of the folder compares them. */
static const char *take_engine(cmp_side *side)
{
    const bg_row *row = bg_results_row_count(side->results) ? bg_results_row(side->results, 0)
                                                            : NULL;
    const char *engine = row ? bg_row_text(row, BG_COL_ENGINE) : NULL;
    const char *version = row ? bg_row_text(row, BG_COL_ENGINE_VER) : NULL;
    if (!engine) return NULL;
    snprintf(side->origin.engine, sizeof side->origin.engine, "%s", engine);
    if (version) snprintf(side->origin.version, sizeof side->origin.version, "%s", version);
    return engine;
}

static bg_status open_sides(cmp *c, bg_error *err)
{
    bg_advise_options plain = {.memory = 0};
    for (size_t s = 0; s < c->n; s++) {
        cmp_side *side = &c->sides[s];
        const char *machine = bg_results_machine(side->results);
        bg_status status;
        BG_TRY(bg_results_origin(side->results, &side->origin, err));
        plain.engine = take_engine(side);
        side->machine = machine ? json_loads(machine, 0, NULL) : NULL;
        status = bg_advise(&side->advice, side->results, &plain, err);
        if (!side->advice && status != BG_ERR_INPUT) return status; /* nothing to advise on */
    }
    name_sides(c);
    return bg_cmp_prepare(c, err);
}

static void put_page(const cmp *c, doc *d)
{
    bg_text title = {0};
    for (size_t s = 0; s < c->n; s++)
        bg_text_printf(&title, "%s%s", s == 0 ? "" : s + 1 == c->n ? " and " : ", ",
                       c->sides[s].name);
    if (title.data) bg_doc_heading(d, 1, "%s compared", title.data);
    d->failed |= title.failed;
    bg_text_fini(&title);
    bg_cmp_conclude(c, d);
    bg_cmp_figures(c, d);
    bg_cmp_put_speeds(c, d);
    bg_cmp_put_machines(c, d);
    bg_cmp_put_roofs(c, d);
}

static bg_status write_page(const doc *d, const char *dir, const char *plots,
                            const bg_text *markdown, bg_error *err)
{
    char *md = bg_path_join(dir, "compare.md"), *page = bg_path_join(dir, "compare.html");
    bg_text html = {0};
    bg_status status = BG_OK;
    bg_doc_html(d, d->nodes[0].text, plots, &html);
    if (!md || !page || html.failed) status = bg_fail_nomem(err, "the comparison", html.length);
    if (status == BG_OK) status = bg_file_write(page, html.data, html.length, err);
    if (status == BG_OK) status = bg_file_write(md, markdown->data, markdown->length, err);
    bg_text_fini(&html);
    bg_free(md);
    bg_free(page);
    return status;
}

/* Draws when there is a folder to draw into, then renders. */
static bg_status render(cmp *c, const char *out, bg_text *markdown, bg_error *err)
{
    char *plots = out ? bg_path_join(out, "plots") : NULL;
    doc d = {0};
    bg_status status = BG_OK;
    if (out && !plots) status = bg_fail_nomem(err, "the comparison", strlen(out));
    if (status == BG_OK && out) status = bg_dir_create(plots, err);
    if (status == BG_OK && out) status = bg_cmp_draw(c, plots, err);
    if (status == BG_OK) {
        put_page(c, &d);
        if (!d.failed) bg_doc_markdown(&d, markdown);
        if (d.failed || markdown->failed)
            status = bg_fail_nomem(err, "the comparison", d.n * sizeof *d.nodes);
    }
    if (status == BG_OK && out) status = write_page(&d, out, plots, markdown, err);
    bg_doc_fini(&d);
    bg_free(plots);
    return status;
}

bg_status bg_report_compare(const bg_results *const *results, size_t n, const char *out,
                            char **text, bg_error *err)
{
    cmp c = {.n = n};
    bg_text markdown = {0};
    bg_status status;
    *text = NULL;
    if (n < 2 || n > BG_REPORT_SIDES)
        return bg_fail(err, BG_ERR_INPUT, NULL, "a comparison is of 2 to %d folders",
                       BG_REPORT_SIDES);
    for (size_t s = 0; s < n; s++) c.sides[s].results = results[s];
    status = open_sides(&c, err);
    if (status == BG_OK) status = render(&c, out, &markdown, err);
    if (status == BG_OK) *text = markdown.data;
    else bg_text_fini(&markdown);
    bg_cmp_fini(&c);
    for (size_t s = 0; s < n; s++) {
        json_decref(c.sides[s].machine);
        bg_advice_close(&c.sides[s].advice);
    }
    return status;
}
