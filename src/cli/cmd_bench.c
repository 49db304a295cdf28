#include "cli/bench_count.h"
#include "cli/bench_print.h"

#include "bitgauge/counters.h"
#include "cli/cli.h"
#include "exchange/llama_bench.h"
#include "harness/harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 64 };

static const double MEMORY_SHARE = 0.8; /* of what is free, for the weights of a shape */

typedef struct numbers { uint32_t values[MAX_VALUES]; size_t n; } numbers;

/* What the command line asked for, read. */
typedef struct request {
    bg_opt_list models, shapes, prompts, gens, pairs, depths, threads, batches, ubatches;
    const char *schemes, *isa, *output, *counters, *engine, *llama_bench;
    int reps, layers;
    double patience;
    bool no_warm_up, no_roofs;
    numbers n_prompt, n_gen, depth, n_threads, n_batch, n_ubatch;
    struct { uint32_t n_prompt, n_gen; } pair[MAX_VALUES]; /* one for each of pairs */
    const bg_scheme *scheme[MAX_VALUES];
    size_t n_schemes;
    bg_isa isas[BG_ISA_COUNT];
    size_t n_isas;
    const bg_engine *engines[BG_ENGINES];
    size_t n_engines;
} request;

typedef struct run {
    const request *ask;
    bg_bench_layout layout;
    bg_machine *machine;
    bg_bench_peer *peer;          /* NULL: the builtin engine alone */
    bg_cli_progress line;
    char what[128];
    size_t printed;
    bool peak_known;              /* the peak of memory began anew with the model */
    uint64_t peak;                /* of what this model took before the last test */
    double *samples_ns, *samples_roof;
} run;

static bool add_number(numbers *to, unsigned long value, const char *option, bg_error *err)
{
    if (to->n == MAX_VALUES || value > 1u << 24) {
        bg_fail(err, BG_ERR_INPUT, option, to->n == MAX_VALUES ? "lists over %d numbers"
                                                               : "wants numbers up to 2^%d",
                to->n == MAX_VALUES ? MAX_VALUES : 24);
        return false;
    }
    to->values[to->n++] = (uint32_t)value;
    return true;
}

/* "512", "128-512+128" or "128-1024*2", as llama-bench has it. */
static bool add_range(numbers *to, const char *word, const char *option, bg_error *err)
{
    char *end;
    unsigned long first = strtoul(word, &end, 10), last = first, step = 1;
    bool multiply = false, valid = word[0] >= '0' && word[0] <= '9';
    if (valid && *end == '-') {
        last = strtoul(end + 1, &end, 10);
        if (*end == '+' || *end == '*') {
            multiply = *end == '*';
            step = strtoul(end + 1, &end, 10);
        }
    }
    if (!valid || *end || last < first || step < (multiply ? 2u : 1u) || (multiply && !first)) {
        bg_fail(err, BG_ERR_INPUT, option,
                "'%s' is neither a number nor a range like 128-512+128 or 128-1024*2", word);
        return false;
    }
    for (unsigned long v = first; v <= last; v = multiply ? v * step : v + step)
        if (!add_number(to, v, option, err)) return false;
    return true;
}

static bg_status read_numbers(numbers *to, const bg_opt_list *from, const char *otherwise,
                              const char *option, bg_error *err)
{
    for (size_t i = 0; i < (from->n ? from->n : 1); i++) {
        char *list = bg_strdup(from->n ? from->values[i] : otherwise), *rest = list, *word;
        bool good = list != NULL;
        while (good && (word = strsep(&rest, ","))) good = add_range(to, word, option, err);
        bg_free(list);
        if (!good) return list ? BG_ERR_INPUT : bg_fail_nomem(err, option, 0);
    }
    return BG_OK;
}

