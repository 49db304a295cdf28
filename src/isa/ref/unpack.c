#include "isa/ref/unpack.h"

#include "bitgauge/format.h"

static const int8_t iq4_values[16] = {BG_IQ4_VALUES};

static float load_f16(const uint8_t *p) { return bg_f16_to_f32(bg_load_u16(p)); }

/* 32 weights of four bits, in the order of the 32-weight formats. */
static void nibbles(const uint8_t *qs, int *q)
{
    for (int i = 0; i < 16; i++) {
        q[i] = qs[i] & 15;
        q[i + 16] = qs[i] >> 4;
    }
}

static void fifth_bits(const uint8_t *qh, int *q)
{
    for (int i = 0; i < 32; i++) q[i] |= (qh[i / 8] >> (i % 8) & 1) << 4;
}

static void subtract(int *q, int n, int offset)
{
    for (int i = 0; i < n; i++) q[i] -= offset;
}

/* The 256 weights of a two-bit plane. */
static void two_bits(const uint8_t *qs, int *q)
{
    for (int i = 0; i < 256; i++) q[i] = qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}

/* The 256 weights of a nibble plane. */
static void nibble_plane(const uint8_t *qs, int *q)
{
    for (int i = 0; i < 256; i++) q[i] = qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15;
}

static void scales_mins_6(const uint8_t *s, bg_ref_block *b)
{
    for (int g = 0; g < 4; g++) {
        b->scale[g] = s[g] & 63;
        b->min[g] = s[g + 4] & 63;
        b->scale[g + 4] = (s[g + 8] & 15) | s[g] >> 6 << 4;
        b->min[g + 4] = s[g + 8] >> 4 | s[g + 4] >> 6 << 4;
    }
}

void bg_ref_q4_0(const void *block, bg_ref_block *b)
{
    const bg_block_q4_0 *w = block;
    b->d = load_f16(w->d);
    nibbles(w->qs, b->q);
    subtract(b->q, 32, 8);
}

/* The min of Q4_1 and Q5_1 is added and has a scale of its own. */
void bg_ref_q4_1(const void *block, bg_ref_block *b)
{
    const bg_block_q4_1 *w = block;
    b->d = load_f16(w->d);
    b->dmin = load_f16(w->m);
    b->min[0] = -1;
    nibbles(w->qs, b->q);
}

void bg_ref_q5_0(const void *block, bg_ref_block *b)
{
    const bg_block_q5_0 *w = block;
    b->d = load_f16(w->d);
    nibbles(w->qs, b->q);
    fifth_bits(w->qh, b->q);
    subtract(b->q, 32, 16);
}

void bg_ref_q5_1(const void *block, bg_ref_block *b)
{
    const bg_block_q5_1 *w = block;
    b->d = load_f16(w->d);
    b->dmin = load_f16(w->m);
    b->min[0] = -1;
    nibbles(w->qs, b->q);
    fifth_bits(w->qh, b->q);
}

void bg_ref_q8_0(const void *block, bg_ref_block *b)
{
    const bg_block_q8_0 *w = block;
    b->d = load_f16(w->d);
    for (int i = 0; i < 32; i++) b->q[i] = w->qs[i];
}

void bg_ref_q2_k(const void *block, bg_ref_block *b)
{
    const bg_block_q2_k *w = block;
    b->d = load_f16(w->d);
    b->dmin = load_f16(w->dmin);
    two_bits(w->qs, b->q);
    for (int s = 0; s < 16; s++) {
        b->scale[s] = w->scales[s] & 15;
        b->min[s] = w->scales[s] >> 4;
    }
}

void bg_ref_q3_k(const void *block, bg_ref_block *b)
{
    const bg_block_q3_k *w = block;
    b->d = load_f16(w->d);
    two_bits(w->qs, b->q);
    for (int i = 0; i < 256; i++) b->q[i] |= (w->hmask[i % 32] >> (i / 32) & 1) << 2;
    subtract(b->q, 256, 4);
    for (int s = 0; s < 16; s++) {
        int low = w->scales[s % 8] >> (s / 8 * 4) & 15;
        int high = w->scales[8 + s % 4] >> (s / 4 * 2) & 3;
        b->scale[s] = (low | high << 4) - 32;
    }
}

void bg_ref_q4_k(const void *block, bg_ref_block *b)
{
    const bg_block_q4_k *w = block;
    b->d = load_f16(w->d);
    b->dmin = load_f16(w->dmin);
    nibble_plane(w->qs, b->q);
    scales_mins_6(w->scales, b);
}

void bg_ref_q5_k(const void *block, bg_ref_block *b)
{
    const bg_block_q5_k *w = block;
    b->d = load_f16(w->d);
    b->dmin = load_f16(w->dmin);
    nibble_plane(w->qs, b->q);
    for (int i = 0; i < 256; i++) b->q[i] |= (w->qh[i % 32] >> (i / 32) & 1) << 4;
    scales_mins_6(w->scales, b);
}

void bg_ref_q6_k(const void *block, bg_ref_block *b)
{
    const bg_block_q6_k *w = block;
    b->d = load_f16(w->d);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, part = i % 128 / 32, l = i % 32;
        int low = w->ql[64 * half + part % 2 * 32 + l] >> (part / 2 * 4) & 15;
        int high = w->qh[32 * half + l] >> (2 * part) & 3;
        b->q[i] = (low | high << 4) - 32;
    }
    for (int s = 0; s < 16; s++) b->scale[s] = w->scales[s];
}

void bg_ref_iq4_nl(const void *block, bg_ref_block *b)
{
    const bg_block_q4_0 *w = block;
    b->d = load_f16(w->d);
    nibbles(w->qs, b->q);
    for (int i = 0; i < 32; i++) b->q[i] = iq4_values[b->q[i]];
}

void bg_ref_iq4_xs(const void *block, bg_ref_block *b)
{
    const bg_block_iq4_xs *w = block;
    unsigned high = bg_load_u16(w->scales_h);
    b->d = load_f16(w->d);
    for (int g = 0; g < 8; g++) {
        int low = w->scales_l[g / 2] >> (g % 2 * 4) & 15;
        b->scale[g] = (low | (int)(high >> (2 * g) & 3) << 4) - 32;
        nibbles(w->qs + 16 * g, b->q + 32 * g);
    }
    for (int i = 0; i < 256; i++) b->q[i] = iq4_values[b->q[i]];
}

/* Digit n of a byte that is a fraction in base 3: shift the point by n digits, then take the
 * digit left of it. */
static int ternary_digit(unsigned byte, int n)
{
    static const unsigned power[5] = {1, 3, 9, 27, 81};
    return (int)((byte * power[n] & 255) * 3 >> 8);
}

void bg_ref_tq1_0(const void *block, bg_ref_block *b)
{
    const bg_block_tq1_0 *w = block;
    b->d = load_f16(w->d);
    for (int i = 0; i < 160; i++) b->q[i] = ternary_digit(w->qs[i % 32], i / 32);
    for (int i = 0; i < 80; i++) b->q[160 + i] = ternary_digit(w->qs[32 + i % 16], i / 16);
    for (int i = 0; i < 16; i++) b->q[240 + i] = ternary_digit(w->qh[i % 4], i / 4);
    subtract(b->q, 256, 1);
}

void bg_ref_tq2_0(const void *block, bg_ref_block *b)
{
    const bg_block_tq2_0 *w = block;
    b->d = load_f16(w->d);
    two_bits(w->qs, b->q);
    subtract(b->q, 256, 1);
}
