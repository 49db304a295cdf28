/* hunt.h: a search that is going on. Internal to the search room. */
#ifndef BG_SEARCH_HUNT_H
#define BG_SEARCH_HUNT_H

#include "search/evaluate.h"
#include "search/memo.h"
#include "search/space.h"

/* Windows that an evaluation takes, by how sure one must be. */
typedef enum bg_level { BG_LEVEL_FEW, BG_LEVEL_SOME, BG_LEVEL_ALL, BG_LEVEL_COUNT } bg_level;

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
    uint8_t *best;           /* picks of the best so far, */
    uint8_t *best_levels;    /* and its layers' levels */
    bg_pruner *pruner;       /* NULL: nothing is pruned */
    uint64_t best_bytes;
    double best_kld;         /* at BG_LEVEL_ALL; NaN before the first */
    uint64_t start_ns, evaluations, asked;
    double effort;           /* share of the time and the evaluations that may be spent by now */
    bool told;               /* to stop, by who asked for it all */
    bg_search_state state;
} bg_hunt;

/* The divergence of some picks at the space's levels, remembered or measured. BG_ERR_INTERRUPTED: time
 * to stop. */
bg_status bg_hunt_measure(bg_hunt *h, const uint8_t *picks, bg_level level, double *kld,
                          bg_error *err);
/* What follows is near these. */
void bg_hunt_settle(bg_hunt *h, const uint8_t *picks);
/* Measures at the highest level and takes them if they are better. */
bg_status bg_hunt_offer(bg_hunt *h, const uint8_t *picks, bool *better, bg_error *err);
/* Progress of a stage. */
void bg_hunt_stage(bg_hunt *h, const char *stage, double fraction);

/* The stages, one after another. */
bg_status bg_hunt_sensitivity(bg_hunt *h, bg_error *err);
bg_status bg_hunt_refine(bg_hunt *h, bg_error *err);
bg_status bg_hunt_evolve(bg_hunt *h, bg_error *err);
/* Takes channels and layers away where what their bytes buy elsewhere is worth more. */
bg_status bg_hunt_prune(bg_hunt *h, bg_error *err);
uint32_t bg_hunt_layers_left(const bg_hunt *h);
/* Tries shapes that lose least by themselves, before formats are refined at the best of them. */
bg_status bg_hunt_prune_begin(bg_hunt *h, bg_error *err);
/* Takes away o->prune of the weights before formats are chosen; and afterwards, with the best's formats,
 * what is over so many bytes. */
bg_status bg_hunt_prune_first(bg_hunt *h, bg_error *err);
bg_status bg_hunt_prune_last(bg_hunt *h, uint64_t file_bytes, bg_error *err);
/* Costs from what one step of each item changes at the best so far. */
bg_status bg_hunt_learn(bg_hunt *h, bg_error *err);

#endif
