/* memo.h: evaluations that were made, in memory and in a file that a stopped search resumes from.
 * Internal to the search room.
 *
 * The search is deterministic given the results of its evaluations, so one that starts again and
 * finds them here comes to where it was. */
#ifndef BG_SEARCH_MEMO_H
#define BG_SEARCH_MEMO_H

#include "base/base.h"

typedef struct bg_memo bg_memo;

/* path NULL: in memory alone; named_by: the option that names it, for messages, or NULL; it
 * outlives the memo. `request` identifies what is searched for. A line that was cut off in the
 * middle is ignored. BG_ERR_INPUT: a file of another request, or none of this program's; it stays
 * as it is. */
bg_status bg_memo_open(bg_memo **m, const char *path, const char *named_by, uint64_t request,
                       bg_error *err);
/* finished: the file is no longer needed and removed. */
void bg_memo_close(bg_memo **m, bool finished);
bool bg_memo_find(const bg_memo *m, uint64_t key, double *value);
/* A file that cannot be written any more is warned of in the log; memory goes on. */
bg_status bg_memo_add(bg_memo *m, uint64_t key, double value, bg_error *err);
size_t bg_memo_count(const bg_memo *m);

#endif
