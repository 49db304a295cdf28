/* workdir.h: a temporary folder for files as large as models. Internal. */
#ifndef BG_HARNESS_WORKDIR_H
#define BG_HARNESS_WORKDIR_H

#include "base/base.h"

#include <limits.h>

typedef struct bg_workdir {
    char dir[PATH_MAX];
    int lock;                      /* of the folder: whose is not locked has no owner; -1: none */
} bg_workdir;

/* A new one in $TMPDIR or /tmp. Those of processes that were killed are removed first: they may
 * hold a model each. */
bg_status bg_workdir_open(bg_workdir *w, bg_error *err);
void bg_workdir_close(bg_workdir *w);      /* removes it with the files in it */
/* The path of a file in it; "" when that is too long, which names nothing. */
const char *bg_workdir_path(const bg_workdir *w, const char *name, char out[PATH_MAX]);
/* Bytes that may be written; 0 when it cannot be told. */
uint64_t bg_workdir_free(const bg_workdir *w);

#endif
