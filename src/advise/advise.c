#include "advise/advise.h"

#include <math.h>
#include <string.h>

static const char *const objective_names[BG_OBJECTIVE_COUNT] = {
    [BG_OBJECTIVE_BALANCED] = "balanced", [BG_OBJECTIVE_SPEED] = "speed",
    [BG_OBJECTIVE_QUALITY] = "quality",   [BG_OBJECTIVE_SIZE] = "size",
    [BG_OBJECTIVE_ENERGY] = "energy",
};

const char *bg_objective_name(bg_objective o)
{
    return (unsigned)o < BG_OBJECTIVE_COUNT ? objective_names[o] : "unknown";
}

/* The tokens of context that the sweep itself held: the longest of its tests. */
static double sweep_context(const bg_results *r)
{
    double longest = 0;
    for (size_t i = 0; i < bg_results_row_count(r); i++) {
        const bg_row *row = bg_results_row(r, i);
        double sum = 0;
        static const bg_column parts[] = {BG_COL_DEPTH, BG_COL_N_PROMPT, BG_COL_N_GEN};
        for (size_t p = 0; p < BG_COUNT(parts); p++)
            if (bg_row_has(row, parts[p])) sum += bg_row_number(row, parts[p]);
        longest = BG_MAX(longest, sum);
    }
    return longest > 0 ? longest : 512;
}

static void make_query(const bg_advice *a, const bg_advise_options *o, query *q)
{
    bool *implied = q->implied;
    memset(q, 0, sizeof *q);
    q->objective = o->objective;
    q->ctx = o->ctx ? o->ctx : sweep_context(a->results);
    q->limit[BG_LIMIT_MEMORY] = o->memory ? (double)o->memory : bg_advise_available(a->results);
    q->limit[BG_LIMIT_TPS] = o->min_tps > 0 ? o->min_tps : NAN;
    q->limit[BG_LIMIT_KLD] = o->max_kld > 0 ? o->max_kld : BG_ADVISE_USELESS_KLD;
    q->limit[BG_LIMIT_PPL] = o->max_ppl_loss_pct > 0     ? o->max_ppl_loss_pct
                             : a->basis == BG_LOSS_PPL ? 100 * expm1(BG_ADVISE_USELESS_KLD)
                                                       : NAN;
    implied[BG_LIMIT_MEMORY] = !o->memory;
    implied[BG_LIMIT_KLD] = !(o->max_kld > 0);
    implied[BG_LIMIT_PPL] = !(o->max_ppl_loss_pct > 0);
}

static bg_status check_options(const bg_advise_options *o, bg_error *err)
{
    if ((unsigned)o->objective >= BG_OBJECTIVE_COUNT)
        return bg_fail(err, BG_ERR_INPUT, NULL, "unknown objective %d", (int)o->objective);
    if (!(o->min_tps >= 0) || !(o->max_kld >= 0) || !(o->max_ppl_loss_pct >= 0))
        return bg_fail(err, BG_ERR_INPUT, NULL, "a limit cannot be negative");
    return BG_OK;
}

static bool anything_measured(const bg_advice *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->c[i].tg || a->c[i].pp || a->c[i].quality) return true;
    return false;
}

static void decide(bg_advice *a, verdict *v)
{
    bg_advise_judge(a, &a->query, v);
    a->feasible = v->n > 0;
    if (a->feasible) {
        a->pick = v->order[0];
    } else {
        /* Nobody has what the objective looks at: fall back on the balanced choice. */
        query q = a->query;
        size_t nearest = bg_advise_nearest(a, &q);
        if (bg_advise_lacks(a, &a->c[nearest], q.objective)) {
            q.objective = BG_OBJECTIVE_BALANCED;
            bg_advise_judge(a, &q, v);
            nearest = v->n ? v->order[0] : bg_advise_nearest(a, &q);
        }
        a->pick = nearest;
        v->n = 0;
    }
    for (size_t i = 0; i < a->n; i++) a->c[i].on_front = a->feasible && v->front[i];
}

