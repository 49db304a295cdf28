#include "results/store.h"

#include <math.h>
#include <string.h>

static const double TWO_SIDED_95 = 1.959963984540054; /* of the normal law */

#define NONE BG_COL_COUNT
/* low and high, or a standard error, or neither. */
static const struct { bg_column column, low, high, error, n; } measures[] = {
    {BG_COL_TPS, BG_COL_TPS_LOW, BG_COL_TPS_HIGH, NONE, BG_COL_REPS},
    {BG_COL_TTFT, NONE, NONE, NONE, BG_COL_REPS},
    {BG_COL_ITL_P50, NONE, NONE, NONE, BG_COL_REPS},
    {BG_COL_ITL_P99, NONE, NONE, NONE, BG_COL_REPS},
    {BG_COL_ROOF_PCT, NONE, NONE, NONE, BG_COL_REPS},
    {BG_COL_WEIGHT_BYTES, NONE, NONE, NONE, NONE},
    {BG_COL_RSS_BYTES, NONE, NONE, NONE, NONE},
    {BG_COL_LOAD_S, NONE, NONE, NONE, NONE},
    {BG_COL_J_TOKEN, NONE, NONE, NONE, NONE},
    {BG_COL_PPL, NONE, NONE, BG_COL_PPL_SE, BG_COL_WINDOWS},
    {BG_COL_KLD, NONE, NONE, BG_COL_KLD_SE, BG_COL_WINDOWS},
    {BG_COL_KLD_P99, NONE, NONE, NONE, BG_COL_WINDOWS},
    {BG_COL_SAME_TOP, NONE, NONE, NONE, BG_COL_WINDOWS},
    {BG_COL_COUNTER_INSTRUCTIONS, NONE, NONE, NONE, BG_COL_REPS},
    {BG_COL_COUNTER_L3_MISSES, NONE, NONE, NONE, BG_COL_REPS},
    {BG_COL_COUNTER_BRANCH_MISSES, NONE, NONE, NONE, BG_COL_REPS},
#define BG_SIM(NAME, name, events, unit, width, title) {BG_COL_##NAME, NONE, NONE, NONE, NONE},
#include "bitgauge/simulated.def"
};
_Static_assert(BG_COUNT(measures) <= BG_MEASURES, "room for all of them");

static double number(const bg_row *r, bg_column c) { return c == NONE ? NAN : bg_row_number(r, c); }

size_t bg_row_measures(const bg_row *r, bg_measure out[BG_MEASURES])
{
    const char *status = bg_row_text(r, BG_COL_STATUS);
    size_t n = 0;
    if (status && strcmp(status, "ok") != 0) return 0;
    for (size_t i = 0; i < BG_COUNT(measures); i++) {
        bg_measure m = {measures[i].column, number(r, measures[i].column),
                        number(r, measures[i].low), number(r, measures[i].high),
                        number(r, measures[i].n)};
        double error = number(r, measures[i].error);
        if (isnan(m.value)) continue;
        if (!isnan(error)) {
            m.low = m.value - TWO_SIDED_95 * error;
            m.high = m.value + TWO_SIDED_95 * error;
        }
        out[n++] = m;
    }
    return n;
}
