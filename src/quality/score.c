#include "quality/score.h"

#include "bitgauge/stats.h"

#include <math.h>
#include <string.h>

/* Sums are kept in this many lanes of doubles, which compilers turn into vectors, and added up in
 * a fixed order, so that no compiler or machine rounds them otherwise. */
enum { LANES = 16 };

/* exp(x) for x <= 0, within 2 units in the last place; at least exp(-87), NaN for NaN. Cody-Waite
 * reduction to [-ln 2 / 2, ln 2 / 2] and a Taylor polynomial of degree 7. Adding 1.5 * 2^23 rounds
 * to an integer and leaves it in the low bits, whence it moves into the exponent of a power of
 * 2. */
static inline float exp_negative(float x)
{
    const float magic = 12582912.0f;
    float clamped = x < -87.0f ? -87.0f : x;
    float shifted = clamped * 1.44269504f + magic, n = shifted - magic;
    float r = clamped - n * 0.693359375f + n * 2.12194440e-4f, p, power;
    uint32_t bits;
    p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

static float largest(const float *x, size_t n)
{
    float lanes[LANES], max;
    size_t i = 0;
    for (size_t j = 0; j < LANES; j++) lanes[j] = x[0];
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
    for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    max = lanes[0];
    for (size_t j = 1; j < LANES; j++) max = lanes[j] > max ? lanes[j] : max;
    return max;
}

static size_t find(const float *x, size_t n, float value)
{
    size_t i = 0;
    while (i + 1 < n && x[i] != value) i++;
    return i;
}

static double sum_lanes(const double lanes[LANES])
{
    double sum = 0;
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

/* sum of exp(x - max) */
static double sum_exp(const float *x, size_t n, float max)
{
    double lanes[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += (double)exp_negative(x[i + j] - max);
    for (; i < n; i++) lanes[0] += (double)exp_negative(x[i] - max);
    return sum_lanes(lanes);
}

/* The same, and the sum of exp(x - max) * (x - y). */
static double sum_exp_difference(const float *x, const float *y, size_t n, float max,
                                 double *difference)
{
    double lanes[LANES] = {0}, differences[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) {
            float e = exp_negative(x[i + j] - max);
            lanes[j] += (double)e;
            differences[j] += (double)(e * (x[i + j] - y[i + j]));
        }
    for (; i < n; i++) {
        float e = exp_negative(x[i] - max);
        lanes[0] += (double)e;
        differences[0] += (double)(e * (x[i] - y[i]));
    }
    *difference = sum_lanes(differences);
    return sum_lanes(lanes);
}

/* With x the base's logits, y the model's, and L their log-sum-exps:
 *     KL = sum p_x ((x - Lx) - (y - Ly)) = sum p_x (x - y) - Lx + Ly */
bg_token_score bg_score_logits(const float *logits, const float *base, size_t n_vocab,
                               int32_t token)
{
    float max = largest(logits, n_vocab), base_max;
    double log_sum = (double)max + log(sum_exp(logits, n_vocab, max)), base_sum, base_log_sum,
           difference;
    bg_token_score s = {.nll = log_sum - (double)logits[token]};
    if (!base) return s;
    base_max = largest(base, n_vocab);
    base_sum = sum_exp_difference(base, logits, n_vocab, base_max, &difference);
    base_log_sum = (double)base_max + log(base_sum);
    s.base_nll = base_log_sum - (double)base[token];
    s.kld = difference / base_sum - base_log_sum + log_sum;
    if (s.kld < 0) s.kld = 0; /* rounding: a divergence is never negative */
    s.same_top = find(logits, n_vocab, max) == find(base, n_vocab, base_max);
    return s;
}

/* Mean and the standard error of the mean. */
static double mean_and_error(const double *x, size_t n, double *error)
{
    double sum = 0, squares = 0, mean;
    for (size_t i = 0; i < n; i++) sum += x[i];
    mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    *error = n > 1 ? sqrt(squares / (double)n / (double)(n - 1)) : (double)NAN;
    return mean;
}

void bg_score_summary(const bg_token_score *scores, size_t n, bool has_base, double *scratch,
                      bg_quality *q)
{
    double error, squares = 0;
    size_t same = 0;
    for (size_t i = 0; i < n; i++) scratch[i] = scores[i].nll;
    q->tokens = n;
    q->ppl = exp(mean_and_error(scratch, n, &error));
    q->ppl_se = q->ppl * error; /* propagated through the exponential */
    q->has_base = has_base;
    q->base_ppl = q->kld_mean = q->kld_se = q->kld_median = q->kld_p99 = q->kld_p999 =
        q->kld_max = q->same_top_pct = q->rms_dp_pct = (double)NAN;
    if (!has_base) return;
    for (size_t i = 0; i < n; i++) {
        double dp = exp(-scores[i].nll) - exp(-scores[i].base_nll);
        scratch[i] = scores[i].base_nll;
        squares += dp * dp;
        same += scores[i].same_top;
    }
    q->base_ppl = exp(mean_and_error(scratch, n, &error));
    q->rms_dp_pct = 100 * sqrt(squares / (double)n);
    q->same_top_pct = 100 * (double)same / (double)n;
    for (size_t i = 0; i < n; i++) scratch[i] = scores[i].kld;
    q->kld_mean = mean_and_error(scratch, n, &q->kld_se);
    q->kld_median = bg_quantile(scratch, n, 0.5);
    q->kld_p99 = bg_quantile(scratch, n, 0.99);
    q->kld_p999 = bg_quantile(scratch, n, 0.999);
    q->kld_max = bg_quantile(scratch, n, 1);
}
