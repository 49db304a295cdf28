#include "cli/json.h"
#include "cli/text.h"

#include "bitgauge/machine.h"
#include "bitgauge/quality.h"

#include <math.h>
#include <string.h>

enum {
    SELF_DOCUMENTS = 16,                 /* of one window each, when --chunks does not say */
    MAX_MODELS = 64,
};

typedef struct arguments {
    const char *model, *text, *base, *isa, *scheme, *imatrix, *activations;
    int ctx, chunks, threads, seed;
    bool json, no_importance;
    const char *others[MAX_MODELS];      /* measured after the model, from the same base */
    size_t n_others;
} arguments;

/* What a run holds; all of it is closed by run_close. */
typedef struct run {
    const arguments *a;
    char *model_path, *text_path;        /* text_path: NULL for text that the model writes */
    bg_machine *machine;
    bg_team *team;
    bg_isa isa;
    bg_model *model, *base, *quantized;  /* quantized: measured instead of model */
    bg_importance *importance;
    int32_t *tokens;
    size_t n_tokens;
    bg_reference *reference;
    bg_cli_progress progress;
} run;

static void show_quantizing(void *user, double fraction) { bg_cli_progress_show(user, fraction); }

static void begin_progress(run *r, const char *what)
{
    bg_cli_progress_end(&r->progress);
    r->progress = (bg_cli_progress){.what = what};
}

/* The model that text comes from and that divergence is measured from, if there is one. */
static const bg_model *run_base(const run *r)
{
    return r->base ? r->base : r->quantized || r->a->activations ? r->model : NULL;
}

static bg_status quantize(run *r, bg_error *err)
{
    const bg_scheme *scheme = bg_scheme_find(r->a->scheme);
    const char *near = scheme ? NULL : bg_scheme_nearest(r->a->scheme);
    if (!scheme)
        return bg_fail(err, BG_ERR_INPUT, "--scheme",
                       "'%s' is unknown%s%s%s; see `bitgauge schemes`",
                       r->a->scheme, near ? ": did you mean " : "", near ? near : "",
                       near ? "?" : "");
    BG_TRY(bg_scheme_check_importance(scheme, r->a->imatrix != NULL, err));
    if (r->a->imatrix) {
        BG_TRY(bg_importance_open(&r->importance, r->a->imatrix, err));
        BG_TRY(bg_importance_check(r->importance, bg_model_gguf(r->model), err));
    } else if (r->a->no_importance) {
        BG_TRY(bg_importance_none(&r->importance, err));
    }
    begin_progress(r, "quantizing");
    return bg_model_quantize(&r->quantized, r->model, scheme, r->importance, r->team,
                             show_quantizing, &r->progress, err);
}

static bg_status open_models(run *r, bg_error *err)
{
    const arguments *a = r->a;
    if (a->n_others && (!a->base || a->scheme))
        return bg_fail(err, BG_ERR_INPUT, NULL, "several models want a --base to measure them "
                       "from, and no --scheme");
    if (a->imatrix && !a->scheme)
        return bg_fail(err, BG_ERR_INPUT, "--imatrix", "needs --scheme to be of use");
    BG_TRY(bg_isa_parse(a->isa, &r->isa, err));
    BG_TRY(bg_cli_model_path(a->model, &r->model_path, err));
    BG_TRY(bg_cli_team(a->threads, false, &r->machine, &r->team, err));
    BG_TRY(bg_model_open(&r->model, r->model_path, err));
    if (a->base) BG_TRY(bg_model_open(&r->base, a->base, err));
    return a->scheme ? quantize(r, err) : BG_OK;
}

/* A file, the model's own text, or the text that comes with the embedded model, whose
 * quantizations carry its name. */
static bg_status get_tokens(run *r, bg_error *err)
{
    const arguments *a = r->a;
    bg_cli_text t = {.n_docs = a->chunks ? (size_t)a->chunks : SELF_DOCUMENTS,
                     .doc_tokens = (size_t)a->ctx, .seed = (uint64_t)a->seed, .isa = r->isa,
                     .team = r->team, .progress = &r->progress};
    if (!a->text) r->text_path = bg_quality_text(r->model);
    else if (strcmp(a->text, "self") != 0) r->text_path = bg_strdup(a->text);
    t.path = r->text_path ? r->text_path : "self";
    return bg_cli_get_text(&t, run_base(r) ? run_base(r) : r->model, &r->tokens, &r->n_tokens, err);
}

static bg_status measure_others(run *r, const bg_quality_options *o, bg_quality *q, bg_error *err)
{
    bg_status s = BG_OK;
    for (size_t i = 0; s == BG_OK && i < r->a->n_others; i++) {
        bg_model *m;
        BG_TRY(bg_model_open(&m, r->a->others[i], err));
        s = bg_quality_measure(r->reference, m, o, &q[i], err);
        bg_model_close(&m);
    }
    return s;
}

