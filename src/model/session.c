#include "model/session.h"

#include <math.h>
#include <string.h>

static unsigned find_slot(bg_session *s, bg_format activation)
{
    unsigned i;
    for (i = 0; i < s->n_slots; i++)
        if (s->slots[i] == activation) return i;
    s->slots[i] = activation;
    return s->n_slots++;
}

static bg_matrix make_matrix(bg_session *s, const bg_tensor *t, bg_format format,
                             const void *packed)
{
    bg_matrix a = {.panels = packed, .k = t->ne[0], .rows = t->ne[1],
                   .panel_bytes = bg_panel_bytes(bg_format_get((int)format), t->ne[0])};
    for (int op = 0; op < BG_OP_COUNT; op++) {
        const bg_kernel *kernel = bg_kernel_find(format, (bg_op)op, s->isa);
        a.run[op] = kernel->run;
        a.slot[op] = find_slot(s, kernel->activation);
    }
    return a;
}

static bg_matrix prepare_matrix(bg_session *s, const bg_tensor *t)
{
    return make_matrix(s, t, t->format, bg_model_packed(s->model, t));
}

void bg_session_substitute(bg_session *s, const bg_tensor *t, bg_format format, const void *packed)
{
    const bg_model *m = s->model;
    bg_matrix a = packed ? make_matrix(s, t, format, packed) : prepare_matrix(s, t);
    for (uint32_t l = 0; l < s->n_layer; l++)
        for (size_t w = 0; w < BG_W_COUNT; w++) {
            if (bg_session_layer(s, l)->w[w] != t) continue;
            a.bias = bg_session_layer(s, l)->bias_f32[w];
            s->matrices[l * BG_W_COUNT + w] = a;
        }
    a.bias = NULL;
    if (m->output == t) s->output = a;
    if (m->token_embd != t) return;
    s->embd_format = packed ? bg_format_get((int)format) : NULL;
    s->embd_packed = packed;
}

/* Slots for what any kernel reads. */
static void find_all_slots(bg_session *s)
{
    const bg_format_info *f;
    for (size_t i = 0; (f = bg_format_at(i)); i++)
        for (int op = 0; f->level && op < BG_OP_COUNT; op++)
            find_slot(s, bg_kernel_find(f->format, (bg_op)op, s->isa)->activation);
}

static bg_status prepare_matrices(bg_session *s, bool bare, bg_error *err)
{
    const bg_model *m = s->model;
    size_t n = (size_t)s->n_layer * BG_W_COUNT;
    if (!bare) BG_TRY(bg_model_pack(m, s->team, err));
    s->matrices = bg_alloc(n, sizeof *s->matrices);
    if (!s->matrices) return bg_fail_nomem(err, "session", n * sizeof *s->matrices);
    for (uint32_t l = 0; l < s->n_layer; l++)
        for (size_t w = 0; w < BG_W_COUNT; w++) {
            bg_matrix *a = &s->matrices[l * BG_W_COUNT + w];
            *a = prepare_matrix(s, bg_session_layer(s, l)->w[w]);
            a->bias = bg_session_layer(s, l)->bias_f32[w];
        }
    s->output = prepare_matrix(s, m->output);
    return BG_OK;
}

/* Sizes the caches of all layers, and places them once there is memory. */
static bool lay_out_caches(bg_session *s)
{
    const bg_hparams *h = &s->model->h;
    size_t all = 0, keys = 0, values = 0;
    for (uint32_t l = 0; l < s->n_layer; l++) {
        const bg_layer *layer = bg_session_layer(s, l);
        bg_cache *c = &s->caches[l];
        size_t bytes, positions;
        c->positions = bg_layer_positions(layer, s->n_ctx, s->n_batch, &c->ring);
        if (__builtin_mul_overflow(c->positions, (size_t)s->n_seq, &positions)) return false;
        bytes = bg_layer_kv_bytes(h, layer, positions);
        if (bytes == SIZE_MAX || __builtin_add_overflow(all, bytes, &all)) return false;
        if (s->keys) c->keys = s->keys + keys;
        if (s->values) c->values = s->values + values;
        keys += positions * layer->n.n_head_kv * h->head_dim;
        values += positions * layer->n.n_head_kv * s->value_width;
    }
    s->keys_bytes = keys * sizeof *s->keys;
    s->values_bytes = values * sizeof *s->values;
    return true;
}

