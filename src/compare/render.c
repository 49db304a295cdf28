/* What all renderings share, Markdown, and the workflow commands of GitHub Actions. */
#include "compare/render.h"

#include <math.h>
#include <string.h>

static const char *text_of(const bg_row *row, bg_column c)
{
    const char *text = bg_row_text(row, c);
    return text ? text : "";
}

void bg_compare_name(const bg_row *row, char *out, size_t size)
{
    double threads = bg_row_number(row, BG_COL_THREADS);
    int n = snprintf(out, size, "%s %s", text_of(row, BG_COL_SCHEME), text_of(row, BG_COL_TEST));
    if (bg_row_has(row, BG_COL_ISA) && n >= 0 && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, ", %s", text_of(row, BG_COL_ISA));
    if (!isnan(threads) && n >= 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, ", %.0f thread%s", threads, threads == 1 ? "" : "s");
}

void bg_compare_finding(const bg_compared *c, char *out, size_t size)
{
    const char *metric = bg_column_get(c->metric)->name;
    char change[32], low[32], high[32], noise[48] = "";
    bg_percent(change, sizeof change, c->ratio.ratio - 1);
    bg_percent(low, sizeof low, c->ratio.low - 1);
    bg_percent(high, sizeof high, c->ratio.high - 1);
    if (isnan(c->ratio.low)) {
        snprintf(out, size, "%s %s (%.6g, then %.6g)", metric, change, c->value[0], c->value[1]);
        return;
    }
    if (!isnan(c->floor)) snprintf(noise, sizeof noise, ", noise floor %.1f %%", 100 * c->floor);
    snprintf(out, size, "%s %s (95 %% interval %s to %s, q = %.2g%s)", metric, change, low, high,
             c->q, noise);
}

/* The cell that changed most for the worse; NULL: none did. */
static const bg_compared *worst(const bg_comparison *c)
{
    const bg_compared *found = NULL;
    for (size_t i = 0; i < c->n_cells; i++) {
        const bg_compared *cell = &c->cells[i];
        if (cell->verdict == BG_VERDICT_WORSE &&
            (!found || fabs(log(cell->ratio.ratio)) > fabs(log(found->ratio.ratio))))
            found = cell;
    }
    return found;
}

void bg_compare_conclusion(const bg_comparison *c, char *out, size_t size)
{
    const bg_compared *w = worst(c);
    size_t failed = 0, inconclusive = c->counts[BG_VERDICT_INCONCLUSIVE];
    char name[128], change[32], counts[160];
    for (size_t i = 0; i < c->n_unpaired; i++)
        failed += c->unpaired[i].failed && c->unpaired[i].side == 0;
    snprintf(counts, sizeof counts, "of %zu comparisons %zu worse, %zu better, %zu the same, %zu "
             "inconclusive", c->n_cells, c->counts[BG_VERDICT_WORSE], c->counts[BG_VERDICT_BETTER],
             c->counts[BG_VERDICT_SAME], inconclusive);
    if (w) {
        bg_compare_name(w->base_row, name, sizeof name);
        bg_percent(change, sizeof change, w->ratio.ratio - 1);
        snprintf(out, size, "Regression: %s; the largest is %s: %s %s.", counts, name,
                 bg_column_get(w->metric)->name, change);
    } else if (failed) {
        snprintf(out, size, "Regression: %zu cell%s that %s measured failed; %s.", failed,
                 failed == 1 ? "" : "s", c->dir[0], counts);
    } else {
        snprintf(out, size, "%s: %s (threshold %g %%).",
                 inconclusive ? "Inconclusive, no regression found" : "No regression", counts,
                 100 * c->threshold);
    }
}

/* The table. */

enum { SCHEME, TEST, ISA, THREADS, METRIC, OLD, NEWER, CHANGE, INTERVAL, Q, FLOOR, VERDICT, REMARK,
       COLUMNS, CELL = 256 };
static const struct { const char *title; bool text; } columns[COLUMNS] = {
    {"Scheme", true}, {"Test", true},      {"Set", true}, {"Threads", false},
    {"Metric", true}, {"Base", false},     {"New", false}, {"Change", false},
    {"95 % interval", true}, {"q", false}, {"Noise floor", false}, {"Verdict", true},
    {"Remark", true},
};

typedef char cell_text[CELL];

