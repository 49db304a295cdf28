/* Rotations: how fast each pair of dimensions turns, by the kinds of stretching.
 *
 * Pair i turns by base^(-2i / rope_dim) radians a position, divided by its factor where the file
 * has some. Linear: all times rope_scale. YaRN (Peng et al., "YaRN: Efficient Context Window
 * Extension of Large Language Models", 2023): pairs that turn less than once in the old context as
 * with linear, those that turn more than 32 times as if nothing was stretched, a ramp between them;
 * and all grow by 1 + ln(factor) / 10. */
#include "model/model.h"

#include <math.h>

/* The pair that turns n times in the old context. */
static double pair_of_turns(const bg_hparams *h, double n, double base)
{
    const double pi = 3.14159265358979323846;
    return h->rope_dim * log(h->rope_n_ctx / (2 * pi * n)) / (2 * log(base));
}

/* The share of pair i that stays as it was. */
static double yarn_keeps(const bg_hparams *h, double i, double base)
{
    enum { FAST = 32, SLOW = 1 };
    double low = fmax(floor(pair_of_turns(h, FAST, base)), 0);
    double high = fmin(ceil(pair_of_turns(h, SLOW, base)), (double)h->rope_dim - 1);
    return 1 - fmin(fmax((i - low) / fmax(high - low, 0.001), 0), 1);
}

static const float *factors_for(const bg_model *m, uint32_t n_ctx)
{
    if (m->rope_factors_f32[BG_ROPE_ALWAYS]) return m->rope_factors_f32[BG_ROPE_ALWAYS];
    return m->rope_factors_f32[n_ctx > m->h.rope_n_ctx ? BG_ROPE_LONG : BG_ROPE_SHORT];
}

bg_status bg_rope_prepare(double **speeds, double *magnitude, const bg_model *m, bool local,
                          uint32_t n_ctx, bg_error *err)
{
    const bg_hparams *h = &m->h;
    bool other = local && h->local_rope_base > 0, yarn = h->rope_scaling == BG_ROPE_YARN && !other;
    double base = (double)(other ? h->local_rope_base : h->rope_base);
    double scale = other ? 1 : (double)h->rope_scale;
    const float *factors = other ? NULL : factors_for(m, n_ctx);
    size_t pairs = h->rope_dim / 2;
    double *speed = bg_alloc(pairs, sizeof *speed);
    *speeds = speed;
    if (!speed) return bg_fail_nomem(err, "rope", pairs * sizeof *speed);
    for (size_t i = 0; i < pairs; i++) {
        double kept = yarn ? yarn_keeps(h, (double)i, base) : 0;
        speed[i] = pow(base, -2.0 * (double)i / (double)h->rope_dim);
        if (factors) speed[i] /= (double)factors[i];
        speed[i] *= scale * (1 - kept) + kept;
    }
    *magnitude = other ? 1 : (double)h->rope_magnitude;
    if (yarn && scale < 1) *magnitude *= 1 + 0.1 * log(1 / scale);
    return BG_OK;
}
