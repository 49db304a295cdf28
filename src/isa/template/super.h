/* super.h: loops over formats with blocks of 256 weights and Q8_K activations. Internal.
 *
 * Written in the words of the including file's vector.h. A format brings two functions: `group`
 * gives weights 32g..32g+31 as unsigned (or, for BG_SIGNED, signed) bytes, `scales` the rest. The
 * value of a block's dot product is
 *
 *     BG_SIGNED    d dx  sum(scale q x)
 *     BG_OFFSET    d dx (sum(scale q x) - sum(min bsum))       an offset of q, times the scale
 *     BG_MINS      d dx  sum(scale q x) - dmin dx sum(min bsum)
 *
 * where the sums are exact integers. */
#ifndef BG_TEMPLATE_SUPER_H
#define BG_TEMPLATE_SUPER_H

#include "isa/template/panel.h"

typedef enum bg_zero { BG_SIGNED, BG_OFFSET, BG_MINS } bg_zero;

typedef struct super_scales {
    vint scale;     /* as v_group_scale wants them */
    vint min;       /* beside Q8_K's bsums */
    float d, dmin;
} super_scales;

typedef vint super_group_fn(const void *block, int g);
typedef super_scales super_scales_fn(const void *block);

/* sub: weights that share a scale: 16, 32, or 256 when the scale is 1. depth: quads that add up in
 * 16 bits. All but `a` are constants. */
typedef struct super_format {
    size_t bytes;
    super_group_fn *group;
    super_scales_fn *scales;
    bg_zero zero;
    int sub, depth;
} super_format;

enum { SUPER_AHEAD = 1024 }; /* bytes that GEMV asks for ahead of its use */

BG_INLINE void super_gemv(const bg_matmul *a, super_format f)
{
    const bg_block_q8_k *xs = a->x;
    size_t blocks = a->k / 256;
    for (size_t r = 0; r < a->rows; r++) {
        const uint8_t *w = (const uint8_t *)a->w + r * a->panel_bytes;
        vflt sum = v_all(0), low = v_all(0);
        for (size_t b = 0; b < blocks; b++, w += f.bytes) {
            const bg_block_q8_k *x = &xs[b];
            super_scales s = f.scales(w);
            float dx = bg_load_f32(x->d);
            vint acc = v_zero();
            for (size_t i = 0; i < f.bytes; i += 64) v_prefetch(w + SUPER_AHEAD + i);
            BG_UNROLL
            for (int g = 0; g < 8; g++) {
                vint q = f.group(w, g), v = v_load(x->qs + 32 * g);
                vint p = f.zero == BG_SIGNED ? v_dot_s8(q, v) : v_dot_u8(q, v);
                if (f.sub == 256)
                    acc = v_add16(acc, p);
                else
                    acc = v_add32(acc, v_dot_16(p, v_group_scale(s.scale, g)));
            }
            if (f.sub == 256) acc = v_dot_16(acc, v_all16(1));
            if (f.zero != BG_SIGNED) {
                vint m = v_dot_16(s.min, v_load(x->bsums));
                if (f.zero == BG_OFFSET)
                    acc = v_sub32(acc, m);
                else
                    low = v_fma(v_all(s.dmin * dx), v_float(m), low);
            }
            sum = v_fma(v_all(s.d * dx), v_float(acc), sum);
        }
        a->y[r] = v_sum(v_sub(sum, low));
    }
}

/* GEMM unpacks one block of each of PANEL_ROWS rows into a panel whose lanes are rows, then takes
 * all columns through it, SUPER_COLS at a time. */
enum { SUPER_COLS = 2 };

typedef struct super_panel {
    vint q[128][PANEL_VECTORS];     /* 64 quads of bytes; or (signed) 128 pairs times their scale */
    vint scale[16][PANEL_VECTORS];  /* pairs */
    vint min[8][PANEL_VECTORS];     /* pairs, as in bsums */
    _Alignas(32) float d[PANEL_ROWS], dmin[PANEL_ROWS];
} super_panel;

