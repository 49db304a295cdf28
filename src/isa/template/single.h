/* single.h: one column with blocks of 256 weights, where v_dot adds up four products of unsigned
 * bytes in 32 bits. Internal.
 *
 * Words are read in the order of their addresses, which lets the hardware's prefetchers follow. Quads
 * come multiplied by 2^raise where that saves moving their bits; so do their sums, which are moved
 * back when they are complete. What an offset takes off is what sums start at. */
#ifndef BG_TEMPLATE_SINGLE_H
#define BG_TEMPLATE_SINGLE_H

#include "isa/template/super.h"

enum { SINGLE_RAISED = 7 };
typedef int single_group_fn(int g);
/* sum(q x) of a block whose scale is 1. */
typedef vint single_whole_fn(const uint8_t *w, const int8_t *x);

typedef struct single_format { /* all constants */
    super_format super;
    super_quad_fn *quad;
    single_group_fn *raise;    /* by how much quads of a group are raised, below SINGLE_RAISED */
    single_group_fn *order;    /* of the groups in memory */
    single_whole_fn *whole;    /* or NULL */
    bool ask;                  /* the hardware's prefetchers lose their way */
} single_format;

/* What the sums of every `sub` quads start at. */
BG_INLINE void single_starts(const bg_block_q8_k *x, int32_t starts[16], single_format f)
{
    int16_t sums[16];
    memcpy(sums, x->bsums, sizeof sums);
    BG_UNROLL
    for (int i = 0; i < 64 / f.super.sub; i++) {
        int sum = f.super.sub == 4 ? sums[i] : sums[2 * i] + sums[2 * i + 1];
        starts[i] = -sum * (1 << (f.super.shift + f.raise(i * f.super.sub / 8)));
    }
}

/* Groups first..first + side - 1 of single_scaled, whose words lie beside each other. */
BG_INLINE void single_groups(const uint8_t *w, const super_bytes *scale, const bg_block_q8_k *x,
                             int v, int first, const int32_t *starts, vint totals[SINGLE_RAISED],
                             single_format f)
{
    const int sub = f.super.sub, side = f.super.side;
    vint t[8];
    BG_UNROLL
    for (int j = 0; j < 8; j++) {
        BG_UNROLL
        for (int i = 0; i < side; i++) {
            int g = f.order(first + i), s = (8 * g + j) / sub;
            if (j % sub == 0) t[i] = f.super.zero == BG_OFFSET ? v_spread(&starts[s]) : v_zero();
            t[i] = v_dot(t[i], f.quad(w, g, j), v_spread(x->qs + 32 * g + 4 * j));
            if ((j + 1) % sub == 0)
                totals[f.raise(g)] = v_add32(totals[f.raise(g)],
                                             v_mul32(t[i], v_bytes(scale + s, v)));
        }
    }
}

/* sum(scale q x), less what the offset takes off. */
BG_INLINE vint single_scaled(const uint8_t *w, const super_bytes *scale, const bg_block_q8_k *x,
                             int v, single_format f)
{
    vint totals[SINGLE_RAISED];
    int32_t starts[16];
    if (f.super.zero == BG_OFFSET) single_starts(x, starts, f);
    BG_UNROLL
    for (int r = 0; r < SINGLE_RAISED; r++) totals[r] = v_zero();
    BG_UNROLL
    for (int first = 0; first < 8; first += f.super.side)
        single_groups(w, scale, x, v, first, starts, totals, f);
    BG_UNROLL
    for (int r = 1; r < SINGLE_RAISED; r++)
        totals[0] = v_add32(totals[0], v_shift_right32(totals[r], r));
    return totals[0];
}

BG_INLINE void single_block(const uint8_t *w, const bg_block_q8_k *x, vflt y[VECTORS],
                            single_format f)
{
    super_scales unpacked;
    super_sums sums;
    const super_bytes *scale = f.super.scales(w, &unpacked);
    const super_bytes *min = f.super.zero == BG_MINS ? unpacked.min : scale;
    super_sums_of(x, &sums, f.super);
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        const uint8_t *at = w + 4 * LANES * v;
        vflt d = v_halves(w, v), t;
        if (f.whole)
            t = v_float(v_sub32(f.whole(at, x->qs), v_all32(sums.all)));
        else
            t = v_float(single_scaled(at, scale, x, v, f));
        t = v_mul(d, t);
        if (f.super.zero == BG_MINS) {
            vint low = v_zero();
            BG_UNROLL
            for (int i = 0; i < 64 / f.super.sub - 1; i += 2)
                low = v_dot_pairs(low, v_byte_pairs(min + i, v), &sums.sum[i]);
            t = v_fnma(v_halves(w + 2 * BG_PANEL_ROWS, v), v_float(low), t);
        }
        y[v] = v_fma(t, v_all(bg_load_f32(x->d)), y[v]);
    }
}

/* The first `rows` rows of a panel. */
BG_INLINE void single_panel(const bg_matmul *a, const uint8_t *w, size_t rows, single_format f)
{
    const bg_block_q8_k *x = a->x;
    vflt y[VECTORS];
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) y[v] = v_all(0);
    for (size_t b = 0; b < a->k / 256; b++, w += f.super.bytes, x++) {
        if (f.ask) super_ask(w + SUPER_AHEAD, f.super.bytes);
        single_block(w, x, y, f);
    }
    panel_store(a->y, y, rows, false);
}

#endif
