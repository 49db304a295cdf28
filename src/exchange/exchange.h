/* exchange.h: what the formats share. Internal. */
#ifndef BG_EXCHANGE_INTERNAL_H
#define BG_EXCHANGE_INTERNAL_H

#include "bitgauge/exchange.h"
#include "exchange/llama_bench.h"
#include "exchange/records.h"

enum { BG_EXPORT_DIGITS = 15, BG_CELL_NAME = 320 };

/* MODEL/SCHEME/TEST/ISA/tTHREADS */
void bg_cell_name(char *buffer, size_t size, const bg_row *row);

/* The samples of a row's cell, in the order they were taken; *samples is freed with bg_free.
 * false: no memory. */
bool bg_cell_samples(const bg_results *r, const bg_row *row, const bg_sample ***samples, size_t *n);

/* Writes the value with a newline at its end, and drops it. */
bg_status bg_export_json(FILE *f, json_t *root, bg_error *err);
bg_status bg_export_failed(FILE *f, bg_error *err);    /* memory, or the stream */

/* One value of a file: a JSON object, or a row of CSV as an object of strings. */
typedef struct bg_entry {
    const json_t *object;
    const char *name;          /* of the file */
    size_t line;
} bg_entry;
/* BG_ERR_INPUT with "name: line 3". */
bg_status bg_entry_fail(bg_error *err, const bg_entry *e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Fields, which CSV has as text. Absent, empty and null are unknown: *value is NaN, *text NULL. */
bg_status bg_entry_number(const bg_entry *e, const char *key, double *value, bg_error *err);
/* A whole number from 0 to `max`. */
bg_status bg_entry_count(const bg_entry *e, const char *key, double max, double *value,
                         bg_error *err);
/* At most `max` bytes. */
bg_status bg_entry_text(const bg_entry *e, const char *key, size_t max, const char **text,
                        bg_error *err);

struct bg_import {
    bg_results *results;
    bg_import_options options;
    char *engine, *version, *cpu, *model_file;      /* NULL until an entry tells */
    char created[32];
};
/* All entries of a folder tell the same, or nothing: keeps the first. `what`: "engine". */
bg_status bg_import_keep(char **kept, const char *text, const char *what, const bg_entry *e,
                         bg_error *err);
/* Takes the row, "imported" and "ok"; refuses a cell that is there. */
bg_status bg_import_row(bg_import *i, bg_row **row, const bg_entry *e, bg_error *err);
/* The row of the same cell, or NULL. */
bg_row *bg_import_find(bg_import *i, const bg_row *like);

typedef bg_status bg_import_fn(bg_import *i, const bg_entry *e, bg_error *err);
bg_import_fn bg_import_llama_bench, bg_import_action_benchmark;

typedef bg_status bg_export_fn(const bg_results *r, FILE *f, bg_error *err);
bg_export_fn bg_export_llama_json, bg_export_llama_jsonl, bg_export_llama_csv, bg_export_llama_sql,
    bg_export_action_bigger, bg_export_action_smaller, bg_export_bencher, bg_export_google;

#endif
