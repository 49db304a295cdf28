#include "cli/cli.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Weak: a reduced build leaves the commands out whose rooms are missing. */
#define BG_COMMAND(name, summary) \
    extern __typeof__(bg_cmd_##name) bg_cmd_##name __attribute__((weak));
#include "cli/commands.def"
#undef BG_COMMAND

static const struct { const char *name, *summary; int (*run)(int, char **); } commands[] = {
#define BG_COMMAND(name, summary) {#name, summary, bg_cmd_##name},
#include "cli/commands.def"
#undef BG_COMMAND
};
#define N_COMMANDS BG_COUNT(commands)

static void print_message(void *user, bg_log_level level, const char *message)
{
    (void)user;
    if (level <= BG_LOG_WARN) fprintf(stderr, "bitgauge: %s\n", message);
}

static void print_help(void)
{
    printf("bitgauge %s: which quantization of a language model to run on this machine\n\n"
           "Usage: bitgauge COMMAND [MODEL|DIR] [options]\n\nCommands:\n", bg_version());
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (commands[i].run && commands[i].summary)
            printf("  %-12s%s\n", commands[i].name, commands[i].summary);
    printf("\nWithout a model, commands use the embedded one (Codelet 8M, a small code model).\n"
           "`bitgauge COMMAND --help` lists a command's options.\n"
           "Start with: bitgauge sweep\n");
}

int main(int argc, char **argv)
{
    const char *names[N_COMMANDS], *near, *word = argc > 1 ? argv[1] : "--help";
    bg_log_set_sink(print_message, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error like a full disk, no death */
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("bitgauge %s\n", bg_version());
        return BG_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help();
        return argc > 1 ? BG_EXIT_OK : BG_EXIT_MISUSE;
    }
    for (size_t i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strcmp(word, commands[i].name) != 0) continue;
        if (!commands[i].run) {
            fprintf(stderr, "bitgauge: this build has no %s: a library that it needs was missing\n",
                    word);
            return BG_EXIT_MISUSE;
        }
        int status = commands[i].run(argc - 1, argv + 1);
        /* Data that could not be written is a failure, even after a good run. */
        if (fflush(stdout) != 0 || ferror(stdout)) {
            fprintf(stderr, "bitgauge: cannot write to standard output: is the disk full?\n");
            return BG_EXIT_MISUSE;
        }
        return status;
    }
    near = bg_nearest(word, names, N_COMMANDS);
    fprintf(stderr, "bitgauge: unknown command '%s'%s%s%s; see `bitgauge --help`\n", word,
            near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    return BG_EXIT_MISUSE;
}
