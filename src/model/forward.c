/* The forward pass: steps between barriers, each shared out by tokens, rows or heads. */
#include "formats/pack.h"
#include "model/session.h"

#include <string.h>

/* Tokens of the batch that a step works on: all, or those whose logits are wanted. */
typedef struct columns { size_t n; const uint32_t *token; } columns;

static size_t token_of(const columns *c, size_t i) { return c->token ? c->token[i] : i; }

static const bg_matrix *matrix(const bg_session *s, uint32_t layer, bg_matrix_id id)
{
    return &s->matrices[layer * BG_W_COUNT + (size_t)id];
}

/* What one member works with. A pass of one token has nothing to share out between matrix products:
 * every member then does those steps whole, in memory of its own, which saves half the barriers. */
typedef struct worker {
    const bg_pass *p;
    const bg_session *s;
    int member, size;
    bool lone;
    float *x;
    uint8_t *const *act, *const *ffn_act;
} worker;

static worker make_worker(const bg_pass *p, int member, int size)
{
    const bg_session *s = p->s;
    const bg_member_scratch *own = &s->members[member];
    if (p->n == 1 && size > 1)
        return (worker){p, s, member, size, true, own->x, own->act, own->act};
    return (worker){p, s, member, size, false, s->x, s->act, s->ffn_act};
}

static void share_columns(const worker *w, size_t n, size_t *begin, size_t *end)
{
    if (w->lone) *begin = 0, *end = n;
    else bg_team_share(n, 1, w->member, w->size, begin, end);
}

/* After steps that are not shared out when there is one token. */
static void column_barrier(const worker *w)
{
    if (!w->lone) bg_team_barrier(w->s->team);
}

/* The table may be the output matrix too, which is packed. */
static void embed_row(const worker *w, const bg_format_info *f, size_t row, float *out)
{
    const bg_model *m = w->s->model;
    const bg_tensor *t = m->token_embd;
    size_t k = t->ne[0], step = bg_packed_block_weights(f);
    const void *packed = w->s->embd_packed;
    const uint8_t *panel;
    if (!packed && t->data) {
        bg_format_decode(f, (const uint8_t *)t->data + row * bg_format_row_bytes(f, k), out, k);
        return;
    }
    if (!packed) packed = bg_model_packed(m, t);
    panel = (const uint8_t *)packed + row / BG_PANEL_ROWS * bg_panel_bytes(f, k);
    for (size_t i = 0; i < k; i += step, panel += bg_packed_block_bytes(f) * BG_PANEL_ROWS) {
        uint8_t block[BG_FORMAT_MAX_BYTES];
        bg_unpack_block(f, panel, row % BG_PANEL_ROWS, block);
        bg_format_decode(f, block, out + i, BG_MIN(step, k - i));
    }
}

static void embed(const worker *w)
{
    const bg_tensor *t = w->s->model->token_embd;
    const bg_format_info *f = w->s->embd_format ? w->s->embd_format : bg_format_get(t->format);
    size_t begin, end;
    share_columns(w, w->p->n, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *x = w->x + i * t->ne[0], scale = w->s->model->h.embedding_scale;
        embed_row(w, f, (size_t)w->p->tokens[i], x);
        if (scale < 1 || scale > 1) w->s->vec->scale(x, scale, t->ne[0]);
    }
}

/* What the layers left that this pass leaves out. */
static void take_up(const worker *w, const columns *c)
{
    const bg_resume *r = &w->p->resume;
    size_t n = w->s->model->h.n_embd, begin, end;
    share_columns(w, c->n, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *x = w->x + token_of(c, i) * n;
        if (r->half) bg_half_row_get((const uint16_t *)r->from + i * bg_half_row(n), x, n);
        else memcpy(x, (const float *)r->from + i * n, n * sizeof *x);
    }
}

/* Where residual streams are wanted. */
typedef struct keeping { void *rows; bool half; } keeping;

static keeping keep_of(const worker *w, uint32_t layer)
{
    const bg_resume *r = &w->p->resume;
    return (keeping){r->keep ? r->keep[layer] : NULL, r->half};
}

static keeping middle_of(const worker *w, uint32_t layer)
{
    return (keeping){w->p->resume.middle ? w->p->resume.middle[layer] : NULL, false};
}

/* Half rows are what the pass goes on with, too. */
static void keep_row(keeping k, size_t i, float *x, size_t n)
{
    uint16_t *row = (uint16_t *)k.rows + i * bg_half_row(n);
    if (!k.half) {
        memcpy((float *)k.rows + i * n, x, n * sizeof *x);
        return;
    }
    bg_half_row_put(x, n, row);
    bg_half_row_get(row, x, n);
}

