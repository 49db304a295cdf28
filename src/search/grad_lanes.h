/* grad_lanes.h: the loops of grad_ops.h. Included once for each instruction set, with
 * BG_GRAD_OPS the name of its table. Internal. */
#include "formats/lanes.h"
#include "search/grad_ops.h"

#include <math.h>

#if defined(__AVX512F__)
enum { ROWS = 12 };
#else
enum { ROWS = 6 };
#endif
enum { WIDE = 2 * LANES };

INLINE vf u_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void u_store(float *p, vf v) { memcpy(p, &v, sizeof v); }

/* The first n lanes; the others are 0. */
INLINE vf part_load(const float *p, size_t n)
{
    vf v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}

INLINE void part_store(float *p, vf v, size_t n) { memcpy(p, &v, n * sizeof *p); }

INLINE float v_sum(vf v)
{
    float part[LANES] ALIGNED, sum = 0;
    v_store(part, v);
    for (int i = 0; i < LANES; i++) sum += part[i];
    return sum;
}

INLINE float v_most(vf v)
{
    float most = v[0];
    for (int i = 1; i < LANES; i++) most = v[i] > most ? v[i] : most;
    return most;
}

/* e^x within 2 units in the last place; 0 below -87. */
INLINE vf v_exp(vf x)
{
    vf n, r, p;
    vm small = v_less(x, v_all(-87.0f));
    x = v_clamp(x, -87.0f, 88.0f);
    n = v_round(x * 1.44269504f);
    r = x - n * 0.693359375f + n * 2.12194440e-4f;
    p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    p = (vf)((vi)p + (v_int(n) << 23));
    return v_pick(small, v_all(0), p);
}

/* ---- products ----------------------------------------------------------------------------- */

/* sum + y x of numbers, or of pairs of bfloat16: y is the same in all lanes. */
INLINE vf add_product(vf sum, float y, vf x, bool pairs)
{
#ifdef __AVX512BF16__
    if (pairs) {
        int32_t bits;
        memcpy(&bits, &y, sizeof bits);
        return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(bits), (__m512bh)x);
    }
#else
    (void)pairs;
#endif
    return sum + v_all(y) * x;
}

