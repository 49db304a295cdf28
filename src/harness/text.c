/* The tokens that a sweep runs on: a text, or what the model writes itself. */
#include "harness/harness.h"

#include "base/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LIMIT = 64 << 20 };

void bg_tokens_fini(bg_tokens *t)
{
    bg_tokens_free(t->data);
    t->data = NULL;
    t->count = 0;
}

bg_status bg_tokens_draw(bg_tokens *t, uint32_t n_vocab, bg_error *err)
{
    enum { COUNT = 4096 };
    bg_rng rng;
    t->data = bg_alloc(COUNT, sizeof *t->data);
    if (!t->data) return bg_fail_nomem(err, "tokens", COUNT * sizeof *t->data);
    t->count = COUNT;
    bg_rng_seed(&rng, 1);
    for (size_t i = 0; i < COUNT; i++) t->data[i] = (int32_t)bg_rng_below(&rng, n_vocab);
    return BG_OK;
}

bg_status bg_tokens_read(bg_tokens *t, const bg_model *m, const char *path, bg_error *err)
{
    bg_map map;
    bg_status status;
    BG_TRY(bg_map_open(&map, path, err));
    status = bg_tokenize(bg_model_tokenizer(m), (const char *)map.data, map.size, true, false,
                         &t->data, &t->count, err);
    bg_map_close(&map);
    if (status == BG_OK && t->count == 0) {
        bg_tokens_fini(t);
        return bg_fail(err, BG_ERR_INPUT, path, "is empty: give a text of some thousand words");
    }
    return status;
}

/* The cache is text: "# what wrote it", then token numbers. A cache that does not fit the model
 * or the request is written again. */
static bool parse_cache(bg_tokens *t, const char *text, const char *header, uint32_t n_vocab,
                        size_t want)
{
    const char *p = text + strlen(header);
    size_t n = 0;
    if (strncmp(text, header, strlen(header)) != 0) return false;
    t->data = bg_alloc(want, sizeof *t->data);
    while (t->data && n < want) {
        char *end;
        unsigned long token = strtoul(p, &end, 10);
        if (end == p || token >= n_vocab) break;
        t->data[n++] = (int32_t)token;
        p = end;
    }
    t->count = n;
    if (n == want) return true;
    bg_free(t->data);
    *t = (bg_tokens){0};
    return false;
}

static bg_status write_cache(const bg_tokens *t, const char *path, const char *header,
                             bg_error *err)
{
    bg_outfile *f;
    BG_TRY(bg_outfile_open(&f, path, err));
    fputs(header, bg_outfile_stream(f));
    for (size_t i = 0; i < t->count; i++)
        fprintf(bg_outfile_stream(f), "%d%c", (int)t->data[i], i % 16 == 15 ? '\n' : ' ');
    return bg_outfile_commit(&f, err);
}

bg_status bg_tokens_self(bg_tokens *t, const bg_model *m, const char *dir, size_t windows,
                         const bg_self_text_options *o, bg_error *err)
{
    bg_self_text_options options = *o;
    char header[160], *path = bg_path_join(dir, "self-tokens.txt"), *text = NULL;
    bool cached = false;
    bg_status status = BG_OK;
    options.n_docs = windows;
    options.doc_tokens = BG_WINDOW;
    options.temperature = 1;
    snprintf(header, sizeof header, "# %zu x %d tokens of %s, seed %llu\n", windows, BG_WINDOW,
             bg_model_hparams(m)->name, (unsigned long long)o->seed);
    if (!path) return bg_fail_nomem(err, dir, strlen(dir));
    if (bg_file_exists(path) && bg_file_read(&text, NULL, path, CACHE_LIMIT, NULL) == BG_OK)
        cached = parse_cache(t, text, header, bg_model_hparams(m)->n_vocab, windows * BG_WINDOW);
    bg_free(text);
    if (!cached) {
        status = bg_self_text(m, &options, &t->data, &t->count, err);
        if (status == BG_OK) status = write_cache(t, path, header, err);
    }
    bg_free(path);
    return status;
}
