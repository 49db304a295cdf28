#include "bitgauge/machine.h"
#include "bitgauge/search.h"
#include "bitgauge/shape.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/tune.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW = 512,                    /* tokens */
    SELF_WINDOWS = 48,               /* of the text that a model writes */
    SELF_TUNE_WINDOWS = 256,         /* to tune on */
};

typedef struct request {
    const char *in, *out;
    char *found;                     /* owns in, unless that is a shape */
    const bg_scheme *scheme;         /* NULL: by the recipe, or as in `from` */
    const char *imatrix, *shape, *recipe, *from;
    int threads, layers, chunks;
    bool feedback, json, no_importance;
    const char *calib;
    bg_cli_tune_request tune;
} request;

/* Whether a text is run through the model. */
static bool is_bettered(const request *r) { return r->feedback || bg_cli_tune_wanted(&r->tune); }

/* A recipe may prune, which what is left makes up for by a text. */
static bool has_text(const request *r) { return is_bettered(r) || (r->recipe && r->calib); }

static bool show(void *user, double fraction)
{
    bg_cli_progress_show(user, fraction);
    return !bg_cli_interrupted();
}

static int print_summary(const request *r, const bg_quantize_plan *p, int threads, double seconds)
{
    char size[32], peak[32];
    double bpw = 8.0 * (double)p->weight_bytes / (double)p->n_params;
    if (r->json)
        return bg_cli_print_json(json_pack(
            "{s:o, s:o, s:s, s:I, s:I, s:I, s:f, s:s, s:i, s:i, s:f, s:o}", "in",
            bg_cli_json_text(r->in, strlen(r->in)), "out", bg_cli_json_text(r->out, strlen(r->out)),
            "scheme", r->scheme ? bg_scheme_name(r->scheme) : r->from ? "from" : "recipe",
            "file_bytes",
            (json_int_t)p->file_bytes, "weight_bytes", (json_int_t)p->weight_bytes, "n_params",
            (json_int_t)p->n_params, "bpw", bpw, "formats", p->formats, "fell_back",
            (int)p->n_fell_back, "threads", threads, "seconds", seconds, "peak_rss",
            bg_cli_json_peak()));
    printf("%s: %s, %s, %.2f bits per weight (%s), %.1f s with %d thread%s, peak RSS %s\n", r->out,
           r->scheme ? bg_scheme_name(r->scheme) : r->from ? "made better" : "by the recipe",
           bg_format_size(size, sizeof size, (double)p->file_bytes), bpw,
           p->formats, seconds, threads, threads == 1 ? "" : "s",
           bg_cli_peak(peak, sizeof peak));
    if (p->n_fell_back)
        printf("%u tensors have rows that do not fit the scheme's format and took a larger one\n",
               p->n_fell_back);
    return BG_EXIT_OK;
}

/* Random weights, in no other source's place. */
static bg_status write_shape(const request *r, bg_quantize_plan *plan, int *threads, bg_error *err)
{
    bg_cli_progress progress = {.what = "writing"};
    bg_machine *machine = NULL;
    bg_team *team = NULL;
    bg_shape *shape;
    bg_status s = bg_shape_open(&shape, r->shape, err);
    if (s == BG_OK && r->layers) s = bg_shape_cut(shape, (uint32_t)r->layers, err);
    if (s == BG_OK) s = bg_quantize_plan_file(plan, bg_shape_gguf(shape), r->scheme, err);
    if (s == BG_OK) s = bg_cli_team(r->threads, false, &machine, &team, err);
    if (s == BG_OK) {
        *threads = bg_team_size(team);
        bg_cli_catch_interrupt();
        s = bg_shape_write(shape, r->out, r->scheme, team, show, &progress, err);
        bg_cli_progress_end(&progress);
    }
    bg_team_close(&team);
    bg_machine_close(&machine);
    bg_shape_close(&shape);
    return s;
}

