/* team.h: a fixed team of threads that runs one function at a time, together. Internal.
 *
 * The caller is member 0. Between runs the others spin shortly, then sleep on a futex, so
 * that decode (hundreds of short runs a second) pays no wake-ups and an idle team no CPU. A team
 * that outnumbers the processors only sleeps: who spins would keep others from working. */
#ifndef BG_TEAM_H
#define BG_TEAM_H

#include "base/base.h"

typedef struct bg_team bg_team;
typedef void bg_team_fn(void *user, int member, int size);

/* Called once on each thread (member 0 too: on the thread that opens) to bind it; may be NULL. */
typedef void bg_team_bind_fn(void *user, int member);

bg_status bg_team_open(bg_team **team, int size, bg_team_bind_fn *bind, void *user,
                       bg_error *err);
void bg_team_close(bg_team **team);
/* Lets the calling thread run where it could before a team bound it. Safe after fork. */
void bg_team_unbind(void);
int bg_team_size(const bg_team *team);               /* NULL team: 1 */

/* Runs fn on every member and returns when all have. A NULL team runs it here alone. */
void bg_team_run(bg_team *team, bg_team_fn *fn, void *user);

/* Inside a run: waits until every member got here. NULL team: nothing. */
void bg_team_barrier(bg_team *team);

/* The [begin, end) share of n items of one member, in multiples of `grain`. */
static inline void bg_team_share(size_t n, size_t grain, int member, int size, size_t *begin,
                                 size_t *end)
{
    size_t units = (n + grain - 1) / grain;
    size_t b = units * (size_t)member / (size_t)size * grain;
    size_t e = units * (size_t)(member + 1) / (size_t)size * grain;
    *begin = b < n ? b : n;
    *end = e < n ? e : n;
}

#endif
