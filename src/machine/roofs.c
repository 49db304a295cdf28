/* Roofs are the best of several short repetitions, all of them on a team bound to cores. */
#include "machine/machine.h"

#include "base/team.h"

#include <math.h>
#include <sched.h>
#include <string.h>

enum { LEVELS = 4, CHUNK = 1 << 20 };
enum { MOST_REPETITIONS = 40, STALE_REPETITIONS = 5 }; /* ends when the last 5 were no better */
static const char *const level_names[LEVELS] = {"L1", "L2", "L3", "memory"};
static const uint64_t repetition_ns[LEVELS] = {2000000, 2000000, 3000000, 12000000};
static const uint64_t arithmetic_ns = 3000000;
static const size_t least_memory = (size_t)256 << 20, most_memory = (size_t)8 << 30;

/* What one member walks through, and when it did. */
typedef struct slot {
    _Alignas(64) char *buffer;
    size_t bytes;              /* of the buffer */
    size_t walk, step;         /* goes round the first `walk` bytes, a step a round */
    size_t cursor;
    uint64_t rounds, begin, end;
    volatile uint64_t sink;    /* keeps the results alive */
} slot;

typedef struct bench {
    bg_machine *m;
    bg_team *team;
    int threads, active;       /* members from `active` on only wait */
    slot *slots;
    bool memory;               /* the buffers are large enough to be out of cache */
    const bg_read_loop *loop;  /* one of the two is set */
    const bg_peak *peak;
    uint64_t done, total;      /* for progress */
} bench;

static void work(void *user, int member, int size)
{
    bench *b = user;
    slot *s = &b->slots[member];
    uint64_t sink = 0;
    (void)size;
    bg_team_barrier(b->team);
    if (member >= b->active) return;
    s->begin = bg_clock_ns();
    if (b->peak) {
        sink = (uint64_t)fabs(b->peak->run(s->rounds));
    } else {
        for (uint64_t i = 0; i < s->rounds; i++) {
            sink ^= b->loop->run(s->buffer + s->cursor, s->step);
            s->cursor += s->step;
            if (s->cursor + s->step > s->walk) s->cursor = 0;
        }
    }
    s->end = bg_clock_ns();
    s->sink = sink;
}

/* Rounds such that every member is busy for about `ns`: fast and slow cores end together. */
static void calibrate(bench *b, uint64_t ns)
{
    uint64_t least = 0;
    for (int i = 0; i < b->active; i++) b->slots[i].rounds = 1;
    for (int tries = 0; tries < 12 && least < ns / 10; tries++) {
        if (tries)
            for (int i = 0; i < b->active; i++) b->slots[i].rounds *= 8;
        bg_team_run(b->team, work, b);
        least = UINT64_MAX;
        for (int i = 0; i < b->active; i++)
            least = BG_MIN(least, b->slots[i].end - b->slots[i].begin);
    }
    for (int i = 0; i < b->active; i++) {
        slot *s = &b->slots[i];
        double rounds = (double)s->rounds * (double)ns / (double)BG_MAX(s->end - s->begin, 1u);
        s->rounds = BG_MAX((uint64_t)rounds, 1u);
    }
}

/* Operations or bytes a nanosecond: the best of the repetitions. One that was interrupted is slow,
 * and one of too few rounds (the calibration was interrupted) is made longer. */
static double best_rate(bench *b, uint64_t ns)
{
    double best = 0;
    int stale = 0;
    calibrate(b, ns);
    for (int r = 0; r < MOST_REPETITIONS && stale < STALE_REPETITIONS; r++) {
        uint64_t begin = UINT64_MAX, end = 0;
        double amount = 0, rate;
        bool again = false;
        bg_team_run(b->team, work, b);
        for (int i = 0; i < b->active; i++) {
            slot *s = &b->slots[i];
            uint64_t busy = BG_MAX(s->end - s->begin, 1u);
            amount += (double)s->rounds * (b->peak ? b->peak->ops : (double)s->step);
            begin = BG_MIN(begin, s->begin);
            end = BG_MAX(end, s->end);
            if (busy >= ns / 2) continue;
            s->rounds = (uint64_t)((double)s->rounds * (double)ns / (double)busy) + 1;
            again = true;
        }
        rate = amount / (double)BG_MAX(end - begin, 1u);
        stale = again || rate > best * 1.01 ? 0 : stale + 1;
        best = fmax(best, rate);
    }
    return best;
}

/* Half of a cache, shared among the members below it. At most four times what the level below
 * holds, which is out of that one and safe where a virtual machine is shown more than it gets; and
 * at least one and a half times. 0 when the core has no such cache. */
static size_t level_bytes(const bg_machine *m, int level, int member, int threads)
{
    size_t bytes, below, share;
    int sharers = bg_machine_cache_sharers(m, level, member, threads, &bytes);
    if (!sharers) return 0;
    share = bytes / 2 / (size_t)sharers;
    sharers = bg_machine_cache_sharers(m, level - 1, member, threads, &below);
    if (sharers) {
        below /= (size_t)sharers;
        share = BG_MAX(BG_MIN(share, 4 * below), below * 3 / 2);
    }
    return BG_MAX(share / BG_READ_GRAIN * BG_READ_GRAIN, (size_t)BG_READ_GRAIN);
}

static void touch(void *user, int member, int size)
{
    bench *b = user;
    (void)size;
    memset(b->slots[member].buffer, member + 1, b->slots[member].bytes);
}

