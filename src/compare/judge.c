/* How much difference is none, and what is called of it. */
#include "compare/compare.h"

#include "bitgauge/machine.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* A change of what does not vary: less is rounding. */
static const double EXACT = 0.005;
/* A floor is what 99 % of differences of identical work stay below. */
static const double FLOOR_LEVEL = 0.99;

/* Parts of a cell's samples that are compared with their neighbours. All cells of an interleaved
 * sweep feel the same disturbances, so the differences of two folders count once, not per cell. */
enum { PARTS = 4, FEWEST = BG_COMPARE_FEWEST, FREEDOM = 2 * (PARTS - 1) };

typedef struct part { bg_noise_floor key; bg_column metric; double square; } part;

struct bg_floors {
    bg_noise_floor *known;      /* of the machines; of equal keys the larger counts */
    part *parts;
    size_t n_known, n_parts;
};

bg_floors *bg_floors_new(void) { return bg_alloc(1, sizeof(bg_floors)); }

void bg_floors_free(bg_floors **f)
{
    if (!*f) return;
    bg_free((*f)->known);
    bg_free((*f)->parts);
    bg_free(*f);
    *f = NULL;
}

/* "pp512" -> "pp", or "pp/own". */
static bg_noise_floor key_of(const bg_row *row, bg_floor_of of)
{
    double threads = bg_row_number(row, BG_COL_THREADS);
    bg_noise_floor key = {.threads = isnan(threads) ? 0 : (int)threads};
    const char *test = bg_row_text(row, BG_COL_TEST);
    snprintf(key.kind, sizeof key.kind, "%.*s%s", (int)BG_MIN(strcspn(test, "0123456789"), 8), test,
             of == BG_FLOOR_OF_OWN ? "/own" : "");
    return key;
}

static bool same_key(const bg_noise_floor *a, const bg_noise_floor *b)
{
    return a->threads == b->threads && strcmp(a->kind, b->kind) == 0;
}

bg_status bg_floors_read(bg_floors *f, const json_t *machine, bg_error *err)
{
    const json_t *array = json_object_get(machine, "noise_floors"), *one;
    size_t i, n = json_array_size(array);
    bg_noise_floor *known;
    if (n == 0) return BG_OK;
    known = bg_grow(f->known, f->n_known + n, sizeof *known);
    if (!known) return bg_fail_nomem(err, "noise floors", n * sizeof *known);
    f->known = known;
    json_array_foreach(array, i, one) {
        const char *kind = json_string_value(json_object_get(one, "kind"));
        json_int_t threads = json_integer_value(json_object_get(one, "threads"));
        bg_noise_floor *to = &known[f->n_known];
        *to = (bg_noise_floor){.threads = (int)BG_MIN(BG_MAX(threads, 0), 1 << 20),
                               .floor = json_number_value(json_object_get(one, "floor"))};
        snprintf(to->kind, sizeof to->kind, "%s", kind ? kind : "");
        f->n_known += kind && to->floor > 0;
    }
    return BG_OK;
}

static double part_median(const double *values, size_t n, size_t k)
{
    size_t from = n * k / PARTS, to = n * (k + 1) / PARTS;
    return bg_quantile(values + from, to - from, 0.5);
}

bg_status bg_floors_add(bg_floors *f, bg_floor_of of, const bg_compared *c, const double *values,
                        size_t n, bg_error *err)
{
    part *grown;
    if (n < FEWEST) return BG_OK;
    grown = bg_grow(f->parts, f->n_parts + PARTS - 1, sizeof *grown);
    if (!grown) return bg_fail_nomem(err, "noise floors", (PARTS - 1) * sizeof *grown);
    f->parts = grown;
    for (size_t k = 1; k < PARTS; k++) {
        double difference = log(part_median(values, n, k) / part_median(values, n, k - 1));
        grown[f->n_parts++] = (part){key_of(c->base_row, of), c->metric, difference * difference};
    }
    return BG_OK;
}

