/* spawn.h: a child process whose surroundings do not depend on ours. Internal. */
#ifndef BG_HARNESS_SPAWN_H
#define BG_HARNESS_SPAWN_H

#include "base/base.h"

typedef struct bg_spawn {
    const char *dir;             /* absolute: where it runs */
    const char *const *argv;     /* argv[0] is an absolute path */
    bool (*alive)(void *user);   /* asked several times a second; false: kill it. May be NULL */
    void *user;
    char last[256];              /* the last line that it wrote, to either stream */
    char how[64];                /* "" after exit 0, else "exit status 1", "killed by SIGSEGV" */
} bg_spawn;

/* Runs it to its end: few variables of the environment, no standard input, no random addresses, a
 * stack of the usual size, no core file. It dies with this process. BG_ERR_IO: it cannot be started;
 * BG_ERR_INTERRUPTED. */
bg_status bg_spawn_run(bg_spawn *s, bg_error *err);

#endif
