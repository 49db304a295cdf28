#include "report/report.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_bits(const void *pa, const void *pb)
{
    const bg_candidate *a = *(const bg_candidate *const *)pa, *b = *(const bg_candidate *const *)pb;
    double x = isnan(a->bpw) ? INFINITY : a->bpw, y = isnan(b->bpw) ? INFINITY : b->bpw;
    return x < y ? -1 : x > y ? 1 : strcmp(a->scheme, b->scheme);
}

bg_status bg_report_prepare(report *r, const bg_results *results, const bg_advice *advice,
                            bg_error *err)
{
    const char *plan = bg_results_plan(results), *machine = bg_results_machine(results);
    size_t n = bg_advice_count(advice);
    r->results = results;
    r->advice = advice;
    r->plan = plan ? json_loads(plan, 0, NULL) : NULL;
    r->machine = machine ? json_loads(machine, 0, NULL) : NULL;
    r->schemes = bg_alloc(n, sizeof *r->schemes);
    if (!r->schemes) return bg_fail_nomem(err, "the report", n * sizeof *r->schemes);
    for (size_t i = 0; i < n; i++) {
        const bg_candidate *c = bg_advice_candidate(advice, i);
        if (strcmp(c->engine, bg_advice_pick(advice)->engine) == 0 &&
            (c->tg || c->pp || c->quality))
            r->schemes[r->n_schemes++] = c;
    }
    for (size_t i = 0; i < bg_results_row_count(results); i++) {
        const char *engine = bg_row_text(bg_results_row(results, i), BG_COL_ENGINE);
        r->several |= engine && strcmp(engine, bg_advice_pick(advice)->engine) != 0;
    }
    qsort(r->schemes, r->n_schemes, sizeof *r->schemes, by_bits);
    return BG_OK;
}

void bg_report_fini(report *r)
{
    json_decref(r->plan);
    json_decref(r->machine);
    bg_free(r->schemes);
}

const char *bg_report_json_text(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

double bg_report_json_number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const struct { const char *name, *script; bg_plot_fn *data; } plots[] = {
#define BG_PLOT(NAME, name, script) {#name, script, bg_plot_##name},
#include "report/plots.def"
};

/* A drawing of an older report must not stay beside the new one. */
static void remove_drawings(const char *dir, size_t plot)
{
    static const char *const types[] = {"svg", "png"};
    for (size_t t = 0; t < BG_COUNT(types); t++) {
        char file[64], *path;
        snprintf(file, sizeof file, "%s.%s", plots[plot].script, types[t]);
        path = bg_path_join(dir, file);
        if (path) unlink(path);
        bg_free(path);
    }
}

static bg_status draw_one(report *r, bg_gnuplot *g, size_t plot, bg_error *err)
{
    bool has = plots[plot].data(r, g);
    BG_TRY(bg_gnuplot_check(g, err));
    if (has) BG_TRY(bg_gnuplot_run(g, plots[plot].script, plots[plot].script, err));
    r->drawn[plot] = has;
    return BG_OK;
}

bg_status bg_report_draw(report *r, const char *dir, bg_error *err)
{
    bg_gnuplot *g = NULL;
    bg_error first = {.status = BG_OK}, one;
    bg_status status = bg_gnuplot_open(&g, dir, &first);
    for (size_t i = 0; i < BG_PLOT_COUNT; i++) {
        remove_drawings(dir, i);
        if (!g || (status != BG_OK && status != BG_ERR_UNSUPPORTED)) continue;
        status = draw_one(r, g, i, &one);
        if (status != BG_OK && (first.status == BG_OK || status != BG_ERR_UNSUPPORTED)) first = one;
    }
    bg_gnuplot_close(&g);
    if (first.status == BG_OK) return BG_OK;
    if (first.status != BG_ERR_UNSUPPORTED) {
        for (size_t i = 0; i < BG_PLOT_COUNT; i++) remove_drawings(dir, i);
        *err = first;
        return first.status;
    }
    snprintf(r->plot_problem, sizeof r->plot_problem, "%s %.440s", first.where, first.message);
    bg_log(BG_LOG_WARN, "the report lacks drawings: %s", r->plot_problem);
    return BG_OK;
}

void bg_report_figure(const report *r, doc *d, bg_plot plot, const char *alt, const char *caption)
{
    if (r->drawn[plot]) bg_doc_figure(d, plots[plot].script, alt, caption);
}

static bg_section_fn *const sections[] = {
#define BG_SECTION(name) bg_section_##name,
#include "report/sections.def"
};

static bg_status write_text(const char *dir, const char *name, const bg_text *text, bg_error *err)
{
    char *path = bg_path_join(dir, name);
    bg_status status;
    if (!path || text->failed) {
        bg_free(path);
        return bg_fail_nomem(err, "the report", text->length);
    }
    status = bg_file_write(path, text->data, text->length, err);
    bg_free(path);
    return status;
}

static bg_status write_pages(report *r, const char *dir, bg_error *err)
{
    char *drawings = bg_path_join(dir, "plots");
    doc d = {0};
    bg_text markdown = {0}, html = {0};
    bg_status status = drawings ? bg_dir_create(drawings, err)
                                : bg_fail_nomem(err, "the report", strlen(dir));
    if (status != BG_OK) goto cleanup;
    if ((status = bg_report_draw(r, drawings, err)) != BG_OK) goto cleanup;
    for (size_t i = 0; i < BG_COUNT(sections); i++) sections[i](r, &d);
    if (d.failed) {
        status = bg_fail_nomem(err, "the report", d.n * sizeof *d.nodes);
        goto cleanup;
    }
    bg_doc_markdown(&d, &markdown);
    bg_doc_html(&d, d.nodes[0].text, drawings, &html); /* the title is the first heading */
    /* The large one first: a disk that is too small for it gets neither. */
    status = write_text(dir, "report.html", &html, err);
    if (status == BG_OK) status = write_text(dir, "report.md", &markdown, err);
cleanup:
    bg_text_fini(&markdown);
    bg_text_fini(&html);
    bg_doc_fini(&d);
    bg_free(drawings);
    return status;
}

bg_status bg_report_write(const bg_results *results, const bg_report_options *o, bg_error *err)
{
    report r = {.options = o};
    bg_advice *advice;
    bg_status status = bg_advise(&advice, results, &o->advise, err);
    if (!advice) return status; /* infeasible is an answer, and is reported */
    status = bg_report_prepare(&r, results, advice, err);
    if (status == BG_OK) status = write_pages(&r, o->out ? o->out : bg_results_dir(results), err);
    bg_report_fini(&r);
    bg_advice_close(&advice);
    return status;
}
