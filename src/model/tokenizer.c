/* The vocabulary: read from GGUF metadata and indexed for the encoder. */
#include "model/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

static bool is_mergeable(const bg_piece *p)
{
    return p->length && (p->type == BG_PIECE_NORMAL || p->type == BG_PIECE_USER_DEFINED ||
                         p->type == BG_PIECE_UNUSED);
}

static bool is_special(const bg_piece *p)
{
    return p->length && (p->type == BG_PIECE_CONTROL || p->type == BG_PIECE_USER_DEFINED);
}

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

/* The arrays tokens, scores and token_type, all of one length. */
typedef struct arrays { const bg_gguf_value *tokens, *scores, *types; } arrays;

static bg_status find_arrays(const bg_gguf *g, arrays *a, bg_error *err)
{
    static const char *const keys[] = {KEY "tokens", KEY "scores", KEY "token_type"};
    const bg_gguf_value **found[] = {&a->tokens, &a->scores, &a->types};
    for (size_t i = 0; i < BG_COUNT(keys); i++) {
        const bg_gguf_value *v = bg_gguf_find(g, keys[i]);
        if (!v || v->type != BG_GGUF_ARRAY)
            return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                           "has no array %s, so text cannot be tokenized: convert the model again",
                           keys[i]);
        *found[i] = v;
    }
    if (a->tokens->element_type != BG_GGUF_STRING || a->tokens->count == 0 ||
        a->tokens->count > INT32_MAX || a->scores->count != a->tokens->count ||
        a->types->count != a->tokens->count)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "vocabulary arrays do not fit together (%llu tokens, %llu scores, %llu "
                       "types): convert the model again", (unsigned long long)a->tokens->count,
                       (unsigned long long)a->scores->count, (unsigned long long)a->types->count);
    return BG_OK;
}

/* "<0x0A>" -> 10; -1 when it is not of that form. */
static int parse_byte_piece(const char *text, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *high, *low;
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>' || !text[3] || !text[4]) return -1;
    high = strchr(digits, text[3]);
    low = strchr(digits, text[4]);
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static bg_status read_piece(bg_tokenizer *t, const bg_gguf *g, const arrays *a, uint32_t i,
                            bg_gguf_string text, size_t *used, bg_error *err)
{
    bg_piece *p = &t->pieces[i];
    double score;
    int64_t type;
    int byte = 0;
    if (!bg_gguf_element_f64(a->scores, i, &score) || !isfinite(score) ||
        !bg_gguf_element_i64(a->types, i, &type) || type < BG_PIECE_NORMAL ||
        type >= BG_PIECE_TYPE_END)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "token %u has a bad score or type: the file is damaged, get it again", i);
    if (type == BG_PIECE_BYTE && (byte = parse_byte_piece(text.data, text.length)) < 0)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "token %u is of type byte but not of the form <0x0A>: convert the model "
                       "again", i);
    *p = (bg_piece){.offset = (uint32_t)*used, .length = (uint32_t)text.length,
                    .score = (float)score, .type = (uint8_t)type, .byte = (uint8_t)byte};
    if (text.length) memcpy(t->pool + *used, text.data, text.length);
    *used += text.length;
    return BG_OK;
}

static bg_status read_pieces(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    arrays a;
    bg_gguf_string text;
    size_t offset = 0, used = 0;
    uint32_t i = 0;
    BG_TRY(find_arrays(g, &a, err));
    if (a.tokens->bytes > UINT32_MAX)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g), "vocabulary is larger than 4 GiB");
    t->size = (uint32_t)a.tokens->count;
    /* An array of strings takes 8 bytes and the text for each, so its bytes are room enough. */
    t->pool = bg_alloc(a.tokens->bytes, 1);
    t->pieces = bg_alloc(t->size, sizeof *t->pieces);
    if (!t->pool || !t->pieces) return bg_fail_nomem(err, "the vocabulary", a.tokens->bytes);
    for (; i < t->size && bg_gguf_next_string(a.tokens, &offset, &text); i++)
        BG_TRY(read_piece(t, g, &a, i, text, &used, err));
    if (i < t->size)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "vocabulary ends at token %u of %u: the file is damaged, get it again", i,
                       t->size);
    return BG_OK;
}

