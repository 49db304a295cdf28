#include "cli/cli.h"

#include "bitgauge/machine.h"
#include "bitgauge/quality.h"
#include "cli/json.h"
#include "cli/text.h"

#include <string.h>

typedef struct request {
    const char *model, *text, *out, *form, *isa;
    int ctx, chunks, threads;
    bool output, json;
} request;

/* What a run holds. */
typedef struct run {
    const request *a;
    bg_machine *machine;
    bg_team *team;
    bg_model *model;
    char *text_path;
    int32_t *tokens;
    size_t n_tokens;
    bg_importance *importance;
    bg_cli_progress progress;
} run;

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bg_status open_model(run *r, bg_error *err)
{
    char *path;
    bg_status s;
    BG_TRY(bg_cli_model_path(r->a->model, &path, err));
    s = bg_model_open(&r->model, path, err);
    bg_free(path);
    return s;
}

/* The text that comes with the embedded model, or the user's. */
static bg_status read_text(run *r, bg_error *err)
{
    r->text_path = r->a->text ? bg_strdup(r->a->text) : bg_calibration_text(r->model);
    if (!r->text_path)
        return bg_fail(err, BG_ERR_INPUT, NULL, "which weights matter shows on a text: give one "
                       "like what the model will read, with --text FILE");
    return bg_cli_read_text(r->text_path, r->model, &r->tokens, &r->n_tokens, err);
}

static bg_status collect(run *r, bg_error *err)
{
    const request *a = r->a;
    bg_importance_options o = {
        .n_ctx = (uint32_t)a->ctx, .max_windows = (uint64_t)a->chunks, .output = a->output,
        .progress = bg_cli_show_steps, .user = &r->progress,
    };
    bg_status s;
    BG_TRY(bg_isa_parse(a->isa, &o.isa, err));
    BG_TRY(open_model(r, err));
    BG_TRY(read_text(r, err));
    BG_TRY(bg_cli_team(a->threads, false, &r->machine, &r->team, err));
    o.team = r->team;
    s = bg_importance_collect(&r->importance, r->model, r->tokens, r->n_tokens,
                              file_name(r->text_path), &o, err);
    if (s != BG_OK && s != BG_ERR_INTERRUPTED && !err->where[0])
        snprintf(err->where, sizeof err->where, "%s", r->text_path);
    if (s != BG_OK) return s;
    return bg_importance_write(r->importance, a->out, strcmp(a->form, "dat") == 0
                               ? BG_IMPORTANCE_DAT : BG_IMPORTANCE_GGUF, err);
}

static int print_summary(const run *r, double seconds)
{
    const request *a = r->a;
    size_t tensors = bg_importance_count(r->importance);
    uint32_t chunks = bg_importance_chunks(r->importance);
    int threads = bg_team_size(r->team);
    if (a->json)
        return bg_cli_print_json(json_pack(
            "{s:o, s:s, s:o, s:I, s:I, s:i, s:i, s:f}", "out",
            bg_cli_json_text(a->out, strlen(a->out)), "format", a->form, "text",
            bg_cli_json_text(r->text_path, strlen(r->text_path)), "tensors", (json_int_t)tensors,
            "chunks", (json_int_t)chunks, "ctx", a->ctx, "threads", threads, "seconds", seconds));
    printf("%s: %zu matrices on %u window%s of %d tokens of %s, %.1f s with %d thread%s\n", a->out,
           tensors, chunks, chunks == 1 ? "" : "s", a->ctx, file_name(r->text_path), seconds,
           threads, threads == 1 ? "" : "s");
    return BG_EXIT_OK;
}

static void run_close(run *r)
{
    bg_importance_close(&r->importance);
    bg_tokens_free(r->tokens);
    bg_model_close(&r->model);
    bg_team_close(&r->team);
    bg_machine_close(&r->machine);
    bg_free(r->text_path);
}

int bg_cmd_imatrix(int argc, char **argv)
{
    request a = {.out = "imatrix.gguf", .form = "gguf", .isa = "native", .ctx = 512};
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-m --model", "FILE", "the model; default: the embedded one", &a.model, NULL,
         0, 0},
        {BG_OPT_TEXT, "-f --text --file", "FILE",
         "text to run it on; the embedded model comes with one", &a.text, NULL, 0, 0},
        {BG_OPT_TEXT, "-o --out --output", "FILE", "what to write (imatrix.gguf)", &a.out, NULL, 0,
         0},
        {BG_OPT_TEXT, "--output-format", "gguf|dat", "the file's form; dat is the older one (gguf)",
         &a.form, "gguf|dat", 0, 0},
        {BG_OPT_FLAG, "--process-output", NULL, "the output matrix too", &a.output, NULL, 0, 0},
        {BG_OPT_INT, "-c --ctx --ctx-size", "N", "tokens of a window (512)", &a.ctx, NULL, 2,
         1 << 20},
        {BG_OPT_INT, "--chunks", "N", "windows at most (0: the whole text)", &a.chunks, NULL, 0,
         1 << 30},
        {BG_OPT_INT, "-t --threads", "N", "threads (0: one a core)", &a.threads, NULL, 0, 4096},
        {BG_OPT_TEXT, "--isa", "NAME", "best instruction set to use (native)", &a.isa, NULL, 0, 0},
        {BG_OPT_FLAG, "--json", NULL, "print JSON", &a.json, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "imatrix", .usage = "[MODEL] [options]",
        .summary = "Finds which weights matter: runs a model over a text and writes an importance\n"
                   "matrix, the mean square of every input of every matrix. Quantizing with it\n"
                   "costs less quality. llama.cpp reads the file, and bitgauge reads llama.cpp's.",
        .examples = "  bitgauge imatrix model-f16.gguf --text calibration.txt --out imatrix.gguf\n"
                    "  bitgauge quantize model-f16.gguf small.gguf Q2_K --imatrix imatrix.gguf\n"
                    "  bitgauge sweep -m model-f16.gguf --imatrix imatrix.gguf\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = 1,
    };
    const char *word = NULL;
    size_t n_words = 0;
    run r = {.a = &a, .progress = {.what = "reading the text"}};
    uint64_t start = bg_clock_ns();
    bg_error err = {0};
    int status = bg_opt_parse(&spec, argc, argv, &word, &n_words);
    if (status >= 0) return status;
    if (n_words) a.model = word;
    bg_cli_catch_interrupt();
    if (collect(&r, &err) != BG_OK) status = bg_cli_fail(&err);
    bg_cli_progress_end(&r.progress);
    if (status < 0) status = print_summary(&r, (double)(bg_clock_ns() - start) * 1e-9);
    run_close(&r);
    return status;
}