static void fill_remark(const bg_compared *c, char *out)
{
    size_t n = c->n[0] + c->n[1], tainted = c->tainted[0] + c->tainted[1];
    snprintf(out, CELL, "%s", c->reason);
    if (2 * tainted > n && n)
        snprintf(out + strlen(out), CELL - strlen(out), "%s%zu of %zu repetitions were disturbed",
                 *out ? "; " : "", tainted, n);
}

static void fill_line(const bg_compared *c, cell_text *line)
{
    static const int digits = 5;
    char low[32], high[32];
    for (int i = 0; i < COLUMNS; i++) line[i][0] = 0;
    snprintf(line[SCHEME], CELL, "%s", text_of(c->base_row, BG_COL_SCHEME));
    snprintf(line[TEST], CELL, "%s", text_of(c->base_row, BG_COL_TEST));
    snprintf(line[ISA], CELL, "%s", text_of(c->base_row, BG_COL_ISA));
    if (bg_row_has(c->base_row, BG_COL_THREADS))
        snprintf(line[THREADS], CELL, "%.0f", bg_row_number(c->base_row, BG_COL_THREADS));
    snprintf(line[METRIC], CELL, "%s", bg_column_get(c->metric)->name);
    snprintf(line[OLD], CELL, "%.*g", digits, c->value[0]);
    snprintf(line[NEWER], CELL, "%.*g", digits, c->value[1]);
    bg_percent(line[CHANGE], CELL, c->ratio.ratio - 1);
    if (!isnan(c->ratio.low))
        snprintf(line[INTERVAL], CELL, "%s to %s", bg_percent(low, sizeof low, c->ratio.low - 1),
                 bg_percent(high, sizeof high, c->ratio.high - 1));
    if (!isnan(c->q)) snprintf(line[Q], CELL, "%.2g", c->q);
    if (!isnan(c->floor))
        snprintf(line[FLOOR], CELL, "%.*f %%%s", c->floor < 0.0995 ? 1 : 0, 100 * c->floor,
                 c->floor_source == BG_FLOOR_SAMPLES ? " (est.)" : "");
    if (c->verdict == BG_VERDICT_WORSE || c->verdict == BG_VERDICT_BETTER)
        snprintf(line[VERDICT], CELL, "**%s**", bg_compared_verdict(c));
    else snprintf(line[VERDICT], CELL, "%s", bg_compared_verdict(c));
    fill_remark(c, line[REMARK]);
}

/* Names come from files: what would end a cell or make markup is escaped. */
static const char markup[] = "|<>`\\[]";

static void put_escaped(bg_text *out, const char *s)
{
    for (; *s; s++) {
        if (strchr(markup, *s)) bg_text_puts(out, "\\");
        bg_text_append(out, *s == '\n' || *s == '\t' ? " " : s, 1);
    }
}

static size_t escaped_length(const char *s)
{
    size_t n = strlen(s);
    for (; *s; s++) n += strchr(markup, *s) != NULL;
    return n;
}

static void put_cell(bg_text *out, const char *s, size_t width, bool left)
{
    int pad = (int)(width - escaped_length(s));
    bg_text_printf(out, "%*s", left ? 0 : pad, "");
    put_escaped(out, s);
    bg_text_printf(out, "%*s", left ? pad : 0, "");
}

static void put_table(const bg_comparison *c, bg_text *out)
{
    size_t widths[COLUMNS];
    cell_text line[COLUMNS];
    for (int k = 0; k < COLUMNS; k++) widths[k] = strlen(columns[k].title);
    for (size_t i = 0; i < c->n_cells; i++) {
        fill_line(&c->cells[i], line);
        for (int k = 0; k < COLUMNS; k++) widths[k] = BG_MAX(widths[k], escaped_length(line[k]));
    }
    for (int k = 0; k < COLUMNS; k++) {
        bg_text_puts(out, "| ");
        put_cell(out, columns[k].title, widths[k], columns[k].text);
        bg_text_puts(out, k + 1 == COLUMNS ? " |\n" : " ");
    }
    for (int k = 0; k < COLUMNS; k++) {
        bg_text_puts(out, columns[k].text ? "|:" : "|-");
        for (size_t i = 0; i < widths[k]; i++) bg_text_puts(out, "-");
        bg_text_puts(out, columns[k].text ? "-" : ":");
    }
    bg_text_puts(out, "|\n");
    for (size_t i = 0; i < c->n_cells; i++) {
        fill_line(&c->cells[i], line);
        for (int k = 0; k < COLUMNS; k++) {
            bg_text_puts(out, "| ");
            put_cell(out, line[k], widths[k], columns[k].text);
            bg_text_puts(out, k + 1 == COLUMNS ? " |\n" : " ");
        }
    }
}

