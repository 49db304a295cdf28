/* A recipe applied: a whole file in memory. */
#include "base/file.h"
#include "base/team.h"
#include "model/model.h"
#include "search/recipe.h"

#include <string.h>

/* ---- the keys of a pruned file ------------------------------------------------------------ */

/* One of a layer's sizes, which the file may give for each layer. */
typedef struct size_key {
    const char *name;
    uint32_t (*of)(const bg_recipe *r, uint32_t layer);
} size_key;

static uint32_t ff_of(const bg_recipe *r, uint32_t l) { return r->layers[l].ff.n; }
static uint32_t kv_heads_of(const bg_recipe *r, uint32_t l) { return r->layers[l].kv_heads.n; }
static uint32_t heads_of(const bg_recipe *r, uint32_t l)
{
    return r->layers[l].kv_heads.n * (r->n_head / r->n_head_kv);
}

static const char *full_key(const bg_gguf *g, const char *name, char key[128])
{
    bg_gguf_string architecture = {"", 0};
    bg_gguf_get_string(g, "general.architecture", &architecture);
    snprintf(key, 128, "%.*s.%s", (int)BG_MIN(architecture.length, (size_t)64), architecture.data,
             name);
    return key;
}

static void put_u32(bg_text *t, uint32_t value)
{
    for (int i = 0; i < 32; i += 8) {
        char c = (char)(value >> i);
        bg_text_append(t, &c, 1);
    }
}

/* A number where all layers have the same, else an array. */
static bg_status write_sizes(bg_gguf_writer *w, const bg_recipe *r, const char *key,
                             const size_key *k, bool *uneven, bg_error *err)
{
    uint32_t first = 0, n = bg_recipe_moved(r, r->n_layer);
    bool same = true, any = false;
    bg_text raw = {0};
    bg_status s;
    put_u32(&raw, BG_GGUF_U32);
    put_u32(&raw, n);
    put_u32(&raw, 0);
    for (uint32_t l = 0; l < r->n_layer; l++) {
        if (r->layers[l].dropped) continue;
        if (!any) first = k->of(r, l);
        same &= k->of(r, l) == first;
        any = true;
        put_u32(&raw, k->of(r, l));
    }
    if (same) s = bg_gguf_writer_u32(w, key, first, err);
    else if (raw.failed) s = bg_fail_nomem(err, key, raw.length);
    else s = bg_gguf_writer_raw(w, key, BG_GGUF_ARRAY, raw.data, raw.length, err);
    bg_text_fini(&raw);
    *uneven |= !same;
    return s;
}

/* llama.cpp knows layers of different sizes by this name, and in llama refuses them. */
static bg_status rename_uneven(bg_gguf_writer *w, const bg_gguf *g, bg_error *err)
{
    bg_gguf_string architecture;
    if (!bg_gguf_get_string(g, "general.architecture", &architecture) ||
        architecture.length != 5 || memcmp(architecture.data, "llama", 5) != 0)
        return BG_OK;
    BG_TRY(bg_gguf_writer_rename(w, "llama.", "deci.", err));
    return bg_gguf_writer_string(w, "general.architecture", "deci", err);
}

static bg_status write_pruned_keys(bg_gguf_writer *w, const bg_recipe *r, const bg_gguf *g,
                                   bg_error *err)
{
    static const size_key keys[] = {{"feed_forward_length", ff_of},
                                    {"attention.head_count", heads_of},
                                    {"attention.head_count_kv", kv_heads_of}};
    static const char *const widths[] = {"attention.key_length", "attention.value_length"};
    const struct { const char *key; uint32_t value; } source[] = {
        {BG_KEY_SOURCE_LAYERS, r->n_layer}, {BG_KEY_SOURCE_FF, r->n_ff},
        {BG_KEY_SOURCE_KV_HEADS, r->n_head_kv}};
    char key[128];
    bool uneven = false;
    for (size_t i = 0; i < BG_COUNT(source); i++)
        BG_TRY(bg_gguf_writer_u32(w, source[i].key, source[i].value, err));
    BG_TRY(bg_gguf_writer_u32(w, full_key(g, "block_count", key),
                              bg_recipe_moved(r, r->n_layer), err));
    for (size_t i = 0; i < BG_COUNT(keys); i++)
        BG_TRY(write_sizes(w, r, full_key(g, keys[i].name, key), &keys[i], &uneven, err));
    /* By default a head's width follows from the number of heads, which has changed. */
    for (size_t i = 0; i < BG_COUNT(widths); i++)
        BG_TRY(bg_gguf_writer_u32(w, full_key(g, widths[i], key), r->head_dim, err));
    return uneven ? rename_uneven(w, g, err) : BG_OK;
}

