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

void bg_compare_together_name(const bg_together *t, char *out, size_t size)
{
    double threads = bg_row_number(t->all.base_row, BG_COL_THREADS);
    const char *test = text_of(t->all.base_row, BG_COL_TEST);
    int n = snprintf(out, size, "all %zu cells of %.*s together%s", t->cells,
                     (int)strcspn(test, "0123456789"), test,
                     t->all.confirmed ? ", measured again" : "");
    if (!isnan(threads) && n >= 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, ", %.0f thread%s", threads, threads == 1 ? "" : "s");
}

void bg_compare_finding(const bg_compared *cell, char *out, size_t size)
{
    const bg_compared own = bg_compared_own(cell), *c = cell->by_own ? &own : cell;
    const char *metric = bg_column_get(c->metric)->name;
    const char *beside = cell->by_own ? " beside the other cells" : "";
    char change[32], low[32], high[32], noise[48] = "";
    bg_percent(change, sizeof change, c->ratio.ratio - 1);
    bg_percent(low, sizeof low, c->ratio.low - 1);
    bg_percent(high, sizeof high, c->ratio.high - 1);
    if (isnan(c->ratio.low)) {
        snprintf(out, size, "%s %s (%.6g, then %.6g)", metric, change, c->value[0], c->value[1]);
        return;
    }
    if (!isnan(c->floor)) snprintf(noise, sizeof noise, ", noise floor %.1f %%", 100 * c->floor);
    snprintf(out, size, "%s %s%s (95 %% interval %s to %s, q = %.2g%s)", metric, change, beside,
             low, high, c->q, noise);
}

/* By how much it changed: as it was judged. */
static double judged_ratio(const bg_compared *c)
{
    return c->by_own ? c->own.ratio.ratio : c->ratio.ratio;
}

/* The cell that changed most for the worse; NULL: none did. */
static const bg_compared *worst(const bg_comparison *c)
{
    const bg_compared *found = NULL;
    for (size_t i = 0; i < c->n_cells; i++) {
        const bg_compared *cell = &c->cells[i];
        if (cell->verdict == BG_VERDICT_WORSE &&
            (!found || fabs(log(judged_ratio(cell))) > fabs(log(judged_ratio(found)))))
            found = cell;
    }
    return found;
}

/* What all cells did together, if that is worse; NULL. */
static const bg_together *worse_together(const bg_comparison *c)
{
    for (size_t i = 0; i < c->n_together; i++)
        if (c->together[i].all.verdict == BG_VERDICT_WORSE) return &c->together[i];
    return NULL;
}

