/* explain.c: why the pick, and why not the others, in sentences with numbers. */
#include "advise/advise.h"

#include <math.h>
#include <string.h>

enum { MAX_RUNNERS = 5 };

const char *bg_advise_number(char *buffer, size_t n, double value)
{
    double v = fabs(value);
    if (v >= 99.95 || v <= 0) snprintf(buffer, n, "%.0f", value);
    else if (v >= 0.9995) snprintf(buffer, n, "%.*f", v >= 9.995 ? 1 : 2, value);
    else if (v >= 9.5e-6) snprintf(buffer, n, "%.*f", 1 - (int)floor(log10(v * 1.0001)), value);
    else snprintf(buffer, n, "%.1e", value);
    return buffer;
}

/* Collects phrases: "a", "a and b", "a, b and c". */
typedef struct phrases { char text[3][96]; size_t n; } phrases;

static void add_phrase(phrases *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_phrase(phrases *p, const char *format, ...)
{
    va_list ap;
    if (p->n == BG_COUNT(p->text)) return;
    va_start(ap, format);
    vsnprintf(p->text[p->n++], sizeof p->text[0], format, ap);
    va_end(ap);
}

static void join_phrases(bg_text *out, const phrases *p)
{
    for (size_t i = 0; i < p->n; i++)
        bg_text_printf(out, "%s%s", i == 0 ? "" : i + 1 == p->n ? " and " : ", ", p->text[i]);
}

static const char *loss_name(const bg_advice *a)
{
    static const char *const names[][2] = {
        [BG_LOSS_KLD] = {"KL divergence", "published KL divergence"},
        [BG_LOSS_PPL] = {"loss of perplexity", "published loss of perplexity"},
        [BG_LOSS_BPW] = {"estimated loss", "estimated loss"},
    };
    return names[a->basis][a->published != NULL];
}

static void compare_speed(const bg_candidate *c, const bg_candidate *pick, phrases *good,
                          phrases *bad, bool *same)
{
    int faster = bg_advise_compare_speed(c, pick);
    double ratio = c->tg_tps / pick->tg_tps;
    *same = faster == 0 && !isnan(ratio);
    if (isnan(ratio) || faster == 0) return;
    if (ratio >= 1.5) add_phrase(good, "%.1f times as fast", ratio);
    else if (faster > 0) add_phrase(good, "%.*f %% faster", ratio < 1.1, 100 * (ratio - 1));
    else add_phrase(bad, "%.*f %% slower", ratio > 0.9, BG_MIN(99, 100 * (1 - ratio)));
}

static void compare_loss(const bg_advice *a, const bg_candidate *c, const bg_candidate *pick,
                         phrases *good, phrases *bad)
{
    const char *name = loss_name(a);
    double ratio = c->loss / pick->loss;
    char number[32];
    if (isnan(c->loss) || isnan(pick->loss) || (c->loss <= 0 && pick->loss <= 0)) return;
    if (c->loss <= 0) {
        add_phrase(good, "no loss of quality");
    } else if (pick->loss <= 0) {
        add_phrase(bad, "%s %s %s", a->basis == BG_LOSS_BPW ? "an" : "a", name,
                   bg_advise_number(number, sizeof number, c->loss));
    } else if (ratio >= 2) {
        add_phrase(bad, "%.*f times the %s", ratio < 9.95, ratio, name);
    } else if (ratio >= 1.005) {
        add_phrase(bad, "%.0f %% more %s", 100 * (ratio - 1), name);
    } else if (ratio <= 0.995) {
        add_phrase(good, "%.0f %% less %s", BG_MIN(99, 100 * (1 - ratio)), name);
    }
}

static void compare_memory(const bg_candidate *c, const bg_candidate *pick, phrases *good,
                           phrases *bad)
{
    double ratio = c->memory_bytes / pick->memory_bytes;
    if (strcmp(c->engine, pick->engine) != 0) return; /* measured in different ways */
    if (isnan(ratio) || fabs(ratio - 1) < 0.005) return;
    if (ratio >= 2) add_phrase(bad, "%.1f times the memory", ratio);
    else if (ratio > 1) add_phrase(bad, "%.0f %% more memory", 100 * (ratio - 1));
    else add_phrase(good, "%.0f %% less memory", 100 * (1 - ratio));
}

/* "9 % faster, but 3.2 times the KL divergence" */
static char *compare_words(const bg_advice *a, const bg_candidate *c, const bg_candidate *pick)
{
    phrases good = {.n = 0}, bad = {.n = 0};
    bg_text t = {0};
    bool same_speed;
    compare_speed(c, pick, &good, &bad, &same_speed);
    compare_loss(a, c, pick, &good, &bad);
    compare_memory(c, pick, &good, &bad);
    if (same_speed)
        bg_text_puts(&t, good.n || bad.n ? "as fast within noise; " : "as fast within noise");
    join_phrases(&t, &good);
    if (good.n && bad.n) bg_text_puts(&t, ", but ");
    join_phrases(&t, &bad);
    if (!t.length) bg_text_puts(&t, "no different in what was measured");
    return t.data;
}

/* The unquantized candidate to compare with; NULL when it was not measured, or is c. */
static const bg_candidate *unquantized(const bg_advice *a, const bg_candidate *c)
{
    const bg_candidate *found = NULL;
    for (size_t i = 0; i < a->n; i++)
        if (a->c[i].bpw >= BG_UNQUANTIZED_BPW && a->c[i].tg &&
            strcmp(a->c[i].engine, c->engine) == 0 &&
            (!found || strcmp(a->c[i].scheme, "F16") == 0))
            found = &a->c[i];
    return found == c ? NULL : found;
}

/* "read L3" -> "reading from L3" */
static void say_roof(const char *roof, bg_text *t)
{
    static const struct { const char *kind, *before, *after; } kinds[] = {
        {"read ", "reading from ", ""},
        {"flop ", "", " float arithmetic"},
        {"int8op ", "", " integer arithmetic"},
    };
    for (size_t i = 0; i < BG_COUNT(kinds); i++) {
        size_t n = strlen(kinds[i].kind);
        if (strncmp(roof, kinds[i].kind, n)) continue;
        bg_text_printf(t, "%s%s%s", kinds[i].before, roof + n, kinds[i].after);
        return;
    }
    bg_text_puts(t, roof);
}

static void say_speed(const bg_advice *a, const bg_candidate *c, bg_text *t)
{
    const bg_candidate *full = unquantized(a, c);
    const char *roof = c->tg ? bg_row_text(c->tg, BG_COL_ROOF) : NULL;
    double share = c->tg ? bg_row_number(c->tg, BG_COL_ROOF_PCT) : NAN;
    char tps[32], low[32], high[32], size[32];
    bg_text_printf(t, "%s ", c->name);
    if (!isnan(c->tg_tps)) {
        bg_text_printf(t, "%s %s tokens/s", bg_candidate_predicted(c) ? "should decode" : "decodes",
                       bg_advise_number(tps, sizeof tps, c->tg_tps));
        if (!isnan(c->tg_low))
            bg_text_printf(t, " (95 %% interval %s to %s)",
                           bg_advise_number(low, sizeof low, c->tg_low),
                           bg_advise_number(high, sizeof high, c->tg_high));
        else
            bg_text_puts(t, " (too few repetitions for an interval)");
        if (full)
            bg_text_printf(t, ", %.*f times as fast as %s", c->tg_tps / full->tg_tps < 1.1 ? 2 : 1,
                           c->tg_tps / full->tg_tps, full->name);
        if (roof && !isnan(share)) {
            bg_text_printf(t, "%s %.0f %% of its roof (", full ? " and" : ",", share);
            say_roof(roof, t);
            bg_text_puts(t, ")");
        }
        if (bg_candidate_predicted(c))
            bg_text_printf(t, ", predicted from %.0f of its layers",
                           bg_row_number(c->tg, BG_COL_LAYERS));
        bg_text_puts(t, ", and ");
    }
    bg_text_printf(t, "needs %s of memory with the KV cache of %.0f tokens",
                   bg_format_size(size, sizeof size, c->memory_bytes), a->query.ctx);
    bg_text_puts(t, ".");
}

static void say_published(const bg_advice *a, const bg_candidate *c, bg_text *t)
{
    const bg_published_row *p = a->published;
    char number[32], percent[32];
    bg_text_printf(t, "Its quality was not measured, for it has no weights here. Published for %s, "
                   "the nearest model that there is a table of (%s; %s)", p->model, p->source,
                   p->text);
    if (isnan(c->loss)) {
        bg_text_printf(t, ", is nothing about %s.", c->name);
        return;
    }
    if (c->loss <= 0) {
        bg_text_puts(t, ", are losses against this.");
        return;
    }
    bg_text_printf(t, ": %s %% %s perplexity",
                   bg_advise_number(percent, sizeof percent, fabs(c->ppl_loss_pct)),
                   c->ppl_loss_pct < 0 ? "less" : "more");
    if (!isnan(c->kld))
        bg_text_printf(t, " and a KL divergence of %s nats",
                       bg_advise_number(number, sizeof number, c->kld));
    bg_text_puts(t, ".");
}

static void say_loss(const bg_advice *a, const bg_candidate *c, bg_text *t)
{
    char number[32], percent[32];
    if (a->published) {
        say_published(a, c, t);
        return;
    }
    if (a->basis == BG_LOSS_BPW) {
        bg_text_printf(t, "Quality was not measured; that it costs a KL divergence near %s nats is "
                       "an estimate from its %.2f bits per weight.",
                       bg_advise_number(number, sizeof number, c->loss), c->bpw);
        return;
    }
    if (isnan(c->loss)) {
        bg_text_puts(t, "Its quality was not measured.");
        return;
    }
    if (c->loss <= 0) {
        bg_text_puts(t, "It loses nothing: it predicts what the source model predicts.");
        return;
    }
    bg_advise_number(percent, sizeof percent, fabs(c->ppl_loss_pct));
    if (isnan(c->ppl_loss_pct)) bg_text_puts(t, "Its");
    else if (fabs(c->ppl_loss_pct) < 0.01)
        bg_text_printf(t, "Its perplexity is the source's;%s",
                       a->basis == BG_LOSS_KLD ? " its" : "");
    else bg_text_printf(t, "It %s %s %% of perplexity;%s", c->ppl_loss_pct < 0 ? "gains" : "costs",
                        percent, a->basis == BG_LOSS_KLD ? " its" : "");
    if (a->basis == BG_LOSS_KLD) {
        bg_text_printf(t, " KL divergence from the source is %s nats",
                       bg_advise_number(number, sizeof number, c->kld));
        if (!isnan(c->same_top_pct))
            bg_text_printf(t, ", and it agrees on the most likely token %.1f %% of the time",
                           c->same_top_pct);
    } else {
        bg_text_puts(t, " KL divergence was not measured");
    }
    bg_text_puts(t, ".");
    if (c->quality_by)
        bg_text_printf(t, " That was measured with %s, on the same weights; %s measured speed "
                       "alone.", c->quality_by, c->engine);
}

/* Quality is measured against the file that was given. */
static void say_source(const bg_candidate *c, bg_text *t)
{
    const char *formats = bg_row_text(c->any, BG_COL_SOURCE_FORMATS);
    if (formats)
        bg_text_printf(t, "The source is quantized already (%s): quality is relative to that file, "
                       "which has lost some itself. An F16 file of the model would be a better "
                       "source.", formats);
}

/* The best under tight limits can still be bad: say so, and what would be better. */
static void say_warning(const bg_advice *a, const bg_candidate *c, bg_text *t)
{
    if (a->basis == BG_LOSS_BPW || !(c->loss > BG_HEAVY_LOSS)) return;
    bg_text_printf(t, "That is a heavy loss%s: a smaller model with more bits per weight is likely "
                   "to be better.", a->query.objective == BG_OBJECTIVE_BALANCED
                   ? ", but all that the limits allow" : "");
}

/* The next point of the front on one side of the pick. */
static const bg_candidate *neighbour(const bg_advice *a, const bg_candidate *pick, bool faster)
{
    const bg_candidate *best = NULL;
    for (size_t i = 0; i < a->n; i++) {
        const bg_candidate *c = &a->c[i];
        if (c == pick || !c->on_front || (c->tg_tps > pick->tg_tps) != faster) continue;
        if (!best || (faster ? c->tg_tps < best->tg_tps : c->tg_tps > best->tg_tps)) best = c;
    }
    return best;
}

/* Why c, which the front has beside the pick, is not picked. */
static void say_price(const bg_candidate *c, const bg_candidate *pick, bool faster, bool again,
                      bg_text *t)
{
    char low[32];
    if (!faster && bg_advise_speeds_overlap(c, pick) && c->tg_low < 0.9 * c->tg_tps)
        bg_text_printf(t, " may be slower than that: its interval begins at %s tokens/s",
                       bg_advise_number(low, sizeof low, BG_MAX(c->tg_low, 0)));
    else
        bg_text_printf(t, " %s more %s is worth", again ? "gives up" : "would give up",
                       faster ? "quality than its speed" : "speed than its quality");
}

static void say_knee(const bg_advice *a, const bg_candidate *pick, bg_text *t)
{
    bool said = false;
    for (int faster = 1; faster >= 0; faster--) {
        const bg_candidate *c = neighbour(a, pick, faster);
        char *words = c ? compare_words(a, c, pick) : NULL;
        if (!words) continue;
        bg_text_printf(t, "%s the next %s choice, %s (%s),",
                       said ? "; and" : "It is the knee of quality against speed:",
                       faster ? "faster" : "better", c->name, words);
        say_price(c, pick, faster, said, t);
        bg_free(words);
        said = true;
    }
    if (said) bg_text_puts(t, ".");
}

static void say_objective(const bg_advice *a, const bg_candidate *pick, bg_text *t)
{
    char number[32];
    switch (a->query.objective) {
    case BG_OBJECTIVE_SPEED:
        bg_text_puts(t, "Nothing that meets the limits decodes measurably faster.");
        break;
    case BG_OBJECTIVE_QUALITY:
        bg_text_puts(t, "Nothing that meets the limits loses less quality.");
        break;
    case BG_OBJECTIVE_SIZE:
        bg_text_puts(t, "Nothing that meets the limits needs less memory.");
        break;
    case BG_OBJECTIVE_ENERGY:
        bg_text_printf(t, "Nothing that meets the limits takes less energy: %s J per token.",
                       bg_advise_number(number, sizeof number, pick->j_per_token));
        break;
    default: say_knee(a, pick, t);
    }
}

/* Who of the front may be as fast, for all that was measured, without being equal. */
static void say_overlaps(const bg_advice *a, const bg_candidate *pick, bg_text *t)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        const bg_candidate *c = &a->c[i];
        if (c == pick || !c->on_front || !bg_advise_speeds_overlap(c, pick)) continue;
        bg_text_printf(t, "%s%s", n++ ? ", " : "Its speed is not told apart from that of ",
                       c->name);
    }
    if (n) bg_text_puts(t, ": the intervals overlap, and a longer sweep (--reps, --precision) "
                           "could name another.");
}

