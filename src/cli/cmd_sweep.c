#include "cli/cli.h"

#include "bitgauge/report.h"
#include "bitgauge/sweep.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char latest[] = "results/latest";

enum { WIDTH = 80 };

static bool show_progress(void *user, const bg_sweep_progress *p)
{
    bg_cli_progress *line = user;
    line->what = p->what;
    bg_cli_progress_show(line, p->fraction);
    return !bg_cli_interrupted();
}

/* results/<UTC time>-<model>, in letters that every file system takes. */
static void default_folder(char *dir, size_t size, const char *model)
{
    static const char *const endings[] = {".gguf", ".json"};
    const char *name = model ? model : "codelet-8m", *slash = strrchr(name, '/');
    time_t now = time(NULL);
    struct tm utc;
    size_t n;
    if (slash) name = slash + 1;
    gmtime_r(&now, &utc);
    strftime(dir, size, "results/%Y%m%d-%H%M%S-", &utc);
    n = strlen(dir);
    snprintf(dir + n, size - n, "%.64s", name);
    for (char *p = dir + n; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.", *p)) *p = '-';
    n = strlen(dir);
    for (size_t i = 0; i < BG_COUNT(endings); i++) {
        size_t e = strlen(endings[i]);
        if (n > e && strcmp(dir + n - e, endings[i]) == 0) dir[n - e] = 0;
    }
}

/* Points results/latest at the folder; a link that cannot be made only costs convenience. */
static void link_latest(const char *dir)
{
    static const char temporary[] = "results/.latest.tmp";
    unlink(temporary);
    if (symlink(strrchr(dir, '/') + 1, temporary) == 0 && rename(temporary, latest) == 0) return;
    unlink(temporary);
    bg_log(BG_LOG_WARN, "%s could not be pointed at %s", latest, dir);
}

static bool has_failed(const bg_results *r)
{
    for (size_t i = 0; i < bg_results_row_count(r); i++) {
        const char *status = bg_row_text(bg_results_row(r, i), BG_COL_STATUS);
        if (status && strcmp(status, "failed") == 0) return true;
    }
    return false;
}

/* A sweep that only counted has nothing to recommend by. */
static bg_status show_counts(const char *dir, bg_error *err)
{
    bg_results *results;
    char *text = NULL;
    bg_status status;
    BG_TRY(bg_results_open(&results, dir, err));
    status = bg_report_simulated(results, &text, err);
    if (status == BG_OK && !text)
        status = bg_fail(err, BG_ERR_UNSUPPORTED, dir, "nothing could be counted: its results.csv "
                         "has the reasons");
    if (status == BG_OK)
        printf("%s\nThe numbers are in %s/results.csv%s.\n", text, dir,
               has_failed(results) ? ", and why some are missing" : "");
    bg_free_text(text);
    bg_results_close(&results);
    return status;
}

/* What came out, from the folder as anybody else would read it. The recommendation comes last. */
static bg_status show_results(const char *dir, bool report, bg_error *err)
{
    bg_results *results;
    bg_advice *advice = NULL;
    bg_report_options options = {.out = NULL};
    char *table = NULL, *text = NULL, *counts = NULL;
    bg_error report_err = {.status = BG_OK};
    bg_status status, reported;
    BG_TRY(bg_results_open(&results, dir, err));
    reported = report ? bg_report_write(results, &options, &report_err) : BG_OK;
    status = bg_advise(&advice, results, &options.advise, err);
    /* That nothing can be recommended is an answer; the sweep did its work. */
    if (status == BG_ERR_INFEASIBLE) status = BG_OK;
    if (status == BG_OK) status = bg_report_table(results, WIDTH, &table, err);
    if (status == BG_OK) status = bg_advice_text(advice, WIDTH, &text, err);
    if (status == BG_OK) status = bg_report_simulated(results, &counts, err);
    if (status == BG_OK) {
        printf("%s\n%s%sThe numbers are in %s/results.csv", table, counts ? counts : "",
               counts ? "\n" : "", dir);
        if (report && reported == BG_OK)
            printf(", tables and plots in\n%s/report.html", dir);
        printf(".\n\n%s", text);
    }
    bg_free_text(table);
    bg_free_text(text);
    bg_free_text(counts);
    bg_advice_close(&advice);
    bg_results_close(&results);
    if (status == BG_OK && reported != BG_OK) *err = report_err;
    return status == BG_OK ? reported : status;
}

static int quality_of(const char *name)
{
    if (!name) return -1;
    return strcmp(name, "off") == 0     ? BG_QUALITY_OFF
           : strcmp(name, "quick") == 0 ? BG_QUALITY_QUICK
                                        : BG_QUALITY_FULL;
}

static bg_status read_reps(const char *text, int *reps, bg_error *err)
{
    char *end;
    long value = text && strcmp(text, "auto") != 0 ? strtol(text, &end, 10) : 0;
    *reps = (int)value;
    if (!text || strcmp(text, "auto") == 0) return BG_OK;
    if (!*end && value >= 1 && value <= 100000) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, "--reps", "wants auto or a number from 1 to 100000, not '%s'",
                   text);
}

