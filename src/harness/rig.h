/* rig.h: what a sweep holds while it runs: models, sessions, teams, counters. Internal. */
#ifndef BG_HARNESS_RIG_H
#define BG_HARNESS_RIG_H

#include "harness/energy.h"
#include "harness/harness.h"
#include "harness/taint.h"

#include "bitgauge/search.h"

enum { BG_RIG_VARIANTS = BG_ISA_COUNT * BG_PLAN_MAX_THREADS };

/* A watched resource, of one number of threads. */
typedef struct bg_rig_watch {
    char name[48];                     /* of the bound */
    bg_watch watch;
    bool failed;
} bg_rig_watch;
enum { BG_RIG_WATCHES = 4 + 2 * BG_ISA_COUNT }; /* levels, peaks */

typedef struct bg_rig {
    const bg_sweep_options *options;
    bg_plan *plan;
    bg_machine *machine;
    bg_team *teams[BG_PLAN_MAX_THREADS];
    bg_counters *counters[BG_PLAN_MAX_THREADS];
    bg_taints *taints[BG_PLAN_MAX_THREADS];
    bg_shape *shape;                   /* what source is one of, or NULL */
    bg_model *source;
    const char *text;                  /* file that quality is measured on; NULL: tokens alone */
    const bg_results *before;          /* of the run that is resumed, or NULL */
    bg_runner runners[BG_ENGINES];     /* of the plan's engines; user NULL: not open */
    bg_importance *importance;
    bg_tokens tokens;
    uint32_t windows;                  /* of quality; 0: all */
    size_t cache_bytes;
    bg_reference *reference;           /* made when the first scheme asks */
    bg_model *models[BG_PLAN_MAX_SCHEMES];
    bg_image *images[BG_PLAN_MAX_SCHEMES];        /* of those that are searched for */
    bg_error problems[BG_PLAN_MAX_SCHEMES];       /* why one of them is not to be had */
    bg_importance *search_importance;  /* what they are quantized with; NULL: the rig's own */
    bg_tokens calibration;             /* what they are searched on; none as long as none is
                                        * needed */
    bool calibrates_itself;            /* on a text of the folder that the model wrote */
    double quantize_seconds[BG_PLAN_MAX_SCHEMES], load_seconds[BG_PLAN_MAX_SCHEMES];
    bg_session *sessions[BG_PLAN_MAX_SCHEMES][BG_RIG_VARIANTS];
    bg_rig_watch watches[BG_PLAN_MAX_THREADS][BG_RIG_WATCHES];
    double *lengths;                   /* seconds of each cell's last repetition */
    float *logits, *latencies;
    bg_energy idle;                    /* before the sweep */
    double counts[BG_COUNTER_COUNT];
    bg_callgrind *callgrind;           /* NULL: no cell is simulated */
    size_t simulated;                  /* 1 + the scheme whose model it has; 0: none */
    bg_counters *counting;             /* of the repetition that runs */
    char what[96];                     /* of the last progress */
    bg_sweep_progress last;
} bg_rig;

bg_status bg_rig_open(bg_rig *rig, bg_error *err);   /* teams, counters, scratch; the rest is set */
void bg_rig_close(bg_rig *rig);
/* What a scheme is quantized with: the plan has each without an importance matrix, and with it. */
const bg_importance *bg_rig_importance(const bg_rig *rig, size_t scheme);
/* searched.c: finds the recipes that the plan's open cells need and the folder has not yet. One
 * that cannot be found is the reason why its cells fail. BG_ERR_INTERRUPTED: to be gone on with. */
bg_status bg_rig_search(bg_rig *rig, bg_error *err);
/* The file of a searched point in memory, made when it is first asked for. */
bg_status bg_rig_image(bg_rig *rig, size_t scheme, const bg_image **image, bg_error *err);
void bg_rig_search_close(bg_rig *rig);
/* Memory for the weights of any of the plan's; of a searched one, what its file may take. */
bg_status bg_rig_plan_bytes(const bg_rig *rig, size_t scheme, uint64_t *bytes, bg_error *err);
bg_status bg_rig_searched_bytes(const bg_rig *rig, size_t scheme, uint64_t *bytes, bg_error *err);
/* Words for quantize that make what the row tells of; the folder is DIR. */
void bg_rig_describe_making(const bg_rig *rig, size_t scheme, bg_row *row);
/* What a model says of itself, measured or not. */
void bg_rig_describe_model(const bg_rig *rig, const bg_model *m, bg_row *row);
/* The roof that bounds a cell's test of a model. */
bg_bound bg_rig_bound(const bg_rig *rig, const bg_model *m, const bg_cell *c);
/* The team of as many threads, by its place in the plan. */
size_t bg_rig_threads(const bg_plan *p, int threads);
void bg_rig_set_energy_absent(bg_row *row, const char *reason);
void bg_rig_drop_counters(bg_row *row, const char *reason);  /* energy too */
/* Session of any model with the sizes that the plan needs. */
bg_status bg_rig_session(bg_rig *rig, const bg_model *m, bg_isa isa, size_t thread_index,
                         bg_session **out, bg_error *err);
/* Relays progress and remembers it, and asks again while one step takes long. */
bool bg_rig_progress(void *rig, const bg_sweep_progress *p);
bool bg_rig_alive(void *rig, uint64_t done, uint64_t total);

#endif
