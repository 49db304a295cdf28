#include "cli/confirm.h"

#include <stdlib.h>
#include <string.h>

static bg_status print(const bg_comparison *c, bg_compare_format format, const char *append_to,
                       bg_error *err)
{
    char *text;
    FILE *f = append_to ? fopen(append_to, "a") : stdout;
    bool failed;
    if (!f) return bg_fail(err, BG_ERR_IO, append_to, "cannot be written");
    if (bg_comparison_text(c, format, &text, err) != BG_OK) {
        if (append_to) fclose(f);
        return err->status;
    }
    failed = fputs(text, f) < 0;
    bg_free_text(text);
    if (append_to) failed = fclose(f) != 0 || failed;
    if (!failed) return BG_OK;
    return bg_fail(err, BG_ERR_IO, append_to ? append_to : "standard output", "cannot be written");
}

/* GitHub Actions shows what is appended to the file of GITHUB_STEP_SUMMARY on the job's page, and
 * takes annotations from standard output. */
static bg_status print_as(const bg_comparison *c, const char *format, bg_error *err)
{
    static const struct { const char *name; bg_compare_format format; } formats[] = {
        {"md", BG_COMPARE_MD}, {"json", BG_COMPARE_JSON}, {"junit", BG_COMPARE_JUNIT}};
    const char *summary = getenv("GITHUB_STEP_SUMMARY");
    for (size_t i = 0; i < BG_COUNT(formats); i++)
        if (strcmp(format, formats[i].name) == 0) return print(c, formats[i].format, NULL, err);
    BG_TRY(print(c, BG_COMPARE_MD, summary && *summary ? summary : NULL, err));
    return print(c, BG_COMPARE_ANNOTATIONS, NULL, err);
}

static bg_status write_junit(const bg_comparison *c, const char *path, bg_error *err)
{
    char *text;
    bg_status status;
    BG_TRY(bg_comparison_text(c, BG_COMPARE_JUNIT, &text, err));
    status = bg_file_write(path, text, strlen(text), err);
    bg_free_text(text);
    return status;
}

static int exit_status(const bg_comparison *c, bool strict)
{
    if (bg_comparison_regressed(c)) return BG_EXIT_REGRESSION;
    for (size_t i = 0; i < c->n_together && strict; i++)
        if (c->together[i].all.verdict == BG_VERDICT_INCONCLUSIVE) return BG_EXIT_INCONCLUSIVE;
    return c->counts[BG_VERDICT_INCONCLUSIVE] ? BG_EXIT_INCONCLUSIVE : BG_EXIT_OK;
}

typedef struct request {
    const char *dirs[2], *format, *junit, *model, *llama_bench;
    bool confirm, strict;
    bg_compare_options options;
} request;

/* Measures again what the comparison leaves open, and judges with that. */
static bg_status confirm(const request *q, const bg_results *const r[2], bg_results **confirmed,
                         bg_comparison **c, bg_error *err)
{
    bg_compare_options o = q->options;
    BG_TRY(bg_cli_confirm(confirmed, *c, r[1], q->model, q->llama_bench, err));
    if (!*confirmed) return BG_OK;
    bg_comparison_close(c);
    o.confirmed = *confirmed;
    return bg_compare(c, r[0], r[1], &o, err);
}

static int run(const request *q)
{
    bg_results *r[2] = {NULL, NULL}, *confirmed = NULL;
    bg_comparison *c = NULL;
    bg_error err = {.status = BG_OK};
    bg_status status = bg_results_open(&r[0], q->dirs[0], &err);
    int code;
    if (status == BG_OK) status = bg_results_open(&r[1], q->dirs[1], &err);
    if (status == BG_OK) status = bg_compare(&c, r[0], r[1], &q->options, &err);
    if (status == BG_OK && q->confirm)
        status = confirm(q, (const bg_results *const[]){r[0], r[1]}, &confirmed, &c, &err);
    if (status == BG_OK) status = print_as(c, q->format, &err);
    if (status == BG_OK && q->junit) status = write_junit(c, q->junit, &err);
    code = status == BG_OK ? exit_status(c, q->strict) : bg_cli_fail(&err);
    bg_comparison_close(&c);
    bg_results_close(&confirmed);
    bg_results_close(&r[0]);
    bg_results_close(&r[1]);
    return code;
}

