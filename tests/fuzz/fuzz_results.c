/* The CSV tables of a results folder: any bytes; what is accepted must survive a round trip. */
#include "results/store.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef bg_status parse_fn(bg_results *, const char *, const void *, size_t, bg_error *);
typedef void write_fn(const bg_results *, FILE *);

static void check(const void *data, size_t size, parse_fn *parse, write_fn *write)
{
    bg_results *r, *again;
    bg_error err;
    if (bg_results_new(&r, "fuzz", "{}", &err) != BG_OK) abort();
    if (parse(r, "fuzz.csv", data, size, &err) == BG_OK) {
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        if (!f) abort();
        write(r, f);
        fclose(f);
        if (bg_results_new(&again, "fuzz", "{}", &err) != BG_OK) abort();
        if (parse(again, "again.csv", text, n, &err) != BG_OK) abort();
        if (again->n_rows != r->n_rows || again->n_samples != r->n_samples) abort();
        bg_results_close(&again);
        free(text);
    }
    bg_results_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, bg_results_parse_rows, bg_results_write_rows);
    check(data, size, bg_results_parse_samples, bg_results_write_samples);
    return 0;
}
