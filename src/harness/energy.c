/* Energy of a test: repeated in a window that the meter can resolve. */
#include "harness/energy.h"

#include <math.h>
#include <string.h>
#include <time.h>

static const double LEAST = 1, MOST = 10; /* seconds */
enum { PERIODS = 10 };

double bg_energy_window(const bg_counters *c)
{
    double periods = PERIODS * bg_counters_energy_period(c);
    return periods <= MOST ? BG_MAX(LEAST, periods) : (double)NAN;
}

/* What is metered while on. */
typedef struct meter {
    bg_counters *counters;
    uint64_t begin;
    double joules[BG_COUNTER_COUNT], seconds;
} meter;

static void turn_on(void *user)
{
    meter *m = user;
    bg_counters_start(m->counters);
    m->begin = bg_clock_ns();
}

static void turn_off(void *user)
{
    meter *m = user;
    double values[BG_COUNTER_COUNT];
    m->seconds += (double)(bg_clock_ns() - m->begin) * 1e-9;
    bg_counters_stop(m->counters, values);
    for (int i = 0; i < BG_COUNTER_COUNT; i++) /* a part that was too short for the meter to move */
        m->joules[i] += isnan(values[i]) ? 0 : values[i];
}

/* The first source that moved; memory is metered apart from the packages. */
static void conclude(const meter *m, bg_energy *out)
{
    static const struct { bg_counter id, also; const char *name, *both; } sources[] = {
        {BG_COUNTER_ENERGY_PACKAGE, BG_COUNTER_ENERGY_DRAM, "package", "package+dram"},
        {BG_COUNTER_ENERGY_BATTERY, BG_COUNTER_ENERGY_BATTERY, "battery", "battery"},
    };
    *out = (bg_energy){.joules = NAN, .seconds = m->seconds, .tokens = out->tokens};
    for (size_t i = 0; i < BG_COUNT(sources) && isnan(out->joules); i++) {
        bool both = sources[i].also != sources[i].id && m->joules[sources[i].also] > 0;
        if (!(m->joules[sources[i].id] > 0)) continue;
        out->joules = m->joules[sources[i].id] + (both ? m->joules[sources[i].also] : 0);
        out->source = both ? sources[i].both : sources[i].name;
    }
}

void bg_energy_idle(bg_counters *c, bg_energy *out)
{
    double window = bg_energy_window(c), whole;
    struct timespec pause = {.tv_nsec = (long)(modf(window, &whole) * 1e9)};
    meter m = {.counters = c};
    *out = (bg_energy){.joules = NAN};
    if (isnan(window)) return;
    pause.tv_sec = (time_t)whole;
    turn_on(&m);
    nanosleep(&pause, NULL);
    turn_off(&m);
    conclude(&m, out);
}

bg_status bg_energy_test(bg_counters *c, const bg_timed *test, bg_timed_fn *run, bg_energy *out,
                         bg_error *err)
{
    double window = bg_energy_window(c), seconds, length = 0;
    /* The context before a test is not a part of it; without one, all that is evaluated is, and of
     * a generation that is the token before it, too. */
    bool whole = test->depth == 0;
    uint32_t tokens = test->n_prompt + test->n_gen + (whole && !test->n_prompt);
    meter m = {.counters = c};
    bg_timed t = *test;
    bg_status s = BG_OK;
    *out = (bg_energy){.joules = NAN};
    if (isnan(window)) return BG_OK;
    t.watch = NULL;
    t.latencies = NULL;
    t.on_start = whole ? NULL : turn_on;
    t.on_stop = whole ? NULL : turn_off;
    t.user = &m;
    if (whole) turn_on(&m);
    while (length < window && s == BG_OK) {
        s = run(&t, &seconds, err);
        length = whole ? (double)(bg_clock_ns() - m.begin) * 1e-9 : m.seconds;
        out->tokens += tokens;
    }
    if (whole) turn_off(&m);
    conclude(&m, out);
    return s;
}

void bg_energy_fill(bg_row *row, const bg_energy *e, const bg_energy *idle)
{
    double watts = e->joules / e->seconds, rest = idle->joules / idle->seconds;
    bool same = idle->source && e->source && strcmp(idle->source, e->source) == 0;
    if (!(e->joules > 0) || !(e->tokens > 0)) return;
    bg_row_set_number(row, BG_COL_J_TOKEN, e->joules / e->tokens);
    bg_row_set_number(row, BG_COL_WATTS, watts);
    bg_row_set_number(row, BG_COL_ENERGY_S, e->seconds);
    bg_row_set_text(row, BG_COL_ENERGY_SRC, e->source);
    if (!same) return;
    bg_row_set_number(row, BG_COL_IDLE_WATTS, rest);
    bg_row_set_number(row, BG_COL_J_TOKEN_NET, (watts - rest) * e->seconds / e->tokens);
}
