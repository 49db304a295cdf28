/* llama.cpp as an engine: its own llama-bench times files that are written for it, one repetition a
 * run, in turn with all other cells. */
#include "harness/llama.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

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

static bg_status write_file(bg_llama *l, size_t scheme, const char *path, bg_error *err)
{
    bg_rig *rig = l->rig;
    const bg_image *image;
    uint64_t bytes;
    if (rig->plan->schemes[scheme])
        return bg_llama_write(&l->host, &l->work, rig->source, rig->plan->schemes[scheme],
                              bg_rig_importance(rig, scheme),
                              rig->teams[rig->plan->n_threads - 1], path, err);
    BG_TRY(bg_rig_plan_bytes(rig, scheme, &bytes, err));
    BG_TRY(bg_llama_check_room(&l->work, bytes, err));
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

static bg_status run_test(bg_llama *l, const bg_cell *c, double *seconds, bg_error *err)
{
    bool prompt = c->kind == BG_TEST_PP;
    char model[PATH_MAX];
    bg_llama_ask ask = {.model = bg_llama_model_path(l, c->scheme, model), .depth = c->depth,
                        .reps = 1, .threads = c->threads};
    bg_llama_told told = {.seconds = seconds};
    bg_status status;
    *(prompt ? &ask.n_prompt : &ask.n_gen) = c->n;
    status = bg_llama_time(&l->host, &l->bench, &ask, &told, err);
    l->peak_rss[c - l->rig->plan->cells] = told.peak_rss;
    return status == BG_OK ? bg_llama_check_version(l, &l->bench, told.version, err) : status;
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

static void describe_memory(const bg_llama *l, const bg_model *m, const bg_cell *c, bg_row *row)
{
    double rss = l->peak_rss[c - l->rig->plan->cells];
    double weights = bg_row_number(row, BG_COL_WEIGHT_BYTES);
    double kv = (double)bg_model_kv_bytes(m, c->depth + c->n, BG_BATCH);
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
    describe_memory(l, m, c, row);
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
    bg_llama_find(&l->bench, "llama-bench", o->llama_bench);
    bg_llama_find(&l->perplexity, "llama-perplexity", o->llama_perplexity);
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
    l->host = (bg_llama_host){rig->options->patience, still_alive, l};
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
