/* Counters where there are any, and every metric that is missing, with the reason. */
#include "report/report.h"

#include <stdlib.h>
#include <string.h>

/* "cycles, instructions: reason", a line a reason. */
static void put_unavailable(const report *r, doc *d, const char *key, const char *what)
{
    const json_t *list = json_object_get(r->machine, key), *one, *other;
    size_t i, k;
    json_array_foreach(list, i, one) {
        const char *status = json_string_value(json_object_get(one, "status"));
        const char *reason = json_string_value(json_object_get(one, "reason"));
        bg_text names = {0};
        bool first = true;
        if (!reason || !status || strcmp(status, "ok") == 0) continue;
        json_array_foreach(list, k, other) {
            const char *name = json_string_value(json_object_get(other, "name"));
            const char *same = json_string_value(json_object_get(other, "reason"));
            if (!name || !same || strcmp(same, reason)) continue;
            if (k < i) first = false;
            bg_text_printf(&names, "%s%s", names.length ? ", " : "", name);
        }
        if (first && names.data)
            bg_doc_item(d, "%s unavailable: %s (%s)", what, reason, names.data);
        d->failed |= names.failed;
        bg_text_fini(&names);
    }
}

/* No row has a column: the reason that the first of them gives. */
static bool reason_of(const report *r, bg_column c, char *reason, size_t n, size_t *missing)
{
    *missing = 0;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        char one[256];
        if (bg_row_has(row, c)) return false; /* measured somewhere */
        if (!bg_row_absent_reason(row, c, one, sizeof one)) continue;
        if (!*missing) snprintf(reason, n, "%s", one);
        (*missing)++;
    }
    return *missing > 0;
}

static void put_missing(const report *r, doc *d)
{
    bool told[BG_COL_COUNT] = {false};
    for (int i = 0; i < BG_COL_COUNT; i++) {
        char reason[256], other[256];
        bg_text names = {0};
        size_t missing;
        bool counter = i >= (int)BG_COL_COUNTER_TSC && i <= (int)BG_COL_COUNTER_ENERGY_GPU;
        if (told[i] || counter || !reason_of(r, (bg_column)i, reason, sizeof reason, &missing))
            continue;
        for (int k = i; k < BG_COL_COUNT; k++) {
            if (k >= (int)BG_COL_COUNTER_TSC && k <= (int)BG_COL_COUNTER_ENERGY_GPU) continue;
            if (!reason_of(r, (bg_column)k, other, sizeof other, &missing) || strcmp(reason, other))
                continue;
            told[k] = true;
            bg_text_printf(&names, "%s%s", names.length ? ", " : "",
                           bg_column_get((bg_column)k)->name);
        }
        if (names.data) bg_doc_item(d, "%s: %s", names.data, reason);
        d->failed |= names.failed;
        bg_text_fini(&names);
    }
}

/* Gross and net, of what was metered. */
static void put_energy(const report *r, doc *d)
{
    static const bg_column columns[] = {BG_COL_J_TOKEN, BG_COL_J_TOKEN_NET, BG_COL_WATTS,
                                        BG_COL_IDLE_WATTS};
    bool begun = false;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        const char *source = bg_row_text(row, BG_COL_ENERGY_SRC);
        char number[32];
        if (!bg_row_has(row, BG_COL_J_TOKEN)) continue;
        if (!begun) {
            bg_doc_table(d, "Energy: all that the meter counted while the test was repeated, and "
                            "what is left of it beyond the power of the idle machine.");
            bg_doc_column(d, "Scheme", "", true);
            bg_doc_column(d, "Test", "", true);
            bg_doc_column(d, "Threads", "", false);
            for (size_t k = 0; k < BG_COUNT(columns); k++)
                bg_doc_column(d, bg_column_get(columns[k])->title, bg_column_get(columns[k])->unit,
                              false);
            bg_doc_column(d, "Meter", "", true);
            begun = true;
        }
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", bg_row_text(row, BG_COL_SCHEME));
        bg_doc_cell(d, "%s", bg_row_text(row, BG_COL_TEST));
        bg_doc_cell(d, "%.0f", bg_row_number(row, BG_COL_THREADS));
        for (size_t k = 0; k < BG_COUNT(columns); k++) {
            bg_report_number(number, sizeof number, bg_row_number(row, columns[k]));
            bg_doc_cell(d, "%s", number);
        }
        bg_doc_cell(d, "%s", source ? source : "");
    }
}

void bg_section_counters(const report *r, doc *d)
{
    bg_doc_heading(d, 2, "Counters and what could not be measured");
    bg_report_figure(r, d, BG_PLOT_COUNTERS,
                     "Bars of hardware counters per decoded token by scheme",
                     "Counters per decoded token, at the fastest setting of each scheme.");
    put_energy(r, d);
    put_unavailable(r, d, "counters", "Hardware counters");
    put_unavailable(r, d, "energy", "Energy");
    put_missing(r, d);
}