void bg_compare_conclusion(const bg_comparison *c, char *out, size_t size)
{
    const bg_compared *w = worst(c);
    const bg_together *t = worse_together(c);
    size_t failed = 0, inconclusive = c->counts[BG_VERDICT_INCONCLUSIVE];
    char name[128], change[32], counts[160];
    for (size_t i = 0; i < c->n_unpaired; i++)
        failed += c->unpaired[i].failed && c->unpaired[i].side == 0;
    snprintf(counts, sizeof counts, "of %zu comparisons %zu worse, %zu better, %zu the same, %zu "
             "inconclusive", c->n_cells, c->counts[BG_VERDICT_WORSE], c->counts[BG_VERDICT_BETTER],
             c->counts[BG_VERDICT_SAME], inconclusive);
    if (w) {
        bg_compare_name(w->base_row, name, sizeof name);
        bg_percent(change, sizeof change, judged_ratio(w) - 1);
        snprintf(out, size, "Regression: %s; the largest is %s: %s %s%s.", counts, name,
                 bg_column_get(w->metric)->name, change,
                 w->by_own ? " beside the other cells" : "");
    } else if (t) {
        bg_compare_together_name(t, name, sizeof name);
        snprintf(out, size, "Regression: %s: %s %s; %s.", name, bg_column_get(t->all.metric)->name,
                 bg_percent(change, sizeof change, t->all.ratio.ratio - 1), counts);
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

enum { SCHEME, TEST, ISA, THREADS, METRIC, OLD, NEWER, CHANGE, OWN, INTERVAL, Q, FLOOR, VERDICT,
       REMARK, COLUMNS, CELL = 256 };
static const struct { const char *title; bool text; } columns[COLUMNS] = {
    {"Scheme", true}, {"Test", true},      {"Set", true}, {"Threads", false},
    {"Metric", true}, {"Base", false},     {"New", false}, {"Change", false},
    {"Own", false},   {"95 % interval", true}, {"q", false}, {"Noise floor", false},
    {"Verdict", true}, {"Remark", true},
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

/* How sure the change is: of the own part, where there is one. */
static void fill_certainty(const bg_compared *c, cell_text *line)
{
    char low[32], high[32];
    if (!isnan(c->ratio.low))
        snprintf(line[INTERVAL], CELL, "%s to %s", bg_percent(low, sizeof low, c->ratio.low - 1),
                 bg_percent(high, sizeof high, c->ratio.high - 1));
    if (!isnan(c->q)) snprintf(line[Q], CELL, "%.2g", c->q);
    if (!isnan(c->floor))
        snprintf(line[FLOOR], CELL, "%.*f %%%s", c->floor < 0.0995 ? 1 : 0, 100 * c->floor,
                 c->floor_source == BG_FLOOR_SAMPLES ? " (est.)" : "");
}

static void fill_line(const bg_compared *c, cell_text *line)
{
    static const int digits = 5;
    const bg_compared own = bg_compared_own(c);
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
    bg_percent(line[OWN], CELL, c->own.ratio.ratio - 1);
    fill_certainty(c->own.others ? &own : c, line);
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

static void put_line(bg_text *out, cell_text *line, const size_t *widths)
{
    for (int k = 0; k < COLUMNS; k++)
        if (widths[k]) {
            bg_text_puts(out, "| ");
            put_cell(out, line[k], widths[k], columns[k].text);
            bg_text_puts(out, " ");
        }
    bg_text_puts(out, "|\n");
}

static void put_table(const bg_comparison *c, bg_text *out)
{
    size_t widths[COLUMNS];
    cell_text line[COLUMNS];
    for (int k = 0; k < COLUMNS; k++) {
        snprintf(line[k], CELL, "%s", columns[k].title);
        widths[k] = k == OWN && c->n_together == 0 ? 0 : strlen(columns[k].title);
    }
    for (size_t i = 0; i < c->n_cells; i++) {
        cell_text other[COLUMNS];
        fill_line(&c->cells[i], other);
        for (int k = 0; k < COLUMNS; k++) widths[k] = BG_MAX(widths[k], escaped_length(other[k]));
    }
    put_line(out, line, widths);
    for (int k = 0; k < COLUMNS; k++) {
        if (widths[k] == 0) continue;
        bg_text_puts(out, columns[k].text ? "|:" : "|-");
        for (size_t i = 0; i < widths[k]; i++) bg_text_puts(out, "-");
        bg_text_puts(out, columns[k].text ? "-" : ":");
    }
    bg_text_puts(out, "|\n");
    for (size_t i = 0; i < c->n_cells; i++) {
        fill_line(&c->cells[i], line);
        put_line(out, line, widths);
    }
}

static const char legend[] =
    "\nOwn is what a cell did beside the others of its kind and threads, each repetition beside "
    "those measured around it; interval, q and noise floor are of that where it is given. A cell "
    "that cannot be judged by its change is judged by its own part: the same, slower or faster "
    "than it was relative to the others, whatever all did together.\n";

static void put_together(const bg_comparison *c, bg_text *out)
{
    char name[128], finding[256];
    for (size_t i = 0; i < c->n_together; i++) {
        const bg_compared *all = &c->together[i].all;
        bg_compare_together_name(&c->together[i], name, sizeof name);
        bg_compare_finding(all, finding, sizeof finding);
        bg_text_printf(out, "\n%s%c%s: %s: **%s**%s%s\n",
                       all->verdict == BG_VERDICT_INCONCLUSIVE ? "Warning: " : "",
                       all->verdict == BG_VERDICT_INCONCLUSIVE ? 'a' : 'A', name + 1, finding,
                       bg_compared_verdict(all), *all->reason ? ", " : "", all->reason);
    }
    if (c->n_together) bg_text_puts(out, legend);
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
    put_together(c, out);
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

static void annotate_together(const bg_comparison *c, bg_text *out)
{
    char name[128], finding[256], text[512];
    for (size_t i = 0; i < c->n_together; i++) {
        const bg_compared *all = &c->together[i].all;
        bool worse = all->verdict == BG_VERDICT_WORSE;
        if (!worse && all->verdict != BG_VERDICT_INCONCLUSIVE) continue;
        bg_compare_together_name(&c->together[i], name, sizeof name);
        bg_compare_finding(all, finding, sizeof finding);
        snprintf(text, sizeof text, "%s%s%s", finding, worse ? "" : ": ", all->reason);
        put_command(out, worse ? "error" : "warning", name, text);
    }
}

void bg_compare_annotations(const bg_comparison *c, bg_text *out)
{
    enum { MOST = 8 }; /* of a level; ten of a step are shown: one tells of the others, one of
                        * all */
    static const struct { bg_verdict verdict; const char *level; } levels[] = {
        {BG_VERDICT_WORSE, "error"}, {BG_VERDICT_INCONCLUSIVE, "warning"}};
    char name[128], text[400];
    annotate_together(c, out);
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
