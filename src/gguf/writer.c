#include "gguf/internal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct entry {
    char *key;
    bg_gguf_type type;
    uint8_t *raw;
    size_t bytes;
} entry;

typedef struct target {
    bg_tensor t;             /* its name is a copy */
    size_t offset;           /* in the file, once the header is written */
    _Atomic size_t written;  /* bytes of it */
} target;

struct bg_gguf_writer {
    bg_outfile *out;         /* NULL: nothing is written */
    char *path;
    entry *entries;
    size_t n_entries, entries_capacity;
    target *tensors;
    size_t n_tensors, tensors_capacity;
    size_t alignment;
    bool started;            /* the header is written: no more declarations */
    size_t tensor;           /* the first that appended data have not filled */
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
    for (size_t i = 0; i < w->n_tensors; i++) bg_free((void *)(uintptr_t)w->tensors[i].t.name);
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
    if (w->started) return too_late(w, key, err);
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
    if (w->started) return too_late(w, "metadata", err);
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

bg_status bg_gguf_writer_rename(bg_gguf_writer *w, const char *from, const char *to, bg_error *err)
{
    size_t length = strlen(from), added = strlen(to);
    if (w->started) return too_late(w, from, err);
    for (entry *e = w->entries; e < w->entries + w->n_entries; e++) {
        size_t rest = strlen(e->key) + 1;
        char *key;
        if (strncmp(e->key, from, length) != 0) continue;
        rest -= length;
        key = bg_grow(NULL, added + rest, 1);
        if (!key) return bg_fail_nomem(err, "metadata", added + rest);
        memcpy(key, to, added);
        memcpy(key + added, e->key + length, rest);
        bg_free(e->key);
        e->key = key;
    }
    return BG_OK;
}

/* ---- tensors ---------------------------------------------------------------------------- */

bg_status bg_gguf_writer_tensor(bg_gguf_writer *w, const bg_tensor *t, bg_error *err)
{
    const bg_gguf_tensor_type *type = bg_gguf_tensor_type_get(t->type_id);
    const char *reason = "its type is unknown";
    target *to;
    size_t bytes;
    if (w->started) return too_late(w, t->name, err);
    if (!type || !type->block_bytes || !bg_gguf_tensor_bytes(type, t, &bytes, &reason))
        return bg_fail(err, BG_ERR_INPUT, w->path, "tensor '%.120s' cannot be written: %s", t->name,
                       reason);
    to = bg_gguf_reserve(w->tensors, w->n_tensors, &w->tensors_capacity, sizeof *to);
    if (!to) return bg_fail_nomem(err, "the tensor table", sizeof *to);
    w->tensors = to;
    to += w->n_tensors;
    to->t = *t;
    to->t.bytes = bytes;
    to->t.name = bg_strdup(t->name);
    atomic_init(&to->written, 0);
    if (!to->t.name) return bg_fail_nomem(err, "the tensor table", sizeof *to);
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
        n += 8 + strlen(w->tensors[i].t.name) + 4 + 8 * (size_t)w->tensors[i].t.n_dims + 4 + 8;
    return n;
}

size_t bg_gguf_writer_file_bytes(const bg_gguf_writer *w)
{
    size_t n = padded(w, header_bytes(w));
    for (size_t i = 0; i < w->n_tensors; i++) n += padded(w, w->tensors[i].t.bytes);
    return n;
}

static void put_number(bg_text *header, uint64_t value, size_t bytes)
{
    uint8_t raw[8];
    store(raw, value, bytes);
    bg_text_append(header, (const char *)raw, bytes);
}

static void put_string(bg_text *header, const char *s)
{
    put_number(header, strlen(s), 8);
    bg_text_append(header, s, strlen(s));
}

static bg_status make_header(const bg_gguf_writer *w, bg_text *header, bg_error *err)
{
    size_t offset = 0;
    bg_text_append(header, BG_GGUF_MAGIC, 4);
    put_number(header, 3, 4);
    put_number(header, w->n_tensors, 8);
    put_number(header, w->n_entries, 8);
    for (size_t i = 0; i < w->n_entries; i++) {
        put_string(header, w->entries[i].key);
        put_number(header, w->entries[i].type, 4);
        bg_text_append(header, (const char *)w->entries[i].raw, w->entries[i].bytes);
    }
    for (size_t i = 0; i < w->n_tensors; i++) {
        const bg_tensor *t = &w->tensors[i].t;
        put_string(header, t->name);
        put_number(header, t->n_dims, 4);
        for (uint32_t d = 0; d < t->n_dims; d++) put_number(header, t->ne[d], 8);
        put_number(header, t->type_id, 4);
        put_number(header, offset, 8);
        offset += padded(w, t->bytes);
    }
    while (!header->failed && header->length < padded(w, header_bytes(w)))
        put_number(header, 0, 1);
    return header->failed ? bg_fail_nomem(err, w->path, header_bytes(w)) : BG_OK;
}

/* What the disk refuses is an error at once, not after hours. */
static bg_status fail_to_write(const bg_gguf_writer *w, bg_error *err)
{
    return bg_fail(err, BG_ERR_IO, w->path, "cannot write (%s): free some space (the file takes "
                   "%zu bytes) or choose another folder", strerror(errno),
                   bg_gguf_writer_file_bytes(w));
}

bg_status bg_gguf_writer_start(bg_gguf_writer *w, bg_error *err)
{
    bg_text header = {0};
    bg_status s;
    size_t offset;
    if (w->started) return BG_OK;
    s = make_header(w, &header, err);
    offset = header.length;
    for (size_t i = 0; i < w->n_tensors; i++) {
        w->tensors[i].offset = offset;
        offset += padded(w, w->tensors[i].t.bytes);
    }
    if (s == BG_OK && w->out
        && (!bg_outfile_resize(w->out, offset)
            || !bg_outfile_write_at(w->out, header.data, header.length, 0)))
        s = fail_to_write(w, err);
    bg_text_fini(&header);
    w->started = s == BG_OK;
    return s;
}

bg_status bg_gguf_writer_place(bg_gguf_writer *w, size_t tensor, size_t at, const void *data,
                               size_t bytes, bg_error *err)
{
    target *to = &w->tensors[tensor];
    if (!w->started || tensor >= w->n_tensors || at > to->t.bytes || bytes > to->t.bytes - at)
        return bg_fail(err, BG_ERR_INPUT, w->path, "more data than the declared tensors take");
    if (w->out && !bg_outfile_write_at(w->out, data, bytes, to->offset + at))
        return fail_to_write(w, err);
    atomic_fetch_add(&to->written, bytes);
    return BG_OK;
}

bg_status bg_gguf_writer_data(bg_gguf_writer *w, const void *data, size_t bytes, bg_error *err)
{
    size_t i = w->tensor;
    BG_TRY(bg_gguf_writer_start(w, err));
    while (i < w->n_tensors && w->tensors[i].written == w->tensors[i].t.bytes) i++;
    w->tensor = i;
    return bg_gguf_writer_place(w, i, i < w->n_tensors ? w->tensors[i].written : 0, data, bytes,
                                err);
}

bg_status bg_gguf_writer_finish(bg_gguf_writer **out, bg_error *err)
{
    bg_gguf_writer *w = *out;
    bg_status s = bg_gguf_writer_start(w, err);
    for (size_t i = 0; s == BG_OK && i < w->n_tensors; i++)
        if (w->tensors[i].written != w->tensors[i].t.bytes)
            s = bg_fail(err, BG_ERR_INPUT, w->path, "tensor '%.120s' got no data, or too little",
                        w->tensors[i].t.name);
    if (s == BG_OK && w->out) s = bg_outfile_commit(&w->out, err);
    bg_gguf_writer_discard(out);
    return s;
}

bg_status bg_gguf_writer_describe(bg_gguf_writer **out, const char *name, bg_gguf **g,
                                  bg_error *err)
{
    bg_text header = {0};
    bg_status s = make_header(*out, &header, err);
    *g = NULL;
    bg_gguf_writer_discard(out);
    if (s == BG_OK) s = bg_gguf_open_header(g, &header, name, err);
    bg_text_fini(&header);
    return s;
}

bg_status bg_gguf_writer_image(bg_gguf_writer **out, uint8_t **data, size_t *bytes, bg_error *err)
{
    bg_gguf_writer *w = *out;
    bg_text header = {0};
    bg_status s = make_header(w, &header, err);
    *bytes = bg_gguf_writer_file_bytes(w);
    *data = s == BG_OK ? bg_alloc_large(*bytes) : NULL;
    if (s == BG_OK && !*data) s = bg_fail_nomem(err, w->path, *bytes);
    if (s == BG_OK) memcpy(*data, header.data, header.length);
    bg_text_fini(&header);
    bg_gguf_writer_discard(out);
    return s;
}
