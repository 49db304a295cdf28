#include "harness/harness.h"

#include "base/file.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const quality_names[] = {"off", "quick", "full"};
static const char roofs_at_start[] = "start", roofs_watched[] = "watch";

typedef struct profile {
    json_t *json;
    const char *schemes, *isa, *threads, *quality, *roofs;
    int n_prompt, n_gen, depth, min_reps, max_reps, quick_windows, layers;
    double precision, time_limit;
} profile;

static bg_status check_profile(const profile *p, const char *path, bg_error *err)
{
    bool known = false;
    for (size_t i = 0; i < BG_COUNT(quality_names); i++)
        known = known || strcmp(p->quality, quality_names[i]) == 0;
    if (!known)
        return bg_fail(err, BG_ERR_INPUT, path, "quality '%s' is none of off, quick, full",
                       p->quality);
    if (strcmp(p->roofs, roofs_at_start) != 0 && strcmp(p->roofs, roofs_watched) != 0)
        return bg_fail(err, BG_ERR_INPUT, path, "roofs '%s' is none of start, watch", p->roofs);
    if (p->n_prompt < 0 || p->n_gen < 0 || p->depth < 0 || p->min_reps < 1 ||
        p->max_reps < p->min_reps || p->quick_windows < 1 || p->layers < 0 || !(p->precision > 0) ||
        !(p->time_limit >= 0))
        return bg_fail(err, BG_ERR_INPUT, path, "a number is out of range: compare it with the "
                       "profile quick.json");
    return BG_OK;
}

static bg_status read_profile(profile *p, const char *name, bg_error *err)
{
    char relative[128], *path;
    const char *description;
    json_error_t e;
    bg_status status = BG_OK;
    snprintf(relative, sizeof relative, "profiles/sweep/%s.json", name);
    path = strchr(name, '/') ? NULL : bg_data_path(relative);
    if (!path)
        return bg_fail(err, BG_ERR_INPUT, relative, "there is no such profile: use quick, full, ci "
                       "or shape, or set BITGAUGE_DATA to the folder that holds profiles/");
    p->json = json_load_file(path, JSON_REJECT_DUPLICATES, &e);
    if (!p->json ||
        json_unpack_ex(p->json, &e, JSON_STRICT,
                       "{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:F, s:s, s:i, s:F, s:i, "
                       "s:s}", "description", &description, "schemes", &p->schemes, "isa", &p->isa,
                       "threads", &p->threads, "n_prompt", &p->n_prompt, "n_gen", &p->n_gen,
                       "depth", &p->depth, "min_reps", &p->min_reps, "max_reps", &p->max_reps,
                       "precision", &p->precision, "quality", &p->quality, "quick_windows",
                       &p->quick_windows, "time_limit", &p->time_limit, "layers",
                       &p->layers, "roofs", &p->roofs) != 0)
        status = bg_fail(err, BG_ERR_INPUT, path, "is not a sweep profile (line %d: %s)", e.line,
                         e.text);
    if (status == BG_OK) status = check_profile(p, path, err);
    bg_free(path);
    return status;
}

bool bg_next_word(const char **list, char *word, size_t size)
{
    size_t n;
    while (**list == ',' || **list == ' ') (*list)++;
    n = strcspn(*list, ", ");
    if (n == 0) return false;
    snprintf(word, size, "%.*s", (int)BG_MIN(n, size - 1), *list);
    *list += n;
    return true;
}

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

bg_status bg_parse_threads(const char *list, int default_threads, int *out, size_t max, size_t *n,
                           bg_error *err)
{
    char word[16];
    const char *rest = list;
    size_t unique = 0;
    *n = 0;
    while (bg_next_word(&rest, word, sizeof word)) {
        char *end;
        long value = strcmp(word, "auto") == 0 ? default_threads : strtol(word, &end, 10);
        if (strcmp(word, "auto") != 0 && (*end || value < 1 || value > 4096))
            return bg_fail(err, BG_ERR_INPUT, "--threads", "'%s' is not a number from 1 to 4096",
                           word);
        if (*n == max)
            return bg_fail(err, BG_ERR_INPUT, "--threads", "lists over %zu numbers", max);
        if (value > default_threads)
            bg_log(BG_LOG_WARN, "%ld threads on %d usable cores: they will share cores", value,
                   default_threads);
        out[(*n)++] = (int)value;
    }
    if (*n == 0) return bg_fail(err, BG_ERR_INPUT, "--threads", "the list is empty");
    qsort(out, *n, sizeof *out, compare_ints);
    for (size_t i = 0; i < *n; i++)
        if (unique == 0 || out[unique - 1] != out[i]) out[unique++] = out[i];
    *n = unique;
    return BG_OK;
}

