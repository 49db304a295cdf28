/* join.c: the rows of each scheme become one candidate. */
#include "advise/advise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool row_ok(const bg_row *r)
{
    const char *status = bg_row_text(r, BG_COL_STATUS);
    return !status || strcmp(status, "ok") == 0;
}

static bool is_test(const bg_row *r, const char *prefix)
{
    const char *test = bg_row_text(r, BG_COL_TEST);
    return test && strncmp(test, prefix, strlen(prefix)) == 0 && bg_row_has(r, BG_COL_TPS);
}

/* Schemes are compared on the same test: the one of this kind that most rows have. */
static const char *common_test(const bg_results *r, const char *prefix)
{
    const char *best = NULL;
    size_t best_count = 0, n = bg_results_row_count(r);
    for (size_t i = 0; i < n; i++) {
        const bg_row *row = bg_results_row(r, i);
        size_t count = 0;
        if (!row_ok(row) || !is_test(row, prefix)) continue;
        if (best && strcmp(best, bg_row_text(row, BG_COL_TEST)) == 0) continue;
        for (size_t j = 0; j < n; j++) {
            const char *test = bg_row_text(bg_results_row(r, j), BG_COL_TEST);
            if (test && strcmp(test, bg_row_text(row, BG_COL_TEST)) == 0) count++;
        }
        if (count > best_count) {
            best = bg_row_text(row, BG_COL_TEST);
            best_count = count;
        }
    }
    return best;
}

static const char *engine_of(const bg_row *row)
{
    const char *engine = bg_row_text(row, BG_COL_ENGINE);
    return engine ? engine : "bitgauge";
}

static bg_candidate *find_or_add(bg_advice *a, const bg_row *row)
{
    const char *scheme = bg_row_text(row, BG_COL_SCHEME), *engine = engine_of(row);
    bg_candidate *c;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->c[i].scheme, scheme) == 0 && strcmp(a->c[i].engine, engine) == 0)
            return &a->c[i];
    c = &a->c[a->n++];
    c->scheme = c->name = scheme;
    c->engine = engine;
    c->any = row;
    return c;
}

/* The first known value of a column that is the same for every row of a scheme in an engine. */
static double first_known(const bg_results *r, const bg_candidate *c, bg_column column)
{
    for (size_t i = 0; i < bg_results_row_count(r); i++) {
        const bg_row *row = bg_results_row(r, i);
        const char *name = bg_row_text(row, BG_COL_SCHEME);
        if (name && strcmp(name, c->scheme) == 0 && strcmp(engine_of(row), c->engine) == 0 &&
            bg_row_has(row, column))
            return bg_row_number(row, column);
    }
    return NAN;
}

/* Not of activations that no engine here has. */
static bool tells_quality(const bg_row *row)
{
    const char *source = bg_row_text(row, BG_COL_SOURCE);
    return row_ok(row) && (!source || strcmp(source, "simulated") != 0) &&
           (bg_row_has(row, BG_COL_KLD) || bg_row_has(row, BG_COL_PPL));
}

/* Engines run the same weights: one that did not measure their quality has it from another, and
 * says so. */
static void borrow_quality(const bg_advice *a, bg_candidate *c)
{
    for (size_t i = 0; i < bg_results_row_count(a->results) && !c->quality; i++) {
        const bg_row *row = bg_results_row(a->results, i);
        const char *name = bg_row_text(row, BG_COL_SCHEME);
        if (!name || strcmp(name, c->scheme) != 0 || !tells_quality(row)) continue;
        c->quality = row;
        c->quality_by = engine_of(row);
    }
}

static bg_status name_candidates(bg_advice *a, bg_error *err)
{
    bool several = false;
    for (size_t i = 0; i < bg_results_row_count(a->results) && a->n; i++)
        several |= strcmp(engine_of(bg_results_row(a->results, i)), a->c[0].engine) != 0;
    if (!several) return BG_OK;
    a->names = bg_alloc(a->n, sizeof *a->names);
    if (!a->names) return bg_fail_nomem(err, "the recommendation", a->n * sizeof *a->names);
    for (size_t i = 0; i < a->n; i++) {
        snprintf(a->names[i], sizeof a->names[i], "%.60s with %.24s", a->c[i].scheme,
                 a->c[i].engine);
        a->c[i].name = a->names[i];
    }
    return BG_OK;
}

static void take_fastest(const bg_row **best, const bg_row *row)
{
    if (!*best || bg_row_number(row, BG_COL_TPS) > bg_row_number(*best, BG_COL_TPS)) *best = row;
}

static void take_speed(const bg_row *row, double *tps, double *low, double *high)
{
    *tps = row ? bg_row_number(row, BG_COL_TPS) : NAN;
    *low = row ? bg_row_number(row, BG_COL_TPS_LOW) : NAN;
    *high = row ? bg_row_number(row, BG_COL_TPS_HIGH) : NAN;
}

/* The perplexity of the source: as recorded, else that of the unquantized scheme. */
static double base_perplexity(const bg_advice *a, const bg_candidate *c)
{
    double base = c->quality ? bg_row_number(c->quality, BG_COL_BASE_PPL) : NAN;
    for (size_t i = 0; i < a->n && isnan(base); i++)
        if (a->c[i].bpw >= BG_UNQUANTIZED_BPW && a->c[i].quality)
            base = bg_row_number(a->c[i].quality, BG_COL_PPL);
    return base;
}

