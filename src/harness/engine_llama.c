/* llama.cpp as an engine: its own llama-bench times files that are written for it, one repetition a
 * run, in turn with all other cells. */
#include "harness/llama.h"

#include "bitgauge/exchange.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_LIMIT = 4 << 20 };

static const double PATIENCE = 600;
static const char APART[] = "llama.cpp runs in a process of its own";

const char *bg_llama_model_path(const bg_llama *l, size_t scheme, char out[PATH_MAX])
{
    char name[64];
    snprintf(name, sizeof name, "%s.gguf", bg_plan_name(l->rig->plan, scheme));
    return bg_workdir_path(&l->work, name, out);
}

static bool still_alive(void *user)
{
    const bg_llama *l = user;
    return bg_rig_alive(l->rig, 0, 0);
}

static bool hear(void *user, double fraction)
{
    (void)fraction;
    return still_alive(user);
}

bg_status bg_llama_run(bg_llama *l, bg_llama_program *program, bg_process *p, bg_error *err)
{
    const bg_sweep_options *o = l->rig->options;
    if (program->problem.status != BG_OK) {
        *err = program->problem;
        return err->status;
    }
    p->limit = OUTPUT_LIMIT;
    p->patience = o->patience > 0 ? o->patience : PATIENCE;
    p->alive = still_alive;
    p->user = l;
    BG_TRY(bg_process_run(p, err));
    if (!p->how[0]) return BG_OK;
    bg_fail(err, BG_ERR_UNSUPPORTED, program->name, "%s%s%s", p->how,
            p->last[0] ? ": " : "", p->last);
    if (p->late)
        bg_fail(&program->problem, BG_ERR_UNSUPPORTED, program->name, "it was silent for %.3g s in "
                "an earlier run, and is not run again (--patience)", p->patience);
    return BG_ERR_UNSUPPORTED;
}

bg_status bg_llama_check_version(bg_llama *l, const bg_llama_program *program, const char *version,
                                 bg_error *err)
{
    if (!version || !*version) return BG_OK;
    if (!l->version[0]) snprintf(l->version, sizeof l->version, "%s", version);
    if (strcmp(l->version, version) == 0) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, program->name, "is the build %.63s, and cells before were "
                   "measured with %.63s: choose another --out", version, l->version);
}

/* Files. */

static bg_status check_disk(const bg_llama *l, size_t scheme, bg_error *err)
{
    static const uint64_t LEAST_FREE = 64 << 20;
    uint64_t available = bg_workdir_free(&l->work);
    const bg_scheme *s = l->rig->plan->schemes[scheme];
    bg_quantize_plan plan = {0};
    char needs[32], has[32];
    if (s) BG_TRY(bg_quantize_plan_file(&plan, bg_model_gguf(l->rig->source), s, err));
    else BG_TRY(bg_rig_plan_bytes(l->rig, scheme, &plan.file_bytes, err));
    if (plan.file_bytes + LEAST_FREE <= available) return BG_OK;
    return bg_fail(err, BG_ERR_IO, l->work.dir, "its file takes %s and %s are free: set TMPDIR to "
                   "a larger disk",
                   bg_format_size(needs, sizeof needs, (double)plan.file_bytes),
                   bg_format_size(has, sizeof has, (double)available));
}

static bg_status write_file(bg_llama *l, size_t scheme, const char *path, bg_error *err)
{
    bg_rig *rig = l->rig;
    const bg_image *image;
    if (rig->plan->schemes[scheme])
        return bg_quantize_file(bg_gguf_path(bg_model_gguf(rig->source)), path,
                                rig->plan->schemes[scheme], bg_rig_importance(rig, scheme),
                                rig->teams[rig->plan->n_threads - 1], hear, l, err);
    BG_TRY(bg_rig_image(rig, scheme, &image, err));
    return bg_image_write(image, path, err);
}

static bg_status load(void *user, size_t scheme, bg_error *err)
{
    bg_llama *l = user;
    const bg_error *problem = &l->bench.problem;
    uint64_t start = bg_clock_ns();
    char path[PATH_MAX];
    if (problem->status != BG_OK && l->perplexity.problem.status != BG_OK) {
        *err = *problem;
        return err->status;
    }
    BG_TRY(check_disk(l, scheme, err));
    bg_llama_model_path(l, scheme, path);
    BG_TRY(write_file(l, scheme, path, err));
    l->quantize_seconds[scheme] = (double)(bg_clock_ns() - start) * 1e-9;
    return bg_model_open(&l->models[scheme], path, err);
}

static void unload(void *user, size_t scheme)
{
    bg_llama *l = user;
    char path[PATH_MAX];
    bg_model_close(&l->models[scheme]);
    unlink(bg_llama_model_path(l, scheme, path));
}

/* Speed. */

