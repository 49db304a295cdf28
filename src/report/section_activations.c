/* Quality with simulated activations: what engines that multiply in fewer bits would have. */
#include "report/report.h"

#include <math.h>
#include <string.h>

static const char prefix[] = "quality-";

/* The activations of a row that simulates them; NULL: another row. */
static const char *activations_of(const bg_row *row)
{
    const char *test = bg_row_text(row, BG_COL_TEST), *status = bg_row_text(row, BG_COL_STATUS);
    if (!test || strncmp(test, prefix, strlen(prefix)) != 0) return NULL;
    return status && strcmp(status, "ok") != 0 ? NULL : test + strlen(prefix);
}

static double loss(const report *r, const bg_candidate *c, const char *activations)
{
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const bg_row *row = bg_results_row(r->results, i);
        const char *scheme = bg_row_text(row, BG_COL_SCHEME), *found = activations_of(row);
        if (found && scheme && strcmp(scheme, c->scheme) == 0 && strcmp(found, activations) == 0)
            return bg_row_number(row, BG_COL_KLD);
    }
    return NAN;
}

/* Their names in the order of the rows. */
static size_t find_names(const report *r, const char *names[], size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < bg_results_row_count(r->results); i++) {
        const char *name = activations_of(bg_results_row(r->results, i));
        size_t at = 0;
        while (name && at < n && strcmp(names[at], name) != 0) at++;
        if (name && at == n && n < most) names[n++] = name;
    }
    return n;
}

void bg_section_activations(const report *r, doc *d)
{
    const char *names[8];
    size_t n = find_names(r, names, BG_COUNT(names));
    char b[64];
    if (!n) return;
    bg_doc_heading(d, 2, "Simulated activations");
    bg_doc_table(d, "KL divergence where what matrices read is rounded, each number to a half "
                    "(f16) or 32 numbers with one scale to 8, 6 or 4 bits, and multiplied as "
                    "floats: baselines for engines with such activations. Of their speed nothing "
                    "follows.");
    bg_doc_column(d, "Scheme", "", true);
    bg_doc_column(d, "as it runs", "nats", false);
    for (size_t i = 0; i < n; i++) bg_doc_column(d, names[i], "nats", false);
    for (size_t i = 0; i < r->n_schemes; i++) {
        const bg_candidate *c = r->schemes[i];
        bg_doc_row(d, false);
        bg_doc_cell(d, "%s", c->name);
        bg_doc_cell(d, "%s", bg_report_number(b, sizeof b, c->kld));
        for (size_t k = 0; k < n; k++)
            bg_doc_cell(d, "%s", bg_report_number(b, sizeof b, loss(r, c, names[k])));
    }
}