static void fill_quality(const bg_advice *a, bg_candidate *c)
{
    double base = base_perplexity(a, c);
    c->ppl = c->quality ? bg_row_number(c->quality, BG_COL_PPL) : NAN;
    c->kld = c->quality ? bg_row_number(c->quality, BG_COL_KLD) : NAN;
    c->kld_se = c->quality ? bg_row_number(c->quality, BG_COL_KLD_SE) : NAN;
    c->same_top_pct = c->quality ? bg_row_number(c->quality, BG_COL_SAME_TOP) : NAN;
    c->ppl_loss_pct = 100 * (c->ppl / base - 1);
    if (isnan(c->kld) && c->ppl == base) c->kld = 0; /* the source itself */
}

static void fill_loss(bg_advice *a)
{
    a->basis = BG_LOSS_BPW;
    for (size_t i = 0; i < a->n; i++) {
        if (!isnan(a->c[i].kld) && a->c[i].kld > 0) a->basis = BG_LOSS_KLD;
        else if (!isnan(a->c[i].ppl_loss_pct) && a->basis == BG_LOSS_BPW) a->basis = BG_LOSS_PPL;
    }
    for (size_t i = 0; i < a->n; i++) {
        bg_candidate *c = &a->c[i];
        double loss = a->basis == BG_LOSS_KLD   ? c->kld
                      : a->basis == BG_LOSS_PPL ? log1p(c->ppl_loss_pct / 100)
                      : c->bpw >= BG_UNQUANTIZED_BPW          ? 0
                                                : 32 * pow(4, -c->bpw);
        c->loss = loss < 0 ? 0 : loss;
    }
}

/* Engines run the same weights: what their arithmetic makes of them is no reason to choose, where
 * it is within the error. An engine that does worse than that keeps its loss. */
static void level_losses(bg_advice *a)
{
    for (size_t i = 0; i < a->n && a->basis == BG_LOSS_KLD; i++) {
        const bg_candidate *c = &a->c[i];
        for (size_t k = i + 1; k < a->n; k++) {
            bg_candidate *other = &a->c[k];
            if (strcmp(c->scheme, other->scheme) == 0 &&
                fabs(c->kld - other->kld) <= c->kld_se + other->kld_se)
                other->loss = c->loss;
        }
    }
}

static int by_size(const void *pa, const void *pb)
{
    const bg_candidate *a = pa, *b = pb;
    double x = isnan(a->weight_bytes) ? INFINITY : a->weight_bytes;
    double y = isnan(b->weight_bytes) ? INFINITY : b->weight_bytes;
    return x < y ? -1 : x > y ? 1 : strcmp(a->name, b->name);
}

bg_status bg_advise_join(bg_advice *a, const char *engine, bg_error *err)
{
    const bg_results *r = a->results;
    size_t rows = bg_results_row_count(r);
    const char *tg = common_test(r, "tg"), *pp = common_test(r, "pp");
    a->c = bg_alloc(rows ? rows : 1, sizeof *a->c);
    if (!a->c) return bg_fail_nomem(err, "the recommendation", rows * sizeof *a->c);
    for (size_t i = 0; i < rows; i++) {
        const bg_row *row = bg_results_row(r, i);
        const char *test = bg_row_text(row, BG_COL_TEST);
        bg_candidate *c;
        if (!bg_row_text(row, BG_COL_SCHEME)) continue;
        if (engine && strcmp(engine_of(row), engine) != 0) continue;
        c = find_or_add(a, row);
        if (!row_ok(row)) continue;
        if (!row_ok(c->any)) c->any = row;
        if (tg && test && strcmp(test, tg) == 0 && is_test(row, "tg")) take_fastest(&c->tg, row);
        if (pp && test && strcmp(test, pp) == 0 && is_test(row, "pp")) take_fastest(&c->pp, row);
        if (!c->quality && tells_quality(row)) c->quality = row;
    }
    if (engine && a->n == 0)
        return bg_fail(err, BG_ERR_INPUT, bg_results_dir(r), "holds nothing that %s ran", engine);
    BG_TRY(name_candidates(a, err));
    for (size_t i = 0; i < a->n; i++)
        if (a->c[i].tg || a->c[i].pp) borrow_quality(a, &a->c[i]);
    for (size_t i = 0; i < a->n; i++) {
        bg_candidate *c = &a->c[i];
        c->bpw = first_known(r, c, BG_COL_BPW);
        c->weight_bytes = first_known(r, c, BG_COL_WEIGHT_BYTES);
        c->scratch_bytes = c->tg ? bg_row_number(c->tg, BG_COL_SCRATCH) : NAN;
        if (isnan(c->scratch_bytes)) c->scratch_bytes = first_known(r, c, BG_COL_SCRATCH);
        c->j_per_token = c->tg ? bg_row_number(c->tg, BG_COL_J_TOKEN) : NAN;
        take_speed(c->tg, &c->tg_tps, &c->tg_low, &c->tg_high);
        take_speed(c->pp, &c->pp_tps, &c->pp_low, &c->pp_high);
    }
    for (size_t i = 0; i < a->n; i++) fill_quality(a, &a->c[i]);
    BG_TRY(bg_advise_publish(a, err));
    fill_loss(a);
    level_losses(a);
    qsort(a->c, a->n, sizeof *a->c, by_size);
    return BG_OK;
}
