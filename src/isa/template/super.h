/* super.h: loops over formats with blocks of 256 weights and Q8_K activations. Internal.
 *
 * Written in the words of the including file's vector.h. A block is 8 groups of 8 quads. The value
 * of a block's dot product is
 *
 *     BG_OFFSET    d dx (sum(scale q x) - 2^shift sum(scale bsum))
 *     BG_MINS      d dx  sum(scale q x) - dmin dx sum(min bsum)
 *
 * where q are unsigned bytes, scales and mins signed bytes, and the sums exact integers. */
#ifndef BG_TEMPLATE_SUPER_H
#define BG_TEMPLATE_SUPER_H

#include "isa/ahead.h"
#include "isa/template/panel.h"

typedef enum bg_zero { BG_OFFSET, BG_MINS } bg_zero;

/* Scales and mins of a block: the bytes of scale 0 of 16 rows, those of scale 1, ... */
typedef int8_t super_bytes[BG_PANEL_ROWS];
typedef struct super_scales { _Alignas(64) super_bytes scale[16], min[16]; } super_scales;

/* Those from n on, which a vector may take several of. */
BG_INLINE int8_t *super_from(super_bytes *all, int n) { return (int8_t *)all + n * BG_PANEL_ROWS; }

/* Quad j of group g of the block w (whose address is moved on to the vector that is wanted). */
typedef vint super_quad_fn(const uint8_t *w, int g, int j);
/* Finds the scales: in the block or, unpacked, in s. */
typedef const super_bytes *super_scales_fn(const uint8_t *w, super_scales *s);

/* All constants. largest: of q. sub: quads that share a scale: 4, 8, or 64 when the scale is 1.
 * side: groups that lie in the same words. */
typedef struct super_format {
    size_t bytes;               /* of a block of a panel */
    super_quad_fn *quad;
    super_scales_fn *scales;
    bg_zero zero;
    int shift, largest, sub, side;
} super_format;

enum {
    SUPER_FEW = VECTORS > 2 ? 1 : 4, /* columns that are taken straight from the packed block */
};

/* Products of large q do not fit at all where they are added in 16 bits: q is signed then. */
BG_INLINE bool super_is_signed(super_format f) { return f.largest > LARGEST; }
/* Where v_dot takes unsigned and signed bytes, many columns of BG_OFFSET have q - 2^shift for the
 * signed ones and x + 128 for the unsigned ones: what 128 adds is known when q is unpacked, and is
 * taken off without a look at sums of activations. */
BG_INLINE bool super_is_biased(super_format f)
{
    return (SUMS == 2 || LARGEST == 255) && f.zero == BG_OFFSET && !super_is_signed(f) &&
           (f.sub == 4 || REGISTERS == 16);
}

/* Quads whose sums v_scaled takes, a power of two. */
BG_INLINE int super_room(int q, int x)
{
    int fold = 8;
    while (fold > 1 && fold * q * x * (4 / SUMS) > FITS) fold /= 2;
    return fold;
}
/* 128 is taken off sums (which are to start at what it adds, less) rather than off totals where
 * more of them fit that way, in numbers that wrap. */
BG_INLINE bool super_starts(super_format f)
{
    return SUMS == 2 && super_is_biased(f) && super_room(1 << f.shift, 255) < BG_MIN(f.sub, 8);
}
BG_INLINE int super_fits(super_format f, bool many)
{
    if (many && super_is_biased(f)) return super_room(1 << f.shift, super_starts(f) ? 127 : 255);
    return super_room(BG_MIN(f.largest, LARGEST), 127);
}
/* Where that are too few, whole 32-bit sums are scaled. */
BG_INLINE bool super_is_wide(super_format f, bool many)
{
    return SUMS == 1 && (f.sub == 64 || super_fits(f, many) < 4);
}
BG_INLINE int super_fold(super_format f, bool many)
{
    return BG_MIN(f.sub, super_is_wide(f, many) ? 8 : super_fits(f, many));
}

BG_INLINE vsum super_dot(vsum sums, vint q, vint x, super_format f)
{
    return super_is_signed(f) ? v_dot_signed(sums, q, x) : v_dot(sums, q, x);
}

