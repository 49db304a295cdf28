/* What the kernel accounts to this process: CPU time, page faults, context switches. */
#include "counters/backend.h"

#include <sys/resource.h>

static const bg_counter filled[] = {
    BG_COUNTER_USER_TIME, BG_COUNTER_SYSTEM_TIME, BG_COUNTER_MINOR_FAULTS,
    BG_COUNTER_MAJOR_FAULTS, BG_COUNTER_SWITCH_VOL, BG_COUNTER_SWITCH_INVOL,
};

static bg_status rusage_open(bg_counters *c, void **state, bg_error *err)
{
    *state = bg_alloc(1, sizeof(struct rusage));
    if (!*state) return bg_fail_nomem(err, "counters", sizeof(struct rusage));
    for (size_t i = 0; i < BG_COUNT(filled); i++) {
        if (getrusage(RUSAGE_SELF, *state) == 0) bg_counters_claim(c, filled[i], NULL);
        else bg_counters_decline(c, filled[i], "getrusage fails");
    }
    return BG_OK;
}

static void rusage_start(void *state) { getrusage(RUSAGE_SELF, state); }

static double seconds(const struct timeval *from, const struct timeval *to)
{
    return (double)(to->tv_sec - from->tv_sec) + 1e-6 * (double)(to->tv_usec - from->tv_usec);
}

static void rusage_stop(void *state, double *values)
{
    const struct rusage *before = state;
    struct rusage now;
    if (getrusage(RUSAGE_SELF, &now) != 0) return;
    values[BG_COUNTER_USER_TIME] = seconds(&before->ru_utime, &now.ru_utime);
    values[BG_COUNTER_SYSTEM_TIME] = seconds(&before->ru_stime, &now.ru_stime);
    values[BG_COUNTER_MINOR_FAULTS] = (double)(now.ru_minflt - before->ru_minflt);
    values[BG_COUNTER_MAJOR_FAULTS] = (double)(now.ru_majflt - before->ru_majflt);
    values[BG_COUNTER_SWITCH_VOL] = (double)(now.ru_nvcsw - before->ru_nvcsw);
    values[BG_COUNTER_SWITCH_INVOL] = (double)(now.ru_nivcsw - before->ru_nivcsw);
}

const bg_backend bg_backend_rusage = {rusage_open, rusage_start, rusage_stop, bg_free};
