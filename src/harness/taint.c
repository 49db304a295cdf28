#include "harness/taint.h"

#include <jansson.h>
#include <math.h>
#include <sched.h>
#include <string.h>

/* A member of the team at one moment. */
typedef struct place { int cpu; double hz, spin_ns, waited_ns; } place;

/* One moment. */
typedef struct moment { uint64_t ns; bg_noise noise; place *places; } moment;

struct bg_taints {
    const bg_machine *machine;
    bg_team *team;
    const bg_counters *counters;
    moment begin, end;
    moment *now;               /* which the team fills in */
};

/* What a rule looks at. */
typedef struct evidence {
    const bg_noise *before, *after;
    const place *from, *to;
    size_t members;
    double seconds;            /* of the repetition */
    double ns;                 /* between the two moments */
    const double *counters;
} evidence;

/* Quantities that rules compare with their limit; NaN when they cannot be read. */

static double stolen(const evidence *e)
{
    double share = bg_noise_steal(e->before, e->after);
    return isnan(e->after->steal_ratio) || !isnan(share) ? share : 0; /* too close: nothing seen */
}

static double guests(const evidence *e)
{
    double ticks = (double)(e->after->total_ticks - e->before->total_ticks);
    if (!e->after->has_guest) return NAN;
    return ticks > 0 ? (double)(e->after->guest_ticks - e->before->guest_ticks) / ticks : 0;
}

/* The largest share that a member waited for its CPU. */
static double waiting(const evidence *e)
{
    double most = 0;
    for (size_t i = 0; i < e->members; i++) {
        double waited = e->to[i].waited_ns - e->from[i].waited_ns;
        if (isnan(waited)) return NAN;
        most = BG_MAX(most, waited);
    }
    return e->ns > 0 ? most / e->ns : 0;
}

static double preemptions(const evidence *e)
{
    return e->counters[BG_COUNTER_SWITCH_INVOL] / (2 + 100 * e->seconds);
}

static double moves(const evidence *e) { return e->counters[BG_COUNTER_MIGRATIONS]; }

static double displaced(const evidence *e)
{
    size_t n = 0;
    for (size_t i = 0; i < e->members; i++) {
        if (e->from[i].cpu < 0 || e->to[i].cpu < 0) return NAN;
        n += e->from[i].cpu != e->to[i].cpu;
    }
    return (double)n;
}

static double heat(const evidence *e)
{
    return e->after->thermal_events - e->before->thermal_events;
}

static double quota(const evidence *e) { return e->after->quota_events - e->before->quota_events; }

static double change(double a, double b) { return BG_MAX(a, b) / BG_MIN(a, b) - 1; }

static double clock_change(const evidence *e)
{
    double most = 0;
    for (size_t i = 0; i < e->members; i++) {
        double one = change(e->from[i].hz, e->to[i].hz);
        if (isnan(one)) return NAN;
        most = BG_MAX(most, one);
    }
    return most;
}

static double pace_change(const evidence *e)
{
    double most = 0;
    for (size_t i = 0; i < e->members; i++)
        most = BG_MAX(most, change(e->from[i].spin_ns, e->to[i].spin_ns));
    return most;
}

static double faults(const evidence *e) { return e->counters[BG_COUNTER_MAJOR_FAULTS]; }

/* One line a rule; a cause may have several. It taints a sample when the quantity is above the
 * limit. `counter` says why it cannot be read, where it is one, else `unread` does. */
enum { NO_COUNTER = BG_COUNTER_COUNT };
static const struct cause {
    const char *name, *rule;
    double (*quantity)(const evidence *);
    double limit;
    int counter;
    const char *unread;
} causes[] = {
    {"steal", "the hypervisor took over 2 % of the CPU time (/proc/stat)", stolen, 0.02,
     NO_COUNTER, "/proc/stat shows no stolen time"},
    {"steal", "guests of this machine took over 2 % of the CPU time (/proc/stat)", guests, 0.02,
     NO_COUNTER, "/proc/stat shows no time of guests"},
    {"preemption", "a thread waited for its CPU for over 2 % of the time (schedstat)", waiting,
     0.02, NO_COUNTER, "/proc/thread-self/schedstat cannot be read"},
    {"preemption", "over 2 involuntary context switches and 100 a second (getrusage)", preemptions,
     1, BG_COUNTER_SWITCH_INVOL, NULL},
    {"migration", "the kernel or PAPI counted a move to another CPU", moves, 0,
     BG_COUNTER_MIGRATIONS, NULL},
    {"migration", "a thread ended on another CPU than it began on (getcpu)", displaced, 0,
     NO_COUNTER, "getcpu fails"},
    {"throttling", "a thermal_throttle counter rose", heat, 0, NO_COUNTER,
     "the CPUs have no thermal_throttle counters in /sys"},
    {"throttling", "the control group's CPU quota stopped it (cpu.stat)", quota, 0, NO_COUNTER,
     "no cpu.stat of a control group with nr_throttled can be read"},
    {"frequency", "scaling_cur_freq of a thread's CPU differs by over 5 % between begin and end",
     clock_change, 0.05, NO_COUNTER, "the CPUs show no scaling_cur_freq"},
    {"frequency", "a loop of fixed work took over 5 % more or less time after it than before",
     pace_change, 0.05, NO_COUNTER, "the loop could not be timed"},
    {"faults", "a page was read from a disk (major fault)", faults, 0, BG_COUNTER_MAJOR_FAULTS,
     NULL},
};

