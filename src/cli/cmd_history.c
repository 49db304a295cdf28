#include "cli/advise_options.h"
#include "cli/git.h"

#include "bitgauge/history.h"
#include "bitgauge/report.h"

#include <math.h>
#include <string.h>

typedef struct request {
    const char *commit, *branch, *date, *out;
    bool samples;
    bg_history_filter filter;
    double alpha, floor;
    const char *dir, *what;      /* the words after the action */
} request;

static bg_status add(const request *ask, bg_error *err)
{
    bg_history_add_options o = {.commit = ask->commit, .branch = ask->branch, .date = ask->date,
                                .samples = ask->samples};
    char run[BG_HISTORY_ID], date[40];
    bg_cli_commit here;
    bg_results *r;
    bg_status status;
    bg_cli_commit_find(&here);
    if (o.commit && !o.date) {
        bg_cli_commit_date(o.commit, date);
        if (*date) o.date = date;
    }
    if (!o.commit) {
        o.commit = here.commit;
        if (!o.date && *here.date) o.date = here.date;
    }
    if (!o.branch) o.branch = here.branch;
    BG_TRY(bg_cli_results(ask->what, &r, err));
    status = bg_history_add(ask->dir, r, &o, run, err);
    if (status == BG_OK) printf("%s\n", run);
    bg_results_close(&r);
    return status;
}

/* A line a run: what it is of, and how many numbers it holds. */
static bg_status list(const request *ask, bg_error *err)
{
    bg_history *h;
    BG_TRY(bg_history_open(&h, ask->dir, err));
    printf("%-20s %-12s %-16s %-9s %-10s %-20s %7s  %s\n", "date", "commit", "branch", "machine",
           "engine", "model", "numbers", "run");
    for (size_t i = 0, to; i < bg_history_count(h); i = to) {
        const bg_history_row *r = bg_history_at(h, i);
        for (to = i + 1; to < bg_history_count(h) &&
                         strcmp(bg_history_at(h, to)->run, r->run) == 0;) to++;
        printf("%-20s %-12.12s %-16.16s %-9.8s %-10.10s %-20.20s %7zu  %s\n", r->date,
               *r->commit ? r->commit : "-", *r->branch ? r->branch : "-",
               *r->machine ? r->machine : "-", r->engine, r->model, to - i, r->run);
    }
    bg_history_close(&h);
    return BG_OK;
}

static void print_row(const bg_history_row *r, bool by_run)
{
    char interval[48] = "";
    if (!isnan(r->low) && !isnan(r->high))
        snprintf(interval, sizeof interval, "%.5g to %.5g", r->low, r->high);
    if (by_run)
        printf("%-10.31s %-12.31s %-11.15s %3s  %-22s", r->scheme, r->test, r->isa, r->threads,
               r->metric);
    else
        printf("%.10s %-12.12s %.8s %-12.31s %-11.15s %3s  %-22s", r->date,
               *r->commit ? r->commit : "-", r->machine, r->test, r->isa, r->threads, r->metric);
    printf(" %12.6g %-8s %s\n", r->value, r->unit, interval);
}

/* A run, by the begin of its ID or commit, or a scheme over all runs. */
static bg_status show(const request *ask, bg_error *err)
{
    bg_history *h;
    size_t n = strlen(ask->what), shown = 0;
    bg_status status = BG_OK;
    BG_TRY(bg_history_open(&h, ask->dir, err));
    for (size_t i = 0; i < bg_history_count(h); i++) {
        const bg_history_row *r = bg_history_at(h, i);
        bool run = strncmp(r->run, ask->what, n) == 0 || strncmp(r->commit, ask->what, n) == 0;
        if ((!run && strcmp(r->scheme, ask->what) != 0) ||
            (ask->filter.metric && strcmp(ask->filter.metric, r->metric) != 0) ||
            (ask->filter.test && strcmp(ask->filter.test, r->test) != 0))
            continue;
        print_row(r, run);
        shown++;
    }
    if (!shown)
        status = bg_fail(err, BG_ERR_INPUT, ask->dir, "has no run, commit or scheme '%.80s'",
                         ask->what);
    bg_history_close(&h);
    return status;
}

static bg_status trend(const request *ask, bg_error *err)
{
    bg_history *h;
    bg_history_trend *t = NULL;
    char *text = NULL;
    bg_status status;
    BG_TRY(bg_history_open(&h, ask->dir, err));
    status = bg_history_follow(&t, h, &ask->filter, ask->alpha, ask->floor, err);
    if (status == BG_OK) status = bg_history_trend_text(t, &text, err);
    if (status == BG_OK) fputs(text, stdout);
    if (status == BG_OK && ask->out) status = bg_report_trend(t, ask->out, err);
    bg_free_text(text);
    bg_history_trend_close(&t);
    bg_history_close(&h);
    return status;
}

