#include "machine/isa.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

static uint64_t enabled_state(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* OSXSAVE */
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}

static bool has_bit(const bg_cpu_bit *bit)
{
    uint32_t r[4];
    return __get_cpuid_count(bit->leaf, bit->subleaf, &r[0], &r[1], &r[2], &r[3]) &&
           (r[bit->reg] >> bit->bit & 1);
}

/* What the operating system must do for it beyond running it. */
static bool enabled(const bg_isa_probe *isa, char *reason, size_t n)
{
    if ((enabled_state() & isa->xcr0) != isa->xcr0) {
        snprintf(reason, n, "the operating system does not enable its registers");
        return false;
    }
    if (isa->amx && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) != 0) {
        snprintf(reason, n, "the kernel refuses the tile registers (%s)", strerror(errno));
        return false;
    }
    return true;
}
#else
static bool has_bit(const bg_cpu_bit *bit) { return getauxval(bit->leaf) >> bit->bit & 1; }

static bool enabled(const bg_isa_probe *isa, char *reason, size_t n)
{
    (void)isa;
    (void)reason;
    (void)n;
    return true;
}
#endif

static bool present(const bg_isa_probe *isa, char *reason, size_t n)
{
    for (size_t i = 0; i < BG_COUNT(isa->needs) && isa->needs[i].name; i++) {
        if (has_bit(&isa->needs[i])) continue;
        snprintf(reason, n, "the CPU has no %s", isa->needs[i].name);
        return false;
    }
    return enabled(isa, reason, n);
}

static bool right(const bg_peak *peak)
{
    return !peak->run || fabs(peak->run(BG_PEAK_TRIAL) - BG_PEAK_TRIAL * peak->sum) < 0.5;
}

/* In the child: only code that is safe after a fork in a program with threads. */
static void trial(const bg_isa_probe *isa)
{
    static const int faults[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < BG_COUNT(faults); i++) signal(faults[i], SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm(5);
    _exit(right(&isa->flop) && right(&isa->int8) ? 0 : 1);
}

bool bg_isa_try(const bg_isa_probe *isa, char *reason, size_t n)
{
    int status = 0;
    pid_t child;
    if (!present(isa, reason, n)) return false;
    child = fork();
    if (child == 0) trial(isa);
    if (child < 0 || (TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) != child)) {
        snprintf(reason, n, "could not be tried (%s)", strerror(errno));
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFSIGNALED(status))
        snprintf(reason, n, "present, but faults when tried (%s)", strsignal(WTERMSIG(status)));
    else
        snprintf(reason, n, "present, but computes wrong results");
    return false;
}
