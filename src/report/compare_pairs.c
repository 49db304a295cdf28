/* compare_pairs.c: what is compared with what, and which differences can be told. */
#include "report/compare.h"

#include "bitgauge/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double LEVEL = 0.95;
enum { FEWEST = 3, RANKED = 8, SEED = 1, LARGE = 10000 };

bool bg_cmp_same(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

bool bg_cmp_same_place(const cmp_side *a, const cmp_side *b)
{
    return !isnan(a->origin.cores) && a->origin.machine[0] &&
           bg_cmp_same(a->origin.machine, b->origin.machine) &&
           bg_cmp_same(a->origin.engine, b->origin.engine);
}

const char *bg_cmp_kind(const char *test)
{
    if (strncmp(test, "pp", 2) == 0) return "prefill";
    return strncmp(test, "tg", 2) == 0 ? "decode" : NULL;
}

const bg_candidate *bg_cmp_candidate(const cmp_side *s, const char *scheme)
{
    for (size_t i = 0; s->advice && i < bg_advice_count(s->advice); i++) {
        const bg_candidate *c = bg_advice_candidate(s->advice, i);
        if (bg_cmp_same(c->scheme, scheme)) return c;
    }
    return NULL;
}

/* Of the engine that the folder stands for. */
static bool is_compared(const cmp_side *s, const bg_row *row)
{
    const char *engine = bg_row_text(row, BG_COL_ENGINE);
    return bg_row_number(row, BG_COL_TPS) > 0 &&
           (!engine || strcmp(engine, s->origin.engine) == 0);
}

const bg_row *bg_cmp_fastest(const cmp_side *s, const char *scheme, const char *test,
                             const char *isa, int threads)
{
    const bg_row *best = NULL;
    for (size_t i = 0; i < bg_results_row_count(s->results); i++) {
        const bg_row *row = bg_results_row(s->results, i);
        double tps = bg_row_number(row, BG_COL_TPS);
        if (!is_compared(s, row) || !bg_cmp_same(bg_row_text(row, BG_COL_SCHEME), scheme) ||
            !bg_cmp_same(bg_row_text(row, BG_COL_TEST), test) ||
            (isa && !bg_cmp_same(bg_row_text(row, BG_COL_ISA), isa)) ||
            (threads && bg_row_number(row, BG_COL_THREADS) != threads))
            continue;
        if (!best || tps > bg_row_number(best, BG_COL_TPS)) best = row;
    }
    return best;
}

size_t bg_cmp_threads(const cmp_side *s, const char *scheme, const char *test, int *out,
                      size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < bg_results_row_count(s->results) && n < max; i++) {
        const bg_row *row = bg_results_row(s->results, i);
        double threads = bg_row_number(row, BG_COL_THREADS);
        size_t at = 0;
        if (!(threads >= 1 && threads < 1 << 20) || !is_compared(s, row) ||
            (scheme && !bg_cmp_same(bg_row_text(row, BG_COL_SCHEME), scheme)) ||
            !bg_cmp_same(bg_row_text(row, BG_COL_TEST), test))
            continue;
        while (at < n && out[at] < (int)threads) at++;
        if (at < n && out[at] == (int)threads) continue;
        memmove(out + at + 1, out + at, (n - at) * sizeof *out);
        out[at] = (int)threads;
        n++;
    }
    return n;
}

const cmp_pair *bg_cmp_find(const cmp *c, size_t side, const char *scheme, const char *test)
{
    for (size_t i = 0; i < c->n_pairs; i++) {
        const cmp_pair *p = &c->pairs[i];
        if (p->side == side && strcmp(p->scheme, scheme) == 0 && strcmp(p->test, test) == 0)
            return p;
    }
    return NULL;
}

bool bg_cmp_shared(const cmp *c, const char *test)
{
    for (size_t i = 0; i < c->n_pairs; i++)
        if (strcmp(c->pairs[i].test, test) == 0) return true;
    return false;
}

/* Names. */

