/* A comparison for programs: JSON with every number, JUnit XML. */
#include "compare/render.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }
static json_t *text_or_null(const char *s) { return s ? json_string(s) : json_null(); }

/* JSON holds no other text than UTF-8, and a path may be any. */
static json_t *path_or_null(const char *path)
{
    json_t *text = json_string(path);
    return text ? text : json_null();
}

static json_t *cell_name(const bg_row *row)
{
    double threads = bg_row_number(row, BG_COL_THREADS);
    return json_pack("{s:o, s:o, s:o, s:o}", "scheme",
                     text_or_null(bg_row_text(row, BG_COL_SCHEME)), "test",
                     text_or_null(bg_row_text(row, BG_COL_TEST)), "isa",
                     text_or_null(bg_row_text(row, BG_COL_ISA)), "threads",
                     isnan(threads) ? json_null() : json_integer((json_int_t)threads));
}

static json_t *side_json(const bg_compared *c, int side)
{
    return json_pack("{s:o, s:I, s:I, s:I, s:o}", "value", number(c->value[side]), "samples",
                     (json_int_t)c->n[side], "outliers", (json_int_t)c->outliers[side], "tainted",
                     (json_int_t)c->tainted[side], "effective_samples",
                     c->n[side] ? number(side ? c->ratio.effective_b : c->ratio.effective_a)
                                : json_null());
}

static const char *const sources[] = {
    [BG_FLOOR_NONE] = NULL, [BG_FLOOR_MACHINE] = "machine", [BG_FLOOR_SAMPLES] = "samples"};

static json_t *own_json(const bg_compared *c)
{
    bg_compared own = bg_compared_own(c);
    if (c->own.others == 0) return json_null();
    own.verdict = c->own.verdict;
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "others",
                     (json_int_t)c->own.others, "ratio", number(own.ratio.ratio), "ratio_low",
                     number(own.ratio.low), "ratio_high", number(own.ratio.high),
                     "autocorrelation_time", number(own.ratio.tau), "p", number(own.p), "q",
                     number(own.q), "noise_floor", number(own.floor), "noise_floor_source",
                     text_or_null(sources[own.floor_source]), "verdict", bg_compared_verdict(&own));
}

static json_t *compared_json(const bg_compared *c)
{
    json_t *o = cell_name(c->base_row);
    const bg_column_info *info = bg_column_get(c->metric);
    json_t *rest = json_pack(
        "{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:s, "
        "s:o}", "metric", info->name, "unit", info->unit, "better",
        info->better > 0 ? "more" : "less", "exact", c->exact, "base", side_json(c, 0), "new",
        side_json(c, 1), "ratio", number(c->ratio.ratio), "ratio_low", number(c->ratio.low),
        "ratio_high", number(c->ratio.high), "autocorrelation_time", number(c->ratio.tau), "p",
        number(c->p), "q", number(c->q), "noise_floor", number(c->floor), "noise_floor_source",
        text_or_null(sources[c->floor_source]), "own", own_json(c), "judged_by_own", c->by_own,
        "verdict", bg_compared_verdict(c), "reason",
        *c->reason ? json_string(c->reason) : json_null());
    if (rest) json_object_update(o, rest);
    json_decref(rest);
    return o;
}

static json_t *together_json(const bg_comparison *c)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->n_together; i++) {
        const bg_compared *all = &c->together[i].all;
        double threads = bg_row_number(all->base_row, BG_COL_THREADS);
        json_array_append_new(array, json_pack(
            "{s:o, s:I, s:s, s:[I, I], s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}",
            "threads", isnan(threads) ? json_null() : json_integer((json_int_t)threads), "cells",
            (json_int_t)c->together[i].cells, "metric", bg_column_get(all->metric)->name, "rounds",
            (json_int_t)all->n[0], (json_int_t)all->n[1], "ratio", number(all->ratio.ratio),
            "ratio_low", number(all->ratio.low), "ratio_high", number(all->ratio.high),
            "autocorrelation_time", number(all->ratio.tau), "p", number(all->p), "q",
            number(all->q), "noise_floor", number(all->floor), "noise_floor_source",
            text_or_null(sources[all->floor_source]), "verdict", bg_compared_verdict(all), "reason",
            *all->reason ? json_string(all->reason) : json_null()));
    }
    return array;
}

