/* What an engine of fewer activation bits would multiply, as floats. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 };

/* levels: steps on each side of zero; 0: a half each. */
static const struct { const char *name; int levels; } rules[BG_ACTIVATIONS_COUNT] = {
    [BG_ACTIVATIONS_F16] = {"f16", 0},
    [BG_ACTIVATIONS_Q8] = {"q8", 127},
    [BG_ACTIVATIONS_Q6] = {"q6", 31},
    [BG_ACTIVATIONS_Q4] = {"q4", 7},
};

const char *bg_activations_name(bg_activations a) { return rules[a].name; }

bg_activations bg_activations_find(const char *name)
{
    for (int a = BG_ACTIVATIONS_OWN + 1; a < BG_ACTIVATIONS_COUNT; a++)
        if (strcmp(rules[a].name, name) == 0) return (bg_activations)a;
    return BG_ACTIVATIONS_OWN;
}

/* The rule of Q8_0 (isa.h) with any number of levels. */
static void round_block(const float *in, float *out, size_t n, float levels)
{
    float largest = 0, factor, d;
    bool finite = true;
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(in[i]);
        largest = fmaxf(largest, fabsf(in[i]));
    }
    factor = largest < BG_ENCODE_TINY ? 0 : levels / largest;
    d = finite ? bg_f16_to_f32(bg_f32_to_f16(largest / levels)) : NAN;
    for (size_t i = 0; i < n; i++) out[i] = finite ? d * (float)lrintf(in[i] * factor) : NAN;
}

void bg_activations_round(bg_activations a, const float *in, float *out, size_t n)
{
    int levels = rules[a].levels;
    for (size_t i = 0; levels && i < n; i += BLOCK)
        round_block(in + i, out + i, BG_MIN((size_t)BLOCK, n - i), (float)levels);
    for (size_t i = 0; !levels && i < n; i++) out[i] = bg_f16_to_f32(bg_f32_to_f16(in[i]));
}

bg_isa bg_activations_isa(bg_isa isa)
{
    static const bg_format floats[] = {BG_FORMAT_F32, BG_FORMAT_F16, BG_FORMAT_BF16};
    for (size_t i = 0; i < BG_COUNT(floats) * BG_OP_COUNT; i++)
        while (bg_kernel_find(floats[i / BG_OP_COUNT], (bg_op)(i % BG_OP_COUNT), isa)->activation !=
               BG_FORMAT_F32)
            isa = bg_isa_parent(isa);
    return isa;
}
