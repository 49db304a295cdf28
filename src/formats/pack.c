/* The packed layout: 16 rows side by side. Only the order of bytes (and of Q5_0's and Q5_1's fifth
 * bits) changes, so packing loses nothing and takes no room. */
#include "base/base.h"
#include "base/team.h"
#include "formats/pack.h"

#include <stdatomic.h>
#include <string.h>

/* Bytes [offset, offset + bytes) of a block, transposed over the rows in units of 4, 2 or 1. */
typedef struct field { uint16_t offset, bytes, unit; } field;

enum { MAX_FIELDS = 5, FIFTH_BITS = 5 }; /* FIFTH_BITS: a unit of 4 whose bits are sorted too */

typedef struct layout {
    bg_format format;
    uint16_t weights, bytes;
    field fields[MAX_FIELDS];  /* in the order of the packed block; the rest is empty */
} layout;

static const layout layouts[] = {
    {BG_FORMAT_F32, 1, 4, {{0, 4, 4}}},
    {BG_FORMAT_F16, 2, 4, {{0, 4, 4}}},
    {BG_FORMAT_BF16, 2, 4, {{0, 4, 4}}},
    {BG_FORMAT_Q4_0, 32, 18, {{0, 2, 2}, {2, 16, 4}}},
    {BG_FORMAT_Q4_1, 32, 20, {{0, 2, 2}, {2, 2, 2}, {4, 16, 4}}},
    {BG_FORMAT_Q5_0, 32, 22, {{0, 2, 2}, {2, 4, FIFTH_BITS}, {6, 16, 4}}},
    {BG_FORMAT_Q5_1, 32, 24, {{0, 2, 2}, {2, 2, 2}, {4, 4, FIFTH_BITS}, {8, 16, 4}}},
    {BG_FORMAT_Q8_0, 32, 34, {{0, 2, 2}, {2, 32, 4}}},
    {BG_FORMAT_IQ4_NL, 32, 18, {{0, 2, 2}, {2, 16, 4}}},
    {BG_FORMAT_Q2_K, 256, 84, {{80, 2, 2}, {82, 2, 2}, {0, 16, 1}, {16, 64, 4}}},
    {BG_FORMAT_Q3_K, 256, 110, {{108, 2, 2}, {96, 12, 1}, {0, 32, 4}, {32, 64, 4}}},
    {BG_FORMAT_Q4_K, 256, 144, {{0, 2, 2}, {2, 2, 2}, {4, 12, 1}, {16, 128, 4}}},
    {BG_FORMAT_Q5_K, 256, 176, {{0, 2, 2}, {2, 2, 2}, {4, 12, 1}, {16, 32, 4}, {48, 128, 4}}},
    {BG_FORMAT_Q6_K, 256, 210, {{208, 2, 2}, {192, 16, 1}, {128, 64, 4}, {0, 128, 4}}},
    {BG_FORMAT_IQ4_XS, 256, 136, {{0, 2, 2}, {2, 2, 1}, {4, 4, 1}, {8, 128, 4}}},
    {BG_FORMAT_TQ1_0, 256, 54, {{52, 2, 2}, {48, 4, 4}, {0, 48, 4}}},
    {BG_FORMAT_TQ2_0, 256, 66, {{64, 2, 2}, {0, 64, 4}}},
};

static const layout *layout_of(bg_format format)
{
    for (size_t i = 0; i < BG_COUNT(layouts); i++)
        if (layouts[i].format == format) return &layouts[i];
    return NULL;
}

/* Swaps the bits of the mask with those n above. */
static uint32_t swap_bits(uint32_t x, uint32_t mask, int n)
{
    uint32_t differ = (x ^ x >> n) & mask;
    return x ^ differ ^ differ << n;
}

/* Even bits to the lower half, odd ones to the upper: the number of a bit is rotated right. */
static uint32_t unshuffle(uint32_t x)
{
    x = swap_bits(x, 0x22222222, 1);
    x = swap_bits(x, 0x0c0c0c0c, 2);
    x = swap_bits(x, 0x00f000f0, 4);
    return swap_bits(x, 0x0000ff00, 8);
}

static uint32_t shuffle(uint32_t x)
{
    x = swap_bits(x, 0x0000ff00, 8);
    x = swap_bits(x, 0x00f000f0, 4);
    x = swap_bits(x, 0x0c0c0c0c, 2);
    return swap_bits(x, 0x22222222, 1);
}

/* Bit 4j + i goes to bit j of byte i: the five bits of its number are rotated by two. And back. */
static uint32_t sort_bits(uint32_t x) { return unshuffle(unshuffle(x)); }
static uint32_t unsort_bits(uint32_t x) { return shuffle(shuffle(x)); }

typedef uint32_t words __attribute__((vector_size(16)));

