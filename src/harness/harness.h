/* harness.h: plan, cells and the loop that measures them. Internal. */
#ifndef BG_HARNESS_H
#define BG_HARNESS_H

#include "bitgauge/bench.h"
#include "bitgauge/machine.h"
#include "bitgauge/quality.h"
#include "bitgauge/results.h"
#include "bitgauge/simulated.h"
#include "bitgauge/stats.h"
#include "bitgauge/sweep.h"

#include "base/base.h"
#include "base/team.h"

struct json_t;

enum {
    BG_ENGINES = 2, BG_PLAN_MAX_SCHEMES = 64, BG_PLAN_MAX_THREADS = 16, BG_BATCH = 512,
    BG_WINDOW = 512
};

typedef enum bg_test_kind { BG_TEST_PP, BG_TEST_TG, BG_TEST_QUALITY } bg_test_kind;

/* A window of an energy meter. */
typedef struct bg_energy {
    double joules;            /* NaN: nothing was metered */
    double seconds, tokens;
    const char *source;       /* "package", "package+dram", "battery"; constant text or NULL */
} bg_energy;

typedef struct bg_cell {
    size_t scheme, engine;    /* indices in the plan */
    bg_test_kind kind;
    bg_isa isa;               /* of an engine that chooses its own: the plan's strongest */
    int threads;
    uint32_t n, depth;        /* tokens timed, tokens in the context before them */
    bool simulated;           /* a prompt or generation, counted in place of timed; 1 thread */
    bg_activations activations; /* of a quality: simulated ones */
    char test[32];            /* "pp512", "tg64@d1024", "sim-pp16", "quality", "quality-q4" */
    uint32_t warm_ups;        /* made so far, by earlier runs too */
    uint32_t reps, judged;    /* likewise; judged: of how many the row tells */
    bg_energy energy;         /* of this run's window; no seconds: there was none */
    bool done;
} bg_cell;

/* A point that is searched for: as large as a file of `like`, or of so many bytes. */
typedef struct bg_searched {
    char name[40];
    const bg_scheme *like;    /* NULL: bytes count */
    uint64_t bytes;
} bg_searched;

typedef struct bg_plan {
    char profile[32];
    const bg_scheme *schemes[BG_PLAN_MAX_SCHEMES];  /* NULL: searched */
    bg_searched searched[BG_PLAN_MAX_SCHEMES];      /* those */
    double search_minutes, prune;
    bg_isa isas[BG_ISA_COUNT];             /* the strongest last */
    int threads[BG_PLAN_MAX_THREADS];      /* ascending */
    const struct bg_engine *engines[BG_ENGINES];
    size_t n_schemes, n_isas, n_threads, n_engines;
    uint32_t n_prompt, n_gen, depth, min_reps, max_reps;
    double precision, time_limit;          /* time_limit 0: none */
    bg_sweep_quality quality;
    bg_activations activations[BG_ACTIVATIONS_COUNT];
    size_t n_activations;
    bool simulate;                         /* has simulated cells */
    bool watch_roofs;                      /* read again around each repetition */
    uint32_t quick_windows, layers;        /* layers of a shape to hold; 0: all that fit */
    uint64_t seed;
    double window_seconds;                 /* a batch of BG_WINDOW tokens takes about so long; 0:
                                              unknown. For the time that is left, before it is
                                              learned */
    uint32_t windows;                      /* of quality, likewise */
    size_t group[BG_PLAN_MAX_SCHEMES];     /* schemes of a group are in memory together */
    size_t n_groups;
    bg_cell *cells;
    size_t n_cells;
} bg_plan;

/* The profile with the options over it. default_threads is what "auto" means. */
bg_status bg_plan_make(bg_plan *p, const bg_sweep_options *o, int default_threads, bg_error *err);
void bg_plan_fini(bg_plan *p);
const char *bg_plan_name(const bg_plan *p, size_t scheme);   /* "Q4_K_M", "search-Q4_K_M" */
bool bg_plan_open(const bg_plan *p, size_t scheme);          /* has cells that are not done */
/* "avx2"; "" where the engine chooses. */
const char *bg_cell_isa(const bg_plan *p, const bg_cell *c);
/* It is the row's. */
bool bg_cell_has_row(const bg_plan *p, const bg_cell *c, const bg_row *row);
/* A cell whose repetitions are timed; the others are done once. */
bool bg_cell_timed(const bg_cell *c);
bool bg_cell_made(const bg_plan *p, const bg_cell *c, const bg_sample *s);  /* that sample */
bool bg_plan_timed(const bg_plan *p);  /* has such cells */
/* Puts schemes into groups, in order, so that each group's bytes stay within `budget`; a scheme
 * that is larger than that has a group of its own. */