/* Each is "512,128": a prompt, then generation. */
static bg_status read_pairs(request *ask, bg_error *err)
{
    for (size_t i = 0; i < ask->pairs.n; i++) {
        numbers both = {.n = 0};
        bg_opt_list one = {.values = {ask->pairs.values[i]}, .n = 1};
        BG_TRY(read_numbers(&both, &one, NULL, "-pg", err));
        if (both.n != 2)
            return bg_fail(err, BG_ERR_INPUT, "-pg", "wants two numbers such as 512,128, not '%s'",
                           ask->pairs.values[i]);
        ask->pair[i].n_prompt = both.values[0];
        ask->pair[i].n_gen = both.values[1];
    }
    return BG_OK;
}

static bg_status check_batches(const numbers *n, const char *option, bg_error *err)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->values[i] < 1)
            return bg_fail(err, BG_ERR_INPUT, option, "wants numbers from 1 on");
    return BG_OK;
}

static bg_status read_isas(request *ask, bg_error *err)
{
    char *list = bg_strdup(ask->isa ? ask->isa : "native"), *rest = list, *word;
    bg_status status = list ? BG_OK : bg_fail_nomem(err, "--isa", 0);
    while (status == BG_OK && (word = strsep(&rest, ","))) {
        if (ask->n_isas == BG_ISA_COUNT)
            status = bg_fail(err, BG_ERR_INPUT, "--isa", "names an instruction set twice");
        else status = bg_isa_parse(word, &ask->isas[ask->n_isas++], err);
    }
    bg_free(list);
    return status;
}

static bool wants_peer(const request *ask)
{
    return ask->engines[ask->n_engines - 1] == &bg_engine_llama;
}

static bg_status read_request(request *ask, int default_threads, bg_error *err)
{
    char threads[16];
    snprintf(threads, sizeof threads, "%d", default_threads);
    BG_TRY(read_numbers(&ask->n_prompt, &ask->prompts, ask->counters ? "16" : "512", "-p", err));
    BG_TRY(read_numbers(&ask->n_gen, &ask->gens, ask->counters ? "4" : "128", "-n", err));
    BG_TRY(read_pairs(ask, err));
    BG_TRY(read_numbers(&ask->depth, &ask->depths, "0", "-d", err));
    BG_TRY(read_numbers(&ask->n_batch, &ask->batches, "2048", "-b", err));
    BG_TRY(read_numbers(&ask->n_ubatch, &ask->ubatches, "512", "-ub", err));
    BG_TRY(check_batches(&ask->n_batch, "-b", err));
    BG_TRY(check_batches(&ask->n_ubatch, "-ub", err));
    for (size_t i = 0; i < ask->n_ubatch.n; i++)
        if (ask->n_ubatch.values[i] > BG_BENCH_MAX_BATCH)
            return bg_fail(err, BG_ERR_INPUT, "-ub", "wants numbers up to %d", BG_BENCH_MAX_BATCH);
    BG_TRY(read_numbers(&ask->n_threads, &ask->threads, threads, "-t", err));
    for (size_t i = 0; i < ask->n_threads.n; i++) {
        if (ask->n_threads.values[i] < 1 || ask->n_threads.values[i] > 4096)
            return bg_fail(err, BG_ERR_INPUT, "-t", "wants numbers from 1 to 4096");
        if (ask->n_threads.values[i] > (uint32_t)default_threads)
            bg_log(BG_LOG_WARN, "%u threads on %d usable cores: they will share cores",
                   ask->n_threads.values[i], default_threads);
    }
    if (ask->shapes.n && ask->models.n)
        return bg_fail(err, BG_ERR_INPUT, NULL, "--model and --shape: give one of them");
    if (ask->layers && !ask->shapes.n)
        return bg_fail(err, BG_ERR_INPUT, NULL, "--layers goes with --shape");
    BG_TRY(bg_engines_parse(ask->engine, ask->engines, &ask->n_engines, err));
    if (wants_peer(ask) && (ask->shapes.n || ask->counters))
        return bg_fail(err, BG_ERR_INPUT, "--engine", "%s wants the builtin engine alone",
                       ask->shapes.n ? "--shape" : "--counters");
    if (ask->shapes.n && !ask->schemes) ask->schemes = "levels";
    if (ask->schemes)
        BG_TRY(bg_scheme_parse_list(ask->schemes, ask->scheme, MAX_VALUES, &ask->n_schemes, err));
    return read_isas(ask, err);
}