/* An id that the file names; without one, the token that Llama models keep there, if it has the
 * right type; else -1. */
static bg_status read_id(const bg_tokenizer *t, const bg_gguf *g, const char *key, uint32_t usual,
                         uint8_t type, int32_t *id, bg_error *err)
{
    uint64_t value;
    *id = -1;
    if (bg_gguf_get_u64(g, key, &value)) {
        if (value >= t->size)
            return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                           "%s is %llu, but there are %u tokens: the file is damaged, get it again",
                           key, (unsigned long long)value, t->size);
        *id = (int32_t)value;
    } else if (usual < t->size && t->pieces[usual].type == type) {
        *id = (int32_t)usual;
    }
    return BG_OK;
}

static bg_status index_bytes(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    for (int b = 0; b < 256; b++) t->byte_ids[b] = t->unknown;
    for (uint32_t i = t->size; i-- > 0;)
        if (t->pieces[i].type == BG_PIECE_BYTE) t->byte_ids[t->pieces[i].byte] = (int32_t)i;
    for (int b = 0; b < 256; b++)
        if (t->byte_ids[b] < 0)
            return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                           "vocabulary has neither a token for byte 0x%02X nor an unknown token: "
                           "convert the model again", (unsigned)b);
    return BG_OK;
}

static bg_status index_pieces(bg_tokenizer *t, bg_error *err)
{
    size_t slots = 16;
    while (slots < (size_t)t->size * 2) slots *= 2;
    t->slots = bg_alloc(slots, sizeof *t->slots);
    if (!t->slots) return bg_fail_nomem(err, "the vocabulary", slots * sizeof *t->slots);
    memset(t->slots, 0xff, slots * sizeof *t->slots);
    t->slot_mask = slots - 1;
    for (uint32_t id = 0; id < t->size; id++) {
        const bg_piece *p = &t->pieces[id];
        const char *text = t->pool + p->offset;
        size_t i;
        if (!is_mergeable(p) || bg_tokenizer_find(t, text, p->length) >= 0) continue;
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

static int compare_specials(const void *a, const void *b, void *tokenizer)
{
    const bg_tokenizer *t = tokenizer;
    int32_t ia = *(const int32_t *)a, ib = *(const int32_t *)b;
    const bg_piece *pa = &t->pieces[ia], *pb = &t->pieces[ib];
    uint8_t fa = (uint8_t)t->pool[pa->offset], fb = (uint8_t)t->pool[pb->offset];
    if (fa != fb) return fa < fb ? -1 : 1;
    if (pa->length != pb->length) return pa->length > pb->length ? -1 : 1;
    return ia < ib ? -1 : ia > ib;
}

static bg_status index_specials(bg_tokenizer *t, bg_error *err)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->size; i++) n += is_special(&t->pieces[i]);
    t->specials = bg_alloc(n, sizeof *t->specials);
    if (!t->specials) return bg_fail_nomem(err, "the vocabulary", n * sizeof *t->specials);
    for (uint32_t i = 0; i < t->size; i++)
        if (is_special(&t->pieces[i])) t->specials[t->n_specials++] = (int32_t)i;
    qsort_r(t->specials, n, sizeof *t->specials, compare_specials, t);
    n = 0;
    for (uint32_t byte = 0; byte <= 256; byte++) {
        while (n < t->n_specials &&
               (uint8_t)t->pool[t->pieces[t->specials[n]].offset] < byte) n++;
        t->special_first[byte] = n;
    }
    return BG_OK;
}

