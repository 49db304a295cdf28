/* SentencePiece BPE (Kudo and Richardson, 2018): the text starts as single characters; of all
 * neighbours whose concatenation is a piece, the pair with the highest score, the leftmost of
 * equals, is joined, until none is left. What is no piece falls back to its bytes. */
#include "model/tokenizer.h"

#include <string.h>

/* One character, or the join of several; a list in the order of the text. */
typedef struct symbol {
    uint32_t start, length; /* in the run; length 0: joined to the one before */
    int32_t token;          /* -1: no piece */
    int32_t previous, next; /* -1 at the ends */
} symbol;

typedef struct candidate {
    float score;
    int32_t left, right, token;
    uint32_t length;        /* of both; another one by now means that the pair is gone */
} candidate;

typedef struct encoder {
    const bg_tokenizer *t;
    symbol *symbols;
    candidate *heap;
    size_t symbol_capacity, heap_capacity, n_heap;
    int32_t *out;
    size_t n_out, out_capacity;
} encoder;

/* `items` with room for `need` of them, moved if it must be; NULL when there is no memory. */
static void *reserve(void *items, size_t *capacity, size_t need, size_t size)
{
    size_t wanted = BG_MAX(BG_MAX(need, *capacity + *capacity / 2), (size_t)64);
    if (need <= *capacity) return items;
    items = bg_grow(items, wanted, size);
    if (items) *capacity = wanted;
    return items;
}

static bool emit(encoder *e, int32_t token)
{
    int32_t *out = reserve(e->out, &e->out_capacity, e->n_out + 1, sizeof *out);
    if (!out) return false;
    e->out = out;
    e->out[e->n_out++] = token;
    return true;
}

/* Bytes of the character at p: 1 for anything that is not well-formed UTF-8. */
static uint32_t character_length(const char *p, size_t left)
{
    const uint8_t *u = (const uint8_t *)p;
    uint32_t n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3
                 : u[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > left) return 1;
    for (uint32_t i = 1; i < n; i++)
        if ((u[i] & 0xc0) != 0x80) return 1;
    /* Overlong forms, surrogates, past U+10FFFF. */
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
        (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
        return 1;
    return n;
}

static bool comes_before(const candidate *a, const candidate *b)
{
    return a->score != b->score ? a->score > b->score : a->left < b->left;
}

static bool push_pair(encoder *e, const char *run, int32_t left, int32_t right)
{
    const symbol *a, *b;
    candidate c, *heap;
    size_t i;
    if (left < 0 || right < 0) return true;
    a = &e->symbols[left];
    b = &e->symbols[right];
    c = (candidate){.left = left, .right = right, .length = a->length + b->length};
    c.token = bg_tokenizer_find(e->t, run + a->start, c.length);
    if (c.token < 0) return true;
    c.score = e->t->pieces[c.token].score;
    heap = reserve(e->heap, &e->heap_capacity, e->n_heap + 1, sizeof *heap);
    if (!heap) return false;
    e->heap = heap;
    for (i = e->n_heap++; i > 0 && comes_before(&c, &e->heap[(i - 1) / 2]); i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = c;
    return true;
}

static candidate pop_pair(encoder *e)
{
    candidate top = e->heap[0], last = e->heap[--e->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= e->n_heap) break;
        if (child + 1 < e->n_heap && comes_before(&e->heap[child + 1], &e->heap[child])) child++;
        if (!comes_before(&e->heap[child], &last)) break;
        e->heap[i] = e->heap[child];
        i = child;
    }
    e->heap[i] = last;
    return top;
}

static bool join_pairs(encoder *e, const char *run)
{
    while (e->n_heap) {
        candidate c = pop_pair(e);
        symbol *left = &e->symbols[c.left], *right = &e->symbols[c.right];
        if (!left->length || !right->length || left->length + right->length != c.length) continue;
        left->length = c.length;
        left->token = c.token;
        left->next = right->next;
        right->length = 0;
        if (right->next >= 0) e->symbols[right->next].previous = c.left;
        if (!push_pair(e, run, left->previous, c.left) || !push_pair(e, run, c.left, left->next))
            return false;
    }
    return true;
}

/* A symbol that is no piece: its bytes, or one unknown token where the vocabulary has no bytes. */
static bool emit_bytes(encoder *e, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = e->t->byte_ids[(uint8_t)p[i]];
        if (!emit(e, id)) return false;
        if (id == e->t->unknown) break;
    }
    return true;
}

