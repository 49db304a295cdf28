#include "cli/json.h"
#include "cli/text.h"
#include "cli/tune.h"

#include "bitgauge/machine.h"

#include <math.h>
#include <string.h>

enum {
    CALIBRATION_WINDOWS = 64, SELF_DOCUMENTS = 48, WINDOW = 512, RIVALS = 3, MAX_FORMATS = 64,
    LOGITS = 8 << 20, /* the search leaves little memory free */
};

typedef struct request {
    const char *model, *calibration, *text, *imatrix, *formats, *prune, *order, *recipe, *out, *isa,
        *evaluations;
    uint64_t size, memory;
    double bpw, minutes, min_tps;
    int ctx, chunks, seed, threads, most;
    bool plain, json;
    bg_cli_tune_request tune;
} request;

/* What came out, on text that the search has not seen. */
typedef struct row { const char *name; uint64_t bytes; double bpw; bg_quality q; } row;

/* What a run holds; all of it is closed by run_close. */
typedef struct run {
    const request *a;
    bg_machine *machine;
    bg_team *team;
    bg_isa isa;
    bg_model *model;
    bg_importance *importance;
    int32_t *tokens;         /* to calibrate on */
    size_t n_tokens;
    int32_t *text;           /* to measure on */
    size_t n_text;
    bg_format formats[MAX_FORMATS];
    size_t n_formats;
    uint64_t budget;
    double prune;
    bg_prune_order order;
    char *checkpoint;
    bg_recipe *best;
    bg_image *image;
    bg_search_result result;
    row rows[RIVALS + 1];
    size_t n_rows;
    double tps;              /* of the searched model, measured; 0: it was not */
    bg_cli_progress progress;
    uint64_t shown_ns;
} run;

/* ---- progress ----------------------------------------------------------------------------- */

static void begin_progress(run *r, const char *what)
{
    bg_cli_progress_end(&r->progress);
    r->progress = (bg_cli_progress){.what = what};
}

/* The best so far, what it leaves of the bytes, the evaluations, the time as long as it is limited,
 * and how far the stage is. */
static bool show_search(void *user, const bg_search_state *s)
{
    run *r = user;
    const request *a = r->a;
    char what[160], best[64] = "", most[32] = "", time[72] = "", x[32], y[32];
    if (isfinite(s->best_kld))
        snprintf(best, sizeof best, " KLD %.4f%s, %s free,", s->best_kld,
                 a->plain ? "" : " before feedback",
                 bg_format_size(x, sizeof x,
                                (double)(r->budget - BG_MIN(r->budget, s->best_bytes))));
    if (a->most) snprintf(most, sizeof most, " of %d", a->most);
    if (s->seconds <= 60 * a->minutes)
        snprintf(time, sizeof time, " %s of %s,", bg_format_duration(x, sizeof x, s->seconds),
                 bg_format_duration(y, sizeof y, 60 * a->minutes));
    snprintf(what, sizeof what, "%s:%s %llu%s evaluations,%s", s->stage, best,
             (unsigned long long)s->evaluations, most, time);
    r->progress.what = what;
    bg_cli_progress_show(&r->progress, s->fraction);
    r->progress.what = NULL;
    return !bg_cli_interrupted();
}

/* ---- what is asked for -------------------------------------------------------------------- */

static bg_status read_formats(run *r, bg_error *err)
{
    const char *p = r->a->formats;
    while (p && *p) {
        char word[32];
        size_t n = strcspn(p, ", ");
        const bg_format_info *f;
        snprintf(word, sizeof word, "%.*s", (int)BG_MIN(n, sizeof word), p);
        p += n + strspn(p + n, ", ");
        f = bg_format_find(word);
        if (!f || !f->level || !f->encode)
            return bg_fail(err, BG_ERR_INPUT, "--formats", "'%s' is no format that can be written: "
                           "`bitgauge kernels` lists them", word);
        if (r->n_formats == MAX_FORMATS)
            return bg_fail(err, BG_ERR_INPUT, "--formats", "names over %d", MAX_FORMATS);
        r->formats[r->n_formats++] = f->format;
    }
    return BG_OK;
}

