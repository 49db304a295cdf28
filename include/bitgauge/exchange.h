/* bitgauge/exchange.h: results in the formats of other programs, and theirs as results.
 *
 * A cell is named MODEL/SCHEME/TEST/ISA/tTHREADS, "codelet-8m-f16/Q4_K_M/tg64/avx2/t2", with "-"
 * for what is unknown. What was not measured is left out. Numbers keep 15 digits.
 */
#ifndef BITGAUGE_EXCHANGE_H
#define BITGAUGE_EXCHANGE_H

#include "bitgauge/results.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bg_exporter {
    const char *name, *summary;
    bg_status (*write)(const bg_results *r, FILE *f, bg_error *err);
} bg_exporter;
const bg_exporter *bg_exporter_at(size_t i);               /* NULL past the last */
const bg_exporter *bg_exporter_find(const char *name);     /* NULL: unknown */

typedef struct bg_import_options {
    const char *engine;        /* NULL: what the file tells, else "llama.cpp" */
    const char *model;         /* NULL: the name of the model's file, without its scheme */
} bg_import_options;

/* Adds what the text holds to the import: llama-bench's json, jsonl or csv, or the entries of
 * github-action-benchmark as the exporters write them; which one is seen from the text. Files of
 * one engine and one machine go into one folder. `name` is the path in errors: "name:12" is line
 * 12.
 *
 * Speeds are summarised from the samples where the file has them. Without, tps is the file's mean,
 * and the interval is absent. BG_ERR_INPUT: not one of these formats, an impossible value, a cell
 * that is there already. */
typedef struct bg_import bg_import;
bg_status bg_import_new(bg_import **i, const char *dir, const bg_import_options *o, bg_error *err);
bg_status bg_import_add(bg_import *i, const char *name, const void *data, size_t n, bg_error *err);
/* The results so far, which the import owns. */
bg_status bg_import_results(bg_import *i, const bg_results **r, bg_error *err);
/* Writes the folder, machine.json first. BG_ERR_INPUT when nothing was added, or `dir` holds
 * results already. */
bg_status bg_import_save(bg_import *i, bg_error *err);
void bg_import_close(bg_import **i);

#ifdef __cplusplus
}
#endif
#endif