BG_INLINE void super_unpack_scales(super_panel *p, int v, const uint8_t *const *rows,
                                   super_format f)
{
    vint a[LANES], b[LANES], m[LANES];
    for (int i = 0; i < LANES; i++) {
        super_scales s = f.scales(rows[i]);
        p->d[v * LANES + i] = s.d;
        p->dmin[v * LANES + i] = s.dmin;
        m[i] = s.min;
        v_scale_pairs(s.scale, &a[i], &b[i]);
        if (f.sub == 32) a[i] = v_low_halves(a[i], b[i]);
    }
    if (f.zero != BG_SIGNED) {
        v_transpose(m, m);
        for (int i = 0; i < LANES; i++) p->min[i][v] = m[i];
    }
    if (f.sub == 256 || f.zero == BG_SIGNED) return;
    v_transpose(a, a);
    if (f.sub == 32) {
        for (int i = 0; i < LANES; i++) p->scale[i][v] = a[i];
        return;
    }
    v_transpose(b, b);
    for (int i = 0; i < LANES; i++) {
        int half = i < 4 ? 2 * i : 2 * i - 7;
        p->scale[half][v] = a[i];
        p->scale[8 + half][v] = b[i];
    }
}

BG_INLINE void super_unpack(super_panel *p, const uint8_t *const *rows, super_format f)
{
    for (int v = 0; v < PANEL_VECTORS; v++, rows += LANES) {
        super_unpack_scales(p, v, rows, f);
        BG_UNROLL
        for (int g = 0; g < 8; g++) {
            vint q[LANES], high[LANES];
            BG_UNROLL
            for (int i = 0; i < LANES; i++) {
                q[i] = f.group(rows[i], g);
                if (f.zero == BG_SIGNED) {
                    vint scale = v_group_scale(f.scales(rows[i]).scale, g);
                    high[i] = v_mul16(v_widen_high(q[i]), scale);
                    q[i] = v_mul16(v_widen_low(q[i]), scale);
                }
            }
            v_transpose(q, q);
            if (f.zero != BG_SIGNED) {
                for (int i = 0; i < LANES; i++) p->q[8 * g + i][v] = q[i];
                continue;
            }
            v_transpose(high, high);
            for (int i = 0; i < LANES; i++) {
                p->q[16 * g + i][v] = q[i];
                p->q[16 * g + 8 + i][v] = high[i];
            }
        }
    }
}

/* sum(scale q x) of one block for the rows of a panel and `cols` columns. */
BG_INLINE void super_products(const super_panel *p, const bg_block_q8_k *const *x, int cols,
                              vint acc[PANEL_VECTORS][SUPER_COLS], super_format f)
{
    int fold = BG_MIN(f.sub / 4, f.depth);
    for (int q = 0; q < 64; q += fold) {
        vint t[PANEL_VECTORS][SUPER_COLS];
        BG_UNROLL
        for (int i = 0; i < fold; i++) {
            BG_UNROLL
            for (int c = 0; c < cols; c++) {
                vint quad = v_spread(x[c]->qs + 4 * (q + i));
                BG_UNROLL
                for (int v = 0; v < PANEL_VECTORS; v++) {
                    vint product = v_dot_u8(p->q[q + i][v], quad);
                    t[v][c] = i == 0 ? product : v_add16(t[v][c], product);
                }
            }
        }
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++) {
            vint scale = f.sub == 256 ? v_all16(1) : p->scale[q / (f.sub / 4)][v];
            BG_UNROLL
            for (int c = 0; c < cols; c++)
                acc[v][c] = v_add32(acc[v][c], v_dot_16(t[v][c], scale));
        }
    }
}