double bg_floors_get(const bg_floors *f, bg_floor_of of, const bg_compared *c,
                     bg_floor_source *source)
{
    bg_noise_floor key = key_of(c->base_row, of);
    double squares = 0, floor = NAN, freedom;
    size_t n = 0;
    *source = BG_FLOOR_NONE;
    for (size_t i = 0; i < f->n_known && c->metric == BG_COL_TPS; i++)
        if (same_key(&f->known[i], &key)) {
            floor = isnan(floor) ? f->known[i].floor : BG_MAX(floor, f->known[i].floor);
            *source = BG_FLOOR_MACHINE;
        }
    if (*source != BG_FLOOR_NONE) return floor;
    for (size_t i = 0; i < f->n_parts; i++)
        if (f->parts[i].metric == c->metric && same_key(&f->parts[i].key, &key)) {
            squares += f->parts[i].square;
            n++;
        }
    if (n == 0) return NAN;
    *source = BG_FLOOR_SAMPLES;
    /* Own parts do not move together; neighbouring differences share a part. */
    freedom = of == BG_FLOOR_OF_OWN ? BG_MAX((double)n / 2, FREEDOM) : FREEDOM;
    return expm1(bg_stats_t(FLOOR_LEVEL, freedom) * sqrt(squares / (double)n));
}

const char *bg_percent(char *out, size_t size, double change)
{
    if (isnan(change)) *out = 0;
    else if (change > 9.995) snprintf(out, size, "over 999 %%");
    else snprintf(out, size, "%+.*f %%", fabs(change) < 0.0995 ? 1 : 0, 100 * change);
    return out;
}

static void undecided(bg_compared *c, double threshold, double alpha)
{
    double change = c->ratio.ratio - 1, low = c->ratio.low - 1, high = c->ratio.high - 1;
    size_t fewest = BG_MIN(c->n[0], c->n[1]), size = sizeof c->reason;
    char *out = c->reason, by[32];
    c->verdict = BG_VERDICT_INCONCLUSIVE;
    bg_percent(by, sizeof by, change);
    if (isnan(change))
        snprintf(out, size, "its values cannot be divided");
    else if (fewest == 0)
        snprintf(out, size, "there are no repetitions to judge by");
    else if (fewest < FEWEST)
        snprintf(out, size, "too few repetitions (%zu and %zu, where %d are needed)", c->n[0],
                 c->n[1], FEWEST);
    else if (fabs(change) > threshold && (c->q >= alpha || (low <= 0 && high >= 0)))
        snprintf(out, size, "%s may be chance", by);
    else if (fabs(change) > threshold)
        snprintf(out, size, "%s is below the noise floor", by);
    else if (c->floor > threshold)
        snprintf(out, size, "the noise floor is above the threshold");
    else
        snprintf(out, size, "the interval reaches %s",
                 bg_percent(by, sizeof by, -low > high ? low : high));
}

void bg_judge(bg_compared *c, double threshold, double alpha, double least)
{
    double change = c->ratio.ratio - 1, low = c->ratio.low - 1, high = c->ratio.high - 1;
    bool more = isnan(change) ? c->value[1] > c->value[0] : change > 0, changed;
    if (c->exact)
        changed = !(fabs(change) <= EXACT) && fabs(c->value[1] - c->value[0]) > least;
    else
        changed = bg_stats_is_change(&c->ratio, c->q, alpha, threshold, c->floor);
    if (changed)
        c->verdict = more == (bg_column_get(c->metric)->better > 0) ? BG_VERDICT_BETTER
                                                                     : BG_VERDICT_WORSE;
    else if (c->exact || (low >= -threshold && high <= threshold && c->floor <= threshold))
        c->verdict = BG_VERDICT_SAME;
    else
        undecided(c, threshold, alpha);
}

bg_compared bg_compared_own(const bg_compared *c)
{
    bg_compared own = *c;
    own.ratio = c->own.ratio;
    own.p = c->own.p;
    own.q = c->own.q;
    own.floor = c->own.floor;
    own.floor_source = c->own.floor_source;
    return own;
}

void bg_judge_own(bg_compared *c, double threshold, double alpha, bool worse_together)
{
    bg_compared own;
    if (c->own.others == 0) return;
    own = bg_compared_own(c);
    own.reason[0] = 0;
    bg_judge(&own, threshold, alpha, 0);
    c->own.verdict = own.verdict;
    if (c->verdict != BG_VERDICT_INCONCLUSIVE) return;
    if (own.verdict == BG_VERDICT_SAME && worse_together) return;
    c->by_own = true;
    c->verdict = own.verdict;
    memcpy(c->reason, own.reason, sizeof c->reason);
}
