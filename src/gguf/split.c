/* Models in several files: NAME-00001-of-00003.gguf has the metadata, each has some tensors. Keys
 * split.no (from 0), split.count and split.tensors.count say what belongs together. */
#include "gguf/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MARK = 20, MOST = 99999 };      /* "-00001-of-00003.gguf" */

/* The path of part `no` from that of another; free with bg_free. NULL: it is not named as one. */
static char *part_path(const bg_gguf *g, uint64_t no)
{
    char expected[32], mark[32];
    size_t n = strlen(g->path);
    char *path;
    snprintf(expected, sizeof expected, "-%05llu-of-%05llu.gguf",
             (unsigned long long)g->split_no + 1, (unsigned long long)g->split_count);
    snprintf(mark, sizeof mark, "-%05llu-of-%05llu.gguf", (unsigned long long)no + 1,
             (unsigned long long)g->split_count);
    if (n <= MARK || strcmp(g->path + n - MARK, expected) != 0) return NULL;
    path = bg_strdup(g->path);
    if (path) memcpy(path + n - MARK, mark, MARK);
    return path;
}

static bg_status check_first(const bg_gguf *g, bg_error *err)
{
    char *first;
    if (g->split_count > MOST || g->split_no >= g->split_count)
        return bg_fail(err, BG_ERR_INPUT, g->path,
                       "says that it is part %llu of %llu: the file is damaged",
                       (unsigned long long)g->split_no + 1, (unsigned long long)g->split_count);
    first = part_path(g, 0);
    if (!first)
        return bg_fail(err, BG_ERR_INPUT, g->path,
                       "is part %llu of %llu of a split model, and must be named "
                       "NAME-%05llu-of-%05llu.gguf, so that the others can be found",
                       (unsigned long long)g->split_no + 1, (unsigned long long)g->split_count,
                       (unsigned long long)g->split_no + 1, (unsigned long long)g->split_count);
    if (g->split_no > 0)
        bg_fail(err, BG_ERR_INPUT, g->path, "is part %llu of %llu of a split model: give the "
                "first, %.200s", (unsigned long long)g->split_no + 1,
                (unsigned long long)g->split_count, first);
    bg_free(first);
    return g->split_no > 0 ? BG_ERR_INPUT : BG_OK;
}

static bg_status open_part(bg_gguf *g, uint64_t no, bg_error *err)
{
    char *path = part_path(g, no);
    bg_gguf *part;
    bg_error why;
    bg_status s;
    if (!path) return bg_fail_nomem(err, g->path, 0);
    s = bg_gguf_open_alone(&part, path, &why);
    if (s == BG_ERR_IO)
        bg_fail(err, s, g->path, "is part 1 of %llu of a split model, and part %llu, %.200s, "
                "cannot be read: fetch all of them into one folder",
                (unsigned long long)g->split_count, (unsigned long long)no + 1, path);
    else if (s != BG_OK && err) *err = why;
    bg_free(path);
    if (s != BG_OK) return s;
    g->parts[no - 1] = part;
    if (part->split_no != no || part->split_count != g->split_count)
        return bg_fail(err, BG_ERR_INPUT, part->path,
                       "says that it is part %llu of %llu, its name says otherwise: fetch it again",
                       (unsigned long long)part->split_no + 1,
                       (unsigned long long)part->split_count);
    return BG_OK;
}

static bg_status take_tensors(bg_gguf *g, const bg_gguf *part, bg_error *err)
{
    for (size_t i = 0; i < part->n_tensors; i++) {
        bg_tensor *t = bg_gguf_reserve(g->tensors, g->n_tensors, &g->tensors_capacity, sizeof *t);
        if (!t) return bg_fail_nomem(err, "the tensor table", g->n_tensors * sizeof *t);
        g->tensors = t;
        t[g->n_tensors++] = part->tensors[i];
    }
    return BG_OK;
}

bg_status bg_gguf_join(bg_gguf *g, bg_error *err)
{
    uint64_t announced;
    BG_TRY(check_first(g, err));
    g->parts = bg_alloc(g->split_count, sizeof *g->parts);
    if (!g->parts) return bg_fail_nomem(err, g->path, g->split_count * sizeof *g->parts);
    for (uint64_t no = 1; no < g->split_count; no++) {
        BG_TRY(open_part(g, no, err));
        BG_TRY(take_tensors(g, g->parts[no - 1], err));
    }
    if (bg_gguf_get_u64(g, "split.tensors.count", &announced) && announced != g->n_tensors)
        return bg_fail(err, BG_ERR_INPUT, g->path,
                       "announces %llu tensors in all its parts, which have %zu: they do not "
                       "belong together", (unsigned long long)announced, g->n_tensors);
    return bg_gguf_index_tensors(g, err);
}

size_t bg_gguf_file_count(const bg_gguf *g) { return g->parts ? (size_t)g->split_count : 1; }

const char *bg_gguf_file_path(const bg_gguf *g, size_t i)
{
    return i ? g->parts[i - 1]->path : g->path;
}

size_t bg_gguf_file_bytes(const bg_gguf *g)
{
    size_t bytes = 0;
    for (size_t i = 0; i < bg_gguf_file_count(g); i++) bytes += i ? g->parts[i - 1]->size : g->size;
    return bytes;
}
