/* cli.h: what the commands share: options as tables, errors, progress. Internal.
 *
 * Data goes to standard output; progress and messages go to standard error. */
#ifndef BG_CLI_H
#define BG_CLI_H

#include "base/base.h"
#include "base/file.h"
#include "base/team.h"

enum { BG_EXIT_OK, BG_EXIT_NO, BG_EXIT_MISUSE, BG_EXIT_REGRESSION, BG_EXIT_INCONCLUSIVE };

typedef enum bg_opt_type {
    BG_OPT_FLAG,  /* bool *: set true */
    BG_OPT_TEXT,  /* const char ** */
    BG_OPT_MAYBE, /* const char **: its value may be left out, before another option; it then is
                     what `choices` says */
    BG_OPT_INT,   /* int * */
    BG_OPT_REAL,  /* double * */
    BG_OPT_SIZE,  /* uint64_t *: "5MB" */
    BG_OPT_LIST,  /* bg_opt_list *: may be given several times */
    BG_OPT_GROUP, /* a heading in --help */
} bg_opt_type;

typedef struct bg_opt_list { const char *values[64]; size_t n; } bg_opt_list;

/* One line an option. names: "-m --model". Values: "--ctx 512" or "--ctx=512". choices: words
 * separated by "|" that a TEXT option is limited to, or NULL. min and max bound INT and REAL
 * when min < max. */
typedef struct bg_opt {
    bg_opt_type type;
    const char *names, *metavar, *help;
    void *target;
    const char *choices;
    double min, max;
} bg_opt;

typedef struct bg_opt_spec {
    const char *command;     /* "quantize" */
    const char *usage;       /* "IN OUT SCHEME [options]" */
    const char *summary;     /* a paragraph */
    const char *examples;    /* lines, or NULL */
    const bg_opt *options;
    size_t n_options;
    size_t min_words, max_words; /* positional arguments */
} bg_opt_spec;

/* Parses argv[1..]. Positional words land in `words` (max_words of them). Returns -1 to go on, or
 * an exit status: --help was printed, or a misuse was reported with the nearest option. */
int bg_opt_parse(const bg_opt_spec *spec, int argc, char **argv, const char **words,
                 size_t *n_words);

/* Prints "bitgauge: where: message" and returns the exit status that fits. */
int bg_cli_fail(const bg_error *err);

/* The model to use: `path`, or the embedded one when NULL or "embedded". Free with bg_free. */
bg_status bg_cli_model_path(const char *path, char **out, bg_error *err);

/* Team of `threads` (0: one a usable core); `bound` to cores, in their order, where speed is what
 * is asked: two such programs side by side would share the first ones. */
struct bg_machine;
bg_status bg_cli_team(int threads, bool bound, struct bg_machine **machine, bg_team **team,
                      bg_error *err);

/* "5%" or "0.05" -> 0.05; false unless it is above 0 and below 1. */
bool bg_cli_parse_share(const char *text, double *share);
/* --prune: "off" is 0, "on" is 1, else a share. */
bg_status bg_cli_parse_prune(const char *text, double *share, bg_error *err);

/* One line of progress on standard error, redrawn at most ten times a second on a terminal, once
 * in ten seconds otherwise. `what` is shown with percentage and time left. */
typedef struct bg_cli_progress {
    const char *what;
    uint64_t start_ns, shown_ns;
    bool drawn;
} bg_cli_progress;
void bg_cli_progress_show(bg_cli_progress *p, double fraction);
void bg_cli_progress_end(bg_cli_progress *p);

/* The most memory that the process has had resident, "78.1 MB", or "unknown". */
const char *bg_cli_peak(char *buffer, size_t n);

/* SIGINT and SIGTERM set a flag instead of killing, once called; a second one kills. */
void bg_cli_catch_interrupt(void);
bool bg_cli_interrupted(void);

#define BG_COMMAND(name, summary) int bg_cmd_##name(int argc, char **argv);
#include "cli/commands.def"
#undef BG_COMMAND

#endif
