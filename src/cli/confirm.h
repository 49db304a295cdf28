/* confirm.h: measuring again what a comparison could not settle. Internal. */
#ifndef BG_CLI_CONFIRM_H
#define BG_CLI_CONFIRM_H

#include "cli/cli.h"

#include "bitgauge/compare.h"

/* Sweeps the cells of `c` that are worse or inconclusive for want of certainty, and those that they are
 * judged beside, as `r` (the new folder) says it was swept, into a folder confirm-N inside it, with
 * twice as many repetitions. model
 * NULL: the embedded one. *confirmed stays NULL when there is nothing to measure again. */
bg_status bg_cli_confirm(bg_results **confirmed, const bg_comparison *c, const bg_results *r,
                         const char *model, bg_error *err);

#endif
