/* session.h: the state of a forward pass. Internal to the model room.
 *
 * KV cache, per layer, sequence and key head; C positions (n_ctx rounded up to panels of 16, or a
 * ring of fewer in a layer with a window):
 *     keys    [C / 16][head_dim][16]    lanes are positions: scores need no horizontal sums
 *     values  [C][value_width]          head_dim rounded up to 16, the rest stays zero
 */
#ifndef BG_SESSION_H
#define BG_SESSION_H

#include "base/team.h"
#include "kernels/kernels.h"
#include "model/model.h"

#include <stdatomic.h>

/* Rows of gate and up that are computed and encoded together: a multiple of every activation block.
 * Columns lie an odd number of lines apart, so that they fall into different cache sets. */
enum { BG_FFN_ROWS = BG_FORMAT_MAX_BLOCK, BG_FFN_STRIDE = BG_FFN_ROWS + 16 };

/* Activation formats that the model's kernels read, each encoded once per input. */
enum { BG_MAX_SLOTS = 4 };

/* A packed matrix, and by bg_op its kernels and the slots of their activations. */
typedef struct bg_matrix {
    const uint8_t *panels;
    const float *bias;               /* of its rows; NULL: none */
    size_t k, rows, panel_bytes;
    bg_matmul_fn *run[BG_OP_COUNT];
    unsigned slot[BG_OP_COUNT];
} bg_matrix;

static inline bg_op bg_op_for(size_t cols) { return cols == 1 ? BG_OP_GEMV : BG_OP_GEMM; }

/* Positions that a span attends to: from `begin` on in `parts` parts of `part`, whose results are
 * kept from row part_row on. */
typedef struct bg_cut { uint32_t begin, parts, part; size_t part_row; } bg_cut;

/* Consecutive tokens of one sequence: positions pos, pos + 1, ..., and how their attention is cut
 * up in layers that see all, and in those with a window. */
typedef struct bg_span {
    uint32_t first, count, seq, pos;
    bg_cut cut[2];
} bg_span;

/* Where a layer's part of the caches begins, and positions of one. */
typedef struct bg_cache { uint16_t *keys, *values; size_t positions; bool ring; } bg_cache;

/* Cosines and sines, side by side or, where halves of a head turn together, half a head apart. */
typedef struct bg_turn {
    double *speed, magnitude;        /* as bg_rope_prepare has them */
    float *table;                    /* [n_ctx][rope_dim] */
} bg_turn;

/* One member's own memory. */
typedef struct bg_member_scratch {
    float *row;                      /* n_embd: a normalised token */
    float *gate, *up;                /* [n_batch][BG_FFN_STRIDE], or n_ff of one token */
    float *x;                        /* as in the session, of a pass of one token */
    uint8_t *act[BG_MAX_SLOTS];
    float *out;                      /* of an attention item: rows, footings, sums */
    void *attend;                    /* its scratch memory */
} bg_member_scratch;

struct bg_session {
    const bg_model *model;
    const bg_vecops *vec;
    bg_attend_fn *attend;
    void (*gate_mul)(const float *gate, const float *up, float *out, size_t n);
    void (*rope)(float *x, const float *turn, size_t n);
    size_t rope_unit;                /* panels of queries or keys that go together */
    bg_team *team;
    bg_isa isa;
    bg_activations activations;
    uint32_t n_ctx, n_batch, n_seq;
    size_t value_width, q_width, kv_width; /* the latter of the widest layers */
    uint32_t n_layer;                /* that the model holds; layers count by these */
    bg_matrix *matrices;             /* layer * BG_W_COUNT + id */
    uint64_t *layer_end;             /* clock at the end of each, where the model lacks some; of
                                        the first, preceded by its start. Else NULL */
    double skipped_seconds;
    const bg_observer *observer;     /* NULL: nobody */
    bg_matrix output;
    const bg_format_info *embd_format; /* of what stands in for token_embd, NULL for its own, */
    const void *embd_packed;         /* and that */
    bg_format slots[BG_MAX_SLOTS];   /* activation formats */
    unsigned n_slots;
    uint16_t *keys, *values;         /* of all layers */
    size_t keys_bytes, values_bytes;
    bg_cache *caches;                /* by layer */
    uint32_t *past;                  /* positions taken, per sequence */

