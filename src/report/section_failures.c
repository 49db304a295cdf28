/* Cells that failed, with their reasons. */
#include "report/report.h"

#include <math.h>
#include <string.h>

void bg_section_failures(const report *r, doc *d)
{
    bool begun = false;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        static const bg_column columns[] = {BG_COL_SCHEME, BG_COL_TEST, BG_COL_ISA, BG_COL_THREADS,
                                            BG_COL_REASON};
        const bg_row *row = bg_results_row(r->results, i);
        const char *status = bg_row_text(row, BG_COL_STATUS);
        if (!status || strcmp(status, "ok") == 0) continue;
        if (!begun) {
            bg_doc_heading(d, 2, "Cells that failed");
            bg_doc_table(d, "");
            for (size_t c = 0; c < BG_COUNT(columns); c++)
                bg_doc_column(d, bg_column_get(columns[c])->title, "",
                              columns[c] != BG_COL_THREADS);
            begun = true;
        }
        bg_doc_row(d, false);
        for (size_t c = 0; c < BG_COUNT(columns); c++) {
            const char *text = bg_row_text(row, columns[c]);
            double number = bg_row_number(row, columns[c]);
            if (text) bg_doc_cell(d, "%s", text);
            else if (!isnan(number)) bg_doc_cell(d, "%.0f", number);
            else bg_doc_cell(d, "%s", "");
        }
    }
}
