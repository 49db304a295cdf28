/* Many columns of blocks of 32 weights. */
#ifdef __ARM_FEATURE_MATMUL_INT8

#include "isa/i8mm/matrix.h"

#define SMALL_KERNELS(name, bytes, offset, bits, has_min)                               \
    static const small_format name = {bytes * BG_PANEL_ROWS, name##_quads, offset, bits, has_min}; \
    static void name##_unpack(const uint8_t *w, size_t n, void *room)                  \
    {                                                                                   \
        unpack(w, n, room, name);                                                      \
    }                                                                                   \
    static void name##_tile(const void *room, size_t n, const uint8_t *const *x,       \
                            matrix_results *y)                                          \
    {                                                                                   \
        tile(room, n, x, 0, y, name);                                                  \
        tile(room, n, x, SIDE, y, name);                                               \
    }                                                                                   \
    void bg_i8mm_gemm_##name(const bg_matmul *a)                                        \
    {                                                                                   \
        static const matrix_code code = {32, bytes * BG_PANEL_ROWS, sizeof(bg_block_q8_0), \
                                         name##_unpack, name##_tile};                   \
        panel p;                                                                        \
        matrix_gemm(a, &p, &code);                                                      \
    }

#include "isa/template/small.h"

enum { BLOCKS = OCTETS / 4 };

typedef struct panel {
    matrix_octet q[OCTETS];
    vflt d[BLOCKS][PAIRS], m[BLOCKS][PAIRS];
} panel;

BG_INLINE void unpack(const uint8_t *w, size_t n, panel *p, small_format f)
{
    for (size_t b = 0; b < n; b++, w += f.bytes) {
        BG_UNROLL
        for (int v = 0; v < VECTORS; v++) {
            vint q[4][4];
            matrix_twice_floats(v_halves(w, v), v, p->d[b]);
            if (f.has_min) matrix_twice_floats(v_halves(w + 2 * BG_PANEL_ROWS, v), v, p->m[b]);
            BG_UNROLL
            for (int j = 0; j < 4; j++) f.quads(w + 4 * LANES * v, j, q[j]);
            BG_UNROLL
            for (int o = 0; o < 4; o++)
                matrix_put(q[o % 2 * 2][o / 2], q[o % 2 * 2 + 1][o / 2], small_offset(f), v,
                           p->q[4 * b + (size_t)o]);
        }
    }
}

/* SIDE pairs of rows from `first` on. */
BG_INLINE void tile(const panel *p, size_t n, const uint8_t *const *x, int first,
                    matrix_results *y, small_format f)
{
    vflt to[WIDTH][SIDE];
    BG_UNROLL
    for (int i = 0; i < WIDTH * SIDE; i++)
        to[i / SIDE][i % SIDE] = v_load_floats(y[i / SIDE][first + i % SIDE]);
    for (size_t b = 0; b < n; b++) {
        const bg_block_q8_0 *block[2 * WIDTH];
        const int8_t *at[2 * WIDTH];
        matrix_sums sums;
        for (int c = 0; c < 2 * WIDTH; c++) {
            block[c] = (const bg_block_q8_0 *)x[c] + b;
            at[c] = block[c]->qs;
        }
        matrix_clear(sums);
        matrix_dot(&p->q[4 * b][first], at, 4, sums);
        BG_UNROLL
        for (int c = 0; c < WIDTH; c++) {
            const bg_block_q8_0 *left = block[2 * c], *right = block[2 * c + 1];
            vflt dx = matrix_floats(v_half(left->d), v_half(right->d)), sum = dx;
            if (f.has_min)
                sum = v_mul(dx, matrix_floats((float)v_sum_s8(left->qs),
                                              (float)v_sum_s8(right->qs)));
            BG_UNROLL
            for (int i = 0; i < SIDE; i++) {
                vflt d = v_mul(p->d[b][first + i], dx);
                to[c][i] = v_fma(d, v_float(sums[c][i]), to[c][i]);
                if (f.has_min) to[c][i] = v_fma(p->m[b][first + i], sum, to[c][i]);
            }
        }
    }
    BG_UNROLL
    for (int i = 0; i < WIDTH * SIDE; i++)
        v_store_floats(y[i / SIDE][first + i % SIDE], to[i / SIDE][i % SIDE]);
}

#include "isa/template/small_formats.h"

#endif
