/* The time-stamp counter: constant-rate cycles, not core cycles. */
#include "counters/backend.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

static const char *unusable(void)
{
    unsigned a, b, c, d;
    /* CPUID 8000_0007h, EDX bit 8: the counter's rate does not change with the clock. */
    if (__get_cpuid(0x80000007u, &a, &b, &c, &d) && (d >> 8 & 1)) return NULL;
    return "the time-stamp counter is not invariant on this CPU";
}

static uint64_t now(void)
{
    unsigned aux;
    return __rdtscp(&aux); /* waits for the instructions before it */
}
#elif defined(__aarch64__)
static const char *unusable(void) { return NULL; }

static uint64_t now(void)
{
    uint64_t ticks;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}
#else
static const char *unusable(void) { return "no time-stamp counter is known for this CPU"; }
static uint64_t now(void) { return 0; }
#endif

static bg_status clock_open(bg_counters *c, void **state, bg_error *err)
{
    *state = bg_alloc(1, sizeof(uint64_t));
    if (!*state) return bg_fail_nomem(err, "counters", sizeof(uint64_t));
    if (unusable()) bg_counters_decline(c, BG_COUNTER_TSC, "%s", unusable());
    else bg_counters_claim(c, BG_COUNTER_TSC, NULL);
    return BG_OK;
}

static void clock_start(void *state) { *(uint64_t *)state = now(); }

static void clock_stop(void *state, double *values)
{
    values[BG_COUNTER_TSC] = (double)(now() - *(uint64_t *)state);
}

const bg_backend bg_backend_clock = {clock_open, clock_start, clock_stop, bg_free};
