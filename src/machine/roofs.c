/* Roofs are the best of several short repetitions, all of them on a team bound to cores. */
#include "machine/drive.h"

#include <math.h>
#include <sched.h>
#include <string.h>

enum { MOST_REPETITIONS = 40, STALE_REPETITIONS = 5 }; /* ends when the last 5 were no better */
static const uint64_t repetition_ns[BG_LEVELS] = {2000000, 2000000, 3000000, 12000000};
static const uint64_t arithmetic_ns = 3000000;

typedef struct bench {
    bg_machine *m;
    bg_drive drive;
    bool memory;               /* the buffers are large enough to be out of cache */
    uint64_t done, total;      /* for progress */
} bench;

/* Operations or bytes a nanosecond: the best of the repetitions. One that was interrupted is slow,
 * and one of too few rounds (the calibration was interrupted) is made longer. On a busy machine,
 * where the members wait for processors most of the time, there are fewer. */
static double best_rate(bg_drive *d, uint64_t ns)
{
    double best = 0;
    int stale = 0;
    uint64_t deadline = bg_clock_ns() + MOST_REPETITIONS * ns;
    bg_drive_calibrate(d, ns);
    for (int r = 0; r < MOST_REPETITIONS && stale < STALE_REPETITIONS &&
                    (r < STALE_REPETITIONS || bg_clock_ns() < deadline); r++) {
        double rate = bg_drive_run(d);
        bool again = false;
        for (int i = 0; i < d->active; i++) {
            bg_slot *s = &d->slots[i];
            uint64_t busy = BG_MAX(s->end - s->begin, 1u);
            if (busy >= ns / 2) continue;
            s->rounds = (uint64_t)((double)s->rounds * (double)ns / (double)busy) + 1;
            again = true;
        }
        stale = again || rate > best * 1.01 ? 0 : stale + 1;
        best = fmax(best, rate);
    }
    return best;
}

static const bg_roof *find_roof(const bg_machine *m, bg_roof_kind kind, const char *level,
                                const char *isa, int threads)
{
    for (size_t i = 0; i < m->n_roofs; i++) {
        const bg_roof *r = &m->roofs[i];
        if (r->kind == kind && r->threads == threads && !r->level == !level &&
            (!level || strcmp(r->level, level) == 0) && !r->isa == !isa &&
            (!isa || strcmp(r->isa, isa) == 0))
            return r;
    }
    return NULL;
}

/* Many threads can do what one can: a lower reading of theirs was disturbed. */
static void add_roof(bg_machine *m, bg_roof roof)
{
    const bg_roof *one = find_roof(m, roof.kind, roof.level, roof.isa, 1);
    if (one && !roof.reason) roof.value = fmax(roof.value, one->value);
    if (m->n_roofs < BG_ROOFS_MAX) m->roofs[m->n_roofs++] = roof;
}

static bool usable(const bg_machine *m, const char *isa)
{
    for (size_t i = 0; bg_isa_probes[i].name; i++)
        if (strcmp(bg_isa_probes[i].name, isa) == 0) return m->isas[i].usable;
    return false;
}

static bool go_on(bench *b)
{
    const bg_machine_options *o = &b->m->options;
    b->done++;
    return !o->progress || o->progress(o->user, b->done, b->total);
}

static void measure_read(bench *b, int level)
{
    bg_drive *d = &b->drive;
    bg_roof roof = {.kind = BG_ROOF_READ, .level = bg_level_names[level - 1],
                    .threads = d->active, .value = NAN};
    if (level == BG_MEMORY_LEVEL && !b->memory)
        roof.reason = "not enough free memory for a buffer beyond the caches";
    else roof.reason = bg_drive_aim(d, level);
    d->peak = NULL;
    for (d->loop = bg_read_loops; d->loop->isa && !roof.reason; d->loop++) {
        double rate;
        if (!usable(b->m, d->loop->isa) || (usable(b->m, "avx2") && !d->loop->wide) ||
            (level <= 2 && d->loop->far))
            continue;
        rate = best_rate(d, repetition_ns[level - 1]);
        if (roof.loop && rate <= roof.value) continue;
        roof.value = rate;
        roof.loop = d->loop;
    }
    for (int i = 0; i < d->active && !roof.reason; i++)
        roof.bytes = BG_MAX(roof.bytes, d->slots[i].walk);
    add_roof(b->m, roof);
}