BG_INLINE vint super_factor(const super_bytes *scale, int v, super_format f, bool many)
{
    if (f.sub == 64) return v_zero(); /* not looked at */
    return super_is_wide(f, many) ? v_bytes(scale, v) : v_factor(scale, v);
}
BG_INLINE vint super_scaled(vint total, vsum sums, vint factor, super_format f, bool many)
{
    if (f.sub == 64) return v_add32(total, v_sum_32(sums));
    if (super_is_wide(f, many)) return v_add32(total, v_mul32(v_sum_32(sums), factor));
    return v_scaled(total, sums, factor);
}

/* Sums of the activations that share a scale: of 16, 32 or all. */
typedef union super_sums { int16_t sum[16]; int32_t all; } super_sums;

BG_INLINE void super_sums_of(const bg_block_q8_k *x, super_sums *s, super_format f)
{
    if (f.sub == 4)
        memcpy(s->sum, x->bsums, sizeof s->sum);
    else if (f.sub == 8)
        v_sums_of_32(x->bsums, s->sum);
    else
        s->all = v_sum_16(x->bsums);
}

/* ---- few columns: straight from the packed block -------------------------------------------- */

typedef struct super_few {
    const bg_block_q8_k *x[SUPER_FEW];
    vint total[SUPER_FEW][VECTORS];
} super_few;

/* Groups first..first + side - 1. */
BG_INLINE void super_few_groups(super_few *s, const uint8_t *w, const super_bytes *scale, int first,
                                int side, int cols, super_format f)
{
    const int fold = super_fold(f, false);
    vsum t[8][SUPER_FEW][VECTORS];
    BG_UNROLL
    for (int j = 0; j < 8; j++) {
        BG_UNROLL
        for (int i = 0; i < side; i++) {
            int g = first + i, at = 8 * g + j;
            BG_UNROLL
            for (int v = 0; v < VECTORS; v++) {
                vint q = f.quad(w + 4 * LANES * v, g, j), factor = v_zero();
                if ((j + 1) % fold == 0) factor = super_factor(scale + at / f.sub, v, f, false);
                BG_UNROLL
                for (int c = 0; c < cols; c++) {
                    vsum *sums = &t[i][c][v];
                    *sums = super_dot(j % fold == 0 ? v_none() : *sums, q,
                                      v_spread(s->x[c]->qs + 4 * at), f);
                    if ((j + 1) % fold == 0)
                        s->total[c][v] = super_scaled(s->total[c][v], *sums, factor, f, false);
                }
            }
        }
    }
}

/* A function of its own with a small loop: the hardware's prefetchers follow the stride of an
 * instruction, which in unrolled code is a whole block and too large for them. */
static __attribute__((noinline)) void super_ask_lines(const uint8_t *w, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) v_prefetch_far(w + i);
}
/* Asks for lines that begin within bytes [from, to) of a block, ahead. */
BG_INLINE void super_ask(const uint8_t *w, size_t from, size_t to)
{
    from = bg_round_up(from, 64);
    super_ask_lines(w + bg_ahead_here->super_far + from, to - BG_MIN(from, to));
}

BG_INLINE void super_few_block(super_few *s, const uint8_t *w, int cols,
                               vflt y[SUPER_FEW][VECTORS], super_format f)
{
    super_scales unpacked;
    super_sums sums[SUPER_FEW];
    const super_bytes *scale = f.scales(w, &unpacked);
    const super_bytes *min = f.zero == BG_MINS ? unpacked.min : scale;
    const int side = f.side * cols * VECTORS > 12 ? 1 : f.side;
    if (!bg_ahead_here->super_spread) super_ask(w, 0, f.bytes);
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) s->total[c][v] = v_zero();
        super_sums_of(s->x[c], &sums[c], f);
    }
    BG_UNROLL
    for (int g = 0; g < 8; g += side) {
        if (bg_ahead_here->super_spread)
            super_ask(w, f.bytes * (size_t)g / 8, f.bytes * (size_t)(g + side) / 8);
        super_few_groups(s, w, scale, g, side, cols, f);
    }
    __asm__("" : "+r"(min)); /* what was widened of it before is not kept in registers */
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        vflt d = v_halves(w, v), dmin;
        vint low[SUPER_FEW];
        if (f.zero == BG_MINS) dmin = v_halves(w + 2 * BG_PANEL_ROWS, v);
        BG_UNROLL
        for (int c = 0; c < cols; c++) low[c] = f.sub == 64 ? v_all32(sums[c].all) : v_zero();
        BG_UNROLL
        for (int i = 0; i < 64 / f.sub - 1; i += 2) {
            vpair pair = v_byte_pairs(min + i, v);
            BG_UNROLL
            for (int c = 0; c < cols; c++) low[c] = v_dot_pairs(low[c], pair, &sums[c].sum[i]);
        }
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            vint total = s->total[c][v];
            vflt t;
            if (f.zero == BG_OFFSET && !super_is_signed(f))
                total = v_sub32(total, v_shift_left32(low[c], f.shift));
            t = v_mul(d, v_float(total));
            if (f.zero == BG_MINS) t = v_fnma(dmin, v_float(low[c]), t);
            y[c][v] = v_fma(t, v_all(bg_load_f32(s->x[c]->d)), y[c][v]);
        }
    }
}

