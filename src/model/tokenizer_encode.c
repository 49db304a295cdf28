/* Encoding. A run of text starts as single characters (or bytes, where the vocabulary is of that
 * kind); of all neighbours that join, the best pair, the leftmost of equals, is joined, until none
 * is left. In SentencePiece BPE (Kudo and Richardson, 2018) two join whose concatenation is a
 * piece, the highest score first, and what is no piece falls back to its bytes; in byte-level BPE
 * (Radford et al., 2019) two join that are in the list of merges, in its order. */
#include "model/tokenizer.h"

#include <string.h>

/* One character, or the join of several; a list in the order of the text. */
typedef struct symbol {
    uint32_t start, length; /* in the run; length 0: joined to the one before */
    int32_t token;          /* -1: no piece */
    int32_t previous, next; /* -1 at the ends */
} symbol;

typedef struct candidate {
    float score;            /* of the piece, or minus the merge's rank */
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
    bg_status status;       /* of splitting text into words */
    bg_error *err;
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

/* A byte that a byte-level vocabulary lacks (-1) says nothing. */
static bool emit(encoder *e, int32_t token)
{
    int32_t *out;
    if (token < 0) return true;
    out = reserve(e->out, &e->out_capacity, e->n_out + 1, sizeof *out);
    if (!out) return false;
    e->out = out;
    e->out[e->n_out++] = token;
    return true;
}

uint32_t bg_character_length(const char *p, size_t left)
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

/* Bytes of the symbol that begins at p. */
static uint32_t symbol_length(const bg_tokenizer *t, const char *p, size_t left)
{
    return bg_tokenizer_is_bytes(t) ? 1 : bg_character_length(p, left);
}

/* What two symbols become: token and score of c; false when they do not join. */
static bool find_join(const bg_tokenizer *t, const char *run, const symbol *a, const symbol *b,
                      candidate *c)
{
    if (bg_tokenizer_is_bytes(t)) {
        const bg_merge *m = a->token < 0 || b->token < 0 ? NULL :
                            bg_tokenizer_find_merge(t, a->token, b->token);
        if (!m) return false;
        c->token = m->token;
        c->score = -(float)m->rank;
        return true;
    }
    c->token = bg_tokenizer_find(t, run + a->start, c->length);
    if (c->token < 0) return false;
    c->score = t->pieces[c->token].score;
    return true;
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
    if (!find_join(e->t, run, a, b, &c)) return true;
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
        uint32_t length = symbol_length(e->t, run + i, n - i);
        int32_t token = bg_tokenizer_is_bytes(e->t) ? e->t->byte_ids[(uint8_t)run[i]] :
                        bg_tokenizer_find(e->t, run + i, length);
        e->symbols[count] = (symbol){.start = (uint32_t)i, .length = length, .token = token,
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
        size_t end = begin + bg_character_length(text + begin, n - begin);
        while (end < n && bg_tokenizer_joins(e->t, text[end - 1], text[end]))
            end += bg_character_length(text + end, n - end);
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

static bool encode_word(void *user, const char *word, size_t n)
{
    encoder *e = user;
    int32_t whole = e->t->whole_words ? bg_tokenizer_find(e->t, word, n) : -1;
    return whole >= 0 ? emit(e, whole) : encode_run(e, word, n);
}

static bool encode_part(void *user, int32_t special, const char *text, size_t n)
{
    encoder *e = user;
    if (special >= 0) return emit(e, special);
    if (!bg_tokenizer_is_bytes(e->t)) return encode_text(e, text, n, e->t->add_space_prefix);
    e->status = bg_splitter_run(e->t->splitter, text, n, encode_word, e, e->err);
    return e->status == BG_OK;
}

bg_status bg_tokenize(const bg_tokenizer *t, const char *text, size_t n, bool add_special,
                      bool parse_special, int32_t **tokens, size_t *count, bg_error *err)
{
    encoder e = {.t = t, .err = err};
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
    ok = ok && bg_tokenizer_cut(t, text, n, parse_special, encode_part, &e);
    ok = ok && (!add_special || !t->add_eos || emit(&e, t->eos));
    bg_free(e.symbols);
    bg_free(e.heap);
    if (!ok) {
        bg_free(e.out);
        if (e.status != BG_OK) return e.status;
        return bg_fail_nomem(err, "the tokens of the text", n * sizeof(symbol));
    }
    *tokens = e.out;
    *count = e.n_out;
    return BG_OK;
}

void bg_tokens_free(int32_t *tokens) { bg_free(tokens); }