static bool collect(const cmp *c, bg_column column, cmp_names *out)
{
    size_t most = 0;
    for (size_t s = 0; s < c->n; s++) most += bg_results_row_count(c->sides[s].results);
    out->list = bg_alloc(BG_MAX(most, 1), sizeof *out->list);
    if (!out->list) return false;
    for (size_t s = 0; s < c->n; s++)
        for (size_t i = 0; i < bg_results_row_count(c->sides[s].results); i++) {
            const bg_row *row = bg_results_row(c->sides[s].results, i);
            const char *name = bg_row_text(row, column);
            size_t k = 0;
            if (!name || !(bg_row_number(row, BG_COL_TPS) > 0)) continue;
            while (k < out->n && strcmp(out->list[k], name) != 0) k++;
            if (k == out->n) out->list[out->n++] = name;
        }
    return true;
}

/* Samples. */

typedef struct placed { uint64_t position; double value; } placed;

static int by_position(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    return (x->position > y->position) - (x->position < y->position);
}

/* The speeds of a row's repetitions as they were taken; *out is freed by the caller. None when they
 * do not make the row's speed, which is predicted from a part of the layers, for one. */
static bool take_samples(const bg_results *r, const bg_row *row, double **out, size_t *n)
{
    size_t most = bg_results_sample_count(r);
    placed *list = bg_alloc(BG_MAX(most, 1), sizeof *list);
    *out = bg_alloc(BG_MAX(most, 1), sizeof **out);
    *n = 0;
    if (!list || !*out) {
        bg_free(list);
        return false;
    }
    for (size_t i = 0; i < most; i++) {
        const bg_sample *s = bg_results_sample(r, i);
        double tps = s->tokens / s->seconds;
        if (bg_sample_is_of(s, row) && isfinite(tps) && tps > 0)
            list[(*n)++] = (placed){s->position, tps};
    }
    qsort(list, *n, sizeof *list, by_position);
    for (size_t i = 0; i < *n; i++) (*out)[i] = list[i].value;
    bg_free(list);
    if (fabs(bg_quantile(*out, *n, 0.5) / bg_row_number(row, BG_COL_TPS) - 1) > 0.02) *n = 0;
    return true;
}

/* Ratios. */

/* How likely chance alone would reach as far from 0, by Student's law. */
static double p_of(double x, double error, double freedom)
{
    double one = erfc(1 / sqrt(2)); /* p of 1 standard error, which tau widens to t of them */
    double t = fabs(x) / error;
    return t > 0 ? bg_stats_deflate(one, 1 / (t * t), freedom) : 1;
}

/* The interval of the ratio from those of the rows, and a p from its width. */
static void ratio_of_rows(cmp_pair *p)
{
    double a = bg_row_number(p->base, BG_COL_TPS), b = bg_row_number(p->row, BG_COL_TPS);
    double down = hypot(log(b / bg_row_number(p->row, BG_COL_TPS_LOW)),
                        log(bg_row_number(p->base, BG_COL_TPS_HIGH) / a));
    double up = hypot(log(bg_row_number(p->row, BG_COL_TPS_HIGH) / b),
                      log(a / bg_row_number(p->base, BG_COL_TPS_LOW)));
    double freedom = bg_row_number(p->base, BG_COL_REPS) + bg_row_number(p->row, BG_COL_REPS) - 2;
    if (!(freedom >= 1)) freedom = LARGE;
    p->ratio = b / a;
    p->low = p->ratio * exp(-down);
    p->high = p->ratio * exp(up);
    p->p = p_of(log(p->ratio), (down + up) / 2 / bg_stats_t(LEVEL, freedom), freedom);
    if (isfinite(p->low) && isfinite(p->high) && p->low > 0) return;
    p->low = p->high = p->p = NAN;
}

static bool ratio_of_samples(cmp_pair *p, const double *a, size_t na, const double *b, size_t nb)
{
    bg_ratio r;
    if (!bg_stats_ratio(a, na, b, nb, LEVEL, SEED, 0, &r)) return false;
    p->ratio = r.ratio;
    p->low = r.low;
    p->high = r.high;
    /* So few ranks have no small p, whatever they are. */
    if (na >= RANKED && nb >= RANKED) p->p = bg_stats_differ(a, na, b, nb, &r, 1);
    else p->p = p_of(log(r.ratio), log(r.high / r.low) / 2 / bg_stats_t(LEVEL, r.freedom),
                     r.freedom);
    return true;
}