static bool only_counts(const bg_sweep_options *o)
{
    return o->simulate && o->n_prompt == 0 && o->n_gen == 0 && o->quality == BG_QUALITY_OFF;
}

static bg_status read_precision(const char *text, double *precision, bg_error *err)
{
    if (!text || bg_cli_parse_share(text, precision)) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, "--precision", "wants a share such as 2%% or 0.02, not '%s'",
                   text);
}

static bg_status run(bg_sweep_options *o, bool report, bg_error *err)
{
    bg_cli_progress line = {0};
    char dir[512];
    bool unnamed = !o->out;
    bg_status status;
    default_folder(dir, sizeof dir, o->shape ? o->shape : o->model);
    if (unnamed) o->out = dir;
    o->progress = show_progress;
    o->user = &line;
    bg_cli_catch_interrupt();
    status = bg_sweep_run(o, err);
    bg_cli_progress_end(&line);
    /* One that was stopped before its first file left nothing to point at; shapes have folders of
     * their own, which recommend --shape finds. */
    if (unnamed && !o->shape && (status == BG_OK || status == BG_ERR_INTERRUPTED) &&
        bg_file_exists(dir))
        link_latest(dir);
    if (status != BG_OK) return status;
    return only_counts(o) ? show_counts(o->out, err) : show_results(o->out, report, err);
}

