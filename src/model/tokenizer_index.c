/* What encoding looks up, made once from the pieces. */
#include "model/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static size_t hash_text(const char *text, size_t n)
{
    uint64_t h = bg_hash(BG_HASH_INIT, text, n);
    return (size_t)(h ^ h >> 32);
}

int32_t bg_tokenizer_find(const bg_tokenizer *t, const char *text, size_t n)
{
    if (n > t->longest) return -1;
    for (size_t i = hash_text(text, n) & t->slot_mask;; i = (i + 1) & t->slot_mask) {
        int32_t id = t->slots[i];
        if (id < 0) return -1;
        if (t->pieces[id].length == n && memcmp(t->pool + t->pieces[id].offset, text, n) == 0)
            return id;
    }
}

/* Slots for n entries in open addressing, at most half of them taken. */
static size_t slots_for(size_t n)
{
    size_t slots = 16;
    while (slots < n * 2) slots *= 2;
    return slots;
}

static bg_status index_pieces(bg_tokenizer *t, bg_error *err)
{
    size_t slots = slots_for(t->size);
    t->slots = bg_alloc(slots, sizeof *t->slots);
    if (!t->slots) return bg_fail_nomem(err, "the vocabulary", slots * sizeof *t->slots);
    memset(t->slots, 0xff, slots * sizeof *t->slots);
    t->slot_mask = slots - 1;
    for (uint32_t id = 0; id < t->size; id++) {
        const bg_piece *p = &t->pieces[id];
        const char *text = t->pool + p->offset;
        size_t i;
        if (!p->mergeable || bg_tokenizer_find(t, text, p->length) >= 0) continue;
        for (i = hash_text(text, p->length); t->slots[i & t->slot_mask] >= 0;) i++;
        t->slots[i & t->slot_mask] = (int32_t)id;
        t->longest = BG_MAX(t->longest, p->length);
        for (uint32_t j = 1; j < p->length; j++) {
            size_t bit = (size_t)(uint8_t)text[j - 1] << 8 | (uint8_t)text[j];
            t->joins[bit / 64] |= UINT64_C(1) << bit % 64;
        }
    }
    return BG_OK;
}

/* A byte-level vocabulary may lack some: like llama.cpp, they are left out then. */
static bg_status index_bytes(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    bool pieces = bg_tokenizer_is_bytes(t);
    for (int b = 0; b < 256; b++) {
        char byte = (char)b;
        t->byte_ids[b] = pieces ? bg_tokenizer_find(t, &byte, 1) : t->unknown;
    }
    if (pieces) return BG_OK;
    for (uint32_t i = t->size; i-- > 0;)
        if (t->pieces[i].type == BG_PIECE_BYTE) t->byte_ids[t->pieces[i].byte] = (int32_t)i;
    for (int b = 0; b < 256; b++)
        if (t->byte_ids[b] < 0)
            return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                           "vocabulary has neither a token for byte 0x%02X nor an unknown token: "
                           "convert the model again", (unsigned)b);
    return BG_OK;
}

static int compare_texts(const void *a, const void *b, void *tokenizer)
{
    const bg_tokenizer *t = tokenizer;
    int32_t ia = *(const int32_t *)a, ib = *(const int32_t *)b;
    const bg_piece *p = &t->pieces[ia], *q = &t->pieces[ib];
    int order = memcmp(t->pool + p->offset, t->pool + q->offset, BG_MIN(p->length, q->length));
    if (order) return order;
    if (p->length != q->length) return p->length < q->length ? -1 : 1;
    return ia < ib ? -1 : ia > ib;
}

static bool is_special(const bg_piece *p)
{
    return p->length && (p->type == BG_PIECE_CONTROL || p->type == BG_PIECE_USER_DEFINED ||
                         p->type == BG_PIECE_UNKNOWN);
}

