/* Attention with a running softmax (Milakov and Gimelshein, "Online normalizer calculation for
 * softmax", 2018): scores exist for one block of positions at a time, so scratch is bounded. */
#include "model/session.h"

#include <math.h>
#include <string.h>

/* Some query heads of one key head for the tokens of one span. Row r is token r / heads. */
typedef struct item {
    const bg_span *span;
    uint32_t layer, kv_head, head, heads; /* first query head, and how many */
} item;

/* Queries scaled and packed; the result starts empty. */
static void begin_rows(const bg_session *s, const item *it, const bg_member_scratch *own)
{
    size_t dim = s->model->h.head_dim, rows = (size_t)it->span->count * it->heads;
    float factor = 1.0f / sqrtf((float)dim);
    for (size_t t = 0; t < it->span->count; t++)
        memcpy(own->q + t * it->heads * dim,
               s->q + (it->span->first + t) * s->q_width + it->head * dim,
               it->heads * dim * sizeof(float));
    s->vec->scale(own->q, factor, rows * dim);
    memset(own->out, 0, rows * s->value_width * sizeof(float));
}

/* Turns the scores of `width` positions from `start` on into weights relative to the running
 * maximum, and brings what was summed before to the same footing. */
static void soften(const bg_session *s, const item *it, const bg_member_scratch *own, size_t start,
                   size_t width, float *max, float *sum)
{
    for (size_t r = 0; r < (size_t)it->span->count * it->heads; r++) {
        float *scores = own->scores + r * BG_ATT_BLOCK, highest;
        size_t seen = it->span->pos + r / it->heads + 1;
        size_t valid = seen <= start ? 0 : BG_MIN(seen - start, width);
        if (valid) {
            highest = s->vec->max(scores, valid);
            if (highest > max[r]) {
                float shrink = expf(max[r] - highest);
                if (start) s->vec->scale(own->out + r * s->value_width, shrink, s->value_width);
                sum[r] *= shrink;
                max[r] = highest;
            }
            sum[r] += s->vec->exp_sum(scores, max[r], valid);
        }
        memset(scores + valid, 0, (width - valid) * sizeof(float));
    }
}

static void run_item(const bg_session *s, const item *it, const bg_member_scratch *own)
{
    size_t dim = s->model->h.head_dim, rows = (size_t)it->span->count * it->heads;
    size_t n = (size_t)it->span->pos + it->span->count;
    const uint16_t *keys = bg_session_keys(s, it->layer, it->span->seq, it->kv_head);
    const uint16_t *values = bg_session_values(s, it->layer, it->span->seq, it->kv_head);
    float max[BG_ATT_ROWS], sum[BG_ATT_ROWS] = {0};
    for (size_t r = 0; r < rows; r++) max[r] = -INFINITY;
    begin_rows(s, it, own);
    for (size_t start = 0; start < n; start += BG_ATT_BLOCK) {
        size_t width = BG_MIN(n - start, BG_ATT_BLOCK);
        for (size_t j = 0; j < width; j += BG_KV_PANEL)
            s->vec->gemm_f16(own->q, dim, keys + (start + j) * dim, BG_KV_PANEL, own->scores + j,
                             BG_ATT_BLOCK, rows, BG_KV_PANEL, dim, false);
        soften(s, it, own, start, width, max, sum);
        s->vec->gemm_f16(own->scores, BG_ATT_BLOCK, values + start * s->value_width,
                         s->value_width, own->out, s->value_width, rows, s->value_width, width,
                         true);
    }
    for (size_t r = 0; r < rows; r++) {
        float *out = s->att + (it->span->first + r / it->heads) * s->q_width +
                     (it->head + r % it->heads) * dim;
        memcpy(out, own->out + r * s->value_width, dim * sizeof(float));
        s->vec->scale(out, 1.0f / sum[r], dim);
    }
}

void bg_attention_run(const bg_pass *p, uint32_t layer, int member, int size)
{
    const bg_session *s = p->s;
    const bg_hparams *h = &s->model->h;
    uint32_t group = h->n_head / h->n_head_kv, heads = BG_MIN(group, BG_ATT_ROWS);
    size_t parts, items;
    /* Query heads that share keys are done together, unless that leaves members idle. */
    if (p->n_spans * h->n_head_kv < (size_t)size) heads = 1;
    parts = (group + heads - 1) / heads;
    items = p->n_spans * h->n_head_kv * parts;
    for (size_t i = (size_t)member; i < items; i += (size_t)size) {
        size_t rest = i / parts;
        uint32_t kv_head = (uint32_t)(rest % h->n_head_kv), first = (uint32_t)(i % parts) * heads;
        item it = {.span = &s->spans[rest / h->n_head_kv], .layer = layer, .kv_head = kv_head,
                   .head = kv_head * group + first, .heads = BG_MIN(heads, group - first)};
        run_item(s, &it, &s->members[member]);
    }
}