static bg_status prepare_cache(bg_session *s, bg_error *err)
{
    s->value_width = bg_round_up(s->model->h.head_dim, BG_KV_PANEL);
    s->caches = bg_alloc(s->n_layer, sizeof *s->caches);
    if (!s->caches) return bg_fail_nomem(err, "session", s->n_layer * sizeof *s->caches);
    if (!lay_out_caches(s))
        return bg_fail(err, BG_ERR_NOMEM, NULL,
                       "a context of %u positions for %u sequences is more than any memory: use "
                       "a smaller --ctx", s->n_ctx, s->n_seq);
    s->keys = bg_alloc_large(s->keys_bytes);
    s->values = bg_alloc_large(s->values_bytes);
    s->past = bg_alloc(s->n_seq, sizeof *s->past);
    if (!s->keys || !s->values || !s->past)
        return bg_fail(err, BG_ERR_NOMEM, NULL,
                       "no memory for a KV cache of %zu MB: use a smaller --ctx or fewer sequences",
                       bg_session_kv_bytes(s) / 1000000);
    lay_out_caches(s);
    return BG_OK;
}

/* Panels whose rows one member must have all of: pairs that turn together, and heads that are
 * normalised before. Neighbours lie in one panel, or, where heads are odd, in 16 heads of as many
 * panels. */
static size_t find_rope_unit(const bg_model *m)
{
    size_t dim = m->h.head_dim, common = 1;
    bool whole_heads = m->arch->neox || (m->arch->parts & BG_PARTS_HEAD_NORMS) || dim % 2;
    while (common < BG_PANEL_ROWS && dim % (2 * common) == 0) common *= 2;
    return whole_heads ? dim / common : 1;
}

static bg_status prepare_architecture(bg_session *s, bg_error *err)
{
    const bg_model *m = s->model;
    s->gate_mul = m->arch->gelu ? s->vec->gelu_mul : s->vec->silu_mul;
    s->rope = m->arch->neox ? s->vec->rope_halves : s->vec->rope;
    s->rope_unit = find_rope_unit(m);
    for (size_t i = 0; i < BG_COUNT(s->turns) && (i == 0 || m->h.window); i++)
        BG_TRY(bg_rope_prepare(&s->turns[i].speed, &s->turns[i].magnitude, m, i == 1, s->n_ctx,
                               err));
    return BG_OK;
}

/* Takes the next piece of an arena, or counts it when there is none yet. */
typedef struct cursor { char *base; size_t used; bool overflow; } cursor;

static void *take(cursor *c, size_t count, size_t size)
{
    size_t bytes, start = c->used;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 4 ||
        c->used > SIZE_MAX / 4) {
        c->overflow = true;
        return NULL;
    }
    c->used += bg_round_up(bytes, 64);
    return c->base ? c->base + start : NULL;
}

static size_t encoded_bytes(bg_format activation, size_t k)
{
    return bg_activation_bytes(activation, bg_round_up(k, BG_FORMAT_MAX_BLOCK));
}

