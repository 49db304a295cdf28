/* bitgauge/sweep.h: planning and running a sweep. */
#ifndef BITGAUGE_SWEEP_H
#define BITGAUGE_SWEEP_H

#include "bitgauge/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bg_sweep_quality {
    BG_QUALITY_OFF, BG_QUALITY_QUICK, BG_QUALITY_FULL
} bg_sweep_quality;

typedef struct bg_sweep_progress {
    const char *what;        /* "quantizing Q4_K_M", "Q4_K_M tg64" */
    double fraction;         /* of the whole sweep */
    double seconds_left;     /* estimate; NaN when unknown */
} bg_sweep_progress;

/* Strings are as on the command line; NULL, 0 or -1 takes the profile's value. */
typedef struct bg_sweep_options {
    const char *model;       /* NULL: the embedded one */
    const char *engines;     /* list: builtin, llama.cpp; NULL: builtin */
    const char *llama_bench, *llama_perplexity;  /* programs of llama.cpp; NULL: llama-bench along
                                $PATH, and no quality by it */
    double patience;         /* seconds that these may be silent; 0: 600 */
    const char *shape;       /* in place of a model: a known one with random weights (shape.h) */
    int layers;              /* of the shape to time; 0: the profile's */
    const char *out;         /* results folder; created, or resumed when it has the same plan */
    const char *profile;     /* profiles/sweep/<name>.json; NULL: quick, or shape for a shape */
    const char *schemes;     /* "all", "levels", or a list */
    const char *isas;        /* list; "native" */
    const char *threads;     /* list or "auto" */
    const char *text;        /* file, or "self"; NULL: for the embedded model the text that
                                comes with it, else "self" */
    const char *imatrix;
    const char *activations; /* list of f16, q8, q6, q4 (kernel.h): quality once more with these
                                simulated, in rows of their own; NULL: none */
    const char *search;      /* points to search mixed precision for: a list of sizes ("2.7MB") and
                                of schemes, whose files' sizes are meant; "auto": of Q2_K, Q3_K_M
                                and Q4_K_M those that the sweep has, else of all it has under 8
                                bits. NULL: none. Each is a row "search-SIZE" with its recipe in the
                                folder. */
    double prune;            /* share of the weights that these may go without, at most, where that
                                pays more than smaller formats do; their names end in "+prune". 0:
                                none */
    double search_minutes;   /* at most, for each point; 0: as long as it gets better; -1: 3 */
    const char *calib;       /* text to search on, another one than `text`; NULL: what came with the
                                model, else the model writes it */
    const char *noise_from;  /* a machine.json with noise floors; NULL: what the last calibration of
                                this machine left (bg_machine_floors_path), if there was one */
    int n_prompt, n_gen, depth;   /* -1: the profile's; 0 leaves the test out */
    int reps;                /* 0: until the interval is narrow */
    int max_reps;            /* but no more than that; 0: the profile's */
    double precision;        /* what narrow is: half of the interval over the median; 0: the
                                profile's */
    int quality;             /* bg_sweep_quality, -1: the profile's */
    double time_limit;       /* seconds after which no repetition is added; every cell is measured
                                at least once; -1: the profile's; 0: none */
    bool simulate;           /* counts of a simulated processor too (simulated.h), in rows of their
                                own: 16 tokens of a prompt and 4 generated ones of each scheme */
    bool no_roofs;           /* the machine's roofs are not measured, so shares are unknown */
    uint64_t seed;
    /* Returns false to stop; what is done stays and the folder can be resumed. May be NULL. */
    bool (*progress)(void *user, const bg_sweep_progress *p);
    void *user;
    /* Which cells of the plan to measure; NULL: all. May not change when a folder is resumed. */
    bool (*wants)(void *wants_user, const char *scheme, const char *test, const char *engine,
                  const char *isa, int threads);
    void *wants_user;
} bg_sweep_options;

void bg_sweep_options_init(bg_sweep_options *o);
/* Runs or resumes. Whatever happens, the folder is complete and readable: results.csv,
 * samples.csv, plan.json, machine.json, machine.xml; a cell that fails is a row with its reason.
 *
 * The speeds of a shape that is not held whole are predicted, as the column source says; nothing is
 * counted then, and quality is off.
 *
 * BG_ERR_INPUT: an option, or the folder holds another plan. BG_ERR_INTERRUPTED: progress said
 * so. BG_ERR_IO: the folder cannot be written.
 *
 * rss_bytes is what one scheme alone needs: weights, KV cache and scratch, computed exactly; the
 * resident set of a process that holds many models says nothing about one. Quality is measured
 * with the strongest instruction set of the plan, on the same windows for every scheme, against
 * the source model. */
bg_status bg_sweep_run(const bg_sweep_options *o, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
