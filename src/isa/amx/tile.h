/* tile.h: the words that gemm.h is written in: eight tiles of up to 16 rows of 64 bytes. Internal.
 *
 * Four accumulators (two times 16 columns of activations by two times 16 rows of weights), two tiles
 * of activations, two of weights. With BG_TILES_EMULATED the same words are plain C. */
#ifndef BG_AMX_TILE_H
#define BG_AMX_TILE_H

#include <stddef.h>
#include <stdint.h>

#define TILE_Y00 0
#define TILE_Y01 1
#define TILE_Y10 2
#define TILE_Y11 3
#define TILE_X0 4
#define TILE_X1 5
#define TILE_W0 6
#define TILE_W1 7

enum { TILE_ROWS = 16, TILE_BYTES = 64, TILE_FLOATS = TILE_ROWS * TILE_BYTES / 4 };

/* What LDTILECFG reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* For `cols` columns of activations, 1 to 32: tiles of activations have no more rows than that. */
static inline tile_config tile_config_for(size_t cols)
{
    tile_config c = {.palette = 1};
    uint8_t first = (uint8_t)(cols < TILE_ROWS ? cols : TILE_ROWS), second = (uint8_t)(cols - first);
    for (int i = 0; i < 8; i++) c.row_bytes[i] = TILE_BYTES;
    c.rows[TILE_Y00] = c.rows[TILE_Y01] = c.rows[TILE_X0] = first;
    c.rows[TILE_Y10] = c.rows[TILE_Y11] = c.rows[TILE_X1] = second;
    c.rows[TILE_W0] = c.rows[TILE_W1] = TILE_ROWS;
    if (second == 0) c.row_bytes[TILE_Y10] = c.row_bytes[TILE_Y11] = c.row_bytes[TILE_X1] = 0;
    return c;
}

#ifdef BG_TILES_EMULATED
#include "isa/amx/emulate.h"
#else

#include <immintrin.h>

/* Compilers do not know which memory tile instructions read (GCC 12 not even all of the
 * configuration): everything written before must be in memory. */
static inline void tile_fence(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

static inline void tile_configure(size_t cols)
{
    tile_config c = tile_config_for(cols);
    tile_fence(&c);
    _tile_loadconfig(&c);
}

#define tile_release() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, p, stride) _tile_loadd(t, p, stride)
#define tile_store(t, p, stride) _tile_stored(t, p, stride)
#define tile_dot(y, x, w) _tile_dpbf16ps(y, x, w) /* y += x w, sums of pairs of bf16 */

#endif
#endif