/* Over all layers. */
static uint64_t sum_of(const bg_gguf *g, const char *name, uint64_t n_layer)
{
    char key[128];
    const bg_gguf_value *v = bg_gguf_find(g, full_key(g, name, key));
    uint64_t sum = 0;
    for (uint64_t l = 0; v && l < n_layer; l++) {
        int64_t n = 0;
        bg_gguf_element_i64(v, v->type == BG_GGUF_ARRAY ? l : 0, &n);
        sum += (uint64_t)BG_MAX(n, 0);
    }
    return sum;
}

bool bg_pruned_describe(const bg_gguf *g, char *words, size_t size)
{
    static const struct { const char *source, *now, *what; } parts[] = {
        {NULL, NULL, "layers"},
        {BG_KEY_SOURCE_FF, "feed_forward_length", "feed-forward channels"},
        {BG_KEY_SOURCE_KV_HEADS, "attention.head_count_kv", "key-value heads"},
    };
    enum { MOST_LAYERS = 4096, MOST_EACH = 1 << 24 };
    uint64_t layers, left = 0;
    char key[128];
    size_t used = 0;
    if (!bg_gguf_get_u64(g, BG_KEY_SOURCE_LAYERS, &layers) || layers > MOST_LAYERS) return false;
    bg_gguf_get_u64(g, full_key(g, "block_count", key), &left);
    left = BG_MIN(left, layers);
    for (size_t i = 0; i < BG_COUNT(parts); i++) {
        uint64_t each = 1, now = left;
        if (parts[i].source && !bg_gguf_get_u64(g, parts[i].source, &each)) continue;
        if (parts[i].now) now = sum_of(g, parts[i].now, left);
        if (each > MOST_EACH || now >= layers * each || used >= size) continue;
        used += (size_t)snprintf(words + used, size - used, "%s%llu of %llu %s", used ? ", " : "",
                                 (unsigned long long)(layers * each - now),
                                 (unsigned long long)(layers * each), parts[i].what);
    }
    return used > 0;
}

/* ---- declaring ---------------------------------------------------------------------------- */

/* Weights of matrices that have the format which a scheme gives them. */
static uint64_t weights_as(const bg_recipe *r, const bg_gguf *g, const bg_scheme *s,
                           const bg_scheme_model *facts)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        bg_tensor to;
        char name[96];
        if (t->n_dims > 1 && bg_recipe_tensor(r, g, i, name, &to) &&
            bg_scheme_tensor_format(s, facts, t->name, t->n_dims, t->ne, NULL) == to.format)
            n += to.ne[0] * to.ne[1] * to.ne[2] * to.ne[3];
    }
    return n;
}

/* What the file mostly is: the number of the scheme that gives most weights the format that they
 * have; 0, which is F32's, where none gives any. */
static uint32_t file_type(const bg_recipe *r, const bg_gguf *g)
{
    bg_scheme_model facts = bg_scheme_facts(g);
    uint64_t most = 0;
    uint32_t type = 0;
    for (size_t i = 0; i < bg_scheme_count(); i++) {
        uint64_t n = weights_as(r, g, bg_scheme_at(i), &facts);
        if (n > most) type = bg_scheme_file_type(bg_scheme_at(i));
        most = BG_MAX(most, n);
    }
    return type;
}

