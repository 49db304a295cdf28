/* Perplexity and KL divergence by llama-perplexity, against a base that it makes once from the
 * source model. */
#include "harness/llama.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Share of the free disk that a base may take. */
static const double BASE_SHARE = 0.4;

static const char BASE[] = "base.kld", TEXT[] = "text.txt";

/* Of a window: its tokens, and 16 bits a word of the vocabulary for each that is scored. */
static uint64_t base_bytes(uint32_t n_vocab)
{
    uint64_t row = 2 * ((n_vocab + 1ull) / 2) + 4;
    return 4 * BG_WINDOW + (BG_WINDOW - 1 - BG_WINDOW / 2) * 2 * row;
}

/* How many windows: those of the sweep, as far as the disk can hold them. */
static bg_status plan_windows(const bg_llama *l, uint64_t *windows, bg_error *err)
{
    const bg_rig *rig = l->rig;
    uint64_t each = base_bytes(bg_model_hparams(rig->source)->n_vocab);
    uint64_t fit = (uint64_t)(BASE_SHARE * (double)bg_workdir_free(&l->work)) / each;
    char size[32];
    *windows = rig->tokens.count / BG_WINDOW;
    if (rig->windows) *windows = BG_MIN(*windows, rig->windows);
    if (fit < *windows)
        bg_log(BG_LOG_WARN, "%s holds the predictions of %llu of %llu windows: llama.cpp's quality "
               "is measured on these", l->work.dir, (unsigned long long)fit,
               (unsigned long long)*windows);
    *windows = BG_MIN(*windows, fit);
    if (*windows) return BG_OK;
    return bg_fail(err, BG_ERR_IO, l->work.dir, "has no room for %s of the source model's "
                   "predictions: set TMPDIR to a larger disk",
                   bg_format_size(size, sizeof size, (double)each));
}

/* The windows that the sweep scores, as text. The first is added once more at the end: the
 * program's tokenizer may make fewer tokens of what was cut. */
static bg_status write_text(const bg_llama *l, uint64_t windows, const char *path, bg_error *err)
{
    const bg_tokens *tokens = &l->rig->tokens;
    const bg_tokenizer *t = bg_model_tokenizer(l->rig->source);
    uint64_t count = tokens->count / BG_WINDOW, step = count / windows;
    bg_text text = {0};
    bg_status status;
    for (uint64_t w = 0; w <= windows; w++)
        for (size_t i = 0; i < BG_WINDOW; i++) {
            int32_t token = tokens->data[w % windows * step * BG_WINDOW + i];
            char piece[512];
            size_t n = bg_token_bytes(t, token, piece, sizeof piece);
            if (token == bg_tokenizer_bos(t) || token == bg_tokenizer_eos(t)) continue;
            if (n <= sizeof piece) bg_text_append(&text, piece, n);
        }
    status = text.failed ? bg_fail_nomem(err, path, text.length)
                         : bg_file_write(path, text.data, text.length, err);
    bg_text_fini(&text);
    return status;
}

/* "... over 16 chunks ...": how many it scored. */
static uint64_t find_chunks(const char *text)
{
    const char *p = strstr(text, " chunks");
    while (p && p > text && p[-1] >= '0' && p[-1] <= '9') p--;
    return p ? strtoull(p, NULL, 10) : 0;
}

/* "version: 4567 (abcdef)" or "version: 0.5.0 (build 1, commit abcdef)" as llama-bench's fields are
 * read: "abcdef (4567)". */
static void read_version(const char *text, char out[64])
{
    static const char *const forms[] = {"version: %lu (%40[0-9a-f])",
                                        "version: %*s (build %lu, commit %40[0-9a-f])"};
    const char *p = text ? strstr(text, "version: ") : NULL;
    char commit[41];
    unsigned long number;
    out[0] = 0;
    for (size_t i = 0; p && i < BG_COUNT(forms); i++)
        if (sscanf(p, forms[i], &number, commit) == 2) {
            snprintf(out, 64, "%s (%lu)", commit, number);
            return;
        }
}

/* A program that does not tell is let be. */
static bg_status ask_version(bg_llama *l, bg_error *err)
{
    bg_process p = {.argv = (const char *const[]){l->perplexity.path, "--version", NULL},
                    .merged = true};
    bg_status status = bg_llama_run(&l->host, &l->perplexity, &p, err);
    char version[64];
    read_version(p.output.data, version);
    bg_text_fini(&p.output);
    if (status == BG_ERR_UNSUPPORTED) return BG_OK;
    return status == BG_OK ? bg_llama_check_version(l, &l->perplexity, version, err) : status;
}