/* The scheme that a file says it was made with, or NULL. */
static const bg_scheme *scheme_of_file(const bg_model *m)
{
    uint64_t type;
    if (!bg_gguf_get_u64(bg_model_gguf(m), "general.file_type", &type)) return NULL;
    for (size_t i = 0; i < bg_scheme_count(); i++)
        if (bg_scheme_file_type(bg_scheme_at(i)) == type) return bg_scheme_at(i);
    return NULL;
}

/* "llama 8M Q4_K - Medium", as llama-bench names models. */
static void name_model(char *buffer, size_t size, const bg_model *m, const bg_scheme *scheme)
{
    const bg_hparams *h = bg_model_hparams(m);
    bg_llama_model_type(buffer, size, h->architecture, (double)h->n_params,
                        scheme ? scheme : scheme_of_file(m));
}

static bool show_progress(void *user, uint64_t done, uint64_t total)
{
    run *r = user;
    bg_cli_progress_show(&r->line, (double)done / (double)total);
    return !bg_cli_interrupted();
}

/* Takes up the peak of memory so far, less what only the measuring held, and begins it anew. */
static void begin_peak(run *r, size_t less)
{
    uint64_t peak = bg_peak_rss();
    r->peak = BG_MAX(r->peak, peak - BG_MIN(peak, (uint64_t)less));
    r->peak_known = bg_peak_rss_reset() && r->peak_known;
}

static void new_peak(run *r)
{
    r->peak = 0;
    r->peak_known = bg_peak_rss_reset();
}

static bg_status run_test(run *r, bg_bench_line *line, bg_bench_test *test, const bg_model *m,
                          bg_error *err)
{
    bg_bench_result result;
    bg_status status;
    char name[48];
    r->line = (bg_cli_progress){.what = r->what};
    bg_llama_test_name(name, sizeof name, test->n_prompt, test->n_gen, 0);
    snprintf(r->what, sizeof r->what, "%s %s", line->model_type, name);
    test->progress = show_progress;
    test->user = r;
    line->started = time(NULL);
    begin_peak(r, 0);
    status = bg_bench_run(m, r->machine, test, r->samples_ns, r->samples_roof, &result, err);
    bg_cli_progress_end(&r->line);
    if (status != BG_OK) return status;
    begin_peak(r, result.gauge_bytes);
    line->peak_rss = r->peak_known ? (double)r->peak : (double)NAN;
    if (test->peer) {
        line->peak_rss = result.peak_rss;
        line->record = bg_bench_peer_record(test->peer);
        line->version = bg_bench_peer_version(test->peer);
    }
    line->test = test;
    line->result = &result;
    line->samples_ns = r->samples_ns;
    line->samples_roof = r->samples_roof;
    if (r->printed == 0) bg_bench_print_begin(&r->layout);
    if (!bg_bench_print_line(line, r->printed++, &r->layout))
        return bg_fail_nomem(err, "the output", 0);
    fflush(stdout);
    return BG_OK;
}

/* The tests of one instruction set, batch and depth. */
static bg_status run_tests(run *r, bg_bench_line *line, const bg_model *m, bg_bench_test test,
                           bg_error *err)
{
    const request *ask = r->ask;
    for (size_t i = 0; i < ask->n_prompt.n; i++) {
        test.n_prompt = ask->n_prompt.values[i];
        if (test.n_prompt) BG_TRY(run_test(r, line, &test, m, err));
    }
    test.n_prompt = 0;
    for (size_t i = 0; i < ask->n_gen.n; i++) {
        test.n_gen = ask->n_gen.values[i];
        if (test.n_gen) BG_TRY(run_test(r, line, &test, m, err));
    }
    for (size_t i = 0; i < ask->pairs.n; i++) {
        test.n_prompt = ask->pair[i].n_prompt;
        test.n_gen = ask->pair[i].n_gen;
        if (test.n_prompt || test.n_gen) BG_TRY(run_test(r, line, &test, m, err));
    }
    return BG_OK;
}

