#include "cli/advise_options.h"

#include "bitgauge/results.h"

#include <string.h>

void bg_cli_advise_finish(bg_cli_advise *a)
{
    a->options.ctx = (uint32_t)a->ctx;
    if (a->options.engine && strcmp(a->options.engine, "builtin") == 0)
        a->options.engine = "bitgauge";
    for (int o = 0; a->objective && o < BG_OBJECTIVE_COUNT; o++)
        if (strcmp(a->objective, bg_objective_name((bg_objective)o)) == 0)
            a->options.objective = (bg_objective)o;
}

bg_status bg_cli_results(const char *dir, struct bg_results **r, bg_error *err)
{
    static const char latest[] = "results/latest";
    if (!dir && !bg_file_exists(latest))
        return bg_fail(err, BG_ERR_INPUT, latest,
                       "there are no results yet: run `bitgauge sweep` to make them");
    return bg_results_open(r, dir ? dir : latest, err);
}