static bg_status fail_infeasible(const bg_advice *a, bg_error *err)
{
    const char *lacks = bg_advise_lacks(a, bg_advice_pick(a), a->query.objective);
    bool relax = a->n_changes && a->changes[0].candidate == a->pick;
    return bg_fail(err, BG_ERR_INFEASIBLE, NULL, "%s: the nearest choice is %s%s%s",
                   lacks ? lacks : "no scheme meets the limits", bg_advice_pick(a)->name,
                   relax ? " with " : "", relax ? a->changes[0].option : "");
}

bg_status bg_advise(bg_advice **out, const bg_results *r, const bg_advise_options *o, bg_error *err)
{
    bg_advice *a;
    verdict v = {.n = 0}, scratch = {.n = 0};
    bg_status status;
    *out = NULL;
    BG_TRY(check_options(o, err));
    a = bg_alloc(1, sizeof *a);
    if (!a) return bg_fail_nomem(err, "the recommendation", sizeof *a);
    a->results = r;
    if ((status = bg_advise_join(a, o->engine, err)) != BG_OK) goto cleanup;
    if (!anything_measured(a)) {
        status = bg_fail(err, BG_ERR_INPUT, bg_results_dir(r),
                         "holds no scheme that was measured: run `bitgauge sweep --out DIR`");
        goto cleanup;
    }
    make_query(a, o, &a->query);
    a->no_energy = bg_advise_energy_reason(r);
    if ((status = bg_verdict_init(&v, a, err)) != BG_OK) goto cleanup;
    if ((status = bg_verdict_init(&scratch, a, err)) != BG_OK) goto cleanup;
    decide(a, &v);
    for (size_t i = 0; i < a->n; i++) {
        a->c[i].memory_bytes = bg_advise_memory(&a->c[i], a->query.ctx);
        a->c[i].kv_bytes = a->c[i].memory_bytes - a->c[i].weight_bytes -
                           (isnan(a->c[i].scratch_bytes) ? 0 : a->c[i].scratch_bytes);
    }
    if ((status = bg_advise_explain(a, &v, err)) != BG_OK) goto cleanup;
    if ((status = bg_advise_find_changes(a, &scratch, err)) != BG_OK) goto cleanup;
    if (!a->feasible) status = fail_infeasible(a, err);
    *out = a;
    a = NULL;
cleanup:
    bg_verdict_fini(&v);
    bg_verdict_fini(&scratch);
    bg_advice_close(&a);
    return status;
}

void bg_advice_close(bg_advice **advice)
{
    bg_advice *a = advice ? *advice : NULL;
    if (!a) return;
    for (size_t i = 0; a->removed && i < a->n; i++) bg_free(a->removed[i]);
    for (size_t i = 0; i < a->n_reasons; i++) bg_free(a->reasons[i]);
    for (size_t i = 0; i < a->n_runners; i++) bg_free(a->runners[i].why);
    bg_free(a->removed);
    bg_free(a->names);
    bg_free(a->reasons);
    bg_free(a->runners);
    bg_free(a->changes);
    bg_free(a->change_text);
    bg_free(a->no_energy);
    bg_published_close(&a->tables);
    bg_free(a->c);
    bg_free(a);
    *advice = NULL;
}

const bg_candidate *bg_advice_pick(const bg_advice *a) { return &a->c[a->pick]; }
bool bg_advice_feasible(const bg_advice *a) { return a->feasible; }
bg_loss_basis bg_advice_basis(const bg_advice *a) { return a->basis; }
bg_objective bg_advice_objective(const bg_advice *a) { return a->query.objective; }
uint32_t bg_advice_ctx(const bg_advice *a) { return (uint32_t)a->query.ctx; }
size_t bg_advice_count(const bg_advice *a) { return a->n; }
const bg_candidate *bg_advice_candidate(const bg_advice *a, size_t i) { return &a->c[i]; }
size_t bg_advice_reason_count(const bg_advice *a) { return a->n_reasons; }
const char *bg_advice_reason(const bg_advice *a, size_t i) { return a->reasons[i]; }
size_t bg_advice_runner_up_count(const bg_advice *a) { return a->n_runners; }

const bg_candidate *bg_advice_runner_up(const bg_advice *a, size_t i, const char **why)
{
    if (why) *why = a->runners[i].why;
    return &a->c[a->runners[i].candidate];
}

size_t bg_advice_change_count(const bg_advice *a) { return a->n_changes; }
const char *bg_advice_change(const bg_advice *a, size_t i) { return a->change_text[i]; }
