#include "exchange/exchange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const bg_exporter exporters[] = {
    {"llama-bench-json", "what llama-bench -o json prints", bg_export_llama_json},
    {"llama-bench-jsonl", "llama-bench -o jsonl", bg_export_llama_jsonl},
    {"llama-bench-csv", "llama-bench -o csv (no samples)", bg_export_llama_csv},
    {"llama-bench-sql", "llama-bench -o sql (no samples)", bg_export_llama_sql},
    {"github-bigger", "github-action-benchmark, customBiggerIsBetter: speeds",
     bg_export_action_bigger},
    {"github-smaller", "github-action-benchmark, customSmallerIsBetter: the rest",
     bg_export_action_smaller},
    {"bencher", "Bencher Metric Format, for its adapter json", bg_export_bencher},
    {"google-benchmark", "Google Benchmark JSON, an entry a repetition", bg_export_google},
};

const bg_exporter *bg_exporter_at(size_t i)
{
    return i < BG_COUNT(exporters) ? &exporters[i] : NULL;
}

const bg_exporter *bg_exporter_find(const char *name)
{
    for (size_t i = 0; i < BG_COUNT(exporters); i++)
        if (strcmp(exporters[i].name, name) == 0) return &exporters[i];
    return NULL;
}

static const char *or_dash(const char *text) { return text ? text : "-"; }

void bg_cell_name(char *buffer, size_t size, const bg_row *row)
{
    double threads = bg_row_number(row, BG_COL_THREADS);
    char count[16] = "-";
    if (!isnan(threads)) snprintf(count, sizeof count, "%.0f", threads);
    snprintf(buffer, size, "%.160s/%.31s/%.31s/%.15s/t%s", or_dash(bg_row_text(row, BG_COL_MODEL)),
             or_dash(bg_row_text(row, BG_COL_SCHEME)), or_dash(bg_row_text(row, BG_COL_TEST)),
             or_dash(bg_row_text(row, BG_COL_ISA)), count);
}

static int by_rep(const void *pa, const void *pb)
{
    const bg_sample *a = *(const bg_sample *const *)pa, *b = *(const bg_sample *const *)pb;
    return (a->rep > b->rep) - (a->rep < b->rep);
}

bool bg_cell_samples(const bg_results *r, const bg_row *row, const bg_sample ***samples, size_t *n)
{
    size_t all = bg_results_sample_count(r);
    *n = 0;
    *samples = bg_alloc(all ? all : 1, sizeof **samples);
    for (size_t i = 0; *samples && i < all; i++) {
        const bg_sample *s = bg_results_sample(r, i);
        if (bg_sample_is_of(s, row) && s->seconds > 0 && s->tokens > 0)
            (*samples)[(*n)++] = s;
    }
    if (*samples) qsort(*samples, *n, sizeof **samples, by_rep);
    return *samples != NULL;
}

bg_status bg_export_failed(FILE *f, bg_error *err)
{
    if (!ferror(f)) return bg_fail_nomem(err, "the export", 0);
    return bg_fail(err, BG_ERR_IO, NULL, "the export cannot be written: is the disk full?");
}

bg_status bg_export_json(FILE *f, json_t *root, bg_error *err)
{
    bool done = root && json_dumpf(root, f, JSON_INDENT(2) |
                                   JSON_REAL_PRECISION(BG_EXPORT_DIGITS)) == 0 &&
                fputc('\n', f) != EOF;
    json_decref(root);
    return done ? BG_OK : bg_export_failed(f, err);
}
