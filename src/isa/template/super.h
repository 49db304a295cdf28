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

#include "base/base.h"
#include "isa/isa.h"

typedef enum bg_zero { BG_OFFSET, BG_MINS } bg_zero;

/* Scales and mins of a block: the bytes of scale 0 of 16 rows, those of scale 1, ... */
typedef int8_t super_bytes[BG_PANEL_ROWS];
typedef struct super_scales { _Alignas(64) super_bytes scale[16], min[16]; } super_scales;

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
    SUPER_AHEAD = 4096, /* bytes that GEMV asks for ahead of its use */
    SUPER_FEW = VECTORS > 2 ? 1 : 4, /* columns that are taken straight from the packed block */
};

/* Products of large q do not fit at all where they are added in 16 bits: q is signed then. */
BG_INLINE bool super_is_signed(super_format f) { return f.largest > LARGEST; }
/* Quads whose sums v_scaled takes, a power of two. */
BG_INLINE int super_fits(super_format f)
{
    int fold = 8;
    while (fold > 1 && fold * BG_MIN(f.largest, LARGEST) * 127 * (4 / SUMS) > FITS) fold /= 2;
    return fold;
}
/* Where that are too few, whole 32-bit sums are scaled. */
BG_INLINE bool super_is_wide(super_format f)
{
    return SUMS == 1 && (f.sub == 64 || super_fits(f) < 4);
}
BG_INLINE int super_fold(super_format f)
{
    return super_is_wide(f) ? BG_MIN(f.sub, 8) : BG_MIN(f.sub, super_fits(f));
}

BG_INLINE vsum super_dot(vsum sums, vint q, vint x, super_format f)
{
    return super_is_signed(f) ? v_dot_signed(sums, q, x) : v_dot(sums, q, x);
}

BG_INLINE vint super_factor(const super_bytes *scale, int v, super_format f)
{
    if (f.sub == 64) return v_zero(); /* not looked at */
    return super_is_wide(f) ? v_bytes(scale, v) : v_factor(scale, v);
}
BG_INLINE vint super_scaled(vint total, vsum sums, vint factor, super_format f)
{
    if (f.sub == 64) return v_add32(total, v_sum_32(sums));
    if (super_is_wide(f)) return v_add32(total, v_mul32(v_sum_32(sums), factor));
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
    const int fold = super_fold(f);
    vsum t[8][SUPER_FEW][VECTORS];
    BG_UNROLL
    for (int j = 0; j < 8; j++) {
        BG_UNROLL
        for (int i = 0; i < side; i++) {
            int g = first + i, at = 8 * g + j;
            BG_UNROLL
            for (int v = 0; v < VECTORS; v++) {
                vint q = f.quad(w + 4 * LANES * v, g, j), factor;
                if ((j + 1) % fold == 0) factor = super_factor(scale + at / f.sub, v, f);
                BG_UNROLL
                for (int c = 0; c < cols; c++) {
                    vsum *sums = &t[i][c][v];
                    *sums = super_dot(j % fold == 0 ? v_none() : *sums, q,
                                      v_spread(s->x[c]->qs + 4 * at), f);
                    if ((j + 1) % fold == 0)
                        s->total[c][v] = super_scaled(s->total[c][v], *sums, factor, f);
                }
            }
        }
    }
}

BG_INLINE void super_few_block(super_few *s, const uint8_t *w, int cols,
                               vflt y[SUPER_FEW][VECTORS], super_format f)
{
    super_scales unpacked;
    super_sums sums[SUPER_FEW];
    const super_bytes *scale = f.scales(w, &unpacked);
    const super_bytes *min = f.zero == BG_MINS ? unpacked.min : scale;
    const int side = f.side * cols * VECTORS > 12 ? 1 : f.side;
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) s->total[c][v] = v_zero();
        super_sums_of(s->x[c], &sums[c], f);
    }
    BG_UNROLL
    for (int g = 0; g < 8; g += side) super_few_groups(s, w, scale, g, side, cols, f);
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

BG_INLINE void super_few_panel(const bg_matmul *a, const uint8_t *w, size_t rows, float *to,
                               const uint8_t *x, int cols, super_format f)
{
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
        BG_UNROLL
        for (size_t i = 0; i < f.bytes; i += 64) v_prefetch(w + SUPER_AHEAD + i);
        super_few_block(&s, w, cols, y, f);
    }
    BG_UNROLL
    for (int c = 0; c < cols; c++, to += a->y_stride) {
        float out[BG_PANEL_ROWS];
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++)
            v_store_floats(rows < BG_PANEL_ROWS ? out + v * LANES : to + v * LANES, y[c][v]);
        if (rows < BG_PANEL_ROWS) memcpy(to, out, rows * sizeof *to);
    }
}

BG_INLINE void super_gemv(const bg_matmul *a, super_format f)
{
    const uint8_t *w = a->w;
    for (size_t r = 0; r < a->rows; r += BG_PANEL_ROWS, w += a->panel_bytes)
        super_few_panel(a, w, a->rows - r, a->y + r, a->x, 1, f);
}


BG_INLINE void super_gemm(const bg_matmul *a, super_format f)
{
    const uint8_t *w = a->w;
    for (size_t r = 0; r < a->rows; r += BG_PANEL_ROWS, w += a->panel_bytes) {
        const uint8_t *x = a->x;
        float *y = a->y + r;
        size_t c = 0;
        for (; c + SUPER_FEW <= a->cols; c += SUPER_FEW, x += SUPER_FEW * a->x_stride)
            super_few_panel(a, w, a->rows - r, y + c * a->y_stride, x, SUPER_FEW, f);
        for (; c < a->cols; c++, x += a->x_stride)
            super_few_panel(a, w, a->rows - r, y + c * a->y_stride, x, 1, f);
    }
}

#endif