static bg_status read_prune(run *r, bg_error *err)
{
    const char *order = r->a->order;
    if (order && strcmp(order, "joint") != 0)
        r->order = strcmp(order, "first") == 0 ? BG_PRUNE_FIRST : BG_PRUNE_LAST;
    BG_TRY(bg_cli_parse_prune(r->a->prune, &r->prune, err));
    if (r->prune < 1 || r->order == BG_PRUNE_JOINT) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, "--prune-order",
                   "%s takes a share of the weights: say which, such as --prune 10%%", order);
}

enum { USUAL_CONTEXT = 4096 };
static uint32_t context(const request *a) { return a->ctx ? (uint32_t)a->ctx : USUAL_CONTEXT; }

/* What decoding with this context takes besides the weights, whatever their formats: the memory
 * that `recommend` speaks of. */
static bg_status running_bytes(const run *r, uint64_t *bytes, bg_error *err)
{
    bg_session *s;
    BG_TRY(bg_session_open(&s, r->model, &(bg_session_options){.n_ctx = context(r->a), .n_batch = 1,
                               .isa = r->isa, .team = r->team, .any_format = true}, err));
    *bytes = bg_session_kv_bytes(s) + bg_session_scratch_bytes(s);
    bg_session_close(&s);
    return BG_OK;
}

/* Bytes of weights that fit into --memory, or that --bpw means. */
static bg_status weight_budget(const run *r, uint64_t n_params, uint64_t *bytes, bg_error *err)
{
    const request *a = r->a;
    uint64_t running;
    *bytes = (uint64_t)(a->bpw / 8 * (double)n_params);
    if (!a->memory) return BG_OK;
    BG_TRY(running_bytes(r, &running, err));
    if (running >= a->memory)
        return bg_fail(err, BG_ERR_INFEASIBLE, NULL,
                       "a context of %u tokens alone takes %llu bytes: give more --memory or a "
                       "smaller --ctx", context(a), (unsigned long long)running);
    *bytes = a->memory - running;
    return BG_OK;
}

/* What the source is. */
static bg_status plan_source(const run *r, bg_quantize_plan *plan, bg_error *err)
{
    bg_recipe *whole;
    bg_status s;
    BG_TRY(bg_recipe_new(&whole, bg_model_gguf(r->model), err));
    s = bg_recipe_plan(whole, bg_model_gguf(r->model), r->importance, plan, err);
    bg_recipe_free(&whole);
    return s;
}

static bg_status find_budget(run *r, bg_error *err)
{
    bg_quantize_plan plan;
    uint64_t weights;
    r->budget = r->a->size;
    if (r->a->size) return BG_OK;
    BG_TRY(plan_source(r, &plan, err));
    BG_TRY(weight_budget(r, plan.n_params, &weights, err));
    r->budget = plan.file_bytes - plan.weight_bytes + weights;
    return BG_OK;
}

/* What cannot fit is said before texts are read. Without the file's other bytes, which the search
 * knows; how much pruning takes only it can tell. */
static bg_status check_size(const run *r, bg_error *err)
{
    bg_quantize_plan plan;
    uint64_t fewest, weights = r->a->size;
    if (r->prune > 0) return BG_OK;
    BG_TRY(plan_source(r, &plan, err));
    if (!weights) BG_TRY(weight_budget(r, plan.n_params, &weights, err));
    BG_TRY(bg_search_fewest(&fewest, bg_model_gguf(r->model), r->formats, r->n_formats, err));
    if (fewest <= weights) return BG_OK;
    return bg_fail(err, BG_ERR_INFEASIBLE, NULL, "no choice of formats fits into %llu bytes: the "
                   "smallest takes %llu, %.3f bits a weight; give a larger size, more formats or "
                   "--prune on", (unsigned long long)weights, (unsigned long long)fewest,
                   8 * (double)fewest / (double)plan.n_params);
}

/* `installed` is taken. */
static bg_status get_tokens(run *r, const char *given, char *installed, uint64_t seed,
                            int32_t **tokens, size_t *n, bg_error *err)
{
    bg_cli_text t = {.path = given, .installed = installed, .n_docs = SELF_DOCUMENTS,
                     .doc_tokens = WINDOW, .fewest = WINDOW, .seed = seed, .isa = r->isa,
                     .team = r->team, .progress = &r->progress};
    bg_status s = bg_cli_get_text(&t, r->model, tokens, n, err);
    bg_free_text(installed);
    return s;
}

