/* Points of a sweep that are searched for. Their recipes lie in the folder, and what they are made
 * with beside them, so that quantize makes the same file:
 *
 *   search-Q3_K_M.csv       the recipe; there is one when the search is at its end
 *   search.evaluations      what unfinished searches have measured
 *   search-imatrix.gguf     importance by the calibration text, unless the user gave a matrix
 *   search-calib.txt        that text, where the model had to write it
 */
#include "harness/rig.h"

#include "base/file.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum { CALIBRATION_WINDOWS = 64, SELF_DOCUMENTS = 48 };

static const char IMATRIX[] = "search-imatrix.gguf", CALIBRATION[] = "search-calib.txt",
                  EVALUATIONS[] = "search.evaluations", FEEDBACK[] = " --feedback";

static char *folder_path(const bg_rig *rig, const char *name, const char *ending)
{
    char file[64];
    snprintf(file, sizeof file, "%s%s", name, ending);
    return bg_path_join(rig->options->out, file);
}

static bg_isa best_isa(const bg_rig *rig) { return rig->plan->isas[rig->plan->n_isas - 1]; }
static bg_team *largest_team(const bg_rig *rig) { return rig->teams[rig->plan->n_threads - 1]; }

bg_status bg_rig_searched_bytes(const bg_rig *rig, size_t scheme, uint64_t *bytes, bg_error *err)
{
    const bg_searched *s = &rig->plan->searched[scheme];
    bg_quantize_plan plan;
    *bytes = s->bytes;
    if (!s->like) return BG_OK;
    BG_TRY(bg_quantize_plan_file(&plan, bg_model_gguf(rig->source), s->like, err));
    *bytes = plan.file_bytes;
    return BG_OK;
}

/* ---- what they are calibrated on ----------------------------------------------------------- */

static bg_status write_text(const bg_rig *rig, const bg_tokens *t, const char *path, bg_error *err)
{
    const bg_tokenizer *tokenizer = bg_model_tokenizer(rig->source);
    bg_text text = {0};
    bg_status s;
    for (size_t i = 0; i < t->count; i++) {
        char piece[512];
        bool special = t->data[i] == bg_tokenizer_bos(tokenizer) ||
                       t->data[i] == bg_tokenizer_eos(tokenizer);
        size_t n = special ? 0 : bg_token_bytes(tokenizer, t->data[i], piece, sizeof piece);
        bg_text_append(&text, special ? "\n" : piece, special ? 1 : BG_MIN(n, sizeof piece));
    }
    s = text.failed ? bg_fail_nomem(err, path, text.length)
                    : bg_file_write(path, text.data, text.length, err);
    bg_text_fini(&text);
    return s;
}

/* As text, and read again: quantize reads it so, too. */
static bg_status write_own(bg_rig *rig, const char *path, bg_error *err)
{
    bg_sweep_progress p = {.what = "writing a text to search on"};
    bg_self_text_options o = {.n_docs = SELF_DOCUMENTS, .doc_tokens = BG_WINDOW, .temperature = 1,
                              .seed = 2 * rig->options->seed + 1, .isa = best_isa(rig),
                              .team = largest_team(rig), .progress = bg_rig_alive, .user = rig};
    bg_tokens t = {0};
    bg_status s;
    bg_rig_progress(rig, &p);
    s = bg_self_text(rig->source, &o, &t.data, &t.count, err);
    if (s == BG_OK) s = write_text(rig, &t, path, err);
    bg_tokens_fini(&t);
    return s;
}

static bg_status get_calibration(bg_rig *rig, bg_error *err)
{
    const char *given = rig->options->calib;
    char *path;
    bg_status s = BG_OK;
    if (rig->calibration.count) return BG_OK;
    path = given ? bg_strdup(given) : bg_calibration_text(rig->source);
    rig->calibrates_itself = !path;
    if (!path) {
        path = folder_path(rig, CALIBRATION, "");
        if (path && !bg_file_exists(path)) s = write_own(rig, path, err);
    }
    if (!path) s = bg_fail_nomem(err, CALIBRATION, 0);
    if (s == BG_OK) s = bg_tokens_read(&rig->calibration, rig->source, path, err);
    if (s == BG_OK)
        bg_tokens_warn_overlap(rig->calibration.data, rig->calibration.count, rig->tokens.data,
                               rig->tokens.count);
    bg_free(path);
    return s;
}

