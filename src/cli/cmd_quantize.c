#include "bitgauge/machine.h"
#include "bitgauge/model.h"
#include "cli/json.h"

#include <stdlib.h>
#include <string.h>

typedef struct request {
    const char *in, *out;
    const bg_scheme *scheme;
    const char *imatrix;
    int threads;
    bool json;
} request;

static bool show(void *user, double fraction)
{
    bg_cli_progress_show(user, fraction);
    return !bg_cli_interrupted();
}

static int print_summary(const request *r, const bg_quantize_plan *p, int threads, double seconds)
{
    char size[32];
    double bpw = 8.0 * (double)p->weight_bytes / (double)p->n_params;
    if (r->json)
        return bg_cli_print_json(json_pack(
            "{s:o, s:o, s:s, s:I, s:I, s:I, s:f, s:s, s:i, s:i, s:f}", "in",
            bg_cli_json_text(r->in, strlen(r->in)), "out", bg_cli_json_text(r->out, strlen(r->out)),
            "scheme", bg_scheme_name(r->scheme), "file_bytes", (json_int_t)p->file_bytes,
            "weight_bytes", (json_int_t)p->weight_bytes, "n_params", (json_int_t)p->n_params, "bpw",
            bpw, "formats", p->formats, "fell_back", (int)p->n_fell_back, "threads", threads,
            "seconds", seconds));
    printf("%s: %s, %s, %.2f bits per weight (%s), %.1f s with %d thread%s\n", r->out,
           bg_scheme_name(r->scheme), bg_format_size(size, sizeof size, (double)p->file_bytes), bpw,
           p->formats, seconds, threads, threads == 1 ? "" : "s");
    if (p->n_fell_back)
        printf("%u tensors have rows that do not fit the scheme's format and took a larger one\n",
               p->n_fell_back);
    return BG_EXIT_OK;
}

static bg_status quantize(const request *r, bg_quantize_plan *plan, int *threads, bg_error *err)
{
    bg_cli_progress progress = {.what = "quantizing"};
    bg_importance *importance = NULL;
    bg_machine *machine = NULL;
    bg_team *team = NULL;
    bg_gguf *g = NULL;
    bg_status s = bg_gguf_open(&g, r->in, err);
    if (s == BG_OK) s = bg_quantize_plan_file(plan, g, r->scheme, err);
    bg_gguf_close(&g);
    if (s == BG_OK && r->imatrix) s = bg_importance_open(&importance, r->imatrix, err);
    if (s == BG_OK) s = bg_cli_team(r->threads, &machine, &team, err);
    if (s == BG_OK) {
        *threads = bg_team_size(team);
        bg_cli_catch_interrupt();
        s = bg_quantize_file(r->in, r->out, r->scheme, importance, team, show, &progress, err);
        bg_cli_progress_end(&progress);
    }
    bg_team_close(&team);
    bg_machine_close(&machine);
    bg_importance_close(&importance);
    return s;
}

int bg_cmd_quantize(int argc, char **argv)
{
    request r = {0};
    const bg_opt options[] = {
        {.type = BG_OPT_TEXT, .names = "--imatrix", .metavar = "FILE", .target = &r.imatrix,
         .help = "importance matrix (llama-imatrix's GGUF or .dat file)"},
        {.type = BG_OPT_INT, .names = "-t --threads", .metavar = "N", .target = &r.threads,
         .min = 1, .max = 4096, .help = "threads (default: one a usable core)"},
        {.type = BG_OPT_FLAG, .names = "--json", .target = &r.json, .help = "print JSON"},
    };
    const bg_opt_spec spec = {
        .command = "quantize", .usage = "IN.gguf OUT.gguf SCHEME [THREADS] [options]",
        .summary = "Quantizes a model file. The metadata carries over, and llama.cpp loads the\n"
                   "result. `bitgauge schemes` lists the schemes.",
        .examples = "  bitgauge quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M\n"
                    "  bitgauge quantize model-f16.gguf small.gguf Q2_K --imatrix imatrix.gguf\n",
        .options = options, .n_options = BG_COUNT(options), .min_words = 3, .max_words = 4,
    };
    const char *words[4] = {0};
    bg_quantize_plan plan;
    bg_error err;
    int threads = 1, status = bg_opt_parse(&spec, argc, argv, words, NULL);
    uint64_t start = bg_clock_ns();
    if (status >= 0) return status;
    r.in = words[0];
    r.out = words[1];
    if (words[3]) { /* where llama-quantize has it */
        char *end;
        long n = strtol(words[3], &end, 10);
        if (*end || n < 1 || n > 4096) {
            fprintf(stderr, "bitgauge quantize: the number of threads is from 1 to 4096, not '%s'\n",
                    words[3]);
            return BG_EXIT_MISUSE;
        }
        if (!r.threads) r.threads = (int)n;
    }
    if (bg_scheme_parse(words[2], &r.scheme, &err) != BG_OK ||
        quantize(&r, &plan, &threads, &err) != BG_OK)
        return bg_cli_fail(&err);
    return print_summary(&r, &plan, threads, (double)(bg_clock_ns() - start) * 1e-9);
}
