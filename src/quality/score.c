#include "quality/score.h"

#include "bitgauge/stats.h"

#include <math.h>
#include <string.h>

/* Sums are kept in this many lanes of doubles and added up in a fixed order, so that no compiler or
 * machine rounds them otherwise: vectors of the compiler, in whatever registers there are. */
enum { LANES = 16 };
typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t bits __attribute__((vector_size(LANES * sizeof(int32_t))));
typedef double doubles __attribute__((vector_size(LANES * sizeof(double))));

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF /* GCC does so by itself in ISO C */
#endif

/* x[i] and what follows, `rest` behind the end. */
INLINE void load(floats *v, const float *x, size_t i, size_t n, float rest)
{
    float some[LANES];
    if (i + LANES <= n) {
        memcpy(v, x + i, sizeof *v);
        return;
    }
    for (size_t j = 0; j < LANES; j++) some[j] = i + j < n ? x[i + j] : rest;
    memcpy(v, some, sizeof *v);
}

/* exp(x) for x <= 0, within 2 units in the last place; at least exp(-87), NaN for NaN. Cody-Waite
 * reduction to [-ln 2 / 2, ln 2 / 2] and a Taylor polynomial of degree 7. Adding 1.5 * 2^23 rounds
 * to an integer and leaves it in the low bits, whence it moves into the exponent of a power of
 * 2. */
INLINE void exp_negative(floats *x)
{
    const float magic = 12582912.0f;
    bits under = *x < -87.0f;
    floats low = -87.0f + (floats){0};
    floats clamped = (floats)((under & (bits)low) | (~under & (bits)*x));
    floats shifted = clamped * 1.44269504f + magic, n = shifted - magic;
    floats r = clamped - n * 0.693359375f + n * 2.12194440e-4f, p;
    p = 1.0f / 5040 * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    *x = p * (floats)(((bits)shifted << 23) + 0x3f800000);
}

INLINE float largest(const float *x, size_t n)
{
    floats max = x[0] + (floats){0}, v;
    float result;
    for (size_t i = 0; i < n; i += LANES) {
        bits over;
        load(&v, x, i, n, x[0]);
        over = v > max;
        max = (floats)((over & (bits)v) | (~over & (bits)max));
    }
    result = max[0];
    for (size_t j = 1; j < LANES; j++) result = max[j] > result ? max[j] : result;
    return result;
}

INLINE size_t find(const float *x, size_t n, float value)
{
    size_t i = 0;
    while (i + 1 < n && x[i] != value) i++;
    return i;
}

/* Adds up lanes. */
INLINE double total(const doubles *sums)
{
    double sum = 0;
    for (size_t j = 0; j < LANES; j++) sum += (*sums)[j];
    return sum;
}

/* The sum of exp(x - max), and with y that of exp(x - max) * (x - y). What is behind the end adds
 * nothing that a double could see. */
INLINE double sum_exp(const float *x, const float *y, size_t n, float max, double *difference)
{
    doubles sums = {0}, differences = {0};
    float rest = max - 100;
    for (size_t i = 0; i < n; i += LANES) {
        floats v, w, e;
        load(&v, x, i, n, rest);
        e = v - max;
        exp_negative(&e);
        sums += __builtin_convertvector(e, doubles);
        if (!y) continue;
        load(&w, y, i, n, rest);
        differences += __builtin_convertvector(e * (v - w), doubles);
    }
    if (y) *difference = total(&differences);
    return total(&sums);
}

/* With x the base's logits, y the model's, and L their log-sum-exps:
 *     KL = sum p_x ((x - Lx) - (y - Ly)) = sum p_x (x - y) - Lx + Ly */
INLINE bg_token_score score(const float *logits, const float *base, size_t n_vocab, int32_t token)
{
    float max = largest(logits, n_vocab), base_max;
    double log_sum = (double)max + log(sum_exp(logits, NULL, n_vocab, max, NULL)), base_sum,
           base_log_sum, difference;
    bg_token_score s = {.nll = log_sum - (double)logits[token]};
    if (!base) return s;
    base_max = largest(base, n_vocab);
    base_sum = sum_exp(base, logits, n_vocab, base_max, &difference);
    base_log_sum = (double)base_max + log(base_sum);
    s.base_nll = base_log_sum - (double)base[token];
    s.kld = difference / base_sum - base_log_sum + log_sum;
    if (s.kld < 0) s.kld = 0; /* rounding: a divergence is never negative */
    s.same_top = find(logits, n_vocab, max) == find(base, n_vocab, base_max);
    return s;
}

typedef bg_token_score score_fn(const float *logits, const float *base, size_t n_vocab,
                                int32_t token);

#define SCORE(name, TARGET)                                                                     \
    TARGET static bg_token_score name(const float *logits, const float *base, size_t n_vocab,   \
                                      int32_t token)                                            \
    {                                                                                           \
        return score(logits, base, n_vocab, token);                                             \
    }

SCORE(score_any, )
#if defined(__x86_64__)
SCORE(score_avx512, __attribute__((target("avx512f,avx512dq"))))
#endif

static score_fn *best_score(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
        return score_avx512;
#endif
    return score_any;
}

bg_token_score bg_score_logits(const float *logits, const float *base, size_t n_vocab,
                               int32_t token)
{
    return best_score()(logits, base, n_vocab, token);
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
