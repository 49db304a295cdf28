/* Importance made in memory, and its files. */
#include "base/file.h"
#include "model/imatrix.h"

#include <math.h>
#include <string.h>

bg_status bg_importance_new(bg_importance **out, const char *dataset, uint32_t chunks,
                            uint32_t chunk_tokens, bg_error *err)
{
    BG_TRY(bg_importance_alloc(out, NULL, err));
    (*out)->chunks = chunks;
    (*out)->chunk_tokens = chunk_tokens;
    (*out)->dataset = bg_strdup(dataset);
    if ((*out)->dataset) return BG_OK;
    bg_importance_close(out);
    return bg_fail_nomem(err, "the importance matrix", strlen(dataset));
}

bg_status bg_importance_add(bg_importance *i, const char *tensor, const double *sums, size_t n,
                            uint64_t count, bg_error *err)
{
    bg_importance_entry *e;
    for (size_t k = 0; k < n; k++)
        if (!isfinite(sums[k]) || sums[k] > (double)3e38f)
            return bg_fail(err, BG_ERR_INPUT, NULL, "tensor %s: its input %zu is not finite: the "
                           "model is broken, get a good copy of it", tensor, k);
    BG_TRY(bg_importance_append(i, tensor, strlen(tensor), n, 1, &e, err));
    e->counts[0] = (float)count;
    for (size_t k = 0; k < n; k++) e->values[k] = (float)(sums[k] / (double)BG_MAX(count, 1u));
    return bg_importance_sort(i, err);
}

/* ---- GGUF ------------------------------------------------------------------------------- */

static void put_u64(bg_text *t, uint64_t value, size_t bytes)
{
    for (size_t k = 0; k < bytes; k++) {
        char byte = (char)(value >> 8 * k & 255);
        bg_text_append(t, &byte, 1);
    }
}

static void put_f32(bg_text *t, double value)
{
    float x = (float)value;
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    put_u64(t, word, sizeof word);
}

static bg_status declare_datasets(bg_gguf_writer *w, const bg_importance *i, bg_error *err)
{
    bg_text raw = {0};
    bg_status s;
    put_u64(&raw, BG_GGUF_STRING, 4);
    put_u64(&raw, 1, 8);
    put_u64(&raw, strlen(i->dataset), 8);
    bg_text_puts(&raw, i->dataset);
    s = raw.failed ? bg_fail_nomem(err, "metadata", raw.length)
                   : bg_gguf_writer_raw(w, BG_IMATRIX_DATASETS, BG_GGUF_ARRAY, raw.data,
                                        raw.length, err);
    bg_text_fini(&raw);
    return s;
}

static bg_status declare(bg_gguf_writer *w, const char *tensor, const char *suffix, size_t n,
                         bg_error *err)
{
    char name[512];
    bg_tensor t = {.name = name, .format = BG_FORMAT_F32, .type_id = BG_FORMAT_F32, .n_dims = 1,
                   .ne = {n, 1, 1, 1}, .bytes = n * sizeof(float)};
    snprintf(name, sizeof name, "%s.%s", tensor, suffix);
    return bg_gguf_writer_tensor(w, &t, err);
}

/* Entries are of one matrix each: bg_importance_add makes no others. */
static bg_status write_sums(bg_gguf_writer *w, const bg_importance_entry *e, bg_error *err)
{
    bg_text raw = {0};
    bg_status s = BG_OK;
    for (size_t k = 0; k < e->n; k++) put_f32(&raw, (double)e->values[k] * (double)e->counts[0]);
    if (raw.failed) s = bg_fail_nomem(err, "the importance matrix", e->n * sizeof(float));
    if (s == BG_OK) s = bg_gguf_writer_data(w, raw.data, raw.length, err);
    raw.length = 0;
    put_f32(&raw, (double)e->counts[0]);
    if (s == BG_OK) s = bg_gguf_writer_data(w, raw.data, raw.length, err);
    bg_text_fini(&raw);
    return s;
}

static bg_status fill_gguf(bg_gguf_writer *w, const bg_importance *i, bg_error *err)
{
    BG_TRY(bg_gguf_writer_string(w, "general.type", "imatrix", err));
    if (i->dataset) BG_TRY(declare_datasets(w, i, err)); /* an estimate has none */
    BG_TRY(bg_gguf_writer_u32(w, BG_IMATRIX_CHUNKS, i->chunks, err));
    BG_TRY(bg_gguf_writer_u32(w, BG_IMATRIX_CHUNK_SIZE, i->chunk_tokens, err));
    for (size_t e = 0; e < i->n; e++) {
        BG_TRY(declare(w, i->entries[e].name, "in_sum2", i->entries[e].n, err));
        BG_TRY(declare(w, i->entries[e].name, "counts", 1, err));
    }
    for (size_t e = 0; e < i->n; e++) BG_TRY(write_sums(w, &i->entries[e], err));
    return BG_OK;
}

static bg_status write_gguf(const bg_importance *i, const char *path, bg_error *err)
{
    bg_gguf_writer *w;
    bg_status s;
    BG_TRY(bg_gguf_writer_open(&w, path, err));
    s = fill_gguf(w, i, err);
    if (s == BG_OK) return bg_gguf_writer_finish(&w, err);
    bg_gguf_writer_discard(&w);
    return s;
}

/* ---- .dat ------------------------------------------------------------------------------- */

static void put_text(bg_text *t, const char *s)
{
    put_u64(t, strlen(s), 4);
    bg_text_puts(t, s);
}

/* Values are means times the chunks that their tokens make, at least one. */
static bg_status write_dat(const bg_importance *i, const char *path, bg_error *err)
{
    bg_text t = {0};
    bg_status s;
    put_u64(&t, i->n, 4);
    for (const bg_importance_entry *e = i->entries; e < i->entries + i->n; e++) {
        double calls = ceil((double)e->counts[0] / (double)i->chunk_tokens);
        put_text(&t, e->name);
        put_u64(&t, (uint64_t)calls, 4);
        put_u64(&t, e->n, 4);
        for (size_t k = 0; k < e->n; k++) put_f32(&t, (double)e->values[k] * calls);
    }
    put_u64(&t, i->chunks, 4);
    put_text(&t, i->dataset ? i->dataset : "");
    s = t.failed ? bg_fail_nomem(err, "the importance matrix", t.length)
                 : bg_file_write(path, t.data, t.length, err);
    bg_text_fini(&t);
    return s;
}

bg_status bg_importance_write(const bg_importance *i, const char *path, bg_importance_form form,
                              bg_error *err)
{
    return form == BG_IMPORTANCE_DAT ? write_dat(i, path, err) : write_gguf(i, path, err);
}
