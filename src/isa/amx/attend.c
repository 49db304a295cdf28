/* Attention on tiles of bfloat16. */
#ifdef __AVX512BF16__

#include "isa/amx/amx.h"
#include "isa/amx/tile.h"
#include "isa/avx512/floats.h"
#include "isa/template/attend_matrix.h"
#include "isa/amx/attend_pairs.h"

#ifdef BG_TILES_EMULATED
#define ATTEND bg_amx_emulated_attend
#else
#define ATTEND bg_amx_attend
#endif

BG_INLINE void att_set_up(size_t m)
{
    if (m) tile_configure(m);
    else tile_release();
}

/* One or two panels of columns with 32 rows or less, of which `tall` has more than 16. */
BG_INLINE void tiles_run(const char *a, size_t a_stride, const uint8_t *w0, const uint8_t *w1,
                         float *c, size_t c_stride, size_t k, bool tall, bool wide, bool add)
{
    float *lower = c + TILE_ROWS * c_stride;
    size_t stride = c_stride * sizeof *c;
    if (add) {
        tile_load(TILE_Y00, c, stride);
        if (wide) tile_load(TILE_Y01, c + TILE_ROWS, stride);
        if (tall) tile_load(TILE_Y10, lower, stride);
        if (tall && wide) tile_load(TILE_Y11, lower + TILE_ROWS, stride);
    } else {
        tile_zero(TILE_Y00);
        if (wide) tile_zero(TILE_Y01);
        if (tall) tile_zero(TILE_Y10);
        if (tall && wide) tile_zero(TILE_Y11);
    }
    for (size_t l = 0; l < k; l += ATT_GRAIN, a += TILE_BYTES) {
        tile_load(TILE_X0, a, a_stride);
        tile_load(TILE_W0, w0 + l * TILE_BYTES / 2, TILE_BYTES);
        tile_dot(TILE_Y00, TILE_X0, TILE_W0);
        if (wide) {
            tile_load(TILE_W1, w1 + l * TILE_BYTES / 2, TILE_BYTES);
            tile_dot(TILE_Y01, TILE_X0, TILE_W1);
        }
        if (tall) {
            tile_load(TILE_X1, a + TILE_ROWS * a_stride, a_stride);
            tile_dot(TILE_Y10, TILE_X1, TILE_W0);
            if (wide) tile_dot(TILE_Y11, TILE_X1, TILE_W1);
        }
    }
    tile_store(TILE_Y00, c, stride);
    if (wide) tile_store(TILE_Y01, c + TILE_ROWS, stride);
    if (tall) tile_store(TILE_Y10, lower, stride);
    if (tall && wide) tile_store(TILE_Y11, lower + TILE_ROWS, stride);
}

/* m <= 32, as set up; n a multiple of 16, k one of ATT_GRAIN. */
static void att_product(const void *rows, size_t a_stride, att_matrix b, float *c, size_t c_stride,
                        size_t m, size_t n, size_t k, bool add)
{
    bool tall = m > TILE_ROWS;
    tile_fence(rows);
    for (size_t j = 0; j < n; j += 2 * TILE_ROWS) {
        const uint8_t *w = b.data + j / TILE_ROWS * b.panel;
        bool wide = j + TILE_ROWS < n;
        if (tall && wide)
            tiles_run(rows, a_stride, w, w + b.panel, c + j, c_stride, k, true, true, add);
        else
            tiles_run(rows, a_stride, w, w + b.panel, c + j, c_stride, k, tall, wide, add);
    }
    tile_fence(c);
}

#include "isa/template/attend.h"

void ATTEND(const bg_attend *a)
{
    if (att_too_few(a)) bg_avx512_attend(a);
    else att_run(a);
}

#endif