int bg_cmd_compare(int argc, char **argv)
{
    request q = {.format = "md", .options = {.alpha = 0.01, .seed = 1}};
    bg_compare_options *o = &q.options;
    const char *threshold = "5%";
    const bg_opt options[] = {
        {BG_OPT_TEXT, "--threshold", "SHARE", "a smaller change is none (default 5%)", &threshold,
         NULL, 0, 0},
        {BG_OPT_REAL, "--alpha", "Q", "share of false alarms among the changes reported (default "
         "0.01)", &o->alpha, NULL, 1e-9, 0.5},
        {BG_OPT_TEXT, "--metric", "LIST", "columns of results.csv with commas (default "
         "tps,\n                              sim_instructions): "
         "ttft_ms, itl_p99_ms,\n                              rss_bytes, ppl, kld_mean, counters, "
         "...", &o->metrics, NULL, 0, 0},
        {BG_OPT_TEXT, "--format", "NAME", "Markdown; every number; for CI; for a job of GitHub "
         "Actions", &q.format, "md|json|junit|github", 0, 0},
        {BG_OPT_TEXT, "--junit", "FILE", "write JUnit XML there as well", &q.junit, NULL, 0, 0},
        {BG_OPT_FLAG, "--confirm", NULL, "measure again, with this program, the cells of NEW that "
         "are slower or\n                              cannot be judged, and judge by that "
         "(NEW/confirm-1, ...)", &q.confirm, NULL, 0, 0},
        {BG_OPT_TEXT, "-m --model", "FILE", "model of NEW, for --confirm; default: the embedded "
         "one", &q.model, NULL, 0, 0},
        {BG_OPT_TEXT, "--llama-bench", "PATH", "the program that measured NEW's cells of "
         "llama.cpp, for --confirm\n                              (default: along $PATH)",
         &q.llama_bench, NULL, 0, 0},
        {BG_OPT_FLAG, "--strict", NULL, "status 4 also when only what all cells did together "
         "cannot be judged", &q.strict, NULL, 0, 0},
        {BG_OPT_FLAG, "--cross-machine", NULL, "accept other machines and engines, and compare "
         "shares of the roof", &o->cross_machine, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "compare",
        .usage = "BASE NEW [options]",
        .summary =
            "Says of every cell (scheme, test, instruction set, threads) that two results folders "
            "share\nwhether it became faster or slower, stayed the same, or cannot be judged.\n\n"
            "A cell is slower when all of these hold: a rank test, corrected for autocorrelation "
            "and\nfor the number of cells, gives q < alpha; the ratio of medians is beyond the "
            "threshold; and\nit is beyond the noise floor, how far identical work differs on this "
            "machine (`bitgauge\nprobe --noise`; else estimated from the samples). "
            "It is the same when the 95 % interval\nof the ratio is within the threshold, and the "
            "noise floor below it. All else is inconclusive,\nwith the reason. Bytes, quality and "
            "simulated counts do not vary: a change of half a percent\nis one.\n\n"
            "Where four cells or more have the kind of test and threads, what they did together is "
            "judged as\nsuch, and a cell that is inconclusive by what it did beside the others "
            "(\"own\"), each repetition\ncompared with those measured around it: less than what "
            "disturbs all of them is seen.\n\n"
            "Exit status: 0 no regression; 3 regression of a cell or of all together, or a cell "
            "that ran\nbefore fails; 4 no regression, but a cell cannot be judged; 2 misuse, or "
            "folders that cannot\nbe compared.",
        .examples = "  bitgauge compare results/main results/branch\n"
                    "  bitgauge compare results/main results/branch --threshold 3% --format github\n"
                    "  bitgauge compare old new --metric tps,rss_bytes,ppl --format junit >junit.xml\n"
                    "  bitgauge compare --cross-machine profiles/machines/a profiles/machines/b\n",
        .options = options,
        .n_options = BG_COUNT(options),
        .min_words = 2,
        .max_words = 2,
    };
    int parsed = bg_opt_parse(&spec, argc, argv, q.dirs, NULL);
    if (parsed >= 0) return parsed;
    if (!bg_cli_parse_share(threshold, &o->threshold)) {
        fprintf(stderr, "bitgauge compare: --threshold wants a share such as 5%% or 0.05, not "
                "'%s'; see `bitgauge compare --help`\n", threshold);
        return BG_EXIT_MISUSE;
    }
    return run(&q);
}
