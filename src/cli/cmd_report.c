#include "cli/advise_options.h"

#include "bitgauge/report.h"

#include <string.h>

/* Two folders: their comparison goes to the terminal, and to `out` if there is one. */
static int compare(const char *const *dirs, const char *out)
{
    bg_results *results[2] = {NULL, NULL};
    char *text = NULL;
    bg_error err = {.status = BG_OK};
    bg_status status = bg_results_open(&results[0], dirs[0], &err);
    if (status == BG_OK) status = bg_results_open(&results[1], dirs[1], &err);
    if (status == BG_OK) status = bg_report_compare(results[0], results[1], out, &text, &err);
    if (status == BG_OK) fputs(text, stdout);
    bg_free_text(text);
    bg_results_close(&results[0]);
    bg_results_close(&results[1]);
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
        {BG_OPT_FLAG, "--compare", NULL, "set two folders side by side, on the terminal and in "
         "--out", &comparing, NULL, 0, 0},
        BG_CLI_ADVISE_OPTIONS(ask),
    };
    const bg_opt_spec spec = {
        .command = "report",
        .usage = "[DIR] [options] | --compare DIR DIR",
        .summary = "Writes report.md, report.html (self-contained) and plots/*.svg and *.png from "
                   "the results\nof a sweep (DIR; default results/latest). Measures nothing.",
        .examples =
            "  bitgauge report\n  bitgauge report results/laptop --out report --memory 8GB\n"
            "  bitgauge report --compare profiles/machines/*\n",
        .options = options,
        .n_options = BG_COUNT(options),
        .max_words = 2,
    };
    const char *dirs[2] = {NULL, NULL};
    size_t words = 0;
    bg_error err = {.status = BG_OK};
    bg_results *results = NULL;
    bg_report_options o = {.out = NULL};
    bg_status status;
    int parsed = bg_opt_parse(&spec, argc, argv, dirs, &words);
    if (parsed >= 0) return parsed;
    if (words == 2 && comparing) return compare(dirs, out);
    if (words == 2 || comparing) {
        bg_fail(&err, BG_ERR_INPUT, NULL, "two folders go with --compare, and it with two folders");
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
