/* render.c: the advice as text for people and as JSON for programs. */
#include "advise/advise.h"

#include "base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double bg_advise_available(const bg_results *r)
{
    const char *text = bg_results_machine(r);
    json_t *machine = text ? json_loads(text, 0, NULL) : NULL;
    json_t *bytes = json_object_get(json_object_get(machine, "memory"), "available");
    double value = json_is_number(bytes) ? json_number_value(bytes) : NAN;
    json_decref(machine);
    return value > 0 ? value : NAN;
}

char *bg_advise_energy_reason(const bg_results *r)
{
    const char *text = bg_results_machine(r);
    json_t *machine = text ? json_loads(text, 0, NULL) : NULL, *source;
    bg_text t = {0};
    size_t i;
    json_array_foreach(json_object_get(machine, "energy"), i, source) {
        const char *status = json_string_value(json_object_get(source, "status"));
        const char *reason = json_string_value(json_object_get(source, "reason"));
        if (status && strcmp(status, "ok") == 0) {
            bg_text_fini(&t);
            break;
        }
        if (!t.length && reason)
            bg_text_printf(&t, "no energy source on this machine (%s)", reason);
    }
    json_decref(machine);
    return t.data;
}

/* Appends `text` wrapped to width; the first line starts with `lead`, others with as many blanks.
 */
static void wrap(bg_text *t, const char *lead, const char *text, int width)
{
    size_t indent = strlen(lead), column = indent, limit = width > 20 ? (size_t)width : 80;
    bg_text_puts(t, lead);
    while (*text) {
        size_t n = strcspn(text, " ");
        if (column > indent && column + 1 + n > limit) {
            bg_text_printf(t, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            bg_text_puts(t, " ");
            column++;
        }
        bg_text_append(t, text, n);
        column += n;
        text += n;
        while (*text == ' ') text++;
    }
    bg_text_puts(t, "\n");
}

/* "213 tokens/s [205, 219]" */
static void print_speed(bg_text *t, double tps, double low, double high)
{
    char a[32], b[32], c[32];
    if (isnan(tps)) {
        bg_text_puts(t, "not measured");
        return;
    }
    bg_text_printf(t, "%s tokens/s", bg_advise_number(a, sizeof a, tps));
    if (!isnan(low) && !isnan(high))
        bg_text_printf(t, " [%s, %s]", bg_advise_number(b, sizeof b, low),
                       bg_advise_number(c, sizeof c, high));
}

/* What the rows tell of it. */
static const char *words_of(const bg_candidate *c, bg_column column)
{
    const bg_row *const rows[] = {c->any, c->quality, c->tg, c->pp};
    const char *words = NULL;
    for (size_t i = 0; i < BG_COUNT(rows) && !words; i++)
        if (rows[i]) words = bg_row_text(rows[i], column);
    return words;
}

static void print_facts(const bg_advice *a, bg_text *t)
{
    const bg_candidate *c = &a->c[a->pick];
    const char *pruned = words_of(c, BG_COL_PRUNED);
    char x[32], y[32], z[32], w[32];
    bg_text_puts(t, "  decode   ");
    print_speed(t, c->tg_tps, c->tg_low, c->tg_high);
    if (c->tg && bg_row_has(c->tg, BG_COL_THREADS))
        bg_text_printf(t, ", threads %.0f, %s%s", bg_row_number(c->tg, BG_COL_THREADS),
                       bg_row_has(c->tg, BG_COL_ISA) ? bg_row_text(c->tg, BG_COL_ISA) : c->engine,
                       bg_candidate_predicted(c) ? ", predicted" : "");
    bg_text_puts(t, "\n  prefill  ");
    print_speed(t, c->pp_tps, c->pp_low, c->pp_high);
    bg_text_printf(t, "\n  memory   %s: weights %s, KV cache of %.0f tokens %s, %s %s\n",
                   bg_format_size(x, sizeof x, c->memory_bytes),
                   bg_format_size(y, sizeof y, c->weight_bytes), a->query.ctx,
                   bg_format_size(z, sizeof z, c->kv_bytes),
                   strcmp(c->engine, "bitgauge") == 0 ? "activations" : "the rest of its process",
                   isnan(c->scratch_bytes) ? "unknown"
                                           : bg_format_size(w, sizeof w, c->scratch_bytes));
    if (pruned) bg_text_printf(t, "  pruned   %s\n", pruned);
}

/* Those that one limit removed, on one line. */
static void print_limit(const bg_advice *a, size_t limit, bg_text *t, int width)
{
    const limit_info *info = &bg_limits[limit];
    char bound[64], has[64];
    bg_text line = {0};
    for (size_t i = 0; i < a->n; i++) {
        double value = info->value(&a->c[i], &a->query);
        if (bg_limit_holds(limit, &a->c[i], &a->query)) continue;
        if (isnan(value) && bg_advise_failure(&a->c[i])) continue;
        info->print(has, sizeof has, value);
        info->print(bound, sizeof bound, a->query.limit[limit]);
        if (!line.length)
            bg_text_printf(&line, "%s %s%s: ", info->excess, bound,
                           !a->query.implied[limit]       ? ""
                           : limit == BG_LIMIT_MEMORY ? " (what the machine had free)"
                                                      : " (no longer the same model)");
        else bg_text_puts(&line, ", ");
        bg_text_printf(&line, "%s (%s)", a->c[i].name, isnan(value) ? info->unknown : has);
    }
    if (line.data) wrap(t, "  ", line.data, width);
    t->failed |= line.failed;
    bg_text_fini(&line);
}

static void print_removed(const bg_advice *a, bg_text *t, int width)
{
    const char *shared = NULL;
    bg_text line = {0};
    size_t start;
    bg_text_puts(t, "\nRemoved:\n");
    start = t->length;
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++) print_limit(a, l, t, width);
    for (size_t i = 0; i < a->n; i++) {
        const char *lacks = bg_advise_lacks(a, &a->c[i], a->query.objective);
        const char *failure = bg_advise_failure(&a->c[i]);
        if (!lacks) continue;
        if (failure) {
            bg_text_printf(t, "  %s failed: %s\n", a->c[i].name, failure);
            continue;
        }
        shared = lacks; /* every other has the objective's own lack */
        bg_text_printf(&line, "%s%s", line.length ? ", " : "", a->c[i].name);
    }
    if (line.data) {
        bg_text_printf(&line, ": %s", shared);
        wrap(t, "  ", line.data, width);
    }
    t->failed |= line.failed;
    bg_text_fini(&line);
    if (t->length == start) bg_text_puts(t, "  none\n");
}