/* The one test of an output, which is the cell's. */
static bg_status take_test(bg_llama *l, const bg_cell *c, const bg_results *r, const char *last,
                           double *seconds, bg_error *err)
{
    const bg_row *row = bg_results_row_count(r) == 1 ? bg_results_row(r, 0) : NULL;
    const char *test = row ? bg_row_text(row, BG_COL_TEST) : NULL;
    bg_origin origin;
    if (!row)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "printed %zu tests in place of one, "
                       "lastly: %s", bg_results_row_count(r), last);
    if (!test || strcmp(test, c->test) != 0 || bg_row_number(row, BG_COL_THREADS) != c->threads)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "ran the test %.31s with %.0f "
                       "threads in place of %s with %d", test ? test : "?", bg_row_number(row, BG_COL_THREADS),
                       c->test, c->threads);
    if (bg_results_sample_count(r) != 1)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "printed %zu times in samples_ns in "
                       "place of one", bg_results_sample_count(r));
    *seconds = bg_results_sample(r, 0)->seconds;
    BG_TRY(bg_results_origin(r, &origin, err));
    return bg_llama_check_version(l, &l->bench, origin.version, err);
}

static bg_status parse_test(bg_llama *l, const bg_cell *c, const bg_process *p, double *seconds,
                            bg_error *err)
{
    bg_import *import;
    const bg_results *r;
    bg_status status;
    if (!p->output.length)
        return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-bench", "printed nothing");
    BG_TRY(bg_import_new(&import, l->work.dir, NULL, err));
    status = bg_import_add(import, "output of llama-bench", p->output.data, p->output.length,
                           err);
    if (status == BG_OK) status = bg_import_results(import, &r, err);
    if (status == BG_OK) status = take_test(l, c, r, p->last, seconds, err);
    bg_import_close(&import);
    return status;
}

static bg_status run_test(bg_llama *l, const bg_cell *c, double *seconds, bg_error *err)
{
    bool prompt = c->kind == BG_TEST_PP;
    char model[PATH_MAX], n_prompt[16], n_gen[16], depth[16], threads[16];
    const char *const argv[] = {
        l->bench.path, "-m", bg_llama_model_path(l, c->scheme, model), "-p", n_prompt, "-n", n_gen,
        "-t", threads, "-r", "1", "-ngl", "0", "-o", "jsonl", c->depth ? "-d" : NULL, depth, NULL};
    bg_process p = {.argv = argv};
    bg_status status;
    snprintf(n_prompt, sizeof n_prompt, "%u", prompt ? c->n : 0);
    snprintf(n_gen, sizeof n_gen, "%u", prompt ? 0 : c->n);
    snprintf(depth, sizeof depth, "%u", c->depth);
    snprintf(threads, sizeof threads, "%d", c->threads);
    status = bg_llama_run(l, &l->bench, &p, err);
    if (status == BG_OK) status = parse_test(l, c, &p, seconds, err);
    l->peak_rss[c - l->rig->plan->cells] = p.peak_rss;
    bg_text_fini(&p.output);
    return status;
}

static bg_status repeat(void *user, const bg_cell *c, bool timed, bg_sample *sample, bg_error *err)
{
    bg_llama *l = user;
    bg_taints *taints = l->rig->taints[bg_rig_threads(l->rig->plan, c->threads)];
    for (int i = 0; i < BG_COUNTER_COUNT; i++) sample->counters[i] = NAN;
    if (timed) bg_taints_begin(taints);
    BG_TRY(run_test(l, c, &sample->seconds, err));
    if (!timed) return BG_OK;
    bg_taints_end(taints, sample);
    sample->tokens = c->n;
    sample->ttft_ms = c->kind == BG_TEST_PP ? sample->seconds * 1e3 : (double)NAN;
    return BG_OK;
}

static bg_status energy(void *user, const bg_cell *c, bg_energy *out, bg_error *err)
{
    (void)user, (void)c, (void)err;
    *out = (bg_energy){.joules = NAN};
    return BG_OK;
}

/* The plan has no simulated cells beside this engine. */
static bg_status count(void *user, const bg_cell *c, double per_token[BG_SIM_COUNT], bg_error *err)
{
    (void)user, (void)c, (void)per_token;
    return bg_fail(err, BG_ERR_UNSUPPORTED, NULL, "%s", APART);
}

/* Rows. */

static void describe_memory(const bg_llama *l, const bg_cell *c, bg_row *row)
{
    double rss = l->peak_rss[c - l->rig->plan->cells];
    double weights = bg_row_number(row, BG_COL_WEIGHT_BYTES);
    double kv = (double)bg_model_kv_bytes(l->rig->source, c->depth + c->n, BG_BATCH);
    if (!(rss > 0)) return;
    bg_row_set_number(row, BG_COL_RSS_BYTES, rss);
    bg_row_set_number(row, BG_COL_KV_BYTES, kv);
    if (rss > weights + kv) bg_row_set_number(row, BG_COL_SCRATCH, rss - weights - kv);
}