/* Every combination of what is a list, for one instruction set. */
static bg_status run_isa(run *r, bg_bench_line *line, const bg_model *m, bg_isa isa, bg_team *team,
                         bg_error *err)
{
    const request *ask = r->ask;
    bg_bench_test test = {.reps = (uint32_t)ask->reps, .isa = isa, .team = team,
                          .peer = line->engine == bg_engine_llama.name ? r->peer : NULL,
                          .no_warm_up = ask->no_warm_up};
    for (size_t b = 0; b < ask->n_batch.n; b++)
        for (size_t u = 0; u < ask->n_ubatch.n; u++)
            for (size_t d = 0; d < ask->depth.n; d++) {
                line->n_batch = ask->n_batch.values[b];
                line->n_ubatch = ask->n_ubatch.values[u];
                test.handed = line->n_batch;
                test.batch = BG_MIN(line->n_batch, line->n_ubatch);
                test.depth = ask->depth.values[d];
                BG_TRY(run_tests(r, line, m, test, err));
            }
    return BG_OK;
}

/* Every combination for one model in memory, or one file for an engine that chooses its own
 * instruction set. */
static bg_status run_model(run *r, bg_bench_line *line, const bg_model *m, bool own_isa,
                           bg_error *err)
{
    const request *ask = r->ask;
    size_t first_isa = own_isa ? ask->n_isas - 1 : 0;
    bg_status status = BG_OK;
    line->model_size = bg_model_weight_bytes(m);
    line->model_params = bg_model_hparams(m)->n_params;
    for (size_t t = 0; t < ask->n_threads.n && status == BG_OK; t++) {
        bg_team *team;
        line->threads = (int)ask->n_threads.values[t];
        status = bg_team_open(&team, line->threads, bg_machine_bind, r->machine, err);
        for (size_t i = first_isa; i < ask->n_isas && status == BG_OK; i++)
            status = run_isa(r, line, m, ask->isas[i], team, err);
        bg_team_close(&team);
    }
    return status;
}

/* Puts the weights in their place, with all threads, and times it. */
static bg_status load(run *r, bg_bench_line *line, bg_model **m, const bg_model *source,
                      const bg_scheme *scheme, uint64_t start, bg_error *err)
{
    bg_team *team = NULL;
    bg_status status = bg_team_open(&team, (int)r->ask->n_threads.values[0], bg_machine_bind,
                                    r->machine, err);
    if (line->engine == bg_engine_llama.name) {
        if (status == BG_OK && scheme)
            status = bg_bench_peer_load(r->peer, m, source, scheme, team, err);
        bg_team_close(&team);
        line->load_seconds = NAN; /* its own, which it does not tell */
        return status;
    }
    if (status == BG_OK && scheme)
        status = bg_model_quantize(m, source, scheme, NULL, team, NULL, NULL, err);
    if (status == BG_OK) status = bg_model_pack(scheme ? *m : source, team, err);
    bg_team_close(&team);
    line->load_seconds = (double)(bg_clock_ns() - start) * 1e-9;
    return status;
}

/* In every engine: the source quantized to a scheme, or (NULL) as it is. */
static bg_status run_scheme(run *r, bg_bench_line *line, const bg_model *source,
                            const bg_scheme *scheme, uint64_t start, bg_error *err)
{
    const request *ask = r->ask;
    bg_status status = BG_OK;
    for (size_t e = 0; e < ask->n_engines && status == BG_OK; e++) {
        const bg_engine *engine = ask->engines[e];
        bg_model *m = NULL;
        line->engine = engine->name;
        line->record = line->version = NULL;
        status = load(r, line, &m, source, scheme, start, err);
        if (status == BG_OK) status = run_model(r, line, m ? m : source, engine->own_isa, err);
        bg_model_close(&m);
    }
    return status;
}