/* The first `rows` rows of a panel with `cols` columns. */
BG_INLINE void super_few_panel(const bg_matmul *a, const uint8_t *w, size_t rows, int cols,
                               super_format f)
{
    const uint8_t *x = a->x;
    vflt y[SUPER_FEW][VECTORS];
    super_few s;
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) y[c][v] = v_all(0);
    }
    for (size_t b = 0; b < a->k / 256; b++, w += f.bytes, x += sizeof(bg_block_q8_k)) {
        BG_UNROLL
        for (int c = 0; c < cols; c++)
            s.x[c] = (const bg_block_q8_k *)(x + (size_t)c * a->x_stride);
        super_few_block(&s, w, cols, y, f);
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++) panel_store(a->y + (size_t)c * a->y_stride, y[c], rows, false);
}

/* ---- many columns: a block of TILE vectors of rows is unpacked once for all ------------------ */

enum {
    TILE = VECTORS > 2 ? VECTORS : 2,
    TILE_ROWS = TILE * LANES,
    /* TILE sums (of twice the room where SUMS is 4) and TILE totals each */
    TILE_COLS = REGISTERS == 32 ? (TILE == 2 ? 5 : SUMS == 4 ? 2 : 3) : 3,
    SUPER_STRIP = 192,          /* columns that are finished at a time */
    /* From here on unpacking pays: with few registers, almost at once. */
    SUPER_MANY = SUPER_FEW == 1 ? 2 : REGISTERS == 16 ? 3 : 16,
};

/* start: of sums, or (the first) of totals. */
typedef struct super_panel {
    vint q[64][TILE], factor[16][TILE];
    union { vpair min[8][TILE]; vsum start[16][TILE]; vint total[TILE]; };
    vflt d[TILE], dmin[TILE];
} super_panel;

/* 128 times the weights, less. */
BG_INLINE void super_unpack_start(super_panel *p, int t, super_format f)
{
    const int fold = super_fold(f, true);
    vint total = v_zero();
    BG_UNROLL
    for (int q = 0; q < 64; q += fold) {
        vsum sums = v_none();
        BG_UNROLL
        for (int j = 0; j < fold; j++)
            sums = v_dot(sums, v_all8(-128), v_sub8(v_zero(), p->q[q + j][t]));
        if (super_starts(f))
            p->start[q / fold][t] = sums;
        else
            total = super_scaled(total, sums, p->factor[q / f.sub][t], f, true);
    }
    if (!super_starts(f)) p->total[t] = total;
}

/* Vector v of a packed block becomes vector t of the panel. */
BG_INLINE void super_unpack_vector(super_panel *p, int t, const uint8_t *w, int v, super_format f)
{
    super_scales unpacked;
    const super_bytes *scale = f.scales(w, &unpacked);
    const super_bytes *min = f.zero == BG_MINS ? unpacked.min : scale;
    p->d[t] = v_halves(w, v);
    if (f.zero == BG_MINS) p->dmin[t] = v_halves(w + 2 * BG_PANEL_ROWS, v);
    for (int i = 0; i < 64 / f.sub; i++) p->factor[i][t] = super_factor(scale + i, v, f, true);
    BG_UNROLL
    for (int g = 0; g < 8; g++) {
        BG_UNROLL
        for (int j = 0; j < 8; j++) {
            vint q = f.quad(w + 4 * LANES * v, g, j);
            p->q[8 * g + j][t] = super_is_biased(f) ? v_sub8(q, v_all8(1 << f.shift)) : q;
        }
    }
    if (super_is_biased(f)) {
        super_unpack_start(p, t, f);
        return;
    }
    for (int i = 0; i < 32 / f.sub; i++) p->min[i][t] = v_byte_pairs(min + 2 * i, v);
}

