#include "machine/drive.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 1 << 20 };
const char *const bg_level_names[BG_LEVELS] = {"L1", "L2", "L3", "memory"};
static const size_t least_memory = (size_t)256 << 20, most_memory = (size_t)8 << 30;

static void work(void *user, int member, int size)
{
    bg_drive *d = user;
    bg_slot *s = &d->slots[member];
    uint64_t sink = 0;
    (void)size;
    bg_team_barrier(d->team);
    if (member >= d->active) return;
    s->begin = bg_clock_ns();
    if (d->peak) {
        sink = (uint64_t)fabs(d->peak->run(s->rounds));
    } else {
        for (uint64_t i = 0; i < s->rounds; i++) {
            sink ^= d->loop->run(s->buffer + s->cursor, s->step);
            s->cursor += s->step;
            if (s->cursor + s->step > s->walk) s->cursor = 0;
        }
    }
    s->end = bg_clock_ns();
    s->sink = sink;
}

void bg_drive_calibrate(bg_drive *d, uint64_t ns)
{
    uint64_t least = 0;
    for (int i = 0; i < d->active; i++) d->slots[i].rounds = 1;
    for (int tries = 0; tries < 12 && least < ns / 10; tries++) {
        if (tries)
            for (int i = 0; i < d->active; i++) d->slots[i].rounds *= 8;
        bg_team_run(d->team, work, d);
        least = UINT64_MAX;
        for (int i = 0; i < d->active; i++)
            least = BG_MIN(least, d->slots[i].end - d->slots[i].begin);
    }
    for (int i = 0; i < d->active; i++) {
        bg_slot *s = &d->slots[i];
        double rounds = (double)s->rounds * (double)ns / (double)BG_MAX(s->end - s->begin, 1u);
        s->rounds = BG_MAX((uint64_t)rounds, 1u);
    }
}

double bg_drive_run(bg_drive *d)
{
    uint64_t begin = UINT64_MAX, end = 0;
    double amount = 0;
    bg_team_run(d->team, work, d);
    for (int i = 0; i < d->active; i++) {
        const bg_slot *s = &d->slots[i];
        amount += (double)s->rounds * (d->peak ? d->peak->ops : (double)s->step);
        begin = BG_MIN(begin, s->begin);
        end = BG_MAX(end, s->end);
    }
    return amount / (double)BG_MAX(end - begin, 1u);
}

/* Half of a cache, shared among the members below it. At most four times what the level below
 * holds, which is out of that one and safe where a virtual machine is shown more than it gets; and
 * at least one and a half times. 0 when the core has no such cache. */
static size_t cache_bytes(const bg_machine *m, int level, int member, int threads)
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

size_t bg_drive_memory_bytes(const bg_machine *m, int threads)
{
    size_t caches = 0;
    if (threads > 1) caches = bg_machine_last_level_bytes(m);
    for (int level = 1; level < BG_MEMORY_LEVEL && threads == 1; level++)
        caches = BG_MAX(caches, bg_machine_cache_bytes(m, level));
    return BG_MIN(BG_MAX(least_memory, 8 * caches), most_memory);
}

static size_t level_bytes(const bg_machine *m, int level, int member, int threads)
{
    if (level < BG_MEMORY_LEVEL) return cache_bytes(m, level, member, threads);
    return bg_drive_memory_bytes(m, threads) / (size_t)threads;
}

static void touch(void *user, int member, int size)
{
    bg_drive *d = user;
    (void)size;
    memset(d->slots[member].buffer, member + 1, d->slots[member].bytes);
}

bg_status bg_drive_buffers(bg_drive *d, int lowest, int highest, bool alone, bg_error *err)
{
    size_t sum = 0;
    for (int i = 0; i < d->threads; i++) {
        bg_slot *s = &d->slots[i];
        s->bytes = CHUNK;
        for (int level = lowest; level <= highest; level++) {
            s->bytes = BG_MAX(s->bytes, level_bytes(d->machine, level, i, d->threads));
            if (i == 0 && alone) /* it may have a larger share */
                s->bytes = BG_MAX(s->bytes, level_bytes(d->machine, level, i, 1));
        }
        s->bytes = (s->bytes + CHUNK - 1) / CHUNK * CHUNK;
        sum += s->bytes;
        s->buffer = bg_alloc_large(s->bytes);
        if (!s->buffer) return bg_fail_nomem(err, "measuring bandwidth", sum);
    }
    bg_team_run(d->team, touch, d);
    return BG_OK;
}

const char *bg_drive_aim(bg_drive *d, int level)
{
    for (int i = 0; i < d->active; i++) {
        bg_slot *s = &d->slots[i];
        s->walk = level == BG_MEMORY_LEVEL ? s->bytes
                                           : cache_bytes(d->machine, level, i, d->active);
        if (!s->walk) return "no such cache is reported";
        s->step = BG_MIN(s->walk, (size_t)CHUNK);
        s->walk -= s->walk % s->step;
        s->cursor = 0;
    }
    return NULL;
}

bg_status bg_drive_open(bg_drive *d, const bg_machine *m, bg_team *team, bg_error *err)
{
    int threads = bg_team_size(team);
    *d = (bg_drive){.machine = m, .team = team, .threads = threads, .active = threads};
    d->slots = bg_alloc((size_t)threads, sizeof *d->slots);
    return d->slots ? BG_OK : bg_fail_nomem(err, "threads", (size_t)threads * sizeof *d->slots);
}

void bg_drive_close(bg_drive *d)
{
    for (int i = 0; d->slots && i < d->threads; i++)
        bg_free_large(d->slots[i].buffer, d->slots[i].bytes);
    bg_free(d->slots);
    d->slots = NULL;
}