static void put_unpaired(const bg_comparison *c, bg_text *out)
{
    char name[128];
    for (size_t i = 0; i < c->n_unpaired; i++) {
        const bg_unpaired *u = &c->unpaired[i];
        if (i == 0) bg_text_puts(out, "\nIn one folder only:\n\n");
        bg_compare_name(u->row, name, sizeof name);
        bg_text_puts(out, "- ");
        put_escaped(out, name);
        bg_text_puts(out, ": in ");
        put_escaped(out, c->dir[u->side]);
        if (u->failed) {
            bg_text_puts(out, "; **failed** in ");
            put_escaped(out, c->dir[!u->side]);
        }
        bg_text_puts(out, "\n");
    }
}

void bg_compare_markdown(const bg_comparison *c, bg_text *out)
{
    char conclusion[512];
    bg_text_puts(out, "## ");
    put_escaped(out, c->dir[1]);
    bg_text_puts(out, " against ");
    put_escaped(out, c->dir[0]);
    bg_text_puts(out, "\n\n");
    if (c->n_cells) put_table(c, out);
    put_unpaired(c, out);
    for (size_t i = 0; i < BG_COUNT(c->notes) && c->notes[i][0]; i++) {
        bg_text_puts(out, "\n");
        bg_text_puts(out, c->notes[i]);
        bg_text_puts(out, "\n");
    }
    bg_compare_conclusion(c, conclusion, sizeof conclusion);
    bg_text_printf(out, "\n%s\n", conclusion);
}

/* https://docs.github.com/actions/reference/workflow-commands-for-github-actions: percent signs and
 * line ends are encoded, in properties colons and commas too. */
static void put_command(bg_text *out, const char *level, const char *title, const char *message)
{
    const char *parts[] = {title, message};
    bg_text_printf(out, "::%s title=", level);
    for (int i = 0; i < 2; i++) {
        for (const char *s = parts[i]; *s; s++) {
            if (strchr("%\r\n", *s) || (i == 0 && strchr(":,", *s)))
                bg_text_printf(out, "%%%02X", (unsigned)*s);
            else
                bg_text_append(out, s, 1);
        }
        bg_text_puts(out, i == 0 ? "::" : "\n");
    }
}

void bg_compare_annotations(const bg_comparison *c, bg_text *out)
{
    enum { MOST = 9 }; /* of a level; ten of a step are shown, and one tells of the others */
    static const struct { bg_verdict verdict; const char *level; } levels[] = {
        {BG_VERDICT_WORSE, "error"}, {BG_VERDICT_INCONCLUSIVE, "warning"}};
    char name[128], text[400];
    for (size_t k = 0; k < BG_COUNT(levels); k++) {
        size_t shown = 0, all = c->counts[levels[k].verdict];
        for (size_t i = 0; i < c->n_cells && shown < MOST; i++) {
            const bg_compared *cell = &c->cells[i];
            if (cell->verdict != levels[k].verdict) continue;
            bg_compare_name(cell->base_row, name, sizeof name);
            bg_compare_finding(cell, text, sizeof text);
            if (*cell->reason)
                snprintf(text, sizeof text, "%s: %s", bg_column_get(cell->metric)->name,
                         cell->reason);
            put_command(out, levels[k].level, name, text);
            shown++;
        }
        if (shown == all) continue;
        snprintf(text, sizeof text, "and %zu more that are %s", all - shown,
                 levels[k].verdict == BG_VERDICT_WORSE ? "worse" : "inconclusive");
        put_command(out, levels[k].level, "bitgauge compare", text);
    }
    for (size_t i = 0; i < c->n_unpaired; i++) {
        const bg_unpaired *u = &c->unpaired[i];
        if (!u->failed || u->side != 0) continue;
        bg_compare_name(u->row, name, sizeof name);
        put_command(out, "error", name, "failed, and was measured before");
    }
    bg_compare_conclusion(c, text, sizeof text);
    put_command(out, "notice", "bitgauge compare", text);
}