static void print_others(const bg_advice *a, bg_text *t, int width)
{
    int name = 9;
    if (a->n_runners) bg_text_puts(t, "\nNext best:\n");
    for (size_t i = 0; i < a->n_runners; i++)
        name = BG_MAX(name, (int)strlen(a->c[a->runners[i].candidate].name));
    name = BG_MIN(name, 24);
    for (size_t i = 0; i < a->n_runners; i++) {
        char lead[48];
        snprintf(lead, sizeof lead, "  %-*.40s", name, a->c[a->runners[i].candidate].name);
        strcat(lead, " ");
        wrap(t, lead, a->runners[i].why, width);
    }
    print_removed(a, t, width);
    if (a->n_changes) bg_text_puts(t, "\nThe pick would change:\n");
    for (size_t i = 0; i < a->n_changes; i++) wrap(t, "  ", a->change_text[i], width);
}

static void print_conclusion(const bg_advice *a, bg_text *t)
{
    const bg_candidate *c = &a->c[a->pick];
    const char *published = a->published ? "published " : "";
    char x[32], y[32];
    if (!a->feasible) {
        bg_text_printf(t, "\nrecommended: none (nearest: %s", c->name);
        if (a->n_changes && a->changes[0].candidate == a->pick)
            bg_text_printf(t, " with %s", a->changes[0].option);
        bg_text_puts(t, ")\n");
        return;
    }
    bg_text_printf(t, "\nrecommended: %s (weights %s, memory %s", c->name,
                   bg_format_size(x, sizeof x, c->weight_bytes),
                   bg_format_size(y, sizeof y, c->memory_bytes));
    if (!isnan(c->tg_tps))
        bg_text_printf(t, ", %s%s tokens/s", bg_candidate_predicted(c) ? "predicted " : "",
                       bg_advise_number(x, sizeof x, c->tg_tps));
    if (!isnan(c->ppl_loss_pct)) /* adding 0 makes -0 a 0 */
        bg_text_printf(t, ", %sperplexity %+.2f %%", published,
                       round(100 * c->ppl_loss_pct) / 100 + 0.0);
    if (a->basis == BG_LOSS_KLD && !isnan(c->kld))
        bg_text_printf(t, ", %sKL divergence %s", published,
                       bg_advise_number(x, sizeof x, c->kld));
    if (a->basis == BG_LOSS_BPW) bg_text_puts(t, ", quality estimated");
    bg_text_puts(t, ")\n");
}

