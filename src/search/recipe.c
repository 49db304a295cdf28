/* Recipes: what becomes of each tensor. */
#include "search/recipe.h"

#include <stdlib.h>
#include <string.h>

/* What pruning cuts of a layer's tensors, by the name between "blk.N." and the dot. A bias goes
 * with the rows. */
static const struct { const char *name; bg_cut_axis axis; bool heads, queries; } cuts[] = {
    {"attn_q", BG_CUT_ROWS, true, true},        {"attn_k", BG_CUT_ROWS, true, false},
    {"attn_v", BG_CUT_ROWS, true, false},       {"attn_output", BG_CUT_COLUMNS, true, true},
    {"ffn_gate", BG_CUT_ROWS, false, false},    {"ffn_up", BG_CUT_ROWS, false, false},
    {"ffn_down", BG_CUT_COLUMNS, false, false},
};

bool bg_recipe_layer_of(const char *name, uint32_t *layer, const char **rest)
{
    char *end;
    unsigned long n;
    if (strncmp(name, "blk.", 4) != 0 || name[4] < '0' || name[4] > '9') return false;
    n = strtoul(name + 4, &end, 10);
    if (*end != '.' || n > UINT32_MAX) return false;
    *layer = (uint32_t)n;
    *rest = end + 1;
    return true;
}

bg_cut bg_recipe_cut(const bg_recipe *r, const char *name)
{
    bg_cut c = {0};
    const char *rest;
    uint32_t layer;
    if (!r->layers || !bg_recipe_layer_of(name, &layer, &rest) || layer >= r->n_layer) return c;
    for (size_t i = 0; i < BG_COUNT(cuts); i++) {
        size_t n = strlen(cuts[i].name);
        bool bias = strncmp(rest, cuts[i].name, n) == 0 && strcmp(rest + n, ".bias") == 0;
        if (strncmp(rest, cuts[i].name, n) != 0) continue;
        if (!bias && strcmp(rest + n, ".weight") != 0) continue;
        if (bias && cuts[i].axis == BG_CUT_COLUMNS) continue;
        c = (bg_cut){.axis = bias ? BG_CUT_COLUMNS : cuts[i].axis, .heads = cuts[i].heads,
                     .layer = layer, .units = r->n_ff, .unit = 1, .kept = &r->layers[layer].ff};
        if (!c.heads) break;
        c.units = r->n_head_kv;
        c.unit = r->head_dim * (cuts[i].queries ? r->n_head / r->n_head_kv : 1);
        c.kept = &r->layers[layer].kv_heads;
        break;
    }
    return c;
}

uint32_t bg_recipe_moved(const bg_recipe *r, uint32_t l)
{
    uint32_t to = l;
    for (uint32_t i = 0; r->layers && i < l && i < r->n_layer; i++) to -= r->layers[i].dropped;
    return to;
}

/* ---- making them -------------------------------------------------------------------------- */

static bool get_key(const bg_gguf *g, const char *name, uint32_t *out)
{
    bg_gguf_string architecture;
    char key[128];
    uint64_t value;
    if (!bg_gguf_get_string(g, "general.architecture", &architecture)) return false;
    snprintf(key, sizeof key, "%.*s.%s", (int)BG_MIN(architecture.length, (size_t)64),
             architecture.data, name);
    if (!bg_gguf_get_u64(g, key, &value) || value < 1 || value > 1u << 24) return false;
    *out = (uint32_t)value;
    return true;
}

/* Whether every tensor that pruning would cut has the size that the keys say, and each layer has
 * them all: else nothing can be pruned. */
static bool sizes_fit(const bg_recipe *r, const bg_gguf *g)
{
    size_t found = 0;
    for (size_t i = 0; i < r->n_tensors; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        bg_cut c = bg_recipe_cut(r, t->name);
        if (c.axis == BG_CUT_NONE) continue;
        if (t->ne[2] != 1 || t->ne[c.axis == BG_CUT_ROWS] != (uint64_t)c.units * c.unit)
            return false;
        found += t->n_dims > 1;
    }
    return found == BG_COUNT(cuts) * r->n_layer;
}

static void find_layers(bg_recipe *r, const bg_gguf *g)
{
    uint32_t n_embd;
    bool known = get_key(g, "block_count", &r->n_layer) && r->n_layer <= 4096 &&
                 get_key(g, "feed_forward_length", &r->n_ff) &&
                 get_key(g, "attention.head_count", &r->n_head) &&
                 get_key(g, "embedding_length", &n_embd);
    if (known && !get_key(g, "attention.head_count_kv", &r->n_head_kv)) r->n_head_kv = r->n_head;
    if (known && !get_key(g, "attention.key_length", &r->head_dim))
        r->head_dim = n_embd / r->n_head;
    known = known && r->head_dim && r->n_head % r->n_head_kv == 0;
    if (known) r->layers = bg_alloc(r->n_layer, sizeof *r->layers);
    for (uint32_t l = 0; r->layers && l < r->n_layer; l++) {
        r->layers[l].ff.n = r->n_ff;
        r->layers[l].kv_heads.n = r->n_head_kv;
    }
    if (r->layers && sizes_fit(r, g)) return;
    bg_free(r->layers);
    r->layers = NULL;
    r->n_layer = r->n_ff = r->n_head = r->n_head_kv = r->head_dim = 0;
}

