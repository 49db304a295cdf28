/* bitgauge/bench.h: one test of one model, timed as llama-bench does: warmed up, then repeated. */
#ifndef BITGAUGE_BENCH_H
#define BITGAUGE_BENCH_H

#include "bitgauge/machine.h"
#include "bitgauge/shape.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BG_BENCH_MAX_BATCH = 4096 };

/* llama.cpp in the place of the builtin engine: its llama-bench times files, a process each
 * time. */
typedef struct bg_bench_peer bg_bench_peer;
typedef struct bg_bench_peer_options {
    const char *llama_bench;   /* the program; NULL: along $PATH */
    double patience;           /* seconds that it may be silent; 0: 600 */
    bool (*alive)(void *user); /* asked several times a second; false: stop */
    void *user;
} bg_bench_peer_options;
/* BG_ERR_INPUT: there is no such program. */
bg_status bg_bench_peer_open(bg_bench_peer **p, const bg_bench_peer_options *o, bg_error *err);
void bg_bench_peer_close(bg_bench_peer **p);
/* The source's file of a scheme, written for it in the place of the one before. */
bg_status bg_bench_peer_load(bg_bench_peer *p, bg_model **m, const bg_model *source,
                             const bg_scheme *scheme, struct bg_team *team, bg_error *err);
/* What it printed last, a JSON object, and the version that it told. */
const char *bg_bench_peer_record(const bg_bench_peer *p);
const char *bg_bench_peer_version(const bg_bench_peer *p);

typedef struct bg_bench_test {
    uint32_t n_prompt, n_gen;  /* tokens of a prompt, then tokens one by one; one may be 0 */
    uint32_t batch;            /* most tokens of the prompt at once, 1 to BG_BENCH_MAX_BATCH */
    uint32_t handed;           /* of which so many are handed over to a peer at once */
    uint32_t depth;            /* tokens in the context before, not timed */
    uint32_t reps;             /* at least 1 */
    bool no_warm_up;
    bg_isa isa;
    struct bg_team *team;      /* a peer starts as many threads of its own */
    bg_bench_peer *peer;       /* NULL: the builtin engine */
    /* Hears repetitions done; returns false to stop (BG_ERR_INTERRUPTED). May be NULL. */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} bg_bench_test;

typedef struct bg_bench_result {
    double avg_ns, stddev_ns;  /* of one repetition; stddev is NaN for one repetition */
    double avg_ts, stddev_ts;  /* tokens/s */
    const char *tier;          /* of the kernel that holds most weights; NULL for a peer */
    char roof[48];             /* "read L3"; empty when the roofs are not measured */
    double roof_tps;           /* tokens/s at the roof as it was during the test; NaN then */
    double roof_share;         /* of it that was reached: the mean over the repetitions */
    double roof_condition;     /* the roof over that of the start; NaN when it was not followed */
    size_t gauge_bytes;        /* memory that following it took, and that is free again */
    uint32_t layers_timed;     /* fewer than the model has: the times are predicted from these */
    double peak_rss;           /* of a peer's process, bytes; NaN: unknown */
} bg_bench_result;

/* How much of a shape to hold to time it: `layers` (0: all that fit), in `share` of the memory that
 * is free, and more than the last cache holds, so that they are read from where all would be. */
bg_shape_sample bg_bench_sample(const bg_machine *machine, uint32_t layers, double share);

/* samples_ns gets `reps` times, samples_roof the tokens/s at the roof during each (NaN: unknown).
 * The roof is known where the machine's roofs were measured for as many threads; what bounds the
 * test is read again just before and after each repetition, but not of a peer's. */
bg_status bg_bench_run(const bg_model *m, const bg_machine *machine, const bg_bench_test *test,
                       double *samples_ns, double *samples_roof, bg_bench_result *result,
                       bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