/* A stretch of text that no piece reaches out of. */
static bool encode_run(encoder *e, const char *run, size_t n)
{
    int32_t count = 0;
    symbol *symbols = reserve(e->symbols, &e->symbol_capacity, n, sizeof *symbols);
    if (!symbols) return false;
    e->symbols = symbols;
    for (size_t i = 0; i < n; count++) {
        uint32_t length = character_length(run + i, n - i);
        e->symbols[count] = (symbol){.start = (uint32_t)i, .length = length,
                                     .token = bg_tokenizer_find(e->t, run + i, length),
                                     .previous = count - 1, .next = count + 1};
        i += length;
    }
    e->symbols[count - 1].next = -1;
    e->n_heap = 0;
    for (int32_t i = 1; i < count; i++)
        if (!push_pair(e, run, i - 1, i)) return false;
    if (!join_pairs(e, run)) return false;
    for (int32_t i = 0; i >= 0; i = e->symbols[i].next) {
        const symbol *s = &e->symbols[i];
        if (s->token >= 0 ? !emit(e, s->token) : !emit_bytes(e, run + s->start, s->length))
            return false;
    }
    return true;
}

/* Ordinary text with spaces marked. */
static bool encode_marked(encoder *e, const char *text, size_t n)
{
    for (size_t begin = 0; begin < n;) {
        size_t end = begin + character_length(text + begin, n - begin);
        while (end < n && bg_tokenizer_joins(e->t, text[end - 1], text[end]))
            end += character_length(text + end, n - end);
        if (!encode_run(e, text + begin, end - begin)) return false;
        begin = end;
    }
    return true;
}

static bool encode_text(encoder *e, const char *text, size_t n, bool prefix)
{
    size_t spaces = prefix, used = 0;
    char *marked;
    bool ok;
    for (size_t i = 0; i < n; i++) spaces += text[i] == ' ';
    marked = bg_grow(NULL, n + spaces * BG_SPACE_MARK_LENGTH, 1);
    if (!marked) return false;
    if (prefix) {
        memcpy(marked, BG_SPACE_MARK, BG_SPACE_MARK_LENGTH);
        used = BG_SPACE_MARK_LENGTH;
    }
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ') {
            memcpy(marked + used, BG_SPACE_MARK, BG_SPACE_MARK_LENGTH);
            used += BG_SPACE_MARK_LENGTH;
        } else {
            marked[used++] = text[i];
        }
    }
    ok = encode_marked(e, marked, used);
    bg_free(marked);
    return ok;
}

/* The longest special piece at p, or -1. Control pieces count only when asked for. */
static int32_t match_special(const bg_tokenizer *t, const char *p, size_t left, bool control)
{
    uint8_t first = (uint8_t)*p;
    for (uint32_t i = t->special_first[first]; i < t->special_first[first + 1]; i++) {
        int32_t id = t->specials[i];
        const bg_piece *piece = &t->pieces[id];
        if (piece->type == BG_PIECE_CONTROL && !control) continue;
        if (piece->length <= left && memcmp(t->pool + piece->offset, p, piece->length) == 0)
            return id;
    }
    return -1;
}

/* Cuts the text at special pieces. The space prefix goes before text that begins the input or
 * follows a control piece; user-defined pieces are part of the text. */
static bool encode_all(encoder *e, const char *text, size_t n, bool control)
{
    bool prefix = e->t->add_space_prefix;
    size_t begin = 0;
    for (size_t i = 0; i < n;) {
        int32_t id = match_special(e->t, text + i, n - i, control);
        bool is_control;
        if (id < 0) {
            i++;
            continue;
        }
        is_control = e->t->pieces[id].type == BG_PIECE_CONTROL;
        if ((i > begin || !is_control) && !encode_text(e, text + begin, i - begin, prefix))
            return false;
        if (!emit(e, id)) return false;
        begin = i += e->t->pieces[id].length;
        prefix = is_control && e->t->add_space_prefix;
    }
    return begin == n || encode_text(e, text + begin, n - begin, prefix);
}

bg_status bg_tokenize(const bg_tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, int32_t **tokens, size_t *count, bg_error *err)
{
    encoder e = {.t = t};
    bool ok;
    *tokens = NULL;
    *count = 0;
    if (!t)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "the model has no tokenizer: convert it again with its vocabulary");
    /* Symbols are counted in 31 bits, and a space grows to three bytes. */
    if (n > INT32_MAX / 4)
        return bg_fail(err, BG_ERR_INPUT, NULL,
                       "a text of %zu bytes is too long: take at most %d MB of it", n,
                       INT32_MAX / 4 / 1000000);
    e.out = reserve(NULL, &e.out_capacity, n / 2 + 1, sizeof *e.out);
    ok = e.out && (!add_special || !bg_tokenizer_adds_bos(t) || emit(&e, t->bos));
    ok = ok && encode_all(&e, text, n, parse_special);
    bg_free(e.symbols);
    bg_free(e.heap);
    if (!ok) {
        bg_free(e.out);
        return bg_fail_nomem(err, "the tokens of the text", n * sizeof(symbol));
    }
    *tokens = e.out;
    *count = e.n_out;
    return BG_OK;
}

void bg_tokens_free(int32_t *tokens) { bg_free(tokens); }
