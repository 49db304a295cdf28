/* Attention in items: some query heads of one key head for the tokens of one span. A pass of few
 * tokens has few of them, so there the positions are split too, and who finishes an item's last
 * part merges them. How it is cut depends on the batch alone, never on the team. */
#include "model/session.h"

#include <math.h>
#include <string.h>

enum {
    ITEMS = 32,        /* so many are wanted */
    PART = 256,        /* least positions of a part */
    SPLIT = 16,        /* most tokens of a pass whose positions are split */
    SPAN = 64,         /* most tokens of a span: the work of one grows with its length */
};

/* Part `part` of item `index` of a span. */
typedef struct item {
    const bg_span *span;
    const bg_cut *cut;
    const bg_layer_sizes *n;
    uint32_t layer, index, part;
    uint32_t kv_head, head, heads; /* first query head, and how many */
} item;

static uint32_t query_group(const bg_layer_sizes *n) { return n->n_head / n->n_head_kv; }

static uint32_t item_heads(const bg_layer_sizes *n) { return BG_MIN(query_group(n), BG_ATT_ROWS); }

static uint32_t items_of_key(const bg_layer_sizes *n)
{
    return (query_group(n) + item_heads(n) - 1) / item_heads(n);
}

static uint32_t items_of_span(const bg_layer_sizes *n) { return n->n_head_kv * items_of_key(n); }

/* Extremes over the layers: most heads of an item, least and most items of a span. */
typedef struct extremes { uint32_t heads, least, most; } extremes;

static extremes find_extremes(const bg_session *s)
{
    extremes e = {0, UINT32_MAX, 0};
    for (uint32_t l = 0; l < s->n_layer; l++) {
        const bg_layer_sizes *n = &bg_session_layer(s, l)->n;
        e.heads = BG_MAX(e.heads, item_heads(n));
        e.least = BG_MIN(e.least, items_of_span(n));
        e.most = BG_MAX(e.most, items_of_span(n));
    }
    return e;
}

static uint32_t most_parts(const bg_session *s, size_t n_spans)
{
    size_t items = n_spans * s->least_items;
    return (uint32_t)((ITEMS + items - 1) / items);
}

void bg_attention_prepare(bg_session *s)
{
    extremes e = find_extremes(s);
    s->most_span = BG_MIN(BG_ATT_ROWS / e.heads, SPAN);
    s->least_items = e.least;
    s->most_items = e.most;
}

size_t bg_attention_part_rows(const bg_session *s)
{
    size_t parts = ((size_t)s->n_ctx + PART - 1) / PART;
    return BG_MIN(parts, most_parts(s, 1)) * BG_MIN(s->n_batch, SPLIT) * s->model->h.n_head;
}

size_t bg_attention_part_items(const bg_session *s) { return (size_t)SPLIT * s->most_items; }

/* `rows` counts those of results. */
static bg_cut cut(const bg_session *s, const bg_span *span, uint32_t window, uint32_t most,
                  size_t *rows)
{
    uint32_t begin = window && span->pos + 1 > window ? span->pos + 1 - window : 0;
    bg_cut c = {.begin = begin - begin % BG_ATT_BLOCK, .part_row = *rows};
    uint32_t length = span->pos + span->count - c.begin;
    uint32_t parts = BG_MIN((length + PART - 1) / PART, most);
    c.part = (uint32_t)bg_round_up((length + parts - 1) / parts, BG_ATT_BLOCK);
    c.parts = (length + c.part - 1) / c.part;
    if (c.parts > 1) *rows += (size_t)c.parts * span->count * s->model->h.n_head;
    return c;
}

void bg_attention_begin(bg_session *s, size_t n, size_t n_spans)
{
    uint32_t most = n <= SPLIT ? most_parts(s, n_spans) : 1, window = s->model->h.window;
    size_t rows[2] = {0, 0}; /* layers of both kinds are never attended to at once */
    for (size_t i = 0; i < n_spans; i++) {
        s->spans[i].cut[0] = cut(s, &s->spans[i], 0, most, &rows[0]);
        if (window) s->spans[i].cut[1] = cut(s, &s->spans[i], window, most, &rows[1]);
    }
    for (uint32_t i = 0; i < s->n_layer; i++) atomic_store(&s->next_item[i], 0);
}

/* Where a part leaves its rows of value_width numbers, then their footings, then their sums. */
static float *part_result(const bg_session *s, const item *it, uint32_t part)
{
    size_t row = ((size_t)part * it->n->n_head + it->head) * it->span->count;
    return s->parts + (it->cut->part_row + row) * (s->value_width + 2);
}

