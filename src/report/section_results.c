/* All schemes in one table, and the drawings that compare them. */
#include "report/report.h"

/* Which schemes the scatter plots leave out, and why. */
static void put_left_out(const report *r, doc *d)
{
    bg_text names = {0};
    for (size_t i = 0; i < r->n_schemes; i++)
        if (r->schemes[i]->loss > BG_ADVISE_USELESS_KLD)
            bg_text_printf(&names, "%s%s", names.length ? ", " : "", r->schemes[i]->scheme);
    if (names.data)
        bg_doc_text(d, "Left out of these two drawings, since they lose over %.0f nat and are no "
                       "longer the same model: %s.", BG_ADVISE_USELESS_KLD, names.data);
    d->failed |= names.failed;
    bg_text_fini(&names);
}

void bg_section_results(const report *r, doc *d)
{
    bg_text sources = {0};
    bg_doc_heading(d, 2, "All schemes");
    bg_report_sources(r, &sources);
    if (sources.length) bg_doc_text(d, "%s", sources.data);
    d->failed |= sources.failed;
    bg_text_fini(&sources);
    if (r->n_schemes && bg_row_has(r->schemes[0]->any, BG_COL_SOURCE_FORMATS))
        bg_doc_text(d, "The source is quantized already (%s): losses are relative to it, not to "
                       "the model that it was made from.",
                    bg_row_text(r->schemes[0]->any, BG_COL_SOURCE_FORMATS));
    if (r->plot_problem[0]) bg_doc_text(d, "Drawings are missing: %s", r->plot_problem);
    bg_doc_table(d, "◀ is the pick, • is on the front of quality against decode speed. ± is half "
                    "the 95 % interval (?: more than the speed itself). Loss is relative to the "
                    "source model's perplexity; KLD is the mean KL divergence from its "
                    "predictions.");
    for (size_t k = 0; k < bg_summary_count; k++)
        bg_doc_column(d, bg_summary_columns[k].title, bg_summary_columns[k].unit,
                      bg_summary_columns[k].text);
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        bg_doc_row(d, c == bg_advice_pick(r->advice) && bg_advice_feasible(r->advice));
        for (size_t k = 0; k < bg_summary_count; k++) {
            char buffer[64];
            bg_summary_columns[k].print(r, c, buffer, sizeof buffer);
            bg_doc_cell(d, "%s", buffer);
        }
    }
    bg_report_figure(
        r, d, BG_PLOT_TRADE,
        "Scatter plot of quality loss against decode speed, with "
        "the Pareto front and the pick ringed",
        "Each point is a scheme. Nothing is both faster and better than a point on the "
        "dashed front; the pick is where the front bends. Losses under 0.0001 lie on "
        "the lowest line, with their value.");
    bg_report_figure(r, d, BG_PLOT_SIZE,
                     "Scatter plot of quality loss against size of the weights, "
                     "with the Pareto front and the pick ringed",
                     "The same losses against the size of the weights. The front here counts size, "
                     "not speed.");
    if (r->drawn[BG_PLOT_SIZE] || r->drawn[BG_PLOT_TRADE]) put_left_out(r, d);
    bg_report_figure(r, d, BG_PLOT_SPEED, "Bars of decode and prefill speed by scheme, with 95 % "
                     "intervals", "Decode speed (one token after the other) and prefill speed (a "
                     "whole prompt), the best instruction set and thread count of each.");
}
