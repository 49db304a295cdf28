/* store.h: what the files of the results room share. Internal. */
#ifndef BG_RESULTS_STORE_H
#define BG_RESULTS_STORE_H

#include "bitgauge/results.h"

#include "base/base.h"

enum {
    BG_RESULTS_MAX_ROWS = 20000,     /* of results.csv */
    BG_RESULTS_MAX_SAMPLES = 1000000,
    BG_CSV_MAX_FIELD = 1 << 18,      /* bytes; the latencies of 30 000 tokens fit */
};

struct bg_row {
    char *text[BG_COL_COUNT];
    double number[BG_COL_COUNT];
    size_t line;                     /* row of the file it came from */
};

struct bg_results {
    char *dir, *plan, *machine;
    bg_row **rows;
    bg_sample *samples;
    size_t n_rows, rows_capacity, n_samples, samples_capacity;
};

/* A CSV table in memory. Fields are handed over by column number, NULL when empty or when the
 * file lacks the column; row 1 is the header. Columns that `find` does not know are logged and
 * left out. */
typedef struct bg_csv_reader {
    const char *name;                                  /* in errors */
    size_t n_columns, max_rows;
    int (*find)(const char *column);                   /* -1: unknown */
    bg_status (*row)(void *user, const char *const *fields, size_t row, const char *name,
                     bg_error *err);
    void *user;
    bool others;                     /* unknown columns are expected: nothing is logged */
    const char *remedy;              /* of a file that is no such table; NULL: that of a folder */
} bg_csv_reader;
bg_status bg_csv_read(const bg_csv_reader *reader, const void *data, size_t n, bg_error *err);

/* Rows and samples that do not say which engine they are of are of the folder's. */
bg_status bg_results_name_engine(bg_results *r, bg_error *err);

/* "name: row 7" with a message: BG_ERR_INPUT. */
bg_status bg_csv_fail(bg_error *err, const char *name, size_t row, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* One field, quoted when it must be. */
void bg_csv_put_text(FILE *f, const char *text);
/* The shortest of a few precisions that reads back as the same number; nothing for NaN. */
void bg_csv_put_number(FILE *f, double value);
/* A finite decimal number and nothing else. */
bool bg_csv_get_number(const char *text, double *value);

/* The tables of a folder, from memory and to a stream. `name` is the path in errors. */
bg_status bg_results_parse_rows(bg_results *r, const char *name, const void *data, size_t n,
                                bg_error *err);
bg_status bg_results_parse_samples(bg_results *r, const char *name, const void *data, size_t n,
                                   bg_error *err);
void bg_results_write_rows(const bg_results *r, FILE *f);
void bg_results_write_samples(const bg_results *r, FILE *f);

/* Makes text fit for a CSV field and for JSON: bytes that are not UTF-8 and control characters
 * other than tab and newline become '?'. */
void bg_text_clean(char *text);

#endif
