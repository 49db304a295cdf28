#include "cli/git.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_ARGUMENTS = 6 };

/* The first line that git prints; "" when it fails or is not there. */
static void ask_git(char *out, size_t size, const char *const *arguments)
{
    char *argv[MOST_ARGUMENTS + 2] = {(char *)(uintptr_t)"git"};
    posix_spawn_file_actions_t actions;
    int ends[2], status = 1, e;
    size_t n = 0;
    pid_t pid;
    out[0] = 0;
    for (int i = 0; i < MOST_ARGUMENTS && arguments[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)arguments[i];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    e = posix_spawn_file_actions_init(&actions);
    if (!e) {
        e = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        if (!e)
            e = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        if (!e) e = posix_spawnp(&pid, "git", &actions, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(ends[1]);
    for (ssize_t got = 1; !e && got != 0;) {
        char rest[256];
        got = n + 1 < size ? read(ends[0], out + n, size - n - 1)
                           : read(ends[0], rest, sizeof rest);
        if (got < 0 && errno != EINTR) break;
        if (got > 0 && n + 1 < size) n += (size_t)got;
    }
    close(ends[0]);
    while (!e && waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    out[e || status != 0 ? 0 : n] = 0;
    out[strcspn(out, "\n")] = 0;
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