/* The source quantized to each scheme, or as it is. */
static bg_status run_source(run *r, bg_bench_line *line, char type[128], const bg_model *source,
                            uint64_t start, bg_error *err)
{
    const request *ask = r->ask;
    bg_status status = BG_OK;
    line->model_type = type;
    line->model_layers = bg_model_hparams(source)->n_layer;
    if (!line->cpu) line->cpu = "unknown";
    if (ask->n_schemes == 0) {
        name_model(type, 128, source, NULL);
        return run_scheme(r, line, source, NULL, start, err);
    }
    for (size_t i = 0; i < ask->n_schemes && status == BG_OK; i++) {
        if (i) start = bg_clock_ns(), new_peak(r);
        line->scheme = bg_scheme_name(ask->scheme[i]);
        name_model(type, 128, source, ask->scheme[i]);
        status = run_scheme(r, line, source, ask->scheme[i], start, err);
    }
    return status;
}

static bg_status run_file(run *r, const char *path, bg_error *err)
{
    char type[128];
    bg_bench_line line = {.model_path = path, .cpu = bg_machine_cpu_model(r->machine)};
    bg_model *source;
    uint64_t start = bg_clock_ns();
    bg_status status;
    new_peak(r);
    status = bg_model_open(&source, path, err);
    if (status == BG_OK) status = run_source(r, &line, type, source, start, err);
    bg_model_close(&source);
    return status;
}

static bg_status run_shape(run *r, const char *name, bg_error *err)
{
    char type[128];
    bg_bench_line line = {.cpu = bg_machine_cpu_model(r->machine), .shape = true};
    bg_shape_sample sample = bg_bench_sample(r->machine, (uint32_t)r->ask->layers, MEMORY_SHARE);
    bg_shape *shape = NULL;
    bg_model *source = NULL;
    bg_status status;
    new_peak(r);
    status = bg_shape_open(&shape, name, err);
    if (status == BG_OK) status = bg_model_open_shape(&source, shape, &sample, err);
    if (status == BG_OK) {
        line.model_path = bg_shape_name(shape);
        status = run_source(r, &line, type, source, bg_clock_ns(), err);
    }
    bg_model_close(&source);
    bg_shape_close(&shape);
    return status;
}

typedef bg_status run_fn(run *r, const char *name, bg_error *err);

static bg_status run_list(run *r, const char *list, run_fn *one, bg_error *err)
{
    char *copy = bg_strdup(list), *rest = copy, *word;
    bg_status status = copy ? BG_OK : bg_fail_nomem(err, list, 0);
    while (status == BG_OK && (word = strsep(&rest, ","))) status = one(r, word, err);
    bg_free(copy);
    return status;
}

static bool still_wanted(void *user)
{
    (void)user;
    return !bg_cli_interrupted();
}

static bg_status open_peer(run *r, bg_error *err)
{
    bg_bench_peer_options o = {.llama_bench = r->ask->llama_bench, .patience = r->ask->patience,
                               .alive = still_wanted};
    return wants_peer(r->ask) ? bg_bench_peer_open(&r->peer, &o, err) : BG_OK;
}

static bg_status run_all(run *r, bg_error *err)
{
    const request *ask = r->ask;
    bg_status status;
    for (size_t t = 0; t < ask->n_threads.n && !ask->no_roofs; t++)
        BG_TRY(bg_machine_measure(r->machine, (int)ask->n_threads.values[t], err));
    status = open_peer(r, err);
    r->samples_ns = bg_alloc((size_t)ask->reps, sizeof *r->samples_ns);
    r->samples_roof = bg_alloc((size_t)ask->reps, sizeof *r->samples_roof);
    if (!r->samples_ns || !r->samples_roof)
        status = bg_fail_nomem(err, "samples", 2 * (size_t)ask->reps * sizeof(double));
    for (size_t i = 0; i < ask->models.n && status == BG_OK; i++)
        status = run_list(r, ask->models.values[i], run_file, err);
    for (size_t i = 0; i < ask->shapes.n && status == BG_OK; i++)
        status = run_list(r, ask->shapes.values[i], run_shape, err);
    if (status == BG_OK && ask->models.n + ask->shapes.n == 0) {
        char *path = NULL;
        status = bg_cli_model_path(NULL, &path, err);
        if (status == BG_OK) status = run_file(r, path, err);
        bg_free(path);
    }
    if (r->printed) bg_bench_print_end(&r->layout);
    bg_bench_peer_close(&r->peer);
    bg_free(r->samples_ns);
    bg_free(r->samples_roof);
    return status;
}

