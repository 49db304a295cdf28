/* Recipes as text. */
#include "base/file.h"
#include "search/recipe.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_LIMIT = 64 << 20 };
static const char header[] = "tensor,format,kept";

/* ---- writing ------------------------------------------------------------------------------ */

static void put_ranges(bg_text *t, const bg_cut *c)
{
    const bg_kept *k = c->kept;
    for (uint32_t i = 0, end; i < k->n; i = end) {
        for (end = i + 1; end < k->n && k->at[end] == k->at[end - 1] + 1;) end++;
        bg_text_printf(t, "%s%llu-%llu", i ? ";" : "", (unsigned long long)k->at[i] * c->unit,
                       ((unsigned long long)k->at[end - 1] + 1) * c->unit - 1);
    }
}

static void put_remark(bg_text *t, const char *remark)
{
    while (remark && *remark) {
        size_t n = strcspn(remark, "\n");
        bg_text_printf(t, "# %.*s\n", (int)n, remark);
        remark += n + (remark[n] == '\n');
    }
}

bg_status bg_recipe_write(const bg_recipe *r, const bg_gguf *g, const char *path,
                          const char *remark, bg_error *err)
{
    bg_text t = {0};
    bg_status s;
    put_remark(&t, remark);
    bg_text_printf(&t, "%s\n", header);
    for (uint32_t l = 0; r->layers && l < r->n_layer; l++)
        if (r->layers[l].dropped) bg_text_printf(&t, "blk.%u,drop,\n", l);
    for (size_t i = 0; i < r->n_tensors; i++) {
        const bg_tensor *from = bg_gguf_tensor_at(g, i);
        bg_cut c = bg_recipe_cut(r, from->name);
        bg_tensor to;
        char name[96];
        if (!bg_recipe_tensor(r, g, i, name, &to)) continue;
        bg_text_printf(&t, "%s,%s,", from->name, bg_gguf_tensor_type_name(to.type_id));
        if (c.axis != BG_CUT_NONE && c.kept->at) put_ranges(&t, &c);
        bg_text_puts(&t, "\n");
    }
    s = t.failed ? bg_fail_nomem(err, path, t.length) : bg_file_write(path, t.data, t.length, err);
    bg_text_fini(&t);
    return s;
}

/* ---- reading ------------------------------------------------------------------------------ */

typedef struct reader {
    const bg_gguf *g;
    bg_recipe *r;
    const char *path;
    size_t line;
    size_t *lines;           /* of each tensor: where it was named; 0: not yet */
    bg_error *err;
} reader;

