/* compare_words.c: the conclusions. Nothing is called faster that chance or the noise floor could
 * have made so, and no number has more digits than its interval is worth. */
#include "report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *plural(size_t n) { return n == 1 ? "" : "s"; }

/* "a", "a and b", "a, b and c", "a, b, c, d and 5 others". */
enum { LISTED = 4 };
static void put_list(bg_text *t, const char *const *list, size_t n)
{
    size_t shown = n > LISTED + 1 ? LISTED : n;
    for (size_t i = 0; i < shown; i++) {
        const char *before = i == 0 ? "" : i + 1 == n ? " and " : ", ";
        bg_text_printf(t, "%s%s", before, list[i]);
    }
    if (shown < n) bg_text_printf(t, " and %zu others", n - shown);
}

static void end_text(bg_text *t, doc *d, void (*add)(doc *d, const char *format, ...))
{
    if (t->length) add(d, "%s", t->data);
    d->failed |= t->failed;
    bg_text_fini(t);
}

/* Numbers. */

static int decimals_of(double x, int digits)
{
    int d = digits - 1 - (int)floor(log10(x));
    return BG_MIN(BG_MAX(d, 0), 6);
}

static const double ALIKE = 1.03;      /* ratios of which one stands for all */
static const double AS_FACTOR = 1.5;   /* below, differences are told in percent */

static void put_number(bg_text *t, double ratio, bool percent, int digits)
{
    if (percent) bg_text_printf(t, "%.*f", digits > 2, 100 * (ratio - 1));
    else bg_text_printf(t, "%.*f", decimals_of(ratio, digits), ratio);
}

/* "by 12 % (interval 9 % to 15 %)", "by a factor of 7.2 (interval 7.0 to 7.5)". */
static void put_factor(bg_text *t, double ratio, double low, double high, const char *before)
{
    bool percent = ratio < AS_FACTOR;
    double half = log(high / low) / 2;
    int digits = half < (percent ? 0.005 : 0.02) ? half < 0.002 ? 4 : 3 : 2;
    bg_text_puts(t, percent ? "" : "a factor of ");
    put_number(t, ratio, percent, digits);
    bg_text_printf(t, "%s (%s ", percent ? " %" : "", before);
    put_number(t, low, percent, digits);
    bg_text_puts(t, " to ");
    put_number(t, high, percent, digits);
    bg_text_puts(t, percent ? " %)" : ")");
}

/* "7.2 times", "0.93 times". */
static void put_times(bg_text *t, double ratio)
{
    bg_text_printf(t, "%.*f times", decimals_of(ratio, 2), ratio);
}

/* Speeds. */

typedef enum outcome { FASTER, SLOWER, OPEN, ONCE, OUTCOMES } outcome;

typedef struct verdicts {
    const cmp_pair *least[OUTCOMES], *most[OUTCOMES];   /* by the size of the ratio */
    double low[OUTCOMES], high[OUTCOMES];               /* the ends of all intervals */
    size_t n[OUTCOMES], all;
    double floor;                       /* the largest */
    bool assumed;
} verdicts;

static outcome outcome_of(const cmp_pair *p)
{
    if (isnan(p->low)) return ONCE;
    return !p->told ? OPEN : p->ratio > 1 ? FASTER : SLOWER;
}

static verdicts look(const cmp *c, size_t side, const char *test)
{
    verdicts v = {.all = 0, .floor = 0};
    for (size_t i = 0; i < c->n_pairs; i++) {
        const cmp_pair *p = &c->pairs[i];
        outcome o = outcome_of(p);
        if (p->side != side || strcmp(p->test, test) != 0) continue;
        if (!v.least[o] || p->ratio < v.least[o]->ratio) v.least[o] = p;
        if (!v.most[o] || p->ratio > v.most[o]->ratio) v.most[o] = p;
        if (p->floor > v.floor) v.floor = p->floor, v.assumed = p->assumed;
        v.low[o] = v.n[o] ? fmin(v.low[o], p->low) : p->low;
        v.high[o] = v.n[o] ? fmax(v.high[o], p->high) : p->high;
        v.n[o]++;
        v.all++;
    }
    return v;
}

