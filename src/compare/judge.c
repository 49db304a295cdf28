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
enum { PARTS = 4, FEWEST = 2 * PARTS, FREEDOM = 2 * (PARTS - 1) };

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

/* "pp512" -> "pp". */
static bg_noise_floor key_of(const bg_row *row)
{
    double threads = bg_row_number(row, BG_COL_THREADS);
    bg_noise_floor key = {.threads = isnan(threads) ? 0 : (int)threads};
    const char *test = bg_row_text(row, BG_COL_TEST);
    snprintf(key.kind, sizeof key.kind, "%.*s", (int)strcspn(test, "0123456789"), test);
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

static double part_median(const bg_series *s, size_t k)
{
    size_t from = s->n * k / PARTS, to = s->n * (k + 1) / PARTS;
    return bg_quantile(s->values + from, to - from, 0.5);
}

bg_status bg_floors_add(bg_floors *f, const bg_compared *c, const bg_series *s, bg_error *err)
{
    part *grown;
    if (s->n < FEWEST) return BG_OK;
    grown = bg_grow(f->parts, f->n_parts + PARTS - 1, sizeof *grown);
    if (!grown) return bg_fail_nomem(err, "noise floors", (PARTS - 1) * sizeof *grown);
    f->parts = grown;
    for (size_t k = 1; k < PARTS; k++) {
        double difference = log(part_median(s, k) / part_median(s, k - 1));
        grown[f->n_parts++] = (part){key_of(c->base_row), c->metric, difference * difference};
    }
    return BG_OK;
}

void bg_floors_apply(const bg_floors *f, bg_compared *c)
{
    bg_noise_floor key = key_of(c->base_row);
    double squares = 0;
    size_t n = 0;
    c->floor = NAN;
    for (size_t i = 0; i < f->n_known && c->metric == BG_COL_TPS; i++)
        if (same_key(&f->known[i], &key)) {
            c->floor = isnan(c->floor) ? f->known[i].floor : BG_MAX(c->floor, f->known[i].floor);
            c->floor_source = BG_FLOOR_MACHINE;
        }
    if (c->floor_source != BG_FLOOR_NONE) return;
    for (size_t i = 0; i < f->n_parts; i++)
        if (f->parts[i].metric == c->metric && same_key(&f->parts[i].key, &key)) {
            squares += f->parts[i].square;
            n++;
        }
    if (n == 0) return;
    c->floor = expm1(bg_stats_t(FLOOR_LEVEL, FREEDOM) * sqrt(squares / (double)n));
    c->floor_source = BG_FLOOR_SAMPLES;
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
        changed = c->q < alpha && fabs(change) > threshold && fabs(change) > c->floor &&
                  (low > 0 || high < 0);
    if (changed)
        c->verdict = more == (bg_column_get(c->metric)->better > 0) ? BG_VERDICT_BETTER
                                                                     : BG_VERDICT_WORSE;
    else if (c->exact || (low >= -threshold && high <= threshold && c->floor <= threshold))
        c->verdict = BG_VERDICT_SAME;
    else
        undecided(c, threshold, alpha);
}