static words load_words(const uint8_t *p)
{
    words w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Four words of four rows; their places in the panel are 64 bytes apart. */
static void pack_4x4(const uint8_t *const *rows, size_t offset, uint8_t *to)
{
    words a = load_words(rows[0] + offset), b = load_words(rows[1] + offset);
    words c = load_words(rows[2] + offset), d = load_words(rows[3] + offset);
    words ab = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    words cd = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    words ef = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    words gh = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    const words out[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5),
                          __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                          __builtin_shufflevector(ef, gh, 0, 1, 4, 5),
                          __builtin_shufflevector(ef, gh, 2, 3, 6, 7)};
    for (size_t i = 0; i < 4; i++) memcpy(to + 4 * BG_PANEL_ROWS * i, &out[i], sizeof out[i]);
}

static void pack_words(const uint8_t *const *rows, size_t offset, size_t bytes, bool sort,
                       uint8_t *to)
{
    size_t e = 0;
    for (; !sort && e + 16 <= bytes; e += 16, to += 16 * BG_PANEL_ROWS)
        for (size_t r = 0; r < BG_PANEL_ROWS; r += 4) pack_4x4(rows + r, offset + e, to + 4 * r);
    for (; e < bytes; e += 4, to += 4 * BG_PANEL_ROWS) {
        uint32_t w[BG_PANEL_ROWS];
        for (size_t r = 0; r < BG_PANEL_ROWS; r++) memcpy(&w[r], rows[r] + offset + e, 4);
        for (size_t r = 0; sort && r < BG_PANEL_ROWS; r++) w[r] = sort_bits(w[r]);
        memcpy(to, w, sizeof w);
    }
}

static void pack_halves(const uint8_t *const *rows, size_t offset, size_t bytes, uint8_t *to)
{
    for (size_t e = 0; e < bytes; e += 2, to += 2 * BG_PANEL_ROWS)
        for (size_t r = 0; r < BG_PANEL_ROWS; r++) memcpy(to + 2 * r, rows[r] + offset + e, 2);
}

static void pack_bytes(const uint8_t *const *rows, size_t offset, size_t bytes, uint8_t *to)
{
    for (size_t r = 0; r < BG_PANEL_ROWS; r++)
        for (size_t e = 0; e < bytes; e++) to[e * BG_PANEL_ROWS + r] = rows[r][offset + e];
}

static void pack_field(const uint8_t *const *rows, size_t offset, size_t bytes, unsigned unit,
                       uint8_t *to)
{
    switch (unit) {
    case 1: pack_bytes(rows, offset, bytes, to); break;
    case 2: pack_halves(rows, offset, bytes, to); break;
    default: pack_words(rows, offset, bytes, unit == FIFTH_BITS, to);
    }
}

/* Whole blocks [0, blocks) of 16 rows. */
static void pack_blocks(const layout *l, const uint8_t *const *rows, size_t blocks, uint8_t *to)
{
    if (l->fields[0].bytes == l->bytes) { /* plain numbers: all blocks are one field */
        pack_field(rows, 0, blocks * l->bytes, l->fields[0].unit, to);
        return;
    }
    for (size_t b = 0; b < blocks; b++)
        for (const field *f = l->fields; f < l->fields + MAX_FIELDS && f->bytes; f++) {
            pack_field(rows, b * l->bytes + f->offset, f->bytes, f->unit, to);
            to += f->bytes * BG_PANEL_ROWS;
        }
}

/* A row of an odd number of halves ends in half a block. */
static void pack_last_half(const uint8_t *const *rows, size_t offset, uint8_t *to)
{
    memset(to, 0, 4 * BG_PANEL_ROWS);
    for (size_t r = 0; r < BG_PANEL_ROWS; r++) memcpy(to + 4 * r, rows[r] + offset, 2);
}

size_t bg_panel_bytes(const bg_format_info *f, size_t k)
{
    const layout *l = layout_of(f->format);
    size_t bytes;
    if (!l || k % f->block_weights) return 0;
    return __builtin_mul_overflow((k + l->weights - 1) / l->weights,
                                  (size_t)l->bytes * BG_PANEL_ROWS, &bytes) ? 0 : bytes;
}

size_t bg_packed_bytes(const bg_format_info *f, size_t rows, size_t k)
{
    size_t bytes, panels = rows / BG_PANEL_ROWS + (rows % BG_PANEL_ROWS != 0);
    return __builtin_mul_overflow(bg_panel_bytes(f, k), panels, &bytes) ? 0 : bytes;
}

