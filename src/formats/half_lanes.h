/* half_lanes.h: IEEE halves to floats. Included once for each instruction set, with
 * BG_DECODE_HALVES the name of what it defines. Internal. */
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

void BG_DECODE_HALVES(const void *blocks, float *out, size_t n)
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
