/* What `--counters callgrind` starts under valgrind; not a command for people. */
#include "cli/cli.h"

#include "bitgauge/simulated.h"

#include <stdlib.h>
#include <string.h>

static bool read_number(const char *word, uint32_t *out)
{
    char *end;
    unsigned long value = strtoul(word, &end, 10);
    *out = (uint32_t)value;
    return *word >= '0' && *word <= '9' && !*end && value <= 1u << 24;
}

/* The parent has tried it, and here a trial of all kernels would take a second. */
static bool read_isa(const char *word, bg_isa *out)
{
    int isa = 0;
    while (isa < BG_ISA_COUNT && strcmp(word, bg_isa_name((bg_isa)isa)) != 0) isa++;
    *out = (bg_isa)isa;
    return isa < BG_ISA_COUNT && bg_sim_isa(*out) == *out;
}

int bg_cmd_count(int argc, char **argv)
{
    const char *words[5];
    size_t n_words;
    bg_sim_test test;
    bg_error err = {.status = BG_OK};
    const bg_opt_spec spec = {
        .command = "count", .usage = "MODEL ISA PROMPT GENERATED DEPTH",
        .summary = "Runs one test for callgrind to count. `bitgauge sweep --counters callgrind` and\n"
                   "`bitgauge bench --counters callgrind` start it.",
        .min_words = 5, .max_words = 5,
    };
    int parsed = bg_opt_parse(&spec, argc, argv, words, &n_words);
    if (parsed >= 0) return parsed;
    if (!read_number(words[2], &test.n_prompt) || !read_number(words[3], &test.n_gen) ||
        !read_number(words[4], &test.depth) || test.n_prompt + test.n_gen == 0)
        bg_fail(&err, BG_ERR_INPUT, NULL, "wants numbers of tokens up to 2^24, and one to count");
    else if (!read_isa(words[1], &test.isa))
        bg_fail(&err, BG_ERR_INPUT, words[1], "is no instruction set that valgrind runs");
    else
        bg_sim_run(words[0], &test, &err);
    return err.status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