/* The matrices of a layer that read an input (none: it is the output's, whose layer is n_layer),
 * and the kernel formats that they read. */
typedef struct readers {
    uint32_t layer;
    const bg_matrix_id *ids;
    size_t n;
    unsigned slots;
} readers;

static void observe(const worker *w, const readers *r, size_t i, const float *in, size_t first,
                    size_t n)
{
    const bg_model *m = w->s->model;
    const bg_observer *o = w->s->observer;
    if (w->lone && w->member > 0) return;
    if (r->layer == w->s->n_layer) o->see(o->user, w->member, m->output, i, in, first, n);
    for (size_t j = 0; j < r->n; j++)
        o->see(o->user, w->member, m->layers[m->held[r->layer]].w[r->ids[j]], i, in, first, n);
}

/* Encodes numbers [first, first + n) of column i of an input into `act`, for each kernel format of
 * its readers; k is the column's length, first a multiple of every block. */
static void encode_part(const worker *w, uint8_t *const *act, const readers *r, size_t i,
                        const float *in, size_t first, size_t n, size_t k)
{
    const bg_session *s = w->s;
    if (s->observer) observe(w, r, i, in, first, n);
    for (unsigned slot = 0; slot < s->n_slots; slot++) {
        bg_format f = s->slots[slot];
        uint8_t *to = act[slot] + i * bg_activation_bytes(f, k) +
                      bg_format_row_bytes(bg_format_get((int)f), first);
        if (!(r->slots >> slot & 1)) continue;
        if (s->activations) bg_activations_round(s->activations, in, (float *)(void *)to, n);
        else bg_activation_encode(f, s->isa, in, to, n);
    }
}

static void encode(const worker *w, const readers *r, size_t i, const float *in, size_t k)
{
    encode_part(w, w->act, r, i, in, 0, k, k);
}

/* Adds what the block before left in delta (when `add`), itself normalised where `post` is not
 * NULL; puts that down in `keep`, where it is wanted, normalises, encodes. */
static void normalise(const worker *w, const columns *c, const float *weight, bool add,
                      const float *post, keeping keep, const readers *r)
{
    const bg_session *s = w->s;
    size_t n = s->model->h.n_embd, begin, end;
    float *row = s->members[w->member].row;
    share_columns(w, c->n, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *x = w->x + token_of(c, i) * n;
        const float *delta = s->delta + i * s->delta_stride;
        if (add && post) s->vec->rmsnorm(delta, post, row, s->model->h.rms_eps, n);
        if (add) s->vec->add(x, post ? row : delta, n);
        if (keep.rows && !(w->lone && w->member > 0)) keep_row(keep, i, x, n);
        s->vec->rmsnorm(x, weight, row, s->model->h.rms_eps, n);
        encode(w, r, i, row, n);
    }
}

static void encode_columns(const worker *w, const columns *c, const float *in, size_t k,
                           const readers *r)
{
    size_t begin, end;
    share_columns(w, c->n, &begin, &end);
    for (size_t i = begin; i < end; i++) encode(w, r, i, in + token_of(c, i) * k, k);
}

/* Rows [begin, end) of a product with n encoded columns; y is row `begin` of column 0, y_stride
 * from column to column. begin is the first row of a panel. */
static void multiply(const worker *w, const bg_matrix *a, uint8_t *const *act, size_t begin,
                     size_t end, size_t n, float *y, size_t y_stride)
{
    bg_op op = bg_op_for(n);
    unsigned slot = a->slot[op];
    bg_matmul args = {
        .w = a->panels + begin / BG_PANEL_ROWS * a->panel_bytes, .panel_bytes = a->panel_bytes,
        .x = act[slot], .x_stride = bg_activation_bytes(w->s->slots[slot], a->k),
        .y = y, .y_stride = y_stride,
        .k = a->k, .rows = end - begin, .cols = n,
    };
    if (begin < end && n > 0) a->run[op](&args);
    for (size_t i = 0; a->bias && begin < end && i < n; i++)
        w->s->vec->add(y + i * y_stride, a->bias + begin, end - begin);
}

static size_t matrix_bytes(const bg_matrix *a)
{
    return (a->rows + BG_PANEL_ROWS - 1) / BG_PANEL_ROWS * a->panel_bytes;
}

/* The first row of a member's share of `total` bytes, of which the matrix begins at `first`; in
 * units of so many panels. */
