/* Shapes: read, checked, and turned into the description of a GGUF file. */
#include "model/model.h"
#include "model/shape.h"

#include "base/file.h"

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct bg_shape {
    char *name;
    json_t *json;                 /* owns the texts below */
    const char *title, *family, *source, *architecture_name;
    const bg_architecture *architecture;
    int64_t n_params, n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_vocab, n_ctx;
    double rms_eps, rope_base;
    int tied;
    bg_gguf *gguf;
};

/* ---- describing -------------------------------------------------------------------------- */

static bg_status put_keys(const bg_shape *s, bg_gguf_writer *w, const char *arch, bg_error *err)
{
    const struct { const char *key; int64_t value; } numbers[] = {
        {"block_count", s->n_layer}, {"context_length", s->n_ctx},
        {"embedding_length", s->n_embd}, {"feed_forward_length", s->n_ff},
        {"attention.head_count", s->n_head}, {"attention.head_count_kv", s->n_head_kv},
        {"attention.key_length", s->head_dim}, {"attention.value_length", s->head_dim},
        {"rope.dimension_count", s->head_dim}, {"vocab_size", s->n_vocab},
    };
    const struct { const char *key; double value; } reals[] = {
        {"attention.layer_norm_rms_epsilon", s->rms_eps}, {"rope.freq_base", s->rope_base},
    };
    char key[96];
    BG_TRY(bg_gguf_writer_string(w, "general.architecture", arch, err));
    BG_TRY(bg_gguf_writer_string(w, "general.name", s->title, err));
    BG_TRY(bg_gguf_writer_string(w, "general.description", "random weights: for timing only", err));
    BG_TRY(bg_gguf_writer_u32(w, "general.file_type", 1, err));
    for (size_t i = 0; i < BG_COUNT(numbers); i++) {
        snprintf(key, sizeof key, "%s.%s", arch, numbers[i].key);
        BG_TRY(bg_gguf_writer_u32(w, key, (uint32_t)numbers[i].value, err));
    }
    for (size_t i = 0; i < BG_COUNT(reals); i++) {
        snprintf(key, sizeof key, "%s.%s", arch, reals[i].key);
        BG_TRY(bg_gguf_writer_f32(w, key, (float)reals[i].value, err));
    }
    /* llama.cpp's word for a model without a vocabulary. */
    return bg_gguf_writer_string(w, "tokenizer.ggml.model", "none", err);
}

static bg_status put_tensor(bg_gguf_writer *w, const bg_part *p, const char *part, int64_t layer,
                            uint64_t k, uint64_t rows, bg_error *err)
{
    char name[96];
    bg_tensor t = {.name = name, .n_dims = p->rows == BG_DIM_NONE ? 1 : 2,
                   .type_id = p->rows == BG_DIM_NONE ? BG_FORMAT_F32 : BG_FORMAT_F16,
                   .ne = {k, rows, 1, 1}};
    if (p->per_layer) snprintf(name, sizeof name, "blk.%d.%s", (int)layer, part);
    else snprintf(name, sizeof name, "%s", part);
    return bg_gguf_writer_tensor(w, &t, err);
}

/* A part; of those that the file fuses, the first stands for all. */
static bg_status put_part(const bg_shape *s, bg_gguf_writer *w, const bg_part *p, int64_t layer,
                          bg_error *err)
{
    const bg_hparams h = {.n_embd = (uint32_t)s->n_embd, .head_dim = (uint32_t)s->head_dim,
                          .rope_dim = (uint32_t)s->head_dim, .n_vocab = (uint32_t)s->n_vocab};
    const bg_layer_sizes n = {.n_ff = (uint32_t)s->n_ff, .n_head = (uint32_t)s->n_head,
                              .n_head_kv = (uint32_t)s->n_head_kv};
    const bg_fusion *f = bg_fusion_of_piece(s->architecture, p->name);
    uint64_t rows = bg_dim_size(&h, &n, p->rows);
    if (f && strcmp(f->pieces[0], p->name) != 0) return BG_OK;
    for (size_t i = 1; f && i < BG_FUSION_MOST && f->pieces[i]; i++)
        rows += bg_dim_size(&h, &n, bg_part_find(f->pieces[i])->rows);
    return put_tensor(w, p, f ? f->whole : p->name, layer, bg_dim_size(&h, &n, p->k), rows, err);
}

static bool has_part(const bg_shape *s, const bg_part *p)
{
    if (strcmp(p->name, "output.weight") == 0) return !s->tied;
    if (p->optional) return (p->of & s->architecture->usual) != 0;
    return bg_architecture_has(s->architecture, p);
}

