/* search.c: the inner loops of the searches.
 *
 * Each loop goes over a whole sub-block of a size known to the compiler, inside no other loop:
 * that is what makes GCC vectorise it. Sums are added in one fixed order, so that every build
 * and every vector width gives the same blocks. */
#include "formats/search.h"

#define INLINE static inline __attribute__((always_inline))

/* GCC makes these loops once more for wider vectors, to be chosen when the program is loaded,
 * which is too early for sanitizers. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&              \
    !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* Without importance, weights with heavier tails than a normal distribution (kurtosis over 3) have
 * columns that matter more than others, and large weights are a sign of them: errors then count
 * in proportion to 1 + strength * x^2 / mean(x^2). On the outputs of whole matrices with real
 * activations, this beats uniform weights where there are outliers and equals them elsewhere. */
static double tail_strength(const float *x, size_t n, double *square)
{
    double second = 0, fourth = 0;
    for (size_t i = 0; i < n; i++) {
        double xx = (double)x[i] * (double)x[i];
        second += xx;
        fourth += xx * xx;
    }
    *square = second / (double)n;
    if (!(*square > 1e-30)) return 0;
    return bg_clamp((float)(0.4 * (fourth / (double)n / (*square * *square) - 3)), 0.0f, 1.0f);
}

void bg_target_load(bg_target *t, const float *in, const float *importance, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) t->x[i] = bg_clamp(in[i], -1e10f, 1e10f);
    if (importance) {
        for (size_t i = 0; i < n; i++) {
            t->w[i] = importance[i];
            most = BG_MAX(most, t->w[i]);
        }
    } else {
        double square, strength = tail_strength(t->x, n, &square);
        float slope = strength > 0 ? (float)(strength / square) : 0;
        for (size_t i = 0; i < n; i++) {
            t->w[i] = 1.0f + slope * (t->x[i] * t->x[i]);
            most = BG_MAX(most, t->w[i]);
        }
    }
    /* What has no importance still comes out near, as long as that costs the rest nothing. */
    for (size_t i = 0; i < n; i++)
        t->w[i] = most > 0 ? BG_MAX(t->w[i] / most, 1e-5f) : 1.0f;
}

/* The levels nearest to n weights. `table` is known to the compiler. */
INLINE void find_levels(const bg_grid *g, bool table, int n, const float *x, float scale, float min,
                        float *level)
{
    float low = (float)g->low, high = (float)g->high, inverse = bg_inverse(scale);
    int index[32];
    if (!table) {
        for (int i = 0; i < n; i++)
            level[i] = bg_round(bg_clamp((x[i] + min) * inverse, low, high));
        return;
    }
    for (int i = 0; i < n; i++)
        index[i] = (int)(2.0f * bg_clamp(x[i] * inverse, low, high) + 256.0f);
    for (int i = 0; i < n; i++) level[i] = g->levels[index[i]];
}

INLINE float add_up(float *e, int n)
{
    if (n == 32)
        for (int i = 0; i < 16; i++) e[i] += e[i + 16];
    for (int i = 0; i < 8; i++) e[i] += e[i + 8];
    for (int i = 0; i < 4; i++) e[i] += e[i + 4];
    return (e[0] + e[1]) + (e[2] + e[3]);
}

INLINE float error_of(const bg_grid *g, bool table, int n, const float *x, const float *w,
                      float scale, float min)
{
    float e[32], level[32];
    find_levels(g, table, n, x, scale, min, level);
    for (int i = 0; i < n; i++) {
        float r = x[i] + min - scale * level[i];
        e[i] = w[i] * (r * r);
    }
    return add_up(e, n);
}

INLINE void sums_of(const bg_grid *g, bool table, int n, const float *x, const float *w,
                    float scale, float min, bg_sums *sums)
{
    float l[32], ll[32], lx[32], e[32], level[32];
    find_levels(g, table, n, x, scale, min, level);
    for (int i = 0; i < n; i++) {
        float r = x[i] + min - scale * level[i];
        l[i] = w[i] * level[i];
        ll[i] = l[i] * level[i];
        lx[i] = l[i] * x[i];
        e[i] = w[i] * (r * r);
    }
    *sums = (bg_sums){add_up(l, n), add_up(ll, n), add_up(lx, n), add_up(e, n)};
}

/* One copy of the loops for each kind of sub-block: 16 or 32 integer levels, 32 from a table. */
#define COPIES(suffix, table, n)                                                                  \
    __attribute__((noinline)) WIDE static float error_##suffix(                                   \
        const bg_grid *g, const float *x, const float *w, float scale, float min)                 \
    {                                                                                             \
        return error_of(g, table, n, x, w, scale, min);                                           \
    }                                                                                             \
    __attribute__((noinline)) WIDE static void sums_##suffix(                                     \
        const bg_grid *g, const float *x, const float *w, float scale, float min, bg_sums *sums)  \
    {                                                                                             \
        sums_of(g, table, n, x, w, scale, min, sums);                                             \
    }
COPIES(16, false, 16)
COPIES(32, false, 32)
COPIES(table, true, 32)
#undef COPIES

float bg_sub_error(const bg_grid *g, const float *x, const float *w, float scale, float min)
{
    float total = 0;
    if (g->levels) return error_table(g, x, w, scale, min);
    if (g->size == 16) return error_16(g, x, w, scale, min);
    for (int j = 0; j < g->size; j += 32) total += error_32(g, x + j, w + j, scale, min);
    return total;
}

void bg_sub_sums(const bg_grid *g, const float *x, const float *w, float scale, float min,
                 bg_sums *sums)
{
    bg_sums part;
    if (g->levels) {
        sums_table(g, x, w, scale, min, sums);
    } else if (g->size == 16) {
        sums_16(g, x, w, scale, min, sums);
    } else {
        sums_32(g, x, w, scale, min, sums);
        for (int j = 32; j < g->size; j += 32) {
            sums_32(g, x + j, w + j, scale, min, &part);
            sums->l += part.l;
            sums->ll += part.ll;
            sums->lx += part.lx;
            sums->error += part.error;
        }
    }
}

void bg_sub_quantize(const bg_grid *g, const float *x, float scale, float min, uint8_t *q)
{
    float level[32];
    int zero = g->levels ? -128 : g->low;
    for (int j = 0; j < g->size; j += 16) {
        find_levels(g, g->levels != NULL, 16, x + j, scale, min, level);
        for (int i = 0; i < 16; i++) q[j + i] = (uint8_t)((int)level[i] - zero);
    }
}