/* What makes up for what the recipe prunes, feedback, then tuning, on one text. */
static bg_status make_better(const request *r, const bg_recipe *recipe,
                             const bg_importance *importance, bg_image *image, bg_team *team,
                             bg_error *err)
{
    bg_cli_progress progress = {.what = "error feedback"};
    bg_feedback_options o = {.max_windows = (uint64_t)r->chunks, .team = team, .progress = show,
                             .user = &progress};
    bool tuned = bg_cli_tune_wanted(&r->tune);
    bg_cli_text t = {.path = r->calib, .n_docs = tuned ? SELF_TUNE_WINDOWS : SELF_WINDOWS,
                     .doc_tokens = r->tune.ctx ? (size_t)r->tune.ctx : WINDOW,
                     .fewest = r->feedback || bg_recipe_pruned(recipe) ? WINDOW : 0,
                     .seed = (uint64_t)r->tune.seed + 1000, .team = team, .progress = &progress};
    bg_model *source = NULL;
    int32_t *tokens = NULL;
    size_t n;
    bg_status s = bg_isa_parse("native", &o.isa, err);
    t.isa = o.isa;
    if (s == BG_OK && !is_bettered(r) && !bg_recipe_pruned(recipe))
        s = bg_fail(err, BG_ERR_INPUT, "--calib", "is a text to make up for what a recipe prunes, but "
                    "%s prunes nothing: give --feedback or --tune, too", r->recipe);
    if (s == BG_OK) s = bg_model_open(&source, r->in, err);
    if (s == BG_OK) {
        t.installed = bg_calibration_text(source);
        s = bg_cli_get_text(&t, source, &tokens, &n, err);
        bg_free_text(t.installed);
    }
    if (s == BG_OK) bg_model_unpack(source); /* what wrote the text */
    progress = (bg_cli_progress){.what = r->feedback ? "error feedback" : "least squares"};
    if (s == BG_OK)
        s = bg_recipe_finish(image, recipe, source, tokens, n, importance, r->feedback, &o, err);
    bg_cli_progress_end(&progress);
    if (s == BG_OK && tuned) s = bg_cli_tune(&r->tune, source, tokens, n, image, team, err);
    bg_tokens_free(tokens);
    bg_model_close(&source);
    return s;
}

/* What there is to begin with, and the recipe of it. */
static bg_status make_image(const request *r, const bg_gguf *g, const bg_importance *importance,
                            bg_recipe **recipe, bg_image **image, bg_quantize_plan *plan,
                            bg_team *team, bg_cli_progress *progress, bg_error *err)
{
    if (r->from) {
        BG_TRY(bg_image_read(image, g, r->from, err));
        BG_TRY(bg_recipe_of_image(recipe, *image, g, err));
    } else if (r->recipe) {
        BG_TRY(bg_recipe_read(recipe, g, r->recipe, err));
        if ((*recipe)->n_unnamed)
            fprintf(stderr, "warning: %s has no line for %zu matrices: they stay as they are\n",
                    r->recipe, (*recipe)->n_unnamed);
    } else {
        BG_TRY(bg_recipe_of_scheme(recipe, g, r->scheme, err));
    }
    BG_TRY(bg_recipe_plan(*recipe, g, importance, plan, err));
    if (!r->from) return bg_recipe_apply(image, *recipe, g, importance, team, show, progress, err);
    plan->file_bytes = (*image)->bytes; /* its keys are its own */
    return BG_OK;
}

/* The file is made in memory: what the recipe keeps of tensors goes in and comes out whole. */
static bg_status write_image(const request *r, const bg_gguf *g, const bg_importance *importance,
                              bg_quantize_plan *plan, bg_team *team, bg_cli_progress *progress,
                              bg_error *err)
{
    bg_image *image = NULL;
    bg_recipe *recipe = NULL;
    bg_status s = importance ? bg_importance_check(importance, g, err) : BG_OK;
    if (s == BG_OK)
        s = make_image(r, g, importance, &recipe, &image, plan, team, progress, err);
    bg_cli_progress_end(progress);
    if (s == BG_OK && has_text(r)) s = make_better(r, recipe, importance, image, team, err);
    if (s == BG_OK) s = bg_image_write(image, r->out, err);
    bg_image_free(&image);
    bg_recipe_free(&recipe);
    return s;
}

