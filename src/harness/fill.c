/* From samples to the fields of a row. */
#include "harness/harness.h"

#include <math.h>
#include <string.h>

bool bg_cell_made(const bg_plan *p, const bg_cell *c, const bg_sample *s)
{
    return s->threads == c->threads && strcmp(s->test, c->test) == 0 &&
           strcmp(s->isa, bg_cell_isa(p, c)) == 0 &&
           strcmp(s->engine, p->engines[c->engine]->name) == 0 &&
           strcmp(s->scheme, bg_plan_name(p, c->scheme)) == 0;
}

const char *bg_cell_isa(const bg_plan *p, const bg_cell *c)
{
    return p->engines[c->engine]->own_isa ? "" : bg_isa_name(c->isa);
}

static bool row_says(const bg_row *row, bg_column column, const char *text)
{
    const char *has = bg_row_text(row, column);
    return strcmp(has ? has : "", text) == 0;
}

bool bg_cell_has_row(const bg_plan *p, const bg_cell *c, const bg_row *row)
{
    return row_says(row, BG_COL_SCHEME, bg_plan_name(p, c->scheme)) &&
           row_says(row, BG_COL_TEST, c->test) && row_says(row, BG_COL_ISA, bg_cell_isa(p, c)) &&
           row_says(row, BG_COL_ENGINE, p->engines[c->engine]->name) &&
           bg_row_number(row, BG_COL_THREADS) == c->threads;
}

void bg_fill_identity(bg_row *row, const bg_plan *p, const bg_cell *c)
{
    const bg_scheme *scheme = p->schemes[c->scheme];
    bg_row_set_text(row, BG_COL_SCHEME, bg_plan_name(p, c->scheme));
    if (scheme) {
        bg_row_set_number(row, BG_COL_LEVEL, bg_scheme_level(scheme));
        bg_row_set_text(row, BG_COL_SUFFIX, bg_scheme_suffix(scheme));
    } else {
        bg_row_set_absent(row, BG_COL_LEVEL, "formats were searched for");
        bg_row_set_absent(row, BG_COL_SUFFIX, "formats were searched for");
    }
    bg_row_set_text(row, BG_COL_ENGINE, p->engines[c->engine]->name);
    if (*bg_cell_isa(p, c)) bg_row_set_text(row, BG_COL_ISA, bg_cell_isa(p, c));
    else bg_row_set_absent(row, BG_COL_ISA, "the engine chooses it");
    bg_row_set_number(row, BG_COL_THREADS, c->threads);
    bg_row_set_text(row, BG_COL_TEST, c->test);
    bg_row_set_text(row, BG_COL_SOURCE, c->simulated || c->activations ? "simulated" : "measured");
    if (c->kind == BG_TEST_QUALITY) return;
    bg_row_set_number(row, BG_COL_N_PROMPT, c->kind == BG_TEST_PP ? c->n : 0);
    bg_row_set_number(row, BG_COL_N_GEN, c->kind == BG_TEST_TG ? c->n : 0);
    bg_row_set_number(row, BG_COL_DEPTH, c->depth);
}

/* The samples of one cell, column by column. */
typedef struct gathered {
    const bg_sample **list;
    size_t n_list, n, n_latencies, n_shares;
    double *tps, *ttft, *values, *latencies, *shares;
    double seconds, tokens;
    size_t tainted;
} gathered;

static void release(gathered *g)
{
    bg_free(g->list);
    bg_free(g->tps);
    bg_free(g->ttft);
    bg_free(g->values);
    bg_free(g->latencies);
    bg_free(g->shares);
}

static bg_status gather(gathered *g, const bg_plan *p, const bg_cell *c, const bg_results *r,
                        bg_error *err)
{
    size_t n, latencies = 0;
    memset(g, 0, sizeof *g);
    g->list = bg_alloc(BG_MAX(bg_results_sample_count(r), 1), sizeof *g->list);
    if (!g->list)
        return bg_fail_nomem(err, "samples", bg_results_sample_count(r) * sizeof *g->list);
    for (size_t i = 0; i < bg_results_sample_count(r); i++) {
        const bg_sample *s = bg_results_sample(r, i);
        if (!bg_cell_made(p, c, s)) continue;
        g->list[g->n_list++] = s;
        latencies += s->itl_count;
    }
    n = g->n_list;
    g->tps = bg_alloc(n, sizeof *g->tps);
    g->ttft = bg_alloc(n, sizeof *g->ttft);
    g->values = bg_alloc(n, sizeof *g->values);
    g->shares = bg_alloc(n, sizeof *g->shares);
    g->latencies = bg_alloc(latencies, sizeof *g->latencies);
    if (!g->tps || !g->ttft || !g->values || !g->shares || !g->latencies) {
        release(g);
        return bg_fail_nomem(err, "samples", (4 * n + latencies) * sizeof *g->tps);
    }
    for (size_t i = 0; i < g->n_list; i++) {
        const bg_sample *s = g->list[i];
        if (!(s->seconds > 0) || !(s->tokens > 0)) continue;
        g->tps[g->n] = s->tokens / s->seconds;
        if (s->roof_tps > 0) g->shares[g->n_shares++] = g->tps[g->n] / s->roof_tps;
        g->ttft[g->n++] = s->ttft_ms;
        g->seconds += s->seconds;
        g->tokens += s->tokens;
        g->tainted += s->tainted[0] != 0;
        for (size_t k = 0; k < s->itl_count; k++)
            g->latencies[g->n_latencies++] = (double)s->itl_ms[k];
    }
    return BG_OK;
}

