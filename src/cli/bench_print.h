/* bench_print.h: the output of bench: llama-bench's fields in its four formats. Internal. */
#ifndef BG_CLI_BENCH_PRINT_H
#define BG_CLI_BENCH_PRINT_H

#include "bitgauge/bench.h"

#include <time.h>

/* One finished test with what describes it. */
typedef struct bg_bench_line {
    const char *model_path, *model_type, *scheme, *cpu;
    uint64_t model_size, model_params;
    uint32_t model_layers;
    double load_seconds;          /* from the start to weights that are ready; NaN unknown */
    double peak_rss;              /* bytes of this process since then; NaN unknown */
    bool shape;                   /* the weights are random */
    const bg_bench_test *test;
    const bg_bench_result *result;
    const double *samples_ns, *samples_roof;
    int threads;
    time_t started;
} bg_bench_line;

typedef struct bg_bench_printer {
    const char *name;
    void (*begin)(void);
    bool (*line)(const bg_bench_line *l, size_t index);  /* false: no memory */
    void (*end)(void);
} bg_bench_printer;

/* "md", "csv", "json", "jsonl"; NULL for another. */
const bg_bench_printer *bg_bench_printer_find(const char *name);

#endif
