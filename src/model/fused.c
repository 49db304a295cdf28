/* The tensors of a model: those of its file, or rows of them. */
#include "model/model.h"

#include <string.h>

/* The piece's rows begin with row *first of the whole. */
static bg_status add_piece(bg_model *m, const bg_layer_sizes *n, const bg_tensor *whole,
                           const char *name, uint64_t *first, bg_error *err)
{
    const bg_part *part = bg_part_find(name);
    bg_tensor *t = &m->tensors[m->n_tensors];
    size_t prefix = (size_t)(strchr(whole->name + strlen("blk."), '.') + 1 - whole->name);
    size_t row = whole->bytes / whole->ne[1];
    char *full = bg_alloc(prefix + strlen(name) + 1, 1);
    if (!full) return bg_fail_nomem(err, whole->name, prefix);
    memcpy(full, whole->name, prefix);
    memcpy(full + prefix, name, strlen(name));
    m->names[m->n_tensors++] = full;
    *t = *whole;
    t->name = full;
    t->ne[1] = bg_dim_size(&m->h, n, part->rows);
    t->bytes = row * t->ne[1];
    if (whole->data) t->data = (const uint8_t *)whole->data + row * *first;
    *first += t->ne[1];
    return BG_OK;
}

static uint64_t rows_of(const bg_model *m, const bg_layer_sizes *n, const bg_fusion *f)
{
    uint64_t rows = 0;
    for (size_t i = 0; i < BG_FUSION_MOST && f->pieces[i]; i++)
        rows += bg_dim_size(&m->h, n, bg_part_find(f->pieces[i])->rows);
    return rows;
}

static bg_status add_pieces(bg_model *m, const bg_tensor *whole, const bg_fusion *f, bg_error *err)
{
    unsigned layer = 0;
    uint64_t first = 0;
    bg_layer_sizes n;
    if (sscanf(whole->name, "blk.%u.", &layer) != 1 || layer >= m->h.n_layer) {
        m->tensors[m->n_tensors++] = *whole; /* linking refuses it */
        return BG_OK;
    }
    BG_TRY(bg_layer_sizes_read(&n, &m->h, m->arch, m->gguf, layer, err));
    if (whole->ne[1] != rows_of(m, &n, f) || whole->ne[2] != 1 || whole->ne[3] != 1)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(m->gguf),
                       "tensor %.120s has %llu rows where the model's keys ask for %llu: the file "
                       "is damaged or of a variant that is not supported", whole->name,
                       (unsigned long long)whole->ne[1], (unsigned long long)rows_of(m, &n, f));
    for (size_t i = 0; i < BG_FUSION_MOST && f->pieces[i]; i++)
        BG_TRY(add_piece(m, &n, whole, f->pieces[i], &first, err));
    return BG_OK;
}

bg_status bg_model_list_tensors(bg_model *m, bg_error *err)
{
    size_t in_file = bg_gguf_tensor_count(m->gguf), most = 0;
    for (size_t i = 0; i < in_file; i++)
        most += bg_fusion_of_whole(m->arch, bg_gguf_tensor_at(m->gguf, i)->name) ? BG_FUSION_MOST
                                                                                  : 1;
    m->tensors = bg_alloc(most, sizeof *m->tensors);
    m->names = bg_alloc(most, sizeof *m->names);
    if (!m->tensors || !m->names) return bg_fail_nomem(err, "tensors", most * sizeof *m->tensors);
    for (size_t i = 0; i < in_file; i++) {
        const bg_tensor *t = bg_gguf_tensor_at(m->gguf, i);
        const bg_fusion *f = bg_fusion_of_whole(m->arch, t->name);
        if (f) BG_TRY(add_pieces(m, t, f, err));
        else m->tensors[m->n_tensors++] = *t;
    }
    return BG_OK;
}
