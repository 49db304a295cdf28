#include "cli/cli.h"

#include "bitgauge/exchange.h"
#include "cli/advise_options.h"

#include <string.h>

/* "a|b|c" of all exporters, and their help. */
static bool list_formats(bg_text *choices, bg_text *summary)
{
    const bg_exporter *e;
    bg_text_puts(summary, "Writes the results of a sweep (DIR; default results/latest) in the "
                          "format of another\nprogram. What was not measured is left out. "
                          "Formats:\n\n");
    for (size_t i = 0; (e = bg_exporter_at(i)); i++) {
        bg_text_printf(choices, "%s%s", i ? "|" : "", e->name);
        bg_text_printf(summary, "  %-18s %s\n", e->name, e->summary);
    }
    summary->data[summary->length ? summary->length - 1 : 0] = 0;
    return !choices->failed && !summary->failed;
}

static bg_status write_to(const bg_exporter *e, const bg_results *r, const char *path,
                          bg_error *err)
{
    bg_outfile *f;
    bg_status status;
    if (!path || strcmp(path, "-") == 0) return e->write(r, stdout, err);
    BG_TRY(bg_outfile_open(&f, path, err));
    status = e->write(r, bg_outfile_stream(f), err);
    if (status == BG_OK) return bg_outfile_commit(&f, err);
    bg_outfile_discard(&f);
    return status;
}

static int run(const bg_opt_spec *spec, int argc, char **argv, const char *const *format,
               const char *const *out)
{
    const char *dir = NULL;
    bg_results *results = NULL;
    bg_error err = {.status = BG_OK};
    bg_status status;
    int parsed = bg_opt_parse(spec, argc, argv, &dir, NULL);
    if (parsed >= 0) return parsed;
    if (!*format) {
        fprintf(stderr, "bitgauge export: say which --format; see `bitgauge export --help`\n");
        return BG_EXIT_MISUSE;
    }
    status = bg_cli_results(dir, &results, &err);
    if (status == BG_OK) status = write_to(bg_exporter_find(*format), results, *out, &err);
    bg_results_close(&results);
    return status == BG_OK ? BG_EXIT_OK : bg_cli_fail(&err);
}

int bg_cmd_export(int argc, char **argv)
{
    const char *format = NULL, *out = NULL;
    bg_text choices = {0}, summary = {0};
    bg_error err = {.status = BG_OK};
    int status;
    if (!list_formats(&choices, &summary)) {
        bg_fail_nomem(&err, "the formats", 0);
        status = bg_cli_fail(&err);
    } else {
        const bg_opt options[] = {
            {BG_OPT_TEXT, "-f --format", "NAME", "which", &format, choices.data, 0, 0},
            {BG_OPT_TEXT, "-o --out", "FILE", "where to; default: standard output", &out, NULL, 0,
             0},
        };
        const bg_opt_spec spec = {
            .command = "export", .usage = "[DIR] --format NAME [-o FILE]", .summary = summary.data,
            .examples = "  bitgauge export --format bencher | bencher run --adapter json ...\n"
                        "  bitgauge export results/ci --format github-bigger -o speeds.json\n",
            .options = options, .n_options = BG_COUNT(options), .max_words = 1,
        };
        status = run(&spec, argc, argv, &format, &out);
    }
    bg_text_fini(&choices);
    bg_text_fini(&summary);
    return status;
}