char *bg_advice_command(const bg_advice *a, const bg_candidate *c)
{
    static const char folder[] = "DIR/", ending[] = ".gguf";
    const char *words = words_of(c, BG_COL_MADE_WITH), *dir = bg_results_dir(a->results), *at;
    bg_origin origin;
    bg_text t = {0};
    size_t stem;
    if (!words || bg_results_origin(a->results, &origin, NULL) != BG_OK || !origin.model_file[0])
        return NULL;
    stem = strlen(origin.model_file);
    if (stem > sizeof ending && strcmp(origin.model_file + stem - sizeof ending + 1, ending) == 0)
        stem -= sizeof ending - 1;
    bg_text_printf(&t, "bitgauge quantize %s %.*s-%s%s ",
                   strcmp(origin.model_file, BG_EMBEDDED_FILE) == 0 ? BG_EMBEDDED_WORD
                                                                    : origin.model_file,
                   (int)stem, origin.model_file, c->scheme, ending);
    while ((at = strstr(words, folder))) {
        bg_text_append(&t, words, (size_t)(at - words));
        if (dir && *dir) bg_text_printf(&t, "%s/", dir);
        words = at + sizeof folder - 1;
    }
    bg_text_puts(&t, words);
    if (!t.failed) return t.data;
    bg_text_fini(&t);
    return NULL;
}

static void print_command(const bg_advice *a, bg_text *t)
{
    bool quantized = a->feasible && !(a->c[a->pick].bpw >= BG_UNQUANTIZED_BPW);
    char *command = quantized ? bg_advice_command(a, &a->c[a->pick]) : NULL;
    if (command) bg_text_printf(t, "\nTo make the file:\n  %s\n", command);
    bg_free_text(command);
}

bg_status bg_advice_text(const bg_advice *a, int width, char **text, bg_error *err)
{
    bg_text t = {0};
    *text = NULL;
    for (size_t i = 0; i < a->n_reasons; i++) wrap(&t, "", a->reasons[i], width);
    bg_text_puts(&t, "\n");
    print_facts(a, &t);
    print_others(a, &t, width);
    print_command(a, &t);
    print_conclusion(a, &t);
    if (t.failed) {
        bg_text_fini(&t);
        return bg_fail_nomem(err, "the recommendation", 4096);
    }
    *text = t.data;
    return BG_OK;
}

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *candidate_json(const bg_candidate *c)
{
    const char *isa = c->tg ? bg_row_text(c->tg, BG_COL_ISA) : NULL;
    const char *pruned = words_of(c, BG_COL_PRUNED);
    json_t *o = json_object();
    const struct { const char *key; double value; } numbers[] = {
        {"bpw", c->bpw}, {"weight_bytes", c->weight_bytes}, {"kv_bytes", c->kv_bytes},
        {"scratch_bytes", c->scratch_bytes}, {"memory_bytes", c->memory_bytes},
        {"tg_tps", c->tg_tps}, {"tg_tps_low", c->tg_low}, {"tg_tps_high", c->tg_high},
        {"pp_tps", c->pp_tps}, {"pp_tps_low", c->pp_low}, {"pp_tps_high", c->pp_high},
        {"ppl", c->ppl}, {"ppl_loss_pct", c->ppl_loss_pct}, {"kld_mean", c->kld},
        {"kld_se", c->kld_se}, {"same_top_pct", c->same_top_pct}, {"loss", c->loss},
        {"j_per_token", c->j_per_token},
        {"threads", c->tg ? bg_row_number(c->tg, BG_COL_THREADS) : NAN},
    };
    json_object_set_new(o, "scheme", json_string(c->scheme));
    json_object_set_new(o, "engine", json_string(c->engine));
    json_object_set_new(o, "quality_by", json_string(c->quality_by ? c->quality_by : c->engine));
    json_object_set_new(o, "isa", isa ? json_string(isa) : json_null());
    json_object_set_new(o, "pruned", pruned ? json_string(pruned) : json_null());
    json_object_set_new(o, "speed_source",
                        json_string(bg_candidate_predicted(c) ? "predicted" : "measured"));
    for (size_t i = 0; i < BG_COUNT(numbers); i++)
        json_object_set_new(o, numbers[i].key, number(numbers[i].value));
    return o;
}

static const char *basis_name(const bg_advice *a)
{
    static const char *const names[][2] = {
        [BG_LOSS_KLD] = {"measured KL divergence", "published KL divergence"},
        [BG_LOSS_PPL] = {"estimate from perplexity", "estimate from published perplexity"},
        [BG_LOSS_BPW] = {"estimate from bits per weight", "estimate from bits per weight"},
    };
    return names[a->basis][a->published != NULL];
}

