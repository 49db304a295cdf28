#include "bitgauge/results.h"

/* The name in results.csv of a counter: divided by tokens, or as it is. */
#define COUNTER_NAME_1(name) #name "_per_token"
#define COUNTER_NAME_0(name) #name

static const bg_column_info columns[BG_COL_COUNT] = {
#define BG_COLUMN(NAME, name, TYPE, unit, better, width, title) \
    {#name, unit, title, BG_TYPE_##TYPE, better, width},
#define BG_COUNTER_COLUMN(NAME, name, unit, per, better, width, title) \
    {COUNTER_NAME_##per(name), unit, title, BG_TYPE_REAL, better, width},
#include "bitgauge/columns.def"
};

const bg_column_info *bg_column_get(bg_column c) { return &columns[c]; }