/* Of the model, then of the others. */
static bg_status measure(run *r, bg_quality *q, bg_error *err)
{
    bg_quality_options o;
    bg_status status;
    BG_TRY(open_models(r, err));
    BG_TRY(get_tokens(r, err));
    o = (bg_quality_options){
        .n_ctx = (uint32_t)r->a->ctx, .max_windows = (uint64_t)r->a->chunks, .isa = r->isa,
        .team = r->team, .cache_bytes = r->a->n_others ? 0 : 1,
        .progress = bg_cli_show_steps, .user = &r->progress,
    };
    if (r->a->activations) o.activations = bg_activations_find(r->a->activations);
    begin_progress(r, "base");
    status = bg_reference_open(&r->reference, run_base(r), r->tokens, r->n_tokens, &o, err);
    if (status != BG_OK) {
        if (!err->where[0] && r->text_path)
            snprintf(err->where, sizeof err->where, "%s", r->text_path);
        return status;
    }
    begin_progress(r, "perplexity");
    BG_TRY(bg_quality_measure(r->reference, r->quantized ? r->quantized : r->model, &o, q, err));
    return measure_others(r, &o, q + 1, err);
}

static void run_close(run *r)
{
    bg_cli_progress_end(&r->progress);
    bg_reference_close(&r->reference);
    bg_tokens_free(r->tokens);
    bg_model_close(&r->quantized);
    bg_model_close(&r->base);
    bg_model_close(&r->model);
    bg_importance_close(&r->importance);
    bg_team_close(&r->team);
    bg_machine_close(&r->machine);
    bg_free(r->model_path);
    bg_free(r->text_path);
}

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *as_json(const run *r, const char *path, const bg_quality *q)
{
    const struct { const char *key; double value; } reals[] = {
        {"ppl", q->ppl}, {"ppl_se", q->ppl_se}, {"kld_mean", q->kld_mean}, {"kld_se", q->kld_se},
        {"kld_median", q->kld_median}, {"kld_p99", q->kld_p99}, {"kld_p999", q->kld_p999},
        {"kld_max", q->kld_max}, {"same_top_pct", q->same_top_pct},
        {"rms_dp_pct", q->rms_dp_pct}, {"seconds", q->seconds},
    };
    json_t *o = json_object();
    if (path) json_object_set_new(o, "file", bg_cli_json_text(path, strlen(path)));
    json_object_set_new(o, "windows", json_integer((json_int_t)q->windows));
    json_object_set_new(o, "tokens", json_integer((json_int_t)q->tokens));
    for (size_t i = 0; i < BG_COUNT(reals); i++)
        json_object_set_new(o, reals[i].key, number(reals[i].value));
    if (r->a->activations)
        json_object_set_new(o, "simulated_activations", json_string(r->a->activations));
    return o;
}

