/* tokenizer.h: what the files of the tokenizer share. Internal.
 *
 *     tokenizer.c           the vocabulary, read from GGUF metadata
 *     tokenizer_index.c     and indexed
 *     tokenizer_encode.c    merging, the same for both kinds
 *     tokenizer_cut.c       special tokens in a text
 *     tokenizer_split.c     words of a text (PCRE2), for byte-level vocabularies
 *     tokenizer_pre.c       the table of what a word is */
#ifndef BG_TOKENIZER_H
#define BG_TOKENIZER_H

#include "base/base.h"
#include "bitgauge/model.h"

/* tokenizer.ggml.token_type, SentencePiece's piece types. */
enum {
    BG_PIECE_UNDEFINED, BG_PIECE_NORMAL, BG_PIECE_UNKNOWN, BG_PIECE_CONTROL, BG_PIECE_USER_DEFINED,
    BG_PIECE_UNUSED, BG_PIECE_BYTE, BG_PIECE_TYPE_END
};

/* SentencePiece writes a space as U+2581. */
#define BG_SPACE_MARK "\xe2\x96\x81"
enum { BG_SPACE_MARK_LENGTH = 3 };

typedef struct bg_piece {
    uint32_t offset, length; /* into the pool */
    float score;
    uint8_t type;            /* BG_PIECE_... */
    uint8_t byte;            /* of a byte piece */
    bool mergeable;          /* merges can make it */
    bool strips;             /* takes the white space after it along */
} bg_piece;

/* What a byte-level vocabulary takes for words, by tokenizer.ggml.pre: each pattern cuts what the
 * one before it left, both at its matches and between them. */
enum { BG_MAX_PATTERNS = 5 };
typedef struct bg_pretokenizer {
    const char *names;       /* with spaces between */
    const char *patterns[BG_MAX_PATTERNS];
    bool whole_words;        /* a word that is a token is not merged from bytes */
    bool add_bos;            /* where the file does not say */
} bg_pretokenizer;

const bg_pretokenizer *bg_pretokenizer_find(const char *name, size_t n); /* NULL: unknown */

typedef struct bg_splitter bg_splitter;
bg_status bg_splitter_open(bg_splitter **s, const bg_pretokenizer *p, bg_error *err);
void bg_splitter_close(bg_splitter **s);
/* Hands out the words of a text, one after another, nothing left out. A byte that is no UTF-8 is
 * neither letter, number nor space. BG_ERR_NOMEM, also when `word` returns false. */
typedef bool bg_word_fn(void *user, const char *word, size_t n);
bg_status bg_splitter_run(const bg_splitter *s, const char *text, size_t n, bg_word_fn *word,
                          void *user, bg_error *err);

/* Two tokens that become one, the lowest rank first: a rank is exact as a float. */
enum { BG_MAX_MERGES = 1 << 24 };
typedef struct bg_merge { int32_t left, right, token; uint32_t rank; } bg_merge;

struct bg_tokenizer {
    /* Texts of all pieces, one after another: in a byte-level vocabulary the bytes they stand for,
     * else with spaces marked. */
    char *pool;
    bg_piece *pieces;
    uint32_t size, longest;  /* pieces; bytes of the longest that merges can make */
    int32_t bos, eos, unknown;
    bool add_bos, add_eos, add_space_prefix, whole_words;
    int32_t byte_ids[256];   /* token of a byte, or unknown (-1 in byte-level vocabularies) */

    /* Text -> piece of those that merges can make: open addressing, -1 is free. */
    int32_t *slots;
    size_t slot_mask;
    /* Bit (a << 8 | b): some mergeable piece has byte b after byte a. Where it is clear no merge
     * can cross, so that text falls into short independent runs. */
    uint64_t joins[65536 / 64];

    /* Byte-level vocabularies only: how to find words, and the merges by pair: open addressing,
     * token -1 is free. */
    bg_splitter *splitter;
    bg_merge *merges;
    size_t merge_mask;

    /* Pieces that are matched whole in the text, in the order of their bytes, the first of each
     * first byte. */
    int32_t *specials;
    uint32_t n_specials, special_first[257];
};

static inline bool bg_tokenizer_is_bytes(const bg_tokenizer *t) { return t->splitter != NULL; }

/* Token whose text this is, among those that merges can make; -1 if none. */
int32_t bg_tokenizer_find(const bg_tokenizer *t, const char *text, size_t n);
/* NULL: the two do not merge. */
const bg_merge *bg_tokenizer_find_merge(const bg_tokenizer *t, int32_t left, int32_t right);

/* Everything that is looked up, made from the pieces (and, in `g`, the merges). */
bg_status bg_tokenizer_index(bg_tokenizer *t, const bg_gguf *g, bg_error *err);

/* "Ġthe" -> " the": what text in the alphabet of byte-level vocabularies stands for, at most n
 * bytes. false when a character is not of that alphabet. */
bool bg_alphabet_decode(const char *text, size_t n, char *out, size_t *length);

/* Hands out a text piece by piece: special tokens (token >= 0) and, between them, text that is not
 * empty. `parse`: control and unknown tokens too. */
typedef bool bg_cut_fn(void *user, int32_t token, const char *text, size_t n);
bool bg_tokenizer_cut(const bg_tokenizer *t, const char *text, size_t n, bool parse,
                      bg_cut_fn *hear, void *user);

/* Bytes of the character at p: 1 for anything that is not well-formed UTF-8. */
uint32_t bg_character_length(const char *p, size_t left);

static inline bool bg_tokenizer_joins(const bg_tokenizer *t, char before, char after)
{
    size_t i = (size_t)(uint8_t)before << 8 | (uint8_t)after;
    return t->joins[i / 64] >> i % 64 & 1;
}

#endif
