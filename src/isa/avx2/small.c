/* Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL: a block of 32 weights is one vector. */
#ifdef __AVX2__

#include "isa/avx2/rows_vector.h"

#include "isa/avx2/avx2.h"
#include "isa/avx2/unpack.h"
#include "isa/template/small.h"

BG_INLINE vint q4_0_group(const void *block) { return nibbles(((const bg_block_q4_0 *)block)->qs); }
BG_INLINE vint q4_1_group(const void *block) { return nibbles(((const bg_block_q4_1 *)block)->qs); }
BG_INLINE vint q8_0_group(const void *block) { return v_load(((const bg_block_q8_0 *)block)->qs); }

BG_INLINE vint q5_0_group(const void *block)
{
    const bg_block_q5_0 *w = block;
    return v_or(nibbles(w->qs), fifth_bits(w->qh));
}

BG_INLINE vint q5_1_group(const void *block)
{
    const bg_block_q5_1 *w = block;
    return v_or(nibbles(w->qs), fifth_bits(w->qh));
}

BG_INLINE vint iq4_nl_group(const void *block)
{
    return iq4_values(nibbles(((const bg_block_q4_0 *)block)->qs));
}

BG_INLINE void q4_0_pair(const void *a, const void *b, vint *first, vint *second)
{
    nibbles_pair(((const bg_block_q4_0 *)a)->qs, ((const bg_block_q4_0 *)b)->qs, first, second);
}

BG_INLINE void q4_1_pair(const void *a, const void *b, vint *first, vint *second)
{
    nibbles_pair(((const bg_block_q4_1 *)a)->qs, ((const bg_block_q4_1 *)b)->qs, first, second);
}

BG_INLINE void fives_pair(const uint8_t *a, const uint8_t *a_high, const uint8_t *b,
                          const uint8_t *b_high, vint *first, vint *second)
{
    vint first_bits, second_bits;
    nibbles_pair(a, b, first, second);
    fifth_bits_pair(a_high, b_high, &first_bits, &second_bits);
    *first = v_or(*first, first_bits);
    *second = v_or(*second, second_bits);
}

BG_INLINE void q5_0_pair(const void *a, const void *b, vint *first, vint *second)
{
    const bg_block_q5_0 *v = a, *w = b;
    fives_pair(v->qs, v->qh, w->qs, w->qh, first, second);
}

BG_INLINE void q5_1_pair(const void *a, const void *b, vint *first, vint *second)
{
    const bg_block_q5_1 *v = a, *w = b;
    fives_pair(v->qs, v->qh, w->qs, w->qh, first, second);
}

BG_INLINE void q8_0_pair(const void *a, const void *b, vint *first, vint *second)
{
    const bg_block_q8_0 *v = a, *w = b;
    *first = v_load_two(v->qs, w->qs);
    *second = v_load_two(v->qs + 16, w->qs + 16);
}

BG_INLINE void iq4_nl_pair(const void *a, const void *b, vint *first, vint *second)
{
    q4_0_pair(a, b, first, second);
    *first = iq4_values(*first);
    *second = iq4_values(*second);
}

/* depth: 127 times the largest q, twice, times the depth must stay below 2^15. */
#define SMALL(name, type, is_signed, has_min, offset, depth)                            \
    static const small_format name = {sizeof(bg_block_##type), name##_group,            \
                                      name##_pair, is_signed, has_min, offset, depth};  \
    static void name##_panel(const bg_matmul *a, const uint8_t **rows)                  \
    {                                                                                   \
        small_panel_run(a, rows, name);                                                 \
    }                                                                                   \
    void bg_avx2_gemv_##name(const bg_matmul *a) { small_gemv(a, name); }               \
    void bg_avx2_gemm_##name(const bg_matmul *a) { panel_walk(a, name##_panel); }

SMALL(q4_0, q4_0, false, false, 8, 8)
SMALL(q4_1, q4_1, false, true, 0, 8)
SMALL(q5_0, q5_0, false, false, 16, 4)
SMALL(q5_1, q5_1, false, true, 0, 4)
SMALL(q8_0, q8_0, true, false, 0, 1)
SMALL(iq4_nl, q4_0, true, false, 0, 1)

#endif
