/* confirm.h: measuring again what a comparison could not settle. Internal. */
#ifndef BG_CLI_CONFIRM_H
#define BG_CLI_CONFIRM_H

#include "cli/cli.h"

#include "bitgauge/compare.h"

/* Sweeps the cells of `c` that are worse or inconclusive for want of certainty, and those that they
 * are judged beside, as `r` (the new folder) says it was swept, into a folder confirm-N inside it,
 * with twice as many repetitions. model NULL: the embedded one; llama_bench, for cells of
 * llama.cpp, NULL: along $PATH. *confirmed stays NULL when there is nothing to measure again.
 * BG_ERR_INPUT: another model, or another build of llama.cpp. */
bg_status bg_cli_confirm(bg_results **confirmed, const bg_comparison *c, const bg_results *r,
                         const char *model, const char *llama_bench, bg_error *err);

#endif