static bg_status quantize(const request *r, bg_quantize_plan *plan, int *threads, bg_error *err)
{
    bg_cli_progress progress = {.what = "quantizing"};
    bg_importance *importance = NULL;
    bg_machine *machine = NULL;
    bg_team *team = NULL;
    bg_gguf *g = NULL;
    bg_status s = bg_gguf_open(&g, r->in, err);
    if (s == BG_OK) s = bg_quantize_try_output(g, r->out, err);
    if (s == BG_OK && r->scheme) s = bg_quantize_plan_file(plan, g, r->scheme, err);
    if (s == BG_OK && r->imatrix) s = bg_importance_open(&importance, r->imatrix, err);
    else if (s == BG_OK && r->no_importance) s = bg_importance_none(&importance, err);
    if (s == BG_OK) s = bg_cli_team(r->threads, false, &machine, &team, err);
    if (s == BG_OK) {
        *threads = bg_team_size(team);
        bg_cli_catch_interrupt();
        s = !r->scheme || has_text(r)
                ? write_image(r, g, importance, plan, team, &progress, err)
                : bg_quantize_file(r->in, r->out, r->scheme, importance, team, show,
                                   &progress, err);
        bg_cli_progress_end(&progress);
    }
    bg_gguf_close(&g);
    bg_team_close(&team);
    bg_machine_close(&machine);
    bg_importance_close(&importance);
    return s;
}

/* A number of threads may come last, where llama-quantize has it. */
static bg_status read_threads(request *r, const char *word, bg_error *err)
{
    char *end;
    long n = word ? strtol(word, &end, 10) : 0;
    if (!word) return BG_OK;
    if (*end || n < 1 || n > 4096)
        return bg_fail(err, BG_ERR_INPUT, NULL, "the number of threads is from 1 to 4096, not '%s'",
                       word);
    if (!r->threads) r->threads = (int)n;
    return BG_OK;
}

/* What would be of no effect. */
static bg_status check_texts(const request *r, bg_error *err)
{
    BG_TRY(bg_cli_tune_check(&r->tune, err));
    if (is_bettered(r) && r->shape)
        return bg_fail(err, BG_ERR_INPUT, "--shape", "has random weights, which nothing makes "
                       "better: leave --feedback and --tune out");
    if (r->calib && !has_text(r))
        return bg_fail(err, BG_ERR_INPUT, "--calib", "is a text for --feedback, --tune or a pruned "
                       "--recipe: give one of them, too");
    if (r->chunks && !r->feedback)
        return bg_fail(err, BG_ERR_INPUT, "--chunks", "goes with --feedback");
    return BG_OK;
}

/* IN OUT SCHEME [THREADS], with --recipe or --from IN OUT [THREADS], or with --shape SCHEME OUT
 * [THREADS]; there OUT may come first too. */
static bg_status read_words(request *r, const char *const *words, size_t n, bg_error *err)
{
    bool swapped, given = r->recipe || r->from;
    BG_TRY(check_texts(r, err));
    if (r->from && (r->recipe || r->imatrix || r->shape))
        return bg_fail(err, BG_ERR_INPUT, NULL, "--from brings formats and blocks with it: leave "
                       "--recipe, --imatrix and --shape out");
    if (r->from && !is_bettered(r))
        return bg_fail(err, BG_ERR_INPUT, NULL, "--from goes on with a file: say how, with "
                       "--feedback or --tune");
    if (!r->shape) {
        if (r->layers || n < (given ? 2 : 3))
            return bg_fail(err, BG_ERR_INPUT, NULL, r->layers
                           ? "--layers goes with --shape" : "too few arguments: give IN.gguf "
                           "OUT.gguf SCHEME; see `bitgauge quantize --help`");
        BG_TRY(bg_cli_model_path(words[0], &r->found, err));
        r->in = r->found;
        r->out = words[1];
        if (given && (words[3] || (words[2] && bg_scheme_find(words[2]))))
            return bg_fail(err, BG_ERR_INPUT, NULL, "%s takes the place of the scheme: give "
                           "IN.gguf OUT.gguf %s FILE",
                           r->from ? "a file to go on from" : "a recipe",
                           r->from ? "--from" : "--recipe");
        BG_TRY(read_threads(r, words[given ? 2 : 3], err));
        return given ? BG_OK : bg_scheme_parse(words[2], &r->scheme, err);
    }
    if (r->imatrix || r->recipe || n > 3)
        return bg_fail(err, BG_ERR_INPUT, NULL, r->imatrix || r->recipe
                       ? "random weights have no importance and no recipe: leave them out"
                       : "too many arguments: with --shape give SCHEME OUT.gguf");
    swapped = !bg_scheme_find(words[0]) && bg_scheme_find(words[1]);
    r->in = r->shape;
    r->out = words[swapped ? 0 : 1];
    BG_TRY(read_threads(r, words[2], err));
    return bg_scheme_parse(words[swapped ? 1 : 0], &r->scheme, err);
}

