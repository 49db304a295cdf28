/* The resource that bounds a test, read before and after it. */
#include "harness/harness.h"

#include <math.h>

/* Seconds. A test shorter than SHORT shares readings, which are then at most as old as that. */
static const double LEAST = 0.002, MOST = 0.012, SHORT = 0.020, BETWEEN = 0.2;

static double take(bg_watch *w)
{
    double seconds = w->length > 0 ? BG_MIN(BG_MAX(w->length, LEAST), MOST) : MOST;
    double value = w->read(w->user, seconds);
    w->read_at = w->now(w->user);
    return value;
}

void bg_watch_begin(bg_watch *w)
{
    bool fresh = w->length > 0 && w->length < SHORT && w->read_at > 0 &&
                 w->now(w->user) - w->read_at < SHORT;
    w->before = fresh ? w->after : take(w);
    w->covered = w->given = 0;
}

static void cover(bg_watch *w, double seconds)
{
    w->given += (seconds - w->covered) * (w->before + w->after) / 2;
    w->covered = seconds;
}

void bg_watch_between(bg_watch *w, double seconds)
{
    double start = w->now(w->user);
    if (seconds - w->covered < BETWEEN) return;
    w->after = take(w);
    cover(w, seconds);
    w->before = w->after;
    w->paused += w->now(w->user) - start;
}

void bg_watch_end(bg_watch *w, double seconds)
{
    w->length = seconds;
    w->after = take(w);
    cover(w, seconds);
    w->condition = seconds > 0 ? w->given / seconds : (w->before + w->after) / 2;
}

static double read_gauge(void *gauge, double seconds) { return bg_gauge_read(gauge, seconds); }

static double clock_now(void *gauge)
{
    (void)gauge;
    return (double)bg_clock_ns() * 1e-9;
}

bg_status bg_watch_open(bg_watch *w, const bg_bound *b, const bg_machine *m, bg_team *team,
                        bg_error *err)
{
    bg_gauge *gauge;
    *w = (bg_watch){.read = read_gauge, .now = clock_now, .condition = NAN};
    if (isnan(b->tps)) return bg_fail(err, BG_ERR_UNSUPPORTED, NULL, "%s", b->reason);
    BG_TRY(bg_gauge_open(&gauge, m, team, b->kind, b->level, b->isa, err));
    w->user = gauge;
    return BG_OK;
}

void bg_watch_close(bg_watch *w)
{
    bg_gauge *gauge = w->user;
    bg_gauge_close(&gauge);
    w->user = NULL;
}

size_t bg_watch_bytes(const bg_watch *w) { return bg_gauge_bytes(w->user); }
