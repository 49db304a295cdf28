#include "results/store.h"

#include "bitgauge/stats.h"

#include <string.h>

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
            if (!(s->seconds > 0) || !(s->tokens > 0) || !bg_sample_is_of(s, r->rows[i])) continue;
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
