/* records.h: flat JSON objects as JSON, JSONL, CSV and SQL, the way llama-bench prints its tests.
 * Internal. */
#ifndef BG_EXCHANGE_RECORDS_H
#define BG_EXCHANGE_RECORDS_H

#include "base/base.h"

#include <jansson.h>

/* Tables (csv, sql) have no place for arrays and leave them out; all records have the same keys,
 * and numbers `digits` digits. False: no memory, or the stream failed. */
typedef struct bg_records {
    const char *name;
    void (*begin)(FILE *f);
    bool (*put)(FILE *f, const json_t *record, size_t index, int digits);
    void (*end)(FILE *f);
} bg_records;
/* "json", "jsonl", "csv", "sql"; NULL for another. */
const bg_records *bg_records_find(const char *name);

/* What JSON has no number for is null. */
json_t *bg_json_real(double value);
json_t *bg_json_count(double value);
/* A string of any bytes: what is no UTF-8 becomes '?'. NULL text: null. */
json_t *bg_json_text(const char *text);

#endif
