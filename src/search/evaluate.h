/* evaluate.h: what a choice of formats costs at the model's output. Internal to the search room.
 *
 * What the teacher predicts with on the windows of a text is kept. A student is the same model with other
 * weights in some places: every quantized matrix is made once and kept as long as memory allows, and
 * layers before the first that differs from the anchor's are not run again, but for up to seven where
 * memory is short. */
#ifndef BG_SEARCH_EVALUATE_H
#define BG_SEARCH_EVALUATE_H

#include "base/base.h"
#include "base/team.h"
#include "search/prune.h"

typedef struct bg_evaluator bg_evaluator;

typedef struct bg_evaluator_options {
    uint32_t n_ctx;          /* of a window, 4 to 512; 0: 256 */
    uint32_t first_scored;   /* position whose prediction is the first that counts; 0: n_ctx / 2 */
    size_t max_windows;      /* 0: all; spread over the text, in an order of the seed's */
    size_t kept_windows;     /* of which an anchor's streams are kept, the first; 0: all */
    uint64_t seed;           /* 0: in the order of the text */
    size_t memory;           /* half for matrices, half for what layers gave; 0: a third of the model's,
                              * but at least 64 MiB */
    bg_isa isa;
    bg_team *team;
    const bg_importance *importance; /* for quantizing; may be NULL */
    bg_pruner *pruner;       /* for levels; may be NULL */
} bg_evaluator_options;

/* A student: formats are a recipe's, one a tensor; levels, one a layer (prune.h), NULL for all 0. */
typedef struct bg_student { const bg_format *formats; const uint8_t *levels; } bg_student;

/* The model and its file, mapped, outlive it. What is packed of the model's layers is let go: see
 * bg_model_unpack. */
bg_status bg_evaluator_open(bg_evaluator **e, const bg_model *m, const int32_t *tokens,
                            size_t n_tokens, const bg_evaluator_options *o, bg_error *err);
void bg_evaluator_close(bg_evaluator **e);
size_t bg_evaluator_windows(const bg_evaluator *e);

/* Of how many windows streams are kept. */
size_t bg_evaluator_kept(const bg_evaluator *e);

/* Mean KL divergence from the teacher over `windows` windows from `first` on, an even one. */
bg_status bg_evaluator_run(bg_evaluator *e, bg_student st, size_t first, size_t windows,
                           double *kld, bg_error *err);
/* The same over the first ones, at most the kept ones: what each layer leaves there is kept for the
 * students that follow. */
bg_status bg_evaluator_anchor(bg_evaluator *e, bg_student st, size_t windows, double *kld,
                              bg_error *err);
/* Layers run, and those that were not. */
void bg_evaluator_work(const bg_evaluator *e, uint64_t *run, uint64_t *reused);

#endif
