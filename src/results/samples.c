/* samples.csv: a row a timed repetition. */
#include "results/store.h"

#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum kind { TEXT, COUNT, REAL, LATENCIES } kind;

/* One line a column before the counters. `at` and `size` place it in a bg_sample. */
static const struct { const char *name; kind kind; size_t at, size; double max; bool needed; }
    fields[] = {
#define FIELD(name, kind, max, needed) \
    {#name, kind, offsetof(bg_sample, name), sizeof((bg_sample *)0)->name, max, needed}
    FIELD(scheme, TEXT, 0, true),
    FIELD(isa, TEXT, 0, false),
    FIELD(test, TEXT, 0, true),
    FIELD(threads, COUNT, INT_MAX, false),
    FIELD(rep, COUNT, UINT32_MAX, false),
    FIELD(position, COUNT, 0x1p53, false),
    FIELD(seconds, REAL, 0, false),
    FIELD(tokens, REAL, 0, false),
    FIELD(ttft_ms, REAL, 0, false),
    FIELD(steal_ratio, REAL, 0, false),
    FIELD(roof_tps, REAL, 0, false),
    FIELD(tainted, TEXT, 0, false),
    FIELD(outlier, TEXT, 0, false),
    FIELD(engine, TEXT, 0, false),
    FIELD(itl_ms, LATENCIES, 0, false),
};

enum { N_FIELDS = BG_COUNT(fields), N_COLUMNS = N_FIELDS + BG_COUNTER_COUNT };

static const char *const counter_names[BG_COUNTER_COUNT] = {
#define BG_COUNTER(NAME, name, unit, per, better, width, title) #name,
#include "bitgauge/counters.def"
};

static int find_column(const char *name)
{
    for (int i = 0; i < (int)N_FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0) return i;
    for (int i = 0; i < BG_COUNTER_COUNT; i++)
        if (strcmp(counter_names[i], name) == 0) return (int)N_FIELDS + i;
    return -1;
}

static void set_count(bg_sample *s, size_t at, size_t size, double value)
{
    char *p = (char *)s + at;
    if (size == sizeof(uint64_t)) memcpy(p, &(uint64_t){(uint64_t)value}, size);
    else memcpy(p, &(uint32_t){(uint32_t)value}, size);
}

static double get_count(const bg_sample *s, size_t at, size_t size)
{
    const char *p = (const char *)s + at;
    uint64_t wide;
    uint32_t narrow;
    if (size == sizeof wide) {
        memcpy(&wide, p, size);
        return (double)wide;
    }
    memcpy(&narrow, p, size);
    return narrow;
}

/* "0.91 0.88 ..." */
static bg_status parse_latencies(bg_sample *s, const char *text, size_t line, const char *name,
                                 bg_error *err)
{
    size_t n = 1;
    float *values;
    char word[32];
    for (const char *p = text; *p; p++) n += *p == ' ';
    values = bg_alloc(n, sizeof *values);
    if (!values) return bg_fail_nomem(err, name, n * sizeof *values);
    s->itl_ms = values;
    for (s->itl_count = 0; s->itl_count < n; s->itl_count++) {
        size_t length = strcspn(text, " ");
        double value;
        snprintf(word, sizeof word, "%.*s", (int)BG_MIN(length, sizeof word), text);
        if (length >= sizeof word || !bg_csv_get_number(word, &value) || value < 0 || value > 1e30)
            return bg_csv_fail(err, name, line, "'%s' in column itl_ms is not a latency", word);
        values[s->itl_count] = (float)value;
        text += length + (text[length] == ' ');
    }
    return BG_OK;
}

static bg_status set_field(bg_sample *s, size_t i, const char *text, size_t line,
                           const char *name, bg_error *err)
{
    double value;
    if (fields[i].kind == LATENCIES) return parse_latencies(s, text, line, name, err);
    if (fields[i].kind == TEXT) {
        if (strlen(text) >= fields[i].size)
            return bg_csv_fail(err, name, line, "column %s holds over %zu bytes", fields[i].name,
                               fields[i].size - 1);
        strcpy((char *)s + fields[i].at, text);
        bg_text_clean((char *)s + fields[i].at);
        return BG_OK;
    }
    if (!bg_csv_get_number(text, &value))
        return bg_csv_fail(err, name, line, "'%.40s' in column %s is not a number", text,
                           fields[i].name);
    if (fields[i].kind == COUNT && !(value >= 0 && value <= fields[i].max && value == floor(value)))
        return bg_csv_fail(err, name, line, "'%.40s' in column %s is not a count", text,
                           fields[i].name);
    if (fields[i].kind == COUNT) set_count(s, fields[i].at, fields[i].size, value);
    else memcpy((char *)s + fields[i].at, &value, sizeof value);
    return BG_OK;
}

static bg_status append(bg_results *r, const bg_sample *s, bg_error *err)
{
    if (r->n_samples == r->samples_capacity) {
        size_t capacity = BG_MAX(256, r->samples_capacity * 2);
        bg_sample *samples = bg_grow(r->samples, capacity, sizeof *samples);
        if (!samples) return bg_fail_nomem(err, "samples", capacity * sizeof *samples);
        r->samples = samples;
        r->samples_capacity = capacity;
    }
    r->samples[r->n_samples++] = *s;
    return BG_OK;
}

static bg_sample blank(void)
{
    bg_sample s = {.seconds = NAN, .tokens = NAN, .ttft_ms = NAN, .steal_ratio = NAN,
                   .roof_tps = NAN};
    for (int i = 0; i < BG_COUNTER_COUNT; i++) s.counters[i] = NAN;
    return s;
}

static bg_status parse_sample(void *user, const char *const *text, size_t line, const char *name,
                              bg_error *err)
{
    bg_sample s = blank();
    bg_status status = BG_OK;
    for (size_t i = 0; i < N_FIELDS && status == BG_OK; i++) {
        if (text[i]) status = set_field(&s, i, text[i], line, name, err);
        else if (fields[i].needed)
            status = bg_csv_fail(err, name, line, "has no %s", fields[i].name);
    }
    for (size_t i = 0; i < BG_COUNTER_COUNT && status == BG_OK; i++) {
        const char *word = text[N_FIELDS + i];
        if (word && !bg_csv_get_number(word, &s.counters[i]))
            status = bg_csv_fail(err, name, line, "'%.40s' in column %s is not a number", word,
                                 counter_names[i]);
    }
    if (status == BG_OK) status = append(user, &s, err);
    if (status != BG_OK) bg_free((void *)(uintptr_t)s.itl_ms);
    return status;
}

bg_status bg_results_parse_samples(bg_results *r, const char *name, const void *data, size_t n,
                                   bg_error *err)
{
    bg_csv_reader reader = {.name = name, .n_columns = N_COLUMNS, .find = find_column,
                            .max_rows = BG_RESULTS_MAX_SAMPLES, .row = parse_sample, .user = r};
    return bg_csv_read(&reader, data, n, err);
}

static void write_field(const bg_sample *s, size_t i, FILE *f)
{
    const char *p = (const char *)s + fields[i].at;
    double value;
    switch (fields[i].kind) {
    case TEXT:
        bg_csv_put_text(f, p);
        break;
    case COUNT:
        fprintf(f, "%.0f", get_count(s, fields[i].at, fields[i].size));
        break;
    case REAL:
        memcpy(&value, p, sizeof value);
        bg_csv_put_number(f, value);
        break;
    case LATENCIES:
        for (size_t k = 0; k < s->itl_count; k++)
            fprintf(f, "%s%.6g", k ? " " : "", (double)s->itl_ms[k]);
        break;
    }
}

void bg_results_write_samples(const bg_results *r, FILE *f)
{
    for (size_t i = 0; i < N_FIELDS; i++) fprintf(f, "%s%s", i ? "," : "", fields[i].name);
    for (size_t i = 0; i < BG_COUNTER_COUNT; i++) fprintf(f, ",%s", counter_names[i]);
    fputc('\n', f);
    for (size_t k = 0; k < r->n_samples; k++) {
        for (size_t i = 0; i < N_FIELDS; i++) {
            if (i) fputc(',', f);
            write_field(&r->samples[k], i, f);
        }
        for (size_t i = 0; i < BG_COUNTER_COUNT; i++) {
            fputc(',', f);
            bg_csv_put_number(f, r->samples[k].counters[i]);
        }
        fputc('\n', f);
    }
}

size_t bg_results_sample_count(const bg_results *r) { return r->n_samples; }
const bg_sample *bg_results_sample(const bg_results *r, size_t i) { return &r->samples[i]; }

bg_status bg_results_add_sample(bg_results *r, const bg_sample *s, bg_error *err)
{
    bg_sample copy = *s;
    float *latencies = NULL;
    bg_status status;
    if (s->itl_count) {
        latencies = bg_alloc(s->itl_count, sizeof *latencies);
        if (!latencies) return bg_fail_nomem(err, "samples", s->itl_count * sizeof *latencies);
        memcpy(latencies, s->itl_ms, s->itl_count * sizeof *latencies);
    }
    copy.itl_ms = latencies;
    status = append(r, &copy, err);
    if (status != BG_OK) bg_free(latencies);
    return status;
}