void bg_plan_group(bg_plan *p, const uint64_t *bytes, uint64_t budget);
/* Lists into what they name; shared with bench. */
bg_status bg_parse_threads(const char *list, int default_threads, int *out, size_t max, size_t *n,
                           bg_error *err);
/* The next word of a comma-separated list; false at its end. A word that is too long is cut, and
 * then unknown to whoever looks it up. */
bool bg_next_word(const char **list, char *word, size_t size);
bg_status bg_parse_isas(const char *list, bg_isa out[BG_ISA_COUNT], size_t *n, bg_error *err);
/* What must be equal for a folder to be resumed; a new reference. */
struct json_t *bg_plan_settings(const bg_plan *p);
struct json_t *bg_plan_groups(const bg_plan *p);

/* What the loop needs to have done. Functions return BG_OK, or the reason why a cell failed.
 * A fake one tests the loop. */
typedef struct bg_runner {
    bg_status (*load)(void *user, size_t scheme, bg_error *err);       /* into memory */
    void (*unload)(void *user, size_t scheme);
    /* One repetition. Fills seconds and, unless it is a warm-up, tokens, ttft_ms, steal_ratio,
     * tainted, counters and itl_ms (valid until the next call); the rest is the loop's. */
    bg_status (*repeat)(void *user, const bg_cell *cell, bool timed, bg_sample *sample,
                        bg_error *err);
    /* A window of the energy meter, when the cell is warm. */
    bg_status (*energy)(void *user, const bg_cell *cell, bg_energy *out, bg_error *err);
    bg_status (*quality)(void *user, const bg_cell *cell, bg_quality *q, bg_error *err);
    bg_status (*count)(void *user, const bg_cell *cell, double per_token[BG_SIM_COUNT],
                       bg_error *err);
    /* Facts of the cell that need no measuring, and what follows from the measured ones (roof,
     * energy). The scheme may have failed to load. */
    void (*describe)(void *user, const bg_cell *cell, bg_row *row);
    void (*derive)(void *user, const bg_cell *cell, bg_row *row);
    double (*now)(void *user);                                         /* seconds */
    uint64_t (*room)(void *user);     /* bytes of schemes that it can hold at once; NULL: any */
    void *user;
} bg_runner;

/* What runs cells: a line of the table in engines.c. */
struct bg_rig;
typedef struct bg_engine {
    const char *name, *word;     /* in results, "bitgauge"; on the command line, "builtin" */
    bool own_isa;                /* it chooses the instruction set: a cell a number of threads */
    bool (*has_quality)(const bg_sweep_options *o);
    /* What is wrong with it is the reason why its cells fail, and no error here. */
    bg_status (*open)(struct bg_rig *rig, bg_runner *out, bg_error *err);
    void (*close)(bg_runner *runner);          /* one that was opened */
} bg_engine;
extern const bg_engine bg_engine_builtin, bg_engine_llama;
/* "builtin,llama.cpp", by name or word; NULL: builtin. In the order of the table. */
bg_status bg_engines_parse(const char *list, const bg_engine *out[BG_ENGINES], size_t *n,
                           bg_error *err);

/* Marks the cells that the results have already (a failed one is tried again); returns how many
 * are left. */
size_t bg_loop_restore(bg_plan *p, const bg_results *r);
/* Runs the open cells, group by group: load, quality, warm-up in the order of the plan, then rounds
 * over all of them, each in an order drawn from the seed and the position it begins at. A cell is
 * warmed up until a repetition is less than 5 % faster than the one before: at most six times, and
 * never again after a second or past its group's deadline. Whether it was repeated often enough is
 * asked each time that a tenth more repetitions are there. Saves every few seconds and at the end.
 * runners[i] is that of the plan's engine i. `started` is when the time limit began. A cell that
 * fails is a row; the status is about the folder and interruption. */
bg_status bg_loop_run(bg_plan *p, const bg_runner *runners, bg_results *r,
                      bool (*progress)(void *, const bg_sweep_progress *), void *user,
                      double started, bg_error *err);

/* Summaries of a cell's samples into its row; *s may be NULL. */
bg_status bg_fill_samples(bg_row *row, const bg_plan *p, const bg_cell *cell, const bg_results *r,
                          bg_summary *s, bg_error *err);
void bg_fill_quality(bg_row *row, const bg_quality *q);
void bg_fill_counts(bg_row *row, const double per_token[BG_SIM_COUNT]);
void bg_fill_identity(bg_row *row, const bg_plan *p, const bg_cell *cell);
/* Gives every field that is still empty its reason. */
void bg_fill_absent(bg_row *row, const bg_plan *p, const bg_cell *cell);