/* "at all 8 schemes", "at 3 of 8 schemes", "at Q4_K_M". */
static void put_count(bg_text *t, const verdicts *v, outcome o)
{
    if (v->all == 1) bg_text_printf(t, "at %s", v->least[o]->scheme);
    else if (v->n[o] < v->all) bg_text_printf(t, "at %zu of %zu schemes", v->n[o], v->all);
    else if (o == OPEN) bg_text_printf(t, "at any of %zu schemes", v->all);
    else if (v->all == 2) bg_text_puts(t, "at both schemes");
    else bg_text_printf(t, "at all %zu schemes", v->all);
}

/* "B is faster than A at ..., by ... to ...". The slower ones are told the other way round. */
static void put_won(bg_text *t, const cmp *c, size_t side, const verdicts *v, outcome o)
{
    const cmp_pair *ends[] = {v->least[o], v->most[o]};
    const char *winner = c->sides[o == FASTER ? side : 0].name;
    const char *loser = c->sides[o == FASTER ? 0 : side].name;
    if (o == SLOWER) ends[0] = v->most[o], ends[1] = v->least[o];
    bg_text_printf(t, "%s is faster than %s ", winner, loser);
    put_count(t, v, o);
    if (v->n[o] > 1 && v->most[o]->ratio / v->least[o]->ratio < ALIKE) {
        double middle = sqrt(v->most[o]->ratio * v->least[o]->ratio);
        bg_text_puts(t, ", each by about ");
        if (o == FASTER) put_factor(t, middle, v->low[o], v->high[o], "intervals within");
        else put_factor(t, 1 / middle, 1 / v->high[o], 1 / v->low[o], "intervals within");
        return;
    }
    bg_text_puts(t, ", by ");
    for (int i = 0; i < 2; i++) {
        const cmp_pair *p = ends[i];
        char before[64];
        if (i && p == ends[0]) return;
        snprintf(before, sizeof before, "%s%sinterval", v->all == 1 ? "" : p->scheme,
                 v->all == 1 ? "" : ", ");
        bg_text_puts(t, i ? " to " : "");
        if (o == FASTER) put_factor(t, p->ratio, p->low, p->high, before);
        else put_factor(t, 1 / p->ratio, 1 / p->high, 1 / p->low, before);
    }
}

static void put_open(bg_text *t, const cmp *c, size_t side, const verdicts *v)
{
    const cmp_pair *a = v->least[OPEN], *b = v->most[OPEN];
    bg_text_printf(t, "no difference between %s and %s can be told ", c->sides[0].name,
                   c->sides[side].name);
    put_count(t, v, OPEN);
    bg_text_printf(t, ": %s was measured at ", c->sides[side].name);
    if (b->ratio - a->ratio >= 0.01) bg_text_printf(t, "%.2f to ", a->ratio);
    bg_text_printf(t, "%.2f times the speed, within chance or the noise floor (%.0f %%%s)",
                   b->ratio, 100 * v->floor, v->assumed ? ", assumed" : "");
}

static void put_once(bg_text *t, const cmp *c, size_t side, const verdicts *v)
{
    const cmp_pair *a = v->least[ONCE], *b = v->most[ONCE];
    bg_text_printf(t, "%s was measured at ", c->sides[side].name);
    put_times(t, a->ratio);
    if (v->all > 1) bg_text_printf(t, " (%s)", a->scheme);
    if (a != b) {
        bg_text_puts(t, " to ");
        put_times(t, b->ratio);
        bg_text_printf(t, " (%s)", b->scheme);
    }
    bg_text_printf(t, " the speed of %s ", c->sides[0].name);
    put_count(t, v, ONCE);
    bg_text_puts(t, ", with too few repetitions for an interval");
}

