/* Many columns of blocks of 256 weights. */
#ifdef __ARM_FEATURE_MATMUL_INT8

#include "isa/i8mm/matrix.h"

#define SUPER_KERNELS(name, scales, bytes, zero, shift, largest, sub, side)             \
    static const super_format name = {16 * bytes, name##_quad, scales,                  \
                                      zero, shift, largest, sub, side};                 \
    static void name##_unpack(const uint8_t *w, size_t n, void *room)                  \
    {                                                                                   \
        (void)n;                                                                        \
        unpack(w, room, name);                                                         \
    }                                                                                   \
    static void name##_tile(const void *room, size_t n, const uint8_t *const *x,       \
                            matrix_results *y)                                          \
    {                                                                                   \
        (void)n;                                                                        \
        tile(room, x, 0, y, name);                                                     \
        tile(room, x, SIDE, y, name);                                                  \
    }                                                                                   \
    void bg_i8mm_gemm_##name(const bg_matmul *a)                                        \
    {                                                                                   \
        static const matrix_code code = {256, 16 * bytes, sizeof(bg_block_q8_k),        \
                                         name##_unpack, name##_tile};                   \
        panel p;                                                                        \
        matrix_gemm(a, &p, &code);                                                      \
    }

#include "isa/template/super.h"

typedef struct panel {
    matrix_octet q[OCTETS], factor[16], min[16];
    vflt d[PAIRS], dmin[PAIRS];
} panel;

BG_INLINE void unpack(const uint8_t *w, panel *p, super_format f)
{
    super_scales unpacked;
    const super_bytes *scale = f.scales(w, &unpacked);
    const int offset = f.zero == BG_OFFSET && !super_is_signed(f) ? 1 << f.shift : 0;
    BG_UNROLL
    for (int v = 0; v < VECTORS; v++) {
        const uint8_t *at = w + 4 * LANES * v;
        matrix_twice_floats(v_halves(w, v), v, p->d);
        if (f.zero == BG_MINS) matrix_twice_floats(v_halves(w + 2 * BG_PANEL_ROWS, v), v, p->dmin);
        for (int i = 0; i < 64 / f.sub && f.sub < 64; i++) {
            matrix_twice(v_bytes(scale + i, v), v, p->factor[i]);
            if (f.zero == BG_MINS) matrix_twice(v_bytes(unpacked.min + i, v), v, p->min[i]);
        }
        BG_UNROLL
        for (int g = 0; g < 8; g++) {
            BG_UNROLL
            for (int j = 0; j < 8; j += 2)
                matrix_put(f.quad(at, g, j), f.quad(at, g, j + 1), offset, v,
                           p->q[4 * g + j / 2]);
        }
    }
}

/* sum(min sum(x)) */
BG_INLINE void tile_mins(const panel *p, const bg_block_q8_k *const *x, int first, int n,
                         matrix_sums low, super_format f)
{
    super_sums sums[2 * WIDTH];
    BG_UNROLL
    for (int c = 0; c < 2 * WIDTH; c++) super_sums_of(x[c], &sums[c], f);
    matrix_clear(low);
    for (int s = 0; s < n; s++) {
        BG_UNROLL
        for (int c = 0; c < WIDTH; c++) {
            int32_t a = sums[2 * c].sum[s], b = sums[2 * c + 1].sum[s];
            BG_UNROLL
            for (int i = 0; i < SIDE; i++)
                low[c][i] = vmlaq_s32(low[c][i], p->min[s][first + i], (vint){a, b, a, b});
        }
    }
}

/* SIDE pairs of rows from `first` on. */
BG_INLINE void tile(const panel *p, const uint8_t *const *columns, int first, matrix_results *y,
                    super_format f)
{
    const int parts = f.sub == 64 ? 8 : 64 / f.sub, octets = OCTETS / parts;
    const bg_block_q8_k *x[2 * WIDTH];
    const int8_t *at[2 * WIDTH];
    matrix_sums total, sums, low;
    for (int c = 0; c < 2 * WIDTH; c++) {
        x[c] = (const bg_block_q8_k *)columns[c];
        at[c] = x[c]->qs;
    }
    matrix_clear(total);
    for (int s = 0; s < parts; s++) {
        matrix_clear(sums);
        matrix_dot(&p->q[s * octets][first], at, octets, f.sub == 64 ? total : sums);
        BG_UNROLL
        for (int c = 0; c < 2 * WIDTH; c++) at[c] += 8 * octets;
        BG_UNROLL
        for (int i = 0; i < SIDE * WIDTH; i++) {
            vint *to = &total[i / SIDE][i % SIDE];
            if (f.sub == 64) continue; /* the sums are the total */
            *to = vmlaq_s32(*to, sums[i / SIDE][i % SIDE], p->factor[s][first + i % SIDE]);
        }
    }
    if (f.zero == BG_MINS) tile_mins(p, x, first, parts, low, f);
    BG_UNROLL
    for (int c = 0; c < WIDTH; c++) {
        vflt dx = matrix_floats(bg_load_f32(x[2 * c]->d), bg_load_f32(x[2 * c + 1]->d));
        BG_UNROLL
        for (int i = 0; i < SIDE; i++) {
            float *to = y[c][first + i];
            vflt t = v_mul(p->d[first + i], v_float(total[c][i]));
            if (f.zero == BG_MINS) t = v_fnma(p->dmin[first + i], v_float(low[c][i]), t);
            v_store_floats(to, v_fma(t, dx, v_load_floats(to)));
        }
    }
}

#include "isa/template/super_formats.h"

#endif
