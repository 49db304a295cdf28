/* What each scheme needs to run. */
#include "report/report.h"

#include <math.h>

void bg_section_memory(const report *r, doc *d)
{
    const bg_candidate *c = bg_advice_pick(r->advice);
    double token = bg_row_number(c->any, BG_COL_KV_TOKEN);
    char kv[32], token_size[32];
    bg_doc_heading(d, 2, "Memory");
    if (isnan(token))
        bg_doc_text(d,
                    "Weights, KV cache and activations. How much the KV cache takes per token of "
                    "context is unknown, so it is counted as in the sweep.");
    else
        bg_doc_text(d, "Weights, the KV cache of %u tokens of context (%s, %s a token in every "
                       "scheme%s) and the activations of decoding. `--ctx` counts another context.",
                    bg_advice_ctx(r->advice), bg_format_size(kv, sizeof kv, c->kv_bytes),
                    bg_format_size(token_size, sizeof token_size, token),
                    bg_row_number(c->any, BG_COL_KV_WINDOW_B) > 0
                        ? " in layers that see all of it; the others keep the last tokens only"
                        : "");
    if (c->pp && bg_row_number(c->pp, BG_COL_SCRATCH) > c->scratch_bytes)
        bg_doc_text(
            d,
            "Prefill at full speed takes another %s for the activations of a whole batch; "
            "a smaller batch takes less.",
            bg_format_size(kv, sizeof kv, bg_row_number(c->pp, BG_COL_SCRATCH) - c->scratch_bytes));
    bg_report_figure(r, d, BG_PLOT_MEMORY, "Stacked bars of memory by scheme: weights, KV cache, "
                     "activations", "Memory by scheme; the pick is framed.");
}
