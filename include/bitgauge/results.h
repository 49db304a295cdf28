/* bitgauge/results.h: the results folder: results.csv, samples.csv, machine.json, plan.json.
 *
 * Columns are lines of columns.def. A field that is empty is unknown. Files are untrusted on
 * reading: ragged rows, bad numbers, unknown versions are input errors naming file and row.
 * Unknown extra columns of the same version are kept out, with a log line.
 */
#ifndef BITGAUGE_RESULTS_H
#define BITGAUGE_RESULTS_H

#include "bitgauge/base.h"
#include "bitgauge/counters.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BG_RESULTS_VERSION = 1 }; /* plan.json's "version"; a larger one is refused */

typedef enum bg_column_type { BG_TYPE_TEXT, BG_TYPE_INT, BG_TYPE_REAL } bg_column_type;

typedef enum bg_column {
#define BG_COLUMN(NAME, name, TYPE, unit, better, width, title) BG_COL_##NAME,
#define BG_COUNTER_COLUMN(NAME, name, unit, per, better, width, title) BG_COL_COUNTER_##NAME,
#include "bitgauge/columns.def"
    BG_COL_COUNT
} bg_column;

typedef struct bg_column_info {
    const char *name, *unit, *title;
    bg_column_type type;
    int better, width;
} bg_column_info;
const bg_column_info *bg_column_get(bg_column c);

/* One cell. Text is owned by the row; what is not UTF-8 or printable in it becomes '?'. Numbers
 * of INT columns are rounded. */
typedef struct bg_row bg_row;
bg_row *bg_row_new(void);                                  /* NULL: no memory */
void bg_row_free(bg_row **r);
bool bg_row_set_text(bg_row *r, bg_column c, const char *text);   /* false: no memory */
void bg_row_set_number(bg_row *r, bg_column c, double value);     /* NaN, infinity clear it */
void bg_row_clear(bg_row *r, bg_column c);
const char *bg_row_text(const bg_row *r, bg_column c);     /* NULL: unknown */
/* How the text of MADE_WITH begins where formats were searched for. */
#define BG_MADE_BY_RECIPE "--recipe "
double bg_row_number(const bg_row *r, bg_column c);        /* NaN: unknown */
bool bg_row_has(const bg_row *r, bg_column c);
/* Says in the absent column why a field is empty, once a column: "ppl,ppl_se=reason; watts=..." */
bool bg_row_set_absent(bg_row *r, bg_column column, const char *reason);
/* The reason why a column is empty: copied into buffer; false when none is given. */
bool bg_row_absent_reason(const bg_row *r, bg_column column, char *buffer, size_t size);

/* A number that a row measured, with its 95 % interval (NaN: unknown) and the repetitions or
 * windows behind it (NaN: it is exact, or they are unknown). Name, unit and what is better are the
 * column's. */
typedef struct bg_measure { bg_column column; double value, low, high, n; } bg_measure;
/* Writes up to BG_MEASURES of them, in the order of the columns. Returns their number; 0 for a row
 * that failed. Attributes (bits per weight, spreads) are no measures. */
enum { BG_MEASURES = 32 };
size_t bg_row_measures(const bg_row *r, bg_measure out[BG_MEASURES]);

/* One timed repetition. */
typedef struct bg_sample {
    char scheme[32], engine[32], isa[16], test[32];
    int threads;
    uint32_t rep;              /* 0, 1, ... of its cell */
    uint64_t position;         /* in the random order of the whole sweep */
    double seconds, tokens;
    double ttft_ms;            /* NaN when the test has none */
    double steal_ratio;
    double roof_tps;           /* tokens/s at the roof that bounds it, as it was then; NaN
                                * unknown */
    char tainted[64];          /* "" or the causes, comma separated */
    char outlier[8];           /* "slow" or "fast" outside the fences of its cell, else "" */
    double counters[BG_COUNTER_COUNT];
    const float *itl_ms;       /* latency of each generated token, or NULL */
    size_t itl_count;
} bg_sample;

typedef struct bg_results bg_results;

/* Reads a folder. BG_ERR_INPUT names what is wrong ("is not a results folder: run `bitgauge
 * sweep --out DIR`"). */
bg_status bg_results_open(bg_results **r, const char *dir, bg_error *err);
/* A new, empty one in memory; plan_json is kept as given (a JSON object; version is added). */
bg_status bg_results_new(bg_results **r, const char *dir, const char *plan_json, bg_error *err);
void bg_results_close(bg_results **r);
/* Replaces the plan, as bg_results_new does, and machine.json's text (NULL: stays as it is). */
bg_status bg_results_describe(bg_results *r, const char *plan_json, const char *machine_json,
                              bg_error *err);

const char *bg_results_dir(const bg_results *r);
const char *bg_results_plan(const bg_results *r);     /* plan.json's text */
const char *bg_results_machine(const bg_results *r);  /* machine.json's text, or NULL */

/* Where results come from. "" is unknown. */
typedef struct bg_origin {
    char engine[32], version[64];   /* "bitgauge", "0.1.0" */
    char created[32];               /* UTC, "2026-01-31T12:00:00Z" */
    char model_file[256], cpu[128];
    double cores;                   /* usable ones; NaN */
    char machine[17];               /* a fingerprint: of CPU model, architecture and usable cores */
} bg_origin;
bg_status bg_results_origin(const bg_results *r, bg_origin *out, bg_error *err);

size_t bg_results_row_count(const bg_results *r);
const bg_row *bg_results_row(const bg_results *r, size_t i);
bg_row *bg_results_row_mut(bg_results *r, size_t i);
/* First row with these, or NULL. threads 0, NULL isa: any; of any engine. */
const bg_row *bg_results_find(const bg_results *r, const char *scheme, const char *test,
                              const char *isa, int threads);
/* What makes a cell: scheme, test, engine, instruction set and threads. A row and a sample that do
 * not say their engine take that of their folder (bg_origin) when they are read. */
bool bg_row_same_cell(const bg_row *a, const bg_row *b);
bool bg_sample_is_of(const bg_sample *s, const bg_row *row);
/* Takes ownership of *row (sets it NULL). Replaces a row of the same cell. */
bg_status bg_results_add(bg_results *r, bg_row **row, bg_error *err);
/* Orders the rows by a rank, lowest first. */
void bg_results_sort(bg_results *r, size_t (*rank)(void *user, const bg_row *row), void *user);

size_t bg_results_sample_count(const bg_results *r);
const bg_sample *bg_results_sample(const bg_results *r, size_t i);
/* Sets `outlier` of all samples whose cell has a row: outside Tukey's fences (stats.h) of its
 * cell's speeds. They stay samples like the others. */
bg_status bg_results_label(bg_results *r, bg_error *err);
/* Copies it, latencies too. */
bg_status bg_results_add_sample(bg_results *r, const bg_sample *s, bg_error *err);

/* Creates the folder and writes results.csv, samples.csv and, last, plan.json, each atomically:
 * a folder with a plan is complete. */
bg_status bg_results_save(const bg_results *r, bg_error *err);

#ifdef __cplusplus
}
#endif
#endif
