#include "search/variants.h"

#include <string.h>

typedef struct variant {
    size_t tensor;
    bg_format format;
    uint8_t level;
    void *packed;
    size_t bytes;
    uint64_t used;           /* when last */
    bool in_use;
} variant;

struct bg_variants {
    const bg_gguf *g;
    bg_pruner *pruner;
    const bg_importance *importance;
    bg_importance *estimate;  /* where none is given */
    struct bg_team *team;
    size_t memory, held;
    variant *all;
    size_t n, capacity;
    uint64_t clock;
};

bg_status bg_variants_open(bg_variants **out, const bg_model *m, bg_pruner *pruner,
                           const bg_importance *importance, size_t memory, struct bg_team *team,
                           bg_error *err)
{
    bg_variants *v = bg_alloc(1, sizeof *v);
    *out = v;
    if (!v) return bg_fail_nomem(err, "matrices", sizeof *v);
    *v = (bg_variants){.g = bg_model_gguf(m), .pruner = pruner, .importance = importance,
                       .memory = memory, .team = team};
    if (importance) return BG_OK;
    BG_TRY(bg_importance_estimate(&v->estimate, v->g, team, err));
    v->importance = v->estimate;
    return BG_OK;
}

void bg_variants_close(bg_variants **variants)
{
    bg_variants *v = *variants;
    if (!v) return;
    for (size_t i = 0; i < v->n; i++) bg_free_large(v->all[i].packed, v->all[i].bytes);
    bg_free(v->all);
    bg_importance_close(&v->estimate);
    bg_free(v);
    *variants = NULL;
}

void bg_variants_drop(bg_variants *v, size_t tensor)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->all[i].tensor == tensor) v->all[i].in_use = false;
}

/* Frees the oldest ones that nobody uses until `bytes` more fit, if they can. */
static void make_room(bg_variants *v, size_t bytes)
{
    while (v->held + bytes > v->memory) {
        variant *oldest = NULL;
        for (size_t i = 0; i < v->n; i++)
            if (!v->all[i].in_use && (!oldest || v->all[i].used < oldest->used)) oldest = &v->all[i];
        if (!oldest) return;
        v->held -= oldest->bytes;
        bg_free_large(oldest->packed, oldest->bytes);
        *oldest = v->all[--v->n];
    }
}

/* Of a level, the rows are floats, and importance goes with the columns. */
static bg_status make_level(bg_variants *v, const variant *made, const float *importance,
                            bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(v->g, made->tensor);
    float *weights = NULL, *rows;
    size_t bytes;
    bg_status s;
    if (importance) {
        weights = bg_alloc(t->ne[0], sizeof *weights);
        if (!weights) return bg_fail_nomem(err, t->name, t->ne[0] * sizeof *weights);
        memcpy(weights, importance, t->ne[0] * sizeof *weights);
    }
    s = bg_pruner_rows(v->pruner, made->tensor, made->level, &rows, &bytes, weights, err);
    if (s == BG_OK) {
        s = bg_quantize_rows(bg_format_get(BG_FORMAT_F32), rows, bg_format_get((int)made->format),
                             made->packed, weights, t->ne[1], t->ne[0], v->team, err);
        bg_free_large(rows, bytes);
    }
    bg_free(weights);
    return s;
}

static bg_status make(bg_variants *v, variant *made, bg_error *err)
{
    const bg_tensor *t = bg_gguf_tensor_at(v->g, made->tensor);
    const bg_format_info *from = bg_format_get((int)t->format), *to = bg_format_get((int)made->format);
    size_t rows = t->ne[1], k = t->ne[0];
    const float *weights = v->importance ? bg_importance_find(v->importance, t->name, k) : NULL;
    bg_status s;
    made->bytes = BG_MAX(bg_format_row_bytes(to, k) * rows, bg_packed_bytes(to, rows, k));
    make_room(v, made->bytes);
    made->packed = bg_alloc_large(made->bytes);
    if (!made->packed) return bg_fail_nomem(err, t->name, made->bytes);
    if (made->level) s = make_level(v, made, weights, err);
    else if (from == to) s = BG_OK;
    else s = bg_quantize_rows(from, t->data, to, made->packed, weights, rows, k, v->team, err);
    if (s == BG_OK)
        s = bg_pack_matrix(to, made->level || from != to ? made->packed : t->data, made->packed, rows,
                           k, v->team, err);
    bg_gguf_release(v->g, t->data, t->bytes);
    if (s != BG_OK) bg_free_large(made->packed, made->bytes);
    return s;
}

bg_status bg_variants_get(bg_variants *v, size_t tensor, bg_format f, uint8_t level,
                          const void **packed, bg_error *err)
{
    variant *found = NULL, made = {.tensor = tensor, .format = f, .level = level};
    for (size_t i = 0; i < v->n; i++) {
        const variant *have = &v->all[i];
        if (have->tensor == tensor && have->format == f && have->level == level) found = &v->all[i];
    }
    if (!found) {
        BG_TRY(make(v, &made, err));
        if (v->n == v->capacity) {
            size_t capacity = v->capacity ? 2 * v->capacity : 64;
            variant *all = bg_grow(v->all, capacity, sizeof *all);
            if (!all) {
                bg_free_large(made.packed, made.bytes);
                return bg_fail_nomem(err, "matrices", capacity * sizeof *all);
            }
            v->all = all;
            v->capacity = capacity;
        }
        found = &v->all[v->n++];
        *found = made;
        v->held += made.bytes;
    }
    found->used = ++v->clock;
    found->in_use = true;
    *packed = found->packed;
    return BG_OK;
}