static void measure_peak(bench *b, bg_roof_kind kind, const char *isa, const bg_peak *peak)
{
    b->drive.peak = peak;
    add_roof(b->m, (bg_roof){.kind = kind, .isa = isa, .threads = b->drive.active, .peak = peak,
                             .value = best_rate(&b->drive, arithmetic_ns)});
}

static bg_status measure_all(bench *b, bg_error *err)
{
    if (find_roof(b->m, BG_ROOF_READ, bg_level_names[0], NULL, b->drive.active)) return BG_OK;
    for (int level = 1; level <= BG_LEVELS; level++) {
        measure_read(b, level);
        if (!go_on(b)) return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "interrupted");
    }
    for (size_t i = 0; bg_isa_probes[i].name; i++) {
        const bg_isa_probe *isa = &bg_isa_probes[i];
        if (b->m->isas[i].usable && isa->flop.run)
            measure_peak(b, BG_ROOF_FLOP, isa->name, &isa->flop);
        if (b->m->isas[i].usable && isa->int8.run)
            measure_peak(b, BG_ROOF_INT8, isa->name, &isa->int8);
        if (!go_on(b)) return bg_fail(err, BG_ERR_INTERRUPTED, NULL, "interrupted");
    }
    return BG_OK;
}

/* Buffers for all levels, and beyond the caches when half of what is free is enough for that. */
static bg_status allocate(bench *b, int threads, bg_error *err)
{
    uint64_t most = bg_machine_memory_available(b->m) / 2;
    b->memory = bg_drive_memory_bytes(b->m, threads) + bg_drive_memory_bytes(b->m, 1) <= most;
    return bg_drive_buffers(&b->drive, 1, BG_MEMORY_LEVEL - !b->memory, true, err);
}

bg_status bg_machine_measure(bg_machine *m, int threads, bg_error *err)
{
    bench b = {.m = m};
    bg_team *team = NULL;
    cpu_set_t before;
    bool known = sched_getaffinity(0, sizeof before, &before) == 0;
    bg_status s;
    if (m->recorded)
        return bg_fail(err, BG_ERR_UNSUPPORTED, NULL, "a recorded machine cannot be measured");
    if (threads <= 0) threads = bg_machine_default_threads(m);
    s = bg_team_open(&team, threads, bg_machine_bind, m, err);
    if (s == BG_OK) s = bg_drive_open(&b.drive, m, team, err);
    if (s == BG_OK) s = allocate(&b, threads, err);
    b.total = BG_LEVELS;
    while (bg_isa_probes[b.total - BG_LEVELS].name) b.total++;
    b.total *= threads > 1 ? 2 : 1;
    b.drive.active = 1;
    if (s == BG_OK) s = measure_all(&b, err);
    b.drive.active = threads;
    if (s == BG_OK) s = measure_all(&b, err);
    bg_drive_close(&b.drive);
    bg_team_close(&team);
    /* The caller was member 0: it goes back to where it could run before. */
    if (known) sched_setaffinity(0, sizeof before, &before);
    return s;
}

/* The name of the set whose peaks a set has where it has no own; NULL for none. */
static const char *parent_of(const char *isa)
{
    for (size_t i = 0; bg_isa_probes[i].name; i++)
        if (strcmp(bg_isa_probes[i].name, isa) == 0) return bg_isa_probes[i].parent;
    return NULL;
}

const bg_roof *bg_machine_find_roof(const bg_machine *m, bg_roof_kind kind, const char *level,
                                    const char *isa, int threads)
{
    const bg_roof *r;
    do {
        r = find_roof(m, kind, level, isa, threads);
        isa = isa ? parent_of(isa) : NULL;
    } while (!r && isa);
    return r;
}

double bg_machine_roof(const bg_machine *m, bg_roof_kind kind, const char *level, const char *isa,
                       int threads)
{
    const bg_roof *r = bg_machine_find_roof(m, kind, level, isa, threads);
    return r ? r->value : NAN;
}