static bg_status add_reason(bg_advice *a, bg_text *t, bg_error *err)
{
    char **grown;
    if (t->failed) return bg_fail_nomem(err, "the recommendation", 256);
    if (!t->length) return BG_OK;
    grown = bg_grow(a->reasons, a->n_reasons + 1, sizeof *grown);
    if (!grown) return bg_fail_nomem(err, "the recommendation", 256);
    a->reasons = grown;
    a->reasons[a->n_reasons++] = t->data;
    memset(t, 0, sizeof *t);
    return BG_OK;
}

static void say_infeasible(const bg_advice *a, const bg_candidate *c, bg_text *t)
{
    const char *lacks = bg_advise_lacks(a, c, a->query.objective);
    bool any = false;
    if (lacks) {
        bg_text_printf(t, "No scheme can be recommended for %s: %s.",
                       bg_objective_name(a->query.objective), lacks);
        if (a->query.objective != BG_OBJECTIVE_BALANCED)
            bg_text_printf(t, " %s comes nearest otherwise.", c->name);
        return;
    }
    bg_text_printf(t, "No scheme meets the limits. %s comes nearest, but it ", c->name);
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++) {
        const limit_info *info = &bg_limits[l];
        double value = info->value(c, &a->query);
        char has[64], bound[64], option[64];
        if (bg_limit_holds(l, c, &a->query)) continue;
        info->print(bound, sizeof bound, a->query.limit[l]);
        bg_text_puts(t, any ? " and " : "");
        any = true;
        if (isnan(value)) {
            bg_text_printf(t, "cannot be judged by %s: %s", info->option, info->unknown);
            continue;
        }
        info->print(has, sizeof has, value);
        bg_limit_option(option, sizeof option, l, value, 3);
        bg_text_printf(t, "%s %s where the limit is %s (relax it to %s)", info->verb, has, bound,
                       option);
    }
    bg_text_puts(t, ".");
}

