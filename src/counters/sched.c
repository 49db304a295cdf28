/* Migrations between CPUs, from /proc/self/task/N/sched where the kernel has it. */
#include "counters/backend.h"

#include "base/sysfs.h"

#include <math.h>

typedef struct sched_state {
    const char *procfs;
    double before;
} sched_state;

/* Summed over the threads that are alive; NaN when there is none to read. */
static double read_migrations(const char *procfs)
{
    char **tasks;
    double sum = 0;
    size_t n = bg_sysfs_list(&tasks, procfs, "self/task", ""), n_read = 0;
    for (size_t i = 0; i < n; i++) {
        char text[4096];
        uint64_t migrations;
        if (!bg_sysfs_text(text, sizeof text, procfs, "self/task/%s/sched", tasks[i]) ||
            !bg_sysfs_field(text, "se.nr_migrations", &migrations))
            continue;
        sum += (double)migrations;
        n_read++;
    }
    bg_free(tasks);
    return n_read ? sum : NAN;
}

static bg_status sched_open(bg_counters *c, void **state, bg_error *err)
{
    sched_state *s = *state = bg_alloc(1, sizeof *s);
    if (!s) return bg_fail_nomem(err, "counters", sizeof *s);
    s->procfs = bg_counters_procfs(c);
    if (isnan(read_migrations(s->procfs)))
        bg_counters_decline(c, BG_COUNTER_MIGRATIONS,
                            "/proc/self/task/*/sched cannot be read (kernel without SCHED_DEBUG)");
    else
        bg_counters_claim(c, BG_COUNTER_MIGRATIONS, NULL);
    return BG_OK;
}

static void sched_start(void *state)
{
    sched_state *s = state;
    s->before = read_migrations(s->procfs);
}

static void sched_stop(void *state, double *values)
{
    sched_state *s = state;
    double delta = read_migrations(s->procfs) - s->before;
    if (delta >= 0) values[BG_COUNTER_MIGRATIONS] = delta; /* less: a thread has ended */
}

const bg_backend bg_backend_sched = {sched_open, sched_start, sched_stop, bg_free};