bg_status bg_shape_describe(const bg_shape *s, bg_gguf **g, bg_error *err)
{
    bg_gguf_writer *w;
    bg_status status;
    *g = NULL;
    BG_TRY(bg_gguf_writer_open(&w, NULL, err));
    status = put_keys(s, w, s->architecture_name, err);
    for (size_t i = 0; i < bg_parts_count; i++) {
        const bg_part *p = &bg_parts[i];
        int64_t times = p->per_layer ? s->n_layer : 1;
        if (!has_part(s, p)) continue;
        for (int64_t l = 0; l < times && status == BG_OK; l++)
            status = put_part(s, w, p, l, err);
    }
    if (status == BG_OK) return bg_gguf_writer_describe(&w, s->name, g, err);
    bg_gguf_writer_discard(&w);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------- */

static uint64_t count_params(const bg_gguf *g)
{
    uint64_t n = 0;
    for (size_t i = 0; i < bg_gguf_tensor_count(g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        n += t->ne[0] * t->ne[1];
    }
    return n;
}

static bg_status check_numbers(const bg_shape *s, const char *path, bg_error *err)
{
    const struct { const char *name; int64_t value, max; } numbers[] = {
        {"n_layer", s->n_layer, 4096},   {"n_embd", s->n_embd, 1 << 20},
        {"n_ff", s->n_ff, 1 << 22},      {"n_head", s->n_head, 1 << 16},
        {"n_head_kv", s->n_head_kv, 1 << 16}, {"head_dim", s->head_dim, 1 << 12},
        {"n_vocab", s->n_vocab, 1 << 24}, {"n_ctx", s->n_ctx, 1 << 30},
    };
    for (size_t i = 0; i < BG_COUNT(numbers); i++)
        if (numbers[i].value < 1 || numbers[i].value > numbers[i].max)
            return bg_fail(err, BG_ERR_INPUT, path, "%s is %lld, not from 1 to %lld",
                           numbers[i].name, (long long)numbers[i].value,
                           (long long)numbers[i].max);
    if (s->n_head % s->n_head_kv || s->head_dim % 2 || s->n_head * s->head_dim > 1 << 20)
        return bg_fail(err, BG_ERR_INPUT, path, "%lld heads of %lld cannot share %lld key heads",
                       (long long)s->n_head, (long long)s->head_dim, (long long)s->n_head_kv);
    if (s->n_embd % 32 || s->n_ff % 32 || s->n_head * s->head_dim % 32)
        return bg_fail(err, BG_ERR_INPUT, path, "n_embd, n_ff and n_head * head_dim must be "
                       "multiples of 32, which blocks of weights are");
    if (!(s->rms_eps > 0 && s->rms_eps < 1) || !(s->rope_base > 0 && s->rope_base < 1e30))
        return bg_fail(err, BG_ERR_INPUT, path, "rms_eps or rope_base is out of range");
    return BG_OK;
}

static bg_status find_architecture(bg_shape *s, const char *path, bg_error *err)
{
    char known[128];
    s->architecture = bg_architecture_find(s->architecture_name);
    if (s->architecture) return BG_OK;
    return bg_fail(err, BG_ERR_UNSUPPORTED, path, "architecture '%.40s' is none of %s",
                   s->architecture_name, bg_architecture_list(known, sizeof known));
}

static bg_status read_shape(bg_shape *s, const char *path, bg_error *err)
{
    json_error_t e;
    uint64_t counted;
    s->json = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    if (!s->json ||
        json_unpack_ex(s->json, &e, JSON_STRICT,
                       "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:F, "
                       "s:F, s:b}", "name", &s->title, "family", &s->family, "source", &s->source,
                       "architecture", &s->architecture_name, "n_params", &s->n_params, "n_layer",
                       &s->n_layer, "n_embd", &s->n_embd, "n_ff", &s->n_ff, "n_head", &s->n_head,
                       "n_head_kv", &s->n_head_kv, "head_dim", &s->head_dim, "n_vocab",
                       &s->n_vocab, "n_ctx", &s->n_ctx, "rms_eps", &s->rms_eps, "rope_base",
                       &s->rope_base, "tied_embeddings", &s->tied) != 0)
        return bg_fail(err, BG_ERR_INPUT, path, "is no shape (line %d: %.160s): see "
                       "profiles/models-schema.md", e.line, e.text);
    BG_TRY(check_numbers(s, path, err));
    BG_TRY(find_architecture(s, path, err));
    BG_TRY(bg_shape_describe(s, &s->gguf, err));
    counted = count_params(s->gguf);
    if (counted != (uint64_t)s->n_params)
        return bg_fail(err, BG_ERR_INPUT, path, "n_params is %lld, but the tensors of these sizes "
                       "have %llu weights", (long long)s->n_params, (unsigned long long)counted);
    return BG_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static bg_status fail_unknown(const char *name, bg_error *err)
{
    char **names;
    size_t n;
    const char *near;
    bg_status status;
    BG_TRY(bg_shape_names(&names, &n, err));
    near = bg_nearest(name, (const char *const *)names, n);
    status = bg_fail(err, BG_ERR_INPUT, NULL, "unknown shape '%.60s'%s%s%s; `bitgauge info "
                     "--list-shapes` lists them", name, near ? ": did you mean " : "",
                     near ? near : "", near ? "?" : "");
    bg_shape_names_free(names, n);
    return status;
}

/* "DIR/tiny.json" -> "tiny" */
static char *stem(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = bg_strdup(slash ? slash + 1 : path);
    if (name) name[strlen(name) - strlen(".json")] = 0;
    return name;
}

bg_status bg_shape_open(bg_shape **out, const char *name, bg_error *err)
{
    char relative[160], *path;
    bg_shape *s;
    bg_status status;
    *out = NULL;
    snprintf(relative, sizeof relative, "profiles/models/%s.json", name);
    path = ends_with(name, ".json") ? bg_strdup(name)
           : strchr(name, '/')      ? NULL
                                    : bg_data_path(relative);
    if (!path) return fail_unknown(name, err);
    s = bg_alloc(1, sizeof *s);
    if (s) s->name = stem(path);
    status = s && s->name ? read_shape(s, path, err) : bg_fail_nomem(err, path, sizeof *s);
    bg_free(path);
    if (status == BG_OK) *out = s;
    else bg_shape_close(&s);
    return status;
}

bg_status bg_shape_cut(bg_shape *s, uint32_t n_layer, bg_error *err)
{
    int64_t whole = s->n_layer;
    bg_gguf *g;
    bg_status status;
    if (n_layer < 1 || n_layer > whole)
        return bg_fail(err, BG_ERR_INPUT, "--layers", "%s has %lld layers, not %u", s->name,
                       (long long)whole, n_layer);
    s->n_layer = n_layer;
    status = bg_shape_describe(s, &g, err);
    if (status != BG_OK) {
        s->n_layer = whole;
        return status;
    }
    bg_gguf_close(&s->gguf);
    s->gguf = g;
    s->n_params = (int64_t)count_params(g);
    return BG_OK;
}

void bg_shape_close(bg_shape **shape)
{
    bg_shape *s = shape ? *shape : NULL;
    if (!s) return;
    bg_gguf_close(&s->gguf);
    json_decref(s->json);
    bg_free(s->name);
    bg_free(s);
    *shape = NULL;
}

const char *bg_shape_name(const bg_shape *s) { return s->name; }
const char *bg_shape_title(const bg_shape *s) { return s->title; }
const char *bg_shape_family(const bg_shape *s) { return s->family; }
const char *bg_shape_source(const bg_shape *s) { return s->source; }
uint64_t bg_shape_params(const bg_shape *s) { return (uint64_t)s->n_params; }
const bg_gguf *bg_shape_gguf(const bg_shape *s) { return s->gguf; }

/* ---- the list ---------------------------------------------------------------------------- */

static int is_profile(const struct dirent *e) { return ends_with(e->d_name, ".json"); }

bg_status bg_shape_names(char ***names, size_t *n, bg_error *err)
{
    struct dirent **entries = NULL;
    char *dir = bg_data_path("profiles/models");
    int found = dir ? scandir(dir, &entries, is_profile, alphasort) : -1;
    bool failed = false;
    bg_free(dir);
    *n = 0;
    if (found < 0)
        return bg_fail(err, BG_ERR_IO, "profiles/models", "is not installed: set BITGAUGE_DATA to "
                       "the folder that holds profiles/");
    *names = bg_alloc((size_t)found + 1, sizeof **names);
    for (int i = 0; i < found; i++) {
        if (*names) (*names)[*n] = stem(entries[i]->d_name);
        if (*names && (*names)[*n]) ++*n;
        else failed = true;
        free(entries[i]);
    }
    free(entries);
    if (*names && !failed) return BG_OK;
    bg_shape_names_free(*names, *n);
    *n = 0;
    return bg_fail_nomem(err, "profiles/models", 0);
}

void bg_shape_names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) bg_free(names[i]);
    bg_free(names);
}