static json_t *unpaired_json(const bg_comparison *c)
{
    json_t *array = json_array();
    for (size_t i = 0; i < c->n_unpaired; i++) {
        json_t *o = cell_name(c->unpaired[i].row);
        json_object_set_new(o, "in", json_string(c->unpaired[i].side ? "new" : "base"));
        json_object_set_new(o, "failed_in_other", json_boolean(c->unpaired[i].failed));
        json_array_append_new(array, o);
    }
    return array;
}

void bg_compare_json(const bg_comparison *c, bg_text *out)
{
    json_t *cells = json_array(), *notes = json_array(), *root;
    char conclusion[512], *dump;
    for (size_t i = 0; i < c->n_cells; i++)
        json_array_append_new(cells, compared_json(&c->cells[i]));
    for (size_t i = 0; i < BG_COUNT(c->notes) && c->notes[i][0]; i++)
        json_array_append_new(notes, json_string(c->notes[i]));
    bg_compare_conclusion(c, conclusion, sizeof conclusion);
    root = json_pack("{s:s, s:o, s:o, s:f, s:f, s:b, s:b, s:{s:I, s:I, s:I, s:I}, s:s, s:o, s:o, "
                     "s:o, s:o}", "bitgauge", bg_version(), "base",
                     path_or_null(c->dir[0]), "new", path_or_null(c->dir[1]),
                     "threshold", c->threshold, "alpha", c->alpha, "cross_machine",
                     c->cross_machine, "regression", bg_comparison_regressed(c), "counts",
                     "worse", (json_int_t)c->counts[BG_VERDICT_WORSE], "better",
                     (json_int_t)c->counts[BG_VERDICT_BETTER], "same",
                     (json_int_t)c->counts[BG_VERDICT_SAME], "inconclusive",
                     (json_int_t)c->counts[BG_VERDICT_INCONCLUSIVE], "conclusion", conclusion,
                     "cells", cells, "together", together_json(c), "unpaired",
                     unpaired_json(c), "notes", notes);
    dump = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    if (dump) bg_text_printf(out, "%s\n", dump);
    else out->failed = true;
    bg_free(dump);
    json_decref(root);
}

