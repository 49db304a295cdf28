#include "gguf/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The least that a value (key of one letter, one byte) and a tensor take up: what bounds the
 * counts of the header. */
enum { MIN_VALUE_BYTES = 8 + 1 + 4 + 1, MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };

/* A place in the file. `what` says in errors what is being read. */
typedef struct cursor {
    bg_gguf *g;
    size_t pos;
    const char *what;
    bg_error *err;
} cursor;

static bg_status fail_at(const cursor *c, size_t pos, bg_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static bg_status fail_at(const cursor *c, size_t pos, bg_status status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    bg_fail_at(c->err, status, c->g->path, "byte", pos, format, ap);
    va_end(ap);
    return status;
}

static bg_status fail_truncated(const cursor *c, uint64_t needed)
{
    return fail_at(c, c->pos, BG_ERR_INPUT,
                   "%s needs %llu more bytes, but only %zu are left: the file is truncated or "
                   "damaged; fetch it again", c->what, (unsigned long long)needed,
                   c->g->size - c->pos);
}

/* Steps over n bytes and gives their start; NULL (and the error set) when there are fewer. */
static const uint8_t *take(cursor *c, uint64_t n)
{
    const uint8_t *p = c->g->data + c->pos;
    if (n > c->g->size - c->pos) {
        fail_truncated(c, n);
        return NULL;
    }
    c->pos += n;
    return p;
}

static bg_status take_u32(cursor *c, uint32_t *out)
{
    const uint8_t *p = take(c, 4);
    if (!p) return BG_ERR_INPUT;
    *out = bg_gguf_read_u32(p);
    return BG_OK;
}

static bg_status take_u64(cursor *c, uint64_t *out)
{
    const uint8_t *p = take(c, 8);
    if (!p) return BG_ERR_INPUT;
    *out = bg_gguf_read_u64(p);
    return BG_OK;
}

static bg_status take_string(cursor *c, bg_gguf_string *s)
{
    uint64_t n;
    const uint8_t *p;
    BG_TRY(take_u64(c, &n));
    p = take(c, n);
    if (!p) return BG_ERR_INPUT;
    s->data = (const char *)p;
    s->length = n;
    return BG_OK;
}

/* A key or tensor name as a C string, free with bg_free. Names end up in messages and on
 * terminals, so control characters are refused. */
static bg_status take_name(cursor *c, char **out)
{
    size_t start = c->pos;
    bg_gguf_string s;
    char *copy;
    BG_TRY(take_string(c, &s));
    if (s.length == 0 || s.length > BG_GGUF_MAX_NAME)
        return fail_at(c, start, BG_ERR_INPUT,
                       "%s has a name of %zu bytes, allowed are 1 to %d: the file is damaged",
                       c->what, s.length, (int)BG_GGUF_MAX_NAME);
    for (size_t i = 0; i < s.length; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
            return fail_at(c, start, BG_ERR_INPUT,
                           "%s has a name with control characters: the file is damaged", c->what);
    copy = bg_grow(NULL, s.length + 1, 1);
    if (!copy) return bg_fail_nomem(c->err, "a name", s.length);
    memcpy(copy, s.data, s.length);
    copy[s.length] = 0;
    *out = copy;
    return BG_OK;
}

/* ---- values ----------------------------------------------------------------------------- */

static bg_status skip_elements(cursor *c, const bg_gguf_value *v, uint32_t type)
{
    size_t size = bg_gguf_type_bytes(type);
    uint64_t bytes;
    bg_gguf_string s;
    if (type != BG_GGUF_STRING) {
        if (__builtin_mul_overflow(v->count, (uint64_t)size, &bytes)) bytes = UINT64_MAX;
        return take(c, bytes) ? BG_OK : BG_ERR_INPUT;
    }
    /* Each string has a length of 8 bytes, so a lying count ends here, not in a long loop. */
    if (v->count > (c->g->size - c->pos) / 8)
        return fail_at(c, c->pos, BG_ERR_INPUT,
                       "%s says it has %llu strings, more than the rest of the file can hold: it "
                       "is truncated or damaged; fetch it again", c->what,
                       (unsigned long long)v->count);
    for (uint64_t i = 0; i < v->count; i++) BG_TRY(take_string(c, &s));
    return BG_OK;
}

static bg_status take_value(cursor *c, bg_gguf_value *v)
{
    uint32_t type, element;
    size_t start = c->pos;
    BG_TRY(take_u32(c, &type));
    v->count = 1;
    if (type == BG_GGUF_ARRAY) {
        size_t element_at = c->pos;
        BG_TRY(take_u32(c, &element));
        if (element == BG_GGUF_ARRAY)
            return fail_at(c, element_at, BG_ERR_UNSUPPORTED,
                           "%s is an array of arrays, which bitgauge does not read: write the file "
                           "again without this key", c->what);
        if (element >= BG_GGUF_TYPE_COUNT)
            return fail_at(c, element_at, BG_ERR_INPUT,
                           "%s is an array of unknown type %u: the file is damaged", c->what,
                           element);
        v->element_type = (bg_gguf_type)element;
        BG_TRY(take_u64(c, &v->count));
    } else if (type >= BG_GGUF_TYPE_COUNT) {
        return fail_at(c, start, BG_ERR_INPUT, "%s has unknown type %u: the file is damaged",
                       c->what, type);
    }
    v->type = (bg_gguf_type)type;
    v->data = c->g->data + c->pos;
    start = c->pos;
    BG_TRY(skip_elements(c, v, type == BG_GGUF_ARRAY ? (uint32_t)v->element_type : type));
    v->bytes = c->pos - start;
    return BG_OK;
}

static bg_status read_values(cursor *c, uint64_t count)
{
    bg_gguf *g = c->g;
    char what[160];
    for (uint64_t i = 0; i < count; i++) {
        bg_gguf_value *v = bg_gguf_reserve(g->values, g->n_values, &g->values_capacity, sizeof *v);
        char *key = NULL;
        if (!v) return bg_fail_nomem(c->err, "metadata", (size_t)i * sizeof *v);
        g->values = v;
        v += g->n_values;
        memset(v, 0, sizeof *v);
        snprintf(what, sizeof what, "metadata key %llu of %llu", (unsigned long long)i + 1,
                 (unsigned long long)count);
        c->what = what;
        BG_TRY(take_name(c, &key));
        v->key = key;
        g->n_values++;
        snprintf(what, sizeof what, "metadata key '%.120s'", key);
        BG_TRY(take_value(c, v));
    }
    return BG_OK;
}

static int by_key(const void *a, const void *b)
{
    const bg_gguf_value *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static bg_status index_values(cursor *c)
{
    bg_gguf *g = c->g;
    g->values_by_key = bg_alloc(g->n_values, sizeof *g->values_by_key);
    if (!g->values_by_key) return bg_fail_nomem(c->err, "metadata", g->n_values * sizeof(void *));
    for (size_t i = 0; i < g->n_values; i++) g->values_by_key[i] = &g->values[i];
    qsort(g->values_by_key, g->n_values, sizeof *g->values_by_key, by_key);
    for (size_t i = 1; i < g->n_values; i++)
        if (by_key(&g->values_by_key[i - 1], &g->values_by_key[i]) == 0)
            return bg_fail(c->err, BG_ERR_INPUT, g->path,
                           "metadata key '%.120s' is there twice: the file is damaged",
                           g->values_by_key[i]->key);
    return BG_OK;
}

/* What the metadata says about the file itself. */
static bg_status check_values(cursor *c)
{
    bg_gguf *g = c->g;
    const bg_gguf_value *v = bg_gguf_find(g, BG_GGUF_ALIGNMENT_KEY);
    uint64_t n;
    g->alignment = BG_GGUF_DEFAULT_ALIGNMENT;
    if (v) {
        if (v->type != BG_GGUF_U32 || !bg_gguf_get_u64(g, v->key, &n) || n == 0 || (n & (n - 1)))
            return bg_fail(c->err, BG_ERR_INPUT, g->path,
                           "general.alignment is not a u32 power of two: the file is damaged");
        g->alignment = n;
    }
    g->split_count = 1;
    bg_gguf_get_u64(g, "split.count", &g->split_count);
    bg_gguf_get_u64(g, "split.no", &g->split_no);
    return BG_OK;
}

/* ---- tensors ---------------------------------------------------------------------------- */

/* One entry of the tensor table; its data is looked at once the table's end is known. The offset
 * waits in `bytes`. */
static bg_status take_tensor(cursor *c, bg_tensor *t)
{
    size_t start = c->pos;
    uint64_t offset;
    BG_TRY(take_u32(c, &t->n_dims));
    if (t->n_dims < 1 || t->n_dims > 4)
        return fail_at(c, start, BG_ERR_INPUT, "%s has %u dimensions, allowed are 1 to 4: the file "
                       "is damaged", c->what, t->n_dims);
    for (uint32_t d = 0; d < 4; d++) {
        t->ne[d] = 1;
        if (d < t->n_dims) BG_TRY(take_u64(c, &t->ne[d]));
        if (t->ne[d] == 0)
            return fail_at(c, start, BG_ERR_INPUT, "%s has a dimension of length 0: the file is "
                           "damaged", c->what);
    }
    start = c->pos;
    BG_TRY(take_u32(c, &t->type_id));
    BG_TRY(take_u64(c, &offset));
    if (!bg_gguf_tensor_type_get(t->type_id))
        return fail_at(c, start, BG_ERR_INPUT,
                       "%s has unknown type %u: the file is damaged, or newer than this bitgauge",
                       c->what, t->type_id);
    t->bytes = offset;
    return BG_OK;
}

static bg_status read_tensors(cursor *c, uint64_t count)
{
    bg_gguf *g = c->g;
    char what[160];
    for (uint64_t i = 0; i < count; i++) {
        bg_tensor *t = bg_gguf_reserve(g->tensors, g->n_tensors, &g->tensors_capacity, sizeof *t);
        char *name = NULL;
        if (!t) return bg_fail_nomem(c->err, "the tensor table", (size_t)i * sizeof *t);
        g->tensors = t;
        t += g->n_tensors;
        memset(t, 0, sizeof *t);
        snprintf(what, sizeof what, "entry %llu of %llu in the tensor table",
                 (unsigned long long)i + 1, (unsigned long long)count);
        c->what = what;
        BG_TRY(take_name(c, &name));
        t->name = name;
        g->n_named = ++g->n_tensors;
        snprintf(what, sizeof what, "tensor '%.120s'", name);
        BG_TRY(take_tensor(c, t));
    }
    return BG_OK;
}

/* Places each tensor's data: aligned, and inside the file. */
static bg_status place_tensors(cursor *c)
{
    bg_gguf *g = c->g;
    size_t mask = g->alignment - 1, data_start = (c->pos + mask) & ~mask;
    for (size_t i = 0; i < g->n_tensors; i++) {
        bg_tensor *t = &g->tensors[i];
        const bg_gguf_tensor_type *type = bg_gguf_tensor_type_get(t->type_id);
        size_t offset = t->bytes, begin, end;
        const char *reason = "its type is no longer part of GGUF: quantize the model again";
        t->format = type->format;
        if (!type->block_bytes)
            return bg_fail(c->err, BG_ERR_UNSUPPORTED, g->path, "tensor '%.120s' is %s; %s",
                           t->name, type->name, reason);
        if (!bg_gguf_tensor_bytes(type, t, &t->bytes, &reason))
            return bg_fail(c->err, BG_ERR_INPUT, g->path, "tensor '%.120s' (%s): %s; the file is "
                           "damaged", t->name, type->name, reason);
        if (offset & mask)
            return bg_fail(c->err, BG_ERR_INPUT, g->path, "tensor '%.120s' begins at offset %zu, "
                           "which is no multiple of %zu: the file is damaged", t->name, offset,
                           g->alignment);
        if (g->header.data) continue; /* described only */
        if (__builtin_add_overflow(data_start, offset, &begin) ||
            __builtin_add_overflow(begin, t->bytes, &end))
            end = SIZE_MAX;
        if (end > g->size)
            return bg_fail(c->err, BG_ERR_INPUT, g->path, "tensor '%.120s' needs the file up to "
                           "byte %zu, but it ends at byte %zu: the download is incomplete; fetch "
                           "it again", t->name, end, g->size);
        t->data = g->data + begin;
    }
    return BG_OK;
}

static int by_name(const void *a, const void *b)
{
    const bg_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

bg_status bg_gguf_index_tensors(bg_gguf *g, bg_error *err)
{
    bg_free(g->tensors_by_name);
    g->tensors_by_name = bg_alloc(g->n_tensors, sizeof *g->tensors_by_name);
    if (!g->tensors_by_name)
        return bg_fail_nomem(err, "the tensor table", g->n_tensors * sizeof(void *));
    for (size_t i = 0; i < g->n_tensors; i++) g->tensors_by_name[i] = &g->tensors[i];
    qsort(g->tensors_by_name, g->n_tensors, sizeof *g->tensors_by_name, by_name);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (by_name(&g->tensors_by_name[i - 1], &g->tensors_by_name[i]) == 0)
            return bg_fail(err, BG_ERR_INPUT, g->path,
                           "tensor '%.120s' is there twice: the file is damaged",
                           g->tensors_by_name[i]->name);
    return BG_OK;
}

/* ---- the whole file --------------------------------------------------------------------- */

/* The name of a part of a split model: "...-00002-of-00003.gguf". */
static bool is_split_name(const char *path)
{
    unsigned part, parts;
    char end[8] = "";
    size_t n = strlen(path);
    if (n < 20) return false;
    return sscanf(path + n - 20, "-%5u-of-%5u.%5s", &part, &parts, end) == 3 &&
           strcmp(end, "gguf") == 0 && parts > 1;
}

static bg_status read_header(cursor *c, uint64_t *n_tensors, uint64_t *n_values)
{
    bg_gguf *g = c->g;
    size_t rest;
    c->what = "the header";
    if (g->size == 0)
        return bg_fail(c->err, BG_ERR_INPUT, g->path,
                       "is empty: the download failed; fetch it again");
    if (memcmp(g->data, BG_GGUF_MAGIC, BG_MIN(g->size, (size_t)4)) != 0)
        return bg_fail(c->err, BG_ERR_INPUT, g->path,
                       "is not a GGUF file (it does not begin with 'GGUF'): give a model in GGUF "
                       "form, or convert it with llama.cpp's convert_hf_to_gguf.py");
    if (!take(c, 4)) return BG_ERR_INPUT;
    BG_TRY(take_u32(c, &g->version));
    if (g->version != 0 && (g->version & 0xffff) == 0)
        return bg_fail(c->err, BG_ERR_UNSUPPORTED, g->path,
                       "is a big-endian GGUF file: fetch or convert the little-endian one");
    if (g->version == 1)
        return bg_fail(c->err, BG_ERR_UNSUPPORTED, g->path,
                       "is GGUF version 1, which nothing writes any more: convert the original "
                       "model again, or fetch a newer file");
    if (g->version != 2 && g->version != 3)
        return bg_fail(c->err, BG_ERR_UNSUPPORTED, g->path,
                       "is GGUF version %u, but bitgauge %s reads 2 and 3: take a newer bitgauge, "
                       "or fetch the file again if it may be damaged", g->version, bg_version());
    BG_TRY(take_u64(c, n_tensors));
    BG_TRY(take_u64(c, n_values));
    rest = g->size - c->pos;
    if (*n_values > rest / MIN_VALUE_BYTES || *n_tensors > rest / MIN_TENSOR_BYTES)
        return bg_fail(c->err, BG_ERR_INPUT, g->path,
                       "its header announces %llu tensors and %llu metadata keys, more than its "
                       "%zu bytes can hold: it is truncated or damaged; fetch it again",
                       (unsigned long long)*n_tensors, (unsigned long long)*n_values, g->size);
    return BG_OK;
}

static bg_status parse(bg_gguf *g, bg_error *err)
{
    cursor c = {.g = g, .err = err};
    uint64_t n_tensors = 0, n_values = 0;
    BG_TRY(read_header(&c, &n_tensors, &n_values));
    BG_TRY(read_values(&c, n_values));
    BG_TRY(index_values(&c));
    BG_TRY(check_values(&c));
    if (is_split_name(g->path) && g->split_count <= 1)
        return bg_fail(err, BG_ERR_UNSUPPORTED, g->path,
                       "is named as a part of a split model, but does not say which it is (key "
                       "split.count): merge the parts first with llama-gguf-split --merge "
                       "FIRST-FILE OUT.gguf");
    BG_TRY(read_tensors(&c, n_tensors));
    BG_TRY(place_tensors(&c));
    return bg_gguf_index_tensors(g, err);
}

/* `header` is NULL or what data points at; it is taken. */
static bg_status open_map(bg_gguf **out, bg_map map, bg_text *header, const void *data, size_t size,
                          const char *name, bg_error *err)
{
    bg_gguf *g = bg_alloc(1, sizeof *g);
    bg_status s;
    *out = NULL;
    if (!g) {
        bg_map_close(&map);
        return bg_fail_nomem(err, name, sizeof *g);
    }
    g->map = map;
    if (header) {
        g->header = *header;
        *header = (bg_text){0};
    }
    g->data = data;
    g->size = size;
    g->path = bg_strdup(name);
    s = g->path ? parse(g, err) : bg_fail_nomem(err, name, strlen(name));
    if (s == BG_OK) *out = g;
    else bg_gguf_close(&g);
    return s;
}

bg_status bg_gguf_open_alone(bg_gguf **g, const char *path, bg_error *err)
{
    bg_map map;
    *g = NULL;
    BG_TRY(bg_map_open(&map, path, err));
    return open_map(g, map, NULL, map.data, map.size, path, err);
}

bg_status bg_gguf_open(bg_gguf **g, const char *path, bg_error *err)
{
    bg_status s;
    BG_TRY(bg_gguf_open_alone(g, path, err));
    if ((*g)->split_count <= 1) return BG_OK;
    s = bg_gguf_join(*g, err);
    if (s != BG_OK) bg_gguf_close(g);
    return s;
}

bg_status bg_gguf_open_memory(bg_gguf **g, const void *data, size_t size, const char *name,
                              bg_error *err)
{
    bg_status s;
    BG_TRY(open_map(g, (bg_map){0}, NULL, data, size, name, err));
    if ((*g)->split_count <= 1) return BG_OK;
    s = bg_fail(err, BG_ERR_UNSUPPORTED, name,
                "is one of the %llu files of a split model, and the others are not in memory",
                (unsigned long long)(*g)->split_count);
    bg_gguf_close(g);
    return s;
}

bg_status bg_gguf_open_header(bg_gguf **g, bg_text *header, const char *name, bg_error *err)
{
    return open_map(g, (bg_map){0}, header, header->data, header->length, name, err);
}

void bg_gguf_release(const bg_gguf *g, const void *data, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)data + bytes) / page * page;
    for (size_t i = 0; i < bg_gguf_file_count(g); i++) {
        const bg_map *map = i ? &g->parts[i - 1]->map : &g->map;
        uintptr_t from = (uintptr_t)map->data;
        if (map->data && begin < end && begin >= from && end <= from + map->size)
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
}

void bg_gguf_close(bg_gguf **out)
{
    bg_gguf *g = out ? *out : NULL;
    if (!g) return;
    for (size_t i = 0; i < g->n_values; i++) bg_free((void *)(uintptr_t)g->values[i].key);
    for (size_t i = 0; i < g->n_named; i++) bg_free((void *)(uintptr_t)g->tensors[i].name);
    for (size_t i = 0; g->parts && i + 1 < g->split_count; i++) bg_gguf_close(&g->parts[i]);
    bg_free(g->parts);
    bg_free(g->values_by_key);
    bg_free(g->tensors_by_name);
    bg_free(g->values);
    bg_free(g->tensors);
    bg_free(g->path);
    bg_map_close(&g->map);
    bg_text_fini(&g->header);
    bg_free(g);
    *out = NULL;
}
