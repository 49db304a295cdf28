#include "base/process.h"

#include "base/team.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ASK_MS = 200, VARIABLES = 5, STACK_BYTES = 8 << 20, NOT_STARTED = 127, STREAMS = 2 };

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

/* What makes two runs alike. */
static void be_steady(void)
{
    struct rlimit stack;
    personality(ADDR_NO_RANDOMIZE);
    if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_max >= STACK_BYTES) {
        stack.rlim_cur = STACK_BYTES;
        setrlimit(RLIMIT_STACK, &stack);
    }
}

/* In the child: only what may be called after a fork of a program with threads. */
static _Noreturn void become(const bg_process *p, char *const *variables,
                             const int outputs[STREAMS], pid_t parent)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGQUIT}; /* of a terminal: it is ours to end it */
    const struct rlimit none = {0, 0};
    int nothing = open("/dev/null", O_RDONLY);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(NOT_STARTED);
    for (size_t i = 0; i < BG_COUNT(ends); i++) signal(ends[i], SIG_IGN);
    bg_team_unbind();
    if (p->steady) be_steady();
    setrlimit(RLIMIT_CORE, &none);
    if (dup2(nothing, STDIN_FILENO) >= 0 && dup2(outputs[0], STDOUT_FILENO) >= 0 &&
        dup2(outputs[p->merged ? 0 : 1], STDERR_FILENO) >= 0 && (!p->dir || chdir(p->dir) == 0))
        execve(p->argv[0], (char *const *)(uintptr_t)p->argv, variables);
    _exit(NOT_STARTED);
}

/* Keeps the last line that is not empty, fit for a terminal. */
static void take_line(bg_process *p, const char *data, size_t n, bool *fresh)
{
    size_t length = strlen(p->last);
    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n') {
            *fresh = true;
            continue;
        }
        if (*fresh) length = 0;
        *fresh = false;
        if (length + 1 < sizeof p->last)
            p->last[length++] = (unsigned char)data[i] < 0x20 || data[i] == 0x7f ? '?' : data[i];
        p->last[length] = 0;
    }
}

static bool has_ended(pid_t child)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
           info.si_pid == child;
}

/* Takes up the peak of its memory so far. That of wait4 would be of no use: it begins with that of
 * the process that forked. Until the child runs its program it is still that process. */
static void look_at_memory(bg_process *p, pid_t child)
{
    char name[64], own[PATH_MAX], its[PATH_MAX], line[128];
    ssize_t n, m;
    FILE *f;
    double kib;
    snprintf(name, sizeof name, "/proc/%d/exe", (int)child);
    n = readlink("/proc/self/exe", own, sizeof own);
    m = readlink(name, its, sizeof its);
    if (m <= 0 || (n == m && memcmp(own, its, (size_t)n) == 0)) return;
    snprintf(name, sizeof name, "/proc/%d/status", (int)child);
    f = fopen(name, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf kB", &kib) == 1) p->peak_rss = fmax(p->peak_rss, kib * 1024);
    if (f) fclose(f);
}

typedef enum outcome { ENDED, STOPPED, LATE, TALKS } outcome;

/* Whether to go on with it; heard: when it last wrote. */
static outcome judge(const bg_process *p, uint64_t heard)
{
    if (p->alive && !p->alive(p->user)) return STOPPED;
    if (p->patience > 0 && (double)(bg_clock_ns() - heard) * 1e-9 > p->patience) return LATE;
    return p->limit && p->written > p->limit ? TALKS : ENDED;
}

/* Until the child has closed both streams, or has ended while what it started holds them open. */
static outcome listen_to(bg_process *p, pid_t child, const int from[STREAMS], uint64_t *heard)
{
    struct pollfd polled[STREAMS] = {{.fd = from[0], .events = POLLIN},
                                     {.fd = from[1], .events = POLLIN}};
    bool fresh = true, ended = false;
    while (polled[0].fd >= 0 || polled[1].fd >= 0) {
        int ready = poll(polled, STREAMS, ended ? 0 : ASK_MS);
        outcome now = judge(p, *heard);
        look_at_memory(p, child);
        if (now != ENDED) return now;
        if (ready <= 0 && ended) break;
        if (ready <= 0) ended = has_ended(child);
        for (int i = 0; ready > 0 && i < STREAMS; i++) {
            char data[4096];
            ssize_t n;
            if (!polled[i].revents) continue;
            n = read(polled[i].fd, data, sizeof data);
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) polled[i].fd = -1;
            if (n <= 0) continue;
            *heard = bg_clock_ns();
            p->written += (size_t)n;
            take_line(p, data, (size_t)n, &fresh);
            if (i == 0 && p->limit) bg_text_append(&p->output, data, (size_t)n);
        }
    }
    return ENDED;
}

