/* bench_count.h: `bench --counters callgrind`: tests counted in place of timed. Internal. */
#ifndef BG_CLI_BENCH_COUNT_H
#define BG_CLI_BENCH_COUNT_H

#include "bitgauge/simulated.h"

typedef struct bg_bench_counting {
    const char *const *models;         /* lists of files with commas; none: the embedded one */
    size_t n_models;
    const bg_scheme *const *schemes;   /* none: files as they are */
    size_t n_schemes;
    const bg_isa *isas;
    size_t n_isas;
    const bg_sim_test *tests;          /* each with every instruction set, whatever it says */
    size_t n_tests;
    const char *output;                /* "md", "csv", "json", "jsonl", "sql" */
    struct bg_team *team;              /* to quantize with */
} bg_bench_counting;

bg_status bg_bench_count(const bg_bench_counting *b, bg_error *err);

#endif
