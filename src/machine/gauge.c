/* Short readings of one roof, again and again. */
#include "machine/drive.h"

#include <math.h>
#include <string.h>

enum { CALIBRATION_NS = 2000000 };
static const double memory_share = 0.25; /* of what is free, at most, for a buffer */

struct bg_gauge {
    bg_drive drive;
    double start;              /* the roof as it was measured at the start */
    double *pace;              /* rounds a nanosecond, by member */
};

static int level_number(const char *name)
{
    int level = 1;
    while (strcmp(bg_level_names[level - 1], name) != 0) level++;
    return level;
}

static bg_status aim(bg_drive *d, const bg_roof *roof, bg_error *err)
{
    int level;
    d->loop = roof->loop;
    d->peak = roof->peak;
    if (d->peak) return BG_OK;
    level = level_number(roof->level);
    if (level == BG_MEMORY_LEVEL) {
        double room = memory_share * (double)bg_machine_memory_available(d->machine);
        size_t bytes = bg_drive_memory_bytes(d->machine, d->threads);
        if ((double)bytes > room) return bg_fail_nomem(err, "following memory bandwidth", bytes);
    }
    BG_TRY(bg_drive_buffers(d, level, level, false, err));
    bg_drive_aim(d, level); /* its reasons are of levels that have no roof */
    return BG_OK;
}

bg_status bg_gauge_open(bg_gauge **out, const bg_machine *m, bg_team *team, bg_roof_kind kind,
                        const char *level, const char *isa, bg_error *err)
{
    const bg_roof *roof = bg_machine_find_roof(m, kind, level, isa, bg_team_size(team));
    bg_gauge *g = bg_alloc(1, sizeof *g);
    bg_status s = BG_OK;
    *out = NULL;
    if (!g) return bg_fail_nomem(err, "a gauge", sizeof *g);
    if (!roof || !(roof->value > 0))
        s = bg_fail(err, BG_ERR_UNSUPPORTED, NULL, "this roof was not measured");
    if (s == BG_OK) s = bg_drive_open(&g->drive, m, team, err);
    if (s == BG_OK) s = aim(&g->drive, roof, err);
    g->pace = s == BG_OK ? bg_alloc((size_t)g->drive.threads, sizeof *g->pace) : NULL;
    if (s == BG_OK && !g->pace) s = bg_fail_nomem(err, "a gauge", 0);
    if (s != BG_OK) {
        bg_gauge_close(&g);
        return s;
    }
    g->start = roof->value;
    bg_drive_calibrate(&g->drive, CALIBRATION_NS);
    for (int i = 0; i < g->drive.threads; i++)
        g->pace[i] = (double)g->drive.slots[i].rounds / CALIBRATION_NS;
    *out = g;
    return BG_OK;
}

void bg_gauge_close(bg_gauge **gauge)
{
    bg_gauge *g = *gauge;
    if (!g) return;
    bg_drive_close(&g->drive);
    bg_free(g->pace);
    bg_free(g);
    *gauge = NULL;
}

static double read_once(bg_gauge *g, double seconds)
{
    bg_drive *d = &g->drive;
    double rate;
    for (int i = 0; i < d->threads; i++)
        d->slots[i].rounds = (uint64_t)(g->pace[i] * seconds * 1e9) + 1;
    rate = bg_drive_run(d);
    /* Members that were disturbed once are not given little to do for long. */
    for (int i = 0; i < d->threads; i++) {
        const bg_slot *s = &d->slots[i];
        g->pace[i] = sqrt(g->pace[i] * (double)s->rounds / (double)BG_MAX(s->end - s->begin, 1u));
    }
    return rate / g->start;
}

/* The middle of three: a thread that lost its core for a moment says nothing of the resource. */
double bg_gauge_read(bg_gauge *g, double seconds)
{
    double a = read_once(g, seconds / 3), b = read_once(g, seconds / 3),
           c = read_once(g, seconds / 3);
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

size_t bg_gauge_bytes(const bg_gauge *g)
{
    size_t bytes = 0;
    for (int i = 0; g && i < g->drive.threads; i++) bytes += g->drive.slots[i].bytes;
    return bytes;
}