static size_t share_row(const worker *w, const bg_matrix *a, size_t first, size_t total, int member,
                        size_t unit)
{
    size_t at = total / (size_t)w->size * (size_t)member, bytes = a->panel_bytes * unit;
    size_t units = at <= first ? 0 : (at - first + bytes / 2) / bytes;
    return BG_MIN(units * unit * BG_PANEL_ROWS, a->rows);
}

/* This member's rows of a product. */
static void multiply_share(const worker *w, const bg_matrix *a, uint8_t *const *act, size_t n,
                           float *y, size_t y_stride)
{
    size_t begin, end;
    bg_team_share(a->rows, BG_PANEL_ROWS, w->member, w->size, &begin, &end);
    multiply(w, a, act, begin, end, n, y + begin, y_stride);
}

/* Soft-caps what multiply_share has put there. */
static void cap_share(const worker *w, size_t n, float *logits)
{
    size_t begin, end, rows = w->s->output.rows;
    bg_team_share(rows, BG_PANEL_ROWS, w->member, w->size, &begin, &end);
    for (size_t i = 0; begin < end && i < n; i++)
        w->s->vec->soft_cap(logits + i * rows + begin, w->s->model->h.logit_cap, end - begin);
}

/* Rows of a projection, and where they lie in their head. */
typedef struct piece { uint32_t head; size_t begin, end; } piece;

/* Also normalises heads where the architecture does. */
static void rotate(const worker *w, const bg_layer *l, bg_matrix_id id, float *y, size_t width,
                   piece r)
{
    const bg_session *s = w->s;
    const float *norm = l->v_f32[id == BG_W_Q ? BG_V_Q_NORM : BG_V_K_NORM];
    const float *turn = s->turns[bg_layer_kind(l)].table;
    size_t rope_dim = s->model->h.rope_dim, dim = s->model->h.head_dim;
    size_t end = BG_MIN(r.end, rope_dim);
    for (size_t i = 0; i < w->p->n; i++) {
        float *head = y + i * width + r.head * dim;
        if (norm) s->vec->rmsnorm(head, norm, head, s->model->h.rms_eps, dim);
        if (r.begin < end)
            s->rope(head + r.begin, turn + s->pos[i] * rope_dim + r.begin, end - r.begin);
    }
}

static void store_keys(const worker *w, uint32_t layer, piece r)
{
    const bg_pass *p = w->p;
    const bg_session *s = w->s;
    size_t dim = s->model->h.head_dim, width = matrix(s, layer, BG_W_K)->rows;
    for (size_t i = 0; i < p->n; i++) {
        uint16_t *keys = bg_session_keys(s, layer, p->seq ? p->seq[i] : 0, r.head), row[64];
        const float *in = s->k + i * width + r.head * dim;
        size_t at = bg_session_place(s, layer, s->pos[i]);
        keys += at / BG_KV_PANEL * BG_KV_PANEL * dim + at % BG_KV_PANEL;
        for (size_t d = r.begin; d < r.end; d += BG_COUNT(row)) {
            size_t n = BG_MIN(r.end - d, BG_COUNT(row));
            s->vec->to_f16(in + d, row, n);
            for (size_t e = 0; e < n; e++) keys[(d + e) * BG_KV_PANEL] = row[e];
        }
    }
}

static void store_values(const worker *w, uint32_t layer, piece r)
{
    const bg_pass *p = w->p;
    const bg_session *s = w->s;
    size_t width = matrix(s, layer, BG_W_V)->rows;
    for (size_t i = 0; i < p->n; i++)
        s->vec->to_f16(s->v + i * width + r.head * s->model->h.head_dim + r.begin,
                       bg_session_values(s, layer, p->seq ? p->seq[i] : 0, r.head) +
                           bg_session_place(s, layer, s->pos[i]) * s->value_width + r.begin,
                       r.end - r.begin);
}

/* Queries, keys and values are one list of panels, shared out by their bytes. What a member has
 * computed it rotates and stores, a piece of a head at a time. */
static void project(const worker *w, uint32_t layer)
{
    static const bg_matrix_id ids[] = {BG_W_Q, BG_W_K, BG_W_V};
    const bg_session *s = w->s;
    const bg_layer *l = bg_session_layer(s, layer);
    float *const out[] = {s->q, s->k, s->v};
    size_t dim = s->model->h.head_dim, unit = s->rope_unit, total = 0, first = 0;
    for (size_t i = 0; i < BG_COUNT(ids); i++) total += matrix_bytes(matrix(s, layer, ids[i]));
    for (size_t i = 0; i < BG_COUNT(ids); i++) {
        const bg_matrix *a = matrix(s, layer, ids[i]);
        size_t begin = share_row(w, a, first, total, w->member, unit);
        size_t end = w->member + 1 == w->size ? a->rows
                                              : share_row(w, a, first, total, w->member + 1, unit);
        multiply(w, a, w->act, begin, end, w->p->n, out[i] + begin, a->rows);
        for (size_t r = begin; r < end;) {
            piece part = {(uint32_t)(r / dim), r % dim, BG_MIN(dim, r % dim + end - r)};
            if (ids[i] != BG_W_V) rotate(w, l, ids[i], out[i], a->rows, part);
            if (ids[i] == BG_W_K) store_keys(w, layer, part);
            if (ids[i] == BG_W_V) store_values(w, layer, part);
            r += part.end - part.begin;
        }
        first += matrix_bytes(a);
    }
}

