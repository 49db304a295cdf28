/* history.h: what the files of the history room share. Internal. */
#ifndef BG_HISTORY_INTERNAL_H
#define BG_HISTORY_INTERNAL_H

#include "bitgauge/history.h"

#include "base/base.h"

/* The columns of runs/ID.csv, in order. */
typedef struct bg_history_column { const char *name; bool text; size_t at; } bg_history_column;
enum { BG_HISTORY_COLUMNS = 22 };
extern const bg_history_column bg_history_columns[BG_HISTORY_COLUMNS];

enum { BG_HISTORY_MAX_TEXT = 255, BG_HISTORY_MAX_ROWS = 20000 };

struct bg_history {
    char *dir;
    bg_history_row *rows;
    size_t n, capacity;
};

static inline const char *bg_history_text(const bg_history_row *row, size_t column)
{
    return *(const char *const *)((const char *)row + bg_history_columns[column].at);
}

static inline double bg_history_number(const bg_history_row *row, size_t column)
{
    return *(const double *)((const char *)row + bg_history_columns[column].at);
}

/* A commit, as it may stand in a file's name. */
bool bg_history_is_commit(const char *text);

#endif