    void *arena;                     /* everything below */
    size_t arena_bytes;
    float *x;                        /* [n_batch][n_embd] residual stream */
    float *delta;                    /* [n_batch][delta_stride] what a block adds to it */
    size_t delta_stride;             /* n_embd in an odd number of lines: see BG_FFN_STRIDE */
    float *q, *k, *v, *att;          /* [n_batch][q_width or kv_width] */
    float *ffn;                      /* [n_batch][n_ff] what is not encoded at once; shares memory
                                        with the line above */
    bg_turn turns[2];                /* of layers that see all, and of those with a window */
    uint32_t turned;                 /* of so many positions as yet */
    uint8_t *act[BG_MAX_SLOTS];      /* encoded columns, */
    uint8_t *ffn_act[BG_MAX_SLOTS];  /* and those of n_ff, made while the others are read */
    uint32_t *pos, *out;             /* [n_batch] positions; tokens whose logits are wanted */
    bg_span *spans;                  /* [n_batch] */
    uint32_t most_span;              /* most tokens of one */
    uint32_t least_items, most_items; /* of attention that a span makes, over the layers */
    float *parts;                    /* results of parts of attention: rows, footings, sums */
    _Atomic uint32_t *parts_done;    /* of each item whose positions are split */
    _Atomic uint32_t *next_item;     /* of attention, by layer */
    bg_member_scratch *members;
};

/* One evaluation. */
typedef struct bg_pass {
    bg_session *s;
    const int32_t *tokens;
    const uint32_t *seq;
    size_t n, n_spans, n_out;
    float *logits;
    bg_resume resume;
} bg_pass;

static inline const bg_layer *bg_session_layer(const bg_session *s, uint32_t layer)
{
    return &s->model->layers[s->model->held[layer]];
}

/* Which of spans' cuts and sessions' turns a layer takes. */
static inline size_t bg_layer_kind(const bg_layer *l) { return l->n.window ? 1 : 0; }

static inline uint16_t *bg_session_keys(const bg_session *s, uint32_t layer, uint32_t seq,
                                        uint32_t head)
{
    const bg_cache *c = &s->caches[layer];
    size_t index = (size_t)seq * bg_session_layer(s, layer)->n.n_head_kv + head;
    return c->keys + index * c->positions * s->model->h.head_dim;
}

static inline uint16_t *bg_session_values(const bg_session *s, uint32_t layer, uint32_t seq,
                                          uint32_t head)
{
    const bg_cache *c = &s->caches[layer];
    size_t index = (size_t)seq * bg_session_layer(s, layer)->n.n_head_kv + head;
    return c->values + index * c->positions * s->value_width;
}

/* Where in them a position lies. */
static inline size_t bg_session_place(const bg_session *s, uint32_t layer, uint32_t pos)
{
    const bg_cache *c = &s->caches[layer];
    return c->ring ? pos % c->positions : pos;
}

/* The whole pass, run by every member of the team together. `user` is a bg_pass. */
void bg_forward_run(void *user, int member, int size);

/* att = softmax(scores) values of one layer: as much of it as falls to this member.
 * All members call it. */
void bg_attention_run(const bg_pass *p, uint32_t layer, int member);
/* What is known of all passes; before anything else here. */
void bg_attention_prepare(bg_session *s);
/* Decides how the attention of a pass of n tokens is cut up. Before the pass. */
void bg_attention_begin(bg_session *s, size_t n, size_t n_spans);
/* What `parts` (in rows of value_width + 2) and parts_done hold. */
size_t bg_attention_part_rows(const bg_session *s);
size_t bg_attention_part_items(const bg_session *s);

#endif