static void lay_out(bg_session *s, cursor *c)
{
    const bg_hparams *h = &s->model->h;
    size_t n = s->n_batch, attention, wide = BG_MAX(h->n_embd, s->q_width);
    size_t bytes[BG_MAX_SLOTS], ffn = BG_MAX(n * BG_FFN_STRIDE, h->n_ff);
    int members = bg_team_size(s->team);
    cursor other;
    s->x = take(c, n, h->n_embd * sizeof(float));
    s->delta_stride = (bg_round_up(h->n_embd, 16) / 16 | 1) * 16;
    s->delta = take(c, n, s->delta_stride * sizeof(float));
    for (size_t i = 0; i < BG_COUNT(s->turns); i++)
        if (s->turns[i].speed) s->turns[i].table = take(c, s->n_ctx, h->rope_dim * sizeof(float));
    other = *c; /* attention and feed-forward are never alive together */
    s->q = take(c, n, s->q_width * sizeof(float));
    s->k = take(c, n, s->kv_width * sizeof(float));
    s->v = take(c, n, s->kv_width * sizeof(float));
    s->att = take(c, n, s->q_width * sizeof(float));
    attention = c->used;
    s->ffn = take(&other, n, h->n_ff * sizeof(float));
    c->used = BG_MAX(attention, other.used);
    c->overflow |= other.overflow;
    for (unsigned i = 0; i < s->n_slots; i++) {
        bytes[i] = encoded_bytes(s->slots[i], h->n_ff);
        s->ffn_act[i] = take(c, n, bytes[i]);
        bytes[i] = BG_MAX(bytes[i], encoded_bytes(s->slots[i], wide));
        s->act[i] = take(c, n, encoded_bytes(s->slots[i], wide));
    }
    s->pos = take(c, n, sizeof *s->pos);
    s->out = take(c, n, sizeof *s->out);
    s->spans = take(c, n, sizeof *s->spans);
    s->parts = take(c, bg_attention_part_rows(s), (s->value_width + 2) * sizeof(float));
    s->parts_done = take(c, bg_attention_part_items(s), sizeof *s->parts_done);
    s->next_item = take(c, h->n_layer, sizeof *s->next_item);
    s->members = take(c, (size_t)members, sizeof *s->members);
    for (int i = 0; i < members; i++) {
        bg_member_scratch own = {0};
        own.row = take(c, h->n_embd, sizeof(float));
        own.x = take(c, h->n_embd, sizeof(float));
        own.gate = take(c, ffn, sizeof(float));
        own.up = take(c, ffn, sizeof(float));
        for (unsigned j = 0; j < s->n_slots; j++) own.act[j] = take(c, 1, bytes[j]);
        own.out = take(c, BG_ATT_ROWS, (s->value_width + 2) * sizeof(float));
        own.attend = take(c, 1, bg_attend_scratch(h->head_dim));
        if (c->base) s->members[i] = own;
    }
}

static bg_status prepare_scratch(bg_session *s, bg_error *err)
{
    const bg_hparams *h = &s->model->h;
    cursor c = {0};
    s->q_width = (size_t)h->n_head * h->head_dim;
    s->kv_width = (size_t)h->n_head_kv * h->head_dim;
    bg_attention_prepare(s);
    lay_out(s, &c);
    if (!c.overflow) s->arena = bg_alloc_large(c.used);
    if (!s->arena)
        return bg_fail(err, BG_ERR_NOMEM, NULL,
                       "no memory to evaluate %u tokens at once: use a smaller batch", s->n_batch);
    s->arena_bytes = c.used;
    c = (cursor){s->arena, 0, false};
    lay_out(s, &c);
    return BG_OK;
}

bg_status bg_session_open(bg_session **out, const bg_model *m, const bg_session_options *o,
                          bg_error *err)
{
    bg_status status;
    bg_session *s;
    *out = NULL;
    if (m->n_held == 0)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(m->gguf), "is a shape without weights: "
                       "quantize it to a scheme first");
    s = bg_alloc(1, sizeof *s);
    if (!s) return bg_fail_nomem(err, "session", sizeof *s);
    s->model = m;
    s->team = o->team;
    s->activations = o->activations;
    s->isa = o->activations ? bg_activations_isa(o->isa) : o->isa;
    s->vec = bg_vecops_get(s->isa);
    s->attend = bg_attend_get(s->isa);
    s->n_ctx = o->n_ctx ? o->n_ctx : m->h.n_ctx_train;
    s->n_batch = o->n_batch ? o->n_batch : BG_BATCH_DEFAULT;
    s->n_seq = o->n_seq ? o->n_seq : 1;
    s->n_layer = m->n_held;
    if (m->n_held < m->h.n_layer) s->layer_end = bg_alloc(s->n_layer + 1, sizeof *s->layer_end);
    status = m->n_held < m->h.n_layer && !s->layer_end ? bg_fail_nomem(err, "session", 0)
                                                       : prepare_matrices(s, o->bare, err);
    if (status == BG_OK && o->any_format) find_all_slots(s);
    for (unsigned i = 0; status == BG_OK && s->activations && i < s->n_slots; i++)
        if (s->slots[i] != BG_FORMAT_F32)
            status = bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(m->gguf), "holds quantized "
                             "matrices: simulated activations want floats");
    if (status == BG_OK) status = prepare_architecture(s, err);
    if (status == BG_OK) status = prepare_cache(s, err);
    if (status == BG_OK) status = prepare_scratch(s, err);
    if (status != BG_OK) bg_session_close(&s);
    *out = s;
    return status;
}