bg_status bg_recipe_declare(const bg_recipe *r, const bg_gguf *g, const bg_importance *importance,
                            bg_gguf_writer *w, bg_quantize_plan *plan, bg_error *err)
{
    uint64_t bytes[BG_FORMAT_IDS] = {0};
    memset(plan, 0, sizeof *plan);
    BG_TRY(bg_quantize_keys(w, g, file_type(r, g), importance, err));
    if (bg_recipe_pruned(r)) BG_TRY(write_pruned_keys(w, r, g, err));
    for (size_t i = 0; i < r->n_tensors; i++) {
        const bg_tensor *from = bg_gguf_tensor_at(g, i);
        bg_tensor to;
        char name[96];
        if (!bg_recipe_tensor(r, g, i, name, &to)) continue;
        if (from->format == BG_FORMAT_NONE && to.format != BG_FORMAT_NONE)
            return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                           "tensor '%.120s' is %s, which bitgauge cannot decode: quantize from an "
                           "F16, BF16 or F32 file", from->name,
                           bg_gguf_tensor_type_name(from->type_id));
        if (to.format != BG_FORMAT_NONE && !to.bytes)
            return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g), "rows of '%.120s' do not fit %s",
                           from->name, bg_gguf_tensor_type_name(to.type_id));
        BG_TRY(bg_gguf_writer_tensor(w, &to, err));
        bg_quantize_count(plan, bytes, from, &to);
    }
    plan->file_bytes = bg_gguf_writer_file_bytes(w);
    bg_quantize_list(plan, bytes);
    return BG_OK;
}

bg_status bg_recipe_plan(const bg_recipe *r, const bg_gguf *g, const bg_importance *importance,
                         bg_quantize_plan *plan, bg_error *err)
{
    bg_gguf_writer *w;
    bg_status s;
    BG_TRY(bg_gguf_writer_open(&w, NULL, err));
    s = bg_recipe_declare(r, g, importance, w, plan, err);
    bg_gguf_writer_discard(&w);
    return s;
}

/* ---- the data ----------------------------------------------------------------------------- */

/* Rows of the source as floats with what is cut left out; importance likewise. */
typedef struct gathered { float *rows, *importance; size_t n_rows, k; } gathered;

static uint32_t source_index(const bg_cut *c, size_t i)
{
    uint32_t unit = (uint32_t)(i / c->unit);
    return (c->kept->at ? c->kept->at[unit] : unit) * c->unit + (uint32_t)(i % c->unit);
}

static bg_status gather(gathered *out, const bg_tensor *from, const bg_tensor *to, const bg_cut *c,
                        const float *importance, bg_error *err)
{
    const bg_format_info *f = bg_format_get((int)from->format);
    size_t k = from->ne[0], row_bytes = bg_format_row_bytes(f, k);
    float *whole = bg_alloc(k, sizeof *whole);
    bg_status s = BG_OK;
    *out = (gathered){.n_rows = to->ne[1], .k = to->ne[0]};
    out->rows = bg_alloc(out->n_rows * out->k, sizeof *out->rows);
    if (importance) out->importance = bg_alloc(out->k, sizeof *out->importance);
    if (!whole || !out->rows || (importance && !out->importance))
        s = bg_fail_nomem(err, from->name, out->n_rows * out->k * sizeof *out->rows);
    for (size_t r = 0; s == BG_OK && r < out->n_rows; r++) {
        size_t at = c->axis == BG_CUT_ROWS ? source_index(c, r) : r;
        bg_format_decode(f, (const uint8_t *)from->data + at * row_bytes, whole, k);
        for (size_t i = 0; i < out->k; i++)
            out->rows[r * out->k + i] = whole[c->axis == BG_CUT_COLUMNS ? source_index(c, i) : i];
    }
    for (size_t i = 0; s == BG_OK && importance && i < out->k; i++)
        out->importance[i] = importance[c->axis == BG_CUT_COLUMNS ? source_index(c, i) : i];
    bg_free(whole);
    return s;
}

static bg_status make_cut(const bg_tensor *from, const bg_tensor *to, const bg_cut *c,
                          const float *importance, bg_team *team, bg_error *err)
{
    gathered a;
    bg_status s = gather(&a, from, to, c, importance, err);
    if (s == BG_OK)
        s = bg_quantize_rows(bg_format_get(BG_FORMAT_F32), a.rows, bg_format_get((int)to->format),
                             (void *)(uintptr_t)to->data, a.importance, a.n_rows, a.k, team, err);
    bg_free(a.rows);
    bg_free(a.importance);
    return s;
}

