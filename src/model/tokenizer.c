/* The vocabulary, read from GGUF metadata. */
#include "model/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define KEY "tokenizer.ggml."

/* The arrays tokens, scores and token_type, all of one length. Byte-level vocabularies go by
 * merges, so that the latter two may be absent: NULL. */
typedef struct arrays { const bg_gguf_value *tokens, *scores, *types; } arrays;

static bg_status find_arrays(const bg_tokenizer *t, const bg_gguf *g, arrays *a, bg_error *err)
{
    static const char *const keys[] = {KEY "tokens", KEY "scores", KEY "token_type"};
    const bg_gguf_value **found[] = {&a->tokens, &a->scores, &a->types};
    for (size_t i = 0; i < BG_COUNT(keys); i++) {
        const bg_gguf_value *v = bg_gguf_find(g, keys[i]);
        bool needed = i == 0 || !bg_tokenizer_is_bytes(t);
        if (v ? v->type != BG_GGUF_ARRAY : needed)
            return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                           "has no array %s, so text cannot be tokenized: convert the model again",
                           keys[i]);
        *found[i] = v;
    }
    if (a->tokens->element_type != BG_GGUF_STRING || a->tokens->count == 0 ||
        a->tokens->count > INT32_MAX || (a->scores && a->scores->count != a->tokens->count) ||
        (a->types && a->types->count != a->tokens->count))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "vocabulary arrays do not fit together (%llu tokens, %llu scores, %llu "
                       "types): convert the model again", (unsigned long long)a->tokens->count,
                       (unsigned long long)(a->scores ? a->scores->count : 0),
                       (unsigned long long)(a->types ? a->types->count : 0));
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

/* The byte that a character stands for in byte-level vocabularies: printable ones of Latin-1 for
 * themselves, the others by number from U+0100 on; -1 for any other character. */
static int alphabet_byte(uint32_t c)
{
    if ((c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xff && c != 0xad)) return (int)c;
    if (c >= 0x100 && c < 0x100 + 33) return (int)(c - 0x100);
    if (c >= 0x100 + 33 && c < 0x100 + 67) return (int)(c - 0x100 - 33 + 0x7f);
    return c == 0x100 + 67 ? 0xad : -1;
}

bool bg_alphabet_decode(const char *text, size_t n, char *out, size_t *length)
{
    size_t used = 0;
    for (size_t i = 0; i < n;) {
        uint32_t bytes = bg_character_length(text + i, n - i), c = (uint8_t)text[i];
        int byte;
        if (bytes > 2) return false;
        if (bytes == 2) c = (c & 0x1f) << 6 | ((uint8_t)text[i + 1] & 0x3f);
        else if (c >= 0x80) return false;
        if ((byte = alphabet_byte(c)) < 0) return false;
        out[used++] = (char)byte;
        i += bytes;
    }
    *length = used;
    return true;
}

/* Text of a piece into the pool: as it is, but of ordinary ones in byte-level vocabularies the
 * bytes that it stands for. */
static void place_text(bg_tokenizer *t, bg_piece *p, bg_gguf_string text, size_t *used)
{
    char *at = t->pool + *used;
    size_t n = text.length;
    bool ordinary = p->type == BG_PIECE_UNDEFINED || p->type == BG_PIECE_NORMAL ||
                    p->type == BG_PIECE_UNUSED;
    p->mergeable = n && (ordinary || p->type == BG_PIECE_USER_DEFINED);
    if (bg_tokenizer_is_bytes(t)) {
        bool same, decoded = bg_alphabet_decode(text.data, text.length, at, &n);
        same = decoded && n == text.length; /* then all of it is ASCII */
        p->mergeable = p->mergeable && (ordinary ? decoded : same);
    }
    if (!bg_tokenizer_is_bytes(t) || !p->mergeable) {
        n = text.length;
        if (n) memcpy(at, text.data, n);
    }
    p->offset = (uint32_t)*used;
    p->length = (uint32_t)n;
    *used += n;
}

static bg_status read_piece(bg_tokenizer *t, const bg_gguf *g, const arrays *a, uint32_t i,
                            bg_gguf_string text, size_t *used, bg_error *err)
{
    bg_piece *p = &t->pieces[i];
    double score = 0;
    int64_t type = BG_PIECE_NORMAL;
    int byte = 0;
    if ((a->scores && (!bg_gguf_element_f64(a->scores, i, &score) || !isfinite(score))) ||
        (a->types && (!bg_gguf_element_i64(a->types, i, &type) || type < BG_PIECE_UNDEFINED ||
                      type >= BG_PIECE_TYPE_END)))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "token %u has a bad score or type: the file is damaged, get it again", i);
    if (type == BG_PIECE_BYTE && (byte = parse_byte_piece(text.data, text.length)) < 0)
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "token %u is of type byte but not of the form <0x0A>: convert the model "
                       "again", i);
    *p = (bg_piece){.score = (float)score, .type = (uint8_t)type, .byte = (uint8_t)byte};
    place_text(t, p, text, used);
    return BG_OK;
}

