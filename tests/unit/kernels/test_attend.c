/* Attention of every instruction set against softmax in double precision. */
#include "test.h"

#include "isa/amx/amx.h"
#include "kernels/kernels.h"

#include "base/base.h"

#include <math.h>
#include <stdlib.h>

typedef struct shape {
    size_t tokens, heads, dim, pos, begin, end;
    size_t window, ring;
    float cap;
} shape;

/* One problem, its truth, and guards around what is written. */
typedef struct problem {
    shape s;
    size_t positions, value_width, rows;
    float *q;
    uint16_t *keys, *values;
    double *out, *log_sum;       /* normalised; log2 of the sum of 2^score */
} problem;

static float number(bg_rng *rng) { return (float)bg_rng_normal(rng); }

static size_t place(const shape *s, size_t j) { return s->ring ? j % s->ring : j; }

static double key_at(const problem *p, size_t j, size_t d)
{
    size_t at = place(&p->s, j), panel = at / BG_KV_PANEL * BG_KV_PANEL * p->s.dim;
    return (double)bg_f16_to_f32(p->keys[panel + d * BG_KV_PANEL + at % BG_KV_PANEL]);
}

/* Not always that of the width. */
static float scale_of(const shape *s) { return (s->cap > 0 ? 1.3f : 1.0f) / sqrtf((float)s->dim); }

static void solve_row(problem *p, size_t row)
{
    size_t dim = p->s.dim, last = p->s.pos + row / p->s.heads;
    const float *q = p->q + row * dim;
    double *out = p->out + row * dim, sum = 0;
    for (size_t j = p->s.begin; j < p->s.end && j <= last; j++) {
        double score = 0, weight, cap = (double)p->s.cap;
        if (p->s.window && j + p->s.window <= last) continue;
        for (size_t d = 0; d < dim; d++) score += (double)q[d] * key_at(p, j, d);
        score *= (double)scale_of(&p->s);
        if (cap > 0) score = cap * tanh(score / cap);
        weight = exp(score);
        sum += weight;
        for (size_t d = 0; d < dim; d++)
            out[d] += weight *
                      (double)bg_f16_to_f32(p->values[place(&p->s, j) * p->value_width + d]);
    }
    for (size_t d = 0; d < dim && sum > 0; d++) out[d] /= sum;
    p->log_sum[row] = log2(sum);
}

static problem make(shape s)
{
    problem p = {.s = s, .value_width = (s.dim + 15) / 16 * 16, .rows = s.tokens * s.heads};
    bg_rng rng;
    bg_rng_seed(&rng, s.dim);
    p.positions = (s.pos + s.tokens + 15) / 16 * 16;
    p.q = bg_alloc(p.rows * s.dim, sizeof *p.q);
    p.keys = bg_alloc(p.positions * s.dim, sizeof *p.keys);
    p.values = bg_alloc(p.positions * p.value_width, sizeof *p.values);
    p.out = bg_alloc(p.rows * s.dim, sizeof *p.out);
    p.log_sum = bg_alloc(p.rows, sizeof *p.log_sum);
    for (size_t i = 0; i < p.rows * s.dim; i++) p.q[i] = number(&rng);
    for (size_t i = 0; i < p.positions * s.dim; i++) p.keys[i] = bg_f32_to_f16(number(&rng));
    for (size_t j = 0; j < p.positions; j++)
        for (size_t d = 0; d < s.dim; d++)
            p.values[j * p.value_width + d] = bg_f32_to_f16(number(&rng));
    for (size_t r = 0; r < p.rows; r++) solve_row(&p, r);
    return p;
}

static void drop(problem *p)
{
    bg_free(p->q), bg_free(p->keys), bg_free(p->values), bg_free(p->out), bg_free(p->log_sum);
}

static bg_attend arguments(const problem *p, float *out)
{
    return (bg_attend){
        .q = p->q, .q_stride = p->s.heads * p->s.dim, .tokens = p->s.tokens, .heads = p->s.heads,
        .dim = p->s.dim, .value_width = p->value_width, .keys = p->keys, .values = p->values,
        .pos = p->s.pos, .begin = p->s.begin, .end = p->s.end, .out = out,
        .window = p->s.window, .ring = p->s.ring, .scale = scale_of(&p->s), .cap = p->s.cap,
        .soft_cap = bg_vecops_get(BG_ISA_REF)->soft_cap,
        .base = out + p->rows * p->value_width, .sum = out + p->rows * (p->value_width + 1),
    };
}

/* Every set that works here, and the tiles of AMX emulated. */
typedef struct set { const char *name; bg_attend_fn *run; double tolerance; } set;

static size_t sets(set out[BG_ISA_COUNT + 1])
{
    size_t n = 0;
    for (int isa = 0; isa < BG_ISA_COUNT; isa++)
        if (bg_isa_usable((bg_isa)isa, NULL))
            out[n++] = (set){bg_isa_name((bg_isa)isa), bg_attend_get((bg_isa)isa),
                             isa == BG_ISA_AMX ? 2e-2 : 2e-5}; /* bfloat16 */
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bf16"))
        out[n++] = (set){"emulated amx", bg_amx_emulated_attend, 2e-2};
#endif
    return n;
}