static bg_status read_vocabulary(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    bg_gguf_string model;
    if (!bg_gguf_get_string(g, KEY "model", &model))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "has no " KEY "model, so text cannot be tokenized: convert the model with "
                       "its vocabulary");
    if (model.length != 5 || memcmp(model.data, "llama", 5) != 0)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "tokenizer \"%.*s\" is not supported, only SentencePiece (\"llama\"): take "
                       "a model of the Llama-2 kind", (int)BG_MIN(model.length, (size_t)32),
                       model.data);
    BG_TRY(read_pieces(t, g, err));
    BG_TRY(read_id(t, g, KEY "bos_token_id", 1, BG_PIECE_CONTROL, &t->bos, err));
    BG_TRY(read_id(t, g, KEY "eos_token_id", 2, BG_PIECE_CONTROL, &t->eos, err));
    BG_TRY(read_id(t, g, KEY "unknown_token_id", 0, BG_PIECE_UNKNOWN, &t->unknown, err));
    t->add_bos = t->add_space_prefix = true;
    bg_gguf_get_bool(g, KEY "add_bos_token", &t->add_bos);
    bg_gguf_get_bool(g, KEY "add_space_prefix", &t->add_space_prefix);
    BG_TRY(index_bytes(t, g, err));
    BG_TRY(index_pieces(t, err));
    return index_specials(t, err);
}

bg_status bg_tokenizer_open(bg_tokenizer **out, const bg_gguf *g, bg_error *err)
{
    bg_tokenizer *t = bg_alloc(1, sizeof *t);
    bg_status status;
    *out = NULL;
    if (!t) return bg_fail_nomem(err, "the vocabulary", sizeof *t);
    status = read_vocabulary(t, g, err);
    if (status == BG_OK) *out = t;
    else bg_tokenizer_close(&t);
    return status;
}

void bg_tokenizer_close(bg_tokenizer **tokenizer)
{
    bg_tokenizer *t = *tokenizer;
    if (!t) return;
    bg_free(t->pool);
    bg_free(t->pieces);
    bg_free(t->slots);
    bg_free(t->specials);
    bg_free(t);
    *tokenizer = NULL;
}

uint32_t bg_tokenizer_size(const bg_tokenizer *t) { return t ? t->size : 0; }
int32_t bg_tokenizer_bos(const bg_tokenizer *t) { return t ? t->bos : -1; }
int32_t bg_tokenizer_eos(const bg_tokenizer *t) { return t ? t->eos : -1; }
bool bg_tokenizer_adds_bos(const bg_tokenizer *t) { return t && t->add_bos && t->bos >= 0; }

bool bg_tokenizer_equal(const bg_tokenizer *a, const bg_tokenizer *b)
{
    if (a == b) return true;
    if (!a || !b || a->size != b->size) return false;
    for (uint32_t i = 0; i < a->size; i++) {
        const bg_piece *p = &a->pieces[i], *q = &b->pieces[i];
        if (p->length != q->length || p->type != q->type ||
            memcmp(a->pool + p->offset, b->pool + q->offset, p->length) != 0)
            return false;
    }
    return true;
}

size_t bg_token_bytes(const bg_tokenizer *t, int32_t token, char *buffer, size_t size)
{
    const bg_piece *p;
    const char *text;
    size_t n = 0;
    if (token < 0 || (uint32_t)token >= bg_tokenizer_size(t)) return 0;
    p = &t->pieces[token];
    text = t->pool + p->offset;
    if (p->type == BG_PIECE_CONTROL || p->type == BG_PIECE_UNKNOWN) return 0;
    if (p->type == BG_PIECE_BYTE) {
        if (size) buffer[0] = (char)p->byte;
        return 1;
    }
    for (size_t i = 0; i < p->length; n++) {
        bool space = p->length - i >= BG_SPACE_MARK_LENGTH &&
                     memcmp(text + i, BG_SPACE_MARK, BG_SPACE_MARK_LENGTH) == 0;
        if (n < size) buffer[n] = space ? ' ' : text[i];
        i += space ? BG_SPACE_MARK_LENGTH : 1;
    }
    return n;
}