/* The same for signed weights, which the panel holds in 16 bits with their scale. */
BG_INLINE void super_products_signed(const super_panel *p, const bg_block_q8_k *const *x, int cols,
                                     vint acc[PANEL_VECTORS][SUPER_COLS])
{
    _Alignas(32) int16_t wide[SUPER_COLS][256];
    for (int c = 0; c < cols; c++) {
        for (int i = 0; i < 256; i += 32) {
            vint bytes = v_load(x[c]->qs + i);
            v_store(wide[c] + i, v_widen_low(bytes));
            v_store(wide[c] + i + 16, v_widen_high(bytes));
        }
    }
    for (int q = 0; q < 128; q += 4) {
        BG_UNROLL
        for (int i = 0; i < 4; i++) {
            BG_UNROLL
            for (int c = 0; c < cols; c++) {
                vint pair = v_spread(wide[c] + 2 * (q + i));
                BG_UNROLL
                for (int v = 0; v < PANEL_VECTORS; v++)
                    acc[v][c] = v_add32(acc[v][c], v_dot_16(p->q[q + i][v], pair));
            }
        }
    }
}

/* sum(min bsum) of the same. */
BG_INLINE void super_mins(const super_panel *p, const bg_block_q8_k *const *x, int cols,
                          vint low[PANEL_VECTORS][SUPER_COLS])
{
    BG_UNROLL
    for (int i = 0; i < 8; i++) {
        BG_UNROLL
        for (int c = 0; c < cols; c++) {
            vint pair = v_spread(x[c]->bsums + 4 * i);
            BG_UNROLL
            for (int v = 0; v < PANEL_VECTORS; v++)
                low[v][c] = v_add32(low[v][c], v_dot_16(p->min[i][v], pair));
        }
    }
}

BG_INLINE void super_tile(const super_panel *p, const uint8_t *first, size_t x_stride, int cols,
                          float *y, size_t y_stride, super_format f)
{
    const bg_block_q8_k *x[SUPER_COLS];
    vint acc[PANEL_VECTORS][SUPER_COLS], low[PANEL_VECTORS][SUPER_COLS];
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        x[c] = (const bg_block_q8_k *)(first + (size_t)c * x_stride);
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++) acc[v][c] = low[v][c] = v_zero();
    }
    if (f.zero == BG_SIGNED)
        super_products_signed(p, x, cols, acc);
    else
        super_products(p, x, cols, acc, f);
    if (f.zero != BG_SIGNED) super_mins(p, x, cols, low);
    BG_UNROLL
    for (int c = 0; c < cols; c++) {
        vflt dx = v_all(bg_load_f32(x[c]->d));
        BG_UNROLL
        for (int v = 0; v < PANEL_VECTORS; v++) {
            float *out = y + (size_t)c * y_stride + v * LANES;
            vflt sum = v_load_floats(out);
            if (f.zero == BG_OFFSET) acc[v][c] = v_sub32(acc[v][c], low[v][c]);
            sum = v_fma(v_mul(v_load_floats(p->d + v * LANES), dx), v_float(acc[v][c]), sum);
            if (f.zero == BG_MINS)
                sum = v_fnma(v_mul(v_load_floats(p->dmin + v * LANES), dx), v_float(low[v][c]),
                             sum);
            v_store_floats(out, sum);
        }
    }
}

/* One panel of rows with all columns. */
BG_INLINE void super_panel_run(const bg_matmul *a, const uint8_t **rows, super_format f)
{
    super_panel p;
    for (size_t b = 0; b < a->k / 256; b++) {
        const uint8_t *x = (const uint8_t *)a->x + b * sizeof(bg_block_q8_k);
        size_t c = 0;
        super_unpack(&p, rows, f);
        for (int i = 0; i < PANEL_ROWS; i++) rows[i] += f.bytes;
        for (; c + SUPER_COLS <= a->cols; c += SUPER_COLS, x += SUPER_COLS * a->x_stride) {
            for (size_t i = 0; i < SUPER_COLS; i++)
                for (size_t j = 0; j < sizeof(bg_block_q8_k); j += 64)
                    v_prefetch(x + (SUPER_COLS + i) * a->x_stride + j);
            super_tile(&p, x, a->x_stride, SUPER_COLS, a->y + c * a->y_stride, a->y_stride, f);
        }
        for (; c < a->cols; c++, x += a->x_stride)
            super_tile(&p, x, a->x_stride, 1, a->y + c * a->y_stride, a->y_stride, f);
    }
}

#endif
