/* Points whose formats were searched for: what that gave over the schemes of their size, and the
 * commands that make their files. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static bool is_searched(const bg_candidate *c)
{
    const char *words = bg_row_text(c->any, BG_COL_MADE_WITH);
    return words && strncmp(words, BG_MADE_BY_RECIPE, strlen(BG_MADE_BY_RECIPE)) == 0;
}

/* The best of the schemes that take no more than this. */
static const bg_candidate *rival(const report *r, const bg_candidate *c)
{
    const bg_candidate *best = NULL;
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *s = r->schemes[i];
        if (is_searched(s) || isnan(s->loss) || s->weight_bytes > 1.001 * c->weight_bytes) continue;
        if (!best || s->loss < best->loss) best = s;
    }
    return best;
}

static void put_point(const report *r, doc *d, const bg_candidate *c, bool any_pruned)
{
    const bg_candidate *s = rival(r, c);
    const char *formats = bg_row_text(c->any, BG_COL_FORMATS);
    const char *pruned = bg_row_text(c->any, BG_COL_PRUNED);
    char b[64];
    bg_doc_row(d, c == bg_advice_pick(r->advice) && bg_advice_feasible(r->advice));
    bg_doc_cell(d, "%s", c->scheme);
    bg_doc_cell(d, "%s", bg_report_size(b, sizeof b, c->weight_bytes));
    bg_doc_cell(d, "%s", bg_report_number(b, sizeof b, c->loss));
    bg_doc_cell(d, "%s", bg_report_number(b, sizeof b, c->tg_tps));
    bg_doc_cell(d, "%s", s ? s->scheme : "none");
    bg_doc_cell(d, "%s", bg_report_number(b, sizeof b, s ? s->loss : (double)NAN));
    bg_doc_cell(d, "%s", bg_report_number(b, sizeof b, s ? s->tg_tps : (double)NAN));
    bg_doc_cell(d, "%s", formats ? formats : "");
    if (any_pruned) bg_doc_cell(d, "%s", pruned ? pruned : "nothing");
}

void bg_section_searched(const report *r, doc *d)
{
    size_t n = 0;
    bool pruned = false;
    for (size_t i = 0; i < r->n_schemes; i++) {
        n += is_searched(r->schemes[i]);
        pruned |= bg_row_has(r->schemes[i]->any, BG_COL_PRUNED);
    }
    if (!n) return;
    bg_doc_heading(d, 2, "Searched mixed precision");
    bg_doc_table(d, "Formats chosen tensor by tensor for the least divergence of the whole model "
                    "on a calibration text, then rounded with error feedback; beside each the best "
                    "scheme that is no larger.");
    bg_doc_column(d, "Point", "", true);
    bg_doc_column(d, "Size", "", false);
    bg_doc_column(d, bg_report_loss_name(r), "nats", false);
    bg_doc_column(d, "Decode", "tokens/s", false);
    bg_doc_column(d, "Scheme", "", true);
    bg_doc_column(d, bg_report_loss_name(r), "nats", false);
    bg_doc_column(d, "Decode", "tokens/s", false);
    bg_doc_column(d, "Formats", "", true);
    if (pruned) bg_doc_column(d, "Pruned away", "", true);
    for (size_t i = 0; i < r->n_schemes; i++)
        if (is_searched(r->schemes[i])) put_point(r, d, r->schemes[i], pruned);
    if (pruned)
        bg_doc_text(d, "What is left of a pruned point makes up for what is gone, by least squares "
                       "on that text; its bits per weight are those of the weights that are left.");
    bg_doc_text(d, "Their recipes are in the results folder. The files are made by:");
    for (size_t i = 0; i < r->n_schemes; i++) {
        char *command = is_searched(r->schemes[i])
                            ? bg_advice_command(r->advice, r->schemes[i]) : NULL;
        if (command) bg_doc_item(d, "`%s`", command);
        bg_free_text(command);
    }
}
