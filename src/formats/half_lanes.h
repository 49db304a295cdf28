/* half_lanes.h: floats to and from IEEE halves and Q8_0. Included once for each instruction set,
 * with BG_CODER_NAME what its functions are called after. Internal. */
#include "formats/block.h"
#include "formats/coder.h"
#include "formats/lanes.h"

/* What bg_f16_to_f32 does, without branches. Infinities and NaN become those of a float. */
INLINE vf half_values(vi bits)
{
    vi magnitude = (bits & 0x7fff) << 13, endless = 0x0f7fffff - magnitude;
    vf normal = (vf)((magnitude + (112 << 23)) | (endless >> 31 & 0x7f800000));
    vf tiny = (vf)(magnitude + (113 << 23)) - 0x1p-14f;
    vf value = v_pick(v_less((vf)(magnitude + (112 << 23)), v_all(0x1p-14f)), tiny, normal);
    return (vf)((vi)value | (bits & 0x8000) << 16);
}

void BG_CODER_NAME(bg_decode_halves)(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        uint16_t h __attribute__((vector_size(2 * LANES)));
        memcpy(&h, p + 2 * i, sizeof h);
        vf v = half_values(__builtin_convertvector(h, vi));
        memcpy(out + i, &v, sizeof v);
    }
    for (; i < n; i++) out[i] = bg_load_f16(p + 2 * i);
}

/* What bg_f32_to_f16 does with what is finite; the largest half is the limit. */
INLINE vi half_bits(vf v)
{
    vf x = v_min(v_abs(v), v_all(65504.0f));
    vi bits = (vi)x, normal = (bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13;
    vf tiny = (vf)((vi)(x + 0.5f) - 0x3f000000);
    return (vi)v_pick(v_less(x, v_all(0x1p-14f)), tiny, (vf)normal) | ((vi)v >> 16 & 0x8000);
}

void BG_CODER_NAME(bg_encode_halves)(const float *in, void *blocks, size_t n)
{
    typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
    uint8_t *p = blocks;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf v;
        memcpy(&v, in + i, sizeof v);
        halves h = __builtin_convertvector(half_bits(v), halves);
        memcpy(p + 2 * i, &h, sizeof h);
    }
    for (; i < n; i++) bg_store_f16(p + 2 * i, bg_clamp(in[i], -65504.0f, 65504.0f));
}

/* The largest magnitude becomes 127: fast enough for activations, and near the best for weights. */
void BG_CODER_NAME(bg_encode_q8_0)(const float *in, void *blocks, size_t n)
{
    uint8_t *b = blocks;
    for (size_t i = 0; i < n; i += 32, b += 34) {
        float each[LANES] ALIGNED, d;
        vf x[32 / LANES], most = v_all(0), inverse;
        memcpy(x, in + i, sizeof x);
        for (int j = 0; j < 32 / LANES; j++) most = v_max(most, v_abs(x[j]));
        v_store(each, most);
        for (int width = LANES / 2; width; width /= 2)
            for (int j = 0; j < width; j++) each[j] = BG_MAX(each[j], each[j + width]);
        d = bg_round_f16(each[0] / 127.0f);
        inverse = v_all(bg_inverse(d));
        bg_store_f16(b, d);
        for (int j = 0; j < 32 / LANES; j++)
            v_put(b + 2 + j * LANES, v_int(v_round(v_clamp(x[j] * inverse, -127.0f, 127.0f))));
    }
}

/* Sixteen sums of each, which are added up in order at the end. */
void BG_CODER_NAME(bg_row_moments)(const float *w, const float *mean, const float *variance,
                                   size_t n, float *m, float *v)
{
    float ms[16] ALIGNED, vs[16] ALIGNED;
    vf a[16 / LANES], b[16 / LANES], c[16 / LANES], first[16 / LANES] = {{0}};
    vf second[16 / LANES] = {{0}};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        memcpy(a, w + i, sizeof a);
        memcpy(b, mean + i, sizeof b);
        memcpy(c, variance + i, sizeof c);
        for (int j = 0; j < 16 / LANES; j++) {
            first[j] += a[j] * b[j];
            second[j] += a[j] * a[j] * c[j];
        }
    }
    memcpy(ms, first, sizeof ms);
    memcpy(vs, second, sizeof vs);
    *m = *v = 0;
    for (int j = 0; j < 16; j++) {
        *m += ms[j];
        *v += vs[j];
    }
    for (; i < n; i++) {
        *m += w[i] * mean[i];
        *v += w[i] * w[i] * variance[i];
    }
}
