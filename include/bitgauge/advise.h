/* bitgauge/advise.h: from results to a recommendation with its reasons. Reads results only. */
#ifndef BITGAUGE_ADVISE_H
#define BITGAUGE_ADVISE_H

#include "bitgauge/published.h"
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
    double max_kld;           /* 0: none but BG_ADVISE_USELESS_KLD */
    double max_ppl_loss_pct;  /* 0: none */
    bg_objective objective;
    const char *engine;       /* only what this one ran, as the results name it; NULL: any */
} bg_advise_options;

/* The exchange rate of "balanced". With the speed v that a scheme is sure to reach, the low end of
 * its interval but not below half the median, and KL divergence k, its score is
 *     ln(v) / ln(BG_ADVISE_SPEED_SPAN)
 *         - ln(1 + k / BG_ADVISE_FELT_KLD) / ln(1 + BG_ADVISE_USELESS_KLD / BG_ADVISE_FELT_KLD)
 * which is its distance above the chord from a lossless model to one SPEED_SPAN times as fast that
 * is useless. The knee of the front is the point farthest above that chord. The ends are constants,
 * not the extremes of a sweep, so a scheme that nobody would choose cannot move the pick. */
#define BG_ADVISE_SPEED_SPAN 4.0   /* 16 bits a weight against 4 */
#define BG_ADVISE_FELT_KLD 0.01    /* nats; differences far below it are not felt */
#define BG_ADVISE_USELESS_KLD 1.0  /* nats; no longer the same model: only --max-kld lets it in */

/* Relative half-width that a speed without an interval (too few repetitions) is taken to have. */
#define BG_ADVISE_UNKNOWN_NOISE 0.05

/* What the quality loss of the candidates rests on; the first that the results have. */
typedef enum bg_loss_basis {
    BG_LOSS_KLD,      /* KL divergence, measured, or of a shape published */
    BG_LOSS_PPL,      /* ln(ppl / base ppl), which estimates it */
    BG_LOSS_BPW       /* estimate: 32 * 4^-bpw, each bit quarters the squared error */
} bg_loss_basis;

/* One scheme in one engine as a candidate: its rows joined, for speed the fastest of each test over
 * instruction sets and threads. Unknown numbers are NaN, rows NULL. Borrowed from the results and
 * the advice.
 */
typedef struct bg_candidate {
    const char *scheme, *engine;
    const char *name;         /* for people: the scheme, "Q4_K_M with llama.cpp" where there are
                                 several engines */
    const char *quality_by;   /* the engine that measured its quality, where that is another */
    const bg_row *any, *tg, *pp, *quality; /* any: the first row, also of a failed scheme */
    double bpw, weight_bytes, kv_bytes, scratch_bytes, memory_bytes; /* memory: their sum */
    double tg_tps, tg_low, tg_high, pp_tps, pp_low, pp_high;
    double ppl, ppl_loss_pct, kld, kld_se, same_top_pct, j_per_token;
    double loss;              /* nats, on the advice's basis; of one scheme the same in all engines
                                 whose KL divergences are equal within their errors */
    bool on_front;            /* of quality loss against median decode speed, among those left */
    const char *removed_by;   /* NULL, or the constraint, in words: "needs 6.1 MB, limit 5 MB" */
} bg_candidate;

typedef struct bg_advice bg_advice;

/* BG_ERR_INFEASIBLE when no candidate meets the constraints: *a is set all the same, and its pick
 * is the nearest feasible choice (the one that asks for the least relaxing). BG_ERR_INPUT, and *a
 * NULL, when the results hold no scheme that was measured. Deterministic. r outlives *a. */
bg_status bg_advise(bg_advice **a, const bg_results *r, const bg_advise_options *o, bg_error *err);
void bg_advice_close(bg_advice **a);

const bg_candidate *bg_advice_pick(const bg_advice *a);
bool bg_advice_feasible(const bg_advice *a);
bg_loss_basis bg_advice_basis(const bg_advice *a);
bg_objective bg_advice_objective(const bg_advice *a);
uint32_t bg_advice_ctx(const bg_advice *a);                       /* whose KV cache was counted */
size_t bg_advice_count(const bg_advice *a);                       /* candidates, by size */
const bg_candidate *bg_advice_candidate(const bg_advice *a, size_t i);
/* The model (its F16 row) whose published quality stands in the candidates of a shape's sweep; NULL
 * when theirs was measured, or there is none. */
const bg_published_row *bg_advice_published(const bg_advice *a);
/* Its speeds are predicted from some of the layers. */
bool bg_candidate_predicted(const bg_candidate *c);
/* Each median lies within the other's interval: as fast, as far as was measured. */
bool bg_advise_equal_speed(const bg_candidate *a, const bg_candidate *b);
size_t bg_advice_reason_count(const bg_advice *a);                /* sentences */
const char *bg_advice_reason(const bg_advice *a, size_t i);
/* Runners-up, best first, each with why it came after. */
size_t bg_advice_runner_up_count(const bg_advice *a);
const bg_candidate *bg_advice_runner_up(const bg_advice *a, size_t i, const char **why);
/* Changes of a constraint that would change the pick: "with --memory 6.2MB: Q5_K_M". */
size_t bg_advice_change_count(const bg_advice *a);
const char *bg_advice_change(const bg_advice *a, size_t i);

/* The command that makes a candidate's file; NULL: the results do not tell, or no memory. Free with
 * bg_free_text. */
char *bg_advice_command(const bg_advice *a, const bg_candidate *c);

/* Both end with a newline; free with bg_free_text. JSON keys: scheme, objective, reasons, front,
 * runners_up, removed, changes, feasible, pick, nearest, command. The text ends with a line
 * "recommended: SCHEME ..."; when infeasible "recommended: none ...", and JSON has scheme null and
 * `nearest` set. */
bg_status bg_advice_text(const bg_advice *a, int width, char **text, bg_error *err);
bg_status bg_advice_json(const bg_advice *a, char **text, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
