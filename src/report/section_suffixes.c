/* K_S, K_M, K_L: what the last letter of a scheme changes, each against the K_M of its level. */
#include "report/report.h"

#include "bitgauge/scheme.h"

#include <math.h>
#include <string.h>

static const bg_candidate *find(const report *r, int level, const char *suffix)
{
    for (size_t i = 0; i < r->n_schemes; i++) {
        const char *own = bg_row_text(r->schemes[i]->any, BG_COL_SUFFIX);
        char plain[16];
        const bg_scheme *scheme = bg_scheme_find(r->schemes[i]->scheme);
        if (bg_report_level(r->schemes[i]) != level) continue;
        if (scheme && bg_scheme_wants_importance(scheme)) continue;
        if (own && strcmp(own, suffix) == 0) return r->schemes[i];
        /* Q6_K has no letter and is what its K_L is compared with. */
        snprintf(plain, sizeof plain, "Q%d_K", level);
        if (!own && strcmp(suffix, "K_M") == 0 && strcmp(r->schemes[i]->scheme, plain) == 0)
            return r->schemes[i];
    }
    return NULL;
}

static void put_change(doc *d, double value, double base, bool is_base)
{
    double change = 100 * (value / base - 1);
    if (is_base) bg_doc_cell(d, "-");
    else if (isnan(change)) bg_doc_cell(d, "%s", "");
    else bg_doc_cell(d, fabs(change) < 9.95 ? "%+.1f" : "%+.0f", change);
}

static void put_row(const report *r, doc *d, const bg_candidate *c, const bg_candidate *base)
{
    const bg_scheme *scheme = bg_scheme_find(c->scheme);
    const char *formats = bg_row_text(c->any, BG_COL_FORMATS);
    char buffer[64];
    bg_doc_row(d, c == bg_advice_pick(r->advice) && bg_advice_feasible(r->advice));
    bg_doc_cell(d, "%s", c->scheme);
    bg_doc_cell(d, "%s", bg_report_size(buffer, sizeof buffer, c->weight_bytes));
    put_change(d, c->weight_bytes, base->weight_bytes, c == base);
    bg_doc_cell(d, "%s",
                bg_report_interval(buffer, sizeof buffer, c->tg_tps, c->tg_low, c->tg_high));
    if (c != base && c->tg && base->tg && bg_advise_equal_speed(c, base))
        bg_doc_cell(d, "0 (noise)");
    else put_change(d, c->tg_tps, base->tg_tps, c == base);
    bg_doc_cell(d, "%s", bg_report_fixed(buffer, sizeof buffer, c->ppl_loss_pct, 2));
    bg_doc_cell(d, "%s", bg_report_number(buffer, sizeof buffer, c->kld));
    put_change(d, c->kld, base->kld, c == base);
    bg_doc_cell(d, "%s", scheme ? bg_scheme_policy(scheme) : formats ? formats : "");
}

void bg_section_suffixes(const report *r, doc *d)
{
    static const char *const suffixes[] = {"K_S", "K_M", "K_L"};
    bool begun = false;
    for (int level = 1; level <= 16; level++) {
        const bg_candidate *found[BG_COUNT(suffixes)];
        size_t n = 0;
        for (size_t s = 0; s < BG_COUNT(suffixes); s++) {
            found[s] = find(r, level, suffixes[s]);
            n += found[s] != NULL;
        }
        if (n < 2 || !found[1]) continue;
        if (!begun) {
            static const struct { const char *title, *unit; bool text; } columns[] = {
                {"Scheme", "", true}, {"Size", "", false}, {"Size", "% to K_M", false},
                {"Decode", "tokens/s", false}, {"Speed", "% to K_M", false},
                {"Loss", "% of ppl", false}, {"KLD", "nats", false}, {"KLD", "% to K_M", false},
                {"What it does", "", true},
            };
            bg_doc_heading(d, 2, "The letters: K_S, K_M, K_L");
            bg_doc_table(d, "Small, medium and large spend bits on different tensors of the same "
                            "level. Changes are against the K_M of the level.");
            for (size_t k = 0; k < BG_COUNT(columns); k++)
                bg_doc_column(d, columns[k].title, columns[k].unit, columns[k].text);
            begun = true;
        }
        for (size_t s = 0; s < BG_COUNT(suffixes); s++)
            if (found[s]) put_row(r, d, found[s], found[1]);
    }
}