/* Nanoseconds of a chain of multiplications, which depends on the clock alone: the best of a few,
 * because an interruption is no change of clock. */
static double spin(void)
{
    enum { LINKS = 10000, TRIES = 5 };
    double best = INFINITY;
    for (int k = 0; k < TRIES; k++) {
        uint64_t start = bg_clock_ns(), x = start, end;
        for (int i = 0; i < LINKS; i++) {
            x = x * 0x9e3779b97f4a7c15u + 1;
            __asm__ volatile("" : "+r"(x)); /* or it would be worked out beforehand */
        }
        end = bg_clock_ns();
        best = BG_MIN(best, (double)(end - start));
    }
    return best;
}

static void look(void *user, int member, int size)
{
    const bg_taints *t = user;
    place *p = &t->now->places[member];
    (void)size;
    p->waited_ns = bg_thread_waited_ns(t->machine);
    p->spin_ns = spin();
    p->cpu = sched_getcpu();
}

static void take(bg_taints *t, moment *m)
{
    t->now = m;
    m->ns = bg_clock_ns();
    bg_machine_noise(t->machine, &m->noise);
    bg_team_run(t->team, look, t);
    for (int i = 0; i < bg_team_size(t->team); i++)
        m->places[i].hz = bg_machine_clock_hz(t->machine, m->places[i].cpu);
}

bg_status bg_taints_open(bg_taints **out, const bg_machine *m, bg_team *team,
                         const bg_counters *counters, bg_error *err)
{
    bg_taints *t = bg_alloc(1, sizeof *t);
    size_t members = (size_t)bg_team_size(team);
    *out = NULL;
    if (!t) return bg_fail_nomem(err, "disturbances", sizeof *t);
    *t = (bg_taints){.machine = m, .team = team, .counters = counters};
    t->begin.places = bg_alloc(members, sizeof *t->begin.places);
    t->end.places = bg_alloc(members, sizeof *t->end.places);
    if (!t->begin.places || !t->end.places) {
        bg_taints_close(&t);
        return bg_fail_nomem(err, "disturbances", members * sizeof(place));
    }
    take(t, &t->begin);
    *out = t;
    return BG_OK;
}

void bg_taints_close(bg_taints **taints)
{
    bg_taints *t = *taints;
    if (!t) return;
    bg_free(t->begin.places);
    bg_free(t->end.places);
    bg_free(t);
    *taints = NULL;
}

void bg_taints_begin(bg_taints *t) { take(t, &t->begin); }

static evidence collect(const bg_taints *t, const moment *from, const moment *to, double seconds,
                        const double *counters)
{
    return (evidence){.before = &from->noise, .after = &to->noise, .from = from->places,
                      .to = to->places, .members = (size_t)bg_team_size(t->team),
                      .seconds = seconds, .ns = (double)(to->ns - from->ns),
                      .counters = counters};
}

void bg_taints_end(bg_taints *t, bg_sample *s)
{
    const char *last = "";
    size_t used = 0;
    evidence e;
    take(t, &t->end);
    e = collect(t, &t->begin, &t->end, s->seconds, s->counters);
    s->steal_ratio = bg_noise_steal(e.before, e.after);
    s->tainted[0] = 0;
    for (size_t i = 0; i < BG_COUNT(causes); i++) {
        const struct cause *c = &causes[i];
        if (!(c->quantity(&e) > c->limit) || strcmp(c->name, last) == 0) continue;
        snprintf(s->tainted + used, sizeof s->tainted - used, "%s%s", used ? "," : "", c->name);
        used = strlen(s->tainted);
        last = c->name;
    }
}

char *bg_taints_json(const bg_taints *t)
{
    double zeros[BG_COUNTER_COUNT] = {0};
    evidence e = collect(t, &t->begin, &t->begin, 0, zeros);
    json_t *array = json_array();
    char *text;
    for (size_t i = 0; i < BG_COUNT(causes); i++) {
        const struct cause *c = &causes[i];
        const char *reason = c->counter == NO_COUNTER
                                 ? (isnan(c->quantity(&e)) ? c->unread : NULL)
                                 : bg_counters_reason(t->counters, (bg_counter)c->counter);
        json_array_append_new(array, json_pack("{s:s, s:s, s:b, s:s?}", "cause", c->name, "rule",
                                               c->rule, "watched", reason == NULL, "reason",
                                               reason));
    }
    text = array ? json_dumps(array, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    json_decref(array);
    return text;
}