bg_status bg_parse_isas(const char *list, bg_isa out[BG_ISA_COUNT], size_t *n, bg_error *err)
{
    bool wanted[BG_ISA_COUNT] = {false};
    char word[32];
    bg_isa isa;
    *n = 0;
    while (bg_next_word(&list, word, sizeof word)) {
        BG_TRY(bg_isa_parse(word, &isa, err));
        wanted[isa] = true;
    }
    for (int i = 0; i < BG_ISA_COUNT; i++)
        if (wanted[i]) out[(*n)++] = (bg_isa)i;
    return *n ? BG_OK : bg_fail(err, BG_ERR_INPUT, "--isa", "the list is empty");
}

bool bg_cell_timed(const bg_cell *c) { return c->kind != BG_TEST_QUALITY && !c->simulated; }

bool bg_plan_timed(const bg_plan *p)
{
    for (size_t i = 0; i < p->n_cells; i++)
        if (bg_cell_timed(&p->cells[i])) return true;
    return false;
}

/* What is enough to run all of the code, for it runs 50 times slower. */
enum { SIM_PROMPT = 16, SIM_GEN = 4, SIM_GEN_DEPTH = 16 };

static void name_test(bg_cell *c, const char *before)
{
    snprintf(c->test, sizeof c->test, "%s%s%u", before, c->kind == BG_TEST_PP ? "pp" : "tg", c->n);
    if (c->depth) snprintf(c->test + strlen(c->test), 16, "@d%u", c->depth);
}

/* Once for each set that the plan's are simulated by; of what quantize makes by its name. */
static void add_simulated(bg_plan *p, size_t scheme)
{
    static const bg_cell tests[] = {
        {.kind = BG_TEST_PP, .n = SIM_PROMPT},
        {.kind = BG_TEST_TG, .n = SIM_GEN, .depth = SIM_GEN_DEPTH},
    };
    bool has[BG_ISA_COUNT] = {false};
    for (size_t i = 0; p->schemes[scheme] && i < p->n_isas; i++) {
        bg_isa isa = bg_sim_isa(p->isas[i]);
        for (size_t k = 0; k < BG_COUNT(tests) && !has[isa]; k++) {
            bg_cell *c = &p->cells[p->n_cells++];
            *c = tests[k];
            c->scheme = scheme;
            c->isa = isa;
            c->threads = 1;
            c->simulated = true;
            name_test(c, "sim-");
        }
        has[isa] = true;
    }
}

static void add_cell(bg_plan *p, bg_cell like, bg_test_kind kind)
{
    bg_cell *c = &p->cells[p->n_cells++];
    *c = like;
    c->kind = kind;
    if (kind == BG_TEST_QUALITY) {
        snprintf(c->test, sizeof c->test, "quality%s%s", c->activations ? "-" : "",
                 c->activations ? bg_activations_name(c->activations) : "");
        return;
    }
    c->n = kind == BG_TEST_PP ? p->n_prompt : p->n_gen;
    c->depth = p->depth;
    name_test(c, "");
}

/* Leaves the cells that are wanted. */
static void choose_cells(bg_plan *p, const bg_sweep_options *o)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n_cells && o->wants; i++) {
        const bg_cell *c = &p->cells[i];
        if (o->wants(o->wants_user, bg_plan_name(p, c->scheme), c->test,
                     p->engines[c->engine]->name, bg_cell_isa(p, c), c->threads))
            p->cells[kept++] = *c;
    }
    if (o->wants) p->n_cells = kept;
}

/* Of one scheme and engine. */
static void add_cells(bg_plan *p, size_t scheme, size_t engine, const bg_sweep_options *o)
{
    bool one = p->engines[engine]->own_isa; /* set of instructions: the last stands for it */
    bg_cell c = {.scheme = scheme, .engine = engine};
    for (size_t i = one ? p->n_isas - 1 : 0; i < p->n_isas; i++)
        for (size_t t = 0; t < p->n_threads; t++) {
            c.isa = p->isas[i];
            c.threads = p->threads[t];
            if (p->n_prompt) add_cell(p, c, BG_TEST_PP);
            if (p->n_gen) add_cell(p, c, BG_TEST_TG);
        }
    if (p->quality == BG_QUALITY_OFF || !p->engines[engine]->has_quality(o)) return;
    add_cell(p, c, BG_TEST_QUALITY);
    for (size_t i = 0; p->engines[engine] == &bg_engine_builtin && i < p->n_activations; i++) {
        c.activations = p->activations[i];
        add_cell(p, c, BG_TEST_QUALITY);
    }
}

