/* Importance matrices: llama.cpp's GGUF files, and the .dat files before them:
 *
 *   i32 entries | entries of: i32 length | name | i32 calls | i32 values | f32 values[]
 *
 * The values are means times `calls`. Behind the entries are i32 chunks and the name of the text,
 * its i32 length first; a file may lack both. */
#include "base/file.h"
#include "model/imatrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef bg_importance_entry entry;

const char *bg_importance_path(const bg_importance *i) { return i->path ? i->path : ""; }
const char *bg_importance_dataset(const bg_importance *i) { return i->dataset; }
uint32_t bg_importance_chunks(const bg_importance *i) { return i->chunks; }
size_t bg_importance_count(const bg_importance *i) { return i->n; }

bg_status bg_importance_alloc(bg_importance **out, const char *path, bg_error *err)
{
    bg_importance *i = bg_alloc(1, sizeof *i);
    *out = i;
    if (i && (!path || (i->path = bg_strdup(path)))) return BG_OK;
    bg_importance_close(out);
    return bg_fail_nomem(err, "the importance matrix", sizeof *i);
}

bg_status bg_importance_none(bg_importance **i, bg_error *err)
{
    return bg_importance_alloc(i, NULL, err);
}

void bg_importance_close(bg_importance **out)
{
    bg_importance *i = out ? *out : NULL;
    if (!i) return;
    for (size_t e = 0; e < i->n; e++) {
        bg_free(i->entries[e].name);
        bg_free(i->entries[e].values);
        bg_free(i->entries[e].counts);
    }
    bg_free(i->entries);
    bg_free(i->path);
    bg_free(i->dataset);
    bg_free(i);
    *out = NULL;
}

static int by_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static const entry *find(const bg_importance *i, const char *name)
{
    const entry key = {.name = (char *)(uintptr_t)name};
    return i->n ? bsearch(&key, i->entries, i->n, sizeof key, by_name) : NULL;
}

const float *bg_importance_find(const bg_importance *i, const char *tensor, size_t n)
{
    const entry *e = find(i, tensor);
    return e && e->n == n ? e->values : NULL;
}

bg_status bg_importance_append(bg_importance *i, const char *name, size_t length, size_t n,
                               size_t matrices, entry **out, bg_error *err)
{
    entry *e;
    if (i->n == i->capacity) {
        size_t bigger = i->capacity ? i->capacity * 2 : 64;
        e = bg_grow(i->entries, bigger, sizeof *e);
        if (!e) return bg_fail_nomem(err, "the importance matrix", bigger * sizeof *e);
        i->entries = e;
        i->capacity = bigger;
    }
    e = &i->entries[i->n];
    *e = (entry){.n = n, .matrices = matrices, .name = bg_alloc(length + 1, 1),
                 .values = bg_alloc(n, sizeof(float)), .counts = bg_alloc(matrices, sizeof(float))};
    i->n++;
    if (!e->name || !e->values || !e->counts)
        return bg_fail_nomem(err, "the importance matrix", n * sizeof(float));
    memcpy(e->name, name, length);
    *out = e;
    return BG_OK;
}

bg_status bg_importance_sort(bg_importance *i, bg_error *err)
{
    if (i->n) qsort(i->entries, i->n, sizeof *i->entries, by_name);
    for (size_t e = 1; e < i->n; e++)
        if (by_name(&i->entries[e - 1], &i->entries[e]) == 0)
            return bg_fail(err, BG_ERR_INPUT, bg_importance_path(i),
                           "has '%.120s' twice: make the file again", i->entries[e].name);
    return BG_OK;
}

static bg_status check_value(const bg_importance *i, const entry *e, float value, bg_error *err)
{
    if (isfinite(value) && value >= 0) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, i->path, "the importance of '%.120s' has a value that is "
                   "negative or not finite: make the file again", e->name);
}

/* ---- GGUF ------------------------------------------------------------------------------- */

/* The mean of a column is its sum by the count of its matrix; an expert that no token reached has
 * neither, and all its columns count the same. */
