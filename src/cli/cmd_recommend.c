#include "cli/advise_options.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40)
        return BG_MIN(size.ws_col, 100);
    return 80;
}

int bg_cmd_recommend(int argc, char **argv)
{
    bg_cli_advise ask = {.ctx = 0};
    bool json = false;
    const bg_opt options[] = {
        {BG_OPT_FLAG, "--json", NULL, "the same answer for programs", &json, NULL, 0, 0},
        BG_CLI_ADVISE_OPTIONS(ask),
    };
    const bg_opt_spec spec = {
        .command = "recommend", .usage = "[DIR] [options]",
        .summary = "Names the quantization to use, from the results of a sweep (DIR; default "
                   "results/latest),\nand says why. Exits with 1 when no scheme meets the "
                   "constraints, naming the nearest.",
        .examples = "  bitgauge recommend\n"
                    "  bitgauge recommend --memory 8GB --ctx 8192\n"
                    "  bitgauge recommend results/laptop --objective quality --min-tps 20 --json\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = 1,
    };
    const char *dir = NULL;
    size_t words = 0;
    bg_error err = {.status = BG_OK};
    bg_results *results = NULL;
    bg_advice *advice = NULL;
    char *text = NULL;
    bg_status status, answer;
    int parsed = bg_opt_parse(&spec, argc, argv, &dir, &words);
    if (parsed >= 0) return parsed;
    bg_cli_advise_finish(&ask);
    if ((status = bg_cli_results(dir, &results, &err)) != BG_OK) return bg_cli_fail(&err);
    answer = status = bg_advise(&advice, results, &ask.options, &err);
    if (advice) {
        bg_error render = {.status = BG_OK};
        status = json ? bg_advice_json(advice, &text, &render)
                      : bg_advice_text(advice, terminal_width(), &text, &render);
        if (status != BG_OK) err = render;
    }
    if (text) fputs(text, stdout);
    bg_free_text(text);
    bg_advice_close(&advice);
    bg_results_close(&results);
    if (status != BG_OK) return bg_cli_fail(&err);
    return answer == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