/* What the limits that were asked for removed. */
static void say_removed(const bg_advice *a, bg_text *t)
{
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++) {
        size_t count = 0;
        char bound[64];
        for (size_t i = 0; i < a->n; i++) count += !bg_limit_holds(l, &a->c[i], &a->query);
        if (!count || a->query.implied[l]) continue;
        bg_limits[l].print(bound, sizeof bound, a->query.limit[l]);
        bg_text_printf(t, "%s%s %s removed %zu of %zu schemes", t->length ? "; " : "",
                       "The limit of", bound, count, a->n);
    }
    if (t->length) bg_text_puts(t, ".");
}

static bg_status make_reasons(bg_advice *a, bg_error *err)
{
    const bg_candidate *pick = &a->c[a->pick];
    bg_text t = {0};
    bg_status status = BG_OK;
    if (!a->feasible) {
        say_infeasible(a, pick, &t);
        if ((status = add_reason(a, &t, err)) != BG_OK) goto cleanup;
    }
    say_speed(a, pick, &t);
    if ((status = add_reason(a, &t, err)) != BG_OK) goto cleanup;
    say_loss(a, pick, &t);
    if ((status = add_reason(a, &t, err)) != BG_OK || !a->feasible) goto cleanup;
    say_source(pick, &t);
    if ((status = add_reason(a, &t, err)) != BG_OK) goto cleanup;
    say_warning(a, pick, &t);
    if ((status = add_reason(a, &t, err)) != BG_OK) goto cleanup;
    say_objective(a, pick, &t);
    if ((status = add_reason(a, &t, err)) != BG_OK) goto cleanup;
    say_overlaps(a, pick, &t);
    if ((status = add_reason(a, &t, err)) != BG_OK) goto cleanup;
    say_removed(a, &t);
    status = add_reason(a, &t, err);
cleanup:
    bg_text_fini(&t);
    return status;
}

