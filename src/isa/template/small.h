/* small.h: loops over formats with blocks of 32 weights and Q8_0 activations. Internal.
 *
 * Written in the words of the including file's vector.h. A block is 8 quads of unsigned bytes q;
 * the value of its dot product is
 *
 *     d dx (sum(q x) - offset sum(x)) + m dx sum(x)
 *
 * where the first sums are exact integers. They become floats without a conversion: what is added
 * up starts at the bits of SMALL_MAGIC, 1.5 2^23, in whose binade neighbouring floats differ by 1,
 * and one multiply-add takes it off again.
 *
 * Where v_dot leaves sums of 16 bits (SUMS is 2), bytes of 8 bits would not fit: they are taken
 * apart into two planes of 4 bits. Those of 5 bits fit if `bias` is taken off each, in numbers that
 * wrap. */
#ifndef BG_TEMPLATE_SMALL_H
#define BG_TEMPLATE_SMALL_H

#include "isa/ahead.h"
#include "isa/template/panel.h"

#define SMALL_MAGIC 0x1.8p23f
#define SMALL_MAGIC_BITS 0x4b400000

/* Quads j and j + 4 of a block, whose address is moved on to the vector that is wanted, for a
 * constant j < 4: q[0] and q[1], their upper planes q[2] and q[3]. */
typedef void small_quads_fn(const uint8_t *block, int j, vint q[4]);

typedef struct small_format { /* all constants */
    size_t bytes;             /* of a block of a panel; it starts with d and, if has_min, m */
    small_quads_fn *quads;
    int offset, bits;
    bool has_min;
} small_format;

enum {
    SMALL_FEW = REGISTERS == 32 ? 12 / VECTORS : 3, /* columns of the widest tile */
    SMALL_STRIP = 16,                        /* blocks of a panel that are unpacked at a time */
    SMALL_CHUNK = REGISTERS == 32 ? 48 : 96, /* columns that are prepared at a time... */
    SMALL_ROOM = 48 * 64,                    /* ...times blocks of each */
};

BG_INLINE int small_planes(small_format f) { return SUMS == 2 && f.bits == 8 ? 2 : 1; }
/* Columns whose sums fit in registers. */
BG_INLINE int small_few(small_format f)
{
    if (REGISTERS == 32) return (small_planes(f) == 2 ? 8 : 12) / VECTORS;
    return small_planes(f) == 2 ? 2 : 3;
}
/* Bytes of 8 bits are signed, and have no offset, where v_dot takes them so in whole sums. */
BG_INLINE bool small_signed(void) { return SUMS == 1 && LARGEST == 127; }
BG_INLINE int small_offset(small_format f) { return small_signed() && f.bits == 8 ? 0 : f.offset; }
BG_INLINE int small_bias(small_format f) { return SUMS == 2 && f.bits == 5 ? 16 : 0; }

/* A block of activations as all panels use it. start: what the sums of v_dot start at; fix: what is
 * added once they are whole (SUMS is 2). */
typedef struct small_x {
    int8_t q[32];
    float d, sum;  /* dx; dx sum(x) */
    union { int32_t whole; int16_t half[2]; } start;
    int32_t fix;
} small_x;

typedef uint64_t small_words __attribute__((vector_size(32)));

BG_INLINE void small_prepare_block(const bg_block_q8_0 *from, small_x *x, small_format f)
{
    int sum = v_sum_s8(from->qs);
    memcpy(x->q, from->qs, sizeof x->q);
    x->d = v_half(from->d);
    x->sum = x->d * (float)sum;
    x->fix = SMALL_MAGIC_BITS + (small_bias(f) - small_offset(f)) * sum;
    x->start.whole = x->fix;
    if (small_bias(f)) { /* the sums of v_dot are those of the even and of the odd pairs */
        small_words pairs; /* at once: pieces of a store are slow to come by */
        int even;
        memcpy(&pairs, from->qs, sizeof pairs);
        pairs &= 0x0000ffff0000ffff;
        even = v_sum_s8(&pairs);
        x->start.half[0] = (int16_t)(-small_bias(f) * even);
        x->start.half[1] = (int16_t)(-small_bias(f) * (sum - even));
    }
}

typedef vint small_sums[SMALL_FEW][VECTORS][2]; /* of each plane */

BG_INLINE void small_start(const small_x *x, int cols, small_sums t, small_format f)
{
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int i = 0; i < VECTORS * small_planes(f); i++)
            t[c][i % VECTORS][i / VECTORS] =
                SUMS == 2 && !small_bias(f) ? v_zero() : v_spread(&x[c].start);
    }
}

/* Vector v of every column of a tile, once its sums are whole. magic: d times it, less. */
BG_INLINE void small_add(vflt y[SMALL_FEW][VECTORS], small_sums t, int v, const small_x *x,
                         int cols, vflt d, vflt magic, vflt m, small_format f)
{
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        vint sum = t[c][v][0];
        if (SUMS == 2) sum = v_add32(v_sum_32(sum), v_spread(&x[c].fix));
        if (small_planes(f) == 2) sum = v_dot_16(sum, t[c][v][1], v_all16(16));
        y[c][v] = v_fma(v_fma(d, v_bits(sum), magic), v_all(x[c].d), y[c][v]);
        if (f.has_min) y[c][v] = v_fma(m, v_all(x[c].sum), y[c][v]);
    }
}

