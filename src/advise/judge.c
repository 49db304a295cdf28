/* judge.c: limits, the front, and the order of candidates under an objective. */
#include "advise/advise.h"

#include <math.h>
#include <string.h>

static double memory_value(const bg_candidate *c, const query *q)
{
    return bg_advise_memory(c, q->ctx);
}

static double tps_value(const bg_candidate *c, const query *q)
{
    (void)q;
    return c->tg_tps;
}

static double kld_value(const bg_candidate *c, const query *q)
{
    (void)q;
    return c->kld;
}

static double ppl_value(const bg_candidate *c, const query *q)
{
    (void)q;
    return c->ppl_loss_pct;
}

static void print_size(char *b, size_t n, double v) { bg_format_size(b, n, v); }

static void print_tps(char *b, size_t n, double v)
{
    char number[32];
    snprintf(b, n, "%s tokens/s", bg_advise_number(number, sizeof number, v));
}

static void print_kld(char *b, size_t n, double v)
{
    char number[32];
    snprintf(b, n, "%s nats", bg_advise_number(number, sizeof number, v));
}

static void print_percent(char *b, size_t n, double v)
{
    char number[32];
    snprintf(b, n, "%s %%", bg_advise_number(number, sizeof number, v));
}

const limit_info bg_limits[BG_LIMIT_COUNT] = {
    {"--memory", true, memory_value, print_size, "needs", "need more memory than",
     "memory need is unknown"},
    {"--min-tps", false, tps_value, print_tps, "decodes", "decode slower than",
     "decode speed was not measured"},
    {"--max-kld", true, kld_value, print_kld, "has a KL divergence of",
     "have a KL divergence over", "KL divergence was not measured"},
    {"--max-ppl-loss", true, ppl_value, print_percent, "raises perplexity by",
     "raise perplexity by more than", "perplexity was not measured"},
};

double bg_advise_memory(const bg_candidate *c, double ctx)
{
    double kv = bg_row_number(c->any, BG_COL_KV_TOKEN) * ctx;
    double window = bg_row_number(c->any, BG_COL_KV_WINDOW_B);
    double positions = bg_row_number(c->any, BG_COL_KV_WINDOW_N);
    if (window > 0 && positions > 0) kv += window * fmin(ctx / positions, 1);
    if (isnan(kv)) kv = bg_row_number(c->any, BG_COL_KV_BYTES);
    return c->weight_bytes + (isnan(kv) ? 0 : kv) +
           (isnan(c->scratch_bytes) ? 0 : c->scratch_bytes);
}

bool bg_limit_holds(size_t limit, const bg_candidate *c, const query *q)
{
    double bound = q->limit[limit], value = bg_limits[limit].value(c, q);
    if (isnan(bound)) return true;
    /* A default cannot remove what is unknown; what was asked for can. */
    if (isnan(value)) return q->implied[limit];
    return bg_limits[limit].upper ? value <= bound : value >= bound;
}

static bool is_unmeasured(const bg_candidate *c) { return !c->tg && !c->pp && !c->quality; }

const char *bg_advise_failure(const bg_candidate *c)
{
    return is_unmeasured(c) ? bg_row_text(c->any, BG_COL_REASON) : NULL;
}

const char *bg_advise_lacks(const bg_advice *a, const bg_candidate *c, bg_objective o)
{
    const char *no_quality = a->published ? "no quality is published for it"
                                          : "quality was not measured";
    if (is_unmeasured(c)) return "was not measured";
    switch (o) {
    case BG_OBJECTIVE_BALANCED:
        if (isnan(c->loss)) return no_quality;
        return isnan(c->tg_tps) ? "decode speed was not measured" : NULL;
    case BG_OBJECTIVE_SPEED: return isnan(c->tg_tps) ? "decode speed was not measured" : NULL;
    case BG_OBJECTIVE_QUALITY: return isnan(c->loss) ? no_quality : NULL;
    case BG_OBJECTIVE_ENERGY:
        if (!isnan(c->j_per_token)) return NULL;
        return a->no_energy ? a->no_energy : "energy was not measured";
    default: return isnan(c->weight_bytes) ? "size is unknown" : NULL;
    }
}

/* What it is sure to reach. An interval of few repetitions on a busy machine may begin at nothing;
 * beyond half the median it says how the machine was, not how fast the scheme is. */