/* XML 1.0 has no control characters but tab and line ends, not even escaped. */
static void put_xml(bg_text *out, const char *s)
{
    static const struct { char c; const char *name; } escapes[] = {
        {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\n', " "}, {'\t', " "}};
    for (; *s; s++) {
        size_t k = 0;
        while (k < BG_COUNT(escapes) && escapes[k].c != *s) k++;
        if (k < BG_COUNT(escapes)) bg_text_puts(out, escapes[k].name);
        else bg_text_append(out, (unsigned char)*s < 0x20 ? "?" : s, 1);
    }
}

static void open_case(bg_text *out, const char *of, const char *name, const char *metric)
{
    bg_text_puts(out, "    <testcase classname=\"bitgauge.");
    put_xml(out, of);
    bg_text_puts(out, "\" name=\"");
    put_xml(out, name);
    bg_text_printf(out, ": %s\" time=\"0\">\n", metric);
}

/* <tag message="..." type="..."/> */
static void put_result(bg_text *out, const char *tag, const char *type, const char *message)
{
    bg_text_printf(out, "      <%s ", tag);
    if (type) bg_text_printf(out, "type=\"%s\" ", type);
    bg_text_puts(out, "message=\"");
    put_xml(out, message);
    bg_text_puts(out, "\"/>\n");
}

static void put_case(const bg_compared *c, const char *of, const char *name, bg_text *out)
{
    char finding[256];
    bg_compare_finding(c, finding, sizeof finding);
    open_case(out, of, name, bg_column_get(c->metric)->name);
    if (c->verdict == BG_VERDICT_WORSE)
        put_result(out, "failure", "regression", finding);
    if (c->verdict == BG_VERDICT_INCONCLUSIVE) put_result(out, "skipped", NULL, c->reason);
    bg_text_puts(out, "      <system-out>");
    put_xml(out, bg_compared_verdict(c));
    bg_text_puts(out, ": ");
    put_xml(out, finding);
    bg_text_puts(out, "</system-out>\n    </testcase>\n");
}

static void put_cases(const bg_comparison *c, bg_text *out)
{
    char name[128];
    for (size_t i = 0; i < c->n_cells; i++) {
        const bg_row *row = c->cells[i].base_row;
        bg_compare_name(row, name, sizeof name);
        put_case(&c->cells[i], bg_row_text(row, BG_COL_SCHEME), name, out);
    }
    for (size_t i = 0; i < c->n_together; i++) {
        bg_compare_together_name(&c->together[i], name, sizeof name);
        put_case(&c->together[i].all, "together", name, out);
    }
    for (size_t i = 0; i < c->n_unpaired; i++) {
        const bg_row *row = c->unpaired[i].row;
        if (!c->unpaired[i].failed || c->unpaired[i].side != 0) continue;
        bg_compare_name(row, name, sizeof name);
        open_case(out, bg_row_text(row, BG_COL_SCHEME), name, "status");
        put_result(out, "error", "failed", "failed, and was measured before");
        bg_text_puts(out, "    </testcase>\n");
    }
}

/* The schema that CI systems read: https://github.com/testmoapp/junitxml. A regression is a
 * failure, what could not be judged is skipped, a cell that no longer runs is an error. */
void bg_compare_junit(const bg_comparison *c, bg_text *out)
{
    size_t errors = 0, worse = c->counts[BG_VERDICT_WORSE];
    size_t open = c->counts[BG_VERDICT_INCONCLUSIVE];
    char counts[160];
    for (size_t i = 0; i < c->n_unpaired; i++)
        errors += c->unpaired[i].failed && c->unpaired[i].side == 0;
    for (size_t i = 0; i < c->n_together; i++) {
        worse += c->together[i].all.verdict == BG_VERDICT_WORSE;
        open += c->together[i].all.verdict == BG_VERDICT_INCONCLUSIVE;
    }
    snprintf(counts, sizeof counts,
             "tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\" time=\"0\"",
             c->n_cells + c->n_together + errors, worse, errors, open);
    bg_text_printf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<testsuites name=\"bitgauge compare\" %s>\n"
                        "  <testsuite name=\"", counts);
    put_xml(out, c->dir[1]);
    bg_text_puts(out, " against ");
    put_xml(out, c->dir[0]);
    bg_text_printf(out, "\" %s>\n", counts);
    put_cases(c, out);
    bg_text_puts(out, "  </testsuite>\n</testsuites>\n");
}

bg_status bg_comparison_text(const bg_comparison *c, bg_compare_format format, char **text,
                             bg_error *err)
{
    static void (*const renderers[])(const bg_comparison *, bg_text *) = {
        [BG_COMPARE_MD] = bg_compare_markdown,
        [BG_COMPARE_JSON] = bg_compare_json,
        [BG_COMPARE_JUNIT] = bg_compare_junit,
        [BG_COMPARE_ANNOTATIONS] = bg_compare_annotations,
    };
    bg_text out = {0};
    *text = NULL;
    renderers[format](c, &out);
    if (!out.failed) {
        *text = out.data;
        return BG_OK;
    }
    bg_text_fini(&out);
    return bg_fail_nomem(err, "the comparison", c->n_cells * sizeof *c->cells);
}
