/* Which instruction sets work here: advertised by the CPU, and then tried, because a virtual
 * machine may advertise what it does not run. */
#include "kernels/kernels.h"

#include "base/base.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BG_ISA(NAME, name, PARENT, title) #name,
static const char *const names[BG_ISA_COUNT] = {
#include "bitgauge/isas.def"
};

#define BG_ISA(NAME, name, PARENT, title) BG_ISA_##PARENT,
static const bg_isa parents[BG_ISA_COUNT] = {
#include "bitgauge/isas.def"
};

const char *bg_isa_name(bg_isa isa) { return names[isa]; }
bg_isa bg_isa_parent(bg_isa isa) { return parents[isa]; }

/* The child must die of a fault, whatever handlers the host program (or a sanitizer) set up, leave
 * no core file, and not hang. */
static _Noreturn void try_in_child(bool (*trial)(const void *user), const void *user, int answer)
{
    static const int faults[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP, SIGALRM};
    struct rlimit none = {0, 0};
    char right;
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (size_t i = 0; i < BG_COUNT(faults); i++) signal(faults[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &none);
    alarm(60);
    right = trial(user);
    while (write(answer, &right, 1) < 0 && errno == EINTR) continue;
    _exit(0);
}

static const char *fault_name(int signal_number)
{
    switch (signal_number) {
    case SIGILL: return "faulted (SIGILL)";
    case SIGSEGV: return "faulted (SIGSEGV)";
    case SIGBUS: return "faulted (SIGBUS)";
    case SIGFPE: return "faulted (SIGFPE)";
    case SIGALRM: return "did not finish";
    default: return "faulted";
    }
}

bool bg_isa_trial(bool (*trial)(const void *user), const void *user, const char **reason)
{
    int ends[2], status = 0;
    char right = 0;
    ssize_t n;
    pid_t child, waited;
    *reason = "could not be tried: no child process could be started";
    if (pipe(ends) != 0) return false;
    child = fork();
    if (child == 0) try_in_child(trial, user, ends[1]);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return false;
    }
    /* The answer comes through the pipe, for a host that ignores SIGCHLD has no exit status. */
    do n = read(ends[0], &right, 1);
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    do waited = waitpid(child, &status, 0);
    while (waited < 0 && errno == EINTR);
    if (n == 1 && right) {
        *reason = NULL;
        return true;
    }
    if (n == 1)
        *reason = "gave a wrong result";
    else
        *reason = fault_name(waited == child && WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return false;
}

static struct verdict { bool known, usable; const char *reason; } verdicts[BG_ISA_COUNT] = {
    [BG_ISA_REF] = {.known = true, .usable = true},
};
static pthread_mutex_t trying = PTHREAD_MUTEX_INITIALIZER;

/* A set runs its ancestors' code too: all of it that was not yet found good is tried, in one child,
 * for a child costs more than the trial. */
static bool smoke_family(const void *user)
{
    for (bg_isa isa = *(const bg_isa *)user; !verdicts[isa].usable; isa = parents[isa])
        if (!bg_isa_smoke(bg_isa_codes[isa])) return false;
    return true;
}

static void try_set(bg_isa isa)
{
    struct verdict *v = &verdicts[isa];
    if (v->known) return;
    v->known = true;
    if (!bg_isa_codes[isa]->present()) {
        v->reason = "not in this CPU";
    } else if (bg_isa_trial(smoke_family, &isa, &v->reason)) {
        for (; !verdicts[isa].usable; isa = parents[isa])
            verdicts[isa] = (struct verdict){.known = true, .usable = true};
    } else {
        try_set(parents[isa]);
        if (!verdicts[parents[isa]].usable) v->reason = verdicts[parents[isa]].reason;
    }
}

bool bg_isa_usable(bg_isa isa, const char **reason)
{
    struct verdict v;
    bg_kernel_find(BG_FORMAT_F32, BG_OP_GEMV, BG_ISA_REF); /* sets the registry up before a fork */
    pthread_mutex_lock(&trying);
    try_set(isa);
    v = verdicts[isa];
    pthread_mutex_unlock(&trying);
    if (reason) *reason = v.reason;
    return v.usable;
}

bg_status bg_isa_parse(const char *name, bg_isa *out, bg_error *err)
{
    const char *reason, *near;
    if (strcasecmp(name, "native") == 0) {
        int isa = BG_ISA_COUNT - 1;
        while (!bg_isa_usable((bg_isa)isa, NULL)) isa--;
        *out = (bg_isa)isa;
        return BG_OK;
    }
    for (int isa = 0; isa < BG_ISA_COUNT; isa++) {
        if (strcasecmp(name, names[isa]) != 0) continue;
        if (!bg_isa_usable((bg_isa)isa, &reason))
            return bg_fail(err, BG_ERR_INPUT, NULL,
                           "instruction set %s %s: use --isa native for the best that works here",
                           names[isa], reason);
        *out = (bg_isa)isa;
        return BG_OK;
    }
    near = bg_nearest(name, names, BG_ISA_COUNT);
    return bg_fail(err, BG_ERR_INPUT, NULL,
                   "unknown instruction set '%s'%s%s%s: see `bitgauge kernels`", name,
                   near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
}