void bg_session_close(bg_session **session)
{
    bg_session *s = *session;
    if (!s) return;
    bg_free(s->matrices);
    bg_free(s->layer_end);
    bg_free_large(s->keys, s->keys_bytes);
    bg_free_large(s->values, s->values_bytes);
    bg_free(s->caches);
    for (size_t i = 0; i < BG_COUNT(s->turns); i++) bg_free(s->turns[i].speed);
    bg_free_large(s->arena, s->arena_bytes);
    bg_free(s->past);
    bg_free(s);
    *session = NULL;
}

void bg_session_reset(bg_session *s, uint32_t seq)
{
    if (seq < s->n_seq) s->past[seq] = 0;
}

void bg_session_observe(bg_session *s, const bg_observer *o) { s->observer = o; }

size_t bg_session_kv_bytes(const bg_session *s) { return s->keys_bytes + s->values_bytes; }
size_t bg_session_scratch_bytes(const bg_session *s) { return s->arena_bytes; }
double bg_session_skipped_seconds(const bg_session *s) { return s->skipped_seconds; }

static bg_status check_batch(const bg_session *s, const bg_batch *b, bg_error *err)
{
    if (b->n < 1 || b->n > s->n_batch)
        return bg_fail(err, BG_ERR_INPUT, NULL, "a batch of %zu tokens: give from 1 to %u", b->n,
                       s->n_batch);
    for (size_t i = 0; i < b->n; i++) {
        if (b->tokens[i] < 0 || (uint32_t)b->tokens[i] >= s->model->h.n_vocab)
            return bg_fail(err, BG_ERR_INPUT, NULL, "token %d is not in the vocabulary of %u",
                           b->tokens[i], s->model->h.n_vocab);
        if (b->seq && b->seq[i] >= s->n_seq)
            return bg_fail(err, BG_ERR_INPUT, NULL, "sequence %u of a session of %u", b->seq[i],
                           s->n_seq);
    }
    return BG_OK;
}

static uint32_t sequence_of(const bg_batch *b, size_t i) { return b->seq ? b->seq[i] : 0; }

/* Gives every token its position. On failure nothing has changed. */
static bg_status place(bg_session *s, const bg_batch *b, bg_error *err)
{
    for (size_t i = 0; i < b->n; i++) {
        uint32_t *past = &s->past[sequence_of(b, i)];
        if (*past == s->n_ctx) {
            while (i-- > 0) s->past[sequence_of(b, i)]--;
            return bg_fail(err, BG_ERR_INPUT, NULL,
                           "the context of %u positions is full: use a larger --ctx or less text",
                           s->n_ctx);
        }
        s->pos[i] = (*past)++;
    }
    return BG_OK;
}

/* Cosines and sines of positions [s->turned, `end` of user). */
typedef struct turning { bg_session *s; uint32_t end; } turning;

static void turn_to(const bg_turn *t, size_t pos, size_t pairs, bool halves)
{
    float *row = t->table + 2 * pos * pairs;
    for (size_t j = 0; j < pairs; j++) {
        double angle = (double)pos * t->speed[j];
        row[halves ? j : 2 * j] = (float)(cos(angle) * t->magnitude);
        row[halves ? pairs + j : 2 * j + 1] = (float)(sin(angle) * t->magnitude);
    }
}

