/* bitgauge/advise.h: from results to a recommendation with its reasons. Reads results only. */
#ifndef BITGAUGE_ADVISE_H
#define BITGAUGE_ADVISE_H

#include "bitgauge/results.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bg_objective {
    BG_OBJECTIVE_BALANCED, BG_OBJECTIVE_SPEED, BG_OBJECTIVE_QUALITY, BG_OBJECTIVE_SIZE,
    BG_OBJECTIVE_ENERGY, BG_OBJECTIVE_COUNT
} bg_objective;
const char *bg_objective_name(bg_objective o);

typedef struct bg_advise_options {
    uint64_t memory;          /* bytes; 0: what the machine had available */
    uint32_t ctx;             /* context whose KV cache counts; 0: the sweep's own */
    double min_tps;           /* 0: none */
    double max_kld;           /* 0: none */
    double max_ppl_loss_pct;  /* 0: none */
    bg_objective objective;
} bg_advise_options;

/* One scheme as a candidate: its rows joined. Unknown numbers are NaN. */
typedef struct bg_candidate {
    const char *scheme;
    double bpw, weight_bytes, memory_bytes, tg_tps, tg_low, tg_high, pp_tps, ppl, ppl_loss_pct,
        kld, kld_se, j_per_token;
    bool on_front;            /* of quality loss against decode speed */
    const char *removed_by;   /* NULL, or the constraint, in words: "needs 6.1 MB, limit 5 MB" */
} bg_candidate;

typedef struct bg_advice bg_advice;

/* BG_ERR_INFEASIBLE when no candidate meets the constraints: *a is set all the same, and its pick
 * is the nearest feasible choice (least relaxed constraint). Deterministic. */
bg_status bg_advise(bg_advice **a, const bg_results *r, const bg_advise_options *o, bg_error *err);
void bg_advice_close(bg_advice **a);

const bg_candidate *bg_advice_pick(const bg_advice *a);
size_t bg_advice_count(const bg_advice *a);                       /* candidates, by size */
const bg_candidate *bg_advice_candidate(const bg_advice *a, size_t i);
size_t bg_advice_reason_count(const bg_advice *a);                /* sentences */
const char *bg_advice_reason(const bg_advice *a, size_t i);
/* Runners-up, best first, each with why it came after. */
size_t bg_advice_runner_up_count(const bg_advice *a);
const bg_candidate *bg_advice_runner_up(const bg_advice *a, size_t i, const char **why);
/* Changes of a constraint that would change the pick: "with --memory 6.2MB: Q5_K_M". */
size_t bg_advice_change_count(const bg_advice *a);
const char *bg_advice_change(const bg_advice *a, size_t i);

/* Both end with a newline; free with bg_free_text. JSON keys: scheme, objective, reasons, front,
 * runners_up, removed, changes, feasible. The text ends with "recommended: SCHEME ...". */
bg_status bg_advice_text(const bg_advice *a, int width, char **text, bg_error *err);
bg_status bg_advice_json(const bg_advice *a, char **text, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