/* Read from the file that it was written to, whose numbers are rounded. */
static bg_status get_importance(bg_rig *rig, bg_error *err)
{
    bg_sweep_progress p = {.what = "importance of columns"};
    bg_importance_options o = {.max_windows = CALIBRATION_WINDOWS, .output = true,
                               .isa = best_isa(rig), .team = largest_team(rig),
                               .progress = bg_rig_alive, .user = rig};
    bg_importance *collected = NULL;
    char *path;
    bg_status s = BG_OK;
    if (rig->importance || rig->search_importance) return BG_OK;
    path = folder_path(rig, IMATRIX, "");
    if (!path) return bg_fail_nomem(err, IMATRIX, 0);
    if (!bg_file_exists(path)) {
        bg_rig_progress(rig, &p);
        s = bg_importance_collect(&collected, rig->source, rig->calibration.data,
                                  rig->calibration.count, "calibration", &o, err);
        if (s == BG_OK) s = bg_importance_write(collected, path, BG_IMPORTANCE_GGUF, err);
        bg_importance_close(&collected);
    }
    if (s == BG_OK) s = bg_importance_open(&rig->search_importance, path, err);
    bg_free(path);
    return s;
}

static const bg_importance *importance_of(const bg_rig *rig)
{
    return rig->importance ? rig->importance : rig->search_importance;
}

/* ---- searching ------------------------------------------------------------------------------ */

typedef struct listener { bg_rig *rig; size_t scheme; double limit; bool stopped; } listener;

static bool hear(void *user, const bg_search_state *s)
{
    listener *l = user;
    bg_sweep_progress p = {.fraction = s->fraction, .seconds_left = NAN};
    char what[96], kld[32] = "";
    if (isfinite(s->best_kld)) snprintf(kld, sizeof kld, ", KLD %.4f", s->best_kld);
    if (l->limit > 0) {
        p.fraction = BG_MIN(s->seconds / l->limit, 1.0);
        p.seconds_left = BG_MAX(l->limit - s->seconds, 0);
    }
    snprintf(what, sizeof what, "%s: %s%s", bg_plan_name(l->rig->plan, l->scheme), s->stage, kld);
    p.what = what;
    l->stopped |= !bg_rig_progress(l->rig, &p);
    return !l->stopped;
}

static bg_status write_recipe(const bg_rig *rig, const bg_recipe *r, const bg_search_result *found,
                              const char *path, bg_error *err)
{
    char remark[320], kld[96] = "not measured yet";
    if (isfinite(found->kld))
        snprintf(kld, sizeof kld, "KL divergence %.6f on calibration text, before error feedback",
                 found->kld);
    snprintf(remark, sizeof remark, "bitgauge sweep --search: %llu bytes, %s\n"
             "%llu evaluations, seed %llu%s", (unsigned long long)found->file_bytes, kld,
             (unsigned long long)found->evaluations, (unsigned long long)rig->options->seed,
             found->stopped ? "; stopped at the time limit" : "");
    return bg_recipe_write(r, bg_model_gguf(rig->source), path, remark, err);
}

static bg_status search(bg_rig *rig, size_t scheme, const char *path, bg_error *err)
{
    listener l = {.rig = rig, .scheme = scheme, .limit = 60 * rig->plan->search_minutes};
    char *evaluations = folder_path(rig, EVALUATIONS, "");
    bg_search_options o = {.prune = rig->plan->prune, .feedback = true,
                           .seed = rig->options->seed, .seconds = l.limit, .isa = best_isa(rig),
                           .team = largest_team(rig), .importance = importance_of(rig),
                           .checkpoint = evaluations, .checkpoint_option = "--out",
                           .keep_checkpoint = true, .progress = hear, .user = &l};
    bg_recipe *best = NULL;
    bg_search_result found;
    bg_status s = evaluations ? BG_OK : bg_fail_nomem(err, EVALUATIONS, 0);
    if (s == BG_OK) s = bg_rig_searched_bytes(rig, scheme, &o.file_bytes, err);
    if (s == BG_OK)
        s = bg_search_run(&best, NULL, rig->source, rig->calibration.data, rig->calibration.count,
                          &o, &found, err);
    if (s == BG_OK && l.stopped)
        s = bg_fail(err, BG_ERR_INTERRUPTED, rig->options->out,
                    "stopped: what was measured is kept; the same command with this --out goes on");
    if (s == BG_OK) s = write_recipe(rig, best, &found, path, err);
    bg_recipe_free(&best);
    bg_free(evaluations);
    return s;
}

/* Reasons that are this point's alone. */
static bool is_its_own(bg_status s)
{
    return s == BG_ERR_INFEASIBLE || s == BG_ERR_UNSUPPORTED || s == BG_ERR_INPUT ||
           s == BG_ERR_NOMEM;
}