static bg_status make_cells(bg_plan *p, const bg_sweep_options *o, bg_error *err)
{
    size_t most = p->n_schemes * (p->n_engines + 1) *
                  (2 * p->n_isas * (p->n_threads + 1) + 1 + p->n_activations);
    p->cells = bg_alloc(most, sizeof *p->cells);
    if (!p->cells) return bg_fail_nomem(err, "the plan", most * sizeof *p->cells);
    for (size_t s = 0; s < p->n_schemes; s++) {
        for (size_t e = 0; e < p->n_engines; e++) add_cells(p, s, e, o);
        if (p->simulate) add_simulated(p, s);
    }
    choose_cells(p, o);
    if (p->n_cells == 0)
        return bg_fail(err, BG_ERR_INPUT, NULL, "nothing to measure: -p and -n are 0 and quality "
                       "is off");
    return BG_OK;
}

static bg_status parse_activations(bg_plan *p, const char *list, bg_error *err)
{
    char word[16];
    while (list && bg_next_word(&list, word, sizeof word)) {
        bg_activations a = bg_activations_find(word);
        if (!a || p->n_activations == BG_COUNT(p->activations))
            return bg_fail(err, BG_ERR_INPUT, "--activations",
                           "wants some of f16, q8, q6, q4, each once, not '%s'", word);
        p->activations[p->n_activations++] = a;
    }
    return BG_OK;
}

static void take_numbers(bg_plan *p, const profile *from, const bg_sweep_options *o)
{
    p->n_prompt = (uint32_t)(o->n_prompt >= 0 ? o->n_prompt : from->n_prompt);
    p->n_gen = (uint32_t)(o->n_gen >= 0 ? o->n_gen : from->n_gen);
    p->depth = (uint32_t)(o->depth >= 0 ? o->depth : from->depth);
    p->min_reps = (uint32_t)(o->reps > 0 ? o->reps : from->min_reps);
    p->max_reps = (uint32_t)(o->reps > 0       ? o->reps
                             : o->max_reps > 0 ? o->max_reps
                                               : from->max_reps);
    p->min_reps = BG_MIN(p->min_reps, p->max_reps);
    p->precision = o->precision > 0 ? o->precision : from->precision;
    p->time_limit = o->time_limit >= 0 ? o->time_limit : from->time_limit;
    p->quick_windows = (uint32_t)from->quick_windows;
    p->seed = o->seed;
    p->simulate = o->simulate;
    p->watch_roofs = strcmp(from->roofs, roofs_watched) == 0;
    p->layers = (uint32_t)(o->layers > 0 ? o->layers : from->layers);
    if (o->shape) p->quality = BG_QUALITY_OFF;
    else if (o->quality >= 0) p->quality = (bg_sweep_quality)o->quality;
    else
        while (strcmp(quality_names[p->quality], from->quality) != 0) p->quality++;
}

/* With an importance matrix every scheme stands beside its variant, unless the list says itself
 * which are wanted. Speeds do not need the matrix. */
static bg_status add_variants(bg_plan *p, const bg_sweep_options *o, bg_error *err)
{
    const bg_scheme *all[2 * BG_PLAN_MAX_SCHEMES];
    size_t n = 0;
    bool listed = false;
    for (size_t i = 0; i < p->n_schemes; i++) {
        const bg_scheme *s = p->schemes[i], *with = bg_scheme_with_importance(s);
        listed |= bg_scheme_wants_importance(s);
        all[n++] = s;
        if (with) all[n++] = with;
        if (p->quality != BG_QUALITY_OFF)
            BG_TRY(bg_scheme_check_importance(s, o->imatrix != NULL, err));
    }
    if (!o->imatrix || listed) return BG_OK;
    if (n > BG_PLAN_MAX_SCHEMES)
        return bg_fail(err, BG_ERR_INPUT, "--schemes", "with their variants for the importance "
                       "matrix these are %zu: name at most %d", n, BG_PLAN_MAX_SCHEMES);
    memcpy(p->schemes, all, n * sizeof *all);
    p->n_schemes = n;
    return BG_OK;
}

/* ---- what is searched for ------------------------------------------------------------------ */

const char *bg_plan_name(const bg_plan *p, size_t scheme)
{
    return p->schemes[scheme] ? bg_scheme_name(p->schemes[scheme]) : p->searched[scheme].name;
}

