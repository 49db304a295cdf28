#include "harness/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ASK_MS = 200, VARIABLES = 5, STACK_BYTES = 8 << 20, NOT_STARTED = 127 };

/* Where valgrind and libraries are installed in places of their own, only these find them. */
static const char *const kept[] = {"VALGRIND_LIB", "LD_LIBRARY_PATH"};

typedef struct environment { char *at[VARIABLES], owned[BG_COUNT(kept)][1024]; } environment;

static void make_environment(environment *e)
{
    static char fixed[][24] = {"LC_ALL=C", "PATH=/usr/bin:/bin"};
    size_t n = 0;
    for (size_t i = 0; i < BG_COUNT(fixed); i++) e->at[n++] = fixed[i];
    for (size_t i = 0; i < BG_COUNT(kept); i++) {
        const char *value = getenv(kept[i]);
        int length = value ? snprintf(e->owned[i], sizeof e->owned[i], "%s=%s", kept[i], value) : 0;
        if (length > 0 && (size_t)length < sizeof e->owned[i]) e->at[n++] = e->owned[i];
    }
    e->at[n] = NULL;
}

/* In the child: only what may be called after a fork of a program with threads. */
static _Noreturn void become(const bg_spawn *s, char *const *variables, int output, pid_t parent)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGQUIT}; /* of a terminal: it is ours to end it */
    const struct rlimit none = {0, 0};
    struct rlimit stack;
    int nothing = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(NOT_STARTED);
    for (size_t i = 0; i < BG_COUNT(ends); i++) signal(ends[i], SIG_IGN);
    personality(ADDR_NO_RANDOMIZE);
    if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_max >= STACK_BYTES) {
        stack.rlim_cur = STACK_BYTES;
        setrlimit(RLIMIT_STACK, &stack);
    }
    setrlimit(RLIMIT_CORE, &none);
    if (dup2(nothing, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0 && chdir(s->dir) == 0)
        execve(s->argv[0], (char *const *)(uintptr_t)s->argv, variables);
    _exit(NOT_STARTED);
}

/* Keeps the last line that is not empty. */
static void take_output(bg_spawn *s, const char *data, size_t n, bool *fresh)
{
    size_t length = strlen(s->last);
    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n') {
            *fresh = true;
            continue;
        }
        if (*fresh) length = 0;
        *fresh = false;
        if (length + 1 < sizeof s->last) s->last[length++] = data[i];
        s->last[length] = 0;
    }
}

/* Until the child has closed the pipe; false when it is to be stopped. */
static bool listen_to(bg_spawn *s, int from)
{
    struct pollfd p = {.fd = from, .events = POLLIN};
    bool fresh = true;
    for (;;) {
        char data[1024];
        int ready = poll(&p, 1, ASK_MS);
        ssize_t n = ready > 0 ? read(from, data, sizeof data) : -1;
        if (n == 0) return true;
        if (n > 0) take_output(s, data, (size_t)n, &fresh);
        if (s->alive && !s->alive(s->user)) return false;
    }
}

static void explain(bg_spawn *s, int status)
{
    s->how[0] = 0;
    if (WIFSIGNALED(status))
        snprintf(s->how, sizeof s->how, "ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == NOT_STARTED)
        snprintf(s->how, sizeof s->how, "it cannot be started");
    else if (WEXITSTATUS(status))
        snprintf(s->how, sizeof s->how, "exit status %d", WEXITSTATUS(status));
}

bg_status bg_spawn_run(bg_spawn *s, bg_error *err)
{
    environment e;
    int ends[2], status = 0;
    pid_t child, parent = getpid(), waited;
    bool done;
    s->last[0] = 0;
    make_environment(&e);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return bg_fail(err, BG_ERR_IO, s->argv[0], "cannot be started (%s)", strerror(errno));
    child = fork();
    if (child == 0) become(s, e.at, ends[1], parent);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return bg_fail(err, BG_ERR_IO, s->argv[0], "cannot be started (%s)", strerror(errno));
    }
    done = listen_to(s, ends[0]);
    close(ends[0]);
    if (!done) kill(child, SIGKILL);
    do waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (!done) return bg_fail(err, BG_ERR_INTERRUPTED, s->argv[0], "stopped");
    explain(s, waited == child ? status : 0);
    return BG_OK;
}