static void list_test(bg_sim_test *tests, size_t *n, uint32_t n_prompt, uint32_t n_gen,
                      uint32_t depth)
{
    if (n_prompt || n_gen)
        tests[(*n)++] = (bg_sim_test){.n_prompt = n_prompt, .n_gen = n_gen, .depth = depth};
}

/* In the order of run_tests. */
static size_t list_tests(const request *ask, bg_sim_test *tests)
{
    size_t n = 0;
    for (size_t d = 0; d < ask->depth.n; d++) {
        uint32_t depth = ask->depth.values[d];
        for (size_t i = 0; i < ask->n_prompt.n; i++)
            list_test(tests, &n, ask->n_prompt.values[i], 0, depth);
        for (size_t i = 0; i < ask->n_gen.n; i++)
            list_test(tests, &n, 0, ask->n_gen.values[i], depth);
        for (size_t i = 0; i < ask->pairs.n; i++)
            list_test(tests, &n, ask->pair[i].n_prompt, ask->pair[i].n_gen, depth);
    }
    return n;
}

/* Counts in place of timing. */
static bg_status count_all(run *r, bg_error *err)
{
    const request *ask = r->ask;
    size_t most = ask->depth.n * (ask->n_prompt.n + ask->n_gen.n + ask->pairs.n);
    bg_sim_test *tests = bg_alloc(most, sizeof *tests);
    bg_bench_counting b = {.models = ask->models.values, .n_models = ask->models.n,
                           .schemes = ask->scheme, .n_schemes = ask->n_schemes, .isas = ask->isas,
                           .n_isas = ask->n_isas, .tests = tests,
                           .output = ask->output ? ask->output : "md"};
    bg_status status = tests ? BG_OK : bg_fail_nomem(err, "tests", most * sizeof *tests);
    if (status == BG_OK && (ask->shapes.n || ask->threads.n || ask->batches.n || ask->ubatches.n))
        status = bg_fail(err, BG_ERR_INPUT, "--counters", "counts whole models with one thread and "
                         "batches of 512 tokens: leave out --shape, -t, -b and -ub");
    if (status == BG_OK) {
        b.n_tests = list_tests(ask, tests);
        status = bg_team_open(&b.team, (int)ask->n_threads.values[0], bg_machine_bind, r->machine,
                              err);
    }
    if (status == BG_OK) status = bg_bench_count(&b, err);
    bg_team_close(&b.team);
    bg_free(tests);
    return status;
}

