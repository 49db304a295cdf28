/* bitgauge/format.h: block formats, the ways a row of weights is stored.
 *
 * A row of n weights is n / block_weights blocks of block_bytes each, in the GGUF layout.
 * Formats are lines of formats.def; each has one file that lays out, decodes and encodes it.
 */
#ifndef BITGAUGE_FORMAT_H
#define BITGAUGE_FORMAT_H

#include "bitgauge/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The values are GGUF's tensor type ids. */
typedef enum bg_format {
    BG_FORMAT_NONE = -1,
#define BG_FORMAT(NAME, name, id, weights, bytes, activation, level) BG_FORMAT_##NAME = id,
#include "bitgauge/formats.def"
} bg_format;

enum { BG_FORMAT_MAX_BLOCK = 256, BG_FORMAT_MAX_BYTES = 1024 }; /* of any block */

typedef struct bg_format_info {
    bg_format format;
    const char *name;         /* "Q4_K" */
    uint32_t block_weights;   /* 256 */
    uint32_t block_bytes;     /* 144 */
    bg_format activation;     /* what integer kernels multiply it with: F32, Q8_0 or Q8_K */
    int level;                /* nominal bits a weight, 2 for Q2_K; 0 if for activations only */
    void (*decode)(const void *blocks, float *out, size_t n);
    /* `importance` (n non-negative weights of the squared error) may be NULL. */
    void (*encode)(const float *in, const float *importance, void *blocks, size_t n);
} bg_format_info;

/* NULL when the id is none of ours. */
const bg_format_info *bg_format_get(int id);
const bg_format_info *bg_format_find(const char *name); /* case does not matter; NULL if unknown */
/* The i-th format in the order of formats.def; NULL past the end. */
const bg_format_info *bg_format_at(size_t i);

/* Bytes of a row of n weights; 0 when n is not a multiple of the block. */
size_t bg_format_row_bytes(const bg_format_info *f, size_t n);
double bg_format_bpw(const bg_format_info *f);

/* Rows. n is a multiple of block_weights. Any alignment of blocks; floats are aligned to 4.
 * decode is bit-exact with llama.cpp's dequantization of the same blocks. encode minimises the
 * squared error per block, weighted by importance; it is a pure function of its inputs. NaN and
 * infinity must not come in: bg_quantize_rows refuses them. */
void bg_format_decode(const bg_format_info *f, const void *blocks, float *out, size_t n);
void bg_format_encode(const bg_format_info *f, const float *in, const float *importance,
                      void *blocks, size_t n);

/* A number that changes when some encoder writes other blocks for the same weights. */
uint64_t bg_format_fingerprint(void);

/* The sum of w and independent numbers of these means and variances: its mean and variance. */
void bg_format_moments(const float *w, const float *mean, const float *variance, size_t n, float *m,
                       float *v);

/* IEEE half and bfloat16, round to nearest even. */
float bg_f16_to_f32(uint16_t h);
uint16_t bg_f32_to_f16(float x);
float bg_bf16_to_f32(uint16_t h);
uint16_t bg_f32_to_bf16(float x);

struct bg_team;
/* Re-encodes `rows` rows of n weights from one format into another, threaded by rows (team may
 * be NULL). importance: n values shared by all rows, or NULL. Equal formats are copied.
 * Fails with BG_ERR_INPUT when n is no multiple of a block or a source weight is not finite
 * (err names row and column), with BG_ERR_NOMEM. */
bg_status bg_quantize_rows(const bg_format_info *from, const void *src, const bg_format_info *to,
                           void *dst, const float *importance, size_t rows, size_t n,
                           struct bg_team *team, bg_error *err);

/* ---- the packed layout: what kernels read -------------------------------------------------
 *
 * 16 rows make a panel; a matrix whose rows are no multiple of that is padded with zero rows. A
 * panel is a sequence of blocks along k, each 16 times a GGUF block: the fields of the block one
 * after another (src/formats/pack.c has their order), each transposed over the rows in units of 4
 * bytes (quants), 2 (halves) or 1 (bytes of scales): unit 0 of rows 0..15, unit 1 of these, ...
 * Since each bit field of 4 neighbouring bytes of quants holds 4 neighbouring weights, a vector of
 * 16 units has a row in each lane, as instructions that multiply 4 bytes a lane want it. Q5_0 and
 * Q5_1: the fifth bit of weight 4j + i is bit j of byte i. F16 and BF16 go in pairs of weights; a
 * row of an odd number of them ends in a zero. */
enum { BG_PANEL_ROWS = 16 };

/* Bytes of a panel: a multiple of 32. 0 when k is no multiple of the block or the format is for
 * activations only. */
size_t bg_panel_bytes(const bg_format_info *f, size_t k);
/* Bytes of a matrix: those of its GGUF rows, and of the padding. 0 on overflow. */
size_t bg_packed_bytes(const bg_format_info *f, size_t rows, size_t k);
/* Packs GGUF rows, threaded (team may be NULL). dst has bg_packed_bytes and may be src. Fails with
 * BG_ERR_NOMEM only. */
bg_status bg_pack_matrix(const bg_format_info *f, const void *src, void *dst, size_t rows, size_t k,
                         struct bg_team *team, bg_error *err);
/* One row of a packed matrix, as GGUF blocks again. */
void bg_unpack_row(const bg_format_info *f, const void *packed, size_t row, size_t k, void *out);

/* Random weights for models that have none: about normal, with this standard deviation, in blocks
 * that the format's own encoder wrote. A few thousand of them are made once and then repeated in
 * random order, which is as fast as memory. */
#define BG_RANDOM_SIGMA 0.02
typedef struct bg_random_blocks bg_random_blocks;
bg_status bg_random_blocks_new(bg_random_blocks **r, const bg_format_info *f, bool packed,
                               bg_error *err);
void bg_random_blocks_free(bg_random_blocks **r);
/* Fills GGUF rows, or packed panels; the same seed gives the same, whatever the team's size. */
void bg_random_blocks_fill(const bg_random_blocks *r, void *out, size_t bytes, uint64_t seed,
                           struct bg_team *team);

#ifdef __cplusplus
}
#endif
#endif
