/* What a model costs: bytes and operations a token, memory of the cache. */
#include "isa/attend.h"
#include "model/model.h"

bg_scheme_model bg_model_scheme_facts(const bg_model *m)
{
    const bg_layer_sizes *first = &m->layers[0].n; /* which decides where layers differ */
    return (bg_scheme_model){m->h.n_layer, first->n_head, first->n_head_kv, m->h.tied_embeddings};
}

size_t bg_model_bytes_per_token(const bg_model *m)
{
    size_t row = m->token_embd->bytes / m->h.n_vocab;
    return m->weight_bytes + row - (m->h.tied_embeddings ? 0 : m->token_embd->bytes);
}

/* Positions that a token at `depth` of them attends to beside itself. */
static double seen(const bg_layer *l, double depth)
{
    return l->n.window ? BG_MIN(depth, (double)l->n.window - 1) : depth;
}

double bg_model_flops_per_token(const bg_model *m, uint32_t depth)
{
    double weights = (double)m->output->ne[0] * (double)m->output->ne[1], attention = 0;
    for (uint32_t i = 0; i < m->h.n_layer; i++) {
        const bg_layer *l = &m->layers[i];
        for (int w = 0; w < BG_W_COUNT; w++)
            weights += (double)l->w[w]->ne[0] * (double)l->w[w]->ne[1];
        /* Scores and the weighted sum of values: a multiply-add each per head value and
         * position. */
        attention += (double)l->n.n_head * (double)m->h.head_dim * (seen(l, depth) + 1.0);
    }
    return 2.0 * weights + 4.0 * attention;
}

size_t bg_layer_positions(const bg_layer *l, uint32_t n_ctx, uint32_t n_batch, bool *ring)
{
    /* A batch's first token looks back from where its last is stored already. */
    size_t all = bg_round_up(n_ctx, BG_KV_PANEL);
    size_t last = bg_round_up((size_t)l->n.window + n_batch, BG_ATT_BLOCK);
    *ring = l->n.window && last < all;
    return *ring ? last : all;
}

size_t bg_layer_kv_bytes(const bg_hparams *h, const bg_layer *l, size_t positions)
{
    size_t width = h->head_dim + bg_round_up(h->head_dim, BG_KV_PANEL), bytes;
    size_t heads = (size_t)l->n.n_head_kv * width * sizeof(uint16_t);
    return __builtin_mul_overflow(heads, positions, &bytes) ? SIZE_MAX : bytes;
}

size_t bg_model_kv_bytes(const bg_model *m, uint32_t n_ctx, uint32_t n_batch)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < m->h.n_layer; i++) {
        const bg_layer *l = &m->layers[i];
        bool ring;
        size_t positions = bg_layer_positions(l, n_ctx, n_batch, &ring);
        if (__builtin_add_overflow(bytes, bg_layer_kv_bytes(&m->h, l, positions), &bytes))
            return SIZE_MAX;
    }
    return bytes;
}

void bg_model_kv_growth(const bg_model *m, uint32_t n_batch, double *token, double *window,
                        double *positions)
{
    *token = *window = *positions = 0;
    for (uint32_t i = 0; i < m->h.n_layer; i++) {
        const bg_layer *l = &m->layers[i];
        bool ring;
        size_t most = bg_layer_positions(l, UINT32_MAX, n_batch, &ring);
        if (!ring) {
            *token += (double)bg_layer_kv_bytes(&m->h, l, 1);
            continue;
        }
        *window += (double)bg_layer_kv_bytes(&m->h, l, most);
        *positions = (double)most;
    }
}

double bg_model_kv_read_bytes(const bg_model *m, double depth)
{
    double bytes = 0;
    for (uint32_t i = 0; i < m->h.n_layer; i++)
        bytes += (double)bg_layer_kv_bytes(&m->h, &m->layers[i], 1) * seen(&m->layers[i], depth);
    return bytes;
}
