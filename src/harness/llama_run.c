#include "harness/llama.h"

#include "bitgauge/exchange.h"
#include "exchange/llama_bench.h"

#include <math.h>
#include <string.h>

enum { OUTPUT_LIMIT = 4 << 20, MOST_ARGUMENTS = 32 };

static const double PATIENCE = 600;

void bg_llama_find(bg_llama_program *program, const char *name, const char *path)
{
    program->name = name;
    program->problem.status = BG_OK;
    bg_process_find(path ? path : name, program->path, &program->problem);
}

bg_status bg_llama_run(const bg_llama_host *host, bg_llama_program *program, bg_process *p,
                       bg_error *err)
{
    if (program->problem.status != BG_OK) {
        *err = program->problem;
        return err->status;
    }
    p->limit = OUTPUT_LIMIT;
    p->patience = host->patience > 0 ? host->patience : PATIENCE;
    p->alive = host->alive;
    p->user = host->user;
    BG_TRY(bg_process_run(p, err));
    if (!p->how[0]) return BG_OK;
    bg_fail(err, BG_ERR_UNSUPPORTED, program->name, "%s%s%s", p->how,
            p->last[0] ? ": " : "", p->last);
    if (p->late)
        bg_fail(&program->problem, BG_ERR_UNSUPPORTED, program->name, "it was silent for %.3g s in "
                "an earlier run, and is not run again (--patience)", p->patience);
    return BG_ERR_UNSUPPORTED;
}

/* ---- files -------------------------------------------------------------------------------- */

bg_status bg_llama_check_room(const bg_workdir *work, uint64_t bytes, bg_error *err)
{
    static const uint64_t LEAST_FREE = 64 << 20;
    uint64_t available = bg_workdir_free(work);
    char needs[32], has[32];
    if (bytes + LEAST_FREE <= available) return BG_OK;
    return bg_fail(err, BG_ERR_IO, work->dir, "its file takes %s and %s are free: set TMPDIR to "
                   "a larger disk", bg_format_size(needs, sizeof needs, (double)bytes),
                   bg_format_size(has, sizeof has, (double)available));
}

static bool hear(void *user, double fraction)
{
    const bg_llama_host *host = user;
    (void)fraction;
    return host->alive(host->user);
}

bg_status bg_llama_write(const bg_llama_host *host, const bg_workdir *work, const bg_model *source,
                         const bg_scheme *scheme, const bg_importance *importance, bg_team *team,
                         const char *path, bg_error *err)
{
    const bg_gguf *g = bg_model_gguf(source);
    bg_quantize_plan plan;
    BG_TRY(bg_quantize_plan_file(&plan, g, scheme, err));
    BG_TRY(bg_llama_check_room(work, plan.file_bytes, err));
    return bg_quantize_file(bg_gguf_path(g), path, scheme, importance, team, hear, (void *)host,
                            err);
}

/* ---- times -------------------------------------------------------------------------------- */

/* The one test of an output, which is what was asked for. */
static bg_status take_test(const bg_llama_ask *ask, const bg_results *r, const char *last,
                           bg_llama_told *told, bg_error *err)
{
    const bg_row *row = bg_results_row_count(r) == 1 ? bg_results_row(r, 0) : NULL;
    const char *test = row ? bg_row_text(row, BG_COL_TEST) : NULL;
    bg_origin origin;
    char name[64];
    bg_llama_test_name(name, sizeof name, ask->n_prompt, ask->n_gen, ask->depth);
    if (!row)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "printed %zu tests in place of one, "
                       "lastly: %s", bg_results_row_count(r), last);
    if (!test || strcmp(test, name) != 0 || bg_row_number(row, BG_COL_THREADS) != ask->threads)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "ran the test %.31s with %.0f "
                       "threads in place of %s with %d", test ? test : "?",
                       bg_row_number(row, BG_COL_THREADS), name, ask->threads);
    if (bg_results_sample_count(r) != ask->reps)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "printed %zu times in samples_ns in "
                       "place of %u", bg_results_sample_count(r), ask->reps);
    for (uint32_t i = 0; i < ask->reps; i++) told->seconds[i] = bg_results_sample(r, i)->seconds;
    BG_TRY(bg_results_origin(r, &origin, err));
    snprintf(told->version, sizeof told->version, "%s", origin.version);
    return BG_OK;
}

static bg_status parse_test(const bg_llama_ask *ask, const bg_process *p, bg_llama_told *told,
                            bg_error *err)
{
    bg_import *import;
    const bg_results *r;
    bg_status status;
    if (!p->output.length)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "printed nothing");
    BG_TRY(bg_import_new(&import, "llama-bench", NULL, err));
    status = bg_import_add(import, "output of llama-bench", p->output.data, p->output.length,
                           err);
    if (status == BG_OK) status = bg_import_results(import, &r, err);
    if (status == BG_OK) status = take_test(ask, r, p->last, told, err);
    bg_import_close(&import);
    return status;
}

/* Its arguments, and the words that are made for them. */
typedef struct arguments {
    const char *argv[MOST_ARGUMENTS];
    char words[8][32];
    size_t n, n_words;
} arguments;

static void add(arguments *a, const char *option, const char *value)
{
    a->argv[a->n++] = option;
    if (value) a->argv[a->n++] = value;
}

static void add_number(arguments *a, const char *option, uint32_t value)
{
    snprintf(a->words[a->n_words], sizeof a->words[0], "%u", value);
    add(a, option, a->words[a->n_words++]);
}

static void make_arguments(arguments *a, const bg_llama_ask *ask)
{
    bool both = ask->n_prompt && ask->n_gen;
    add(a, "-m", ask->model);
    add_number(a, "-p", both ? 0 : ask->n_prompt);
    add_number(a, "-n", both ? 0 : ask->n_gen);
    add_number(a, "-t", (uint32_t)ask->threads);
    add_number(a, "-r", ask->reps);
    add(a, "-ngl", "0");
    add(a, "-o", "jsonl");
    if (ask->depth) add_number(a, "-d", ask->depth);
    if (ask->n_batch) add_number(a, "-b", ask->n_batch);
    if (ask->n_ubatch) add_number(a, "-ub", ask->n_ubatch);
    if (ask->no_warm_up) add(a, "--no-warmup", NULL);
    if (!both) return;
    snprintf(a->words[a->n_words], sizeof a->words[0], "%u,%u", ask->n_prompt, ask->n_gen);
    add(a, "-pg", a->words[a->n_words++]);
}

bg_status bg_llama_time(const bg_llama_host *host, bg_llama_program *bench, const bg_llama_ask *ask,
                        bg_llama_told *told, bg_error *err)
{
    arguments a = {.argv = {bench->path}, .n = 1};
    bg_process p = {.argv = a.argv};
    bg_status status;
    make_arguments(&a, ask);
    status = bg_llama_run(host, bench, &p, err);
    if (status == BG_OK) status = parse_test(ask, &p, told, err);
    told->peak_rss = p.peak_rss;
    if (status == BG_OK && told->output) {
        *told->output = p.output;
        p.output = (bg_text){0};
    }
    bg_text_fini(&p.output);
    return status;
}
