/* Getters. Values lie unaligned in the file, so they are put together byte by byte. */
#include "gguf/internal.h"

#include <stdlib.h>
#include <string.h>

static uint64_t read_bytes(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++) x |= (uint64_t)p[i] << (8 * i);
    return x;
}

uint32_t bg_gguf_read_u32(const uint8_t *p) { return (uint32_t)read_bytes(p, 4); }
uint64_t bg_gguf_read_u64(const uint8_t *p) { return read_bytes(p, 8); }

const char *bg_gguf_path(const bg_gguf *g) { return g->path; }
uint32_t bg_gguf_version(const bg_gguf *g) { return g->version; }
size_t bg_gguf_alignment(const bg_gguf *g) { return g->alignment; }
size_t bg_gguf_value_count(const bg_gguf *g) { return g->n_values; }
size_t bg_gguf_tensor_count(const bg_gguf *g) { return g->n_tensors; }

const bg_gguf_value *bg_gguf_value_at(const bg_gguf *g, size_t i)
{
    return i < g->n_values ? &g->values[i] : NULL;
}

const bg_tensor *bg_gguf_tensor_at(const bg_gguf *g, size_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

static int key_order(const void *key, const void *item)
{
    const bg_gguf_value *const *v = item;
    return strcmp(key, (*v)->key);
}

const bg_gguf_value *bg_gguf_find(const bg_gguf *g, const char *key)
{
    const bg_gguf_value **v = bsearch(key, g->values_by_key, g->n_values, sizeof *v, key_order);
    return v ? *v : NULL;
}

static int name_order(const void *name, const void *item)
{
    const bg_tensor *const *t = item;
    return strcmp(name, (*t)->name);
}

const bg_tensor *bg_gguf_tensor_find(const bg_gguf *g, const char *name)
{
    const bg_tensor **t = bsearch(name, g->tensors_by_name, g->n_tensors, sizeof *t, name_order);
    return t ? *t : NULL;
}

/* Where element i lies and its type; NULL when there is none of a fixed size. */
static const uint8_t *element(const bg_gguf_value *v, uint64_t i, bg_gguf_type *type, size_t *size)
{
    *type = v->type == BG_GGUF_ARRAY ? v->element_type : v->type;
    *size = bg_gguf_type_bytes(*type);
    return *size && i < v->count ? v->data + i * *size : NULL;
}

bool bg_gguf_element_i64(const bg_gguf_value *v, uint64_t i, int64_t *out)
{
    bg_gguf_type type;
    size_t size;
    const uint8_t *p = element(v, i, &type, &size);
    uint64_t raw;
    if (!p) return false;
    raw = read_bytes(p, size);
    switch (type) {
    case BG_GGUF_BOOL: *out = raw != 0; return true;
    case BG_GGUF_I8: *out = (int8_t)raw; return true;
    case BG_GGUF_I16: *out = (int16_t)raw; return true;
    case BG_GGUF_I32: *out = (int32_t)raw; return true;
    case BG_GGUF_I64: *out = (int64_t)raw; return true;
    case BG_GGUF_U8: case BG_GGUF_U16: case BG_GGUF_U32: case BG_GGUF_U64:
        if (raw > INT64_MAX) return false;
        *out = (int64_t)raw;
        return true;
    default: return false;
    }
}

bool bg_gguf_element_f64(const bg_gguf_value *v, uint64_t i, double *out)
{
    bg_gguf_type type;
    size_t size;
    const uint8_t *p = element(v, i, &type, &size);
    uint64_t raw;
    uint32_t raw32;
    float single;
    int64_t integer;
    if (!p) return false;
    raw = read_bytes(p, size);
    switch (type) {
    case BG_GGUF_F32:
        raw32 = (uint32_t)raw;
        memcpy(&single, &raw32, sizeof single);
        *out = (double)single;
        return true;
    case BG_GGUF_F64: memcpy(out, &raw, sizeof *out); return true;
    case BG_GGUF_U64: *out = (double)raw; return true;
    default:
        if (!bg_gguf_element_i64(v, i, &integer)) return false;
        *out = (double)integer;
        return true;
    }
}

bool bg_gguf_get_u64(const bg_gguf *g, const char *key, uint64_t *out)
{
    const bg_gguf_value *v = bg_gguf_find(g, key);
    int64_t integer;
    if (!v || v->type == BG_GGUF_ARRAY || v->type == BG_GGUF_BOOL) return false;
    if (v->type == BG_GGUF_U64) {
        *out = bg_gguf_read_u64(v->data);
        return true;
    }
    if (!bg_gguf_element_i64(v, 0, &integer) || integer < 0) return false;
    *out = (uint64_t)integer;
    return true;
}

bool bg_gguf_get_f64(const bg_gguf *g, const char *key, double *out)
{
    const bg_gguf_value *v = bg_gguf_find(g, key);
    if (!v || v->type == BG_GGUF_ARRAY || v->type == BG_GGUF_BOOL) return false;
    return bg_gguf_element_f64(v, 0, out);
}

bool bg_gguf_get_bool(const bg_gguf *g, const char *key, bool *out)
{
    const bg_gguf_value *v = bg_gguf_find(g, key);
    if (!v || v->type != BG_GGUF_BOOL) return false;
    *out = v->data[0] != 0;
    return true;
}

bool bg_gguf_get_string(const bg_gguf *g, const char *key, bg_gguf_string *out)
{
    const bg_gguf_value *v = bg_gguf_find(g, key);
    size_t offset = 0;
    return v && v->type == BG_GGUF_STRING && bg_gguf_next_string(v, &offset, out);
}

bool bg_gguf_next_string(const bg_gguf_value *v, size_t *offset, bg_gguf_string *out)
{
    bg_gguf_type type = v->type == BG_GGUF_ARRAY ? v->element_type : v->type;
    if (type != BG_GGUF_STRING || *offset >= v->bytes) return false;
    out->length = bg_gguf_read_u64(v->data + *offset);
    out->data = (const char *)v->data + *offset + 8;
    *offset += 8 + out->length;
    return true;
}