bg_status bg_rig_search(bg_rig *rig, bg_error *err)
{
    char *evaluations;
    bool any = false;
    for (size_t i = 0; i < rig->plan->n_schemes; i++) {
        char *path;
        bg_status s = BG_OK;
        if (rig->plan->schemes[i] || !bg_plan_open(rig->plan, i)) continue;
        any = true;
        BG_TRY(get_calibration(rig, err));
        BG_TRY(get_importance(rig, err));
        path = folder_path(rig, bg_plan_name(rig->plan, i), ".csv");
        if (!path) return bg_fail_nomem(err, "a recipe", 0);
        if (!bg_file_exists(path)) s = search(rig, i, path, err);
        bg_free(path);
        if (is_its_own(s)) rig->problems[i] = *err;
        else if (s != BG_OK) return s;
    }
    evaluations = any ? folder_path(rig, EVALUATIONS, "") : NULL;
    if (evaluations) unlink(evaluations);
    bg_free(evaluations);
    return BG_OK;
}

/* ---- making --------------------------------------------------------------------------------- */

static bool still_alive(void *user, double fraction)
{
    (void)fraction;
    return bg_rig_alive(user, 0, 0);
}

static bg_status make_image(bg_rig *rig, size_t scheme, const bg_recipe *r, bg_error *err)
{
    bg_feedback_options o = {.isa = best_isa(rig), .team = largest_team(rig),
                             .progress = still_alive, .user = rig};
    bg_status s = bg_recipe_apply(&rig->images[scheme], r, bg_model_gguf(rig->source),
                                  importance_of(rig), o.team, still_alive, rig, err);
    if (s == BG_OK)
        s = bg_recipe_finish(rig->images[scheme], r, rig->source, rig->calibration.data,
                             rig->calibration.count, importance_of(rig), true, &o, err);
    if (s != BG_OK) bg_image_free(&rig->images[scheme]);
    return s;
}

bg_status bg_rig_image(bg_rig *rig, size_t scheme, const bg_image **image, bg_error *err)
{
    char *path;
    bg_recipe *r = NULL;
    bg_status s = BG_OK;
    if (rig->problems[scheme].status != BG_OK) {
        *err = rig->problems[scheme];
        return err->status;
    }
    if (!rig->images[scheme]) {
        path = folder_path(rig, bg_plan_name(rig->plan, scheme), ".csv");
        s = path ? bg_recipe_read(&r, bg_model_gguf(rig->source), path, err)
                 : bg_fail_nomem(err, "a recipe", 0);
        if (s == BG_OK) s = make_image(rig, scheme, r, err);
        bg_recipe_free(&r);
        bg_free(path);
    }
    *image = rig->images[scheme];
    return s;
}

/* Folders get published: of a path of the user's, the name alone. */
static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

static void describe_pruning(const bg_image *image, bg_row *row)
{
    char words[192];
    if (image && bg_pruned_describe(image->g, words, sizeof words))
        bg_row_set_text(row, BG_COL_PRUNED, words);
    else bg_row_set_absent(row, BG_COL_PRUNED, "nothing was pruned");
}

void bg_rig_describe_making(const bg_rig *rig, size_t scheme, bg_row *row)
{
    const bg_scheme *s = rig->plan->schemes[scheme];
    const char *matrix = base_name(rig->options->imatrix), *calib = base_name(rig->options->calib);
    bg_text t = {0};
    describe_pruning(rig->images[scheme], row);
    if (rig->shape) {
        bg_row_set_absent(row, BG_COL_MADE_WITH, "a shape's weights are random");
        return;
    }
    if (s) {
        const char *name = bg_scheme_name(s);
        bg_text_printf(&t, "%.*s", (int)strcspn(name, "+"), name);
        if (bg_scheme_wants_importance(s) && matrix) bg_text_printf(&t, " --imatrix %s", matrix);
    } else {
        bg_text_printf(&t, BG_MADE_BY_RECIPE "DIR/%s.csv --imatrix %s%s",
                       bg_plan_name(rig->plan, scheme), matrix ? matrix : "DIR/",
                       matrix ? "" : IMATRIX);
        if (rig->calibrates_itself) calib = CALIBRATION;
        if (calib) bg_text_printf(&t, " --calib %s%s", rig->calibrates_itself ? "DIR/" : "", calib);
        bg_text_puts(&t, FEEDBACK);
    }
    if (!t.failed) bg_row_set_text(row, BG_COL_MADE_WITH, t.data);
    bg_text_fini(&t);
}

void bg_rig_search_close(bg_rig *rig)
{
    for (size_t i = 0; i < BG_PLAN_MAX_SCHEMES; i++) bg_image_free(&rig->images[i]);
    bg_importance_close(&rig->search_importance);
    bg_tokens_fini(&rig->calibration);
}