BG_INLINE void super_unpack(super_panel *p, const uint8_t *w, size_t panel_bytes, super_format f)
{
    BG_UNROLL
    for (int t = 0; t < TILE; t++)
        super_unpack_vector(p, t, w + (size_t)(t / VECTORS) * panel_bytes, t % VECTORS, f);
}

/* `fold` quads from number q on, added up and scaled. */
BG_INLINE void super_tile_fold(const super_panel *p, const uint8_t *const *x, int q, int fold,
                               int cols, vint total[TILE_COLS][TILE], super_format f)
{
    vsum sums[TILE_COLS][TILE];
    vint factor[TILE];
    BG_UNROLL
    for (int j = 0; j < fold; j++) {
        vint w[TILE];
        BG_UNROLL
        for (int t = 0; t < TILE; t++) w[t] = p->q[q + j][t];
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            vint quad = v_spread(x[c] + 4 * (q + j));
            BG_UNROLL
            for (int t = 0; t < TILE; t++) {
                if (j == 0) sums[c][t] = super_starts(f) ? p->start[q / fold][t] : v_none();
                sums[c][t] = super_is_biased(f) ? v_dot(sums[c][t], quad, w[t])
                                                : super_dot(sums[c][t], w[t], quad, f);
            }
        }
    }
    BG_UNROLL
    for (int t = 0; t < TILE; t++) factor[t] = p->factor[q / f.sub][t];
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int t = 0; t < TILE; t++)
            total[c][t] = super_scaled(total[c][t], sums[c][t], factor[t], f, true);
    }
}

/* The activations of a block as super_tile_fold wants them: plus 128, in `room`, or as they are. */
BG_INLINE const uint8_t *super_quads(const bg_block_q8_k *x, uint8_t room[256], super_format f)
{
    if (!super_is_biased(f)) return (const uint8_t *)x->qs;
    BG_UNROLL
    for (size_t i = 0; i < 256; i += sizeof(vint))
        v_store(room + i, v_xor(v_load(x->qs + i), v_all8(-128)));
    return room;
}

/* Adds the products of the panel with some columns to y, whose columns are TILE_ROWS apart. */
BG_INLINE void super_tile(const super_panel *p, const uint8_t *first, size_t x_stride, int cols,
                          float *y, super_format f)
{
    _Alignas(64) uint8_t room[TILE_COLS][256];
    const bg_block_q8_k *x[TILE_COLS];
    const uint8_t *quads[TILE_COLS];
    super_sums sums[TILE_COLS];
    vint total[TILE_COLS][TILE];
    const bool biased = super_is_biased(f);
    const int fold = super_fold(f, true);
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        x[c] = (const bg_block_q8_k *)(first + (size_t)c * x_stride);
        quads[c] = super_quads(x[c], room[c], f);
        if (!biased) super_sums_of(x[c], &sums[c], f);
        BG_UNROLL
        for (int t = 0; t < TILE; t++)
            total[c][t] = biased && !super_starts(f) ? p->total[t] : v_zero();
    }
    for (int q = 0; q < 64; q += 8) {
        BG_UNROLL
        for (int i = 0; i < 8; i += fold) super_tile_fold(p, quads, q + i, fold, cols, total, f);
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        vflt dx = v_all(bg_load_f32(x[c]->d));
        BG_UNROLL
        for (int t = 0; t < TILE; t++) {
            vint low = v_zero();
            vflt sum;
            if (!biased) {
                if (f.sub == 64) low = v_all32(sums[c].all);
                BG_UNROLL
                for (int i = 0; i < 32 / f.sub; i++)
                    low = v_dot_pairs(low, p->min[i][t], &sums[c].sum[2 * i]);
                if (f.zero == BG_OFFSET && !super_is_signed(f))
                    total[c][t] = v_sub32(total[c][t], v_shift_left32(low, f.shift));
            }
            sum = v_mul(p->d[t], v_float(total[c][t]));
            if (f.zero == BG_MINS) sum = v_fnma(p->dmin[t], v_float(low), sum);
            sum = v_fma(sum, dx, v_load_floats(y + c * TILE_ROWS + t * LANES));
            v_store_floats(y + c * TILE_ROWS + t * LANES, sum);
        }
    }
}