static bg_status index_specials(bg_tokenizer *t, bg_error *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->size; i++) n += is_special(&t->pieces[i]);
    t->specials = bg_alloc((size_t)n + 1, sizeof *t->specials);
    if (!t->specials) return bg_fail_nomem(err, "the vocabulary", n * sizeof *t->specials);
    for (uint32_t i = 0; i < t->size; i++)
        if (is_special(&t->pieces[i])) t->specials[t->n_specials++] = (int32_t)i;
    qsort_r(t->specials, n, sizeof *t->specials, compare_texts, t);
    n = 0;
    for (uint32_t byte = 0; byte <= 256; byte++) {
        while (n < t->n_specials &&
               (uint8_t)t->pool[t->pieces[t->specials[n]].offset] < byte) n++;
        t->special_first[byte] = n;
    }
    return BG_OK;
}

/* ---- merges ------------------------------------------------------------------------------ */

static size_t hash_pair(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 32);
}

/* Where the pair is, or the free slot where it belongs. */
static bg_merge *merge_slot(const bg_tokenizer *t, int32_t left, int32_t right)
{
    for (size_t i = hash_pair(left, right);; i++) {
        bg_merge *m = &t->merges[i & t->merge_mask];
        if (m->token < 0 || (m->left == left && m->right == right)) return m;
    }
}

const bg_merge *bg_tokenizer_find_merge(const bg_tokenizer *t, int32_t left, int32_t right)
{
    const bg_merge *m = merge_slot(t, left, right);
    return m->token < 0 ? NULL : m;
}

/* The token whose text, in the alphabet of byte-level vocabularies, is two texts together. */
static int32_t find_joined(const bg_tokenizer *t, bg_gguf_string a, bg_gguf_string b)
{
    char bytes[1024];
    size_t na, nb;
    if (a.length + b.length > sizeof bytes || !bg_alphabet_decode(a.data, a.length, bytes, &na) ||
        !bg_alphabet_decode(b.data, b.length, bytes + na, &nb))
        return -1;
    return bg_tokenizer_find(t, bytes, na + nb);
}

/* "a b" -> a, b: the first may itself begin with a space. */
static bool split_merge(bg_gguf_string text, bg_gguf_string *a, bg_gguf_string *b)
{
    const char *space = text.length < 3 ? NULL : memchr(text.data + 1, ' ', text.length - 2);
    if (!space) return false;
    *a = (bg_gguf_string){text.data, (size_t)(space - text.data)};
    *b = (bg_gguf_string){space + 1, text.length - a->length - 1};
    return true;
}

/* A merge of or to something that is no token can never come out as tokens: it is left out. */
static bg_status index_merges(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    const bg_gguf_value *v = bg_gguf_find(g, "tokenizer.ggml.merges");
    const bg_gguf_string none = {"", 0};
    bg_gguf_string text, a, b;
    size_t slots, offset = 0;
    if (!v || v->type != BG_GGUF_ARRAY || v->element_type != BG_GGUF_STRING ||
        v->count > BG_MAX_MERGES)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "has no array tokenizer.ggml.merges of at most %d texts, which a \"gpt2\" "
                       "vocabulary needs: convert the model again", BG_MAX_MERGES);
    slots = slots_for(v->count);
    t->merges = bg_alloc(slots, sizeof *t->merges);
    if (!t->merges) return bg_fail_nomem(err, "the merges", slots * sizeof *t->merges);
    memset(t->merges, 0xff, slots * sizeof *t->merges);
    t->merge_mask = slots - 1;
    for (uint32_t rank = 0; bg_gguf_next_string(v, &offset, &text); rank++) {
        bg_merge m = {.rank = rank}, *slot;
        if (!split_merge(text, &a, &b)) continue;
        m.left = find_joined(t, a, none);
        m.right = find_joined(t, b, none);
        m.token = find_joined(t, a, b);
        if (m.left < 0 || m.right < 0 || m.token < 0) continue;
        slot = merge_slot(t, m.left, m.right);
        if (slot->token < 0) *slot = m;
    }
    return BG_OK;
}

bg_status bg_tokenizer_index(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    BG_TRY(index_pieces(t, err));
    BG_TRY(index_bytes(t, g, err));
    if (bg_tokenizer_is_bytes(t)) BG_TRY(index_merges(t, g, err));
    return index_specials(t, err);
}
