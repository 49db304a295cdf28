#include "cli/advise_options.h"

#include "bitgauge/report.h"

#include <string.h>

/* The comparison goes to the terminal, and to `out` if there is one. */
static int compare(const char *const *dirs, size_t n, const char *out)
{
    bg_results *results[BG_REPORT_SIDES] = {NULL};
    const bg_results *sides[BG_REPORT_SIDES];
    char *text = NULL;
    bg_error err = {.status = BG_OK};
    bg_status status = BG_OK;
    for (size_t i = 0; i < n && status == BG_OK; i++) {
        status = bg_results_open(&results[i], dirs[i], &err);
        sides[i] = results[i];
    }
    if (status == BG_OK) status = bg_report_compare(sides, n, out, &text, &err);
    if (status == BG_OK) fputs(text, stdout);
    bg_free_text(text);
    for (size_t i = 0; i < n; i++) bg_results_close(&results[i]);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}

int bg_cmd_report(int argc, char **argv)
{
    bg_cli_advise ask = {.ctx = 0};
    const char *out = NULL;
    bool comparing = false;
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-o --out", "FOLDER", "where to write; default: the results folder", &out,
         NULL, 0, 0},
        {BG_OPT_FLAG, "--compare", NULL, "set folders side by side, the first as the base, on the "
         "terminal and in --out", &comparing, NULL, 0, 0},
        BG_CLI_ADVISE_OPTIONS(ask),
    };
    const bg_opt_spec spec = {
        .command = "report",
        .usage = "[DIR] [options] | --compare DIR DIR... [--out FOLDER]",
        .summary = "Writes report.md, report.html (self-contained) and plots/*.svg and *.png from "
                   "the results\nof a sweep (DIR; default results/latest). Measures nothing.",
        .examples =
            "  bitgauge report\n  bitgauge report results/laptop --out report --memory 8GB\n"
            "  bitgauge report --compare results/old results/new --out page\n",
        .options = options,
        .n_options = BG_COUNT(options),
        .max_words = BG_REPORT_SIDES,
    };
    const char *dirs[BG_REPORT_SIDES] = {NULL};
    size_t words = 0;
    bg_error err = {.status = BG_OK};
    bg_results *results = NULL;
    bg_report_options o = {.out = NULL};
    bg_status status;
    int parsed = bg_opt_parse(&spec, argc, argv, dirs, &words);
    if (parsed >= 0) return parsed;
    if (words >= 2 && comparing) return compare(dirs, words, out);
    if (words >= 2 || comparing) {
        bg_fail(&err, BG_ERR_INPUT, NULL,
                "two folders or more go with --compare, and it with them");
        return bg_cli_fail(&err);
    }
    bg_cli_advise_finish(&ask);
    if (bg_cli_results(dirs[0], &results, &err) != BG_OK) return bg_cli_fail(&err);
    o.out = out;
    o.advise = ask.options;
    status = bg_report_write(results, &o, &err);
    if (status == BG_OK) {
        const char *folder = out ? out : bg_results_dir(results);
        printf("%s/report.html\n%s/report.md\n", folder, folder);
    }
    bg_results_close(&results);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