static void turn(void *user, int member, int size)
{
    const turning *t = user;
    const bg_model *m = t->s->model;
    size_t begin, end;
    bg_team_share(t->end - t->s->turned, 1, member, size, &begin, &end);
    for (size_t i = t->s->turned + begin; i < t->s->turned + end; i++)
        for (size_t k = 0; k < BG_COUNT(t->s->turns); k++)
            if (t->s->turns[k].speed)
                turn_to(&t->s->turns[k], i, m->h.rope_dim / 2, m->arch->neox);
}

/* They are computed when first needed, some ahead, and kept. */
static void turn_ahead(bg_session *s, size_t n)
{
    enum { AHEAD = 64 };
    turning t = {s, 0};
    for (size_t i = 0; i < n; i++) t.end = BG_MAX(t.end, s->pos[i] + 1);
    if (t.end <= s->turned) return;
    t.end = s->n_ctx - t.end < AHEAD ? s->n_ctx : t.end + AHEAD;
    bg_team_run(s->team, turn, &t);
    s->turned = t.end;
}

/* Cuts the batch into runs of one sequence, short enough for one attention item. */
static size_t find_spans(bg_session *s, const bg_batch *b)
{
    size_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        uint32_t seq = sequence_of(b, i);
        if (n && s->spans[n - 1].seq == seq && s->spans[n - 1].count < s->most_span)
            s->spans[n - 1].count++;
        else
            s->spans[n++] = (bg_span){.first = i, .count = 1, .seq = seq, .pos = s->pos[i]};
    }
    return n;
}

static bg_status evaluate(bg_session *s, const bg_batch *b, const bg_resume *r, float *logits,
                          bg_error *err)
{
    bg_pass p = {.s = s, .tokens = b->tokens, .seq = b->seq, .n = b->n, .logits = logits,
                 .resume = *r};
    BG_TRY(place(s, b, err));
    turn_ahead(s, b->n);
    p.n_spans = find_spans(s, b);
    bg_attention_begin(s, b->n, p.n_spans);
    for (uint32_t i = 0; i < b->n; i++)
        if (b->want ? b->want[i] : i == b->n - 1) s->out[p.n_out++] = i;
    bg_team_run(s->team, bg_forward_run, &p);
    for (uint32_t l = 0; s->layer_end && l < s->n_layer; l++)
        s->skipped_seconds += s->model->stands_for[l] * 1e-9 *
                              (double)(s->layer_end[l + 1] - s->layer_end[l]);
    return BG_OK;
}

bg_status bg_session_eval(bg_session *s, const bg_batch *b, float *logits, bg_error *err)
{
    BG_TRY(check_batch(s, b, err));
    return evaluate(s, b, &(bg_resume){0}, logits, err);
}

bg_status bg_session_resume(bg_session *s, const bg_batch *b, const bg_resume *r, float *logits,
                            bg_error *err)
{
    bool empty = true;
    BG_TRY(check_batch(s, b, err));
    for (size_t i = 0; i < b->n; i++) empty &= s->past[sequence_of(b, i)] == 0;
    if (((r->first || r->half) && (!empty || b->n < 2)) || r->first > s->n_layer ||
        r->end > s->n_layer || (r->end && r->end <= r->first))
        return bg_fail(err, BG_ERR_INPUT, NULL, "a pass that begins with layer %u of %u wants "
                       "empty sequences and at least two tokens", r->first, s->n_layer);
    return evaluate(s, b, r, logits, err);
}

bg_status bg_session_output(bg_session *s, const void *x, bool half, size_t n, float *logits,
                            bg_error *err)
{
    bg_pass p = {.s = s, .n = n, .n_out = n, .logits = logits,
                 .resume = {.first = s->n_layer, .half = half, .from = x}};
    if (n < 1 || n > s->n_batch)
        return bg_fail(err, BG_ERR_INPUT, NULL, "logits of %zu tokens: give from 1 to %u", n,
                       s->n_batch);
    if (!s->output.panels) {
        BG_TRY(bg_model_pack_output(s->model, s->team, err));
        s->output = prepare_matrix(s, s->model->output);
    }
    for (uint32_t i = 0; i < n; i++) s->out[i] = i;
    bg_team_run(s->team, bg_forward_run, &p);
    return BG_OK;
}