static bg_status read_sums(bg_importance *i, const bg_gguf *g, const bg_tensor *sums,
                           size_t length, bg_error *err)
{
    char name[512];
    const bg_tensor *counts;
    entry *e;
    uint64_t columns = sums->ne[0], matrices = sums->ne[1] * sums->ne[2] * sums->ne[3];
    if (length + sizeof ".counts" > sizeof name)
        return bg_fail(err, BG_ERR_INPUT, i->path, "tensor '%.120s...' has too long a name",
                       sums->name);
    snprintf(name, sizeof name, "%.*s.counts", (int)length, sums->name);
    counts = bg_gguf_tensor_find(g, name);
    if (!counts)
        return bg_fail(err, BG_ERR_INPUT, i->path, "has '%.120s' but no '%.120s': make the file "
                       "again", sums->name, name);
    if (sums->format != BG_FORMAT_F32 || counts->format != BG_FORMAT_F32 ||
        counts->bytes / sizeof(float) != matrices)
        return bg_fail(err, BG_ERR_INPUT, i->path, "'%.120s' and its counts are not F32 of "
                       "matching shapes: make the file again", sums->name);
    BG_TRY(bg_importance_append(i, sums->name, length, columns * matrices, matrices, &e, err));
    for (uint64_t m = 0; m < matrices; m++) {
        float count;
        memcpy(&count, (const uint8_t *)counts->data + m * sizeof count, sizeof count);
        BG_TRY(check_value(i, e, count, err));
        e->counts[m] = count;
        for (uint64_t c = m * columns; c < (m + 1) * columns; c++) {
            float sum;
            memcpy(&sum, (const uint8_t *)sums->data + c * sizeof sum, sizeof sum);
            e->values[c] = count > 0 ? sum / count : 1.0f;
            BG_TRY(check_value(i, e, e->values[c], err));
        }
    }
    return BG_OK;
}

/* Of the text that it was made of; a file may lack them. */
static bg_status read_origin(bg_importance *i, const bg_gguf *g, bg_error *err)
{
    const bg_gguf_value *names = bg_gguf_find(g, BG_IMATRIX_DATASETS);
    bg_gguf_string name;
    uint64_t chunks;
    size_t offset = 0;
    if (bg_gguf_get_u64(g, BG_IMATRIX_CHUNKS, &chunks)) i->chunks = (uint32_t)chunks;
    if (!names || !bg_gguf_next_string(names, &offset, &name)) return BG_OK;
    i->dataset = bg_alloc(name.length + 1, 1);
    if (!i->dataset) return bg_fail_nomem(err, "the importance matrix", name.length);
    memcpy(i->dataset, name.data, name.length);
    return BG_OK;
}

static bg_status read_gguf(bg_importance *i, const void *data, size_t size, bg_error *err)
{
    static const char suffix[] = ".in_sum2";
    bg_gguf *g;
    bg_status s = BG_OK;
    BG_TRY(bg_gguf_open_memory(&g, data, size, i->path, err));
    for (size_t t = 0; s == BG_OK && t < bg_gguf_tensor_count(g); t++) {
        const bg_tensor *sums = bg_gguf_tensor_at(g, t);
        size_t n = strlen(sums->name);
        if (n >= sizeof suffix && strcmp(sums->name + n - (sizeof suffix - 1), suffix) == 0)
            s = read_sums(i, g, sums, n - (sizeof suffix - 1), err);
    }
    if (s == BG_OK && i->n == 0)
        s = bg_fail(err, BG_ERR_INPUT, i->path, "is a GGUF file but no importance matrix (no "
                    "tensor named *.in_sum2): give the file that imatrix made");
    if (s == BG_OK) s = read_origin(i, g, err);
    bg_gguf_close(&g);
    return s;
}

/* ---- .dat ------------------------------------------------------------------------------- */

typedef struct cursor { const uint8_t *data; size_t size, pos; } cursor;

static bool take_i32(cursor *c, int32_t *out)
{
    const uint8_t *p = c->data + c->pos;
    if (c->size - c->pos < 4) return false;
    *out = (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                     (uint32_t)p[3] << 24);
    c->pos += 4;
    return true;
}

