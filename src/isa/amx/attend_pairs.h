/* attend_pairs.h: attention on bfloat16, as tiles want it: pairs of neighbours along k. Internal;
 * goes before attend.h.
 *
 * Keys and values are converted a block at a time and serve all rows. The 8 bits of bfloat16 are
 * too few for scores, whose errors grow into the weights' exponents: queries and keys are split
 * into a head and the rest, q k = head(q) head(k) + rest(q) head(k) + head(q) rest(k), as one
 * product of three times the length. Weights and values are rounded once. */
#ifndef BG_AMX_ATTEND_PAIRS_H
#define BG_AMX_ATTEND_PAIRS_H

#include "isa/avx512/avx512.h"

#include "base/base.h"

enum { ATT_BITE = 2, ATT_GRAIN = 32, ATT_TERMS = 3 };
enum { ATT_PAIRS = 4 * BG_KV_PANEL };   /* bytes of a pair of 16 columns */

/* So few rows would not repay the conversion. */
BG_INLINE bool att_too_few(const bg_attend *a) { return a->tokens * a->heads < 16; }

BG_INLINE void att_put(void *weights, size_t i, vfloats w)
{
    _mm256_storeu_si256((__m256i_u *)(void *)((uint16_t *)weights + i),
                        (__m256i)_mm512_cvtneps_pbh(w));
}

BG_INLINE vfloats att_head(vfloats x)
{
    __m512i bits = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

BG_INLINE void att_queries(const bg_attend *a, float factor, void *rows, size_t stride)
{
    const vfloats f = f_all(factor);
    size_t dims = bg_round_up(a->dim, ATT_GRAIN);
    for (size_t r = 0; r < a->tokens * a->heads; r++) {
        const float *q = a->q + r / a->heads * a->q_stride + r % a->heads * a->dim;
        char *out = (char *)rows + r * stride;
        for (size_t i = 0; i < dims; i += FLOATS) {
            size_t n = i < a->dim ? BG_MIN(a->dim - i, (size_t)FLOATS) : 0;
            vfloats x = f_mul(_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), q + i), f);
            att_put(out, i, x);
            att_put(out, 2 * dims + i, x);
            att_put(out, dims + i, f_sub(x, att_head(x)));
        }
    }
}

/* 16 numbers of row k beside those of row k + 1. */
BG_INLINE void att_pair(vfloats first, vfloats second, uint8_t *out)
{
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9,
                                           24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1,
                                           16, 0);
    __m512bh both = _mm512_cvtne2ps_pbh(second, first);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi16(order, (__m512i)both));
}

/* A panel of 16 columns: `given` rows of halves that are `stride` apart, padded by rows of zero;
 * with `split`, their heads twice and then the rests. */
BG_INLINE void att_pair_up(const uint16_t *in, size_t stride, size_t given, bool split,
                           uint8_t *out)
{
    const __m256i none = _mm256_setzero_si256();
    size_t part = bg_round_up(given, ATT_GRAIN) / 2 * ATT_PAIRS;
    for (size_t k = 0; k < bg_round_up(given, ATT_GRAIN); k += 2, out += ATT_PAIRS) {
        const __m256i_u *row = (const __m256i_u *)(const void *)(in + k * stride);
        const __m256i_u *next = (const __m256i_u *)(const void *)(in + (k + 1) * stride);
        vfloats a = _mm512_cvtph_ps(k < given ? _mm256_loadu_si256(row) : none);
        vfloats b = _mm512_cvtph_ps(k + 1 < given ? _mm256_loadu_si256(next) : none);
        att_pair(a, b, out);
        if (!split) continue;
        att_pair(a, b, out + part);
        att_pair(f_sub(a, att_head(a)), f_sub(b, att_head(b)), out + 2 * part);
    }
}

BG_INLINE att_matrix att_keys(const bg_attend *a, size_t start, size_t width, void *room)
{
    size_t bytes = ATT_TERMS * bg_round_up(a->dim, ATT_GRAIN) / 2 * ATT_PAIRS;
    for (size_t j = 0; j < width; j += BG_KV_PANEL)
        att_pair_up(a->keys + (bg_attend_place(a, start) + j) * a->dim, BG_KV_PANEL, a->dim, true,
                    (uint8_t *)room + j / BG_KV_PANEL * bytes);
    return (att_matrix){.data = room, .step = ATT_PAIRS, .panel = bytes};
}

BG_INLINE att_matrix att_values(const bg_attend *a, size_t start, size_t width, void *room)
{
    size_t bytes = bg_round_up(width, ATT_GRAIN) / 2 * ATT_PAIRS;
    for (size_t d = 0; d < a->value_width; d += BG_KV_PANEL)
        att_pair_up(a->values + bg_attend_place(a, start) * a->value_width + d, a->value_width,
                    width, false, (uint8_t *)room + d / BG_KV_PANEL * bytes);
    return (att_matrix){.data = room, .step = ATT_PAIRS, .panel = bytes};
}

#endif
