/* process.h: a child process, without a shell. Internal. */
#ifndef BG_BASE_PROCESS_H
#define BG_BASE_PROCESS_H

#include "base/base.h"

#include <limits.h>

typedef struct bg_process {
    const char *const *argv;     /* argv[0] is an absolute path */
    const char *dir;             /* absolute: where it runs; NULL: here */
    bool steady;                 /* runs alike everywhere: few variables of the environment, no
                                    random addresses, a stack of the usual size */
    bool merged;                 /* what it writes to standard error is output too */
    size_t limit;                /* output is kept, and so much may be written to both streams;
                                    0: output is not kept, and has no end */
    double patience;             /* seconds that it may be silent; 0: for ever */
    bool (*alive)(void *user);   /* asked several times a second; false: kill it. May be NULL */
    void *user;
    /* What became of it. */
    bg_text output;              /* free with bg_text_fini; a zero byte ends what can be read */
    char last[256];              /* the last line that it wrote, to either stream */
    char how[96];                /* "" after exit 0, else "exit status 1", "ended by signal 11" */
    size_t written;              /* bytes, to both streams */
    bool late;                   /* killed for its silence */
    double seconds;
    double peak_rss;             /* bytes, of it alone; NaN: it ended before it was looked at */
} bg_process;

/* Runs it to its end, with no standard input, no core file, and on any processor that this process
 * began with. It dies with this process, and what it started dies with it. BG_ERR_IO: it cannot be
 * started; BG_ERR_INTERRUPTED: alive said so; BG_ERR_NOMEM. */
bg_status bg_process_run(bg_process *p, bg_error *err);

/* A program by its path, or by its name along $PATH, as an absolute path. Its folders that are
 * relative are left out. BG_ERR_INPUT says what is wrong with it. */
bg_status bg_process_find(const char *name, char out[PATH_MAX], bg_error *err);

#endif