static bg_status make_removed(bg_advice *a, bg_error *err)
{
    for (size_t i = 0; i < a->n; i++) {
        bg_candidate *c = &a->c[i];
        const char *lacks = bg_advise_lacks(a, c, a->query.objective);
        const char *failure = bg_advise_failure(c);
        bg_text t = {0};
        if (lacks && failure)
            bg_text_printf(&t, "failed: %s", failure);
        else if (lacks) bg_text_puts(&t, lacks);
        for (size_t l = 0; l < BG_LIMIT_COUNT; l++) {
            const limit_info *info = &bg_limits[l];
            double value = info->value(c, &a->query);
            char has[64], bound[64];
            if (bg_limit_holds(l, c, &a->query) || (lacks && isnan(value))) continue;
            info->print(bound, sizeof bound, a->query.limit[l]);
            if (t.length) bg_text_puts(&t, "; ");
            if (isnan(value)) {
                bg_text_printf(&t, "%s, limit %s", info->unknown, bound);
                continue;
            }
            info->print(has, sizeof has, value);
            bg_text_printf(&t, "%s %s, limit %s", info->verb, has, bound);
            if (a->query.implied[l] && l == BG_LIMIT_MEMORY)
                bg_text_puts(&t, " (what this machine had free)");
            else if (a->query.implied[l])
                bg_text_printf(&t, " (no longer the same model; %s lifts the limit)", info->option);
        }
        if (t.failed) {
            bg_text_fini(&t);
            return bg_fail_nomem(err, "the recommendation", 256);
        }
        a->removed[i] = t.data;
        c->removed_by = t.data;
    }
    return BG_OK;
}

static bg_status make_runners(bg_advice *a, const verdict *v, bg_error *err)
{
    a->runners = bg_alloc(MAX_RUNNERS, sizeof *a->runners);
    if (!a->runners) return bg_fail_nomem(err, "the recommendation", sizeof *a->runners);
    for (size_t i = 1; i < v->n && a->n_runners < MAX_RUNNERS; i++) {
        runner_up *r = &a->runners[a->n_runners];
        r->candidate = v->order[i];
        r->why = compare_words(a, &a->c[r->candidate], &a->c[a->pick]);
        if (!r->why) return bg_fail_nomem(err, "the recommendation", 128);
        a->n_runners++;
    }
    return BG_OK;
}

bg_status bg_advise_explain(bg_advice *a, const verdict *v, bg_error *err)
{
    a->removed = bg_alloc(a->n, sizeof *a->removed);
    if (!a->removed) return bg_fail_nomem(err, "the recommendation", a->n * sizeof *a->removed);
    BG_TRY(make_removed(a, err));
    BG_TRY(make_runners(a, v, err));
    return make_reasons(a, err);
}
