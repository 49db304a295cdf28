/* Counts of the simulated processor, for the page and for the terminal. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static const bg_column texts[] = {BG_COL_SCHEME, BG_COL_ISA, BG_COL_TEST};

static const bg_column counts[] = {
#define BG_SIM(NAME, name, events, unit, width, title) BG_COL_##NAME,
#include "bitgauge/simulated.def"
};

/* "LL misses, simulated" to the comma, for here all are simulated. */
static const char *short_title(bg_column column, char out[32])
{
    const char *title = bg_column_get(column)->title;
    snprintf(out, 32, "%.*s", (int)strcspn(title, ","), title);
    return out;
}

static const bg_row *next_row(const bg_results *r, size_t *i)
{
    while (*i < bg_results_row_count(r)) {
        const bg_row *row = bg_results_row(r, (*i)++);
        if (bg_row_has(row, BG_COL_SIM_INSTRUCTIONS)) return row;
    }
    return NULL;
}

static const char *print_count(char cell[32], double value)
{
    if (isnan(value)) return "";
    snprintf(cell, 32, "%.*f", value < 1000 ? 2 : 0, value);
    return cell;
}

static const char *print_text(const bg_row *row, bg_column column)
{
    const char *text = bg_row_text(row, column);
    return text ? text : "";
}

/* "valgrind-3.19.0; I1 32768,8,64, ...", as the plan has it. */
static void describe(const json_t *plan, char *out, size_t n)
{
    const json_t *o = json_object_get(json_object_get(plan, "settings"), "callgrind");
    static const char *const keys[] = {"tool", "I1", "D1", "LL"};
    size_t used = 0;
    *out = 0;
    for (size_t i = 0; i < BG_COUNT(keys); i++) {
        const char *value = bg_report_json_text(o, keys[i]);
        if (!value || used >= n) return;
        used += (size_t)snprintf(out + used, n - used, "%s%s%s%.40s", i ? ", " : "",
                                 i ? keys[i] : "", i ? " " : "", value);
    }
}

void bg_section_simulated(const report *r, doc *d)
{
    size_t at = 0;
    const bg_row *row = next_row(r->results, &at);
    char cell[32], tool[256];
    if (!row) return;
    describe(r->plan, tool, sizeof tool);
    bg_doc_heading(d, 2, "Counts of a simulated processor");
    bg_doc_text(d, "Per token, with one thread under callgrind (%s; caches in bytes, ways, bytes "
                "of a line). They are the same in every run of one program; between two programs, "
                "instructions differ by what the code does, the others also by where it lies. They "
                "say nothing of time.", tool[0] ? tool : "valgrind");
    bg_doc_table(d, "");
    for (size_t i = 0; i < BG_COUNT(texts); i++)
        bg_doc_column(d, bg_column_get(texts[i])->title, "", true);
    for (size_t i = 0; i < BG_COUNT(counts); i++)
        bg_doc_column(d, short_title(counts[i], cell), bg_column_get(counts[i])->unit, false);
    for (; row; row = next_row(r->results, &at)) {
        bg_doc_row(d, false);
        for (size_t i = 0; i < BG_COUNT(texts); i++)
            bg_doc_cell(d, "%s", print_text(row, texts[i]));
        for (size_t i = 0; i < BG_COUNT(counts); i++)
            bg_doc_cell(d, "%s", print_count(cell, bg_row_number(row, counts[i])));
    }
}

bg_status bg_report_simulated(const bg_results *r, char **text, bg_error *err)
{
    size_t at = 0;
    const bg_row *row = next_row(r, &at);
    bg_text t = {0};
    char cell[32];
    *text = NULL;
    if (!row) return BG_OK;
    bg_text_printf(&t, "%-10s%-8s%-14s", "Per token", "", "");
    for (size_t i = 0; i < BG_COUNT(counts); i++) 
        bg_text_printf(&t, " %12s", short_title(counts[i], cell));
    for (; row; row = next_row(r, &at)) {
        bg_text_printf(&t, "\n%-10s%-8s%-14s", print_text(row, BG_COL_SCHEME),
                       print_text(row, BG_COL_ISA), print_text(row, BG_COL_TEST));
        for (size_t i = 0; i < BG_COUNT(counts); i++)
            bg_text_printf(&t, " %12s", print_count(cell, bg_row_number(row, counts[i])));
    }
    bg_text_puts(&t, "\n");
    *text = t.data;
    if (!t.failed) return BG_OK;
    *text = NULL;
    bg_text_fini(&t);
    return bg_fail_nomem(err, "the table", 0);
}