bool bg_plan_open(const bg_plan *p, size_t scheme)
{
    for (size_t i = 0; i < p->n_cells; i++)
        if (p->cells[i].scheme == scheme && !p->cells[i].done) return true;
    return false;
}

/* `word` as it is named: a scheme or a size. */
static bg_status add_search(bg_plan *p, const char *word, bg_error *err)
{
    bg_searched s = {.like = bg_scheme_find(word)};
    if (!s.like && (!bg_parse_size(word, &s.bytes) || s.bytes == 0))
        return bg_fail(err, BG_ERR_INPUT, "--search", "'%.40s' is neither a size such as 2.7MB nor "
                       "a scheme, whose size is meant", word);
    snprintf(s.name, sizeof s.name, "search-%.24s%s", s.like ? bg_scheme_name(s.like) : word,
             p->prune > 0 ? "+prune" : "");
    for (size_t i = 0; i < p->n_schemes; i++)
        if (strcmp(bg_plan_name(p, i), s.name) == 0) return BG_OK;
    if (p->n_schemes == BG_PLAN_MAX_SCHEMES)
        return bg_fail(err, BG_ERR_INPUT, "--search", "with the schemes these are over %d: name "
                       "fewer", BG_PLAN_MAX_SCHEMES);
    p->schemes[p->n_schemes] = NULL;
    p->searched[p->n_schemes++] = s;
    return BG_OK;
}

static bg_status search_like(bg_plan *p, bool usual, bool *any, bg_error *err)
{
    static const char *const usual_ones[] = {"Q2_K", "Q3_K_M", "Q4_K_M"};
    size_t n = p->n_schemes;
    for (size_t i = 0; i < n; i++) {
        const bg_scheme *s = p->schemes[i];
        bool wanted = !usual && s && bg_scheme_level(s) < 8 && !bg_scheme_wants_importance(s);
        for (size_t k = 0; s && k < BG_COUNT(usual_ones); k++)
            wanted |= usual && strcmp(bg_scheme_name(s), usual_ones[k]) == 0;
        if (wanted) BG_TRY(add_search(p, bg_scheme_name(s), err));
        *any |= wanted;
    }
    return BG_OK;
}

static bg_status add_searches(bg_plan *p, const bg_sweep_options *o, bg_error *err)
{
    const char *rest = o->search;
    char word[32];
    bool any = false;
    if (!rest && (o->calib || o->search_minutes >= 0 || o->prune > 0))
        return bg_fail(err, BG_ERR_INPUT, o->calib ? "--calib" : o->prune > 0 ? "--prune"
                       : "--search-minutes", "goes with --search: give that, too");
    if (!rest) return BG_OK;
    if (o->shape)
        return bg_fail(err, BG_ERR_INPUT, "--search",
                       "needs a model: a shape's weights are random");
    p->search_minutes = o->search_minutes < 0 ? 3 : o->search_minutes;
    p->prune = o->prune;
    if (strcmp(rest, "auto") != 0) {
        while (bg_next_word(&rest, word, sizeof word)) BG_TRY(add_search(p, word, err));
        return BG_OK;
    }
    BG_TRY(search_like(p, true, &any, err));
    if (!any) BG_TRY(search_like(p, false, &any, err));
    if (any) return BG_OK;
    return bg_fail(err, BG_ERR_INPUT, "--search", "no scheme of the sweep has under 8 bits: give "
                   "the sizes, such as --search 2.7MB");
}