static bg_status baseline(const request *ask, bg_error *err)
{
    bg_history *h;
    bg_results *r = NULL;
    char *path = NULL;
    bg_status status;
    BG_TRY(bg_history_open(&h, ask->dir, err));
    status = bg_cli_results(ask->what, &r, err);
    if (status == BG_OK) status = bg_history_baseline(h, r, ask->branch, &path, err);
    if (status == BG_OK) printf("%s\n", path);
    bg_free_text(path);
    bg_results_close(&r);
    bg_history_close(&h);
    return status;
}

static const struct action {
    const char *name;
    bg_status (*run)(const request *ask, bg_error *err);
    bool needs_more;             /* a word behind DIR */
} actions[] = {
    {"add", add, false}, {"list", list, false}, {"show", show, true}, {"trend", trend, false},
    {"baseline", baseline, false},
};

static const char summary[] =
    "Keeps results over time in DIR, which can live in a git branch of its own: a run is a CSV file\n"
    "that is never changed, so what two jobs add on two branches merges without conflicts.\n\n"
    "  add DIR [RESULTS]       adds a results folder (default results/latest), once; commit, branch\n"
    "                          and date come from the options, GitHub's or GitLab's environment, git\n"
    "  list DIR                the runs\n"
    "  show DIR RUN|COMMIT|SCHEME    its numbers\n"
    "  trend DIR               a line a cell with its changes; --out also draws them. Machines,\n"
    "                          engines and models are never joined into one line\n"
    "  baseline DIR [RESULTS]  the folder of the newest run that these results may be compared with\n"
    "                          (same machine, engine, model; added with --samples); status 1: none\n\n"
    "A change is where a stretch of values differs from the rest as it would in few random orders of\n"
    "them (alpha; circular binary segmentation on ranks), and by more than the noise floor.";

int bg_cmd_history(int argc, char **argv)
{
    request ask = {.commit = NULL};
    const bg_opt options[] = {
        {BG_OPT_TEXT, "--commit", "ID", "add: what was measured", &ask.commit, NULL, 0, 0},
        {BG_OPT_TEXT, "--branch", "NAME", "add: its branch; trend, baseline: only of this one",
         &ask.branch, NULL, 0, 0},
        {BG_OPT_TEXT, "--date", "TIME", "add: of the commit, like 2026-01-31T12:00:00Z", &ask.date,
         NULL, 0, 0},
        {BG_OPT_FLAG, "--samples", NULL, "add: keep the whole folder, to compare with",
         &ask.samples, NULL, 0, 0},
        {BG_OPT_TEXT, "--metric", "NAME", "trend, show: column of results.csv (trend: tps)",
         &ask.filter.metric, NULL, 0, 0},
        {BG_OPT_TEXT, "--scheme", "NAME", "trend: only this scheme", &ask.filter.scheme, NULL, 0,
         0},
        {BG_OPT_TEXT, "--test", "NAME", "trend, show: only this test", &ask.filter.test, NULL, 0,
         0},
        {BG_OPT_TEXT, "--isa", "NAME", "trend: only this instruction set", &ask.filter.isa, NULL, 0,
         0},
        {BG_OPT_TEXT, "--machine", "ID", "trend: only this fingerprint", &ask.filter.machine, NULL,
         0, 0},
        {BG_OPT_REAL, "--alpha", "P", "trend: false changes a line (default 0.01)", &ask.alpha,
         NULL, 0.002, 0.5},
        {BG_OPT_REAL, "--floor", "SHARE", "trend: a smaller change is none, where the machine's "
         "noise is not known (default 0.02)", &ask.floor, NULL, 1e-6, 1},
        {BG_OPT_TEXT, "-o --out", "FOLDER", "trend: SVG and PNG drawings", &ask.out, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "history", .usage = "add|list|show|trend|baseline DIR [...] [options]",
        .summary = summary,
        .examples = "  bitgauge history add perf results/latest --samples\n"
                    "  bitgauge history trend perf --test tg64 --out drawings\n"
                    "  bitgauge compare $(bitgauge history baseline perf) results/latest\n",
        .options = options, .n_options = BG_COUNT(options), .min_words = 2, .max_words = 3,
    };
    const char *words[3] = {NULL, NULL, NULL};
    bg_error err = {.status = BG_OK};
    int parsed = bg_opt_parse(&spec, argc, argv, words, NULL);
    if (parsed >= 0) return parsed;
    ask.dir = words[1];
    ask.what = words[2];
    ask.filter.branch = ask.branch;
    for (size_t i = 0; i < BG_COUNT(actions); i++) {
        if (strcmp(words[0], actions[i].name) != 0 || (actions[i].needs_more && !ask.what))
            continue;
        return actions[i].run(&ask, &err) == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
    }
    fprintf(stderr, "bitgauge history: '%s' is no action, or wants more; see `bitgauge history "
            "--help`\n", words[0]);
    return BG_EXIT_MISUSE;
}
