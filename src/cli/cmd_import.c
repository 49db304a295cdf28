#include "cli/cli.h"

#include "bitgauge/exchange.h"

enum { MAX_FILES = 64, MAX_BYTES = 256 << 20 };

static bg_status add_file(bg_import *i, const char *path, bg_error *err)
{
    char *text;
    size_t n;
    bg_status status;
    BG_TRY(bg_file_read(&text, &n, path, MAX_BYTES, err));
    status = bg_import_add(i, path, text, n, err);
    bg_free(text);
    return status;
}

int bg_cmd_import(int argc, char **argv)
{
    bg_import_options o = {.engine = NULL};
    const char *out = NULL, *files[MAX_FILES];
    size_t n = 0;
    const bg_opt options[] = {
        {BG_OPT_TEXT, "-o --out", "DIR", "the new results folder", &out, NULL, 0, 0},
        {BG_OPT_TEXT, "--engine", "NAME", "what measured it; default: what the file tells, else "
         "llama.cpp", &o.engine, NULL, 0, 0},
        {BG_OPT_TEXT, "--model", "NAME", "of which model all of it is; default: by the file names",
         &o.model, NULL, 0, 0},
    };
    const bg_opt_spec spec = {
        .command = "import", .usage = "FILE... --out DIR [options]",
        .summary = "Makes a results folder, which compare, history, report and export read, from "
                   "what llama-bench\nprinted with -o json, jsonl or csv, or from "
                   "github-action-benchmark entries as `export` writes\nthem. Speeds come from the "
                   "samples; csv has none, so there its mean stands for the median,\nwithout an "
                   "interval.",
        .examples = "  llama-bench -m model-Q4_K_M.gguf -o jsonl >peer.jsonl\n"
                    "  bitgauge import peer.jsonl --out results/peer\n"
                    "  bitgauge compare --cross-machine results/peer results/latest\n",
        .options = options, .n_options = BG_COUNT(options), .min_words = 1, .max_words = MAX_FILES,
    };
    bg_import *import = NULL;
    bg_error err = {.status = BG_OK};
    bg_status status;
    int parsed = bg_opt_parse(&spec, argc, argv, files, &n);
    if (parsed >= 0) return parsed;
    if (!out) {
        fprintf(stderr, "bitgauge import: say where to with --out DIR; see `bitgauge import "
                "--help`\n");
        return BG_EXIT_MISUSE;
    }
    status = bg_import_new(&import, out, &o, &err);
    for (size_t i = 0; i < n && status == BG_OK; i++) status = add_file(import, files[i], &err);
    if (status == BG_OK) status = bg_import_save(import, &err);
    bg_import_close(&import);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}
