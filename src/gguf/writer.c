#include "gguf/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char *key;
    bg_gguf_type type;
    uint8_t *raw;
    size_t bytes;
} entry;

struct bg_gguf_writer {
    bg_outfile *out;         /* NULL: nothing is written */
    bg_text *header;         /* where the header goes instead, or NULL */
    char *path;
    entry *entries;
    size_t n_entries, entries_capacity;
    bg_tensor *tensors;      /* names are copies */
    size_t n_tensors, tensors_capacity;
    size_t alignment;
    bool streaming;          /* header is written, no more declarations */
    size_t tensor, in_tensor;  /* where the data stands: tensor, bytes of it */
};

bg_status bg_gguf_writer_open(bg_gguf_writer **out, const char *path, bg_error *err)
{
    bg_gguf_writer *w = bg_alloc(1, sizeof *w);
    bg_status s = BG_OK;
    *out = NULL;
    if (!w) return bg_fail_nomem(err, "writing GGUF", sizeof *w);
    w->alignment = BG_GGUF_DEFAULT_ALIGNMENT;
    w->path = bg_strdup(path ? path : "");
    if (!w->path) s = bg_fail_nomem(err, "writing GGUF", strlen(path ? path : ""));
    if (s == BG_OK && path) s = bg_outfile_open(&w->out, path, err);
    if (s == BG_OK) *out = w;
    else bg_gguf_writer_discard(&w);
    return s;
}

void bg_gguf_writer_discard(bg_gguf_writer **out)
{
    bg_gguf_writer *w = out ? *out : NULL;
    if (!w) return;
    bg_outfile_discard(&w->out);
    for (size_t i = 0; i < w->n_entries; i++) {
        bg_free(w->entries[i].key);
        bg_free(w->entries[i].raw);
    }
    for (size_t i = 0; i < w->n_tensors; i++) bg_free((void *)(uintptr_t)w->tensors[i].name);
    bg_free(w->entries);
    bg_free(w->tensors);
    bg_free(w->path);
    bg_free(w);
    *out = NULL;
}

/* ---- metadata --------------------------------------------------------------------------- */

static bg_status too_late(const bg_gguf_writer *w, const char *what, bg_error *err)
{
    return bg_fail(err, BG_ERR_INPUT, w->path, "%.80s comes after the first tensor data: declare "
                   "everything before", what);
}

static entry *find_entry(bg_gguf_writer *w, const char *key)
{
    for (size_t i = 0; i < w->n_entries; i++)
        if (strcmp(w->entries[i].key, key) == 0) return &w->entries[i];
    return NULL;
}

/* Appends without looking whether the key is there. raw is prefix and then data. */
static bg_status append_entry(bg_gguf_writer *w, const char *key, bg_gguf_type type,
                              const void *prefix, size_t prefix_bytes, const void *data,
                              size_t bytes, bg_error *err)
{
    entry *e = bg_gguf_reserve(w->entries, w->n_entries, &w->entries_capacity, sizeof *e);
    if (!e) return bg_fail_nomem(err, "metadata", bytes);
    w->entries = e;
    e += w->n_entries;
    e->key = bg_strdup(key);
    e->raw = bg_grow(NULL, prefix_bytes + bytes, 1);
    if (!e->key || !e->raw) {
        bg_free(e->key);
        bg_free(e->raw);
        return bg_fail_nomem(err, "metadata", bytes);
    }
    if (prefix_bytes) memcpy(e->raw, prefix, prefix_bytes);
    if (bytes) memcpy(e->raw + prefix_bytes, data, bytes);
    e->bytes = prefix_bytes + bytes;
    e->type = type;
    w->n_entries++;
    return BG_OK;
}

static bg_status take_alignment(bg_gguf_writer *w, const char *key, bg_gguf_type type,
                                const void *raw, bg_error *err)
{
    uint32_t n;
    if (strcmp(key, BG_GGUF_ALIGNMENT_KEY) != 0) return BG_OK;
    n = type == BG_GGUF_U32 ? bg_gguf_read_u32(raw) : 0;
    if (n == 0 || (n & (n - 1)))
        return bg_fail(err, BG_ERR_INPUT, w->path, "general.alignment is not a u32 power of two");
    w->alignment = n;
    return BG_OK;
}

bg_status bg_gguf_writer_raw(bg_gguf_writer *w, const char *key, bg_gguf_type type, const void *raw,
                             size_t bytes, bg_error *err)
{
    entry *old;
    uint8_t *copy;
    if (w->streaming) return too_late(w, key, err);
    BG_TRY(take_alignment(w, key, type, raw, err));
    old = find_entry(w, key);
    if (!old) return append_entry(w, key, type, NULL, 0, raw, bytes, err);
    copy = bg_grow(NULL, bytes, 1);
    if (!copy) return bg_fail_nomem(err, "metadata", bytes);
    if (bytes) memcpy(copy, raw, bytes);
    bg_free(old->raw);
    old->raw = copy;
    old->bytes = bytes;
    old->type = type;
    return BG_OK;
}