/* The readers of an input of `cols` columns. */
static readers readers_of(const bg_session *s, uint32_t layer, const bg_matrix_id *ids, size_t n,
                          size_t cols)
{
    readers r = {.layer = layer, .ids = ids, .n = n};
    for (size_t i = 0; i < n; i++) r.slots |= 1u << matrix(s, layer, ids[i])->slot[bg_op_for(cols)];
    return r;
}

/* A member's rows of gate and up, and the blocks that they touch. */
typedef struct ffn_share { size_t begin, end, n_ff; } ffn_share;

static ffn_share share_ffn(const worker *w, const bg_matrix *gate)
{
    ffn_share f = {.n_ff = gate->rows};
    bg_team_share(gate->rows, BG_PANEL_ROWS, w->member, w->size, &f.begin, &f.end);
    return f;
}

/* Gate and up, a block of both at a time: their products stay in the member's cache until they are
 * combined and encoded. A block that is shared with a neighbour is put down for encode_shared. */
static void gate_and_up(const worker *w, uint32_t layer, size_t n, const readers *down)
{
    const bg_session *s = w->s;
    const bg_member_scratch *own = &s->members[w->member];
    const bg_matrix *gate = matrix(s, layer, BG_W_GATE), *up = matrix(s, layer, BG_W_UP);
    const ffn_share f = share_ffn(w, gate);
    for (size_t r = f.begin, rows; r < f.end; r += rows) {
        size_t first = r - r % BG_FFN_ROWS, block = BG_MIN(f.n_ff - first, (size_t)BG_FFN_ROWS);
        rows = BG_MIN(f.end, first + block) - r;
        multiply(w, gate, w->act, r, r + rows, n, own->gate, BG_FFN_STRIDE);
        multiply(w, up, w->act, r, r + rows, n, own->up, BG_FFN_STRIDE);
        for (size_t i = 0; i < n; i++) {
            float *in = own->gate + i * BG_FFN_STRIDE;
            bool whole = rows == block;
            float *out = whole ? in : s->ffn + i * f.n_ff + r;
            s->gate_mul(in, own->up + i * BG_FFN_STRIDE, out, rows);
            if (whole) encode_part(w, w->ffn_act, down, i, out, r, rows, f.n_ff);
        }
    }
}

/* The blocks that lie in several shares; the member who has a block's first row encodes it. */
static void encode_shared(const worker *w, uint32_t layer, size_t n, const readers *down)
{
    const ffn_share f = share_ffn(w, matrix(w->s, layer, BG_W_GATE));
    size_t first = f.end - f.end % BG_FFN_ROWS;
    if (first < f.begin || first == f.end || f.end == f.n_ff) return;
    for (size_t i = 0; i < n; i++)
        encode_part(w, w->ffn_act, down, i, w->s->ffn + i * f.n_ff + first, first,
                    BG_MIN(f.n_ff - first, (size_t)BG_FFN_ROWS), f.n_ff);
}

/* Of a single token: gate and up each as one stream of weights. */
static void gate_and_up_lone(const worker *w, uint32_t layer)
{
    const bg_session *s = w->s;
    const bg_member_scratch *own = &s->members[w->member];
    const bg_matrix *gate = matrix(s, layer, BG_W_GATE), *up = matrix(s, layer, BG_W_UP);
    const ffn_share f = share_ffn(w, gate);
    multiply(w, gate, w->act, f.begin, f.end, 1, own->gate, gate->rows);
    multiply(w, up, w->act, f.begin, f.end, 1, own->up, up->rows);
    s->gate_mul(own->gate, own->up, s->ffn + f.begin, f.end - f.begin);
}

