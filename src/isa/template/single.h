/* single.h: one column with blocks of 256 weights, on x86. Internal.
 *
 * Words are read in the order of their addresses, so that the hardware's prefetchers can follow.
 * Quads come multiplied by 2^raise where that saves moving their bits; so do their sums, which are
 * moved back when they are complete. What an offset takes off is what sums of 32 bits start at. */
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
    bool apart;                /* vectors after each other, for want of registers */
    bool spread;               /* asks as ahead.h has it: chosen by single_panel */
} single_format;

/* Without 32-bit sums, large quads and those without a scale are left to super.h. */
BG_INLINE bool single_takes(super_format f)
{
    return SUMS == 1 || (f.sub < 64 && !super_is_signed(f));
}
/* Quads whose sums are scaled. */
BG_INLINE int single_fold(single_format f)
{
    super_format raised = f.super;
    BG_UNROLL
    for (int g = 0; g < 8; g++)
        raised.largest = BG_MAX(raised.largest, f.super.largest << f.raise(g));
    return SUMS == 1 ? f.super.sub : BG_MIN(f.super.sub, super_fits(raised, false));
}
BG_INLINE bool single_starts_off(single_format f) { return SUMS == 1 && f.super.zero == BG_OFFSET; }

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

BG_INLINE vint single_scale(vint total, vsum sums, const super_bytes *scale, int v)
{
    if (SUMS == 1) return v_add32(total, v_mul32(v_sum_32(sums), v_bytes(scale, v)));
    return v_scaled(total, sums, v_factor(scale, v));
}

/* Groups first..first + side - 1, whose words lie beside each other, of vectors from..end - 1. */
BG_INLINE void single_groups(const uint8_t *w, const super_bytes *scale, const bg_block_q8_k *x,
                             int first, int from, int end, const int32_t *starts,
                             vint totals[SINGLE_RAISED][VECTORS], single_format f)
{
    const int fold = single_fold(f);
    vsum t[8][VECTORS];
    BG_UNROLL
    for (int j = 0; j < 8; j++) {
        BG_UNROLL
        for (int i = 0; i < f.super.side; i++) {
            int g = f.order(first + i), s = (8 * g + j) / f.super.sub;
            vint quad = v_spread(x->qs + 32 * g + 4 * j);
            BG_UNROLL
            for (int v = from; v < end; v++) {
                vint *total = &totals[f.raise(g)][v];
                if (j % fold == 0)
                    t[i][v] = single_starts_off(f) ? v_spread(&starts[s]) : v_none();
                t[i][v] = v_dot(t[i][v], f.quad(w + 4 * LANES * v, g, j), quad);
                if ((j + 1) % fold == 0) *total = single_scale(*total, t[i][v], scale + s, v);
            }
        }
    }
}

/* sum(scale q x), less what the offset takes off sums of 32 bits. */
BG_INLINE void single_scaled(const uint8_t *w, const super_bytes *scale, const bg_block_q8_k *x,
                             vint total[VECTORS], single_format f)
{
    vint totals[SINGLE_RAISED][VECTORS];
    int32_t starts[16];
    if (single_starts_off(f)) single_starts(x, starts, f);
    BG_UNROLL
    for (int i = 0; i < SINGLE_RAISED * VECTORS; i++) totals[i / VECTORS][i % VECTORS] = v_zero();
    BG_UNROLL
    for (int v = 0; v < VECTORS; v += f.apart ? 1 : VECTORS) {
        BG_UNROLL
        for (int first = 0; first < 8; first += f.super.side) {
            if (v == 0 && f.spread)
                super_ask(w, f.super.bytes * (size_t)first / 8,
                          f.super.bytes * (size_t)(first + f.super.side) / 8);
            single_groups(w, scale, x, first, v, f.apart ? v + 1 : VECTORS, starts, totals, f);
        }
        __asm__("" : "+r"(x), "+r"(scale)); /* what the next reads again is not kept on the stack */
    }
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        total[v] = totals[0][v];
        BG_UNROLL
        for (int r = 1; r < SINGLE_RAISED; r++)
            total[v] = v_add32(total[v], v_shift_right32(totals[r][v], r));
    }
}

BG_INLINE void single_block(const uint8_t *w, const bg_block_q8_k *x, vflt y[VECTORS],
                            single_format f)
{
    super_scales unpacked;
    super_sums sums;
    const super_bytes *scale = f.super.scales(w, &unpacked);
    const super_bytes *min = f.super.zero == BG_MINS ? unpacked.min : scale;
    vint total[VECTORS];
    super_sums_of(x, &sums, f.super);
    if (f.whole && f.spread) super_ask(w, 0, f.super.bytes);
    if (!f.whole) single_scaled(w, scale, x, total, f);
    __asm__("" : "+r"(min)); /* what was widened of it before is not kept in registers */
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        vint low = v_zero();
        vflt t;
        if (f.whole) total[v] = v_sub32(f.whole(w + 4 * LANES * v, x->qs), v_all32(sums.all));
        if (!single_starts_off(f)) {
            BG_UNROLL
            for (int i = 0; i < 64 / f.super.sub - 1; i += 2)
                low = v_dot_pairs(low, v_byte_pairs(min + i, v), &sums.sum[i]);
        }
        if (f.super.zero == BG_OFFSET && !single_starts_off(f))
            total[v] = v_sub32(total[v], v_shift_left32(low, f.super.shift));
        t = v_mul(v_halves(w, v), v_float(total[v]));
        if (f.super.zero == BG_MINS)
            t = v_fnma(v_halves(w + 2 * BG_PANEL_ROWS, v), v_float(low), t);
        y[v] = v_fma(t, v_all(bg_load_f32(x->d)), y[v]);
    }
}

/* The first `rows` rows of a panel. */
BG_INLINE void single_rows(const bg_matmul *a, const uint8_t *w, size_t rows, single_format f)
{
    const bg_block_q8_k *x = a->x;
    vflt y[VECTORS];
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) y[v] = v_all(0);
    for (size_t b = 0; b < a->k / 256; b++, w += f.super.bytes, x++) {
        if (f.ask && !f.spread) super_ask(w, 0, f.super.bytes);
        single_block(w, x, y, f);
    }
    panel_store(a->y, y, rows, false);
}

/* Code of its own for each way to ask: calls that are not made cost registers, too. */
BG_INLINE void single_panel(const bg_matmul *a, const uint8_t *w, size_t rows, single_format f)
{
    if (bg_ahead_here->super_spread) {
        f.spread = true;
        single_rows(a, w, rows, f);
    } else {
        f.spread = false;
        single_rows(a, w, rows, f);
    }
}

#endif