/* Each matrix of a tensor of several (experts) has columns of its own. */
static bg_status make_whole(const bg_tensor *from, const bg_tensor *to, const float *importance,
                            bg_team *team, bg_error *err)
{
    size_t matrices = to->ne[2] * to->ne[3], k = to->ne[0];
    size_t src = from->bytes / matrices, dst = to->bytes / matrices;
    for (size_t i = 0; i < matrices; i++)
        BG_TRY(bg_quantize_rows(bg_format_get((int)from->format),
                                (const uint8_t *)from->data + i * src,
                                bg_format_get((int)to->format),
                                (uint8_t *)(uintptr_t)to->data + i * dst,
                                importance ? importance + i % to->ne[2] * k : NULL, to->ne[1], k,
                                team, err));
    return BG_OK;
}

static bg_status make_tensor(const bg_recipe *r, const bg_tensor *from, const bg_tensor *to,
                             const bg_importance *importance, bg_team *team, bg_error *err)
{
    bg_cut c = bg_recipe_cut(r, from->name);
    bool cut = c.axis != BG_CUT_NONE && c.kept->at;
    const float *weights = NULL;
    if (from->type_id == to->type_id && !cut) {
        memcpy((void *)(uintptr_t)to->data, from->data, to->bytes);
        return BG_OK;
    }
    if (importance) weights = bg_importance_find(importance, from->name, from->ne[0] * from->ne[2]);
    return cut ? make_cut(from, to, &c, weights, team, err)
               : make_whole(from, to, weights, team, err);
}

static bg_status fill(bg_image *image, const bg_recipe *r, const bg_gguf *g,
                      const bg_importance *importance, bg_team *team,
                      bool (*progress)(void *user, double fraction), void *user, bg_error *err)
{
    uint64_t done = 0;
    size_t n = 0;
    bg_encoders_choose();
    for (size_t i = 0; i < r->n_tensors; i++) {
        const bg_tensor *from = bg_gguf_tensor_at(g, i), *to;
        bg_tensor described;
        bg_error why;
        char name[96];
        bg_status s;
        if (!bg_recipe_tensor(r, g, i, name, &described)) continue;
        to = bg_gguf_tensor_at(image->g, n);
        image->source[n++] = i;
        s = make_tensor(r, from, to, importance, team, &why);
        if (s != BG_OK) {
            char where[256];
            snprintf(where, sizeof where, "%.120s: tensor '%.80s'", bg_gguf_path(g), from->name);
            return bg_fail(err, s, where, "%s", why.message);
        }
        bg_gguf_release(g, from->data, from->bytes);
        done += to->bytes;
        if (progress && !progress(user, (double)done / (double)image->bytes))
            return bg_fail(err, BG_ERR_INTERRUPTED, bg_gguf_path(g), "stopped before the end");
    }
    return BG_OK;
}

bg_status bg_recipe_apply(bg_image **out, const bg_recipe *r, const bg_gguf *g,
                          const bg_importance *importance, bg_team *team,
                          bool (*progress)(void *user, double fraction), void *user, bg_error *err)
{
    bg_image *image = bg_alloc(1, sizeof *image);
    bg_importance *estimate = NULL;
    bg_gguf_writer *w = NULL;
    bg_quantize_plan plan;
    bg_status s;
    *out = NULL;
    if (!image) return bg_fail_nomem(err, "an image", sizeof *image);
    s = bg_gguf_writer_open(&w, NULL, err);
    if (s == BG_OK) s = bg_recipe_declare(r, g, importance, w, &plan, err);
    if (s == BG_OK) s = bg_gguf_writer_image(&w, &image->data, &image->bytes, err);
    bg_gguf_writer_discard(&w);
    if (s == BG_OK)
        s = bg_gguf_open_memory(&image->g, image->data, image->bytes, bg_gguf_path(g), err);
    if (s == BG_OK) {
        image->source = bg_alloc(BG_MAX(r->n_tensors, (size_t)1), sizeof *image->source);
        if (!image->source) s = bg_fail_nomem(err, "an image", r->n_tensors * sizeof(size_t));
    }
    if (s == BG_OK && !importance) {
        s = bg_importance_estimate(&estimate, g, team, err);
        importance = estimate;
    }
    if (s == BG_OK) s = fill(image, r, g, importance, team, progress, user, err);
    bg_importance_close(&estimate);
    if (s == BG_OK) *out = image;
    else bg_image_free(&image);
    return s;
}

