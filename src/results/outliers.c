#include "results/store.h"

#include "bitgauge/stats.h"

#include <string.h>

static bool is_text(const bg_row *row, bg_column c, const char *text)
{
    const char *has = bg_row_text(row, c);
    return strcmp(has ? has : "", text) == 0;
}

static bool is_of(const bg_sample *s, const bg_row *row)
{
    return bg_row_number(row, BG_COL_THREADS) == s->threads && is_text(row, BG_COL_TEST, s->test) &&
           is_text(row, BG_COL_ISA, s->isa) && is_text(row, BG_COL_SCHEME, s->scheme);
}

bg_status bg_results_label(bg_results *r, bg_error *err)
{
    double *speeds = bg_alloc(r->n_samples, sizeof *speeds);
    size_t *which = bg_alloc(r->n_samples, sizeof *which);
    bg_status status = speeds && which ? BG_OK : bg_fail_nomem(err, "samples", r->n_samples);
    for (size_t i = 0; i < r->n_rows && status == BG_OK; i++) {
        bg_fences fences;
        size_t n = 0;
        for (size_t k = 0; k < r->n_samples; k++) {
            const bg_sample *s = &r->samples[k];
            if (!(s->seconds > 0) || !(s->tokens > 0) || !is_of(s, r->rows[i])) continue;
            which[n] = k;
            speeds[n++] = s->tokens / s->seconds;
        }
        fences = bg_stats_fences(speeds, n);
        for (size_t k = 0; k < n; k++)
            strcpy(r->samples[which[k]].outlier, speeds[k] < fences.low    ? "slow"
                                                 : speeds[k] > fences.high ? "fast"
                                                                           : "");
    }
    bg_free(speeds);
    bg_free(which);
    return status;
}
