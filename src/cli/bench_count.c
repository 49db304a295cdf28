#include "cli/bench_count.h"

#include "cli/cli.h"
#include "exchange/llama_bench.h"

#include <string.h>

enum { DIGITS = 17 }; /* all of them */

typedef struct counting {
    const bg_bench_counting *ask;
    const bg_records *records;     /* NULL: a table for people */
    bg_callgrind *callgrind;
    const char *model, *scheme;    /* scheme NULL: the file as it is */
    bg_cli_progress line;
    char what[96];
    size_t done, total, printed;
} counting;

/* Half of the next one, for nothing is known of how far it is. */
static bool show_progress(void *user)
{
    counting *c = user;
    bg_cli_progress_show(&c->line, ((double)c->done + 0.5) / (double)c->total);
    return !bg_cli_interrupted();
}

static void print_row(const bg_sim_test *t, const char *model, const char *scheme, const char *name,
                      const double counts[BG_SIM_COUNT])
{
    const char *slash = strrchr(model, '/');
    printf("| %-24s | %-8s | %-8s | %-12s |", slash ? slash + 1 : model, scheme ? scheme : "",
           bg_isa_name(t->isa), name);
    for (bg_sim s = 0; s < BG_SIM_COUNT; s++)
        printf(" %*.*f |", (int)strlen(bg_sim_name(s)), counts[s] < 1000 ? 2 : 0, counts[s]);
    putchar('\n');
}

static void print_heading(void)
{
    printf("| %-24s | %-8s | %-8s | %-12s |", "model", "scheme", "isa", "test, per token");
    for (bg_sim s = 0; s < BG_SIM_COUNT; s++) printf(" %s |", bg_sim_name(s));
    printf("\n| ------------------------ | -------- | -------- | --------------- |");
    for (bg_sim s = 0; s < BG_SIM_COUNT; s++)
        printf(" %.*s: |", (int)strlen(bg_sim_name(s)) - 1, "--------------------------------");
    putchar('\n');
}

static bool put_record(const counting *c, const bg_sim_test *t, const double counts[BG_SIM_COUNT])
{
    char *settings = bg_callgrind_settings(c->callgrind);
    json_t *o = settings ? json_loads(settings, 0, NULL) : NULL, *record;
    bool whole;
    record = json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:o*}", "model_filename",
                       bg_json_text(c->model), "scheme", bg_json_text(c->scheme), "isa",
                       bg_isa_name(t->isa), "n_prompt", (json_int_t)t->n_prompt, "n_gen",
                       (json_int_t)t->n_gen, "n_depth", (json_int_t)t->depth, "callgrind",
                       o ? json_string(settings) : NULL);
    whole = record != NULL;
    for (bg_sim s = 0; s < BG_SIM_COUNT; s++)
        whole = whole && json_object_set_new(record, bg_sim_name(s), bg_json_real(counts[s])) == 0;
    whole = whole && c->records->put(stdout, record, c->printed, DIGITS);
    json_decref(record);
    json_decref(o);
    bg_free_text(settings);
    return whole;
}

static bg_status count_test(counting *c, bg_sim_test t, bg_error *err)
{
    double counts[BG_SIM_COUNT];
    char name[64];
    bg_status status;
    bg_llama_test_name(name, sizeof name, t.n_prompt, t.n_gen, t.depth);
    snprintf(c->what, sizeof c->what, "counting %s %s", c->scheme ? c->scheme : "", name);
    status = bg_callgrind_count(c->callgrind, &t, show_progress, c, counts, err);
    bg_cli_progress_end(&c->line);
    if (status != BG_OK) return status;
    c->done++;
    if (!c->printed && c->records) c->records->begin(stdout);
    else if (!c->printed) print_heading();
    if (!c->records) print_row(&t, c->model, c->scheme, name, counts);
    else if (!put_record(c, &t, counts)) return bg_fail_nomem(err, "the output", 0);
    c->printed++;
    fflush(stdout);
    return BG_OK;
}

static bg_status count_scheme(counting *c, const bg_scheme *scheme, bg_error *err)
{
    const bg_bench_counting *ask = c->ask;
    bool has[BG_ISA_COUNT] = {false};
    c->scheme = scheme ? bg_scheme_name(scheme) : NULL;
    c->line = (bg_cli_progress){.what = c->what};
    snprintf(c->what, sizeof c->what, "quantizing %s", c->scheme ? c->scheme : "");
    BG_TRY(bg_callgrind_model(c->callgrind, c->model, scheme, NULL, ask->team, show_progress, c,
                              err));
    for (size_t i = 0; i < ask->n_isas; i++) {
        bg_isa isa = bg_sim_isa(ask->isas[i]);
        for (size_t t = 0; t < ask->n_tests && !has[isa]; t++) {
            bg_sim_test test = ask->tests[t];
            test.isa = isa;
            BG_TRY(count_test(c, test, err));
        }
        has[isa] = true;
    }
    return BG_OK;
}

static bg_status count_model(counting *c, const char *path, bg_error *err)
{
    c->model = path;
    c->done = 0;
    c->total = c->ask->n_tests * c->ask->n_isas * BG_MAX(c->ask->n_schemes, 1);
    for (size_t s = 0; s < c->ask->n_schemes; s++)
        BG_TRY(count_scheme(c, c->ask->schemes[s], err));
    return c->ask->n_schemes ? BG_OK : count_scheme(c, NULL, err);
}

static bg_status count_list(counting *c, const char *list, bg_error *err)
{
    char *copy = bg_strdup(list), *rest = copy, *word;
    bg_status status = copy ? BG_OK : bg_fail_nomem(err, list, 0);
    while (status == BG_OK && (word = strsep(&rest, ","))) status = count_model(c, word, err);
    bg_free(copy);
    return status;
}

bg_status bg_bench_count(const bg_bench_counting *ask, bg_error *err)
{
    counting c = {.ask = ask, .records = bg_records_find(ask->output)};
    bg_status status = bg_callgrind_open(&c.callgrind, err);
    char *path = NULL;
    for (size_t i = 0; i < ask->n_models && status == BG_OK; i++)
        status = count_list(&c, ask->models[i], err);
    if (status == BG_OK && !ask->n_models) {
        status = bg_cli_model_path(NULL, &path, err);
        if (status == BG_OK) status = count_model(&c, path, err);
        bg_free(path);
    }
    if (c.printed && c.records) c.records->end(stdout);
    bg_callgrind_close(&c.callgrind);
    return status;
}