void bg_pack_panel(const bg_format_info *f, const void *src, size_t stride, size_t rows, size_t k,
                   const void *zeros, void *dst)
{
    const layout *l = layout_of(f->format);
    const uint8_t *row[BG_PANEL_ROWS];
    size_t blocks = k / l->weights;
    for (size_t r = 0; r < BG_PANEL_ROWS; r++)
        row[r] = r < rows ? (const uint8_t *)src + r * stride : zeros;
    pack_blocks(l, row, blocks, dst);
    if (k % l->weights)
        pack_last_half(row, blocks * l->bytes,
                       (uint8_t *)dst + blocks * l->bytes * BG_PANEL_ROWS);
}

void bg_unpack_block(const bg_format_info *info, const void *block, size_t row, void *out)
{
    const layout *l = layout_of(info->format);
    const uint8_t *from = block;
    uint8_t *to = out;
    for (const field *f = l->fields; f < l->fields + MAX_FIELDS && f->bytes; f++) {
        size_t unit = f->unit == FIFTH_BITS ? 4 : f->unit;
        for (size_t e = 0; e < f->bytes; e += unit, from += unit * BG_PANEL_ROWS) {
            memcpy(to + f->offset + e, from + row * unit, unit);
            if (f->unit == FIFTH_BITS) {
                uint32_t word;
                memcpy(&word, to + f->offset + e, 4);
                word = unsort_bits(word);
                memcpy(to + f->offset + e, &word, 4);
            }
        }
    }
}

size_t bg_packed_block_bytes(const bg_format_info *f) { return layout_of(f->format)->bytes; }
size_t bg_packed_block_weights(const bg_format_info *f) { return layout_of(f->format)->weights; }

void bg_unpack_row(const bg_format_info *f, const void *packed, size_t row, size_t k, void *out)
{
    const layout *l = layout_of(f->format);
    const uint8_t *panel = (const uint8_t *)packed + row / BG_PANEL_ROWS * bg_panel_bytes(f, k);
    uint8_t *to = out, last[4];
    for (size_t b = 0; b < k / l->weights; b++, panel += (size_t)l->bytes * BG_PANEL_ROWS)
        bg_unpack_block(f, panel, row % BG_PANEL_ROWS, to + b * l->bytes);
    if (k % l->weights) {
        bg_unpack_block(f, panel, row % BG_PANEL_ROWS, last);
        memcpy(to + k / l->weights * l->bytes, last, 2);
    }
}

/* ---- a matrix, threaded -------------------------------------------------------------------- */

typedef struct job {
    const bg_format_info *f;
    const uint8_t *src;
    uint8_t *dst, *scratch;    /* scratch: 16 rows a member, when packing in place */
    const uint8_t *zeros;      /* a row */
    size_t rows, k, row_bytes, panel_bytes;
    _Atomic size_t next;
} job;

/* In place a panel overwrites its own rows only, unless padding makes panels larger than rows. */
static void pack_some(void *user, int member, int size)
{
    job *j = user;
    uint8_t *own = j->scratch ? j->scratch + (size_t)member * BG_PANEL_ROWS * j->row_bytes : NULL;
    (void)size;
    for (;;) {
        size_t first = BG_PANEL_ROWS * atomic_fetch_add(&j->next, 1), n;
        const uint8_t *from = j->src + first * j->row_bytes;
        if (first >= j->rows) return;
        n = BG_MIN(j->rows - first, (size_t)BG_PANEL_ROWS);
        if (own) from = memcpy(own, from, n * j->row_bytes);
        bg_pack_panel(j->f, from, j->row_bytes, n, j->k, j->zeros,
                      j->dst + first / BG_PANEL_ROWS * j->panel_bytes);
    }
}

bg_status bg_pack_matrix(const bg_format_info *f, const void *src, void *dst, size_t rows, size_t k,
                         struct bg_team *team, bg_error *err)
{
    job j = {.f = f, .src = src, .dst = dst, .rows = rows, .k = k,
             .row_bytes = bg_format_row_bytes(f, k), .panel_bytes = bg_panel_bytes(f, k)};
    bool in_place = src == dst, apart = j.panel_bytes != BG_PANEL_ROWS * j.row_bytes;
    size_t scratch = in_place ? BG_PANEL_ROWS * j.row_bytes * (size_t)bg_team_size(team) : 0;
    void *copy = NULL, *zeros = bg_alloc(1, j.row_bytes);
    bg_status status = BG_OK;
    if (in_place && apart) { /* rows of an odd number of halves */
        copy = bg_alloc_large(rows * j.row_bytes);
        if (copy) j.src = memcpy(copy, src, rows * j.row_bytes);
    } else if (in_place) {
        copy = bg_alloc_large(scratch);
        j.scratch = copy;
    }
    j.zeros = zeros;
    if (!zeros || (in_place && !copy))
        status = bg_fail_nomem(err, "packing weights", apart ? rows * j.row_bytes : scratch);
    else
        bg_team_run(team, pack_some, &j);
    if (in_place) bg_free_large(copy, apart ? rows * j.row_bytes : scratch);
    bg_free(zeros);
    return status;
}