static bg_status make_base(bg_llama *l, const bg_cell *c, bg_error *err)
{
    char base[PATH_MAX], written[PATH_MAX], chunks[24], context[16], threads[16];
    const char *source = bg_gguf_path(bg_model_gguf(l->rig->source));
    /* The file itself, so that tokens are the same. */
    bool whole = l->rig->text && !l->rig->windows;
    const char *text = whole ? l->rig->text : bg_workdir_path(&l->work, TEXT, written);
    const char *const argv[] = {
        l->perplexity.path, "-m", source, "-f", text, "-c", context, "--chunks", chunks, "-t",
        threads, "-ngl", "0", "--kl-divergence-base", bg_workdir_path(&l->work, BASE, base), NULL};
    bg_process p = {.argv = argv, .merged = true};
    uint64_t windows;
    bg_status status;
    BG_TRY(ask_version(l, err));
    BG_TRY(plan_windows(l, &windows, err));
    if (!whole) BG_TRY(write_text(l, windows, text, err));
    snprintf(chunks, sizeof chunks, "%llu", (unsigned long long)windows);
    snprintf(context, sizeof context, "%d", BG_WINDOW);
    snprintf(threads, sizeof threads, "%d", c->threads);
    status = bg_llama_run(&l->host, &l->perplexity, &p, err);
    if (status == BG_OK && !bg_file_exists(base))
        status = bg_fail(err, BG_ERR_UNSUPPORTED, l->perplexity.name, "made no base of the source "
                         "model (--kl-divergence-base): %s", p.last);
    if (status == BG_OK) l->windows = find_chunks(p.output.data ? p.output.data : "");
    if (status == BG_OK && !l->windows)
        status = bg_fail(err, BG_ERR_UNSUPPORTED, l->perplexity.name, "does not say how many "
                         "chunks it scored: %s", p.last);
    bg_text_fini(&p.output);
    return status;
}

/* "Mean    KLD:   0.031 ± 0.001": the numbers after the first colon of a line. */
static bool read_line(const char *line, double *value, double *error)
{
    const char *end = line + strcspn(line, "\n"), *p = memchr(line, ':', (size_t)(end - line));
    char *after;
    if (!p) return false;
    *value = strtod(p + 1, &after);
    if (after == p + 1 || after > end) return false;
    p = error ? memmem(after, (size_t)(end - after), "±", strlen("±")) : NULL;
    if (p) *error = strtod(p + strlen("±"), NULL);
    return true;
}

bg_status bg_llama_parse_quality(const char *text, bg_quality *q, bg_error *err)
{
    const struct { const char *label; double *value, *error, least, most; } lines[] = {
        {"Mean PPL(Q) ", &q->ppl, &q->ppl_se, 1, 1e30},
        {"Mean PPL(base) ", &q->base_ppl, NULL, 1, 1e30},
        {"Mean    KLD:", &q->kld_mean, &q->kld_se, -0.1, 1e6},
        {"Maximum KLD:", &q->kld_max, NULL, -1, 1e6},
        {"99.9%   KLD:", &q->kld_p999, NULL, -1, 1e6},
        {"99.0%   KLD:", &q->kld_p99, NULL, -1, 1e6},
        {"Median  KLD:", &q->kld_median, NULL, -1, 1e6},
        {"RMS ", &q->rms_dp_pct, NULL, 0, 100},
        {"Same top p:", &q->same_top_pct, NULL, 0, 100},
    };
    *q = (bg_quality){.has_base = true, .ppl_se = NAN, .kld_se = NAN};
    for (size_t i = 0; i < BG_COUNT(lines); i++) {
        const char *p = text;
        size_t n = strlen(lines[i].label), shown = n;
        while (p && strncmp(p, lines[i].label, n) != 0) {
            p = strchr(p, '\n');
            if (p) p++;
        }
        while (shown && strchr(" :", lines[i].label[shown - 1])) shown--;
        if (!p || !read_line(p, lines[i].value, lines[i].error))
            return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-perplexity", "does not print '%.*s' for "
                           "--kl-divergence", (int)shown, lines[i].label);
        if (!(*lines[i].value >= lines[i].least && *lines[i].value <= lines[i].most))
            return bg_fail(err, BG_ERR_UNSUPPORTED, "llama-perplexity", "prints %g for '%.*s'",
                           *lines[i].value, (int)shown, lines[i].label);
    }
    return BG_OK;
}

bg_status bg_llama_quality(void *llama, const bg_cell *c, bg_quality *q, bg_error *err)
{
    bg_llama *l = llama;
    char base[PATH_MAX], model[PATH_MAX], context[16], threads[16];
    const char *const argv[] = {
        l->perplexity.path, "-m", bg_llama_model_path(l, c->scheme, model), "-c", context, "-t",
        threads, "-ngl", "0", "--kl-divergence", "--kl-divergence-base",
        bg_workdir_path(&l->work, BASE, base), NULL};
    bg_process p = {.argv = argv, .merged = true};
    bg_status status;
    if (!l->windows) {
        status = make_base(l, c, err);
        if (status != BG_OK && status != BG_ERR_INTERRUPTED) l->perplexity.problem = *err;
        if (status != BG_OK) return status;
    }
    snprintf(context, sizeof context, "%d", BG_WINDOW);
    snprintf(threads, sizeof threads, "%d", c->threads);
    status = bg_llama_run(&l->host, &l->perplexity, &p, err);
    if (status == BG_OK)
        status = bg_llama_parse_quality(p.output.data ? p.output.data : "", q, err);
    q->windows = l->windows;
    q->tokens = l->windows * (BG_WINDOW - 1 - BG_WINDOW / 2);
    bg_text_fini(&p.output);
    return status;
}
