#include "cli/git.h"

#include "base/process.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ARGUMENTS = 6, OUTPUT_LIMIT = 1 << 20 };

/* The first line that git prints; "" when it fails or is not there. */
static void ask_git(char *out, size_t size, const char *const *arguments)
{
    char path[PATH_MAX];
    const char *argv[MOST_ARGUMENTS + 2] = {path};
    bg_process p = {.argv = argv, .limit = OUTPUT_LIMIT};
    out[0] = 0;
    for (int i = 0; i < MOST_ARGUMENTS && arguments[i]; i++) argv[i + 1] = arguments[i];
    if (bg_process_find("git", path, NULL) != BG_OK) return;
    if (bg_process_run(&p, NULL) == BG_OK && !p.how[0] && p.output.data)
        snprintf(out, size, "%.*s", (int)strcspn(p.output.data, "\n"), p.output.data);
    bg_text_fini(&p.output);
}

/* The first variable that is set, else what git says. */
static void find(char *out, size_t size, const char *const *variables, const char *const *arguments)
{
    for (; *variables; variables++) {
        const char *value = getenv(*variables);
        if (!value || !*value) continue;
        snprintf(out, size, "%s", value);
        return;
    }
    ask_git(out, size, arguments);
}

void bg_cli_commit_date(const char *commit, char date[40])
{
    date[0] = 0;
    if (*commit && *commit != '-')
        ask_git(date, 40, (const char *const[]){"show", "-s", "--format=%cI", commit, "--", NULL});
}

void bg_cli_commit_find(bg_cli_commit *c)
{
    const char *given = getenv("CI_COMMIT_TIMESTAMP");
    find(c->commit, sizeof c->commit, (const char *const[]){"GITHUB_SHA", "CI_COMMIT_SHA", NULL},
         (const char *const[]){"rev-parse", "HEAD", NULL});
    find(c->branch, sizeof c->branch,
         (const char *const[]){"GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME", NULL},
         (const char *const[]){"rev-parse", "--abbrev-ref", "HEAD", NULL});
    if (given && *given) snprintf(c->date, sizeof c->date, "%s", given);
    else bg_cli_commit_date(c->commit, c->date);
}