static json_t *published_json(const bg_published_row *p)
{
    if (!p) return json_null();
    return json_pack("{s:s, s:s, s:s, s:f}", "model", p->model, "source", p->source, "text",
                     p->text, "ppl", p->ppl);
}

static json_t *limits_json(const bg_advice *a)
{
    json_t *o = json_object();
    for (size_t l = 0; l < BG_LIMIT_COUNT; l++)
        if (!isnan(a->query.limit[l]))
            json_object_set_new(o, bg_limits[l].option + 2,
                                json_pack("{s:f, s:b}", "value", a->query.limit[l], "default",
                                          (int)a->query.implied[l]));
    json_object_set_new(o, "ctx", json_integer((json_int_t)a->query.ctx));
    return o;
}

static int by_speed(const void *pa, const void *pb)
{
    const bg_candidate *a = *(const bg_candidate *const *)pa, *b = *(const bg_candidate *const *)pb;
    return a->tg_tps > b->tg_tps ? -1 : a->tg_tps < b->tg_tps ? 1 : strcmp(a->name, b->name);
}

static json_t *front_json(const bg_advice *a)
{
    json_t *list = json_array();
    const bg_candidate **front = bg_alloc(a->n, sizeof *front);
    size_t n = 0;
    for (size_t i = 0; front && i < a->n; i++)
        if (a->c[i].on_front) front[n++] = &a->c[i];
    if (n) qsort(front, n, sizeof *front, by_speed);
    for (size_t i = 0; i < n; i++) json_array_append_new(list, candidate_json(front[i]));
    bg_free(front);
    return list;
}

static json_t *lists_json(const bg_advice *a, json_t *o)
{
    json_t *reasons = json_array(), *runners = json_array(), *removed = json_array(),
           *changes = json_array();
    for (size_t i = 0; i < a->n_reasons; i++)
        json_array_append_new(reasons, json_string(a->reasons[i]));
    for (size_t i = 0; i < a->n_runners; i++) {
        json_t *c = candidate_json(&a->c[a->runners[i].candidate]);
        json_object_set_new(c, "why", json_string(a->runners[i].why));
        json_array_append_new(runners, c);
    }
    for (size_t i = 0; i < a->n; i++)
        if (a->removed[i])
            json_array_append_new(removed, json_pack("{s:s, s:s, s:s}", "scheme", a->c[i].scheme,
                                                     "engine", a->c[i].engine,
                                                     "constraint", a->removed[i]));
    for (size_t i = 0; i < a->n_changes; i++)
        json_array_append_new(changes, json_pack("{s:s, s:s, s:s}", "change", a->changes[i].option,
                                                 "engine", a->c[a->changes[i].candidate].engine,
                                                 "scheme", a->c[a->changes[i].candidate].scheme));
    json_object_set_new(o, "reasons", reasons);
    json_object_set_new(o, "runners_up", runners);
    json_object_set_new(o, "removed", removed);
    json_object_set_new(o, "changes", changes);
    return o;
}

bg_status bg_advice_json(const bg_advice *a, char **text, bg_error *err)
{
    const bg_candidate *pick = &a->c[a->pick];
    json_t *o = json_object();
    char *dump, *command = a->feasible ? bg_advice_command(a, pick) : NULL;
    bg_text t = {0};
    *text = NULL;
    json_object_set_new(o, "scheme", a->feasible ? json_string(pick->scheme) : json_null());
    json_object_set_new(o, "nearest", a->feasible ? json_null() : json_string(pick->scheme));
    json_object_set_new(o, "feasible", json_boolean(a->feasible));
    json_object_set_new(o, "objective", json_string(bg_objective_name(a->query.objective)));
    json_object_set_new(o, "loss_basis", json_string(basis_name(a)));
    json_object_set_new(o, "published", published_json(a->published));
    json_object_set_new(o, "pick", candidate_json(pick));
    json_object_set_new(o, "command", command ? json_string(command) : json_null());
    bg_free_text(command);
    json_object_set_new(o, "front", front_json(a));
    json_object_set_new(o, "limits", limits_json(a));
    lists_json(a, o);
    dump = json_dumps(o, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(10));
    json_decref(o);
    if (dump) bg_text_printf(&t, "%s\n", dump);
    free(dump);
    if (t.failed || !t.data) {
        bg_text_fini(&t);
        return bg_fail_nomem(err, "the recommendation", 4096);
    }
    *text = t.data;
    return BG_OK;
}