static float *result(const bg_session *s, const item *it, size_t row)
{
    size_t dim = s->model->h.head_dim;
    return s->att + ((it->span->first + row / it->heads) * it->n->n_head + it->head +
                     row % it->heads) * dim;
}

/* Parts are brought to the highest footing, and added up in their order. */
static void merge(const bg_session *s, const item *it)
{
    size_t dim = s->model->h.head_dim, rows = (size_t)it->span->count * it->heads;
    for (size_t r = 0; r < rows; r++) {
        float *out = result(s, it, r), highest = -INFINITY, sum = 0;
        for (uint32_t i = 0; i < it->cut->parts; i++)
            highest = fmaxf(highest, part_result(s, it, i)[rows * s->value_width + r]);
        memset(out, 0, dim * sizeof *out);
        for (uint32_t i = 0; i < it->cut->parts; i++) {
            float *part = part_result(s, it, i), *base = part + rows * s->value_width;
            float factor = exp2f(base[r] - highest);
            sum += factor * base[rows + r];
            s->vec->scale(part + r * s->value_width, factor, dim);
            s->vec->add(out, part + r * s->value_width, dim);
        }
        s->vec->scale(out, 1.0f / sum, dim);
    }
}

/* Counts a part as done; true for the last one of its item, which may read all of them. */
static bool finish_part(const bg_session *s, const item *it)
{
    size_t span = (size_t)(it->span - s->spans);
    _Atomic uint32_t *done = &s->parts_done[span * s->most_items + it->index];
    if (atomic_fetch_add(done, 1) + 1 < it->cut->parts) return false;
    atomic_store(done, 0);
    return true;
}

static void run_item(const bg_session *s, const item *it, const bg_member_scratch *own)
{
    const bg_span *span = it->span;
    size_t dim = s->model->h.head_dim, rows = (size_t)span->count * it->heads;
    const bg_cut *c = it->cut;
    const bg_hparams *h = &s->model->h;
    const bg_cache *cache = &s->caches[it->layer];
    size_t q_width = it->n->n_head * dim, end = (size_t)span->pos + span->count;
    size_t begin = c->begin + (size_t)it->part * c->part;
    float *out = c->parts > 1 ? part_result(s, it, it->part) : own->out;
    bg_attend a = {
        .q = s->q + span->first * q_width + it->head * dim, .q_stride = q_width,
        .tokens = span->count, .heads = it->heads, .dim = dim, .value_width = s->value_width,
        .keys = bg_session_keys(s, it->layer, span->seq, it->kv_head),
        .values = bg_session_values(s, it->layer, span->seq, it->kv_head),
        .ring = cache->ring ? cache->positions : 0, .pos = span->pos, .window = it->n->window,
        .begin = begin, .end = BG_MIN(begin + c->part, end),
        .scale = h->score_scale, .cap = h->score_cap, .soft_cap = s->vec->soft_cap,
        .out = out, .base = out + rows * s->value_width, .sum = out + rows * (s->value_width + 1),
        .scratch = own->attend,
    };
    s->attend(&a);
    if (c->parts > 1) {
        if (finish_part(s, it)) merge(s, it);
        return;
    }
    for (size_t r = 0; r < rows; r++) {
        float *row = result(s, it, r);
        memcpy(row, out + r * s->value_width, dim * sizeof *row);
        s->vec->scale(row, 1.0f / a.sum[r], dim);
    }
}

/* Members take what comes next, the longest spans first. */
void bg_attention_run(const bg_pass *p, uint32_t layer, int member)
{
    const bg_session *s = p->s;
    const bg_layer_sizes *n = &bg_session_layer(s, layer)->n;
    uint32_t group = query_group(n), heads = item_heads(n), of_key = items_of_key(n);
    uint32_t of_span = items_of_span(n);
    size_t kind = bg_layer_kind(bg_session_layer(s, layer));
    size_t span = p->n_spans, before = 0; /* items of the spans from `span` on */
    for (;;) {
        size_t i = atomic_fetch_add(&s->next_item[layer], 1), rest;
        item it = {.layer = layer, .n = n};
        while (span > 0 && i >= before + (size_t)s->spans[span - 1].cut[kind].parts * of_span)
            before += (size_t)s->spans[--span].cut[kind].parts * of_span;
        if (span == 0) return;
        it.span = &s->spans[span - 1];
        it.cut = &it.span->cut[kind];
        rest = i - before;
        it.part = (uint32_t)(rest / of_span);
        it.index = (uint32_t)(rest % of_span);
        it.kv_head = it.index / of_key;
        it.head = it.kv_head * group + it.index % of_key * heads;
        it.heads = BG_MIN(heads, (it.kv_head + 1) * group - it.head);
        run_item(s, &it, &s->members[member]);
    }
}