static bg_status wrong(const reader *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bg_status wrong(const reader *d, const char *format, ...)
{
    bg_status s;
    va_list ap;
    va_start(ap, format);
    s = bg_fail_at(d->err, BG_ERR_INPUT, d->path, "line", d->line, format, ap);
    va_end(ap);
    return s;
}

static bool find_tensor(const bg_gguf *g, const char *name, size_t *i)
{
    for (*i = 0; *i < bg_gguf_tensor_count(g); ++*i)
        if (strcmp(bg_gguf_tensor_at(g, *i)->name, name) == 0) return true;
    return false;
}

static bool read_number(const char **p, uint64_t *n)
{
    char *end;
    if (**p < '0' || **p > '9') return false;
    *n = strtoull(*p, &end, 10);
    *p = end;
    return true;
}

/* Ranges, or nothing for all, into flags of units. */
static bg_status read_ranges(const reader *d, const char *text, const bg_cut *c, uint8_t *flags)
{
    uint64_t first, last, all = (uint64_t)c->units * c->unit;
    if (!*text) memset(flags, 1, c->units);
    for (const char *p = text; *p; p += *p == ';') {
        if (!read_number(&p, &first)) return wrong(d, "'%.60s' is no list of ranges: write "
                                                   "\"0-511;544-767\"", text);
        last = first;
        if (*p == '-' && (p++, !read_number(&p, &last)))
            return wrong(d, "'%.60s' has a range without an end", text);
        if ((*p && *p != ';') || last < first || last >= all)
            return wrong(d, "'%.60s': ranges go up, are separated by ; and end before %llu", text,
                         (unsigned long long)all);
        if (first % c->unit || (last + 1) % c->unit)
            return wrong(d, "'%.60s': %s are kept whole here, %u at a time", text,
                         c->heads ? "heads" : "channels", c->unit);
        for (uint64_t u = first / c->unit; u <= last / c->unit; u++) flags[u] = 1;
    }
    return BG_OK;
}

static bool same_kept(const bg_kept *a, const bg_kept *b)
{
    return a->n == b->n && !a->at == !b->at &&
           (!a->at || memcmp(a->at, b->at, a->n * sizeof *a->at) == 0);
}

/* The first tensor of a layer that has such units decides, the others must agree. */
static bg_status read_kept(reader *d, size_t tensor, const char *text)
{
    bg_cut c = bg_recipe_cut(d->r, bg_gguf_tensor_at(d->g, tensor)->name);
    bg_recipe_layer *layer;
    bg_kept k = {0}, *decided;
    uint8_t *flags;
    bg_status s;
    if (c.axis == BG_CUT_NONE)
        return *text ? wrong(d, "nothing of this tensor can be cut: leave \"kept\" empty") : BG_OK;
    layer = &d->r->layers[c.layer];
    decided = c.heads ? &layer->kv_heads : &layer->ff;
    flags = bg_alloc(c.units, 1);
    if (!flags) return bg_fail_nomem(d->err, "a recipe", c.units);
    s = read_ranges(d, text, &c, flags);
    if (s == BG_OK) s = bg_kept_set(&k, flags, c.units, d->err);
    bg_free(flags);
    if (s != BG_OK) return s;
    for (size_t i = 0; i < d->r->n_tensors; i++) {
        bg_cut other;
        if (!d->lines[i] || i == tensor) continue;
        other = bg_recipe_cut(d->r, bg_gguf_tensor_at(d->g, i)->name);
        if (other.axis == BG_CUT_NONE || other.layer != c.layer || other.heads != c.heads) continue;
        if (!same_kept(decided, &k))
            s = wrong(d, "keeps other %s than line %zu: the tensors of a layer are cut alike",
                      c.heads ? "heads" : "channels", d->lines[i]);
        bg_free(k.at);
        return s;
    }
    bg_free(decided->at);
    *decided = k;
    return BG_OK;
}

static bg_status read_format(reader *d, size_t tensor, const char *text)
{
    const bg_tensor *t = bg_gguf_tensor_at(d->g, tensor);
    const bg_format_info *f;
    if (strcasecmp(text, bg_gguf_tensor_type_name(t->type_id)) == 0) return BG_OK;
    f = bg_format_find(text);
    if (!f || !f->level)
        return wrong(d, "'%.40s' is no format of weights: `bitgauge kernels` lists them", text);
    if (t->n_dims < 2)
        return wrong(d, "this vector stays %s", bg_gguf_tensor_type_name(t->type_id));
    if (t->format == BG_FORMAT_NONE)
        return wrong(d, "the source is %s, which cannot be decoded: take an F16, BF16 or F32 file",
                     bg_gguf_tensor_type_name(t->type_id));
    if (!f->encode) return wrong(d, "%s can be read, but not written", f->name);
    d->r->formats[tensor] = f->format;
    return BG_OK;
}

static bg_status read_drop(reader *d, const char *name)
{
    uint32_t layer;
    const char *rest;
    char dotted[64];
    snprintf(dotted, sizeof dotted, "%.60s.", name);
    if (!d->r->layers || !bg_recipe_layer_of(dotted, &layer, &rest) || *rest ||
        layer >= d->r->n_layer)
        return wrong(d, "'%.60s' is no layer that can be dropped: write \"blk.3,drop,\"", name);
    d->r->layers[layer].dropped = true;
    return BG_OK;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* Cuts the next field off: without the blanks around it, and the quotes that spreadsheets put
 * there.
 * NULL: there is none. */
static char *next_field(char **rest)
{
    char *p = *rest, *end, *comma;
    if (!p) return NULL;
    while (is_blank(*p)) p++;
    end = *p == '"' ? strchr(p + 1, '"') : NULL;
    comma = strchr(end ? end : p, ',');
    *rest = comma ? comma + 1 : NULL;
    if (comma) *comma = 0;
    if (end) {
        *end = 0;
        return p + 1;
    }
    for (end = p + strlen(p); end > p && is_blank(end[-1]);) *--end = 0;
    return p;
}

/* Tensor, format, kept; empty ones may be left out, and follow as spreadsheets fill up. */
static bool read_fields(char *line, char *fields[3])
{
    static char none[] = "";
    char *field;
    for (int i = 0; i < 3; i++) fields[i] = line && (field = next_field(&line)) ? field : none;
    while ((field = next_field(&line)))
        if (*field) return false;
    return true;
}

static bg_status read_line(reader *d, char *line)
{
    char *f[3];
    size_t i;
    if (!read_fields(line, f)) return wrong(d, "has over three columns: write \"%s\"", header);
    if (!*f[1]) return wrong(d, "has no format: write \"%s\"", header);
    if (strcasecmp(f[1], "drop") == 0) return read_drop(d, f[0]);
    if (!find_tensor(d->g, f[0], &i))
        return wrong(d, "%.100s has no tensor '%.80s': the recipe is of another model",
                     bg_gguf_path(d->g), f[0]);
    if (d->lines[i]) return wrong(d, "'%.80s' is on line %zu already", f[0], d->lines[i]);
    BG_TRY(read_format(d, i, f[1]));
    BG_TRY(read_kept(d, i, f[2]));
    d->lines[i] = d->line;
    return BG_OK;
}

static bg_status read_header(const reader *d, char *line)
{
    static const char *const names[] = {"tensor", "format", "kept"};
    char *f[3];
    bool fits = read_fields(line, f);
    for (size_t i = 0; i < BG_COUNT(names); i++) fits &= strcasecmp(f[i], names[i]) == 0;
    return fits ? BG_OK : wrong(d, "is no recipe: the first line is \"%s\"", header);
}

/* What only the whole recipe tells: nothing is forgotten, rows fit, something is left. */
static bg_status check_whole(reader *d)
{
    const bg_recipe *r = d->r;
    if (r->layers && bg_recipe_moved(r, r->n_layer) == 0)
        return bg_fail(d->err, BG_ERR_INPUT, d->path, "drops every layer: keep at least one");
    for (size_t i = 0; i < r->n_tensors; i++) {
        const bg_tensor *from = bg_gguf_tensor_at(d->g, i);
        bg_cut c = bg_recipe_cut(r, from->name);
        bg_tensor to;
        char name[96];
        if (!bg_recipe_tensor(r, d->g, i, name, &to)) continue;
        d->line = d->lines[i];
        d->r->n_unnamed += from->n_dims > 1 && !d->line;
        if (c.axis != BG_CUT_NONE && c.kept->at && !d->lines[i])
            return bg_fail(d->err, BG_ERR_INPUT, d->path, "has no line for '%.80s', whose layer is "
                           "pruned: add it with the %s that it keeps", from->name,
                           c.heads ? "heads" : "channels");
        if (from->format == BG_FORMAT_NONE || bg_format_row_bytes(bg_format_get((int)to.format),
                                                                  to.ne[0]))
            continue;
        return wrong(d, "rows of %llu weights do not fit %s, whose blocks have %u: choose another "
                     "format", (unsigned long long)to.ne[0], bg_format_get((int)to.format)->name,
                     bg_format_get((int)to.format)->block_weights);
    }
    return BG_OK;
}

static bg_status read_lines(reader *d, char *text)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, that some editors write */
    bool headed = false;
    if (strncmp(text, mark, strlen(mark)) == 0) text += strlen(mark);
    for (char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        char *next = p + n + (p[n] == '\n');
        p[n] = 0;
        d->line++;
        /* Nothing, also between commas, or a remark. */
        if (p[strspn(p, ", \t\r")] && p[strspn(p, " \t\"")] != '#') {
            BG_TRY(headed ? read_line(d, p) : read_header(d, p));
            headed = true;
        }
        p = next;
    }
    if (!headed) return bg_fail(d->err, BG_ERR_INPUT, d->path, "is empty");
    return check_whole(d);
}

bg_status bg_recipe_parse(bg_recipe **out, const bg_gguf *g, char *text, size_t size,
                          const char *path, bg_error *err)
{
    reader d = {.g = g, .path = path, .err = err};
    bg_status s;
    *out = NULL;
    s = bg_recipe_new(&d.r, g, err);
    if (s == BG_OK) {
        d.lines = bg_alloc(BG_MAX(d.r->n_tensors, (size_t)1), sizeof *d.lines);
        if (!d.lines) s = bg_fail_nomem(err, "a recipe", d.r->n_tensors * sizeof *d.lines);
    }
    if (s == BG_OK && strlen(text) != size)
        s = bg_fail(err, BG_ERR_INPUT, path, "is no text: give a recipe");
    if (s == BG_OK) s = read_lines(&d, text);
    bg_free(d.lines);
    if (s == BG_OK) *out = d.r;
    else bg_recipe_free(&d.r);
    return s;
}

bg_status bg_recipe_read(bg_recipe **r, const bg_gguf *g, const char *path, bg_error *err)
{
    char *text;
    size_t size;
    bg_status s;
    *r = NULL;
    BG_TRY(bg_file_read(&text, &size, path, TEXT_LIMIT, err));
    s = bg_recipe_parse(r, g, text, size, path, err);
    bg_free(text);
    return s;
}