/* ---- few columns, or many registers: straight from the packed block -------------------------- */

/* One block of every column of a tile. */
BG_INLINE void small_block(const uint8_t *w, const small_x *x, int cols,
                           vflt y[SMALL_FEW][VECTORS], small_format f)
{
    small_sums t;
    small_start(x, cols, t, f);
    BG_UNROLL
    for (int j = 0; j < 4; j++) {
        vint q[VECTORS][4];
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) f.quads(w + 4 * LANES * v, j, q[v]);
        BG_UNROLL
        for (int half = 0; half < 2; half++) {
            BG_UNROLL
            for (int c = 0; c < cols; c++) {
                vint quad = v_spread(x[c].q + 4 * j + 16 * half);
                BG_UNROLL
                for (int i = 0; i < VECTORS * small_planes(f); i++) {
                    int v = i % VECTORS, plane = i / VECTORS;
                    t[c][v][plane] = v_dot(t[c][v][plane], q[v][2 * plane + half], quad);
                }
            }
        }
    }
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        vflt d = v_halves(w, v), m = v_all(0);
        if (f.has_min) m = v_halves(w + 2 * BG_PANEL_ROWS, v);
        small_add(y, t, v, x, cols, d, v_mul(d, v_all(-SMALL_MAGIC)), m, f);
    }
}

/* n blocks of a panel with `cols` prepared columns. */
BG_INLINE void small_tile(const uint8_t *w, const small_x *x, size_t n, int cols,
                          const bg_matmul *a, float *to, size_t rows, bool add, small_format f)
{
    vflt y[SMALL_FEW][VECTORS];
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) y[c][v] = v_all(0);
    }
    for (size_t b = 0; b < n; b++, x += cols, w += f.bytes) {
        const bg_ahead *ahead = bg_ahead_here;
        BG_UNROLL
        for (size_t i = 0; i < f.bytes; i += 64) v_prefetch(w + ahead->small_near + i);
        for (size_t i = 0; ahead->small_far && i < f.bytes; i += 64)
            v_prefetch_far(w + ahead->small_far + i);
        small_block(w, x, cols, y, f);
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++, to += a->y_stride) panel_store(to, y[c], rows, add);
}

/* ---- many columns: blocks of a panel are unpacked for all of them ---------------------------- */

/* The 8 quads (of each plane) of a block after another. magic: d times it, less. */
typedef struct small_panel {
    vint q[SMALL_STRIP * 16][VECTORS];
    vflt d[SMALL_STRIP][VECTORS], magic[SMALL_STRIP][VECTORS], m[SMALL_STRIP][VECTORS];
} small_panel;

BG_INLINE void small_unpack(const uint8_t *w, size_t n, small_panel *p, small_format f)
{
    const int planes = small_planes(f);
    vint (*to)[VECTORS] = p->q;
    for (size_t b = 0; b < n; b++, w += f.bytes, to += 8 * planes) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            p->d[b][v] = v_halves(w, v);
            p->magic[b][v] = v_mul(p->d[b][v], v_all(-SMALL_MAGIC));
            if (f.has_min) p->m[b][v] = v_halves(w + 2 * BG_PANEL_ROWS, v);
            BG_UNROLL
            for (int j = 0; j < 4; j++) {
                vint q[4];
                f.quads(w + 4 * LANES * v, j, q);
                BG_UNROLL
                for (int i = 0; i < 2 * planes; i++) to[(j + i % 2 * 4) * planes + i / 2][v] = q[i];
            }
        }
    }
}

/* Quad j of a block, whose planes are at w. The longer loop is the outer one: of what the inner one
 * goes through, all is in registers. */
BG_INLINE void small_panel_quad(vint (*w)[VECTORS], int j, const small_x *x, int cols, small_sums t,
                                small_format f)
{
    const int vectors = VECTORS * small_planes(f), outer = BG_MAX(cols, vectors);
    vint inner[SMALL_FEW + 2 * VECTORS];
    BG_UNROLL
    for (int i = 0; i < cols + vectors - outer; i++)
        inner[i] = cols < vectors ? v_spread(x[i].q + 4 * j) : w[i / VECTORS][i % VECTORS];
    BG_UNROLL
    for (int o = 0; o < outer; o++) {
        vint a = cols < vectors ? w[o / VECTORS][o % VECTORS] : v_spread(x[o].q + 4 * j);
        BG_UNROLL
        for (int i = 0; i < cols + vectors - outer; i++) {
            int c = cols < vectors ? i : o, at = cols < vectors ? o : i;
            vint *sums = &t[c][at % VECTORS][at / VECTORS];
            *sums = cols < vectors ? v_dot(*sums, a, inner[i]) : v_dot(*sums, inner[i], a);
        }
    }
}