bg_status bg_plan_make(bg_plan *p, const bg_sweep_options *o, int default_threads, bg_error *err)
{
    profile from = {0};
    const char *name = o->profile ? o->profile : o->shape ? "shape" : "quick";
    bg_status status = read_profile(&from, name, err);
    memset(p, 0, sizeof *p);
    if (status == BG_OK && o->shape && (o->quality > BG_QUALITY_OFF || o->imatrix || o->text))
        status = bg_fail(err, BG_ERR_INPUT, o->shape, "is a shape: its weights are random, so it "
                         "has no quality to measure (leave --quality, --text and --imatrix out)");
    if (status == BG_OK && o->shape && o->simulate)
        status = bg_fail(err, BG_ERR_INPUT, o->shape, "is a shape, which is not held whole: "
                         "--counters callgrind counts models (leave it out, or give --model)");
    if (status == BG_OK) status = bg_engines_parse(o->engines, p->engines, &p->n_engines, err);
    if (status == BG_OK && (o->shape || o->simulate) &&
        (p->n_engines > 1 || p->engines[0] != &bg_engine_builtin))
        status = bg_fail(err, BG_ERR_INPUT, "--engine", "%s wants the builtin engine alone",
                         o->shape ? "--shape" : "--counters");
    if (status == BG_OK && o->layers && !o->shape)
        status = bg_fail(err, BG_ERR_INPUT, "--layers", "goes with --shape");
    snprintf(p->profile, sizeof p->profile, "%s", name);
    if (status == BG_OK) {
        take_numbers(p, &from, o);
        status = bg_scheme_parse_list(o->schemes ? o->schemes : from.schemes, p->schemes,
                                      BG_PLAN_MAX_SCHEMES, &p->n_schemes, err);
    }
    if (status == BG_OK) status = add_variants(p, o, err);
    if (status == BG_OK) status = add_searches(p, o, err);
    if (status == BG_OK)
        status = bg_parse_isas(o->isas ? o->isas : from.isa, p->isas, &p->n_isas, err);
    if (status == BG_OK)
        status = bg_parse_threads(o->threads ? o->threads : from.threads, default_threads,
                                  p->threads, BG_PLAN_MAX_THREADS, &p->n_threads, err);
    if (status == BG_OK) status = parse_activations(p, o->activations, err);
    if (status == BG_OK) status = make_cells(p, o, err);
    p->n_groups = 1;
    json_decref(from.json);
    if (status != BG_OK) bg_plan_fini(p);
    return status;
}

void bg_plan_fini(bg_plan *p)
{
    bg_free(p->cells);
    p->cells = NULL;
    p->n_cells = 0;
}

void bg_plan_group(bg_plan *p, const uint64_t *bytes, uint64_t budget)
{
    uint64_t used = 0;
    size_t group = 0;
    for (size_t s = 0; s < p->n_schemes; s++) {
        if (used && (bytes[s] > budget || used > budget - bytes[s])) {
            group++;
            used = 0;
        }
        used += bytes[s];
        p->group[s] = group;
    }
    p->n_groups = group + 1;
}

struct json_t *bg_plan_settings(const bg_plan *p)
{
    json_t *schemes = json_array(), *isas = json_array(), *threads = json_array(), *settings;
    json_t *engines = json_array();
    bool searches = false;
    for (size_t i = 0; i < p->n_schemes; i++) {
        searches |= !p->schemes[i];
        json_array_append_new(schemes, json_string(bg_plan_name(p, i)));
    }
    for (size_t i = 0; i < p->n_isas; i++)
        json_array_append_new(isas, json_string(bg_isa_name(p->isas[i])));
    for (size_t i = 0; i < p->n_threads; i++)
        json_array_append_new(threads, json_integer(p->threads[i]));
    settings = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:I, s:I}",
                     "schemes", schemes, "isa", isas, "threads", threads,
                     "n_prompt", (json_int_t)p->n_prompt, "n_gen", (json_int_t)p->n_gen,
                     "depth", (json_int_t)p->depth, "min_reps", (json_int_t)p->min_reps,
                     "max_reps", (json_int_t)p->max_reps, "precision", p->precision,
                     "quality", quality_names[p->quality],
                     "quick_windows", (json_int_t)p->quick_windows,
                     "seed", (json_int_t)p->seed);
    for (size_t i = 0; i < p->n_engines; i++)
        json_array_append_new(engines, json_string(p->engines[i]->name));
    /* Folders of before there were several have none. */
    if (p->n_engines > 1 || p->engines[0] != &bg_engine_builtin)
        json_object_set(settings, "engines", engines);
    json_decref(engines);
    if (p->n_activations) json_object_set_new(settings, "activations", json_array());
    for (size_t i = 0; i < p->n_activations; i++)
        json_array_append_new(json_object_get(settings, "activations"),
                              json_string(bg_activations_name(p->activations[i])));
    if (searches) json_object_set_new(settings, "search_minutes", json_real(p->search_minutes));
    if (searches && p->prune > 0) json_object_set_new(settings, "prune", json_real(p->prune));
    return settings;
}

struct json_t *bg_plan_groups(const bg_plan *p)
{
    json_t *groups = json_array();
    for (size_t g = 0; g < p->n_groups; g++) {
        json_t *names = json_array();
        for (size_t s = 0; s < p->n_schemes; s++)
            if (p->group[s] == g)
                json_array_append_new(names, json_string(bg_plan_name(p, s)));
        json_array_append_new(groups, names);
    }
    return groups;
}