/* One that closed its streams may still run. */
static outcome wait_for(const bg_process *p, pid_t child, uint64_t heard)
{
    for (int ms = 1; !has_ended(child); ms = BG_MIN(2 * ms, (int)ASK_MS)) {
        outcome now = judge(p, heard);
        if (now != ENDED) return now;
        poll(NULL, 0, ms);
    }
    return ENDED;
}

static void explain(bg_process *p, outcome end, int status)
{
    p->how[0] = 0;
    p->late = end == LATE;
    if (end == LATE)
        snprintf(p->how, sizeof p->how, "it was silent for %.3g s and was ended", p->patience);
    else if (end == TALKS)
        snprintf(p->how, sizeof p->how, "it wrote over %zu bytes", p->limit);
    else if (WIFSIGNALED(status))
        snprintf(p->how, sizeof p->how, "ended by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == NOT_STARTED)
        snprintf(p->how, sizeof p->how, "it cannot be started");
    else if (WEXITSTATUS(status))
        snprintf(p->how, sizeof p->how, "exit status %d", WEXITSTATUS(status));
}

/* Follows the child to its end and takes it off. */
static outcome follow(bg_process *p, pid_t child, const int from[STREAMS])
{
    uint64_t start = bg_clock_ns(), heard = start;
    int status = 0;
    pid_t waited;
    outcome end = listen_to(p, child, from, &heard);
    if (end == ENDED) end = wait_for(p, child, heard);
    if (end != ENDED) kill(child, SIGKILL);
    kill(-child, SIGKILL); /* what it started, while its number is still taken */
    do waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    p->seconds = (double)(bg_clock_ns() - start) * 1e-9;
    explain(p, end, waited == child ? status : 0);
    return end;
}

static bool open_pipes(int from[STREAMS], int to[STREAMS])
{
    int ends[2];
    for (int i = 0; i < STREAMS; i++) {
        if (pipe2(ends, O_CLOEXEC) != 0) {
            if (i) close(from[0]), close(to[0]);
            return false;
        }
        from[i] = ends[0];
        to[i] = ends[1];
    }
    return true;
}

bg_status bg_process_run(bg_process *p, bg_error *err)
{
    environment e;
    int from[STREAMS], to[STREAMS];
    pid_t child, parent = getpid();
    outcome end = STOPPED;
    p->last[0] = 0;
    p->peak_rss = NAN;
    p->written = 0;
    p->output = (bg_text){0};
    make_environment(&e);
    if (!open_pipes(from, to))
        return bg_fail(err, BG_ERR_IO, p->argv[0], "cannot be started (%s)", strerror(errno));
    child = fork();
    if (child == 0) become(p, p->steady ? e.at : environ, to, parent);
    for (int i = 0; i < STREAMS; i++) close(to[i]);
    if (child > 0) end = follow(p, child, from);
    for (int i = 0; i < STREAMS; i++) close(from[i]);
    if (child < 0)
        return bg_fail(err, BG_ERR_IO, p->argv[0], "cannot be started (%s)", strerror(errno));
    if (p->output.failed) return bg_fail_nomem(err, p->argv[0], p->output.length);
    if (end == STOPPED) return bg_fail(err, BG_ERR_INTERRUPTED, p->argv[0], "stopped");
    return BG_OK;
}

static bool is_program(const char *path)
{
    struct stat st;
    return access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Links stay what they are: a program may look at the name that it is run by. */
static bool make_absolute(const char *path, char out[PATH_MAX])
{
    size_t n = 0;
    if (path[0] != '/') {
        if (!getcwd(out, PATH_MAX - 1)) return false;
        n = strlen(out);
        out[n++] = '/';
    }
    if (n + strlen(path) >= PATH_MAX) errno = ENAMETOOLONG;
    else strcpy(out + n, path);
    return n + strlen(path) < PATH_MAX && access(out, F_OK) == 0;
}

bg_status bg_process_find(const char *name, char out[PATH_MAX], bg_error *err)
{
    const char *path = getenv("PATH");
    if (strchr(name, '/')) {
        if (!make_absolute(name, out))
            return bg_fail(err, BG_ERR_INPUT, name, "cannot be run (%s)", strerror(errno));
        if (is_program(out)) return BG_OK;
        return bg_fail(err, BG_ERR_INPUT, name, "is no program that may be run");
    }
    while (path && *path) {
        size_t n = strcspn(path, ":");
        int length = snprintf(out, PATH_MAX, "%.*s/%s", (int)BG_MIN(n, (size_t)PATH_MAX), path,
                              name);
        if (*path == '/' && length > 0 && length < PATH_MAX && is_program(out)) return BG_OK;
        path += n + (path[n] == ':');
    }
    return bg_fail(err, BG_ERR_INPUT, name, "is not in PATH");
}
