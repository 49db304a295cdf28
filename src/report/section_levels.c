/* Level of precision: what two, three, ... sixteen bits cost and give. */
#include "report/report.h"

#include <math.h>
#include <string.h>

typedef struct range { double low, high; } range;

static void widen(range *r, double v)
{
    if (isnan(v)) return;
    if (isnan(r->low) || v < r->low) r->low = v;
    if (isnan(r->high) || v > r->high) r->high = v;
}

typedef const char *print_fn(char *buffer, size_t n, double value);

static const char *print_percent(char *buffer, size_t n, double v)
{
    return bg_report_fixed(buffer, n, v, fabs(v) < 9.95 ? 2 : 1);
}

static const char *print_bits(char *buffer, size_t n, double v)
{
    return bg_report_fixed(buffer, n, v, 2);
}

/* "3.29–3.86 MB": one number when they look alike, the unit once when it is the same. */
static void put_range(doc *d, const range *r, print_fn *print)
{
    char low[32], high[32];
    const char *low_unit, *high_unit;
    print(low, sizeof low, r->low);
    print(high, sizeof high, r->high);
    low_unit = strchr(low, ' ');
    high_unit = strchr(high, ' ');
    if (!strcmp(low, high)) bg_doc_cell(d, "%s", low);
    else if (low_unit && high_unit && !strcmp(low_unit, high_unit))
        bg_doc_cell(d, "%.*s–%s", (int)(low_unit - low), low, high);
    else bg_doc_cell(d, "%s–%s", low, high);
}

enum { BITS, SIZE, PREFILL, DECODE, LOSS, KLD, MEMORY, READ, QUANTITIES };

static const struct { const char *title, *unit; print_fn *print; } quantities[QUANTITIES] = {
    [BITS] = {"Precision", "bits a weight", print_bits},
    [SIZE] = {"Size", "", bg_report_size},
    [PREFILL] = {"Prefill", "tokens/s", bg_report_number},
    [DECODE] = {"Decode", "tokens/s", bg_report_number},
    [LOSS] = {"Loss", "% of ppl", print_percent},
    [KLD] = {"KLD", "nats", bg_report_number},
    [MEMORY] = {"Memory", "", bg_report_size},
    [READ] = {"Reads", "GB/s", bg_report_number},
};

/* Ternary schemes are for models trained that way: they would blur the level they lie in. */
static bool ternary(const bg_candidate *c) { return strncmp(c->scheme, "TQ", 2) == 0; }

static size_t gather(const report *r, int level, range *all)
{
    size_t n = 0;
    for (size_t q = 0; q < QUANTITIES; q++) all[q] = (range){NAN, NAN};
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        if (level ? ternary(c) || bg_report_level(c) != level : !ternary(c)) continue;
        widen(&all[BITS], c->bpw);
        widen(&all[SIZE], c->weight_bytes);
        widen(&all[PREFILL], c->pp_tps);
        widen(&all[DECODE], c->tg_tps);
        widen(&all[LOSS], c->ppl_loss_pct);
        widen(&all[KLD], c->kld);
        widen(&all[MEMORY], c->memory_bytes);
        widen(&all[READ], c->tg ? bg_row_number(c->tg, BG_COL_GBPS) : NAN);
        n++;
    }
    return n;
}

void bg_section_levels(const report *r, doc *d)
{
    /* 0: the ternary schemes. */
    static const int levels[] = {0, 1, 2, 3, 4, 5, 6, 8, 16, 32};
    const bg_candidate *pick = bg_advice_pick(r->advice);
    range all[QUANTITIES];
    if (!r->n_schemes) return;
    bg_doc_heading(d, 2, "Levels of precision");
    bg_doc_table(d, "What each number of bits costs and gives: the range over the schemes of the "
                    "level. Reads is what decoding draws from caches and memory.");
    bg_doc_column(d, "Level", "", true);
    for (size_t q = 0; q < QUANTITIES; q++)
        bg_doc_column(d, quantities[q].title, quantities[q].unit, false);
    for (size_t l = 0; l < BG_COUNT(levels); l++) {
        if (!gather(r, levels[l], all)) continue;
        bg_doc_row(d, levels[l] && bg_report_level(pick) == levels[l] && !ternary(pick) &&
                          bg_advice_feasible(r->advice));
        if (levels[l] == 0) bg_doc_cell(d, "ternary");
        else bg_doc_cell(d, levels[l] < 16 ? "Q%d" : "F%d", levels[l]);
        for (size_t q = 0; q < QUANTITIES; q++) put_range(d, &all[q], quantities[q].print);
    }
}