/* One object; of several models a list of them. */
static int print_json(const run *r, const bg_quality *q)
{
    json_t *all = r->a->n_others ? json_array() : as_json(r, NULL, q);
    for (size_t i = 0; r->a->n_others && i <= r->a->n_others; i++)
        json_array_append_new(all, as_json(r, i ? r->a->others[i - 1] : r->model_path, &q[i]));
    return bg_cli_print_json(all);
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int print_table(const run *r, const bg_quality *q)
{
    const bg_model *base = run_base(r);
    char took[32];
    printf("model            %s%s%s\n", file_name(r->model_path), r->quantized ? " as " : "",
           r->quantized ? bg_scheme_name(bg_scheme_find(r->a->scheme)) : "");
    if (base) printf("base             %s\n", file_name(bg_gguf_path(bg_model_gguf(base))));
    printf("text             %s: %llu window%s of %d tokens, %llu scored\n",
           r->text_path ? file_name(r->text_path) : "written by the model itself",
           (unsigned long long)q->windows, q->windows == 1 ? "" : "s", r->a->ctx,
           (unsigned long long)q->tokens);
    if (r->a->activations)
        printf("activations      %s, simulated: of such an engine's speed this says nothing\n",
               r->a->activations);
    printf("time             %s\n\n", bg_format_duration(took, sizeof took, q->seconds));
    printf("perplexity       %9.4f ± %.4f\n", q->ppl, q->ppl_se);
    if (!base) return BG_EXIT_OK;
    printf("  of the base    %9.4f  (%+.2f %%)\n\n", q->base_ppl, 100 * (q->ppl / q->base_ppl - 1));
    printf("KL divergence    %11.6f ± %.6f\n", q->kld_mean, q->kld_se);
    printf("  median         %11.6f\n", q->kld_median);
    printf("  99 %%           %11.6f\n", q->kld_p99);
    printf("  99.9 %%         %11.6f\n", q->kld_p999);
    printf("  maximum        %11.6f\n\n", q->kld_max);
    printf("same top token   %8.3f %%\n", q->same_top_pct);
    printf("RMS change of p  %8.3f %%\n", q->rms_dp_pct);
    return BG_EXIT_OK;
}

/* A line a model. */
static int print_models(const run *r, const bg_quality *q)
{
    printf("base %s, perplexity %.4f; %s: %llu windows of %d tokens%s%s\n\n", file_name(r->a->base),
           q->base_ppl, r->text_path ? file_name(r->text_path) : "text that the base wrote",
           (unsigned long long)q->windows, r->a->ctx,
           r->a->activations ? "; simulated activations " : "",
           r->a->activations ? r->a->activations : "");
    printf("%-32s %19s %23s %11s\n", "", "perplexity", "KL divergence", "same top");
    for (size_t i = 0; i <= r->a->n_others; i++)
        printf("%-32s %10.4f ± %.4f %12.6f ± %.6f %9.2f %%\n",
               file_name(i ? r->a->others[i - 1] : r->model_path), q[i].ppl, q[i].ppl_se,
               q[i].kld_mean, q[i].kld_se, q[i].same_top_pct);
    return BG_EXIT_OK;
}

int bg_cmd_perplexity(int argc, char **argv)
{
    arguments a = {.isa = "native", .ctx = 512, .seed = 1};
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-m --model", "FILE", "the model; default: the embedded one", &a.model,
         NULL, 0, 0},
        {BG_OPT_TEXT, "-f --text --file", "FILE|self",
         "text to measure on; self: the model writes it. Default: self,\n"
         "                              but the embedded model comes with one", &a.text, NULL, 0,
         0},
        {BG_OPT_TEXT, "--base", "FILE", "unquantized model to measure KL divergence from",
         &a.base, NULL, 0, 0},
        {BG_OPT_TEXT, "--scheme", "NAME",
         "quantize the model in memory first; it then is the base too", &a.scheme, NULL, 0, 0},
        {BG_OPT_TEXT, "--imatrix", "FILE", "importance matrix for --scheme", &a.imatrix, NULL, 0,
         0},
        {BG_OPT_FLAG, "--no-importance", NULL,
         "without --imatrix, do not estimate importance from the weights", &a.no_importance, NULL,
         0, 0},
        {BG_OPT_TEXT, "--activations", "NAME",
         "round what matrices read, 32 numbers by 32 (simulated)", &a.activations,
         "f16|q8|q6|q4", 0, 0},
        {BG_OPT_INT, "-c --ctx --ctx-size", "N",
         "tokens of a window (512); its second half is scored", &a.ctx, NULL, 4, 1 << 20},
        {BG_OPT_INT, "--chunks", "N", "windows at most (0: the whole text)", &a.chunks,
         NULL, 0, 1 << 30},
        {BG_OPT_INT, "-t --threads", "N", "threads (0: one a core)", &a.threads, NULL, 0,
         4096},
        {BG_OPT_TEXT, "--isa", "NAME", "best instruction set to use (native)", &a.isa, NULL, 0,
         0},
        {BG_OPT_INT, "-s --seed", "N", "of the text that the model writes (1)", &a.seed,
         NULL, 0, 0},
        {BG_OPT_FLAG, "--json", NULL, "print JSON", &a.json, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "perplexity", .usage = "[MODEL...] [options]",
        .summary = "Measures how well a model predicts a text and, against a base, what\n"
                   "quantization changed: perplexity and KL divergence by the conventions of\n"
                   "llama-perplexity. Several models are measured from one --base.",
        .examples = "  bitgauge perplexity --scheme Q4_K_M\n"
                    "  bitgauge perplexity model-Q4_K_M.gguf --base model-F16.gguf "
                    "-f wiki.test.raw\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = MAX_MODELS,
    };
    const char *words[MAX_MODELS];
    size_t n_words = 0;
    run r = {.a = &a};
    bg_quality q[MAX_MODELS + 1];
    bg_error err = {0};
    int status = bg_opt_parse(&spec, argc, argv, words, &n_words);
    if (status >= 0) return status;
    for (size_t i = 0; i < n_words; i++)
        if (i || a.model) a.others[a.n_others++] = words[i];
        else a.model = words[i];
    bg_cli_catch_interrupt();
    if (measure(&r, q, &err) != BG_OK) {
        bg_cli_progress_end(&r.progress);
        status = bg_cli_fail(&err);
    } else {
        bg_cli_progress_end(&r.progress);
        status = (a.json ? print_json : a.n_others ? print_models : print_table)(&r, q);
    }
    run_close(&r);
    return status;
}