/* One test of one side; nothing when the two have no scheme in common. */
static void put_test(bg_text *t, const cmp *c, size_t side, const char *test)
{
    verdicts v = look(c, side, test);
    const char *kind = bg_cmp_kind(test);
    bool begun = false;
    if (v.all == 0) return;
    bg_text_puts(t, t->length ? " " : "");
    if (kind) bg_text_printf(t, "%c%s (%s): ", kind[0] - 'a' + 'A', kind + 1, test);
    else bg_text_printf(t, "%s: ", test);
    for (int o = FASTER; o < OUTCOMES; o++) {
        if (v.n[o] == 0) continue;
        bg_text_puts(t, begun ? "; " : "");
        begun = true;
        if (o == OPEN) put_open(t, c, side, &v);
        else if (o == ONCE) put_once(t, c, side, &v);
        else put_won(t, c, side, &v, (outcome)o);
    }
    bg_text_puts(t, ".");
}

static void put_speeds(const cmp *c, doc *d)
{
    for (size_t s = 1; s < c->n; s++) {
        bg_text t = {0};
        for (size_t i = 0; i < c->tests.n; i++) put_test(&t, c, s, c->tests.list[i]);
        if (t.length == 0)
            bg_text_printf(&t, "No speed of %s can be compared with one of %s.", c->sides[s].name,
                           c->sides[0].name);
        end_text(&t, d, c->n == 2 ? bg_doc_lead : bg_doc_item);
    }
}

/* What bounds them. */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct share { double median; size_t n, of_it; const char *roof; } share;

/* Of the fastest rows of all schemes: the median share, and the roof that bounds most. */
static share share_of(const cmp *c, const cmp_side *s, const char *test)
{
    share result = {.median = NAN};
    double *shares = bg_alloc(BG_MAX(c->schemes.n, 1), sizeof *shares);
    const char **roofs = bg_alloc(BG_MAX(c->schemes.n, 1), sizeof *roofs);
    for (size_t k = 0; shares && roofs && k < c->schemes.n; k++) {
        const bg_row *row = bg_cmp_fastest(s, c->schemes.list[k], test, NULL, 0);
        if (!row || !bg_row_has(row, BG_COL_ROOF) || !bg_row_has(row, BG_COL_ROOF_PCT)) continue;
        roofs[result.n] = bg_row_text(row, BG_COL_ROOF);
        shares[result.n++] = bg_row_number(row, BG_COL_ROOF_PCT);
    }
    for (size_t i = 0; i < result.n; i++) {
        size_t same = 0;
        for (size_t k = 0; k < result.n; k++) same += strcmp(roofs[i], roofs[k]) == 0;
        if (same > result.of_it) result.roof = roofs[i], result.of_it = same;
    }
    if (result.n) {
        qsort(shares, result.n, sizeof *shares, by_size);
        result.median = bg_quantile(shares, result.n, 0.5);
    }
    bg_free(shares);
    bg_free(roofs);
    return result;
}

/* "read memory" -> "reading memory", "int8op amx" -> "amx int8 arithmetic". */
static void put_roof(bg_text *t, const char *roof)
{
    static const struct { const char *kind, *before, *after; } words[] = {
        {"read ", "reading ", ""}, {"flop ", "", " float arithmetic"},
        {"int8op ", "", " int8 arithmetic"},
    };
    for (size_t i = 0; i < BG_COUNT(words); i++) {
        size_t n = strlen(words[i].kind);
        if (strncmp(roof, words[i].kind, n) != 0) continue;
        bg_text_printf(t, "%s%s%s", words[i].before, roof + n, words[i].after);
        return;
    }
    bg_text_puts(t, roof);
}