static double floor_of(const cmp_side *s, const bg_row *row)
{
    const char *test = bg_row_text(row, BG_COL_TEST);
    const json_t *one;
    size_t i, letters = strcspn(test, "0123456789");
    json_array_foreach(json_object_get(s->machine, "noise_floors"), i, one) {
        const char *kind = bg_report_json_text(one, "kind");
        if (kind && strlen(kind) == letters && strncmp(kind, test, letters) == 0 &&
            bg_report_json_number(one, "threads") == bg_row_number(row, BG_COL_THREADS) &&
            bg_report_json_number(one, "floor") > 0)
            return bg_report_json_number(one, "floor");
    }
    return NAN;
}

static bool measure(const cmp *c, cmp_pair *p)
{
    const cmp_side *first = &c->sides[0], *other = &c->sides[p->side];
    double *a = NULL, *b = NULL, floors[] = {floor_of(first, p->base), floor_of(other, p->row)};
    size_t na = 0, nb = 0;
    bool fine = take_samples(first->results, p->base, &a, &na) &&
                take_samples(other->results, p->row, &b, &nb);
    if (fine && na >= FEWEST && nb >= FEWEST) fine = ratio_of_samples(p, a, na, b, nb);
    else ratio_of_rows(p);
    for (int i = 0; i < 2; i++) {
        double floor = isnan(floors[i]) ? CMP_UNKNOWN_FLOOR : floors[i];
        if (floor <= p->floor) continue;
        p->floor = floor;
        p->assumed = isnan(floors[i]);
    }
    bg_free(a);
    bg_free(b);
    return fine;
}

static bool judge(cmp *c)
{
    double *p = bg_alloc(BG_MAX(c->n_pairs, 1), 2 * sizeof *p), *q = p + c->n_pairs;
    bool fine = p != NULL;
    for (size_t i = 0; fine && i < c->n_pairs; i++) p[i] = c->pairs[i].p;
    fine = fine && bg_stats_adjust(p, c->n_pairs, q);
    for (size_t i = 0; fine && i < c->n_pairs; i++) {
        cmp_pair *one = &c->pairs[i];
        one->q = q[i];
        one->told = bg_stats_is_change(
            &(bg_ratio){.ratio = one->ratio, .low = one->low, .high = one->high}, one->q,
            BG_STATS_ALPHA, 0, one->floor);
    }
    bg_free(p);
    return fine;
}

static bool make_pairs(cmp *c)
{
    size_t most = c->n * c->tests.n * c->schemes.n;
    c->pairs = bg_alloc(BG_MAX(most, 1), sizeof *c->pairs);
    if (!c->pairs) return false;
    for (size_t s = 1; s < c->n && c->models.n == 1; s++)
        for (size_t t = 0; t < c->tests.n; t++)
            for (size_t k = 0; k < c->schemes.n; k++) {
                cmp_pair p = {.scheme = c->schemes.list[k], .test = c->tests.list[t], .side = s};
                p.base = bg_cmp_fastest(&c->sides[0], p.scheme, p.test, NULL, 0);
                p.row = bg_cmp_fastest(&c->sides[s], p.scheme, p.test, NULL, 0);
                if (!p.base || !p.row) continue;
                if (!measure(c, &p)) return false;
                c->pairs[c->n_pairs++] = p;
            }
    return judge(c);
}

/* Decode comes first: it is what is waited for. */
static void order_tests(cmp_names *tests)
{
    for (size_t i = 1; i < tests->n; i++)
        for (size_t k = i; k > 0 && strncmp(tests->list[k], "tg", 2) == 0 &&
                           strncmp(tests->list[k - 1], "tg", 2) != 0; k--) {
            const char *other = tests->list[k];
            tests->list[k] = tests->list[k - 1];
            tests->list[k - 1] = other;
        }
}

bg_status bg_cmp_prepare(cmp *c, bg_error *err)
{
    bool fine = collect(c, BG_COL_MODEL, &c->models) && collect(c, BG_COL_SCHEME, &c->schemes) &&
                collect(c, BG_COL_TEST, &c->tests) && collect(c, BG_COL_ISA, &c->isas);
    order_tests(&c->tests);
    if (fine && make_pairs(c)) return BG_OK;
    return bg_fail_nomem(err, "the comparison", c->n * sizeof *c->pairs);
}

void bg_cmp_fini(cmp *c)
{
    bg_free(c->models.list);
    bg_free(c->schemes.list);
    bg_free(c->tests.list);
    bg_free(c->isas.list);
    bg_free(c->pairs);
}
