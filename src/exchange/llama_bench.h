/* llama_bench.h: one test with the fields of llama-bench of llama.cpp v0.5.0. Internal. */
#ifndef BG_EXCHANGE_LLAMA_BENCH_H
#define BG_EXCHANGE_LLAMA_BENCH_H

#include "bitgauge/results.h"
#include "bitgauge/scheme.h"
#include "exchange/records.h"

/* NaN and NULL are unknown. */
typedef struct bg_llama_test {
    const char *build_commit, *cpu, *model_filename, *model_type;
    const char *test_time;                        /* UTC, "2026-01-31T12:00:00Z" */
    const char *load_mode;                        /* "mmap" or "none" */
    long long build_number, n_batch, n_ubatch, n_threads, n_prompt, n_gen, n_depth;
    double model_size, model_params;
    double avg_ns, stddev_ns, avg_ts, stddev_ts;
    const double *samples_ns;
    size_t n_samples;
} bg_llama_test;

/* What llama-bench does not know and bitgauge adds. A value times `factor` is the column's. */
typedef struct bg_llama_extra { const char *name; bg_column column; double factor; } bg_llama_extra;
enum { BG_LLAMA_EXTRAS = 9 };
extern const bg_llama_extra bg_llama_extras[BG_LLAMA_EXTRAS];

/* llama-bench's fields in its order, samples last; what only a GPU has takes the value of a run on
 * CPUs. NULL: no memory. */
json_t *bg_llama_test_object(const bg_llama_test *t);

/* The scheme in a model_type, "llama 7B Q4_K - Medium"; NULL when none of ours is in it. */
const bg_scheme *bg_llama_scheme_find(const char *model_type);
/* "llama 1.1B Q4_K - Medium"; NULL: "mixed". */
void bg_llama_model_type(char *buffer, size_t size, const char *architecture, double params,
                         const bg_scheme *scheme);
/* "pp512", "tg128", "pp512+tg128", with "@d1024" after a depth. */
void bg_llama_test_name(char *buffer, size_t size, long long n_prompt, long long n_gen,
                        long long n_depth);

#endif