static bool put_bound(bg_text *t, const cmp *c, const cmp_side *s, const char *test, bool begun)
{
    static const double BOUND = 70, LOOSE = 40;
    share h = share_of(c, s, test);
    const char *kind = bg_cmp_kind(test);
    if (h.n == 0) return false;
    if (!begun) bg_text_printf(t, "%sOn %s ", t->length ? " " : "", s->name);
    else bg_text_puts(t, "; ");
    bg_text_printf(t, "%s ", kind ? kind : test);
    if (kind) bg_text_printf(t, "(%s) ", test);
    if (h.median >= BOUND) {
        bg_text_puts(t, "is bound by ");
        put_roof(t, h.roof);
        bg_text_printf(t, ", at %.0f %% of that roof", h.median);
    } else {
        bg_text_printf(t, "reaches %.0f %% of its roof, ", h.median);
        put_roof(t, h.roof);
        bg_text_puts(t, h.median < LOOSE ? ", so that something else bounds it" : "");
    }
    if (h.n > 1) bg_text_printf(t, " (median of %zu schemes", h.n);
    if (h.of_it < h.n) bg_text_printf(t, ", %zu of them under this roof", h.of_it);
    bg_text_puts(t, h.n > 1 ? ")" : "");
    return true;
}

static void put_bounds(const cmp *c, doc *d)
{
    bg_text t = {0};
    for (size_t s = 0; s < c->n; s++) {
        bool begun = false;
        if (c->n > 2 && t.length) end_text(&t, d, bg_doc_item);
        for (size_t i = 0; i < c->tests.n; i++)
            begun |= put_bound(&t, c, &c->sides[s], c->tests.list[i], begun);
        if (!begun)
            bg_text_printf(&t, "%sWhat bounds %s is not known: its roofs were not measured",
                           t.length ? " " : "", c->sides[s].name);
        bg_text_puts(&t, ".");
    }
    end_text(&t, d, c->n > 2 ? bg_doc_item : bg_doc_text);
}

/* Which scheme. */

static const char *pick_of(const cmp_side *s)
{
    return s->advice && bg_advice_feasible(s->advice) ? bg_advice_pick(s->advice)->scheme : NULL;
}

static void put_basis(bg_text *t, const cmp_side *s)
{
    const bg_published_row *published = bg_advice_published(s->advice);
    switch (bg_advice_basis(s->advice)) {
    case BG_LOSS_KLD:
    case BG_LOSS_PPL:
        bg_text_printf(t, "%s %s", published ? "published" : "measured",
                       bg_advice_basis(s->advice) == BG_LOSS_KLD ? "KL divergence" : "perplexity");
        if (published) bg_text_printf(t, " of %s", published->model);
        break;
    case BG_LOSS_BPW: bg_text_puts(t, "quality estimated from bits per weight"); break;
    }
}

/* One basis when all have it, else each one's. */
static void put_bases(bg_text *t, const cmp *c)
{
    bool same = true, begun = false;
    bg_text first = {0};
    for (size_t s = 0; s < c->n; s++) {
        bg_text one = {0};
        if (!pick_of(&c->sides[s])) continue;
        put_basis(first.length ? &one : &first, &c->sides[s]);
        same = same && (!one.length || bg_cmp_same(one.data, first.data));
        bg_text_fini(&one);
    }
    bg_text_puts(t, " (by ");
    for (size_t s = 0; s < c->n && !(same && begun); s++) {
        if (!pick_of(&c->sides[s])) continue;
        bg_text_puts(t, begun ? "; " : "");
        begun = true;
        put_basis(t, &c->sides[s]);
        if (!same) bg_text_printf(t, " on %s", c->sides[s].name);
    }
    bg_text_puts(t, ").");
    t->failed |= first.failed;
    bg_text_fini(&first);
}

static bool told_any(const cmp *c, size_t side)
{
    for (size_t i = 0; i < c->n_pairs; i++)
        if (c->pairs[i].side == side && c->pairs[i].told) return true;
    return false;
}

