#include "compare/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double tps(const bg_sample *s, int counter)
{
    (void)counter;
    return s->tokens / s->seconds;
}

static double ttft(const bg_sample *s, int counter)
{
    (void)counter;
    return s->ttft_ms;
}

static double latency(const bg_sample *s, double quantile)
{
    double *values = s->itl_count ? bg_alloc(s->itl_count, sizeof *values) : NULL, result;
    if (!values) return NAN;
    for (size_t i = 0; i < s->itl_count; i++) values[i] = (double)s->itl_ms[i];
    result = bg_quantile(values, s->itl_count, quantile);
    bg_free(values);
    return result;
}

static double latency_p50(const bg_sample *s, int counter)
{
    (void)counter;
    return latency(s, 0.5);
}

static double latency_p99(const bg_sample *s, int counter)
{
    (void)counter;
    return latency(s, 0.99);
}

static double count(const bg_sample *s, int counter) { return s->counters[counter]; }
static double count_per_1(const bg_sample *s, int counter)
{
    return s->counters[counter] / s->tokens;
}
#define count_per_0 count

/* Below this many nats is what float arithmetic in another order makes. */
static const double NATS = 1e-6;

static const bg_metric metrics[] = {
    {BG_COL_TPS, false, 0, tps, 0},
    {BG_COL_TTFT, false, 0, ttft, 0},
    {BG_COL_ITL_P50, false, 0, latency_p50, 0},
    {BG_COL_ITL_P99, false, 0, latency_p99, 0},
    {BG_COL_LOAD_S, false, 0, NULL, 0},
    {BG_COL_QUANTIZE_S, false, 0, NULL, 0},
    {BG_COL_J_TOKEN, false, 0, NULL, 0},
    {BG_COL_WATTS, false, 0, NULL, 0},
    {BG_COL_BPW, true, 0, NULL, 0},
    {BG_COL_WEIGHT_BYTES, true, 0, NULL, 0},
    {BG_COL_RSS_BYTES, true, 0, NULL, 0},
    {BG_COL_KV_BYTES, true, 0, NULL, 0},
    {BG_COL_SCRATCH, true, 0, NULL, 0},
    {BG_COL_KV_TOKEN, true, 0, NULL, 0},
    {BG_COL_PPL, true, 0, NULL, 0},
    {BG_COL_KLD, true, NATS, NULL, 0},
    {BG_COL_KLD_P99, true, NATS, NULL, 0},
    {BG_COL_SAME_TOP, true, 0, NULL, 0},
    {BG_COL_RMS_DP, true, 1e-3, NULL, 0},
#define BG_COUNTER(NAME, name, unit, per, better, width, title) \
    {BG_COL_COUNTER_##NAME, false, 0, count_per_##per, BG_COUNTER_##NAME},
#include "bitgauge/counters.def"
};

bool bg_metric_find(bg_column column, bg_metric *out)
{
    const bg_column_info *info = bg_column_get(column);
    if (info->better == 0) return false;
    for (size_t i = 0; i < BG_COUNT(metrics); i++)
        if (metrics[i].column == column) {
            *out = metrics[i];
            return true;
        }
    /* Counts of a simulated processor are the same in every run. */
    *out = (bg_metric){.column = column, .exact = true};
    return strncmp(info->name, "sim_", 4) == 0;
}

bool bg_same_text(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

typedef struct placed { uint64_t position; double value; } placed;

static int by_position(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

bg_status bg_series_take(bg_series *out, const bg_results *r, const bg_row *row,
                         const bg_metric *m, double scale, bg_error *err)
{
    size_t most = bg_results_sample_count(r);
    placed *list = bg_alloc(BG_MAX(most, 1), sizeof *list);
    *out = (bg_series){.values = bg_alloc(BG_MAX(most, 1), sizeof *out->values),
                       .positions = bg_alloc(BG_MAX(most, 1), sizeof *out->positions)};
    if (!list || !out->values || !out->positions) {
        bg_free(list);
        bg_series_fini(out);
        return bg_fail_nomem(err, "samples", most * sizeof *list);
    }
    for (size_t i = 0; i < most && m->sample; i++) {
        const bg_sample *s = bg_results_sample(r, i);
        double value;
        if (!bg_sample_is_of(s, row)) continue;
        value = m->sample(s, m->counter) * scale;
        if (!isfinite(value) || value <= 0) continue; /* not measured; medians are of positives */
        list[out->n++] = (placed){s->position, value};
        out->tainted += s->tainted[0] != 0;
    }
    qsort(list, out->n, sizeof *list, by_position);
    for (size_t i = 0; i < out->n; i++) {
        out->values[i] = list[i].value;
        out->positions[i] = list[i].position;
    }
    bg_free(list);
    return BG_OK;
}

void bg_series_fini(bg_series *s)
{
    bg_free(s->values);
    bg_free(s->positions);
    *s = (bg_series){0};
}
