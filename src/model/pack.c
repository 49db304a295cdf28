/* A model's matrices in the layout that kernels read. The packed copy replaces what it was made
 * of: weights made in memory are packed in place, the pages of a mapped file are let go. */
#include "base/team.h"
#include "model/model.h"

#include <pthread.h>

struct bg_packs {
    pthread_mutex_t lock;
    size_t n;
    const void **data;   /* per tensor; NULL: not packed */
    size_t *own;         /* bytes, of those that were allocated here */
};

bg_packs *bg_packs_new(size_t n)
{
    bg_packs *p = bg_alloc(1, sizeof *p);
    if (!p) return NULL;
    p->n = n;
    p->data = bg_alloc(n, sizeof *p->data);
    p->own = bg_alloc(n, sizeof *p->own);
    pthread_mutex_init(&p->lock, NULL);
    if (!p->data || !p->own) bg_packs_free(&p);
    return p;
}

void bg_packs_free(bg_packs **packs)
{
    bg_packs *p = *packs;
    if (!p) return;
    for (size_t i = 0; p->data && p->own && i < p->n; i++)
        if (p->own[i]) bg_free_large((void *)(uintptr_t)p->data[i], p->own[i]);
    pthread_mutex_destroy(&p->lock);
    bg_free((void *)p->data);
    bg_free(p->own);
    bg_free(p);
    *packs = NULL;
}

static bg_status pack(const bg_model *m, size_t i, bg_team *team, bg_error *err)
{
    bg_packs *p = m->packs;
    bg_tensor *t = &m->tensors[i];
    const bg_format_info *f = bg_format_get(t->format);
    size_t bytes = bg_packed_bytes(f, t->ne[1], t->ne[0]);
    void *data;
    if (p->data[i]) return BG_OK;
    if (m->recoded && m->recoded[i]) {
        BG_TRY(bg_pack_matrix(f, t->data, m->recoded[i], t->ne[1], t->ne[0], team, err));
        p->data[i] = m->recoded[i];
        t->data = NULL;
        return BG_OK;
    }
    data = bg_alloc_large(bytes);
    if (!data) return bg_fail_nomem(err, t->name, bytes);
    if (bg_pack_matrix(f, t->data, data, t->ne[1], t->ne[0], team, err) != BG_OK) {
        bg_free_large(data, bytes);
        return BG_ERR_NOMEM;
    }
    if (m->gguf) bg_gguf_release(m->gguf, t->data, t->bytes);
    p->data[i] = data;
    p->own[i] = bytes;
    return BG_OK;
}

/* Packs tensor i, or borrows what the source has of it. */
static bg_status pack_or_borrow(const bg_model *m, const bg_tensor *t, bg_team *team, bg_error *err)
{
    size_t i = (size_t)(t - m->tensors);
    bg_status status;
    if (!m->source || m->packs->data[i] || m->recoded[i]) return pack(m, i, team, err);
    pthread_mutex_lock(&m->source->packs->lock);
    status = pack(m->source, i, team, err);
    m->packs->data[i] = m->source->packs->data[i];
    pthread_mutex_unlock(&m->source->packs->lock);
    return status;
}

void bg_packs_adopt(const bg_model *m, size_t i)
{
    m->packs->data[i] = m->recoded[i];
    m->tensors[i].data = NULL;
}

static bg_status pack_layers(const bg_model *m, uint32_t layers, bg_team *team, bg_error *err)
{
    bg_status status;
    if (m->shape) return BG_OK; /* made packed */
    pthread_mutex_lock(&m->packs->lock);
    status = pack_or_borrow(m, m->output, team, err);
    for (uint32_t l = 0; status == BG_OK && l < layers; l++)
        for (int w = 0; status == BG_OK && w < BG_W_COUNT; w++)
            status = pack_or_borrow(m, m->layers[l].w[w], team, err);
    pthread_mutex_unlock(&m->packs->lock);
    return status;
}

bg_status bg_model_pack(const bg_model *m, bg_team *team, bg_error *err)
{
    return pack_layers(m, m->h.n_layer, team, err);
}

bg_status bg_model_pack_output(const bg_model *m, bg_team *team, bg_error *err)
{
    return pack_layers(m, 0, team, err);
}

void bg_model_unpack(const bg_model *m)
{
    bg_packs *p = m->packs;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++) {
        if (!p->own[i] || &m->tensors[i] == m->output) continue;
        bg_free_large((void *)(uintptr_t)p->data[i], p->own[i]);
        p->data[i] = NULL;
        p->own[i] = 0;
    }
    pthread_mutex_unlock(&p->lock);
}

const void *bg_model_packed(const bg_model *m, const bg_tensor *t)
{
    return m->packs->data[t - m->tensors];
}