/* Tokens that a sweep runs on. */
typedef struct bg_tokens { int32_t *data; size_t count; } bg_tokens;
void bg_tokens_fini(bg_tokens *t);
/* Drawn from a fixed seed, for speed alone: any tokens take the same time. */
bg_status bg_tokens_draw(bg_tokens *t, uint32_t n_vocab, bg_error *err);
bg_status bg_tokens_read(bg_tokens *t, const bg_model *m, const char *path, bg_error *err);
/* `windows` documents of BG_WINDOW tokens that the model writes, kept in dir/self-tokens.txt. Of o,
 * seed, isa, team and progress count. */
bg_status bg_tokens_self(bg_tokens *t, const bg_model *m, const char *dir, size_t windows,
                         const bg_self_text_options *o, bg_error *err);

/* The roof that bounds a test: decode by reading or arithmetic, prefill mostly by arithmetic. */
typedef struct bg_bound {
    char name[48];               /* "read L3", "int8op avx2" */
    double tps;                  /* tokens/s at the roof; NaN with a reason */
    double bytes, flops;         /* per token: read, computed */
    char reason[96];
    bg_roof_kind kind;           /* of the roof, as in bg_machine_roof; where several add up, of */
    const char *level, *isa;     /* the one that takes longest */
} bg_bound;
/* Tokens of a prompt in batches, then tokens one by one, after `depth` of context. */
typedef struct bg_load {
    uint32_t n_prompt, n_gen, depth, batch;
    bg_isa isa;
    int threads;
} bg_load;
void bg_bound_find(bg_bound *b, const bg_model *m, const bg_machine *machine, const bg_load *load);

/* How much a resource gives while a test runs, against the start: the mean over its time of
 * readings just before it, just after it and, where it pauses, between. A reading takes no longer
 * than the test does, within 2 to 12 ms; what was read after a short test is also what is before
 * the next, when that follows at once. */
typedef struct bg_watch {
    double (*read)(void *user, double seconds);   /* as bg_gauge_read; a fake one tests this */
    double (*now)(void *user);                    /* seconds */
    void *user;
    double length;                                /* of the test, seconds; 0: unknown */
    double before, after, read_at;                /* the last readings; when: 0 for never */
    double covered, given;                        /* seconds of the test; of them times readings */
    double paused;                                /* seconds that readings between took, ever */
    double condition;                             /* of the last test */
} bg_watch;
void bg_watch_begin(bg_watch *w);
/* Within a long test, `seconds` after its begin: reads once more when the last reading is long
 * ago. */
void bg_watch_between(bg_watch *w, double seconds);
void bg_watch_end(bg_watch *w, double seconds);   /* which the test took */

/* Watches the resource of a bound with the threads that the test runs on; to be closed. An error
 * says why it cannot be watched. */
bg_status bg_watch_open(bg_watch *w, const bg_bound *b, const bg_machine *m, bg_team *team,
                        bg_error *err);
void bg_watch_close(bg_watch *w);
size_t bg_watch_bytes(const bg_watch *w);         /* memory that it holds */

/* The row's roof and share: those of bg_fill_samples where the samples have roofs, else of the
 * start of the run. */
void bg_fill_roof(bg_row *row, const bg_bound *b);

/* Times one test on a session whose caches are warm: resets it, evaluates the context before the
 * test, then the prompt and the generation between on_start and on_stop (may be NULL). latencies
 * (may be NULL) gets n_gen milliseconds. logits: n_vocab floats of scratch. */
typedef struct bg_timed {
    bg_session *session;
    uint32_t n_prompt, n_gen, depth;
    uint32_t batch;              /* most tokens of the prompt at once, up to the session's */
    const bg_tokens *tokens;     /* taken from the start, again and again */
    float *logits, *latencies;
    void (*on_start)(void *user);
    void (*on_stop)(void *user);
    void *user;
    bg_watch *watch;             /* of the resource that bounds it; NULL: none */
} bg_timed;
bg_status bg_time_test(const bg_timed *t, double *seconds, bg_error *err);
/* BG_ERR_NOMEM when a session's cache and scratch are more than is free: Linux promises memory that
 * it does not have, and then kills. */
bg_status bg_session_fits(const bg_session *s, const bg_machine *machine, bg_error *err);

enum { BG_FORMAT_IDS = 64 }; /* above every id of formats.def */
/* The format that holds most bytes of the weights. */
bg_format bg_main_format(const bg_model *m);
/* "Q4_K,Q6_K,F32": formats by share of the weights. */
void bg_formats_used(const bg_model *m, char *buffer, size_t size);

#endif
