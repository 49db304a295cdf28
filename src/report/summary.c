/* summary.c: one line a scheme, for the page and for the terminal; and how numbers look. */
#include "report/report.h"

#include <math.h>
#include <string.h>

const char *bg_report_number(char *buffer, size_t n, double value)
{
    double v = fabs(value);
    if (isnan(value)) buffer[0] = 0;
    else if (v >= 99.95 || v <= 0) snprintf(buffer, n, "%.0f", value);
    else if (v >= 0.9995) snprintf(buffer, n, "%.*f", v >= 9.995 ? 1 : 2, value);
    else if (v >= 9.5e-6) snprintf(buffer, n, "%.*f", 1 - (int)floor(log10(v * 1.0001)), value);
    else snprintf(buffer, n, "%.1e", value);
    return buffer;
}

const char *bg_report_fixed(char *buffer, size_t n, double value, int decimals)
{
    if (fabs(value) < 0.5 * pow(10, -decimals)) value = 0; /* no "-0.00" */
    if (isnan(value)) buffer[0] = 0;
    else snprintf(buffer, n, "%.*f", decimals, value);
    return buffer;
}

const char *bg_report_size(char *buffer, size_t n, double bytes)
{
    if (isnan(bytes)) buffer[0] = 0;
    else bg_format_size(buffer, n, bytes);
    return buffer;
}

/* "213 ± 3": half of the 95 % interval; "213 ± ?" where that is more than the value. */
const char *bg_report_interval(char *buffer, size_t n, double value, double low, double high)
{
    double half = (high - low) / 2;
    char number[32];
    bg_report_number(buffer, n, value);
    if (isnan(value) || isnan(half)) return buffer;
    if (half > value) snprintf(number, sizeof number, " ± ?");
    else
        snprintf(number, sizeof number, " ± %.*f", value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2,
                 half);
    strncat(buffer, number, n - strlen(buffer) - 1);
    return buffer;
}

const char *bg_report_loss_name(const report *r)
{
    static const char *const names[] = {"KL divergence", "ln(perplexity / source)",
                                        "KL divergence, estimated"};
    return names[bg_advice_basis(r->advice)];
}

int bg_report_level(const bg_candidate *c)
{
    double level = bg_row_number(c->any, BG_COL_LEVEL);
    return isnan(level) ? 0 : (int)level;
}

unsigned bg_report_level_bit(const bg_candidate *c)
{
    int level = bg_report_level(c);
    return level >= 0 && level <= 16 ? 1u << level : 0;
}

static void print_scheme(const report *r, const bg_candidate *c, char *b, size_t n)
{
    bool pick = c == bg_advice_pick(r->advice) && bg_advice_feasible(r->advice);
    snprintf(b, n, "%s%s", c->scheme, pick ? " ◀" : c->on_front ? " •" : "");
}

static double roof_share(const bg_candidate *c)
{
    return c->tg ? bg_row_number(c->tg, BG_COL_ROOF_PCT) : NAN;
}

#define PRINT(name, call)                                                       \
    static void name(const report *r, const bg_candidate *c, char *b, size_t n) \
    {                                                                           \
        (void)r;                                                                \
        call;                                                                   \
    }
PRINT(print_bpw, bg_report_fixed(b, n, c->bpw, 2))
PRINT(print_roof, bg_report_fixed(b, n, roof_share(c), 0))
PRINT(print_ppl, bg_report_fixed(b, n, c->ppl, 3))
PRINT(print_ppl_loss, bg_report_fixed(b, n, c->ppl_loss_pct, 2))
PRINT(print_top, bg_report_fixed(b, n, c->same_top_pct, 1))
PRINT(print_weights, bg_report_size(b, n, c->weight_bytes))
PRINT(print_memory, bg_report_size(b, n, c->memory_bytes))
PRINT(print_kld, bg_report_number(b, n, c->kld))
PRINT(print_tg, bg_report_interval(b, n, c->tg_tps, c->tg_low, c->tg_high))
PRINT(print_pp, bg_report_interval(b, n, c->pp_tps, c->pp_low, c->pp_high))

const summary_column bg_summary_columns[] = {
    {"Scheme", "", true, 0, print_scheme},
    {"Bits", "a weight", false, 4, print_bpw},
    {"Weights", "", false, 1, print_weights},
    {"Memory", "", false, 6, print_memory},
    {"Prefill", "tokens/s", false, 5, print_pp},
    {"Decode", "tokens/s", false, 1, print_tg},
    {"Roof", "% reached", false, 3, print_roof},
    {"Perplexity", "", false, 8, print_ppl},
    {"Loss", "% of ppl", false, 2, print_ppl_loss},
    {"KLD", "nats", false, 2, print_kld},
    {"Same top", "%", false, 7, print_top},
};
const size_t bg_summary_count = BG_COUNT(bg_summary_columns);

void bg_report_sources(const report *r, bg_text *t)
{
    const bg_published_row *p = bg_advice_published(r->advice);
    double least = INFINITY;
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        if (bg_candidate_predicted(c))
            least = BG_MIN(least, bg_row_number(c->tg ? c->tg : c->pp, BG_COL_LAYERS));
    }
    if (isfinite(least))
        bg_text_printf(t, "Speeds are predicted for the whole model from %.0f or more of its "
                       "layers. ", least);
    if (p)
        bg_text_printf(t, "Perplexity, loss and KLD are not this model's: they are published for "
                       "%s, the nearest model with a table (%s; %s). ", p->model, p->source,
                       p->text);
    if (r->several)
        bg_text_printf(t, "These are the rows of %s. ", bg_advice_pick(r->advice)->engine);
    for (size_t i = 0; i < r->n_schemes; i++)
        if (r->schemes[i]->quality_by) {
            bg_text_printf(t, "Quality was measured with %s, on the same weights. ",
                           r->schemes[i]->quality_by);
            break;
        }
    bg_report_engines(r, t);
    while (t->length && t->data[t->length - 1] == ' ') t->data[--t->length] = 0;
}