static bg_status get_importance(run *r, bg_error *err)
{
    bg_importance_options o = {.max_windows = CALIBRATION_WINDOWS, .output = true, .isa = r->isa,
                               .team = r->team, .progress = bg_cli_show_steps,
                               .user = &r->progress};
    if (r->a->imatrix) {
        BG_TRY(bg_importance_open(&r->importance, r->a->imatrix, err));
        return bg_importance_check(r->importance, bg_model_gguf(r->model), err);
    }
    begin_progress(r, "importance");
    return bg_importance_collect(&r->importance, r->model, r->tokens, r->n_tokens, "calibration",
                                 &o, err);
}

/* What contradicts itself, or would be of no effect. */
static bg_status check_request(const request *a, bg_error *err)
{
    if ((a->size > 0) + (a->bpw > 0) + (a->memory > 0) != 1)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "how small? Give one of --size, --bpw and --memory");
    if (a->ctx && !a->memory)
        return bg_fail(err, BG_ERR_INPUT, "--ctx", "is of use with --memory alone: leave it out");
    if (a->order && strcmp(a->prune, "off") == 0)
        return bg_fail(err, BG_ERR_INPUT, "--prune-order", "needs --prune, such as --prune 10%%");
    if (bg_cli_tune_wanted(&a->tune) && !a->out)
        return bg_fail(err, BG_ERR_INPUT, "--tune",
                       "changes the file, which a recipe cannot say: name one with -o");
    if (a->out && strcmp(a->out, a->recipe) == 0)
        return bg_fail(err, BG_ERR_INPUT, "--recipe-out", "is the file of -o: choose another name");
    return bg_cli_tune_check(&a->tune, err);
}

/* What is written at the end can be: that must not come out after hours. */
static bg_status try_outputs(const run *r, bg_error *err)
{
    const bg_gguf *g = bg_model_gguf(r->model);
    BG_TRY(bg_quantize_try_output(g, r->a->recipe, err));
    return r->a->out ? bg_quantize_try_output(g, r->a->out, err) : BG_OK;
}

static bg_status prepare(run *r, bg_error *err)
{
    const request *a = r->a;
    char *path, *installed;
    bg_status s;
    BG_TRY(check_request(a, err));
    BG_TRY(read_formats(r, err));
    BG_TRY(read_prune(r, err));
    BG_TRY(bg_isa_parse(a->isa, &r->isa, err));
    BG_TRY(bg_cli_model_path(a->model, &path, err));
    s = bg_model_open(&r->model, path, err);
    bg_free(path);
    if (s != BG_OK) return s;
    BG_TRY(try_outputs(r, err));
    BG_TRY(bg_cli_team(a->threads, false, &r->machine, &r->team, err));
    BG_TRY(check_size(r, err));
    installed = a->calibration ? NULL : bg_calibration_text(r->model);
    BG_TRY(get_tokens(r, a->calibration, installed, 2 * (uint64_t)a->seed + 1, &r->tokens,
                      &r->n_tokens, err));
    installed = a->text ? NULL : bg_quality_text(r->model);
    BG_TRY(get_tokens(r, a->text, installed, 2 * (uint64_t)a->seed + 2, &r->text, &r->n_text, err));
    bg_tokens_warn_overlap(r->tokens, r->n_tokens, r->text, r->n_text);
    BG_TRY(get_importance(r, err));
    BG_TRY(find_budget(r, err));
    if (a->evaluations) return BG_OK;
    r->checkpoint = bg_alloc(strlen(a->recipe) + 16, 1);
    if (!r->checkpoint) return bg_fail_nomem(err, a->recipe, strlen(a->recipe));
    sprintf(r->checkpoint, "%s.evaluations", a->recipe);
    return BG_OK;
}

/* ---- searching ---------------------------------------------------------------------------- */

static bg_status write_recipe(const run *r, bg_error *err)
{
    char remark[400], kld[80] = "not measured yet";
    if (isfinite(r->result.kld))
        snprintf(kld, sizeof kld, "KL divergence %.6f on calibration text", r->result.kld);
    snprintf(remark, sizeof remark, "bitgauge search: %llu bytes, %s\n%llu evaluation%s, seed %d%s",
             (unsigned long long)r->result.file_bytes, kld, (unsigned long long)r->result.asked,
             r->result.asked == 1 ? "" : "s", r->a->seed,
             r->result.stopped ? "; stopped before the end" : "");
    return bg_recipe_write(r->best, bg_model_gguf(r->model), r->a->recipe, remark, err);
}