/* small_tile for n unpacked blocks. */
BG_INLINE void small_panel_tile(small_panel *p, const small_x *x, size_t n, int cols,
                                const bg_matmul *a, float *to, size_t rows, bool add,
                                                small_format f)
{
    vflt y[SMALL_FEW][VECTORS];
    vint (*w)[VECTORS] = p->q;
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) y[c][v] = v_all(0);
    }
    for (size_t b = 0; b < n; b++, x += cols) {
        small_sums t;
        small_start(x, cols, t, f);
        BG_UNROLL
        for (int j = 0; j < 8; j++, w += small_planes(f)) small_panel_quad(w, j, x, cols, t, f);
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++)
            small_add(y, t, v, x, cols, p->d[b][v], p->magic[b][v], p->m[b][v], f);
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++, to += a->y_stride) panel_store(to, y[c], rows, add);
}

/* ---- the loops around them ------------------------------------------------------------------- */

/* What is compiled for panels of a format, tile[i] for i + 1 columns: functions of their own, for
 * in a large one compilers run out of registers. */
typedef struct small_code {
    void (*unpack)(const uint8_t *w, size_t n, small_panel *p);
    void (*tile[3])(small_panel *p, const small_x *x, size_t n, const bg_matmul *a, float *to,
                    size_t rows, bool add);
} small_code;

/* Columns of the largest tile that `cols` columns fill. */
BG_INLINE size_t small_width(size_t cols, small_format f)
{
    static const uint8_t widths[] = {12, 8, 4, 3, 2};
    for (size_t i = 0; i < BG_COUNT(widths); i++)
        if (widths[i] <= small_few(f) && widths[i] <= cols) return widths[i];
    return 1;
}

/* One panel with prepared columns. most: of columns, a constant. */
BG_INLINE void small_columns(const uint8_t *w, const small_x *x, size_t n, size_t cols, int most,
                             const bg_matmul *a, float *y, size_t rows, bool add, small_format f)
{
    for (size_t c = 0, width; c < cols; c += width, x += n * width, y += width * a->y_stride) {
        width = small_width(cols - c, f);
#define SMALL_TILE(count)                                                               \
        if (count <= small_few(f) && count <= most && width == count)                    \
            small_tile(w, x, n, count, a, y, rows, add, f);
        SMALL_TILE(12)
        SMALL_TILE(8)
        SMALL_TILE(4)
        SMALL_TILE(3)
        SMALL_TILE(2)
        SMALL_TILE(1)
#undef SMALL_TILE
    }
}

/* The same by way of an unpacked one. */
static inline void small_panel_columns(const uint8_t *w, const small_x *x, size_t n, size_t cols,
                                       const bg_matmul *a, float *y, size_t rows, bool add,
                                       small_format f, const small_code *code)
{
    small_panel p;
    code->unpack(w, n, &p);
    for (size_t c = 0, width; c < cols; c += width, x += n * width, y += width * a->y_stride) {
        width = small_width(cols - c, f);
        code->tile[width - 1](&p, x, n, a, y, rows, add);
    }
}

/* Blocks first..first + n - 1 of `cols` columns, in the order of small_columns. */
BG_INLINE void small_prepare(const bg_matmul *a, size_t column, size_t cols, size_t first, size_t n,
                             small_x *x, small_format f)
{
    for (size_t c = 0, width; c < cols; c += width, x += n * width) {
        width = small_width(cols - c, f);
        for (size_t i = 0; i < width; i++) {
            const uint8_t *from = (const uint8_t *)a->x + (column + c + i) * a->x_stride;
            for (size_t b = 0; b < n; b++)
                small_prepare_block((const bg_block_q8_0 *)from + first + b, &x[b * width + i], f);
        }
    }
}

/* All of it, by strips of blocks of some columns, which all panels use while they are in cache. */
BG_INLINE void small_matmul(const bg_matmul *a, int most, small_format f, const small_code *code)
{
    small_x x[SMALL_ROOM];
    size_t blocks = a->k / 32, all = most == 1 ? 1 : a->cols;
    for (size_t c = 0; c < all; c += SMALL_CHUNK) {
        size_t cols = BG_MIN(all - c, (size_t)SMALL_CHUNK), strip = SMALL_ROOM / cols;
        bool unpack = VECTORS > 1 && cols > 2 * (size_t)small_few(f);
        if (unpack) strip = SMALL_STRIP;
        for (size_t b = 0; b < blocks; b += strip) {
            size_t n = BG_MIN(blocks - b, strip);
            const uint8_t *w = (const uint8_t *)a->w + b * f.bytes;
            small_prepare(a, c, cols, b, n, x, f);
            for (size_t r = 0; r < a->rows; r += BG_PANEL_ROWS, w += a->panel_bytes) {
                float *y = a->y + c * a->y_stride + r;
                if (unpack)
                    small_panel_columns(w, x, n, cols, a, y, a->rows - r, b > 0, f, code);
                else
                    small_columns(w, x, n, cols, most, a, y, a->rows - r, b > 0, f);
            }
        }
    }
}

#endif
