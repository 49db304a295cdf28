/* Special tokens in a text: the longest first, wherever it stands, then the next longest in what is
 * left; among those of one length the one with the lowest id. llama.cpp goes by this order too. */
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

/* Part of the text that may still hold ids[next...]; after a token, if there is one. */
typedef struct part {
    size_t begin, end;
    uint32_t next;
    int32_t token;
} part;

typedef struct cutter {
    const bg_tokenizer *t;
    const char *text;
    int32_t *ids;          /* of the special tokens that occur */
    uint32_t n_ids;
    part *parts;           /* to be handed out, the first last: at most one more than n_ids */
    bg_cut_fn *hear;
    void *user;
} cutter;

static bool counts(const bg_piece *p, bool parse)
{
    return parse || p->type == BG_PIECE_USER_DEFINED;
}

/* The range of specials that have this byte at `depth`, among those that agree in all before it. */
static void narrow(const bg_tokenizer *t, uint32_t *low, uint32_t *high, uint32_t depth, char byte)
{
    for (int side = 0; side < 2; side++) {
        uint32_t a = *low, b = *high;
        while (a < b) {
            uint32_t middle = a + (b - a) / 2;
            const bg_piece *p = &t->pieces[t->specials[middle]];
            uint8_t have = (uint8_t)t->pool[p->offset + depth];
            if (have < (uint8_t)byte || (side && have == (uint8_t)byte)) a = middle + 1;
            else b = middle;
        }
        *(side ? high : low) = a;
    }
}

/* Notes in seen[] which specials begin at p. */
static void look_at(const bg_tokenizer *t, const char *p, size_t left, bool parse, uint8_t *seen)
{
    uint32_t low = t->special_first[(uint8_t)*p], high = t->special_first[(uint8_t)*p + 1];
    for (uint32_t depth = 1; low < high; depth++) {
        for (; low < high && t->pieces[t->specials[low]].length == depth; low++)
            seen[low] |= counts(&t->pieces[t->specials[low]], parse);
        if (depth == left) return;
        narrow(t, &low, &high, depth, p[depth]);
    }
}

static int longest_first(const void *a, const void *b, void *tokenizer)
{
    const bg_tokenizer *t = tokenizer;
    int32_t ia = *(const int32_t *)a, ib = *(const int32_t *)b;
    uint32_t na = t->pieces[ia].length, nb = t->pieces[ib].length;
    return na != nb ? (na > nb ? -1 : 1) : ia < ib ? -1 : ia > ib;
}

static bool find_specials(cutter *c, size_t n, bool parse)
{
    const bg_tokenizer *t = c->t;
    uint8_t *seen = bg_alloc(t->n_specials + 1, 1);
    if (!seen) return false;
    for (size_t i = 0; i < n; i++) look_at(t, c->text + i, n - i, parse, seen);
    for (uint32_t i = 0; i < t->n_specials; i++) c->n_ids += seen[i];
    c->ids = bg_alloc(c->n_ids + 1, sizeof *c->ids);
    c->parts = bg_alloc((size_t)c->n_ids + 2, sizeof *c->parts);
    if (c->ids && c->parts) {
        uint32_t used = 0;
        for (uint32_t i = 0; i < t->n_specials; i++)
            if (seen[i]) c->ids[used++] = t->specials[i];
        qsort_r(c->ids, c->n_ids, sizeof *c->ids, longest_first, (void *)(uintptr_t)t);
    }
    bg_free(seen);
    return c->ids && c->parts;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Splits a part at the first of its specials: what is before it, and it with what follows. */
static bool split(const cutter *c, const part *whole, part *before, part *after)
{
    for (uint32_t i = whole->next; i < c->n_ids; i++) {
        const bg_piece *p = &c->t->pieces[c->ids[i]];
        const char *begin = c->text + whole->begin;
        const char *at = memmem(begin, whole->end - whole->begin, c->t->pool + p->offset,
                                p->length);
        if (!at) continue;
        *before = (part){whole->begin, (size_t)(at - c->text), i + 1, -1};
        *after = (part){before->end + p->length, whole->end, i, c->ids[i]};
        while (p->strips && after->begin < after->end && is_space(c->text[after->begin]))
            after->begin++;
        return true;
    }
    return false;
}

static bool hand_out(cutter *c, size_t n)
{
    size_t depth = 0;
    c->parts[depth++] = (part){0, n, 0, -1};
    while (depth) {
        part whole = c->parts[--depth], before, after;
        if (whole.token >= 0 && !c->hear(c->user, whole.token, NULL, 0)) return false;
        while (split(c, &whole, &before, &after)) {
            c->parts[depth++] = after;
            whole = before;
        }
        if (whole.begin < whole.end &&
            !c->hear(c->user, -1, c->text + whole.begin, whole.end - whole.begin))
            return false;
    }
    return true;
}

bool bg_tokenizer_cut(const bg_tokenizer *t, const char *text, size_t n, bool parse,
                      bg_cut_fn *hear, void *user)
{
    cutter c = {.t = t, .text = text, .hear = hear, .user = user};
    bool ok = find_specials(&c, n, parse) && hand_out(&c, n);
    bg_free(c.ids);
    bg_free(c.parts);
    return ok;
}
