/* hunt.h: a search that is going on. Internal to the search room. */
#ifndef BG_SEARCH_HUNT_H
#define BG_SEARCH_HUNT_H

#include "search/evaluate.h"
#include "search/memo.h"
#include "search/space.h"

/* Windows that an evaluation takes, by how sure one must be. The few are others from time to time
 * (bg_hunt_turn): what looks good by chance does so once. */
typedef enum bg_level {
    BG_LEVEL_FEW, BG_LEVEL_SOME, BG_LEVEL_MOST, BG_LEVEL_ALL, BG_LEVEL_COUNT
} bg_level;

/* A choice of formats and of what is left of the layers. */
typedef struct bg_place {
    uint8_t *picks, *levels;
    uint64_t bytes;
    double most, kld;        /* expected at BG_LEVEL_MOST and ALL; NaN: it was not measured */
    double measured;         /* the divergence itself at ALL */
} bg_place;

/* Another level of a layer: what it changes at some picks, in nats and bytes. */
typedef struct bg_reshape {
    uint32_t layer;
    uint8_t level;
    double cost, net;        /* net: with what its bytes buy or cost elsewhere */
    double doubt;            /* of the cost: variance */
    double drawn;            /* scratch: net, as it might be */
    double saved;
    uint8_t from;            /* the level that it was measured at */
} bg_reshape;

/* Something to try; score: by what is known of it so far. */
typedef struct bg_mutant { uint8_t *picks, *levels; double score; size_t index; } bg_mutant;

typedef struct bg_hunt {
    const bg_search_options *o;
    uint64_t budget;         /* bytes of the file that formats are chosen for */
    bg_space space;
    bg_evaluator *evaluator;
    bg_memo *memo;
    bg_rng rng;
    size_t windows[BG_LEVEL_COUNT];
    bg_format *formats;      /* scratch: of all tensors */
    bg_format *anchor;       /* what evaluations are near to; made an anchor when one is due */
    uint8_t *anchor_levels;
    bool anchored;
    uint8_t *mended;         /* scratch: picks that fit what pruning leaves */
    bg_place at;             /* where the search goes on from, */
    bg_place best;           /* and the best of all so far */
    bg_pruner *pruner;       /* NULL: nothing is pruned */
    bg_reshape *reshapes;    /* what was learnt last of other shapes */
    size_t n_reshapes;
    size_t few_at;           /* the first of the few windows */
    uint64_t start_ns, evaluations, asked;
    double effort;           /* share of the time and the evaluations that may be spent by now */
    bool told;               /* to stop, by who asked for it all */
    bool foresees;           /* what feedback will leave of divergences, once this is known: */
    double least;            /* what the finest formats cost the whole model; NaN: not yet */
    uint8_t *finest;         /* [items] room for these formats where something is pruned */
    bg_search_state state;
} bg_hunt;

/* The divergence of some picks at the space's levels, remembered or measured, and what
 * bg_hunt_expect makes of it. BG_ERR_INTERRUPTED: time to stop. */
bg_status bg_hunt_measure(bg_hunt *h, const uint8_t *picks, bg_level level, double *kld,
                          bg_error *err);
/* Whether what feedback makes good can be counted: where it follows, nothing is pruned first or
 * last and there is time to measure all sensitivities. */
bool bg_hunt_can_foresee(const bg_hunt *h);
/* All sensitivities are known, and what the finest formats cost: from now on it is counted. Again,
 * of a pruned model: costs are others, what is counted stays. */
void bg_hunt_foresee(bg_hunt *h, double least);
/* Of a divergence of some picks, what to go by; `gone`: that of what the space's levels prune
 * alone. */
double bg_hunt_expect(const bg_hunt *h, const uint8_t *picks, double kld, double gone);
/* What follows is near these. */
void bg_hunt_settle(bg_hunt *h, const uint8_t *picks);
/* Goes there if on all windows it is better than where the search is. */
bg_status bg_hunt_offer(bg_hunt *h, const uint8_t *picks, bool *better, bg_error *err);
/* Other windows for what follows. */
void bg_hunt_turn(bg_hunt *h);
/* Measures all that have a finite score on little text, the best of them on more, and offers the
 * best of these. */
bg_status bg_hunt_try(bg_hunt *h, bg_mutant *m, size_t n, bool *better, bg_error *err);
/* Memory for n of them; NULL: there is none. Free with bg_free. */
bg_mutant *bg_hunt_mutants(const bg_hunt *h, size_t n, bg_error *err);
/* The least sum of costs, where each change from `near` costs `damping` of the largest gain more. */
bg_status bg_hunt_solve(bg_hunt *h, const uint8_t *near, double damping, uint8_t *picks,
                        bg_error *err);
bg_status bg_place_open(bg_place *p, const bg_space *s, bg_error *err);
void bg_place_close(bg_place *p);
void bg_place_copy(bg_place *to, const bg_place *from, const bg_space *s);
/* Progress of a stage. */
void bg_hunt_stage(bg_hunt *h, const char *stage, double fraction);

/* The stages, one after another. */
bg_status bg_hunt_sensitivity(bg_hunt *h, bg_error *err);
bg_status bg_hunt_refine(bg_hunt *h, bg_error *err);
/* A round of it, with or without learning more first. */
bg_status bg_hunt_step(bg_hunt *h, bool learn, bool *better, bg_error *err);
/* Generations of mutants, until so many were idle. */
bg_status bg_hunt_evolve(bg_hunt *h, int patience, bg_error *err);
/* Costs of formats as they might be, by what is in doubt of them; and back to what is believed. */
void bg_hunt_draw(bg_hunt *h);
void bg_hunt_undraw(bg_hunt *h);
/* On the few windows a mutant of where the search is changes the divergence by so much. */
void bg_hunt_learn(bg_hunt *h, const bg_mutant *m, double change);
/* Variance of a difference of two divergences on the few windows, for their text alone; and of a
 * cost that was seen there once. */
double bg_hunt_noise(const bg_hunt *h);
double bg_hunt_doubt(const bg_hunt *h, double cost);
/* Whether the divergence fell from `before` by as much as is worth going on for. */
bool bg_hunt_gained(const bg_hunt *h, double before);
/* Adds shapes of layers that are worth their bytes, or nearly so, with formats solved anew; `n` of
 * `most` are there already. By what was learnt last. */
bg_status bg_hunt_reshape(bg_hunt *h, bg_mutant *m, size_t *n, size_t most, bg_error *err);
/* Tries shapes that lose least by themselves, each with formats of its own; goes to the best. */
bg_status bg_hunt_prune_begin(bg_hunt *h, bg_error *err);
/* The other levels that layers could have next: less of something, all gone, or with `back` also
 * more. `all`: room for BG_HUNT_RESHAPES a layer. */
enum { BG_HUNT_RESHAPES = 2 * BG_PRUNER_STEPS + 1 };
size_t bg_hunt_reshapes(const bg_hunt *h, bool back, bg_reshape *all);
/* Measures one at some picks, whose divergence is `here`. It costs infinitely much where it leaves
 * less than `share` of the weights, or is a cut that saves nothing. */
bg_status bg_hunt_weigh(bg_hunt *h, const uint8_t *picks, double share, double here, bg_reshape *r,
                        bg_error *err);
/* Takes away o->prune of the weights before formats are chosen; and afterwards, with the best's
 * formats, what is over so many bytes. */
bg_status bg_hunt_prune_first(bg_hunt *h, bg_error *err);
bg_status bg_hunt_prune_last(bg_hunt *h, uint64_t file_bytes, bg_error *err);

#endif
