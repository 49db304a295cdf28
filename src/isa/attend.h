/* attend.h: attention of a few queries, one function an instruction set. Internal. */
#ifndef BG_ATTEND_H
#define BG_ATTEND_H

#include <stddef.h>
#include <stdint.h>

enum {
    BG_KV_PANEL = 16,     /* positions of a KV cache are kept in panels of this many */
    BG_ATT_ROWS = 256,    /* most queries (tokens * heads) of one bg_attend */
    BG_ATT_BLOCK = 128,   /* positions that are scored at once */
};

/* Attention of `heads` query heads, which share a key head, of `tokens` consecutive tokens, to the
 * positions begin <= j < end. The token at position p sees those up to p, or of these the last
 * `window`. Row t * heads + h of the results belongs to token t and head h:
 *     score[j] = log2(e) * scale * (q . key[j]), or with a cap
 *     score[j] = log2(e) * cap * tanh(scale * (q . key[j]) / cap)
 *     base = some number that lets no power or sum overflow
 *     sum = sum of 2^(score[j] - base), out = sum of 2^(score[j] - base) * value[j]
 * A row that sees none has base -infinity and the rest 0. Same arguments give the same bits. */
typedef struct bg_attend {
    const float *q;               /* of token 0: [heads][dim], */
    size_t q_stride;              /* this many floats from token to token */
    size_t tokens, heads, dim;
    size_t value_width;           /* dim rounded up to 16 */
    const uint16_t *keys;         /* halves, [positions / 16][dim][16] */
    const uint16_t *values;       /* halves, [positions][value_width] */
    size_t ring;                  /* position j is kept at j % ring, a multiple of BG_ATT_BLOCK; 0:
                                     at j */
    size_t pos;                   /* of token 0 */
    size_t window;                /* 0: sees all */
    size_t begin, end;            /* begin is a multiple of BG_KV_PANEL, of BG_ATT_BLOCK when there
                                     is a ring; end > begin */
    float scale, cap;             /* cap 0: none */
    void (*soft_cap)(float *x, float cap, size_t n); /* a bg_vecops' */
    float *out, *base, *sum;      /* [rows][value_width], [rows], [rows] */
    void *scratch;                /* bg_attend_scratch bytes, 64-byte aligned */
} bg_attend;

typedef void bg_attend_fn(const bg_attend *a);

/* Where position j is kept; those of one block, which begins at a multiple of its length, lie
 * together. */
static inline size_t bg_attend_place(const bg_attend *a, size_t j)
{
    return a->ring ? j % a->ring : j;
}

/* The first position that the token at `pos` sees. */
static inline size_t bg_attend_first(const bg_attend *a, size_t pos)
{
    return a->window && pos + 1 > a->window ? pos + 1 - a->window : 0;
}

/* Enough for every set. */
static inline size_t bg_attend_scratch(size_t dim)
{
    enum { STRIP = 32 };          /* rows whose scores are kept, and what dimensions are padded
                                   * to */
    size_t width = (dim + STRIP - 1) / STRIP * STRIP;
    return BG_ATT_ROWS * width * 6 +                             /* queries */
           BG_ATT_BLOCK * width * 8 +                            /* a block's keys and values */
           STRIP * BG_ATT_BLOCK * (sizeof(float) + sizeof(uint16_t)) + /* scores, weights */
           BG_ATT_ROWS * 16 * sizeof(float);                    /* sums */
}

#endif