static void store(uint8_t *p, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)(value >> (8 * i));
}

bg_status bg_gguf_writer_u32(bg_gguf_writer *w, const char *key, uint32_t value, bg_error *err)
{
    uint8_t raw[4];
    store(raw, value, sizeof raw);
    return bg_gguf_writer_raw(w, key, BG_GGUF_U32, raw, sizeof raw, err);
}

bg_status bg_gguf_writer_f32(bg_gguf_writer *w, const char *key, float value, bg_error *err)
{
    uint8_t raw[4];
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    store(raw, bits, sizeof raw);
    return bg_gguf_writer_raw(w, key, BG_GGUF_F32, raw, sizeof raw, err);
}

bg_status bg_gguf_writer_bool(bg_gguf_writer *w, const char *key, bool value, bg_error *err)
{
    uint8_t raw = value;
    return bg_gguf_writer_raw(w, key, BG_GGUF_BOOL, &raw, sizeof raw, err);
}

bg_status bg_gguf_writer_string(bg_gguf_writer *w, const char *key, const char *value,
                                bg_error *err)
{
    size_t n = strlen(value);
    uint8_t *raw = bg_grow(NULL, n + 8, 1);
    bg_status s;
    if (!raw) return bg_fail_nomem(err, "metadata", n);
    store(raw, n, 8);
    memcpy(raw + 8, value, n);
    s = bg_gguf_writer_raw(w, key, BG_GGUF_STRING, raw, n + 8, err);
    bg_free(raw);
    return s;
}

bg_status bg_gguf_writer_copy_metadata(bg_gguf_writer *w, const bg_gguf *g,
                                       const char *const *except, bg_error *err)
{
    if (w->streaming) return too_late(w, "metadata", err);
    for (size_t i = 0; i < g->n_values; i++) {
        const bg_gguf_value *v = &g->values[i];
        uint8_t array[12];
        bool skip = false;
        for (const char *const *x = except; x && *x; x++) skip |= strcmp(*x, v->key) == 0;
        if (skip) continue;
        if (v->type == BG_GGUF_ARRAY) {
            store(array, v->element_type, 4);
            store(array + 4, v->count, 8);
        }
        BG_TRY(take_alignment(w, v->key, v->type, v->data, err));
        BG_TRY(append_entry(w, v->key, v->type, array, v->type == BG_GGUF_ARRAY ? sizeof array : 0,
                            v->data, v->bytes, err));
    }
    return BG_OK;
}

/* ---- tensors ---------------------------------------------------------------------------- */

bg_status bg_gguf_writer_tensor(bg_gguf_writer *w, const bg_tensor *t, bg_error *err)
{
    const bg_gguf_tensor_type *type = bg_gguf_tensor_type_get(t->type_id);
    const char *reason = "its type is unknown";
    bg_tensor *copy;
    size_t bytes;
    if (w->streaming) return too_late(w, t->name, err);
    if (!type || !type->block_bytes || !bg_gguf_tensor_bytes(type, t, &bytes, &reason))
        return bg_fail(err, BG_ERR_INPUT, w->path, "tensor '%.120s' cannot be written: %s", t->name,
                       reason);
    copy = bg_gguf_reserve(w->tensors, w->n_tensors, &w->tensors_capacity, sizeof *copy);
    if (!copy) return bg_fail_nomem(err, "the tensor table", sizeof *copy);
    w->tensors = copy;
    copy += w->n_tensors;
    *copy = *t;
    copy->bytes = bytes;
    copy->name = bg_strdup(t->name);
    if (!copy->name) return bg_fail_nomem(err, "the tensor table", sizeof *copy);
    w->n_tensors++;
    return BG_OK;
}

static size_t padded(const bg_gguf_writer *w, size_t n)
{
    return (n + w->alignment - 1) & ~(w->alignment - 1);
}

static size_t header_bytes(const bg_gguf_writer *w)
{
    size_t n = 4 + 4 + 8 + 8;
    for (size_t i = 0; i < w->n_entries; i++)
        n += 8 + strlen(w->entries[i].key) + 4 + w->entries[i].bytes;
    for (size_t i = 0; i < w->n_tensors; i++)
        n += 8 + strlen(w->tensors[i].name) + 4 + 8 * (size_t)w->tensors[i].n_dims + 4 + 8;
    return n;
}

size_t bg_gguf_writer_file_bytes(const bg_gguf_writer *w)
{
    size_t n = padded(w, header_bytes(w));
    for (size_t i = 0; i < w->n_tensors; i++) n += padded(w, w->tensors[i].bytes);
    return n;
}