static bg_status search(run *r, bg_error *err)
{
    const request *a = r->a;
    bg_search_options o = {
        .file_bytes = r->budget, .formats = r->formats, .n_formats = r->n_formats,
        .prune = r->prune, .order = r->order, .feedback = !a->plain,
        .most_asked = (uint64_t)a->most,
        .min_tps = a->min_tps,
        .seed = (uint64_t)a->seed, .seconds = a->minutes * 60, .isa = r->isa, .team = r->team,
        .importance = r->importance, .checkpoint = a->evaluations ? a->evaluations : r->checkpoint,
        .checkpoint_option = a->evaluations ? "--evaluations" : "--recipe-out",
        .keep_checkpoint = a->evaluations != NULL, .progress = show_search, .user = r,
    };
    begin_progress(r, "search");
    BG_TRY(bg_search_run(&r->best, &r->image, r->model, r->tokens, r->n_tokens, &o, &r->result,
                         err));
    BG_TRY(write_recipe(r, err));
    bg_cli_progress_end(&r->progress);
    if (a->out) BG_TRY(bg_image_write(r->image, a->out, err));
    if (bg_cli_tune_wanted(&a->tune) && !bg_cli_interrupted()) {
        BG_TRY(bg_cli_tune(&a->tune, r->model, r->tokens, r->n_tokens, r->image, r->team, err));
        BG_TRY(bg_image_write(r->image, a->out, err));
    }
    if (a->out) bg_image_free(&r->image); /* from now on it is the file */
    return BG_OK;
}

/* ---- the table ---------------------------------------------------------------------------- */

static double bpw_of(const bg_quantize_plan *p)
{
    return 8 * (double)p->weight_bytes / (double)p->n_params;
}

static void add_row(run *r, const char *name, const bg_quantize_plan *plan, const bg_quality *q)
{
    r->rows[r->n_rows++] = (row){name, plan->file_bytes, bpw_of(plan), *q};
}

/* The largest schemes that fit, largest first. */
static size_t find_rivals(const run *r, const bg_scheme **rivals, bg_quantize_plan *plans)
{
    size_t n = 0;
    for (size_t i = 0; i < bg_scheme_count(); i++) {
        bg_quantize_plan plan;
        size_t at = n;
        if (bg_quantize_plan_file(&plan, bg_model_gguf(r->model), bg_scheme_at(i), NULL) != BG_OK ||
            plan.file_bytes > r->budget)
            continue;
        if (n < RIVALS) n++;
        else if (plan.file_bytes <= plans[n - 1].file_bytes) continue;
        else at = n - 1;
        for (; at > 0 && plans[at - 1].file_bytes < plan.file_bytes; at--) {
            plans[at] = plans[at - 1];
            rivals[at] = rivals[at - 1];
        }
        plans[at] = plan;
        rivals[at] = bg_scheme_at(i);
    }
    return n;
}

static bg_status measure_rows(run *r, const bg_reference *reference, const bg_quality_options *o,
                              bg_error *err)
{
    const bg_scheme *rivals[RIVALS + 1];
    bg_quantize_plan plans[RIVALS + 1], plan;
    size_t n = find_rivals(r, rivals, plans);
    bg_model *m = NULL;
    bg_quality q;
    bg_status s;
    BG_TRY(bg_recipe_plan(r->best, bg_model_gguf(r->model), r->importance, &plan, err));
    s = r->image ? bg_model_open_memory(&m, r->image->data, r->image->bytes, r->a->recipe, err)
                 : bg_model_open(&m, r->a->out, err);
    if (s == BG_OK) s = bg_quality_measure(reference, m, o, &q, err);
    if (s == BG_OK && r->a->min_tps > 0)
        s = bg_decode_speed(&r->tps, m, r->isa, r->team, err);
    bg_model_close(&m);
    if (s != BG_OK) return s;
    add_row(r, "searched", &plan, &q);
    for (size_t i = 0; s == BG_OK && i < n; i++) {
        s = bg_model_quantize(&m, r->model, rivals[i], r->importance, r->team, NULL, NULL, err);
        if (s == BG_OK) s = bg_quality_measure(reference, m, o, &q, err);
        bg_model_close(&m);
        if (s == BG_OK) add_row(r, bg_scheme_name(rivals[i]), &plans[i], &q);
    }
    return s;
}