static bg_status read_pieces(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    arrays a;
    bg_gguf_string text;
    size_t offset = 0, used = 0;
    uint32_t i = 0;
    BG_TRY(find_arrays(t, g, &a, err));
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

static bool has_text(const bg_tokenizer *t, const bg_piece *p, const char *text)
{
    return p->length == strlen(text) && memcmp(t->pool + p->offset, text, p->length) == 0;
}

/* Tokens that end or fill a text are control tokens whatever a file says: converters have marked
 * them in many ways. */
static void mark_controls(bg_tokenizer *t)
{
    static const char *const names[] = {
        "</s>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>",
        "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>", "<eos>",
        "<end_of_utterance>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>",
        "<|fim_repo|>", "<|repo_name|>", "<|file_sep|>", "<fim-prefix>", "<fim-suffix>",
        "<fim-middle>", "<fim-pad>", "<fim-repo>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>",
        "<fim_pad>", "<reponame>", "<PRE>", "<SUF>", "<MID>", "<PAD>", "<REP>",
    };
    for (uint32_t i = 0; i < t->size; i++) {
        bg_piece *p = &t->pieces[i];
        char first = p->length ? t->pool[p->offset] : 0;
        if (first != '<' && first != '_') continue;
        for (size_t k = 0; k < BG_COUNT(names); k++)
            if (has_text(t, p, names[k])) p->type = BG_PIECE_CONTROL;
    }
}

/* Phi-3's special tokens take the white space after them along, which only its name tells. */
static void mark_strips(bg_tokenizer *t, const bg_gguf *g)
{
    bg_gguf_string name;
    bool phi = false;
    if (!bg_gguf_get_string(g, "general.name", &name)) return;
    for (size_t i = 0; i + 4 <= name.length && !phi; i++)
        phi = strncasecmp(name.data + i, "phi3", 4) == 0 ||
              (i + 5 <= name.length && strncasecmp(name.data + i, "phi-3", 5) == 0);
    for (uint32_t i = 0; phi && i < t->size; i++) {
        bg_piece *p = &t->pieces[i];
        p->strips = !has_text(t, p, "<unk>") && !has_text(t, p, "<s>") &&
                    !has_text(t, p, "<|endoftext|>");
    }
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

/* Which kind of vocabulary it is: one of scored pieces, or of bytes, merges and words. */
static bg_status read_kind(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    const bg_pretokenizer *p;
    bg_gguf_string model, pre = {"default", 7};
    if (!bg_gguf_get_string(g, KEY "model", &model))
        return bg_fail(err, BG_ERR_INPUT, bg_gguf_path(g),
                       "has no " KEY "model, so text cannot be tokenized: convert the model with "
                       "its vocabulary");
    t->add_bos = t->add_space_prefix = true;
    if (model.length == 5 && memcmp(model.data, "llama", 5) == 0) return BG_OK;
    if (model.length != 4 || memcmp(model.data, "gpt2", 4) != 0)
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "tokenizer \"%.*s\" is not supported, only SentencePiece (\"llama\") and "
                       "byte-level BPE (\"gpt2\")", (int)BG_MIN(model.length, (size_t)32),
                       model.data);
    bg_gguf_get_string(g, KEY "pre", &pre);
    if (!(p = bg_pretokenizer_find(pre.data, pre.length)))
        return bg_fail(err, BG_ERR_UNSUPPORTED, bg_gguf_path(g),
                       "how \"%.*s\" (" KEY "pre) cuts text into words is not known here, so its "
                       "tokens would be wrong", (int)BG_MIN(pre.length, (size_t)32), pre.data);
    t->add_bos = p->add_bos;
    t->add_space_prefix = false;
    t->whole_words = p->whole_words;
    return bg_splitter_open(&t->splitter, p, err);
}

static bg_status read_vocabulary(bg_tokenizer *t, const bg_gguf *g, bg_error *err)
{
    uint32_t none = UINT32_MAX;
    bool scored;
    BG_TRY(read_kind(t, g, err));
    BG_TRY(read_pieces(t, g, err));
    mark_controls(t);
    scored = !bg_tokenizer_is_bytes(t);
    BG_TRY(read_id(t, g, KEY "bos_token_id", scored ? 1 : none, BG_PIECE_CONTROL, &t->bos, err));
    BG_TRY(read_id(t, g, KEY "eos_token_id", scored ? 2 : none, BG_PIECE_CONTROL, &t->eos, err));
    BG_TRY(read_id(t, g, KEY "unknown_token_id", scored ? 0 : none, BG_PIECE_UNKNOWN, &t->unknown,
                   err));
    bg_gguf_get_bool(g, KEY "add_bos_token", &t->add_bos);
    bg_gguf_get_bool(g, KEY "add_eos_token", &t->add_eos);
    bg_gguf_get_bool(g, KEY "add_space_prefix", &t->add_space_prefix);
    mark_strips(t, g);
    return bg_tokenizer_index(t, g, err);
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
    bg_free(t->merges);
    bg_splitter_close(&t->splitter);
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
    if (bg_tokenizer_is_bytes(t) || p->type == BG_PIECE_USER_DEFINED) {
        if (size) memcpy(buffer, text, BG_MIN(size, (size_t)p->length));
        return p->length;
    }
    for (size_t i = 0; i < p->length; n++) {
        bool space = p->length - i >= BG_SPACE_MARK_LENGTH &&
                     memcmp(text + i, BG_SPACE_MARK, BG_SPACE_MARK_LENGTH) == 0;
        if (n < size) buffer[n] = space ? ' ' : text[i];
        i += space ? BG_SPACE_MARK_LENGTH : 1;
    }
    return n;
}
