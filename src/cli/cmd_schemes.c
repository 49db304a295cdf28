#include "bitgauge/model.h"
#include "bitgauge/shape.h"
#include "cli/json.h"

#include <string.h>

/* One scheme with what it makes of the model. */
typedef struct line { const bg_scheme *scheme; bg_quantize_plan plan; double bpw; } line;

static void print_table(const bg_gguf *g, const line *lines, size_t n)
{
    char size[32];
    printf("Schemes for %s:\n\n", bg_gguf_path(g));
    printf("%-8s%-8s%8s%12s  %s\n", "scheme", "base", "bpw", "file", "formats");
    for (size_t i = 0; i < n; i++) {
        const bg_quantize_plan *p = &lines[i].plan;
        printf("%-8s%-8s%8.3f%12s  %s%s\n", bg_scheme_name(lines[i].scheme),
               bg_format_get((int)bg_scheme_base(lines[i].scheme))->name, lines[i].bpw,
               bg_format_size(size, sizeof size, (double)p->file_bytes), p->formats,
               p->n_fell_back ? " *" : "");
    }
    for (size_t i = 0; i < n; i++)
        if (lines[i].plan.n_fell_back) {
            printf("\n* some rows of this model do not fit the scheme's format and take a larger "
                   "one\n");
            break;
        }
    printf("\nWhat they do (base is the format of every matrix that is not named):\n\n");
    for (size_t i = 0; i < n; i++)
        printf("%-8s%s\n", bg_scheme_name(lines[i].scheme), bg_scheme_policy(lines[i].scheme));
}

static int print_json(const bg_gguf *g, const line *lines, size_t n)
{
    json_t *schemes = json_array();
    for (size_t i = 0; i < n; i++) {
        const bg_scheme *s = lines[i].scheme;
        const bg_quantize_plan *p = &lines[i].plan;
        json_array_append_new(schemes, json_pack(
            "{s:s, s:i, s:s, s:s, s:f, s:I, s:I, s:s, s:i, s:i, s:s}", "scheme", bg_scheme_name(s),
            "level", bg_scheme_level(s), "suffix", bg_scheme_suffix(s), "base",
            bg_format_get((int)bg_scheme_base(s))->name, "bpw", lines[i].bpw, "file_bytes",
            (json_int_t)p->file_bytes, "weight_bytes", (json_int_t)p->weight_bytes, "formats",
            p->formats, "fell_back", (int)p->n_fell_back, "file_type",
            (int)bg_scheme_file_type(s), "policy", bg_scheme_policy(s)));
    }
    return bg_cli_print_json(json_pack("{s:o, s:o}", "model", bg_cli_json_text(bg_gguf_path(g),
                             strlen(bg_gguf_path(g))), "schemes", schemes));
}

int bg_cmd_schemes(int argc, char **argv)
{
    bool json = false;
    const char *shape_name = NULL;
    const bg_opt options[] = {
        {.type = BG_OPT_TEXT, .names = "--shape", .metavar = "NAME", .target = &shape_name,
         .help = "a known model in place of a file (`info --list-shapes`)"},
        {.type = BG_OPT_FLAG, .names = "--json", .help = "print JSON", .target = &json},
    };
    const bg_opt_spec spec = {
        .command = "schemes", .usage = "[MODEL] [--json]",
        .summary = "Lists the quantization schemes by nominal bits, with what each would make of\n"
                   "the model: bits per weight, file size, formats used.",
        .examples = "  bitgauge schemes\n  bitgauge schemes model-f16.gguf --json\n",
        .options = options, .n_options = BG_COUNT(options), .max_words = 1,
    };
    const char *word = NULL;
    char *path;
    bg_gguf *file = NULL;
    const bg_gguf *g = NULL;
    bg_shape *shape = NULL;
    bg_error err;
    size_t n = bg_scheme_count();
    line *lines;
    int status = bg_opt_parse(&spec, argc, argv, &word, NULL);
    if (status >= 0) return status;
    lines = bg_alloc(n, sizeof *lines);
    bg_status s = lines ? BG_OK : bg_fail_nomem(&err, "schemes", 0);
    if (s == BG_OK && shape_name) {
        s = bg_shape_open(&shape, shape_name, &err);
        g = s == BG_OK ? bg_shape_gguf(shape) : NULL;
    } else if (s == BG_OK && (s = bg_cli_model_path(word, &path, &err)) == BG_OK) {
        s = bg_gguf_open(&file, path, &err);
        g = file;
        bg_free(path);
    }
    for (size_t i = 0; s == BG_OK && i < n; i++) {
        bg_quantize_plan *p = &lines[i].plan;
        lines[i].scheme = bg_scheme_at(i);
        s = bg_quantize_plan_file(p, g, lines[i].scheme, &err);
        if (s == BG_OK && p->n_params == 0)
            s = bg_fail(&err, BG_ERR_INPUT, bg_gguf_path(g), "has no tensors: give a model");
        if (s == BG_OK) lines[i].bpw = 8.0 * (double)p->weight_bytes / (double)p->n_params;
    }
    if (s != BG_OK) status = bg_cli_fail(&err);
    else if (json) status = print_json(g, lines, n);
    else print_table(g, lines, n), status = BG_EXIT_OK;
    bg_gguf_close(&file);
    bg_shape_close(&shape);
    bg_free(lines);
    return status;
}