/* Every member gets what its caches need, and together they get eight times the last level: caches
 * do not forget the oldest line first, so of a walk of four times a cache some is still there. The
 * first alone must be out of its own cache, too. */
static bg_status allocate(bench *b, bg_error *err)
{
    const bg_machine *m = b->m;
    size_t last = bg_machine_last_level_bytes(m), own = 0, all, sum = 0;
    uint64_t free_memory = bg_machine_memory_available(m);
    for (int level = 1; level <= 3; level++)
        own = BG_MAX(own, bg_machine_cache_bytes(m, level));
    all = BG_MIN(BG_MAX(least_memory, 8 * last), most_memory);
    own = BG_MIN(BG_MAX(least_memory, 8 * own), most_memory);
    b->memory = all + own <= free_memory / 2;
    for (int i = 0; i < b->threads; i++) {
        slot *s = &b->slots[i];
        s->bytes = CHUNK;
        for (int level = 1; level <= 3; level++) /* alone it may have a larger share */
            s->bytes = BG_MAX(s->bytes, level_bytes(m, level, i, i ? b->threads : 1));
        if (b->memory) s->bytes = BG_MAX(s->bytes, i ? all / (size_t)b->threads : own);
        s->bytes = (s->bytes + CHUNK - 1) / CHUNK * CHUNK;
        sum += s->bytes;
        s->buffer = bg_alloc_large(s->bytes);
        if (!s->buffer) return bg_fail_nomem(err, "measuring memory bandwidth", sum);
    }
    bg_team_run(b->team, touch, b);
    return BG_OK;
}

static bg_roof *find_roof(bg_machine *m, bg_roof_kind kind, const char *level, const char *isa,
                          int threads)
{
    for (size_t i = 0; i < m->n_roofs; i++) {
        bg_roof *r = &m->roofs[i];
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
    bg_roof roof = {.kind = BG_ROOF_READ, .level = level_names[level - 1], .threads = b->active,
                    .value = NAN};
    if (level == LEVELS && !b->memory)
        roof.reason = "not enough free memory for a buffer beyond the caches";
    for (int i = 0; i < b->active && !roof.reason; i++) {
        slot *s = &b->slots[i];
        s->walk = level == LEVELS ? s->bytes : level_bytes(b->m, level, i, b->active);
        s->step = BG_MIN(s->walk, (size_t)CHUNK);
        s->walk -= s->walk % s->step;
        s->cursor = 0;
        roof.bytes = BG_MAX(roof.bytes, s->walk);
        if (!s->walk) roof.reason = "no such cache is reported";
    }
    b->peak = NULL;
    for (b->loop = bg_read_loops; b->loop->isa && !roof.reason; b->loop++)
        if (usable(b->m, b->loop->isa) && (!usable(b->m, "avx2") || b->loop->wide) &&
            (level > 2 || !b->loop->far))
            roof.value = fmax(roof.value, best_rate(b, repetition_ns[level - 1]));
    if (roof.reason) roof.bytes = 0;
    add_roof(b->m, roof);
}

static void measure_peak(bench *b, bg_roof_kind kind, const char *isa, const bg_peak *peak)
{
    b->peak = peak;
    add_roof(b->m, (bg_roof){.kind = kind, .isa = isa, .threads = b->active,
                             .value = best_rate(b, arithmetic_ns)});
}

static bg_status measure_all(bench *b, bg_error *err)
{
    if (find_roof(b->m, BG_ROOF_READ, level_names[0], NULL, b->active)) return BG_OK;
    for (int level = 1; level <= LEVELS; level++) {
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

bg_status bg_machine_measure(bg_machine *m, int threads, bg_error *err)
{
    bench b = {.m = m, .threads = threads > 0 ? threads : bg_machine_default_threads(m)};
    cpu_set_t before;
    bool known = sched_getaffinity(0, sizeof before, &before) == 0;
    bg_status s;
    if (m->recorded)
        return bg_fail(err, BG_ERR_UNSUPPORTED, NULL, "a recorded machine cannot be measured");
    b.slots = bg_alloc((size_t)b.threads, sizeof *b.slots);
    s = b.slots ? bg_team_open(&b.team, b.threads, bg_machine_bind, m, err)
                : bg_fail_nomem(err, "threads", (size_t)b.threads * sizeof *b.slots);
    if (s == BG_OK) s = allocate(&b, err);
    b.total = LEVELS;
    while (bg_isa_probes[b.total - LEVELS].name) b.total++;
    b.total *= b.threads > 1 ? 2 : 1;
    b.active = 1;
    if (s == BG_OK) s = measure_all(&b, err);
    b.active = b.threads;
    if (s == BG_OK) s = measure_all(&b, err);
    for (int i = 0; b.slots && i < b.threads; i++)
        bg_free_large(b.slots[i].buffer, b.slots[i].bytes);
    bg_team_close(&b.team);
    bg_free(b.slots);
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

double bg_machine_roof(const bg_machine *m, bg_roof_kind kind, const char *level, const char *isa,
                       int threads)
{
    const bg_roof *r;
    do {
        r = find_roof((bg_machine *)(uintptr_t)m, kind, level, isa, threads);
        isa = isa ? parent_of(isa) : NULL;
    } while (!r && isa);
    return r ? r->value : NAN;
}