int bg_cmd_quantize(int argc, char **argv)
{
    request r = {.tune = BG_CLI_TUNE_DEFAULTS};
    const bg_opt options[] = {
        {.type = BG_OPT_INT, .names = "-t --threads", .metavar = "N", .target = &r.threads,
         .min = 1, .max = 4096, .help = "threads (default: one a usable core)"},
        {.type = BG_OPT_FLAG, .names = "--json", .target = &r.json, .help = "print JSON"},
        {.type = BG_OPT_GROUP, .help = "In place of SCHEME"},
        {.type = BG_OPT_TEXT, .names = "--recipe", .metavar = "FILE", .target = &r.recipe,
         .help = "a format for each tensor (see `bitgauge search`); with --calib,\n"
                 "                              --feedback or --tune what is left also makes up\n"
                 "                              for what it prunes"},
        {.type = BG_OPT_TEXT, .names = "--from", .metavar = "FILE", .target = &r.from,
         .help = "a file quantized from IN.gguf, to make better"},
        {.type = BG_OPT_GROUP, .help = "In place of IN.gguf"},
        {.type = BG_OPT_TEXT, .names = "--shape", .metavar = "NAME", .target = &r.shape,
         .help = "a known model with random weights"},
        {.type = BG_OPT_INT, .names = "--layers", .metavar = "N", .target = &r.layers, .min = 1,
         .max = 4096, .help = "of the shape, only the first N layers"},
        {.type = BG_OPT_GROUP, .help = "What makes it better at the same size"},
        {.type = BG_OPT_TEXT, .names = "--imatrix", .metavar = "FILE", .target = &r.imatrix,
         .help = "importance matrix (llama-imatrix's GGUF or .dat file)"},
        {.type = BG_OPT_FLAG, .names = "--no-importance", .target = &r.no_importance,
         .help = "do not estimate importance from the weights where no matrix is given"},
        {.type = BG_OPT_FLAG, .names = "--feedback", .target = &r.feedback,
         .help = "round layer by layer so that outputs change least on a text (minutes)"},
        {.type = BG_OPT_INT, .names = "--chunks", .metavar = "N", .target = &r.chunks, .min = 1,
         .max = 1 << 20, .help = "windows of 512 tokens of it, for --feedback (32 to 128, by\n"
                 "                              the memory that they take)"},
        BG_CLI_TUNE_OPTIONS(r.tune),
        {.type = BG_OPT_TEXT, .names = "--calib", .metavar = "FILE|self", .target = &r.calib,
         .help = "text to round and tune on; self: the model writes it. Default: what\n"
                 "                              came with the model, or self"},
        {.type = BG_OPT_INT, .names = "--seed", .metavar = "N", .target = &r.tune.seed,
         .help = "of the order of the text"},
    };
    const bg_opt_spec spec = {
        .command = "quantize", .usage = "IN.gguf OUT.gguf SCHEME [THREADS] [options]",
        .summary = "Quantizes a model file. The metadata carries over, and llama.cpp loads the\n"
                   "result. `bitgauge schemes` lists the schemes. IN.gguf `embedded` is the model that\n"
                   "comes along. With --shape NAME SCHEME OUT.gguf it writes a file to time: random\n"
                   "weights, no vocabulary.",
        .examples = "  bitgauge quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M\n"
                    "  bitgauge quantize model-f16.gguf small.gguf Q2_K --imatrix imatrix.gguf\n"
                    "  bitgauge quantize model-f16.gguf best.gguf --recipe best.csv\n"
                    "  bitgauge quantize model-f16.gguf better.gguf --from best.gguf --tune 10\n"
                    "  bitgauge quantize --shape tinyllama-1.1b Q4_K_M random.gguf\n",
        .options = options, .n_options = BG_COUNT(options), .min_words = 2, .max_words = 4,
    };
    const char *words[4] = {0};
    bg_quantize_plan plan;
    bg_error err;
    size_t n = 0;
    int threads = 1, status = bg_opt_parse(&spec, argc, argv, words, &n);
    uint64_t start = bg_clock_ns();
    if (status >= 0) return status;
    if (read_words(&r, words, n, &err) != BG_OK ||
        (r.shape ? write_shape : quantize)(&r, &plan, &threads, &err) != BG_OK)
        status = bg_cli_fail(&err);
    else
        status = print_summary(&r, &plan, threads, (double)(bg_clock_ns() - start) * 1e-9);
    bg_free(r.found);
    return status;
}