/* Why picks that differ may not mean that the machines do. */
static void put_doubt(bg_text *t, const cmp *c, size_t side)
{
    const cmp_side *a = &c->sides[0], *b = &c->sides[side];
    const char *x = pick_of(a), *y = pick_of(b);
    if (!x || !y || strcmp(x, y) == 0) return;
    if (!bg_cmp_candidate(b, x) || !bg_cmp_candidate(a, y)) {
        bool first = !bg_cmp_candidate(a, y);
        bg_text_printf(t, " %s did not measure %s, so the picks are of different choices.",
                       (first ? a : b)->name, first ? y : x);
    } else if (bg_advice_basis(a->advice) != bg_advice_basis(b->advice)) {
        bg_text_printf(t, " The picks of %s and %s rest on different measures of quality.", a->name,
                       b->name);
    } else if (!told_any(c, side)) {
        bg_text_printf(t, " That the picks of %s and %s differ may be chance: none of their speeds "
                       "can be told apart.", a->name, b->name);
    }
}

static void put_picks(const cmp *c, doc *d)
{
    bg_text t = {0};
    const char *first = NULL;
    size_t same = 0, picks = 0;
    for (size_t s = 0; s < c->n; s++) {
        const char *pick = pick_of(&c->sides[s]);
        if (!pick) continue;
        if (!first) first = pick;
        same += strcmp(first, pick) == 0;
        picks++;
    }
    if (picks == 0) return;
    if (same == c->n)
        bg_text_printf(&t, "Recommended, balancing speed against quality: %s on %s", first,
                       c->n == 2 ? "both" : "all");
    else bg_text_puts(&t, "Recommended, balancing speed against quality: ");
    for (size_t s = 0, shown = 0; s < c->n; s++) {
        const char *pick = pick_of(&c->sides[s]);
        if (same == c->n || !pick) continue;
        bg_text_printf(&t, "%s%s on %s", shown == 0 ? "" : shown + 1 == picks ? " and " : ", ",
                       pick, c->sides[s].name);
        shown++;
    }
    put_bases(&t, c);
    for (size_t s = 1; s < c->n; s++) put_doubt(&t, c, s);
    end_text(&t, d, bg_doc_text);
}

/* What cannot be compared. */

static bool other_machine(const cmp_side *a, const cmp_side *b)
{
    if (isnan(a->origin.cores) || isnan(b->origin.cores))
        return a->origin.cpu[0] && b->origin.cpu[0] && strcmp(a->origin.cpu, b->origin.cpu) != 0;
    return strcmp(a->origin.machine, b->origin.machine) != 0;
}

static void put_different(const cmp *c, doc *d)
{
    bg_text t = {0};
    bool machines = false, engines = false;
    if (c->models.n > 1) {
        put_list(&t, c->models.list, c->models.n);
        bg_doc_item(d, "The folders hold different models (%s): their speeds say nothing of the "
                    "machines, and are left out.", t.data ? t.data : "");
    }
    bg_text_fini(&t);
    for (size_t s = 1; s < c->n; s++) {
        machines |= other_machine(&c->sides[0], &c->sides[s]);
        engines |= strcmp(c->sides[0].origin.engine, c->sides[s].origin.engine) != 0;
    }
    if (machines && engines)
        bg_doc_item(d, "Machines and engines differ at once: what comes of which cannot be told.");
    else if (engines)
        bg_doc_item(d, "Engines differ: each measured in its own way, and only what they time is "
                    "compared.");
}

/* Names that a side has and no other one does (of a test: in that test). */
static size_t only_in(const cmp *c, size_t side, const cmp_names *names, bool tests,
                      const char **out)
{
    size_t n = 0;
    for (size_t i = 0; i < names->n; i++) {
        size_t has = 0;
        bool here = false;
        for (size_t s = 0; s < c->n; s++) {
            bool there = false;
            for (size_t r = 0; r < bg_results_row_count(c->sides[s].results) && !there; r++) {
                const bg_row *row = bg_results_row(c->sides[s].results, r);
                there = bg_row_number(row, BG_COL_TPS) > 0 &&
                        bg_cmp_same(bg_row_text(row, tests ? BG_COL_TEST : BG_COL_SCHEME),
                                    names->list[i]);
            }
            has += there;
            here |= there && s == side;
        }
        if (here && has == 1) out[n++] = names->list[i];
    }
    return n;
}

