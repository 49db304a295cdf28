/* Any bytes as a file to import; what is accepted must be a folder that reads, and export in every
 * format. */
#include "bitgauge/exchange.h"
#include "results/store.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_again(const bg_results *r)
{
    bg_results *again;
    bg_error err;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f || bg_results_new(&again, "again", "{}", &err) != BG_OK) abort();
    bg_results_write_rows(r, f);
    fclose(f);
    if (bg_results_parse_rows(again, "again.csv", text, n, &err) != BG_OK) abort();
    if (again->n_rows != r->n_rows) abort();
    free(text);
    f = open_memstream(&text, &n);
    if (!f) abort();
    bg_results_write_samples(r, f);
    fclose(f);
    if (bg_results_parse_samples(again, "again.csv", text, n, &err) != BG_OK) abort();
    if (again->n_samples != r->n_samples) abort();
    free(text);
    bg_results_close(&again);
}

static void export_all(const bg_results *r)
{
    const bg_exporter *e;
    bg_error err;
    for (size_t i = 0; (e = bg_exporter_at(i)); i++) {
        char *text = NULL;
        size_t n = 0;
        FILE *f = open_memstream(&text, &n);
        if (!f || e->write(r, f, &err) != BG_OK) abort();
        fclose(f);
        free(text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const bg_results *r;
    bg_import *i;
    bg_error err = {0};
    if (bg_import_new(&i, "fuzz", NULL, &err) != BG_OK) abort();
    if (bg_import_add(i, "input", data, size, &err) == BG_OK) {
        if (bg_import_results(i, &r, &err) != BG_OK) abort();
        read_again(r);
        export_all(r);
    } else if (!err.message[0]) {
        abort();
    }
    bg_import_close(&i);
    return 0;
}
