/* tokenizer.h: what opening a vocabulary and encoding with it share. Internal. */
#ifndef BG_TOKENIZER_H
#define BG_TOKENIZER_H

#include "base/base.h"
#include "bitgauge/model.h"

/* tokenizer.ggml.token_type, SentencePiece's piece types. */
enum {
    BG_PIECE_NORMAL = 1, BG_PIECE_UNKNOWN, BG_PIECE_CONTROL, BG_PIECE_USER_DEFINED,
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
} bg_piece;

struct bg_tokenizer {
    char *pool;              /* text of all pieces, one after another */
    bg_piece *pieces;
    uint32_t size, longest;  /* pieces; bytes of the longest piece that merges can make */
    int32_t bos, eos, unknown;
    bool add_bos, add_space_prefix;
    int32_t byte_ids[256];   /* token of a byte, or unknown */

    /* Text -> piece of those that merges can make: open addressing, -1 is free. */
    int32_t *slots;
    size_t slot_mask;
    /* Bit (a << 8 | b): some mergeable piece has byte b after byte a. Where it is clear no merge
     * can cross, so that text falls into short independent runs. */
    uint64_t joins[65536 / 64];

    /* Pieces that are matched whole in the text, by first byte, longest first. */
    int32_t *specials;
    uint32_t n_specials, special_first[257];
};

/* Token whose text this is, among those that merges can make; -1 if none. */
int32_t bg_tokenizer_find(const bg_tokenizer *t, const char *text, size_t n);

static inline bool bg_tokenizer_joins(const bg_tokenizer *t, char before, char after)
{
    size_t i = (size_t)(uint8_t)before << 8 | (uint8_t)after;
    return t->joins[i / 64] >> i % 64 & 1;
}

#endif
