#ifdef __AVX512F__

#include "isa/avx512/avx512.h"
#include "isa/blocks.h"
#include "isa/inline.h"

#include <immintrin.h>
#include <math.h>

enum { LANES = 16 };

/* 127 over the largest magnitude of n floats; *d is the block's scale. 0 where all q are 0. */
BG_INLINE float block_factor(const float *in, int n, float *d)
{
    __m512 largest = _mm512_setzero_ps();
    __mmask16 bad = 0;
    float m;
    for (int i = 0; i < n; i += LANES) {
        __m512 x = _mm512_abs_ps(_mm512_loadu_ps(in + i));
        largest = _mm512_max_ps(largest, x);
        bad |= _mm512_cmp_ps_mask(x, _mm512_set1_ps(INFINITY), _CMP_NLT_UQ);
    }
    *d = NAN;
    if (bad) return 0;
    m = _mm512_reduce_max_ps(largest);
    *d = 0;
    if (m < BG_ENCODE_TINY) return 0;
    *d = m / 127.0f;
    return 127.0f / m;
}

/* LANES floats to bytes. A factor of 0 comes with values that may not be finite. */
BG_INLINE __m128i quantize(const float *in, float factor)
{
    __m512 x = _mm512_mul_ps(_mm512_loadu_ps(in), _mm512_set1_ps(factor));
    return factor != 0 ? _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x)) : _mm_setzero_si128();
}

void bg_avx512_encode_q8_0(const float *in, void *out, size_t k)
{
    bg_block_q8_0 *b = out;
    for (size_t i = 0; i < k / 32; i++, in += 32) {
        float d, factor = block_factor(in, 32, &d);
        uint16_t half = (uint16_t)_cvtss_sh(d, _MM_FROUND_TO_NEAREST_INT);
        memcpy(b[i].d, &half, 2);
        _mm_storeu_si128((__m128i_u *)(void *)b[i].qs, quantize(in, factor));
        _mm_storeu_si128((__m128i_u *)(void *)(b[i].qs + LANES), quantize(in + LANES, factor));
    }
}

void bg_avx512_encode_q8_k(const float *in, void *out, size_t k)
{
    bg_block_q8_k *b = out;
    for (size_t i = 0; i < k / 256; i++) {
        float d, factor = block_factor(in, 256, &d);
        memcpy(b[i].d, &d, 4);
        for (int s = 0; s < 16; s++, in += LANES) {
            __m128i q = quantize(in, factor);
            /* Each byte plus 128 is unsigned, and the sums of 8 of them are at hand. */
            __m128i sums = _mm_sad_epu8(_mm_xor_si128(q, _mm_set1_epi8(-128)), _mm_setzero_si128());
            int sum = _mm_extract_epi16(sums, 0) + _mm_extract_epi16(sums, 4) - LANES * 128;
            int16_t narrow = (int16_t)sum;
            _mm_storeu_si128((__m128i_u *)(void *)(b[i].qs + LANES * s), q);
            memcpy(b[i].bsums + 2 * s, &narrow, 2);
        }
    }
}

/* To nearest even; what is not a number gets its quiet bit set. (The instruction for it takes
 * denormal numbers for 0.) */
void bg_avx512_encode_bf16(const float *in, void *out, size_t k)
{
    uint16_t *h = out;
    for (size_t i = 0; i < k; i += LANES) {
        __mmask16 some = (__mmask16)(k - i < LANES ? (1u << (k - i)) - 1 : 0xffff);
        __m512 x = _mm512_maskz_loadu_ps(some, in + i);
        __m512i u = _mm512_castps_si512(x), odd, near;
        __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
        odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
        near = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        near = _mm512_mask_or_epi32(near, nan, u, _mm512_set1_epi32(0x400000));
        _mm256_mask_storeu_epi16(h + i, some, _mm512_cvtepi32_epi16(_mm512_srli_epi32(near, 16)));
    }
}

#endif