static void put_alone(const cmp *c, doc *d, bool tests)
{
    const cmp_names *names = tests ? &c->tests : &c->schemes;
    const char **alone = bg_alloc(BG_MAX(names->n, 1), sizeof *alone);
    for (size_t s = 0; alone && s < c->n && c->models.n == 1; s++) {
        size_t n = only_in(c, s, names, tests, alone);
        bg_text t = {0};
        if (n == 0) continue;
        bg_text_printf(&t, "Only %s measured %s%s%s: ", c->sides[s].name, tests ? "the test" : "",
                       tests ? plural(n) : "",
                       tests ? "" : n == 1 ? "this scheme" : "these schemes");
        put_list(&t, alone, n);
        bg_text_puts(&t, ".");
        end_text(&t, d, bg_doc_item);
    }
    d->failed |= !alone;
    bg_free(alone);
}

/* Sides of which something holds, in one sentence. */
static void put_sides(const cmp *c, doc *d, bool (*holds)(const cmp *c, size_t side),
                      const char *before, const char *after)
{
    const char *list[BG_REPORT_SIDES];
    size_t n = 0;
    bg_text t = {0};
    for (size_t s = 0; s < c->n; s++)
        if (holds(c, s)) list[n++] = c->sides[s].name;
    if (n == 0) return;
    bg_text_puts(&t, before);
    put_list(&t, list, n);
    bg_text_puts(&t, after);
    end_text(&t, d, bg_doc_item);
}

static bool any_row(const cmp *c, size_t side, bool (*holds)(const bg_row *row))
{
    for (size_t i = 0; i < c->n_pairs; i++) {
        const cmp_pair *p = &c->pairs[i];
        if ((p->side == side && holds(p->row)) || (side == 0 && holds(p->base))) return true;
    }
    return false;
}

static bool lacks_interval(const bg_row *row) { return !bg_row_has(row, BG_COL_TPS_LOW); }
static bool is_predicted(const bg_row *row)
{
    return bg_cmp_same(bg_row_text(row, BG_COL_SOURCE), "predicted");
}
static bool is_above(const bg_row *row) { return bg_row_number(row, BG_COL_ROOF_PCT) > 105; }

static bool unnamed(const cmp *c, size_t s) { return isnan(c->sides[s].origin.cores); }
static bool without_interval(const cmp *c, size_t s) { return any_row(c, s, lacks_interval); }
static bool predicted(const cmp *c, size_t s) { return any_row(c, s, is_predicted); }
static bool above_roof(const cmp *c, size_t s) { return any_row(c, s, is_above); }

static bool without_floor(const cmp *c, size_t s)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(c->sides[s].machine, "noise_floors"), i, one)
        if (bg_report_json_number(one, "floor") > 0) return false;
    return c->n_pairs > 0;
}

void bg_cmp_conclude(const cmp *c, doc *d)
{
    put_speeds(c, d);
    put_picks(c, d);
    put_bounds(c, d);
    bg_doc_heading(d, 2, "What the comparison does not carry");
    put_different(c, d);
    put_alone(c, d, true);
    put_alone(c, d, false);
    put_sides(c, d, unnamed, "Which machine is not said in full, so that it may be another one: ",
              ".");
    put_sides(c, d, without_interval, "Speeds without an interval (under three repetitions, or "
              "none kept), so that how much of their ratios is chance is not known: ", ".");
    put_sides(c, d, predicted, "Speeds predicted from some of the layers: ", ".");
    put_sides(c, d, above_roof, "Shares above 100 %: the roof was seen lower than the machine "
              "went at another time, on ", ".");
    put_sides(c, d, without_floor, "Noise floor not calibrated, taken to be 30 % (`bitgauge probe "
              "--noise` measures it): ", ".");
    bg_doc_item(d, "Each folder is one run: what another day, a restart or a warmer room changes "
                "is in no interval.");
}