/* On text that the search has not seen. */
static bg_status evaluate(run *r, bg_error *err)
{
    const request *a = r->a;
    bg_quality_options o = {.logits_bytes = LOGITS, .max_windows = (uint64_t)a->chunks,
                            .spread = true, .isa = r->isa, .team = r->team,
                            .progress = bg_cli_show_steps, .user = &r->progress};
    bg_reference *reference = NULL;
    bg_status s;
    begin_progress(r, "evaluating");
    s = bg_reference_open(&reference, r->model, r->text, r->n_text, &o, err);
    bg_model_unpack(r->model); /* the reference has what its layers give */
    if (s == BG_OK) s = measure_rows(r, reference, &o, err);
    bg_reference_close(&reference);
    return s;
}

/* How to have the file; what makes up for pruned channels takes a text. */
static void print_making(const run *r)
{
    const char *model = bg_gguf_path(bg_model_gguf(r->model));
    bool pruned = bg_recipe_pruned(r->best);
    const char *text = pruned || !r->a->plain ? r->a->calibration : NULL;
    if (pruned && r->a->plain && !text) {
        printf("No model file was asked for (-o), and the recipe alone does not make up for what "
               "was pruned\n");
        return;
    }
    printf("No model file was asked for (-o). One much like it:\n"
           "  bitgauge quantize %s OUT.gguf --recipe %s%s%s%s%s%s\n", model, r->a->recipe,
           r->a->imatrix ? " --imatrix " : "", r->a->imatrix ? r->a->imatrix : "",
           r->a->plain ? "" : " --feedback", text ? " --calib " : "", text ? text : "");
}

/* Where there is nothing to compare with. */
static void print_no_rival(const run *r)
{
    const bg_scheme *smallest = NULL;
    uint64_t bytes = UINT64_MAX;
    for (size_t i = 0; i < bg_scheme_count(); i++) {
        bg_quantize_plan plan;
        if (bg_quantize_plan_file(&plan, bg_model_gguf(r->model), bg_scheme_at(i), NULL) != BG_OK ||
            plan.file_bytes >= bytes)
            continue;
        bytes = plan.file_bytes;
        smallest = bg_scheme_at(i);
    }
    if (smallest)
        printf("No scheme is so small: the smallest, %s, takes %llu bytes\n",
               bg_scheme_name(smallest), (unsigned long long)bytes);
}

