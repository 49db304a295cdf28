#include "search/memo.h"

#include "base/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_LIMIT = 256 << 20 };
#define PROGRAM "bitgauge search "
static const char header[] = PROGRAM "3, request %016" PRIx64 "\n";

typedef struct entry { uint64_t key; double value; bool taken; } entry;

struct bg_memo {
    char *path;
    const char *named_by;
    FILE *file;
    entry *table;            /* open addressing, a power of two */
    size_t n, capacity;
};

static entry *place_of(const bg_memo *m, uint64_t key)
{
    size_t i = (size_t)(key * 0x9e3779b97f4a7c15ULL) & (m->capacity - 1);
    while (m->table[i].taken && m->table[i].key != key) i = (i + 1) & (m->capacity - 1);
    return &m->table[i];
}

static bg_status put(bg_memo *m, uint64_t key, double value, bg_error *err)
{
    entry *old = m->table, *e;
    if (2 * m->n >= m->capacity) {
        size_t n = m->capacity, capacity = n ? 2 * n : 1024;
        entry *table = bg_alloc(capacity, sizeof *table);
        if (!table) return bg_fail_nomem(err, "evaluations", capacity * sizeof *table);
        m->table = table;
        m->capacity = capacity;
        for (size_t i = 0; i < n; i++)
            if (old[i].taken) *place_of(m, old[i].key) = old[i];
        bg_free(old);
    }
    e = place_of(m, key);
    m->n += !e->taken;
    *e = (entry){key, value, true};
    return BG_OK;
}

/* Nobody's file is written over, nor what another search has measured for hours. */
static bg_status check_first(const bg_memo *m, const char *text, const char *first, bg_error *err)
{
    if (strncmp(text, first, strlen(first)) == 0) return BG_OK;
    if (strncmp(text, header, strlen(PROGRAM)) != 0)
        return bg_fail(err, BG_ERR_INPUT, m->path, "is there, and holds no evaluations of a "
                       "search: choose another %s", m->named_by);
    return bg_fail(err, BG_ERR_INPUT, m->path, "holds evaluations of another search (model, text, "
                   "matrix, seed, instruction set or version of bitgauge): delete it, or choose "
                   "another %s", m->named_by);
}

/* Values are in hexadecimal: they come back as they were. */
static bg_status read_lines(bg_memo *m, const char *text, uint64_t request, bg_error *err)
{
    char first[80];
    const char *p = text;
    snprintf(first, sizeof first, header, request);
    BG_TRY(check_first(m, text, first, err));
    for (p += strlen(first); *p;) {
        const char *end = strchr(p, '\n');
        char *rest, *last;
        uint64_t key = strtoull(p, &rest, 16);
        double value = strtod(rest, &last);
        if (!end) return BG_OK;
        if (rest != p && last != rest && last == end) BG_TRY(put(m, key, value, err));
        p = end + 1;
    }
    return BG_OK;
}

static bg_status open_file(bg_memo *m, uint64_t request, bg_error *err)
{
    char *text = NULL;
    size_t size;
    bool any = false;
    bg_status s = BG_OK;
    if (bg_file_exists(m->path)) {
        BG_TRY(bg_file_read(&text, &size, m->path, TEXT_LIMIT, err));
        any = *text;
        if (any) s = read_lines(m, text, request, err);
        bg_free(text);
    }
    if (s != BG_OK) return s;
    m->file = fopen(m->path, "a");
    if (!m->file)
        return bg_fail(err, BG_ERR_IO, m->path, "cannot write (%s): choose another folder",
                       strerror(errno));
    fprintf(m->file, any ? "\n" : header, request); /* the last line may have been cut off */
    if (fflush(m->file) == 0) return BG_OK;
    return bg_fail(err, BG_ERR_IO, m->path, "cannot write (%s): free some space", strerror(errno));
}

bg_status bg_memo_open(bg_memo **out, const char *path, const char *named_by, uint64_t request,
                       bg_error *err)
{
    bg_memo *m = bg_alloc(1, sizeof *m);
    bg_status s;
    *out = NULL;
    if (!m) return bg_fail_nomem(err, "evaluations", sizeof *m);
    m->table = bg_alloc(1024, sizeof *m->table);
    m->capacity = m->table ? 1024 : 0;
    m->named_by = named_by ? named_by : "name";
    s = m->table ? BG_OK : bg_fail_nomem(err, "evaluations", 1024 * sizeof *m->table);
    if (s == BG_OK && path) {
        m->path = bg_strdup(path);
        s = m->path ? open_file(m, request, err) : bg_fail_nomem(err, path, strlen(path));
    }
    if (s == BG_OK) *out = m;
    else bg_memo_close(&m, false);
    return s;
}

void bg_memo_close(bg_memo **memo, bool finished)
{
    bg_memo *m = *memo;
    if (!m) return;
    if (m->file) fclose(m->file);
    if (finished && m->path) unlink(m->path);
    bg_free(m->path);
    bg_free(m->table);
    bg_free(m);
    *memo = NULL;
}

bool bg_memo_find(const bg_memo *m, uint64_t key, double *value)
{
    const entry *e = place_of(m, key);
    if (e->taken) *value = e->value;
    return e->taken;
}

bg_status bg_memo_add(bg_memo *m, uint64_t key, double value, bg_error *err)
{
    BG_TRY(put(m, key, value, err));
    if (!m->file) return BG_OK;
    fprintf(m->file, "%016" PRIx64 " %a\n", key, value);
    if (fflush(m->file) == 0) return BG_OK;
    bg_log(BG_LOG_WARN, "%s: cannot write (%s): the search goes on, but if it is stopped, it "
           "cannot be gone on with from here", m->path, strerror(errno));
    fclose(m->file);
    m->file = NULL;
    return BG_OK;
}

size_t bg_memo_count(const bg_memo *m) { return m->n; }
