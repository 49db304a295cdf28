#include "model/model.h"

#include <math.h>

enum { GROUPS = 64 };

static uint32_t largest(const float *logits, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best] || isnan(logits[best])) best = i;
    return best;
}

/* Sums of the unnormalised probabilities by group: the draw then looks into one group only. */
int32_t bg_sample_token(const float *logits, uint32_t n_vocab, double temperature, bg_rng *rng)
{
    uint32_t top = largest(logits, n_vocab), width = (n_vocab + GROUPS - 1) / GROUPS, group = 0;
    float beta = (float)(1.0 / temperature), max = logits[top];
    double sums[GROUPS] = {0}, total = 0, target;
    if (!(temperature > 0)) return (int32_t)top;
    for (uint32_t i = 0; i < n_vocab; i++)
        sums[i / width] += (double)expf((logits[i] - max) * beta);
    for (uint32_t g = 0; g < GROUPS; g++) total += sums[g];
    target = bg_rng_unit(rng) * total;
    while (group < GROUPS - 1 && target >= sums[group]) target -= sums[group++];
    for (uint32_t i = group * width; i < n_vocab && i < (group + 1) * width; i++) {
        target -= (double)expf((logits[i] - max) * beta);
        if (target < 0) return (int32_t)i;
    }
    return (int32_t)top; /* rounding, or logits that are not numbers */
}