static void print_table(const run *r)
{
    char took[32], peak[32];
    printf("%s: %llu of %llu bytes, %llu evaluations in %s, %.0f %% of the layers reused, peak "
           "RSS %s\n", r->a->recipe, (unsigned long long)r->result.file_bytes,
           (unsigned long long)r->budget, (unsigned long long)r->result.evaluations,
           bg_format_duration(took, sizeof took, r->result.seconds), 100 * r->result.reused,
           bg_cli_peak(peak, sizeof peak));
    if (r->a->out) printf("%s: the model\n", r->a->out);
    else print_making(r);
    if (r->result.stopped)
        printf("stopped before the end: this is the best so far; %s goes on from here\n",
               r->a->most && r->result.asked >= (uint64_t)r->a->most
                   ? "with a larger --stop-after it" : "the same command");
    if (r->a->min_tps > 0)
        printf("decoding: %.0f tokens/s asked for, %.0f expected by the speeds of the formats",
               r->a->min_tps, r->result.predicted_tps);
    if (r->tps > 0) printf(", %.0f measured", r->tps);
    if (r->a->min_tps > 0) printf("\n");
    if (r->n_rows)
        printf("%-16s %12s %6s %10s %23s %11s\n", "", "bytes", "bpw", "perplexity", "KL divergence",
               "same top");
    for (const row *w = r->rows; w < r->rows + r->n_rows; w++)
        printf("%-16s %12llu %6.3f %10.4f %12.6f ± %.6f %9.2f %%\n", w->name,
               (unsigned long long)w->bytes, w->bpw, w->q.ppl, w->q.kld_mean, w->q.kld_se,
               w->q.same_top_pct);
    if (r->n_rows == 1) print_no_rival(r);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static int print_json(const run *r)
{
    json_t *rows = json_array();
    for (const row *w = r->rows; w < r->rows + r->n_rows; w++)
        json_array_append_new(rows, json_pack(
            "{s:s, s:I, s:f, s:o, s:o, s:o, s:o}", "name", w->name, "file_bytes",
            (json_int_t)w->bytes, "bpw", w->bpw, "ppl", number(w->q.ppl), "kld_mean",
            number(w->q.kld_mean), "kld_se", number(w->q.kld_se), "same_top_pct",
            number(w->q.same_top_pct)));
    return bg_cli_print_json(json_pack(
        "{s:o, s:I, s:I, s:b, s:I, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "recipe",
        bg_cli_json_text(r->a->recipe, strlen(r->a->recipe)), "file_bytes",
        (json_int_t)r->result.file_bytes, "budget", (json_int_t)r->budget, "stopped",
        (int)r->result.stopped, "evaluations", (json_int_t)r->result.evaluations, "seconds",
        r->result.seconds, "reused", r->result.reused, "kld_calibration", number(r->result.kld),
        "predicted_tps", number(r->result.predicted_tps), "tps",
        r->tps > 0 ? json_real(r->tps) : json_null(), "peak_rss",
        bg_cli_json_peak(), "rows", rows));
}

/* Interrupted, what it has is shown without more work. */
static bg_status report(run *r, int *status, bg_error *err)
{
    bg_status s = bg_cli_interrupted() ? BG_OK : evaluate(r, err);
    if (s != BG_OK && s != BG_ERR_INTERRUPTED) return s;
    bg_cli_progress_end(&r->progress);
    if (r->a->json) *status = print_json(r);
    else print_table(r);
    return BG_OK;
}

static void run_close(run *r)
{
    bg_cli_progress_end(&r->progress);
    bg_image_free(&r->image);
    bg_recipe_free(&r->best);
    bg_tokens_free(r->tokens);
    bg_tokens_free(r->text);
    bg_importance_close(&r->importance);
    bg_model_close(&r->model);
    bg_team_close(&r->team);
    bg_machine_close(&r->machine);
    bg_free(r->checkpoint);
}

int bg_cmd_search(int argc, char **argv)
{
    request a = {.isa = "native", .prune = "off", .recipe = "recipe.csv", .chunks = 64, .seed = 1,
                 .tune = BG_CLI_TUNE_DEFAULTS};
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-m --model", "FILE", "the model; default: the embedded one", &a.model, NULL,
         0, 0},
        {BG_OPT_TEXT, "--recipe-out", "FILE", "where the recipe goes (recipe.csv)", &a.recipe, NULL,
         0, 0},
        {BG_OPT_TEXT, "-o --out --output", "FILE", "write the model file, too", &a.out, NULL, 0, 0},
        {BG_OPT_GROUP, NULL, NULL, "How small, one of", NULL, NULL, 0, 0},
        {BG_OPT_SIZE, "--size", "BYTES", "of the file, at most", &a.size, NULL, 0, 0},
        {BG_OPT_REAL, "--bpw", "X", "bits a weight, at most", &a.bpw, NULL, 0.5, 32},
        {BG_OPT_SIZE, "--memory", "SIZE", "of the weights and what a context of --ctx takes",
         &a.memory, NULL, 0, 0},
        {BG_OPT_INT, "-c --ctx --ctx-size", "N", "tokens of context, for --memory (4096)", &a.ctx,
         NULL, 16, 1 << 24},
        {BG_OPT_GROUP, NULL, NULL, "What to choose from", NULL, NULL, 0, 0},
        {BG_OPT_TEXT, "--formats", "LIST", "formats, such as Q2_K,Q3_K,Q4_K (all)", &a.formats,
         NULL, 0, 0},
        {BG_OPT_TEXT, "--prune", "off|on|SHARE", "take channels, heads and layers away where that "
         "pays, of all\n                              weights no more than SHARE (off)", &a.prune,
         NULL, 0, 0},
        {BG_OPT_TEXT, "--prune-order", "ORDER", "together with formats, or all of SHARE before or "
         "after them (joint)", &a.order, "joint|first|last", 0, 0},
        {BG_OPT_REAL, "--min-tps", "X", "tokens/s that decoding should reach here, by the speeds "
         "of the\n                              formats, which are measured first", &a.min_tps,
         NULL, 0, 1e9},
        {BG_OPT_GROUP, NULL, NULL, "What to judge by", NULL, NULL, 0, 0},
        {BG_OPT_TEXT, "--calib", "FILE", "text to search on; self: the model writes it. Default: "
         "what\n                              came with the model, or self", &a.calibration, NULL,
         0, 0},
        {BG_OPT_TEXT, "-f --text --file", "FILE", "another text, to measure the result on", &a.text,
         NULL, 0, 0},
        {BG_OPT_INT, "--chunks", "N", "windows of it at most (64; 0: the whole text)", &a.chunks,
         NULL, 0, 1 << 30},
        {BG_OPT_TEXT, "--imatrix", "FILE", "importance matrix; default: of the calibration text",
         &a.imatrix, NULL, 0, 0},
        {BG_OPT_GROUP, NULL, NULL, "How long", NULL, NULL, 0, 0},
        {BG_OPT_REAL, "--minutes", "M", "search no longer (when it gets no better); error feedback "
         "and tuning\n                              come after it", &a.minutes, NULL, 0, 1e6},
        {BG_OPT_INT, "--stop-after", "N", "evaluations at most: unlike minutes, the same anywhere",
         &a.most, NULL, 1, INT32_MAX},
        {BG_OPT_TEXT, "--evaluations", "FILE", "keep what was measured in FILE, and begin with "
         "what is there:\n                              searches of other sizes share it",
         &a.evaluations, NULL, 0, 0},
        {BG_OPT_INT, "-s --seed", "N", "same seed, same recipe (1)", &a.seed, NULL, 0, 0},
        {BG_OPT_INT, "-t --threads", "N", "threads (0: one a core)", &a.threads, NULL, 0, 4096},
        {BG_OPT_TEXT, "--isa", "NAME", "best instruction set to use (native)", &a.isa, NULL, 0, 0},
        {BG_OPT_FLAG, "--json", NULL, "print JSON", &a.json, NULL, 0, 0},
        {BG_OPT_GROUP, NULL, NULL, "What to do with the file then", NULL, NULL, 0, 0},
        {BG_OPT_FLAG, "--no-feedback", NULL, "do not round it layer by layer so that outputs "
         "change least", &a.plain, NULL, 0, 0},
        BG_CLI_TUNE_OPTIONS(a.tune),
    };
    const bg_opt_spec spec = {
        .command = "search", .usage = "[MODEL] --size BYTES [options]",
        .summary = "Searches for the formats of a model's tensors that cost the least quality at "
                   "a\nsize: the divergence of the whole model from its full-precision self. Then "
                   "the file\nis rounded with error feedback; --tune makes it better still. "
                   "Interrupted, it\nleaves the best so far, and the same command goes on from "
                   "there.",
        .examples = "  bitgauge search --size 2.7MB -o small.gguf\n"
                    "  bitgauge search model-f16.gguf --memory 4GB --ctx 8192 --min-tps 12 -o small.gguf\n"
                    "  bitgauge search model-f16.gguf --bpw 3.2 --calib text.txt --recipe-out best.csv\n"
                    "  bitgauge quantize model-f16.gguf best.gguf --recipe best.csv --feedback "
                    "--calib text.txt\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = 1,
    };
    const char *word = NULL;
    size_t n_words = 0;
    run r = {.a = &a};
    bg_error err = {0};
    int status = bg_opt_parse(&spec, argc, argv, &word, &n_words);
    if (status >= 0) return status;
    if (n_words) a.model = word;
    a.tune.seed = a.seed;
    bg_cli_catch_interrupt();
    status = BG_EXIT_OK;
    if (prepare(&r, &err) != BG_OK || search(&r, &err) != BG_OK ||
        report(&r, &status, &err) != BG_OK) {
        bg_cli_progress_end(&r.progress);
        status = bg_cli_fail(&err);
    }
    run_close(&r);
    return status;
}
