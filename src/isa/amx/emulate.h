/* emulate.h: tiles in plain C, as the manual of the instructions defines them. Internal. */
#ifndef BG_AMX_EMULATE_H
#define BG_AMX_EMULATE_H

#include "isa/amx/tile.h"

#include <math.h>
#include <string.h>

static _Thread_local struct {
    tile_config config;
    _Alignas(64) uint8_t data[8][TILE_ROWS][TILE_BYTES];
} tiles;

static inline void tile_fence(const void *p) { (void)p; }
static inline void tile_release(void) { memset(&tiles, 0, sizeof tiles); }

static inline void tile_configure_rows(const uint8_t rows[8])
{
    tile_release();
    tiles.config = tile_config_of(rows);
}

/* Rows of a tile; the processor faults on a tile that is not configured. */
static inline size_t tile_rows(int t)
{
    if (tiles.config.palette != 1 || !tiles.config.rows[t] || !tiles.config.row_bytes[t])
        __builtin_trap();
    return tiles.config.rows[t];
}

/* Every instruction that writes a tile clears the rows that it does not have. */
static inline void tile_zero(int t)
{
    tile_rows(t);
    memset(tiles.data[t], 0, sizeof tiles.data[t]);
}

static inline void tile_load(int t, const void *p, size_t stride)
{
    tile_zero(t);
    for (size_t r = 0; r < tile_rows(t); r++)
        memcpy(tiles.data[t][r], (const uint8_t *)p + r * stride, tiles.config.row_bytes[t]);
}

static inline void tile_load_once(int t, const void *p, size_t stride) { tile_load(t, p, stride); }

static inline void tile_store(int t, void *p, size_t stride)
{
    for (size_t r = 0; r < tile_rows(t); r++)
        memcpy((uint8_t *)p + r * stride, tiles.data[t][r], tiles.config.row_bytes[t]);
}

/* Denormal numbers count as zero, coming in and going out. */
static inline float tile_flush(float x) { return fabsf(x) < 0x1p-126f ? 0 * x : x; }

/* 32 numbers in bf16. */
static inline void tile_widen(const uint8_t *p, float *out)
{
    for (size_t i = 0; i < 2 * TILE_ROWS; i++) {
        uint32_t bits = (uint32_t)(p[2 * i] | p[2 * i + 1] << 8) << 16;
        float x;
        memcpy(&x, &bits, sizeof x);
        out[i] = tile_flush(x);
    }
}

/* Even and odd places of k are summed apart, then added to y. */
static inline void tile_dot(int y, int x, int w)
{
    float weights[TILE_ROWS][2 * TILE_ROWS], at[2 * TILE_ROWS];
    if (tile_rows(y) != tile_rows(x)) __builtin_trap();
    for (size_t k = 0; k < tile_rows(w); k++) tile_widen(tiles.data[w][k], weights[k]);
    for (size_t r = 0; r < tile_rows(y); r++) {
        float sums[2 * TILE_ROWS] = {0}, *out = (float *)(void *)tiles.data[y][r];
        tile_widen(tiles.data[x][r], at);
        for (size_t k = 0; k < tile_rows(w); k++)
            for (size_t n = 0; n < 2 * TILE_ROWS; n++)
                sums[n] = tile_flush(fmaf(at[2 * k + n % 2], weights[k][n], sums[n]));
        for (size_t n = 0; n < TILE_ROWS; n++)
            out[n] = tile_flush(out[n] + tile_flush(sums[2 * n] + sums[2 * n + 1]));
    }
}

#endif