static void check(const set *which, const problem *p)
{
    size_t floats = p->rows * (p->value_width + 2);
    float *out = bg_alloc(floats + 16, sizeof *out);
    bg_attend a = arguments(p, out);
    double off = 0;
    a.scratch = aligned_alloc(64, (bg_attend_scratch(p->s.dim) + 63) / 64 * 64);
    memset(a.scratch, 0xff, bg_attend_scratch(p->s.dim)); /* not numbers */
    for (size_t i = 0; i < 16; i++) out[floats + i] = 7;
    which->run(&a);
    for (size_t r = 0; r < p->rows; r++) {
        if (a.sum[r] == 0) {
            assert_true(isinf(a.base[r]) && a.base[r] < 0 && isinf(p->log_sum[r]));
            for (size_t d = 0; d < p->s.dim; d++) assert_true(out[r * p->value_width + d] == 0);
            continue;
        }
        off = fmax(off, fabs((double)a.base[r] + log2((double)a.sum[r]) - p->log_sum[r]));
        for (size_t d = 0; d < p->s.dim; d++)
            off = fmax(off, fabs((double)out[r * p->value_width + d] / (double)a.sum[r] -
                                 p->out[r * p->s.dim + d]));
    }
    if (!(off < which->tolerance))
        fail_msg("%s, %zu tokens of %zu heads of %zu at %zu, positions %zu to %zu: off by %g",
                 which->name, p->s.tokens, p->s.heads, p->s.dim, p->s.pos, p->s.begin,
                 p->s.end, off);
    for (size_t i = 0; i < 16; i++) assert_true(out[floats + i] == 7);
    free(a.scratch);
    bg_free(out);
}

static void matches_softmax(void **state)
{
    /* tokens, heads, dim, pos, begin, end */
    static const size_t sizes[][6] = {
        {1, 1, 64, 0, 0, 1},       {1, 8, 64, 130, 0, 131},   {1, 5, 128, 700, 256, 512},
        {32, 8, 64, 100, 0, 132},  {64, 4, 32, 0, 0, 64},     {33, 7, 80, 0, 0, 33},
        {17, 1, 22, 300, 0, 317},  {16, 2, 2, 9, 0, 25},      {3, 12, 96, 250, 128, 253},
        {40, 6, 16, 120, 128, 160}, {256, 1, 48, 3, 0, 259},  {1, 32, 64, 40, 0, 41},
    };
    set all[BG_ISA_COUNT + 1];
    size_t n = sets(all);
    (void)state;
    for (size_t i = 0; i < BG_COUNT(sizes); i++) {
        const size_t *z = sizes[i];
        problem p = make((shape){.tokens = z[0], .heads = z[1], .dim = z[2], .pos = z[3],
                                 .begin = z[4], .end = z[5]});
        for (size_t j = 0; j < n; j++) check(&all[j], &p);
        drop(&p);
    }
}

/* Layers that see the last positions alone, kept in a ring or not, and scores with a cap. */
static void windows_and_caps(void **state)
{
    static const shape shapes[] = {
        {.tokens = 1, .heads = 4, .dim = 64, .pos = 130, .end = 131, .window = 100},
        {.tokens = 64, .heads = 2, .dim = 32, .pos = 0, .end = 64, .window = 7},
        {.tokens = 64, .heads = 2, .dim = 32, .pos = 300, .begin = 256, .end = 364, .window = 40},
        {.tokens = 40, .heads = 3, .dim = 48, .pos = 900, .begin = 640, .end = 940, .window = 200,
         .ring = 384},
        {.tokens = 1, .heads = 8, .dim = 64, .pos = 1000, .begin = 768, .end = 1001, .window = 128,
         .ring = 256},
        {.tokens = 256, .heads = 1, .dim = 16, .pos = 511, .begin = 384, .end = 767, .window = 1,
         .ring = 384},
        {.tokens = 33, .heads = 7, .dim = 80, .end = 33, .cap = 2},
        {.tokens = 3, .heads = 12, .dim = 96, .pos = 250, .begin = 128, .end = 253, .cap = 50},
        {.tokens = 50, .heads = 2, .dim = 64, .pos = 600, .begin = 512, .end = 650, .window = 61,
         .ring = 256, .cap = 1},
    };
    set all[BG_ISA_COUNT + 1];
    size_t n = sets(all);
    (void)state;
    for (size_t i = 0; i < BG_COUNT(shapes); i++) {
        problem p = make(shapes[i]);
        for (size_t j = 0; j < n; j++) check(&all[j], &p);
        drop(&p);
    }
}

/* Scores far apart, and what is not a number, in one query of several. */
static void extremes(void **state)
{
    problem p = make((shape){.tokens = 20, .heads = 2, .dim = 32, .pos = 200, .end = 220});
    set all[BG_ISA_COUNT + 1];
    size_t n = sets(all);
    (void)state;
    for (size_t d = 0; d < 32; d++) p.q[7 * 32 + d] *= 3000;
    p.q[9 * 32] = NAN;
    for (size_t i = 0; i < n; i++) {
        bg_attend a;
        float *out = bg_alloc(p.rows * (p.value_width + 2), sizeof *out);
        a = arguments(&p, out);
        a.scratch = aligned_alloc(64, (bg_attend_scratch(32) + 63) / 64 * 64);
        all[i].run(&a);
        for (size_t r = 0; r < p.rows; r++) {
            bool right = true;
            for (size_t d = 0; d < 32; d++)
                right &= isfinite(out[r * p.value_width + d] / a.sum[r]) != 0;
            assert_true(right == (r != 9));
        }
        free(a.scratch);
        bg_free(out);
    }
    drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_softmax), cmocka_unit_test(windows_and_caps),
        cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