/* Every write goes through here: what the disk refuses is an error at once, not after hours. */
static bg_status emit(bg_gguf_writer *w, const void *data, size_t bytes, bg_error *err)
{
    if (w->header) bg_text_append(w->header, data, bytes);
    if (!w->out || bytes == 0) return BG_OK;
    errno = 0;
    if (fwrite(data, 1, bytes, bg_outfile_stream(w->out)) == bytes) return BG_OK;
    return bg_fail(err, BG_ERR_IO, w->path, "cannot write (%s): free some space (the file takes "
                   "%zu bytes) or choose another folder", strerror(errno ? errno : EIO),
                   bg_gguf_writer_file_bytes(w));
}

static bg_status emit_number(bg_gguf_writer *w, uint64_t value, size_t bytes, bg_error *err)
{
    uint8_t raw[8];
    store(raw, value, bytes);
    return emit(w, raw, bytes, err);
}

static bg_status emit_string(bg_gguf_writer *w, const char *s, bg_error *err)
{
    BG_TRY(emit_number(w, strlen(s), 8, err));
    return emit(w, s, strlen(s), err);
}

static bg_status emit_padding(bg_gguf_writer *w, size_t n, bg_error *err)
{
    static const uint8_t zeros[64];
    for (size_t left = padded(w, n) - n; left;) {
        size_t some = BG_MIN(left, sizeof zeros);
        BG_TRY(emit(w, zeros, some, err));
        left -= some;
    }
    return BG_OK;
}

static bg_status emit_header(bg_gguf_writer *w, bg_error *err)
{
    size_t offset = 0;
    w->streaming = true;
    BG_TRY(emit(w, BG_GGUF_MAGIC, 4, err));
    BG_TRY(emit_number(w, 3, 4, err));
    BG_TRY(emit_number(w, w->n_tensors, 8, err));
    BG_TRY(emit_number(w, w->n_entries, 8, err));
    for (size_t i = 0; i < w->n_entries; i++) {
        BG_TRY(emit_string(w, w->entries[i].key, err));
        BG_TRY(emit_number(w, w->entries[i].type, 4, err));
        BG_TRY(emit(w, w->entries[i].raw, w->entries[i].bytes, err));
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        const bg_tensor *t = &w->tensors[i];
        BG_TRY(emit_string(w, t->name, err));
        BG_TRY(emit_number(w, t->n_dims, 4, err));
        for (uint32_t d = 0; d < t->n_dims; d++) BG_TRY(emit_number(w, t->ne[d], 8, err));
        BG_TRY(emit_number(w, t->type_id, 4, err));
        BG_TRY(emit_number(w, offset, 8, err));
        offset += padded(w, t->bytes);
    }
    return emit_padding(w, header_bytes(w), err);
}

bg_status bg_gguf_writer_data(bg_gguf_writer *w, const void *data, size_t bytes, bg_error *err)
{
    const bg_tensor *t;
    if (!w->streaming) BG_TRY(emit_header(w, err));
    if (w->tensor >= w->n_tensors || bytes > w->tensors[w->tensor].bytes - w->in_tensor)
        return bg_fail(err, BG_ERR_INPUT, w->path, "more data than the declared tensors take");
    t = &w->tensors[w->tensor];
    BG_TRY(emit(w, data, bytes, err));
    w->in_tensor += bytes;
    if (w->in_tensor < t->bytes) return BG_OK;
    w->tensor++;
    w->in_tensor = 0;
    return emit_padding(w, t->bytes, err);
}

bg_status bg_gguf_writer_finish(bg_gguf_writer **out, bg_error *err)
{
    bg_gguf_writer *w = *out;
    bg_status s = w->streaming ? BG_OK : emit_header(w, err);
    if (s == BG_OK && w->tensor < w->n_tensors)
        s = bg_fail(err, BG_ERR_INPUT, w->path, "tensor '%.120s' got no data, or too little",
                    w->tensors[w->tensor].name);
    if (s == BG_OK && w->out) s = bg_outfile_commit(&w->out, err);
    bg_gguf_writer_discard(out);
    return s;
}

bg_status bg_gguf_writer_describe(bg_gguf_writer **out, const char *name, bg_gguf **g,
                                  bg_error *err)
{
    bg_text header = {0};
    bg_status s;
    *g = NULL;
    (*out)->header = &header;
    s = emit_header(*out, err);
    bg_gguf_writer_discard(out);
    if (s == BG_OK && header.failed) s = bg_fail_nomem(err, name, header.length);
    if (s == BG_OK) s = bg_gguf_open_header(g, &header, name, err);
    bg_text_fini(&header);
    return s;
}