bg_status bg_recipe_new(bg_recipe **out, const bg_gguf *g, bg_error *err)
{
    size_t n = bg_gguf_tensor_count(g);
    bg_recipe *r = bg_alloc(1, sizeof *r);
    *out = NULL;
    if (!r) return bg_fail_nomem(err, "a recipe", sizeof *r);
    r->n_tensors = n;
    r->formats = bg_alloc(BG_MAX(n, (size_t)1), sizeof *r->formats);
    if (!r->formats) {
        bg_recipe_free(&r);
        return bg_fail_nomem(err, "a recipe", n * sizeof *r->formats);
    }
    for (size_t i = 0; i < n; i++) r->formats[i] = BG_FORMAT_NONE;
    find_layers(r, g);
    *out = r;
    return BG_OK;
}

bg_status bg_recipe_of_scheme(bg_recipe **out, const bg_gguf *g, const bg_scheme *s, bg_error *err)
{
    bg_scheme_model facts = bg_scheme_facts(g);
    BG_TRY(bg_recipe_new(out, g, err));
    for (size_t i = 0; i < (*out)->n_tensors; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(g, i);
        bg_format f = bg_scheme_tensor_format(s, &facts, t->name, t->n_dims, t->ne, NULL);
        bool vector = t->n_dims < 2 && t->format == BG_FORMAT_NONE;
        (*out)->formats[i] = f == t->format || vector ? BG_FORMAT_NONE : f;
    }
    return BG_OK;
}

void bg_recipe_free(bg_recipe **recipe)
{
    bg_recipe *r = *recipe;
    if (!r) return;
    for (uint32_t l = 0; r->layers && l < r->n_layer; l++) {
        bg_free(r->layers[l].ff.at);
        bg_free(r->layers[l].kv_heads.at);
    }
    bg_free(r->layers);
    bg_free(r->formats);
    bg_free(r);
    *recipe = NULL;
}

bool bg_recipe_pruned(const bg_recipe *r)
{
    for (uint32_t l = 0; r->layers && l < r->n_layer; l++)
        if (r->layers[l].dropped || r->layers[l].ff.at || r->layers[l].kv_heads.at) return true;
    return false;
}

bg_status bg_kept_set(bg_kept *k, const uint8_t *flags, uint32_t n, bg_error *err)
{
    uint32_t kept = 0, *at = NULL;
    for (uint32_t i = 0; i < n; i++) kept += flags[i] != 0;
    if (kept < n && kept) {
        at = bg_alloc(kept, sizeof *at);
        if (!at) return bg_fail_nomem(err, "a recipe", kept * sizeof *at);
        kept = 0;
        for (uint32_t i = 0; i < n; i++)
            if (flags[i]) at[kept++] = i;
    }
    bg_free(k->at);
    *k = (bg_kept){kept, at};
    return BG_OK;
}

/* ---- asking ------------------------------------------------------------------------------- */

bool bg_recipe_tensor(const bg_recipe *r, const bg_gguf *g, size_t i, char name[96], bg_tensor *to)
{
    const bg_tensor *from = bg_gguf_tensor_at(g, i);
    const bg_format_info *f;
    const char *rest;
    uint32_t layer;
    bg_cut c = bg_recipe_cut(r, from->name);
    *to = *from;
    to->data = NULL;
    if (r->layers && bg_recipe_layer_of(from->name, &layer, &rest) && layer < r->n_layer) {
        if (r->layers[layer].dropped) return false;
        if (bg_recipe_moved(r, layer) != layer) {
            snprintf(name, 96, "blk.%u.%s", bg_recipe_moved(r, layer), rest);
            to->name = name;
        }
    }
    if (c.axis != BG_CUT_NONE && c.kept->at)
        to->ne[c.axis == BG_CUT_ROWS] = (uint64_t)c.kept->n * c.unit;
    if (r->formats[i] != BG_FORMAT_NONE) {
        to->format = r->formats[i];
        to->type_id = (uint32_t)to->format;
    }
    f = bg_format_get((int)to->format);
    if (f) to->bytes = bg_format_row_bytes(f, to->ne[0]) *
                       (size_t)(to->ne[1] * to->ne[2] * to->ne[3]);
    return true;
}

bool bg_recipe_fits(const bg_recipe *r, const bg_gguf *g, size_t i, bg_format f)
{
    const bg_scheme *any = bg_scheme_find("Q8_0");
    bg_scheme_model facts = bg_scheme_facts(g);
    const bg_format_info *info = bg_format_get((int)f);
    const bg_tensor *from = bg_gguf_tensor_at(g, i);
    bg_tensor to;
    char name[96];
    if (!info || !info->level || !info->encode || from->n_dims < 2 ||
        bg_scheme_tensor_format(any, &facts, from->name, from->n_dims, from->ne, NULL) ==
            BG_FORMAT_NONE)
        return false;
    return bg_recipe_tensor(r, g, i, name, &to) && to.ne[0] % info->block_weights == 0;
}