int bg_cmd_bench(int argc, char **argv)
{
    request ask = {.reps = 5};
    run r = {.ask = &ask};
    bg_error err = {.status = BG_OK};
    bg_status status;
    const bg_opt options[] = {
        {BG_OPT_LIST, "-m --model", "FILE", "GGUF model; default: the embedded one", &ask.models,
         NULL, 0, 0},
        {BG_OPT_LIST, "--shape", "NAME", "a known model with random weights (`info --list-shapes`)",
         &ask.shapes, NULL, 0, 0},
        {BG_OPT_LIST, "-p --n-prompt", "N", "tokens of the prompt tests (default 512; 0: none)",
         &ask.prompts, NULL, 0, 0},
        {BG_OPT_LIST, "-n --n-gen", "N", "tokens of the generation tests (default 128; 0: none)",
         &ask.gens, NULL, 0, 0},
        {BG_OPT_LIST, "-pg", "P,N", "a prompt of P tokens, then N tokens, timed together",
         &ask.pairs, NULL, 0, 0},
        {BG_OPT_LIST, "-d --n-depth --depth", "N", "tokens in the context before (default 0)",
         &ask.depths, NULL, 0, 0},
        {BG_OPT_LIST, "-b --batch-size", "N", "tokens handed over at once (default 2048)",
         &ask.batches, NULL, 0, 0},
        {BG_OPT_LIST, "-ub --ubatch-size", "N", "most of them evaluated at once (default 512)",
         &ask.ubatches, NULL, 0, 0},
        {BG_OPT_LIST, "-t --threads", "N", "threads (default: one a usable core)", &ask.threads,
         NULL, 0, 0},
        {BG_OPT_INT, "-r --repetitions", "N", "repetitions of each test (default 5)", &ask.reps,
         NULL, 1, 1000000},
        {BG_OPT_TEXT, "-o --output", "FORMAT", "how to print (default md)", &ask.output,
         "md|csv|json|jsonl|sql", 0, 0},
        {BG_OPT_FLAG, "--no-warmup", NULL, "time the first run too", &ask.no_warm_up, NULL, 0, 0},
        {BG_OPT_GROUP, NULL, NULL, "Beyond llama-bench", NULL, NULL, 0, 0},
        {BG_OPT_TEXT, "--schemes", "LIST", "quantize in memory to these first: all, levels, "
         "or names; for shapes the default is levels", &ask.schemes, NULL, 0, 0},
        {BG_OPT_TEXT, "--engine", "LIST", "builtin, llama.cpp, or both with a comma", &ask.engine,
         NULL, 0, 0},
        {BG_OPT_TEXT, "--llama-bench", "PATH", "the program of llama.cpp that times (default: "
         "along $PATH)", &ask.llama_bench, NULL, 0, 0},
        {BG_OPT_REAL, "--patience", "S", "seconds that it may be silent before it is ended "
         "(default 600)", &ask.patience, NULL, 0, 1e9},
        {BG_OPT_INT, "--layers", "N", "time N layers of a shape and predict the whole (default: "
         "all that fit)", &ask.layers, NULL, 2, 4096},
        {BG_OPT_TEXT, "--isa", "LIST", "instruction sets (default native)", &ask.isa, NULL, 0, 0},
        {BG_OPT_FLAG, "--no-roof", NULL, "do not measure what the machine could reach",
         &ask.no_roofs, NULL, 0, 0},
        {BG_OPT_TEXT, "--counters", "NAME", "callgrind: count instructions, cache misses and "
         "mispredicted branches in a\n                              simulated processor, the same "
         "in every run, in place of timing (-p 16 -n 4)", &ask.counters, "callgrind", 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "bench", .usage = "[options]",
        .summary = "Times prompts and generation as llama-bench does, with its options and field "
                   "names,\nso that its compare-llama-bench.py reads the output. Lists (1,2) and "
                   "ranges (1-8*2)\nare combined with each other. For a comparison of schemes use "
                   "`bitgauge sweep`.",
        .examples = "  bitgauge bench -m model.gguf -p 512 -n 128 -t 8\n"
                    "  bitgauge bench --schemes Q4_K_M,Q6_K -t 1-8*2 -o json\n"
                    "  bitgauge bench -m model-f16.gguf --schemes Q4_0 --engine builtin,llama.cpp \\\n"
                    "      --llama-bench ~/llama.cpp/build/bin/llama-bench\n"
                    "  bitgauge bench --shape codellama-34b --schemes all --layers 6\n"
                    "  bitgauge bench --schemes Q4_0 --counters callgrind -o jsonl\n",
        .options = options, .n_options = BG_COUNT(options),
    };
    int parsed = bg_opt_parse(&spec, argc, argv, NULL, NULL);
    if (parsed >= 0) return parsed;
    bg_bench_layout_find(&r.layout, ask.output ? ask.output : "md");
    r.layout.n_batch = ask.batches.n > 0;
    r.layout.n_ubatch = ask.ubatches.n > 0;
    r.layout.engine = ask.engine != NULL;
    bg_cli_catch_interrupt();
    status = bg_machine_open(&r.machine, NULL, &err);
    if (status == BG_OK)
        status = read_request(&ask, bg_machine_default_threads(r.machine), &err);
    if (status == BG_OK) status = ask.counters ? count_all(&r, &err) : run_all(&r, &err);
    bg_machine_close(&r.machine);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