/* Median over the repetitions that have it; NaN when none has. */
static double median_of(gathered *g, bg_counter id)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_list; i++) {
        const bg_sample *s = g->list[i];
        if (!(s->tokens > 0) || isnan(s->counters[id])) continue;
        g->values[n++] = bg_counter_get(id)->per_token ? s->counters[id] / s->tokens
                                                       : s->counters[id];
    }
    return bg_quantile(g->values, n, 0.5);
}

static void fill_energy(bg_row *row, const gathered *g)
{
    /* The first source that has a number; memory is metered apart from the packages. */
    static const struct { bg_counter ids[2]; const char *names[2]; } sources[] = {
        {{BG_COUNTER_ENERGY_PACKAGE, BG_COUNTER_ENERGY_DRAM}, {"package", "package+dram"}},
        {{BG_COUNTER_ENERGY_BATTERY, BG_COUNTER_ENERGY_BATTERY}, {"battery", "battery"}},
    };
    for (size_t k = 0; k < BG_COUNT(sources); k++) {
        bool both = sources[k].ids[0] != sources[k].ids[1];
        double joules[2] = {0, 0};
        for (size_t i = 0; i < g->n_list; i++)
            for (int id = 0; id < 2; id++)
                joules[id] += g->list[i]->counters[sources[k].ids[id]];
        if (isnan(joules[0]) || joules[0] <= 0) continue;
        both = both && joules[1] > 0;
        if (both) joules[0] += joules[1];
        bg_row_set_number(row, BG_COL_J_TOKEN, joules[0] / g->tokens);
        bg_row_set_number(row, BG_COL_WATTS, joules[0] / g->seconds);
        bg_row_set_text(row, BG_COL_ENERGY_SRC, sources[k].names[both]);
        return;
    }
}

/* The share is the median of the repetitions' shares, as the speed is of their speeds, and the roof
 * is where speed and share say that it is. */
static void fill_share(bg_row *row, const gathered *g, double tps)
{
    double share = bg_quantile(g->shares, g->n_shares, 0.5);
    bg_row_set_number(row, BG_COL_ROOF_PCT, 100 * share);
    bg_row_set_number(row, BG_COL_ROOF_VALUE, tps / share);
}

void bg_fill_roof(bg_row *row, const bg_bound *b)
{
    static const bg_column columns[] = {BG_COL_ROOF, BG_COL_ROOF_VALUE, BG_COL_ROOF_PCT,
                                        BG_COL_ROOF_COND};
    bg_row_set_text(row, BG_COL_ROOF, b->name);
    if (bg_row_has(row, BG_COL_ROOF_PCT)) {
        bg_row_set_number(row, BG_COL_ROOF_COND, bg_row_number(row, BG_COL_ROOF_VALUE) / b->tps);
    } else {
        bg_row_set_number(row, BG_COL_ROOF_VALUE, b->tps);
        bg_row_set_number(row, BG_COL_ROOF_PCT, 100 * bg_row_number(row, BG_COL_TPS) / b->tps);
        bg_row_set_absent(row, BG_COL_ROOF_COND, "the roof is that of the start");
    }
    for (size_t i = 0; b->reason[0] && i < BG_COUNT(columns); i++)
        if (!bg_row_has(row, columns[i])) bg_row_set_absent(row, columns[i], b->reason);
}

