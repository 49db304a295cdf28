#include "cli/advise_options.h"

#include "bitgauge/results.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40)
        return BG_MIN(size.ws_col, 100);
    return 80;
}

/* The whole answer, or for several shapes a table and the last line of it. */
static bg_status print_advice(const bg_advice *a, bool json, bool brief, bg_error *err)
{
    char *text = NULL, *last;
    BG_TRY(json ? bg_advice_json(a, &text, err) : bg_advice_text(a, terminal_width(), &text, err));
    if (brief) {
        bg_cli_shape_answer(a);
        last = strrchr(text, '\n');
        while (last > text && last[-1] != '\n') last--;
        printf("\n%s\n", last);
    } else {
        fputs(text, stdout);
    }
    bg_free_text(text);
    return BG_OK;
}

static int answer(const bg_results *results, const bg_cli_advise *ask, bool json, bool brief)
{
    bg_error err = {.status = BG_OK}, render = err;
    bg_advice *advice = NULL;
    bg_status status = bg_advise(&advice, results, &ask->options, &err);
    if (advice && print_advice(advice, json, brief, &render) != BG_OK) {
        status = render.status;
        err = render;
    }
    bg_advice_close(&advice);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}

/* One after the other; the worst status is that of all. */
static int answer_shapes(const char *list, const char *dir, const bg_cli_advise *ask, bool json)
{
    char *copy = bg_strdup(list), *rest = copy, *name;
    bool brief = strchr(list, ',') != NULL;
    int worst = BG_EXIT_OK;
    while (copy && (name = strsep(&rest, ","))) {
        bg_results *results = NULL;
        bg_error err;
        int status = bg_cli_shape_results(dir, name, &results, &err) == BG_OK
                     ? answer(results, ask, json, brief && !json) : bg_cli_fail(&err);
        worst = BG_MAX(worst, status);
        bg_results_close(&results);
    }
    bg_free(copy);
    return worst;
}

int bg_cmd_recommend(int argc, char **argv)
{
    bg_cli_advise ask = {.ctx = 0};
    bool json = false;
    const char *shapes = NULL;
    const bg_opt options[] = {
        {BG_OPT_TEXT, "--shape", "NAME", "from the newest sweep of this shape; several with commas "
         "are answered in short", &shapes, NULL, 0, 0},
        {BG_OPT_FLAG, "--json", NULL, "the same answer for programs", &json, NULL, 0, 0},
        BG_CLI_ADVISE_OPTIONS(ask),
    };
    const bg_opt_spec spec = {
        .command = "recommend", .usage = "[DIR] [options]",
        .summary = "Names the quantization to use, from the results of a sweep (DIR; default "
                   "results/latest),\nand says why. Exits with 1 when no scheme meets the "
                   "constraints, naming the nearest. A shape's\nquality is what is published of "
                   "the nearest model.",
        .examples = "  bitgauge recommend\n"
                    "  bitgauge recommend --memory 8GB --ctx 8192\n"
                    "  bitgauge recommend --shape codellama-34b --ctx 4096\n"
                    "  bitgauge recommend results/laptop --objective quality --min-tps 20 --json\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = 1,
    };
    const char *dir = NULL;
    size_t words = 0;
    bg_error err = {.status = BG_OK};
    bg_results *results = NULL;
    int status, parsed = bg_opt_parse(&spec, argc, argv, &dir, &words);
    if (parsed >= 0) return parsed;
    bg_cli_advise_finish(&ask);
    if (shapes) return answer_shapes(shapes, dir, &ask, json);
    if (bg_cli_results(dir, &results, &err) != BG_OK) return bg_cli_fail(&err);
    status = answer(results, &ask, json, false);
    bg_results_close(&results);
    return status;
}