static bg_status fail_dat(const bg_importance *i, const cursor *c, bg_error *err)
{
    return bg_fail(err, BG_ERR_INPUT, i->path, "is no importance matrix, or it is damaged at byte "
                   "%zu: give the file that llama-imatrix made", c->pos);
}

static bg_status read_dat_entry(bg_importance *i, cursor *c, bg_error *err)
{
    int32_t length, calls, n;
    const char *name;
    entry *e;
    if (!take_i32(c, &length) || length < 1 || length > 511 || (size_t)length > c->size - c->pos)
        return fail_dat(i, c, err);
    name = (const char *)c->data + c->pos;
    for (int32_t k = 0; k < length; k++)
        if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f) return fail_dat(i, c, err);
    c->pos += (size_t)length;
    if (!take_i32(c, &calls) || !take_i32(c, &n) || calls < 0 || n < 1 ||
        (size_t)n > (c->size - c->pos) / sizeof(float))
        return fail_dat(i, c, err);
    BG_TRY(bg_importance_append(i, name, (size_t)length, (size_t)n, 1, &e, err));
    e->counts[0] = (float)calls;
    memcpy(e->values, c->data + c->pos, (size_t)n * sizeof(float));
    c->pos += (size_t)n * sizeof(float);
    for (int32_t k = 0; k < n; k++) {
        if (calls > 0) e->values[k] /= (float)calls;
        BG_TRY(check_value(i, e, e->values[k], err));
    }
    return BG_OK;
}

static bg_status read_dat(bg_importance *i, const void *data, size_t size, bg_error *err)
{
    cursor c = {data, size, 0};
    int32_t entries, length;
    if (!take_i32(&c, &entries) || entries < 1) return fail_dat(i, &c, err);
    for (int32_t e = 0; e < entries; e++) BG_TRY(read_dat_entry(i, &c, err));
    if (take_i32(&c, &entries) && entries > 0) i->chunks = (uint32_t)entries;
    if (!take_i32(&c, &length) || length < 1 || (size_t)length > c.size - c.pos) return BG_OK;
    i->dataset = bg_alloc((size_t)length + 1, 1);
    if (!i->dataset) return bg_fail_nomem(err, "the importance matrix", (size_t)length);
    memcpy(i->dataset, c.data + c.pos, (size_t)length);
    return BG_OK;
}

/* ---- both ------------------------------------------------------------------------------- */

bg_status bg_importance_open_memory(bg_importance **out, const void *data, size_t size,
                                    const char *name, bg_error *err)
{
    bg_importance *i;
    bg_status s;
    *out = NULL;
    BG_TRY(bg_importance_alloc(&i, name, err));
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) s = read_gguf(i, data, size, err);
    else s = read_dat(i, data, size, err);
    if (s == BG_OK) s = bg_importance_sort(i, err);
    if (s == BG_OK) *out = i;
    else bg_importance_close(&i);
    return s;
}

bg_status bg_importance_open(bg_importance **out, const char *path, bg_error *err)
{
    bg_map map;
    bg_status s;
    *out = NULL;
    BG_TRY(bg_map_open(&map, path, err));
    s = bg_importance_open_memory(out, map.data, map.size, path, err);
    bg_map_close(&map);
    return s;
}

bg_status bg_importance_check(const bg_importance *i, const bg_gguf *g, bg_error *err)
{
    size_t found = 0;
    if (!i->n) return BG_OK;
    for (size_t k = 0; k < bg_gguf_tensor_count(g); k++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, k);
        const entry *e = find(i, t->name);
        if (!e) continue;
        found++;
        if (e->n != t->ne[0] * t->ne[2])
            return bg_fail(err, BG_ERR_INPUT, i->path, "has %zu values for '%.120s' whose rows "
                           "have %llu weights: it was made for another model", e->n, t->name,
                           (unsigned long long)t->ne[0]);
    }
    if (found) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, i->path, "knows no tensor of this model: it was made for "
                   "another one");
}