/* The input of the last product, encoded. */
static void feed_forward(const worker *w, uint32_t layer, size_t n, const readers *down)
{
    if (n == 1) {
        size_t n_ff = matrix(w->s, layer, BG_W_GATE)->rows;
        gate_and_up_lone(w, layer);
        bg_team_barrier(w->s->team);
        if (w->lone || w->member == 0)
            encode_part(w, w->ffn_act, down, 0, w->s->ffn, 0, n_ff, n_ff);
    } else {
        gate_and_up(w, layer, n, down);
        bg_team_barrier(w->s->team);
        encode_shared(w, layer, n, down);
    }
    column_barrier(w);
}

/* How what the layers before this one left in delta is to be normalised. */
static const float *left_norm(const bg_session *s, uint32_t layer)
{
    return layer ? bg_session_layer(s, layer - 1)->v_f32[BG_V_FFN_POST_NORM] : NULL;
}

/* Whether the pass was for what these read. */
static bool ends_here(const worker *w, const readers *r)
{
    const bg_tensor *until = w->p->resume.until;
    bool found = false;
    for (size_t i = 0; until && i < r->n; i++)
        found |= bg_session_layer(w->s, r->layer)->w[r->ids[i]] == until;
    return found;
}

/* One layer; *c shrinks to the wanted tokens once the last layer's keys and values are stored.
 * Returns with its last sum still in delta; false when the pass ends within it. */
static bool layer_run(const worker *w, uint32_t layer, columns *c)
{
    static const bg_matrix_id qkv[] = {BG_W_Q, BG_W_K, BG_W_V}, out[] = {BG_W_OUT},
                              ffn[] = {BG_W_GATE, BG_W_UP}, down[] = {BG_W_DOWN};
    const bg_session *s = w->s;
    const bg_layer *l = bg_session_layer(s, layer);
    readers r = readers_of(s, layer, qkv, BG_COUNT(qkv), c->n);
    normalise(w, c, l->v_f32[BG_V_ATTN_NORM], layer > w->p->resume.first, left_norm(s, layer),
              keep_of(w, layer), &r);
    if (ends_here(w, &r)) return false;
    column_barrier(w);
    project(w, layer);
    bg_team_barrier(s->team);
    bg_attention_run(w->p, layer, w->member);
    bg_team_barrier(s->team);
    if (layer + 1 == s->n_layer) *c = (columns){w->p->n_out, s->out};
    r = readers_of(s, layer, out, BG_COUNT(out), c->n);
    encode_columns(w, c, s->att, matrix(s, layer, BG_W_Q)->rows, &r);
    if (ends_here(w, &r)) return false;
    column_barrier(w);
    multiply_share(w, matrix(s, layer, BG_W_OUT), w->act, c->n, s->delta, s->delta_stride);
    bg_team_barrier(s->team);
    r = readers_of(s, layer, ffn, BG_COUNT(ffn), c->n);
    normalise(w, c, l->v_f32[BG_V_FFN_NORM], true, l->v_f32[BG_V_ATTN_POST_NORM],
              middle_of(w, layer), &r);
    if (ends_here(w, &r)) return false;
    column_barrier(w);
    r = readers_of(s, layer, down, BG_COUNT(down), c->n);
    feed_forward(w, layer, c->n, &r);
    if (ends_here(w, &r)) return false;
    multiply_share(w, matrix(s, layer, BG_W_DOWN), w->ffn_act, c->n, s->delta, s->delta_stride);
    bg_team_barrier(s->team);
    return true;
}

void bg_forward_run(void *user, int member, int size)
{
    const bg_pass *p = user;
    const bg_session *s = p->s;
    worker w = make_worker(p, member, size);
    columns c = {p->n, NULL};
    uint32_t first = p->resume.first, end = p->resume.end ? p->resume.end : s->n_layer;
    readers r = {.layer = end};
    if (first == s->n_layer) c = (columns){p->n_out, s->out};
    if (first == 0) embed(&w);
    else take_up(&w, &c);
    if (s->layer_end && member == 0) s->layer_end[0] = bg_clock_ns();
    for (uint32_t layer = first; layer < end; layer++) {
        if (!layer_run(&w, layer, &c)) return; /* else it ends with a barrier */
        if (s->layer_end && member == 0) s->layer_end[layer + 1] = bg_clock_ns();
    }
    if (end == s->n_layer) r.slots = 1u << s->output.slot[bg_op_for(c.n)];
    normalise(&w, &c, s->model->output_norm_f32, first < end, left_norm(s, end), keep_of(&w, end),
              &r);
    column_barrier(&w);
    if (!p->logits || end < s->n_layer) return;
    multiply_share(&w, &s->output, w.act, c.n, p->logits, s->output.rows);
    if (s->model->h.logit_cap > 0) cap_share(&w, c.n, p->logits);
}