/* `rows` rows by `vectors` vectors of c; with `some` only so many lanes of the only vector. */
INLINE void tile(const bg_product *p, bool pairs, size_t i, size_t j, int rows, int vectors,
                 size_t some)
{
    const float *a = p->a + i * p->a_m, *b = p->b + j;
    size_t step = p->a_m, a_k = p->a_k, b_k = p->b_k;
    vf sum[ROWS][2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = v_all(0);
    for (size_t l = 0; l < p->k; l++, a += a_k, b += b_k) {
        vf x[2];
        for (int v = 0; v < vectors; v++) x[v] = some ? part_load(b, some) : u_load(b + v * LANES);
#pragma GCC unroll 12
        for (int r = 0; r < rows; r++) {
            float y = a[(size_t)r * step];
            for (int v = 0; v < vectors; v++) sum[r][v] = add_product(sum[r][v], y, x[v], pairs);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            float *c = p->c + (i + (size_t)r) * p->c_m + j + (size_t)v * LANES;
            if (some) part_store(c, p->add ? sum[r][v] + part_load(c, some) : sum[r][v], some);
            else u_store(c, p->add ? sum[r][v] + u_load(c) : sum[r][v]);
        }
}

/* All rows of some columns. */
INLINE void strip(const bg_product *p, bool pairs, size_t j, int vectors, size_t some)
{
    size_t i = 0;
    for (; i + ROWS <= p->m; i += ROWS) tile(p, pairs, i, j, ROWS, vectors, some);
    for (; i + 4 <= p->m; i += 4) tile(p, pairs, i, j, 4, vectors, some);
    for (; i < p->m; i++) tile(p, pairs, i, j, 1, vectors, some);
}

INLINE void multiply_any(const bg_product *p, bool pairs)
{
    bg_product side = *p; /* its rows of a side by side: a stride that the compiler knows */
    size_t j = 0;
    side.a_m = 1;
    for (; j + WIDE <= p->n; j += WIDE) {
        if (p->a_m == 1) strip(&side, pairs, j, 2, 0);
        else strip(p, pairs, j, 2, 0);
    }
    for (; j + LANES <= p->n; j += LANES) strip(p, pairs, j, 1, 0);
    if (j < p->n) strip(p, pairs, j, 1, p->n - j);
}

static void multiply(const bg_product *p) { multiply_any(p, false); }

#ifdef __AVX512BF16__
#ifdef BG_GRAD_TILES
#include "search/grad_tiles.h"
#else
static void multiply_pairs(const bg_product *p) { multiply_any(p, true); }
#endif

/* The nearest bfloat16 of finite numbers, in the low half. */
INLINE vi v_bf16(vf v)
{
    vi bits = (vi)v;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16 & 0xffff;
}

INLINE vf v_pair(vf low, vf high) { return (vf)(v_bf16(low) | v_bf16(high) << 16); }

static void pair_rows(const float *first, const float *second, float *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        u_store(out + i, v_pair(u_load(first + i), u_load(second + i)));
    n -= i;
    if (n) part_store(out + i, v_pair(part_load(first + i, n), part_load(second + i, n)), n);
}

static void pair_row(const float *in, float *out, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m256bh half = _mm512_cvtneps_pbh((__m512)u_load(in + i));
        memcpy(out + i / 2, &half, sizeof half);
    }
    if (i < n) {
        __m256bh half = _mm512_cvtneps_pbh((__m512)part_load(in + i, n - i));
        memcpy(out + i / 2, &half, (n - i) * 2);
    }
}
#endif

static void transpose(const float *in, size_t in_stride, size_t rows, size_t columns, float *out,
                      size_t out_stride, size_t padded)
{
    typedef float v4 __attribute__((vector_size(16)));
    size_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        const float *x = in + i * in_stride;
        size_t j = 0;
        for (; j + 4 <= columns; j += 4) {
            v4 r[4], a, b, c, d;
            for (size_t k = 0; k < 4; k++) memcpy(&r[k], x + k * in_stride + j, sizeof r[k]);
            a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
            b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
            c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
            d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
            r[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
            r[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
            r[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
            r[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
            for (size_t k = 0; k < 4; k++)
                memcpy(out + (j + k) * out_stride + i, &r[k], sizeof r[k]);
        }
        for (; j < columns; j++)
            for (size_t k = 0; k < 4; k++) out[j * out_stride + i + k] = x[k * in_stride + j];
    }
    for (; i < padded; i++)
        for (size_t j = 0; j < columns; j++)
            out[j * out_stride + i] = i < rows ? in[i * in_stride + j] : 0;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* Runs `full` for whole vectors of n numbers at i, `rest` for each of what is left. */
#define BY_LANES(n, full, rest)                         \
    do {                                                \
        size_t i = 0;                                   \
        for (; i + LANES <= (n); i += LANES) { full; }  \
        for (; i < (n); i++) { rest; }                  \
    } while (0)

static double dot(const float *a, const float *b, size_t n)
{
    vf sum = v_all(0);
    float rest = 0;
    BY_LANES(n, sum += u_load(a + i) * u_load(b + i), rest += a[i] * b[i]);
    return (double)v_sum(sum) + (double)rest;
}

static void add(float *x, const float *y, size_t n)
{
    BY_LANES(n, u_store(x + i, u_load(x + i) + u_load(y + i)), x[i] += y[i]);
}

static float norm(const float *x, const float *weight, float eps, float *y, size_t n)
{
    float inverse = 1.0f / sqrtf((float)(dot(x, x, n) / (double)n) + eps);
    BY_LANES(n, u_store(y + i, u_load(x + i) * inverse * u_load(weight + i)),
             y[i] = x[i] * inverse * weight[i]);
    return inverse;
}

static void norm_back(const float *x, const float *weight, float inverse, const float *dy,
                      float *dx, size_t n)
{
    vf sum = v_all(0);
    float rest = 0, mean;
    BY_LANES(n, sum += u_load(dy + i) * u_load(weight + i) * u_load(x + i),
             rest += dy[i] * weight[i] * x[i]);
    mean = (v_sum(sum) + rest) / (float)n * inverse * inverse * inverse;
    BY_LANES(n, u_store(dx + i, u_load(dx + i) + u_load(dy + i) * u_load(weight + i) * inverse
                                    - u_load(x + i) * mean),
             dx[i] += dy[i] * weight[i] * inverse - x[i] * mean);
}

static void norm_weight(const float *x, float inverse, const float *dy, float *sums, size_t n)
{
    BY_LANES(n, u_store(sums + i, u_load(sums + i) + u_load(dy + i) * u_load(x + i) * inverse),
             sums[i] += dy[i] * x[i] * inverse);
}

INLINE vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }

static void gated(const float *gate, const float *up, float *h, size_t n)
{
    for (size_t i = 0, some; i < n; i += some) {
        some = BG_MIN(n - i, (size_t)LANES);
        vf g = part_load(gate + i, some), u = part_load(up + i, some);
        part_store(h + i, g * v_sigmoid(g) * u, some);
    }
}

INLINE void gated_back_some(const float *gate, const float *up, const float *dh, float *h,
                            float *dgate, float *dup, size_t n)
{
    vf g = part_load(gate, n), u = part_load(up, n), d = part_load(dh, n), s = v_sigmoid(g);
    part_store(h, g * s * u, n);
    part_store(dgate, d * u * s * (1.0f + g * (1.0f - s)), n);
    part_store(dup, d * g * s, n);
}

static void gated_back(const float *gate, const float *up, const float *dh, float *h, float *dgate,
                       float *dup, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        gated_back_some(gate + i, up + i, dh + i, h + i, dgate + i, dup + i, LANES);
    if (i < n) gated_back_some(gate + i, up + i, dh + i, h + i, dgate + i, dup + i, n - i);
}

/* ---- softmax ------------------------------------------------------------------------------ */

static float most(const float *x, size_t n)
{
    vf v = v_all(x[0]);
    float m = x[0];
    BY_LANES(n, v = v_max(v, u_load(x + i)), m = x[i] > m ? x[i] : m);
    return fmaxf(m, v_most(v));
}

/* x = exp(scale x - shift); returns the sum. */
INLINE float exponentials(float *x, float scale, float shift, size_t n)
{
    vf sum = v_all(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf e = v_exp(u_load(x + i) * scale - shift);
        sum += e;
        u_store(x + i, e);
    }
    if (i < n) {
        vf e = v_exp(part_load(x + i, n - i) * scale - shift);
        part_store(x + i, e, n - i);
        for (size_t k = 0; k < n - i; k++) sum[0] += e[k];
    }
    return v_sum(sum);
}

static float softmax(float *x, float scale, size_t n)
{
    float shift = most(x, n) * scale, sum = exponentials(x, scale, shift, n), inverse = 1.0f / sum;
    BY_LANES(n, u_store(x + i, u_load(x + i) * inverse), x[i] *= inverse);
    return shift + logf(sum);
}

static void probabilities(float *x, float scale, float log_sum, size_t n)
{
    exponentials(x, scale, log_sum, n);
}

static void softmax_back(const float *p, float *dp, float mean, float scale, size_t n)
{
    BY_LANES(n, u_store(dp + i, u_load(p + i) * (u_load(dp + i) - mean) * scale),
             dp[i] = p[i] * (dp[i] - mean) * scale);
}

/* KL = sum p_t (t - z) - log_sum_t + log_sum_z */
static double divergence(float *z, float *t, float share, size_t n)
{
    float top_z = most(z, n), top_t = most(t, n), log_z, log_t, inverse_z, inverse_t;
    vf sum_z = v_all(0), sum_t = v_all(0), cross = v_all(0);
    for (size_t i = 0, some; i < n; i += some) {
        some = BG_MIN(n - i, (size_t)LANES);
        vf a = part_load(z + i, some) - top_z, b = part_load(t + i, some) - top_t;
        vf x = v_exp(a), y = v_exp(b);
        if (some < LANES)
            for (size_t k = some; k < LANES; k++) x[k] = y[k] = 0;
        sum_z += x;
        sum_t += y;
        cross += y * (b - a);
        part_store(z + i, x, some);
        part_store(t + i, y, some);
    }
    log_z = v_sum(sum_z), log_t = v_sum(sum_t);
    inverse_z = 1.0f / log_z, inverse_t = 1.0f / log_t;
    BY_LANES(n,
             vf y = u_load(t + i) * inverse_t;
             u_store(t + i, y);
             u_store(z + i, (u_load(z + i) * inverse_z - y) * share),
             t[i] *= inverse_t;
             z[i] = (z[i] * inverse_z - t[i]) * share);
    return (double)(v_sum(cross) * inverse_t) - log((double)log_t) + log((double)log_z);
}

/* ---- steps and levels --------------------------------------------------------------------- */

INLINE vf v_sqrt(vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    for (int i = 0; i < LANES; i++) x[i] = sqrtf(x[i]);
    return x;
#endif
}

INLINE void adam_some(float *w, float *m, float *v, const float *g, const bg_adam *s, size_t n)
{
    vf gradient = part_load(g, n);
    vf first = part_load(m, n) * s->beta1 + gradient * (1.0f - s->beta1);
    vf second = part_load(v, n) * s->beta2 + gradient * gradient * (1.0f - s->beta2);
    part_store(m, first, n);
    part_store(v, second, n);
    first = s->rate * first / (v_sqrt(second * s->correct) + s->epsilon);
    part_store(w, part_load(w, n) - first, n);
}

static void adam(float *w, float *m, float *v, const float *g, const bg_adam *s, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) adam_some(w + i, m + i, v + i, g + i, s, LANES);
    if (i < n) adam_some(w + i, m + i, v + i, g + i, s, n - i);
}

/* Levels as numbers; of IQ4 the index of one. */
INLINE vf v_level(const bg_grid *g, vf w, float inverse, float min)
{
    return v_clamp((w + min) * inverse, (float)g->low, (float)g->high);
}

INLINE vf v_value(const bg_grid *g, vf level)
{
    if (g->kind != BG_GRID_IQ4) return v_round(level);
    vi n = v_nearest_iq4(level);
#if defined(__AVX512F__)
    return (vf)_mm512_permutexvar_ps((__m512i)n, _mm512_load_ps(bg_iq4_values));
#else
    for (int i = 0; i < LANES; i++) level[i] = bg_iq4_values[n[i]];
    return level;
#endif
}

static void round_levels(const bg_grid *g, const float *w, const float *scale, const float *min,
                         size_t subs, float *out, uint8_t *q)
{
    size_t size = (size_t)g->size;
    for (size_t s = 0; s < subs; s++) {
        float inverse = bg_inverse(scale[s]);
        for (size_t j = s * size; j < (s + 1) * size; j += LANES) {
            vf level = v_level(g, u_load(w + j), inverse, min[s]);
            u_store(out + j, scale[s] * v_value(g, level) - min[s]);
            if (q) v_put(q + j, g->kind == BG_GRID_IQ4 ? v_nearest_iq4(level)
                                                       : v_int(v_round(level) - (float)g->low));
        }
    }
}

static void level_sums(const bg_grid *g, const float *w, const float *scale, const float *min,
                       size_t subs, const float *dw, float *sum, float *sum_level)
{
    size_t size = (size_t)g->size;
    for (size_t s = 0; s < subs; s++) {
        float inverse = bg_inverse(scale[s]);
        vf all = v_all(0), by_level = v_all(0);
        for (size_t j = s * size; j < (s + 1) * size; j += LANES) {
            vf d = u_load(dw + j);
            all += d;
            by_level += d * v_value(g, v_level(g, u_load(w + j), inverse, min[s]));
        }
        sum[s] = v_sum(all);
        sum_level[s] = v_sum(by_level);
    }
}

static void rescale(const bg_grid *g, float *w, const float *scale, const float *min,
                    const float *new_scale, const float *new_min, size_t subs)
{
    float beyond = g->kind == BG_GRID_IQ4 ? 10 : 0.5f;
    size_t size = (size_t)g->size;
    for (size_t s = 0; s < subs; s++) {
        float inverse = bg_inverse(scale[s]);
        for (size_t j = s * size; j < (s + 1) * size; j += LANES) {
            vf level = (u_load(w + j) + min[s]) * inverse;
            level = v_clamp(level, (float)g->low - beyond, (float)g->high + beyond);
            u_store(w + j, level * new_scale[s] - new_min[s]);
        }
    }
}

const bg_grad_ops BG_GRAD_OPS = {
    .multiply = multiply, .transpose = transpose, .norm = norm, .norm_back = norm_back,
    .norm_weight = norm_weight, .gated = gated, .gated_back = gated_back, .softmax = softmax,
    .probabilities = probabilities, .softmax_back = softmax_back, .dot = dot, .add = add,
    .divergence = divergence, .adam = adam, .round = round_levels, .level_sums = level_sums,
    .rescale = rescale,
#ifdef __AVX512BF16__
    .multiply_pairs = multiply_pairs, .pair_row = pair_row, .pair_rows = pair_rows,
#endif
};