static void describe(void *user, const bg_cell *c, bg_row *row)
{
    const bg_llama *l = user;
    const bg_model *m = l->models[c->scheme];
    static const bg_column apart[] = {BG_COL_TIER, BG_COL_LOAD_S};
    bg_rig_describe_model(l->rig, m, row);
    bg_rig_describe_making(l->rig, c->scheme, row);
    if (l->version[0]) bg_row_set_text(row, BG_COL_ENGINE_VER, l->version);
    for (size_t i = 0; i < BG_COUNT(apart); i++) bg_row_set_absent(row, apart[i], APART);
    if (!m) return;
    bg_row_set_number(row, BG_COL_QUANTIZE_S, l->quantize_seconds[c->scheme]);
    if (!bg_cell_timed(c)) return;
    describe_memory(l, c, row);
    bg_row_set_absent(row, BG_COL_ITL_P50, "llama-bench does not time single tokens");
    bg_row_set_absent(row, BG_COL_ITL_P99, "llama-bench does not time single tokens");
}

static void derive(void *user, const bg_cell *c, bg_row *row)
{
    const bg_llama *l = user;
    const bg_model *m = l->models[c->scheme];
    double tps = bg_row_number(row, BG_COL_TPS);
    bg_bound b;
    if (!m || !bg_cell_timed(c) || isnan(tps)) return;
    b = bg_rig_bound(l->rig, m, c);
    bg_row_set_number(row, BG_COL_GBPS, b.bytes * tps * 1e-9);
    bg_row_set_number(row, BG_COL_GFLOPS, b.flops * tps * 1e-9);
    bg_fill_roof(row, &b);
    bg_rig_drop_counters(row, APART);
}

static double now(void *user)
{
    (void)user;
    return (double)bg_clock_ns() * 1e-9;
}

/* A part of the disk is left to others, and to the source model's predictions. */
static uint64_t room(void *user)
{
    const bg_llama *l = user;
    return bg_workdir_free(&l->work) / 2;
}

/* Opening. */

static bool has_quality(const bg_sweep_options *o) { return o->llama_perplexity != NULL; }

static void find_programs(bg_llama *l)
{
    const bg_sweep_options *o = l->rig->options;
    const char *const names[] = {o->llama_bench, o->llama_perplexity};
    const char *const otherwise[] = {"llama-bench", "llama-perplexity"};
    bg_llama_program *const programs[] = {&l->bench, &l->perplexity};
    for (size_t i = 0; i < BG_COUNT(programs); i++) {
        programs[i]->name = otherwise[i];
        programs[i]->problem.status = BG_OK;
        bg_process_find(names[i] ? names[i] : otherwise[i], programs[i]->path,
                        &programs[i]->problem);
    }
    if (!has_quality(o))
        bg_fail(&l->perplexity.problem, BG_ERR_INPUT, "--llama-perplexity", "was not given");
}

/* What a run before this was measured with. */
static void take_version(bg_llama *l)
{
    const bg_results *r = l->rig->before;
    for (size_t i = 0; r && i < bg_results_row_count(r); i++) {
        const bg_row *row = bg_results_row(r, i);
        const char *engine = bg_row_text(row, BG_COL_ENGINE), *version;
        version = bg_row_text(row, BG_COL_ENGINE_VER);
        if (engine && version && bg_row_has(row, BG_COL_TPS) &&
            strcmp(engine, bg_engine_llama.name) == 0)
            snprintf(l->version, sizeof l->version, "%s", version);
    }
}

static void close_llama(bg_runner *runner)
{
    bg_llama *l = runner->user;
    if (!l) return;
    for (size_t s = 0; s < BG_PLAN_MAX_SCHEMES; s++) bg_model_close(&l->models[s]);
    bg_workdir_close(&l->work);
    bg_free(l->peak_rss);
    bg_free(l);
    runner->user = NULL;
}

static bg_status open_llama(bg_rig *rig, bg_runner *out, bg_error *err)
{
    bg_llama *l = bg_alloc(1, sizeof *l);
    bg_status status;
    if (!l) return bg_fail_nomem(err, "an engine", sizeof *l);
    *out = (bg_runner){.load = load, .unload = unload, .repeat = repeat, .energy = energy,
                       .quality = bg_llama_quality, .count = count, .describe = describe,
                       .derive = derive, .now = now, .room = room, .user = l};
    l->rig = rig;
    l->work.lock = -1;
    l->peak_rss = bg_alloc(rig->plan->n_cells, sizeof *l->peak_rss);
    status = l->peak_rss ? bg_workdir_open(&l->work, err) : bg_fail_nomem(err, "an engine", 0);
    if (status != BG_OK) {
        close_llama(out);
        return status;
    }
    find_programs(l);
    take_version(l);
    return BG_OK;
}

const bg_engine bg_engine_llama = {"llama.cpp", "llama.cpp", true, has_quality, open_llama,
                                   close_llama};
