/* tile.h: the words that products are written in: eight tiles of up to 16 rows of 64 bytes.
 * Internal.
 *
 * Their names are for four tiles of sums, of two times 16 rows of x by two times 16 of w. With
 * BG_TILES_EMULATED the same words are plain C. */
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

/* Tiles of whole rows, so many each; none for those that are not used. */
static inline tile_config tile_config_of(const uint8_t rows[8])
{
    tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.rows[i] = rows[i];
        c.row_bytes[i] = rows[i] ? TILE_BYTES : 0;
    }
    return c;
}

#ifdef BG_TILES_EMULATED
#include "isa/amx/emulate.h"
#else

#include <immintrin.h>

/* Compilers do not know which memory tile instructions read (GCC 12 not even all of the
 * configuration): everything written before must be in memory. */
static inline void tile_fence(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

static inline void tile_configure_rows(const uint8_t rows[8])
{
    tile_config c = tile_config_of(rows);
    tile_fence(&c);
    _tile_loadconfig(&c);
}

#define tile_release() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, p, stride) _tile_loadd(t, p, stride)
#define tile_load_once(t, p, stride) _tile_stream_loadd(t, p, stride) /* not to stay in cache */
#define tile_store(t, p, stride) _tile_stored(t, p, stride)
#define tile_dot(y, x, w) _tile_dpbf16ps(y, x, w) /* y += x w, sums of pairs of bf16 */

#endif

/* For 1 to 32 rows of x: their tiles and those of sums have no more. */
static inline void tile_configure(size_t n)
{
    uint8_t a = (uint8_t)(n < TILE_ROWS ? n : TILE_ROWS), b = (uint8_t)(n - a);
    const uint8_t rows[8] = {a, a, b, b, a, b, TILE_ROWS, TILE_ROWS};
    tile_configure_rows(rows);
}

#endif