/* ---- what is compiled for each format, and the loops around it ------------------------------- */

/* [i]: for SUPER_FEW and TILE_COLS columns, for 2, for 1. Functions of their own, for in a large
 * one compilers run out of registers. */
enum { SUPER_WIDTHS = 3 };
static const size_t few_cols[SUPER_WIDTHS] = {SUPER_FEW, SUPER_FEW == 1 ? 1 : 2, 1};
static const size_t tile_cols[SUPER_WIDTHS] = {TILE_COLS, 2, 1};

typedef struct super_code {
    size_t bytes;           /* of a block of a panel */
    void (*few[SUPER_WIDTHS])(const bg_matmul *a, const uint8_t *w, size_t rows);
    void (*unpack)(super_panel *p, const uint8_t *w, size_t panel_bytes);
    void (*tile[SUPER_WIDTHS])(const super_panel *p, const uint8_t *x, size_t x_stride, float *y);
} super_code;

static inline void super_few_columns(const bg_matmul *a, const super_code *code)
{
    for (size_t r = 0; r < a->rows; r += BG_PANEL_ROWS) {
        const uint8_t *w = (const uint8_t *)a->w + r / BG_PANEL_ROWS * a->panel_bytes;
        bg_matmul part = *a;
        part.y += r;
        for (int i = 0; i < SUPER_WIDTHS; i++) {
            for (; part.cols >= few_cols[i]; part.cols -= few_cols[i]) {
                code->few[i](&part, w, a->rows - r);
                part.x = (const uint8_t *)part.x + few_cols[i] * a->x_stride;
                part.y += few_cols[i] * a->y_stride;
            }
        }
    }
}

/* One block of TILE_ROWS rows with a strip of columns. */
static inline void super_block(const super_panel *p, const uint8_t *x, size_t x_stride, size_t cols,
                        float *y, const super_code *code)
{
    for (int i = 0; i < SUPER_WIDTHS; i++) {
        size_t n = tile_cols[i];
        for (; cols >= n; cols -= n, x += n * x_stride, y += n * TILE_ROWS) {
            for (size_t j = n; j < 2 * n; j++) {
                for (size_t at = 0; at < sizeof(bg_block_q8_k); at += 64)
                    v_prefetch(x + j * x_stride + at);
            }
            code->tile[i](p, x, x_stride, y);
        }
    }
}

/* TILE_ROWS rows with a strip of columns. */
static inline void super_strip(const bg_matmul *a, const uint8_t *w, const uint8_t *x, size_t cols,
                        float *to, size_t rows, const super_code *code)
{
    super_panel p;
    float y[SUPER_STRIP * TILE_ROWS];
    memset(y, 0, cols * TILE_ROWS * sizeof *y);
    for (size_t b = 0; b < a->k / 256; b++, w += code->bytes, x += sizeof(bg_block_q8_k)) {
        code->unpack(&p, w, a->panel_bytes);
        super_block(&p, x, a->x_stride, cols, y, code);
    }
    for (size_t c = 0; c < cols; c++)
        memcpy(to + c * a->y_stride, y + c * TILE_ROWS, rows * sizeof *y);
}

static inline void super_gemm(const bg_matmul *a, const super_code *code)
{
    for (size_t r = 0; r < a->rows; r += TILE_ROWS) {
        const uint8_t *w = (const uint8_t *)a->w + r / BG_PANEL_ROWS * a->panel_bytes;
        bg_matmul rest = *a;
        rest.w = w;
        rest.rows = BG_MIN(a->rows - r, (size_t)TILE_ROWS);
        rest.y += r;
        if (a->cols < SUPER_MANY || rest.rows <= TILE_ROWS - BG_PANEL_ROWS) {
            super_few_columns(&rest, code);
            continue;
        }
        for (size_t c = 0; c < a->cols; c += SUPER_STRIP)
            super_strip(a, w, (const uint8_t *)a->x + c * a->x_stride,
                        BG_MIN(a->cols - c, (size_t)SUPER_STRIP), rest.y + c * a->y_stride,
                        rest.rows, code);
    }
}

#endif