int bg_cmd_sweep(int argc, char **argv)
{
    bg_sweep_options o;
    const char *reps = NULL, *quality = NULL, *counters = NULL, *precision = NULL, *prune = "off";
    int seed = 1, parsed;
    bool no_report = false;
    bg_error err = {.status = BG_OK};
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-m --model", "FILE", "GGUF model; default: the embedded one", &o.model, NULL,
         0, 0},
        {BG_OPT_TEXT, "--shape", "NAME", "a known model with random weights, for its speed "
         "(`info --list-shapes`)", &o.shape, NULL, 0, 0},
        {BG_OPT_INT, "--layers", "N", "time N layers of the shape and predict the whole", &o.layers,
         NULL, 2, 4096},
        {BG_OPT_TEXT, "-o --out", "DIR", "folder for the results; one of an interrupted sweep is "
         "continued", &o.out, NULL, 0, 0},
        {BG_OPT_TEXT, "--profile", "NAME", "what the defaults below are (default quick; "
         "shape for shapes)", &o.profile, "quick|full|ci|shape", 0, 0},
        {BG_OPT_GROUP, NULL, NULL, "What to measure with", NULL, NULL, 0, 0},
        {BG_OPT_TEXT, "--engine", "LIST", "builtin, llama.cpp, or both with a comma: cells in turn",
         &o.engines, NULL, 0, 0},
        {BG_OPT_TEXT, "--llama-bench", "PATH", "its program that times (default: along $PATH)",
         &o.llama_bench, NULL, 0, 0},
        {BG_OPT_TEXT, "--llama-perplexity", "PATH", "its program that measures quality; without, "
         "llama.cpp is\n                              only timed", &o.llama_perplexity, NULL, 0, 0},
        {BG_OPT_REAL, "--patience", "S", "seconds that these may be silent before they are ended "
         "(default 600)", &o.patience, NULL, 0, 1e9},
        {BG_OPT_GROUP, NULL, NULL, "What to measure", NULL, NULL, 0, 0},
        {BG_OPT_TEXT, "--schemes", "LIST", "all, levels, or names with commas", &o.schemes, NULL, 0,
         0},
        {BG_OPT_TEXT, "--isa", "LIST", "instruction sets: ref, avx2, ..., native", &o.isas, NULL, 0,
         0},
        {BG_OPT_TEXT, "-t --threads", "LIST", "numbers of threads, or auto", &o.threads, NULL, 0,
         0},
        {BG_OPT_INT, "-p --n-prompt", "N", "tokens of the prompt test; 0: none", &o.n_prompt, NULL,
         0, 1 << 24},
        {BG_OPT_INT, "-n --n-gen", "N", "tokens of the generation test; 0: none", &o.n_gen, NULL, 0,
         8192},
        {BG_OPT_INT, "-d --depth", "N", "tokens in the context before each test", &o.depth, NULL, 0,
         1 << 24},
        {BG_OPT_TEXT, "--quality", "HOW", "windows of perplexity and KL divergence", &quality,
         "quick|full|off", 0, 0},
        {BG_OPT_TEXT, "--text", "FILE", "text for it; self: what the model writes", &o.text, NULL,
         0, 0},
        {BG_OPT_TEXT, "--imatrix", "FILE", "importance matrix: each scheme with it is a row of its "
         "own", &o.imatrix, NULL, 0, 0},
        {.type = BG_OPT_MAYBE, .names = "--search", .metavar = "[SIZES]", .target = &o.search,
         .choices = "auto", .help = "also search mixed precision of these sizes, such as "
         "2.7MB,Q3_K_M (the file\n                              of a scheme); default: those of "
         "Q2_K, Q3_K_M and Q4_K_M"},
        {BG_OPT_REAL, "--search-minutes", "M", "at most, for each size; 0: until it gets no better "
         "(default 3)", &o.search_minutes, NULL, 0, 1e6},
        {BG_OPT_TEXT, "--prune", "off|on|SHARE", "these may also go without channels, heads and "
         "layers, of all\n                              weights no more than SHARE (off)", &prune,
         NULL, 0, 0},
        {BG_OPT_TEXT, "--calib", "FILE", "text to search on, another one than --text; default: "
         "what came with\n                              the model, or the model writes it",
         &o.calib, NULL, 0, 0},
        {BG_OPT_TEXT, "--activations", "LIST", "f16, q8, q6, q4: quality also with what matrices "
         "read rounded\n                              so (simulated; no speed follows)",
         &o.activations, NULL, 0, 0},
        {BG_OPT_TEXT, "--counters", "NAME", "callgrind: also count instructions, cache misses and "
         "mispredicted branches\n                              in a simulated processor, the same "
         "in every run", &counters,
         "callgrind", 0, 0},
        {BG_OPT_GROUP, NULL, NULL, "How long", NULL, NULL, 0, 0},
        {BG_OPT_TEXT, "-r --reps", "N", "repetitions, or auto: until the interval is narrow",
         &reps, NULL, 0, 0},
        {BG_OPT_TEXT, "--precision", "SHARE", "half of an interval that is narrow, over the "
         "median: 2% or 0.02", &precision, NULL, 0, 0},
        {BG_OPT_INT, "--max-reps", "N", "repetitions at most while it is not", &o.max_reps, NULL, 1,
         100000},
        {BG_OPT_REAL, "--time-limit", "S", "seconds after which nothing is repeated; 0: none",
         &o.time_limit, NULL, 0, 1e9},
        {BG_OPT_INT, "--seed", "N", "of the order and of a text that the model writes", &seed, NULL,
         0, INT32_MAX},
        {BG_OPT_FLAG, "--no-roof", NULL, "do not measure what the machine could reach", &o.no_roofs,
         NULL, 0, 0},
        {BG_OPT_TEXT, "--noise-from", "FILE", "machine.json with the noise floors to carry "
         "(default: of the last `probe --noise` here)", &o.noise_from, NULL, 0, 0},
        {BG_OPT_FLAG, "--no-report", NULL, "leave out the report and its plots", &no_report, NULL,
         0, 0},
    };
    const bg_opt_spec spec = {
        .command = "sweep", .usage = "[options]",
        .summary = "Quantizes a model in memory to every scheme, measures speed and quality of "
                   "each on this\nmachine, and recommends one. A sweep that was stopped goes on "
                   "when it is given the\nsame --out and options again.",
        .examples = "  bitgauge sweep\n"
                    "  bitgauge sweep -m llama-1b-f16.gguf --schemes levels --time-limit 1800\n"
                    "  bitgauge sweep --profile full --out results/full\n"
                    "  bitgauge sweep -m model-f16.gguf --search --calib text.txt\n"
                    "  bitgauge sweep --shape codellama-34b\n"
                    "  bitgauge sweep -m model-f16.gguf --engine builtin,llama.cpp \\\n"
                    "      --llama-bench ~/llama.cpp/build/bin/llama-bench\n"
                    "  bitgauge sweep --counters callgrind -p 0 -n 0 --quality off\n",
        .options = options, .n_options = BG_COUNT(options),
    };
    bg_sweep_options_init(&o);
    parsed = bg_opt_parse(&spec, argc, argv, NULL, NULL);
    if (parsed >= 0) return parsed;
    o.quality = quality_of(quality);
    o.seed = (uint64_t)seed;
    o.simulate = counters != NULL;
    if (bg_cli_parse_prune(prune, &o.prune, &err) != BG_OK ||
        read_reps(reps, &o.reps, &err) != BG_OK ||
        read_precision(precision, &o.precision, &err) != BG_OK ||
        run(&o, !no_report, &err) != BG_OK)
        return bg_cli_fail(&err);
    return BG_EXIT_OK;
}