/* The tensor of the source that each of the image is of. */
static bg_status find_sources(bg_image *image, const bg_gguf *g, const char *path, bg_error *err)
{
    size_t n = bg_gguf_tensor_count(image->g);
    image->source = bg_alloc(BG_MAX(n, (size_t)1), sizeof *image->source);
    if (!image->source) return bg_fail_nomem(err, "an image", n * sizeof *image->source);
    for (size_t i = 0; i < n; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(image->g, i), *from = NULL;
        for (size_t k = 0; k < bg_gguf_tensor_count(g) && !from; k++) {
            from = bg_gguf_tensor_at(g, k);
            if (strcmp(from->name, t->name) != 0) from = NULL;
            else image->source[i] = k;
        }
        if (!from || memcmp(from->ne, t->ne, sizeof t->ne) != 0)
            return bg_fail(err, BG_ERR_INPUT, path, "tensor '%.80s' is not in %.200s in this "
                           "shape: give the model that the file was quantized from, and none that "
                           "was pruned", t->name, bg_gguf_path(g));
    }
    return BG_OK;
}

bg_status bg_image_read(bg_image **out, const bg_gguf *g, const char *path, bg_error *err)
{
    bg_image *image = bg_alloc(1, sizeof *image);
    bg_map map;
    bg_status s;
    *out = NULL;
    if (!image) return bg_fail_nomem(err, "an image", sizeof *image);
    s = bg_map_open(&map, path, err);
    if (s == BG_OK && !map.size)
        s = bg_fail(err, BG_ERR_INPUT, path, "is empty: give a quantized model");
    if (s == BG_OK) {
        image->bytes = map.size;
        image->data = bg_alloc_large(map.size);
        if (image->data) memcpy(image->data, map.data, map.size);
        else s = bg_fail_nomem(err, path, map.size);
        bg_map_close(&map);
    }
    if (s == BG_OK) s = bg_gguf_open_memory(&image->g, image->data, image->bytes, path, err);
    if (s == BG_OK) s = find_sources(image, g, path, err);
    if (s == BG_OK) *out = image;
    else bg_image_free(&image);
    return s;
}

bg_status bg_recipe_of_image(bg_recipe **r, const bg_image *image, const bg_gguf *g, bg_error *err)
{
    BG_TRY(bg_recipe_new(r, g, err));
    for (size_t i = 0; i < bg_gguf_tensor_count(image->g); i++) {
        const bg_tensor *t = bg_gguf_tensor_at(image->g, i);
        if (t->type_id != bg_gguf_tensor_at(g, image->source[i])->type_id)
            (*r)->formats[image->source[i]] = t->format;
    }
    return BG_OK;
}

void bg_image_free(bg_image **image)
{
    if (!*image) return;
    bg_gguf_close(&(*image)->g);
    bg_free_large((*image)->data, (*image)->bytes);
    bg_free((*image)->source);
    bg_free(*image);
    *image = NULL;
}

bg_status bg_image_encode(bg_image *image, size_t i, const float *rows, const float *importance,
                          bg_team *team, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(image->g, i);
    return bg_quantize_rows(bg_format_get(BG_FORMAT_F32), rows, bg_format_get((int)t->format),
                            (void *)(uintptr_t)t->data, importance,
                            t->ne[1] * t->ne[2] * t->ne[3], t->ne[0], team, err);
}

bg_status bg_image_write(const bg_image *image, const char *path, bg_error *err)
{
    return bg_file_write(path, image->data, image->bytes, err);
}
