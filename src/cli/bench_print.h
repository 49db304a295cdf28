/* bench_print.h: the output of bench: llama-bench's fields in its formats. Internal. */
#ifndef BG_CLI_BENCH_PRINT_H
#define BG_CLI_BENCH_PRINT_H

#include "bitgauge/bench.h"

#include <time.h>

/* One finished test with what describes it. */
typedef struct bg_bench_line {
    const char *model_path, *model_type, *scheme, *cpu, *engine;
    const char *record, *version; /* of a peer: what it printed, JSON; NULL: the builtin engine */
    uint64_t model_size, model_params;
    uint32_t model_layers;
    double load_seconds;          /* from the start to weights that are ready; NaN unknown */
    double peak_rss;              /* bytes of this process since then; NaN unknown */
    bool shape;                   /* the weights are random */
    const bg_bench_test *test;
    const bg_bench_result *result;
    const double *samples_ns, *samples_roof;
    int threads;
    uint32_t n_batch, n_ubatch;   /* as asked for */
    time_t started;
} bg_bench_line;

/* How to print: records for programs, or a table for people, with what that shows and its footer
 * explains; starts zeroed but for what was asked for. */
struct bg_records;
typedef struct bg_bench_layout {
    const struct bg_records *records;   /* NULL: the table */
    bool n_batch, n_ubatch, engine;     /* asked for: columns */
    char version[64];                   /* of a peer, once one was printed */
    bool condition;                     /* was printed */
    uint32_t layers_timed, layers;      /* the fewest that a prediction is from; 0: none was */
} bg_bench_layout;

/* "md", "csv", "json", "jsonl", "sql"; false for another. */
bool bg_bench_layout_find(bg_bench_layout *layout, const char *format);
void bg_bench_print_begin(const bg_bench_layout *layout);
bool bg_bench_print_line(const bg_bench_line *l, size_t index, bg_bench_layout *layout);
                                                    /* false: no memory */
void bg_bench_print_end(const bg_bench_layout *layout);

#endif
