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
    uint32_t layer, index, part;
    uint32_t kv_head, head, heads; /* first query head, and how many */
} item;

static uint32_t query_group(const bg_session *s)
{
    return s->model->h.n_head / s->model->h.n_head_kv;
}

static uint32_t item_heads(const bg_session *s) { return BG_MIN(query_group(s), BG_ATT_ROWS); }

static uint32_t items_of_key(const bg_session *s)
{
    return (query_group(s) + item_heads(s) - 1) / item_heads(s);
}

static uint32_t items_of_span(const bg_session *s)
{
    return s->model->h.n_head_kv * items_of_key(s);
}

static uint32_t most_parts(const bg_session *s, size_t n_spans)
{
    size_t items = n_spans * items_of_span(s);
    return (uint32_t)((ITEMS + items - 1) / items);
}

uint32_t bg_attention_span(const bg_session *s) { return BG_MIN(BG_ATT_ROWS / item_heads(s), SPAN); }

size_t bg_attention_part_rows(const bg_session *s)
{
    size_t parts = ((size_t)s->n_ctx + PART - 1) / PART;
    return BG_MIN(parts, most_parts(s, 1)) * BG_MIN(s->n_batch, SPLIT) * s->model->h.n_head;
}

size_t bg_attention_part_items(const bg_session *s) { return (size_t)SPLIT * items_of_span(s); }

void bg_attention_begin(bg_session *s, size_t n, size_t n_spans)
{
    uint32_t most = n <= SPLIT ? most_parts(s, n_spans) : 1;
    size_t rows = 0;
    for (size_t i = 0; i < n_spans; i++) {
        bg_span *span = &s->spans[i];
        uint32_t end = span->pos + span->count, parts = BG_MIN((end + PART - 1) / PART, most);
        span->part = (uint32_t)bg_round_up((end + parts - 1) / parts, BG_ATT_BLOCK);
        span->parts = (end + span->part - 1) / span->part;
        span->part_row = rows;
        if (span->parts > 1) rows += (size_t)span->parts * span->count * s->model->h.n_head;
    }
    for (uint32_t i = 0; i < s->model->h.n_layer; i++) atomic_store(&s->next_item[i], 0);
}

/* Where a part leaves its rows of value_width numbers, then their footings, then their sums. */
static float *part_result(const bg_session *s, const item *it, uint32_t part)
{
    size_t row = ((size_t)part * s->model->h.n_head + it->head) * it->span->count;
    return s->parts + (it->span->part_row + row) * (s->value_width + 2);
}

static float *result(const bg_session *s, const item *it, size_t row)
{
    return s->att + (it->span->first + row / it->heads) * s->q_width +
           (it->head + row % it->heads) * s->model->h.head_dim;
}

/* Parts are brought to the highest footing, and added up in their order. */
static void merge(const bg_session *s, const item *it)
{
    size_t dim = s->model->h.head_dim, rows = (size_t)it->span->count * it->heads;
    for (size_t r = 0; r < rows; r++) {
        float *out = result(s, it, r), highest = -INFINITY, sum = 0;
        for (uint32_t i = 0; i < it->span->parts; i++)
            highest = fmaxf(highest, part_result(s, it, i)[rows * s->value_width + r]);
        memset(out, 0, dim * sizeof *out);
        for (uint32_t i = 0; i < it->span->parts; i++) {
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
    _Atomic uint32_t *done = &s->parts_done[span * items_of_span(s) + it->index];
    if (atomic_fetch_add(done, 1) + 1 < it->span->parts) return false;
    atomic_store(done, 0);
    return true;
}

static void run_item(const bg_session *s, const item *it, const bg_member_scratch *own)
{
    const bg_span *span = it->span;
    size_t dim = s->model->h.head_dim, rows = (size_t)span->count * it->heads;
    size_t begin = (size_t)it->part * span->part, end = (size_t)span->pos + span->count;
    float *out = span->parts > 1 ? part_result(s, it, it->part) : own->out;
    bg_attend a = {
        .q = s->q + span->first * s->q_width + it->head * dim, .q_stride = s->q_width,
        .tokens = span->count, .heads = it->heads, .dim = dim, .value_width = s->value_width,
        .keys = bg_session_keys(s, it->layer, span->seq, it->kv_head),
        .values = bg_session_values(s, it->layer, span->seq, it->kv_head),
        .pos = span->pos, .begin = begin, .end = BG_MIN(begin + span->part, end),
        .out = out, .base = out + rows * s->value_width, .sum = out + rows * (s->value_width + 1),
        .scratch = own->attend,
    };
    s->attend(&a);
    if (span->parts > 1) {
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
    uint32_t group = query_group(s), heads = item_heads(s), of_key = items_of_key(s);
    uint32_t of_span = items_of_span(s);
    size_t span = p->n_spans, before = 0; /* items of the spans from `span` on */
    for (;;) {
        size_t i = atomic_fetch_add(&s->next_item[layer], 1), rest;
        item it = {.layer = layer};
        while (span > 0 && i >= before + (size_t)s->spans[span - 1].parts * of_span)
            before += (size_t)s->spans[--span].parts * of_span;
        if (span == 0) return;
        it.span = &s->spans[span - 1];
        rest = i - before;
        it.part = (uint32_t)(rest / of_span);
        it.index = (uint32_t)(rest % of_span);
        it.kv_head = it.index / of_key;
        it.head = it.kv_head * group + it.index % of_key * heads;
        it.heads = BG_MIN(heads, (it.kv_head + 1) * group - it.head);
        run_item(s, &it, &s->members[member]);
    }
}
