#include "cli/advise_options.h"

#include "bitgauge/report.h"

#include <string.h>

int bg_cmd_report(int argc, char **argv)
{
    bg_cli_advise ask = {.ctx = 0};
    const char *out = NULL;
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-o --out", "FOLDER", "where to write; default: the results folder", &out,
         NULL, 0, 0},
        BG_CLI_ADVISE_OPTIONS(ask),
    };
    const bg_opt_spec spec = {
        .command = "report",
        .usage = "[DIR] [options]",
        .summary = "Writes report.md, report.html (self-contained) and plots/*.svg and *.png from "
                   "the results\nof a sweep (DIR; default results/latest). Measures nothing.",
        .examples =
            "  bitgauge report\n  bitgauge report results/laptop --out report --memory 8GB\n",
        .options = options,
        .n_options = BG_COUNT(options),
        .max_words = 1,
    };
    const char *dir = NULL;
    size_t words = 0;
    bg_error err = {.status = BG_OK};
    bg_results *results = NULL;
    bg_report_options o = {.out = NULL};
    bg_status status;
    int parsed = bg_opt_parse(&spec, argc, argv, &dir, &words);
    if (parsed >= 0) return parsed;
    bg_cli_advise_finish(&ask);
    if (bg_cli_results(dir, &results, &err) != BG_OK) return bg_cli_fail(&err);
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
