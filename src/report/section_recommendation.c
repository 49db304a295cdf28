/* What to do, and why: the first thing a reader sees. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static void put_lead(const report *r, doc *d)
{
    const bg_candidate *c = bg_advice_pick(r->advice);
    bg_text t = {0};
    char number[32], low[32], high[32];
    if (!bg_advice_feasible(r->advice)) {
        bg_text_printf(&t, "No scheme meets the limits; %s comes nearest.", c->name);
    } else {
        bg_text_printf(&t, "Run %s: ", c->name);
        if (!isnan(c->tg_tps))
            bg_text_printf(&t, "%s%s tokens/s ", bg_candidate_predicted(c) ? "a predicted " : "",
                           bg_report_number(number, sizeof number, c->tg_tps));
        if (!isnan(c->tg_low))
            bg_text_printf(&t, "(95 %% interval %s to %s) ",
                           bg_report_number(low, sizeof low, c->tg_low),
                           bg_report_number(high, sizeof high, c->tg_high));
        bg_text_printf(&t, "in %s of memory",
                       bg_format_size(number, sizeof number, c->memory_bytes));
        if (bg_advice_basis(r->advice) == BG_LOSS_BPW) bg_text_puts(&t, ", its quality estimated");
        else if (!isnan(c->ppl_loss_pct))
            bg_text_printf(&t, ", %sperplexity %+.2f %%",
                           bg_advice_published(r->advice) ? "published " : "",
                           round(100 * c->ppl_loss_pct) / 100 + 0.0);
        bg_text_puts(&t, ".");
    }
    if (t.data) bg_doc_lead(d, "%s", t.data);
    d->failed |= t.failed;
    bg_text_fini(&t);
}

static void put_runners(const report *r, doc *d)
{
    size_t n = bg_advice_runner_up_count(r->advice);
    if (!n) return;
    bg_doc_heading(d, 3, "The next best, against the pick");
    bg_doc_table(d, "");
    bg_doc_column(d, r->several ? "Choice" : "Scheme", "", true);
    bg_doc_column(d, "Compared with the pick", "", true);
    for (size_t i = 0; i < n; i++) {
        const char *why;
        const bg_candidate *c = bg_advice_runner_up(r->advice, i, &why);
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", c->name);
        bg_doc_cell(d, "%s", why);
    }
}

static void put_removed(const report *r, doc *d)
{
    size_t n = 0;
    for (size_t i = 0; i < bg_advice_count(r->advice); i++)
        n += bg_advice_candidate(r->advice, i)->removed_by != NULL;
    if (!n) return;
    bg_doc_heading(d, 3, "Removed by the limits");
    bg_doc_table(d, "");
    bg_doc_column(d, r->several ? "Choice" : "Scheme", "", true);
    bg_doc_column(d, "Why", "", true);
    for (size_t i = 0; i < bg_advice_count(r->advice); i++) {
        const bg_candidate *c = bg_advice_candidate(r->advice, i);
        if (!c->removed_by) continue;
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", c->name);
        bg_doc_cell(d, "%s", c->removed_by);
    }
}

static void put_command(const report *r, doc *d)
{
    const bg_candidate *pick = bg_advice_pick(r->advice);
    bool quantized = bg_advice_feasible(r->advice) && bg_report_level(pick) < 16;
    char *command = quantized ? bg_advice_command(r->advice, pick) : NULL;
    if (command) bg_doc_text(d, "To make the file: `%s`", command);
    bg_free_text(command);
}

void bg_section_recommendation(const report *r, doc *d)
{
    const json_t *model = json_object_get(json_object_get(r->plan, "settings"), "model");
    const char *name = json_string_value(json_object_get(model, "name"));
    const char *file = json_string_value(json_object_get(model, "file"));
    size_t changes = bg_advice_change_count(r->advice);
    if (!name || !*name) name = file;
    bg_doc_heading(d, 1, name ? "Which quantization of %s to run" : "Which quantization to run",
                   name);
    put_lead(r, d);
    for (size_t i = 0; i < bg_advice_reason_count(r->advice); i++)
        bg_doc_text(d, "%s", bg_advice_reason(r->advice, i));
    put_command(r, d);
    if (bg_advice_basis(r->advice) == BG_LOSS_BPW)
        bg_doc_text(d, "No quality was measured: every loss here is an estimate from bits per "
                       "weight. A sweep with `--quality quick` measures it.");
    put_runners(r, d);
    if (changes) bg_doc_heading(d, 3, "What would change the pick");
    for (size_t i = 0; i < changes; i++) {
        /* "with OPTION: SCHEME", the option as code. */
        const char *change = bg_advice_change(r->advice, i), *colon = strrchr(change, ':');
        bg_doc_item(d, "with `%.*s`%s", (int)(colon - change - 5), change + 5, colon);
    }
    put_removed(r, d);
}
