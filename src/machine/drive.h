/* drive.h: a team that drives one resource to its limit, and how fast it went. Internal. */
#ifndef BG_MACHINE_DRIVE_H
#define BG_MACHINE_DRIVE_H

#include "machine/machine.h"

#include "base/team.h"

enum { BG_LEVELS = 4, BG_MEMORY_LEVEL = BG_LEVELS };
extern const char *const bg_level_names[BG_LEVELS]; /* of levels 1 to 4 */

/* What one member walks through, and when it did. */
typedef struct bg_slot {
    _Alignas(64) char *buffer;
    size_t bytes;              /* of the buffer */
    size_t walk, step;         /* goes round the first `walk` bytes, a step a round */
    size_t cursor;
    uint64_t rounds, begin, end;
    volatile uint64_t sink;    /* keeps the results alive */
} bg_slot;

typedef struct bg_drive {
    const bg_machine *machine;
    bg_team *team;
    int threads, active;       /* members from `active` on only wait */
    bg_slot *slots;
    const bg_read_loop *loop;  /* one of the two is set */
    const bg_peak *peak;
} bg_drive;

/* Without buffers, every member active. close is right after a failed open, too. */
bg_status bg_drive_open(bg_drive *d, const bg_machine *m, bg_team *team, bg_error *err);
void bg_drive_close(bg_drive *d);

/* Bytes that buffers beyond all caches take, for a team and for one thread alone: eight times the
 * last level, because caches do not forget the oldest line first, so of a walk of four times a
 * cache some is still there. */
size_t bg_drive_memory_bytes(const bg_machine *m, int threads);
/* Gives every member a buffer that does for these levels, and one that does alone to the first
 * where `alone`. */
bg_status bg_drive_buffers(bg_drive *d, int lowest, int highest, bool alone, bg_error *err);
/* Sets what the active members walk through to read from a level; the buffers are there. Returns
 * why they cannot (constant text), or NULL. */
const char *bg_drive_aim(bg_drive *d, int level);

/* Rounds such that every member is busy for about `ns`: fast and slow cores end together. */
void bg_drive_calibrate(bg_drive *d, uint64_t ns);
/* Operations or bytes a nanosecond, from the first that began to the last that ended. */
double bg_drive_run(bg_drive *d);

#endif
