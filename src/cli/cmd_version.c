#include "cli/cli.h"

int bg_cmd_version(int argc, char **argv)
{
    static const bg_opt_spec spec = {
        .command = "version", .usage = "", .summary = "Prints the version.",
    };
    int status = bg_opt_parse(&spec, argc, argv, NULL, NULL);
    if (status >= 0) return status;
    printf("bitgauge %s\n", bg_version());
    return BG_EXIT_OK;
}