bg_status bg_fill_samples(bg_row *row, const bg_plan *p, const bg_cell *c, const bg_results *r,
                          bg_summary *s, bg_error *err)
{
    bg_summary own;
    gathered g;
    if (!s) s = &own;
    BG_TRY(gather(&g, p, c, r, err));
    bg_summarise(g.tps, g.n, p->seed, 0, s);
    bg_row_set_number(row, BG_COL_TPS, s->median);
    bg_row_set_number(row, BG_COL_TPS_LOW, s->ci_low);
    bg_row_set_number(row, BG_COL_TPS_HIGH, s->ci_high);
    bg_row_set_number(row, BG_COL_TPS_MIN, s->min);
    bg_row_set_number(row, BG_COL_TPS_MAD, s->mad);
    bg_row_set_number(row, BG_COL_REPS, (double)g.n);
    bg_row_set_number(row, BG_COL_WARM_UPS, c->warm_ups);
    bg_row_set_number(row, BG_COL_OUTLIERS, (double)s->outliers);
    bg_row_set_number(row, BG_COL_TAINTED, (double)g.tainted);
    if (c->kind == BG_TEST_PP) bg_row_set_number(row, BG_COL_TTFT, bg_quantile(g.ttft, g.n, 0.5));
    bg_row_set_number(row, BG_COL_ITL_P50, bg_quantile(g.latencies, g.n_latencies, 0.5));
    bg_row_set_number(row, BG_COL_ITL_P99, bg_quantile(g.latencies, g.n_latencies, 0.99));
    fill_share(row, &g, s->median);
    fill_energy(row, &g);
#define BG_COUNTER(NAME, name, unit, per, better, width, title) \
    bg_row_set_number(row, BG_COL_COUNTER_##NAME, median_of(&g, BG_COUNTER_##NAME));
#include "bitgauge/counters.def"
    bg_row_set_text(row, BG_COL_STATUS, "ok");
    release(&g);
    return BG_OK;
}

void bg_fill_quality(bg_row *row, const bg_quality *q)
{
    bg_row_set_number(row, BG_COL_PPL, q->ppl);
    bg_row_set_number(row, BG_COL_PPL_SE, q->ppl_se);
    bg_row_set_number(row, BG_COL_WINDOWS, (double)q->windows);
    bg_row_set_text(row, BG_COL_STATUS, "ok");
    if (!q->has_base) return;
    bg_row_set_number(row, BG_COL_BASE_PPL, q->base_ppl);
    bg_row_set_number(row, BG_COL_KLD, q->kld_mean);
    bg_row_set_number(row, BG_COL_KLD_SE, q->kld_se);
    bg_row_set_number(row, BG_COL_KLD_P99, q->kld_p99);
    bg_row_set_number(row, BG_COL_SAME_TOP, q->same_top_pct);
    bg_row_set_number(row, BG_COL_RMS_DP, q->rms_dp_pct);
}

void bg_fill_counts(bg_row *row, const double per_token[BG_SIM_COUNT])
{
    for (int i = 0; i < BG_SIM_COUNT; i++)
        bg_row_set_number(row, (bg_column)(BG_COL_SIM_INSTRUCTIONS + i), per_token[i]);
    bg_row_set_text(row, BG_COL_STATUS, "ok");
}

/* Columns that only some kinds of test fill. */
static const char *usual_reason(const bg_plan *p, const bg_cell *c, bg_column col)
{
    bool timed = bg_cell_timed(c);
    if (col == BG_COL_SUFFIX) return "the scheme has none";
    if (col >= BG_COL_PPL && col <= BG_COL_WINDOWS)
        return c->kind == BG_TEST_QUALITY ? "unknown"
               : p->quality == BG_QUALITY_OFF ? "quality is off"
                                              : "in the row of test quality";
    if (col >= BG_COL_SIM_INSTRUCTIONS && col < BG_COL_SIM_INSTRUCTIONS + BG_SIM_COUNT)
        return p->simulate ? "in the rows of tests sim-..." : "--counters callgrind was not given";
    if (!timed && ((col >= BG_COL_TIER && col <= BG_COL_ROOF_COND) ||
                   (col >= BG_COL_RSS_BYTES && col <= BG_COL_SCRATCH) ||
                   (col >= BG_COL_J_TOKEN && col <= BG_COL_TAINTED)))
        return "not a timed test";
    if (col == BG_COL_TTFT) return "measured by the prompt tests";
    if (col == BG_COL_ITL_P50 || col == BG_COL_ITL_P99) return "measured by the generation tests";
    if (col == BG_COL_TPS_LOW || col == BG_COL_TPS_HIGH) return "needs 8 repetitions";
    return "unknown";
}

void bg_fill_absent(bg_row *row, const bg_plan *p, const bg_cell *c)
{
    const char *status = bg_row_text(row, BG_COL_STATUS);
    bool failed = status && strcmp(status, "failed") == 0;
    for (int i = 0; i < BG_COL_COUNT; i++) {
        bg_column col = (bg_column)i;
        if (bg_row_has(row, col) || col == BG_COL_REASON || col == BG_COL_ABSENT) continue;
        bg_row_set_absent(row, col, failed && col != BG_COL_SUFFIX ? "the cell failed"
                                                                   : usual_reason(p, c, col));
    }
}