static double low_end(const bg_candidate *c)
{
    double low = isnan(c->tg_low) ? c->tg_tps * (1 - BG_ADVISE_UNKNOWN_NOISE) : c->tg_low;
    return low < c->tg_tps / 2 ? c->tg_tps / 2 : low;
}

static double high_end(const bg_candidate *c)
{
    return isnan(c->tg_high) ? c->tg_tps * (1 + BG_ADVISE_UNKNOWN_NOISE) : c->tg_high;
}

int bg_advise_compare_speed(const bg_candidate *a, const bg_candidate *b)
{
    if (isnan(a->tg_tps) || isnan(b->tg_tps)) return isnan(b->tg_tps) - isnan(a->tg_tps);
    /* Both medians, so that one scheme with a wide interval does not equal everything. */
    if (a->tg_tps > b->tg_tps) return a->tg_tps > high_end(b) || b->tg_tps < low_end(a) ? 1 : 0;
    if (a->tg_tps < b->tg_tps) return a->tg_tps < low_end(b) || b->tg_tps > high_end(a) ? -1 : 0;
    return 0;
}

bool bg_advise_speeds_overlap(const bg_candidate *a, const bg_candidate *b)
{
    return low_end(a) <= high_end(b) && low_end(b) <= high_end(a);
}

bool bg_advise_equal_speed(const bg_candidate *a, const bg_candidate *b)
{
    return bg_advise_compare_speed(a, b) == 0;
}

/* The loss as it is felt, 0 to 1 for a useless model. */
static double felt(double loss)
{
    return log1p(loss / BG_ADVISE_FELT_KLD) / log1p(BG_ADVISE_USELESS_KLD / BG_ADVISE_FELT_KLD);
}

double bg_advise_score(const bg_candidate *c)
{
    return log(low_end(c)) / log(BG_ADVISE_SPEED_SPAN) - felt(c->loss);
}

/* Both faster and better as measured: the front is drawn through medians, and what is said of it
 * must be true of them. */
static bool beats(const bg_candidate *a, const bg_candidate *b)
{
    return a->tg_tps >= b->tg_tps && a->loss <= b->loss &&
           (a->tg_tps > b->tg_tps || a->loss < b->loss);
}

/* Does a make b pointless? At equal speed differences of loss under a hundredth of the scale count
 * as none, and the smaller one is better; but not one that may be far slower, by its interval. */
static bool dominates(const bg_candidate *a, const bg_candidate *b)
{
    double quality = felt(b->loss) - felt(a->loss);
    int speed = bg_advise_compare_speed(a, b);
    if (speed != 0) return speed > 0 && a->loss <= b->loss;
    if (bg_advise_score(a) < bg_advise_score(b) - 0.01) return false;
    if (fabs(quality) >= 0.01) return quality > 0;
    if (a->weight_bytes < b->weight_bytes || a->weight_bytes > b->weight_bytes)
        return a->weight_bytes < b->weight_bytes;
    return a->loss < b->loss;
}

/* Of those that nothing beats, from the least loss on: whoever nobody on the front makes pointless
 * joins it, and drives out whom it makes pointless. Never empty when something can be compared. */
static void find_front(const bg_advice *a, verdict *v, size_t *order, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t k = order[i], j = i;
        for (; j > 0 && a->c[order[j - 1]].loss > a->c[k].loss; j--) order[j] = order[j - 1];
        order[j] = k;
    }
    for (size_t i = 0; i < n; i++) {
        bool pointless = false;
        for (size_t j = 0; j < n; j++) pointless |= beats(&a->c[order[j]], &a->c[order[i]]);
        for (size_t j = 0; j < i; j++)
            pointless |= v->front[order[j]] && dominates(&a->c[order[j]], &a->c[order[i]]);
        if (pointless) continue;
        for (size_t j = 0; j < i; j++)
            if (dominates(&a->c[order[i]], &a->c[order[j]])) v->front[order[j]] = false;
        v->front[order[i]] = true;
    }
}

/* Smaller is better; NaN is worst. */
static int prefer(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return a < b ? -1 : a > b;
}

static int compare(const bg_advice *a, const verdict *v, const query *q, size_t x, size_t y)
{
    const bg_candidate *cx = &a->c[x], *cy = &a->c[y];
    int by_loss = prefer(cx->loss, cy->loss), by_speed = prefer(-low_end(cx), -low_end(cy));
    int by_size = prefer(cx->weight_bytes, cy->weight_bytes), first = 0;
    switch (q->objective) {
    case BG_OBJECTIVE_SPEED: first = by_speed; break;
    case BG_OBJECTIVE_QUALITY: first = by_loss ? by_loss : by_speed; break;
    case BG_OBJECTIVE_SIZE:
        first = prefer(bg_advise_memory(cx, q->ctx), bg_advise_memory(cy, q->ctx));
        break;
    case BG_OBJECTIVE_ENERGY: first = prefer(cx->j_per_token, cy->j_per_token); break;
    default:
        if (v->front[x] != v->front[y]) return v->front[x] ? -1 : 1;
        first = prefer(-bg_advise_score(cx), -bg_advise_score(cy));
    }
    if (first) return first;
    if (by_loss) return by_loss;
    if (by_size) return by_size;
    return x < y ? -1 : 1;
}

/* The fastest that is measurably so; among its equals the one with the least loss. */
static void settle_speed_tie(const bg_advice *a, verdict *v)
{
    size_t best = 0;
    for (size_t i = 1; i < v->n; i++) {
        if (bg_advise_compare_speed(&a->c[v->order[0]], &a->c[v->order[i]]) != 0) continue;
        if (prefer(a->c[v->order[i]].loss, a->c[v->order[best]].loss) < 0) best = i;
    }
    if (best) {
        size_t pick = v->order[best];
        memmove(v->order + 1, v->order, best * sizeof *v->order);
        v->order[0] = pick;
    }
}

void bg_advise_judge(const bg_advice *a, const query *q, verdict *v)
{
    size_t comparable = 0;
    v->n = 0;
    for (size_t i = 0; i < a->n; i++) {
        v->front[i] = false;
        v->kept[i] = bg_advise_lacks(a, &a->c[i], q->objective) == NULL;
        for (size_t l = 0; l < BG_LIMIT_COUNT; l++)
            v->kept[i] = v->kept[i] && bg_limit_holds(l, &a->c[i], q);
        if (v->kept[i] && !isnan(a->c[i].loss) && !isnan(a->c[i].tg_tps))
            v->order[comparable++] = i;
    }
    find_front(a, v, v->order, comparable);
    for (size_t i = 0; i < a->n; i++) {
        size_t j = v->n;
        if (!v->kept[i]) continue;
        for (; j > 0 && compare(a, v, q, i, v->order[j - 1]) < 0; j--)
            v->order[j] = v->order[j - 1];
        v->order[j] = i;
        v->n++;
    }
    if (q->objective == BG_OBJECTIVE_SPEED && v->n) settle_speed_tie(a, v);
}

/* How far the limits would have to give way, in powers of e; what is unknown is farthest. */
static double distance(const bg_advice *a, const query *q, size_t i)
{
    double sum = 0;
    if (bg_advise_lacks(a, &a->c[i], q->objective)) sum += 1000;
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++) {
        double value = bg_limits[l].value(&a->c[i], q), bound = q->limit[l];
        if (bg_limit_holds(l, &a->c[i], q)) continue;
        sum += isnan(value) || value <= 0 || bound <= 0 ? 100 : fabs(log(value / bound));
    }
    return sum;
}

size_t bg_advise_nearest(const bg_advice *a, const query *q)
{
    size_t best = 0;
    for (size_t i = 1; i < a->n; i++) {
        double d = distance(a, q, i), least = distance(a, q, best);
        if (d < least || (d <= least && prefer(a->c[i].loss, a->c[best].loss) < 0)) best = i;
    }
    return best;
}

bg_status bg_verdict_init(verdict *v, const bg_advice *a, bg_error *err)
{
    v->n = 0;
    v->kept = bg_alloc(a->n, sizeof *v->kept);
    v->front = bg_alloc(a->n, sizeof *v->front);
    v->order = bg_alloc(a->n, sizeof *v->order);
    if (v->kept && v->front && v->order) return BG_OK;
    bg_verdict_fini(v);
    return bg_fail_nomem(err, "the recommendation", a->n * sizeof *v->order);
}

void bg_verdict_fini(verdict *v)
{
    bg_free(v->kept);
    bg_free(v->front);
    bg_free(v->order);
    memset(v, 0, sizeof *v);
}
